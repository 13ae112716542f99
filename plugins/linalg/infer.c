/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Types of systems: what fits together, and what comes out.
 */
#include "linalg.h"

#include <stdio.h>

const char *linalg_format(const cst_type *t, char *text, size_t size) {
  size_t n = (size_t)snprintf(text, size, "%s[", linalg_of_rows(t) ? "rows " : "");
  for (int i = 0; i < t->rank && n < size; i++)
    n += (size_t)snprintf(text + n, size - n, "%s%lld", i ? ", " : "", (long long)t->dim[i]);
  if (n < size) snprintf(text + n, size - n, "]");
  return text;
}

cst_status linalg_same_dtype(const cst_host *h, const cst_type *in, size_t n) {
  for (size_t i = 0; i < n; i++)
    if ((in[i].dtype != CST_F32 && in[i].dtype != CST_F64) || in[i].dtype != in->dtype)
      return h->fail(h, CST_EDTYPE, "matrix and right-hand side must both be f32 or both f64: convert one with :cast");
  return CST_OK;
}

void linalg_result(const cst_type *rows, bool partial_matrix, const cst_type *b, int64_t n, cst_type *x) {
  const cst_type *batch = linalg_of_rows(b) ? b : rows;
  int at = 0, rank = linalg_rank(b);
  *x = (cst_type){.dtype = b->dtype, .rank = (uint8_t)(rank + (batch != NULL))};
  x->space = batch ? CST_ROW : partial_matrix ? CST_SHARED : b->space;
  if (batch) x->dim[at++] = batch->dim[0];
  x->dim[at++] = n;
  if (rank == 2) x->dim[at] = linalg_dim(b, 1);
}

cst_status linalg_infer(const cst_host *h, const cst_type *in, int64_t entries, int64_t n, cst_type *x) {
  const cst_type *a = &in[0], *b = &in[1];
  char s[64], t[64];
  int rank = linalg_rank(b);
  CST_TRY(linalg_same_dtype(h, in, 2));
  if (rank < 1 || rank > 2 || linalg_dim(b, 0) != entries)
    return h->fail(h, CST_ESHAPE,
                   "the right-hand side %s does not fit the matrix %s: it needs %lld entries, or so many by columns "
                   "(cs.rows marks the leading axis of a batch)",
                   linalg_format(b, t, sizeof t), linalg_format(a, s, sizeof s), (long long)entries);
  linalg_result(linalg_of_rows(a) ? a : NULL, a->space == CST_PARTIAL, b, n, x);
  return CST_OK;
}
