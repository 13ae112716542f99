/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Products that derivatives are made of, as nodes: with a matrix of rows they are products row by row
 * (bmm), with a shared one products with all rows at once (matmul, outer).
 */
#include "linalg.h"

static bool of_rows(const cst_graph *g, cst_value v) { return linalg_of_rows(cst_type_of(g, v)); }
static bool is_vector(const cst_graph *g, cst_value v) { return linalg_rank(cst_type_of(g, v)) == 1; }

cst_value linalg_swap(cst_graph *g, cst_value a) {
  if (!a) return CST_NONE;
  int rank = cst_type_of(g, a)->rank, perm[CST_MAX_RANK];
  for (int i = 0; i < rank; i++) perm[i] = i;
  perm[rank - 2] = rank - 1, perm[rank - 1] = rank - 2;
  return cst_transpose(g, a, rank, perm);
}

/* A vector as one column, a column as a vector. */
static cst_value column(cst_graph *g, cst_value v) {
  if (!v) return CST_NONE;
  cst_type t = *cst_type_of(g, v);
  t.dim[t.rank] = 1;
  return cst_reshape(g, v, t.rank + 1, t.dim);
}
static cst_value vector(cst_graph *g, cst_value v) {
  if (!v) return CST_NONE;
  cst_type t = *cst_type_of(g, v);
  return cst_reshape(g, v, t.rank - 1, t.dim);
}

/* A shared value once for every row of `batch`. */
static cst_value for_rows(cst_graph *g, cst_value v, cst_value batch) {
  if (!v || of_rows(g, v)) return v;
  const cst_type *t = cst_type_of(g, v);
  cst_attrs at = {.n_ints = (uint8_t)(3 + t->rank), .i = {t->rank + 1, CST_ROW, cst_type_of(g, batch)->dim[0]}};
  for (int i = 0; i < t->rank; i++) at.i[3 + i] = t->dim[i];
  return cst_node1(g, "broadcast", v, &at);
}

cst_value linalg_times(cst_graph *g, cst_value a, cst_value x, bool transposed) {
  if (!a || !x) return CST_NONE;
  bool plain = is_vector(g, x);
  if (of_rows(g, a)) {
    x = for_rows(g, x, a);
    cst_value y = cst_bmm(g, a, plain ? column(g, x) : x, transposed, false);
    return plain ? vector(g, y) : y;
  }
  if (plain) return cst_matmul(g, x, a, !transposed);
  return linalg_swap(g, cst_matmul(g, linalg_swap(g, x), a, !transposed));
}

cst_value linalg_outer(cst_graph *g, cst_value a, cst_value u, cst_value v) {
  if (!u || !v) return CST_NONE;
  bool plain = is_vector(g, u);
  if (of_rows(g, a)) return plain ? cst_bmm(g, column(g, u), column(g, v), false, true) : cst_bmm(g, u, v, false, true);
  return plain ? cst_outer(g, u, v) : cst_outer(g, linalg_swap(g, u), linalg_swap(g, v));
}

cst_value linalg_reduce(cst_graph *g, cst_value v, cst_value like) {
  return v && of_rows(g, v) && !of_rows(g, like) ? cst_sum(g, v, 1, false) : v;
}

/* 0, 1, .. as a row or a column of a matrix. */
static cst_value counting(cst_graph *g, int64_t n, bool as_column) {
  cst_attrs at = {.n_ints = 2, .i = {n, g->real}};
  int64_t dim[2] = {as_column ? n : 1, as_column ? 1 : n};
  return cst_reshape(g, g->host->node(g, "iota", NULL, 0, &at), 2, dim);
}

cst_value linalg_lower(cst_graph *g, cst_value a, double diagonal) {
  if (!a) return CST_NONE;
  int64_t n = linalg_dim(cst_type_of(g, a), 0);
  cst_value i = counting(g, n, true), j = counting(g, n, false);
  cst_value mask = cst_scale(g, cst_le(g, j, i), diagonal);
  if (diagonal != 1) mask = cst_add(g, mask, cst_scale(g, cst_lt(g, j, i), 1 - diagonal));
  return cst_mul(g, a, mask);
}

cst_value linalg_add(cst_graph *g, cst_value a, cst_value b) { return a && b ? cst_add(g, a, b) : a ? a : b; }
cst_value linalg_sub(cst_graph *g, cst_value a, cst_value b) {
  return a && b ? cst_sub(g, a, b) : b ? cst_neg(g, b) : a;
}
