/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Broadcasting. Without ROW operands, shapes align from the right. With them, row axes align first
 * and the inner axes from the right; an operand of other space with more axes than any row has is
 * aligned at its leading axis instead (and mixes rows if that axis is longer than 1).
 */
#include <string.h>

#include "autodiff/graph_internal.h"

bool cst_type_equal(const cst_type *a, const cst_type *b) {
  return a->dtype == b->dtype && a->space == b->space && a->rank == b->rank &&
         memcmp(a->dim, b->dim, sizeof a->dim) == 0;
}

static bool any_row(const cst_type *in, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (in[i].space == CST_ROW) return true;
  return false;
}

bool cst_broadcast_strides(const cst_type *out, const cst_type *t, int64_t *stride) {
  memset(stride, 0, sizeof *stride * CST_MAX_RANK);
  int64_t step = 1;
  bool row = out->space == CST_ROW && t->space == CST_ROW;
  int shift = out->rank - t->rank;
  if (shift < 0) return false;
  for (int i = t->rank - 1; i >= 0; i--) {
    int axis = row && i == 0 ? 0 : i + shift;
    if (t->dim[i] != 1 || (row && i == 0)) {
      if (t->dim[i] != out->dim[axis]) return false;
      stride[axis] = step;
    }
    step *= t->dim[i];
  }
  return true;
}

static bool grow(int64_t *a, int64_t b) {
  if (*a == 1) *a = b;
  return b == 1 || *a == b;
}

/* The space of the result: ROW wins; PARTIAL stays where the op is linear in it. */
static cst_space join_space(const cst_op *op, const cst_type *in, size_t n) {
  bool partial = false, all = true, others_shared = true;
  if (any_row(in, n)) return CST_ROW;
  for (size_t i = 0; i < n; i++) {
    bool here = in[i].space == CST_PARTIAL, linear = op->linear >> i & 1;
    partial |= here;
    if (here && !linear) return CST_SHARED;
    if (!here && linear) all = false;
    if (!here && in[i].space != CST_SHARED) others_shared = false;
  }
  if (!partial) return CST_SHARED;
  bool joint = op->flags & CST_OP_JOINT;
  int count = 0;
  for (size_t i = 0; i < n; i++) count += in[i].space == CST_PARTIAL;
  return others_shared && (joint ? all : count == 1) ? CST_PARTIAL : CST_SHARED;
}

static cst_status misfit(const cst_host *h, const cst_type *in, size_t n) {
  char text[160] = "", one[64];
  for (size_t i = 0; i < n; i++) {
    const char *s = cst_type_format(&in[i], one, sizeof one);
    if (strlen(text) + strlen(s) + 6 < sizeof text) {
      if (i) strcat(text, " and ");
      strcat(text, s);
    }
  }
  return h->fail(h, CST_ESHAPE, "the shapes %s do not broadcast together", text);
}

cst_status cst_broadcast_types(const cst_host *h, const cst_op *op, const cst_type *in, size_t n,
                               cst_type *out) {
  *out = (cst_type){.dtype = in[0].dtype, .space = (uint8_t)join_space(op, in, n)};
  bool row = any_row(in, n);
  int rank = row ? 1 : 0;
  for (size_t i = 0; i < n; i++) {
    if (in[i].dtype != in[0].dtype) return h->fail(h, CST_EDTYPE, "operands of different types");
    if ((!row || in[i].space == CST_ROW) && in[i].rank > rank) rank = in[i].rank;
    if (in[i].space == CST_ROW) out->dim[0] = in[i].dim[0];
  }
  out->rank = (uint8_t)rank;
  for (int k = row; k < rank; k++) out->dim[k] = 1;
  for (size_t i = 0; i < n; i++) {
    const cst_type *t = &in[i];
    int shift = rank - t->rank;
    if (shift < 0) return misfit(h, in, n);
    for (int k = t->space == CST_ROW; k < t->rank; k++)
      if (!(row && k + shift == 0) && !grow(&out->dim[k + shift], t->dim[k])) return misfit(h, in, n);
  }
  int64_t stride[CST_MAX_RANK];
  for (size_t i = 0; i < n; i++)
    if (!cst_broadcast_strides(out, &in[i], stride)) return misfit(h, in, n);
  return CST_OK;
}
