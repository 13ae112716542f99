/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * solve_tridiagonal(lower [n - 1], diagonal [n], upper [n - 1], b): the system of
 *
 *   lower_{i-1} x_{i-1} + diagonal_i x_i + upper_i x_{i+1} = b_i
 *
 * in O(n). The transposed system is the one with lower and upper exchanged. Derivatives by the ops of
 * banded.c with lower = upper = 1, whose three rows are these diagonals:
 *
 *   cotangent  b_bar = A^-T x_bar,  (lower_bar, diagonal_bar, upper_bar) = -banded_outer(b_bar, x)
 *   tangent    dx = A^-1 (db - dA x)
 */
#include "linalg.h"

enum { LOW, MAIN, UP, B };

static cst_status infer(const cst_host *h, const cst_attrs *at, const cst_type *in, size_t n, cst_type *x, size_t *n_out) {
  (void)at, (void)n, (void)n_out;
  char a[64], b[64], c[64], d[64];
  const cst_type *batch = NULL;
  bool partial = false, fits = linalg_rank(&in[B]) == 1 || linalg_rank(&in[B]) == 2;
  CST_TRY(linalg_same_dtype(h, in, 4));
  int64_t equations = linalg_rank(&in[MAIN]) == 1 ? linalg_dim(&in[MAIN], 0) : 0;
  for (int i = LOW; i <= UP; i++) {
    fits = fits && linalg_rank(&in[i]) == 1 && linalg_dim(&in[i], 0) == equations - (i != MAIN);
    if (linalg_of_rows(&in[i])) batch = &in[i];
    partial |= in[i].space == CST_PARTIAL;
  }
  if (!fits || linalg_dim(&in[B], 0) != equations)
    return h->fail(h, CST_ESHAPE,
                   "n equations take a lower diagonal [n - 1], a diagonal [n], an upper one [n - 1] and b [n] or [n, k], "
                   "each shared or of rows (cs.rows), got %s, %s, %s and %s",
                   linalg_format(&in[LOW], a, sizeof a), linalg_format(&in[MAIN], b, sizeof b),
                   linalg_format(&in[UP], c, sizeof c), linalg_format(&in[B], d, sizeof d));
  linalg_result(batch, partial, &in[B], equations, x);
  return CST_OK;
}

static cst_status state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state) {
  (void)ctx, (void)rows;
  size_t n = (size_t)linalg_dim(&q->operand[MAIN].type, 0);
  return linalg_state_new(q, 4 * n, 4 * n, n, state); /* 2 lower + upper + 1 = 4 */
}

static cst_status factor(const cst_call *c, size_t row) {
  work *w = c->state;
  size_t n = w->n;
  double *low = w->more + n, *main = low + n, *up = main + n;
  linalg_load(c, LOW, row, low);
  linalg_load(c, MAIN, row, main);
  linalg_load(c, UP, row, up);
  for (size_t i = 0; i < n; i++) {
    double *line = w->a + 4 * i;
    line[0] = i ? low[i - 1] : 0, line[1] = main[i], line[2] = i + 1 < n ? up[i] : 0, line[3] = 0;
  }
  size_t j = linalg_band_lu(w->a, n, 1, 1, w->pivot, w->more);
  return j == n ? CST_OK : linalg_singular(c, "linalg.solve_tridiagonal", LINALG_TRY, row, j, n, w->a[4 * j + 1]);
}
static void apply(const cst_call *c) {
  work *w = c->state;
  linalg_band_solve(w->a, w->n, 1, 1, w->pivot, w->x, w->k);
}
static cst_status run(const cst_call *c) { return linalg_run(c, factor, apply); }

static cst_value solve(cst_graph *g, cst_value low, cst_value main, cst_value up, cst_value b) {
  const cst_value in[4] = {low, main, up, b};
  return b ? g->host->node(g, "linalg.solve_tridiagonal", in, 4, NULL) : CST_NONE;
}
static cst_value banded(cst_graph *g, const char *op, cst_value a, cst_value b) {
  cst_attrs at = {.n_ints = 3, .i = {1, 1, 0}};
  return a && b ? cst_node2(g, op, a, b, &at) : CST_NONE;
}

/* Row r of bands as the diagonal it is, without the entry that falls outside. */
static cst_value diagonal(cst_graph *g, cst_value bands, int r) {
  if (!bands) return CST_NONE;
  cst_type t = *cst_type_of(g, bands);
  int64_t n = t.dim[t.rank - 1], first = r == LOW, stop = r == UP ? n - 1 : n;
  cst_value row = cst_slice(g, cst_slice(g, bands, t.rank - 2, r, r + 1, 1), t.rank - 1, first, stop, 1);
  t.dim[t.rank - 2] = stop - first;
  return cst_reshape(g, row, t.rank - 1, t.dim);
}

/* The other way round: bands that are zero but for row r. */
static cst_value bands_with(cst_graph *g, cst_value v, int r) {
  if (!v) return CST_NONE;
  cst_type t = *cst_type_of(g, v);
  t.dim[t.rank] = t.dim[t.rank - 1], t.dim[t.rank - 1] = 1;
  cst_value row = cst_pad(g, cst_reshape(g, v, t.rank + 1, t.dim), t.rank, r == LOW, r == UP, 1);
  return cst_pad(g, row, t.rank - 1, r, 2 - r, 1);
}

static cst_status vjp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *bar, const bool *want, cst_value *in_bar) {
  (void)at, (void)n;
  cst_value b_bar = solve(g, in[UP], in[MAIN], in[LOW], bar[0]);
  cst_value bands = want[LOW] || want[MAIN] || want[UP] ? cst_neg(g, banded(g, "linalg.banded_outer", b_bar, out[0])) : CST_NONE;
  for (int r = LOW; r <= UP; r++)
    if (want[r]) in_bar[r] = linalg_reduce(g, diagonal(g, bands, r), in[r]);
  if (want[B]) in_bar[B] = linalg_reduce(g, b_bar, in[B]);
  return g->status;
}

static cst_status jvp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *dot, cst_value *out_dot) {
  (void)at, (void)n;
  cst_value bands = CST_NONE;
  for (int r = LOW; r <= UP; r++) bands = linalg_add(g, bands, bands_with(g, dot[r], r));
  cst_value moved = banded(g, "linalg.banded_times", bands, out[0]);
  *out_dot = solve(g, in[LOW], in[MAIN], in[UP], linalg_sub(g, dot[B], moved));
  return g->status;
}

const cst_op linalg_solve_tridiagonal = {
    .struct_size = sizeof(cst_op), .name = "solve_tridiagonal", .n_in_min = 4, .n_in_max = 4, .linear = 8, .infer = infer,
    .kernel = {run, run}, .vjp = vjp, .jvp = jvp, .state_new = state_new, .state_free = linalg_state_free};
