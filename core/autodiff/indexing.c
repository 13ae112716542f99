/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Gather and its transpose. The index is an i64 vector or scalar; entries outside the axis are
 * clamped to it by both, so that no input can reach outside memory.
 */
#include <string.h>

#include "autodiff/graph_internal.h"
#include "autodiff/strided.h"

static cst_status check(const cst_host *h, const cst_attrs *a, const cst_type *x, const cst_type *index) {
  char text[64];
  if (index->dtype != CST_I64 || index->rank > 1)
    return h->fail(h, CST_EDTYPE, "an index is an i64 scalar or vector, got %s",
                   cst_type_format(index, text, sizeof text));
  if (a->i[0] < 0 || a->i[0] >= x->rank)
    return h->fail(h, CST_ESHAPE, "axis %lld of %s", (long long)a->i[0],
                   cst_type_format(x, text, sizeof text));
  return CST_OK;
}

/* gather: attribute axis. out [.., index, ..]; a scalar index drops the axis. */
static cst_status gather_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                               cst_type *out, size_t *n_out) {
  (void)n, (void)n_out;
  CST_TRY(check(h, a, &in[0], &in[1]));
  *out = (cst_type){.dtype = in->dtype, .space = in->space};
  for (int i = 0; i < in->rank; i++) {
    if (i != a->i[0]) out->dim[out->rank++] = in->dim[i];
    else if (in[1].rank) out->dim[out->rank++] = in[1].dim[0];
  }
  bool picks = in[1].rank == 0 || in[1].dim[0] > 0;
  if (picks && in->dim[a->i[0]] == 0) return h->fail(h, CST_ESHAPE, "an entry of an axis that has none");
  if ((in->space == CST_ROW && a->i[0] == 0) || in[1].space == CST_ROW) out->space = CST_SHARED;
  return CST_OK;
}

/* Entries of the index. */
static size_t picks_of(const cst_call *c) {
  const cst_operand *o = &c->q->operand[1];
  return o->type.space == CST_ROW ? c->rows * o->inner : o->inner;
}

/* [outer, length, inner] around the axis of the long operand (0 of gather, the output of scatter). */
static void around(const cst_type *t, size_t rows, int axis, size_t *outer, size_t *length, size_t *inner) {
  int64_t dim[CST_MAX_RANK];
  cst_shape_now(t, rows, dim);
  *outer = *inner = 1;
  *length = (size_t)dim[axis];
  for (int i = 0; i < axis; i++) *outer *= (size_t)dim[i];
  for (int i = axis + 1; i < t->rank; i++) *inner *= (size_t)dim[i];
}

static size_t clamp(int64_t i, size_t length) {
  return i < 0 ? 0 : (size_t)i < length ? (size_t)i : length - 1;
}

static cst_status gather_run(const cst_call *c) {
  size_t outer, length, inner, picks = picks_of(c);
  around(&c->q->operand[0].type, c->rows, (int)c->q->attrs->i[0], &outer, &length, &inner);
  size_t bytes = inner * cst_dtype_size(c->q->operand[0].type.dtype);
  const int64_t *index = c->p[1];
  for (size_t o = 0; o < outer && length; o++)
    for (size_t j = 0; j < picks; j++)
      memcpy((char *)c->p[2] + (o * picks + j) * bytes,
             (const char *)c->p[0] + (o * length + clamp(index[j], length)) * bytes, bytes);
  return CST_OK;
}

/* scatter: attributes axis, length, drop. (x, index) -> zeros of `length` along axis, x added in. */
static cst_status scatter_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                                cst_type *out, size_t *n_out) {
  (void)n, (void)n_out;
  *out = (cst_type){.dtype = in->dtype, .space = in->space};
  int axis = (int)a->i[0], from = 0;
  if (a->i[2] && in->rank == CST_MAX_RANK) return h->fail(h, CST_ESHAPE, "more than %d axes", CST_MAX_RANK);
  for (int i = 0; i < in->rank + (a->i[2] ? 1 : 0); i++) {
    if (i == axis) {
      out->dim[out->rank++] = a->i[1];
      if (!a->i[2]) from++;
    } else {
      out->dim[out->rank++] = in->dim[from++];
    }
  }
  if ((in->space == CST_ROW && axis == 0) || in[1].space == CST_ROW) out->space = CST_SHARED;
  return CST_OK;
}
static void add_into(uint8_t dtype, size_t n, const void *x, void *y) {
  if (dtype == CST_F32)
    for (size_t i = 0; i < n; i++) ((float *)y)[i] += ((const float *)x)[i];
  else
    for (size_t i = 0; i < n; i++) ((double *)y)[i] += ((const double *)x)[i];
}
static cst_status scatter_run(const cst_call *c) {
  size_t outer, length, inner, picks = picks_of(c);
  const cst_type *out = &c->q->operand[2].type;
  around(out, c->rows, (int)c->q->attrs->i[0], &outer, &length, &inner);
  size_t bytes = inner * cst_dtype_size(out->dtype);
  const int64_t *index = c->p[1];
  memset(c->p[2], 0, outer * length * bytes);
  for (size_t o = 0; o < outer && length; o++)
    for (size_t j = 0; j < picks; j++)
      add_into(out->dtype, inner, (const char *)c->p[0] + (o * picks + j) * bytes,
               (char *)c->p[2] + (o * length + clamp(index[j], length)) * bytes);
  return CST_OK;
}

static cst_value scatter(cst_graph *g, cst_value x, cst_value index, int64_t axis, int64_t length) {
  cst_attrs at = {.n_ints = 3, .i = {axis, length, type_at(g, index)->rank == 0}};
  return cst_node2(g, "scatter", x, index, &at);
}

static cst_status gather_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                             const cst_value *out, const cst_value *bar, const bool *want,
                             cst_value *in_bar) {
  (void)n, (void)out;
  if (want[0]) in_bar[0] = scatter(g, bar[0], in[1], a->i[0], type_at(g, in[0])->dim[a->i[0]]);
  return g->status;
}
static cst_status gather_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                             const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)n, (void)out;
  *out_dot = dot[0] ? cst_gather(g, dot[0], in[1], (int)a->i[0]) : CST_NONE;
  return g->status;
}
static cst_status scatter_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                              const cst_value *out, const cst_value *bar, const bool *want,
                              cst_value *in_bar) {
  (void)n, (void)out;
  if (want[0]) in_bar[0] = cst_gather(g, bar[0], in[1], (int)a->i[0]);
  return g->status;
}
static cst_status scatter_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                              const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)n, (void)out;
  *out_dot = dot[0] ? scatter(g, dot[0], in[1], a->i[0], a->i[1]) : CST_NONE;
  return g->status;
}

/* Both move along an axis of each row, by one index for all. */
static bool apart(const cst_graph *g, const cst_value *in, const cst_value *stacked, int64_t axis) {
  bool batch = type_at(g, in[0])->space == CST_ROW && axis == 0;
  return stacked[0] && !stacked[1] && !batch && type_at(g, in[1])->space != CST_ROW;
}
CST_BATCH_RULE(gather) {
  (void)n, (void)k, (void)out;
  if (!apart(g, in, stacked, a->i[0])) return CST_EUNSUPPORTED;
  *out_stacked = cst_gather(g, stacked[0], in[1], cst_stacked_axis(g, stacked[0], type_at(g, in[0]), a->i[0]));
  return g->status;
}
CST_BATCH_RULE(scatter) {
  (void)n, (void)k;
  if (!apart(g, in, stacked, a->i[0])) return CST_EUNSUPPORTED;
  *out_stacked = scatter(g, stacked[0], in[1], cst_stacked_axis(g, stacked[0], type_at(g, out[0]), a->i[0]), a->i[1]);
  return g->status;
}

#define ROW(nm) {.struct_size = sizeof(cst_op), .name = #nm, .n_in_min = 2, .n_in_max = 2, .linear = 1, \
                 .infer = nm##_infer, .kernel = {nm##_run, nm##_run}, .vjp = nm##_vjp, .jvp = nm##_jvp, \
                 .batch = nm##_batch}
static const cst_op table[] = {ROW(gather), ROW(scatter)};

cst_status cst_register_indexing(const cst_host *h) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) CST_TRY(h->register_op(h, &table[i]));
  return CST_OK;
}
