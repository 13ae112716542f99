/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * solve_lower: x = L^-1 b, or L^-T b with the attribute `transposed`, where L is the lower triangle of
 * the matrix given, diagonal included. Derivatives are those of `solve`, cut to that triangle.
 */
#include "linalg.h"

#include <gsl/gsl_blas.h>

static cst_status factor(const cst_call *c, size_t row) {
  work *w = c->state;
  linalg_load(c, 0, row, w->a);
  for (size_t j = 0; j < w->n; j++)
    if (w->a[j * w->n + j] == 0) return linalg_singular(c, "linalg.solve_lower", LINALG_TRY, row, j, w->n, 0);
  return CST_OK;
}

static void apply(const cst_call *c) {
  work *w = c->state;
  if (!w->k) return;
  gsl_matrix_view l = gsl_matrix_view_array(w->a, w->n, w->n), x = gsl_matrix_view_array(w->x, w->n, w->k);
  gsl_blas_dtrsm(CblasLeft, CblasLower, c->q->attrs->i[0] ? CblasTrans : CblasNoTrans, CblasNonUnit, 1, &l.matrix,
                 &x.matrix);
}
static cst_status run(const cst_call *c) { return linalg_run(c, factor, apply); }

static cst_status infer(const cst_host *h, const cst_attrs *at, const cst_type *in, size_t n, cst_type *x, size_t *n_out) {
  return linalg_solve.infer(h, at, in, n, x, n_out);
}

static cst_status state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state) {
  (void)ctx, (void)rows;
  size_t n = (size_t)linalg_dim(&q->operand[0].type, 0);
  return linalg_state_new(q, n * n, 0, 0, state);
}

static cst_value solve_lower(cst_graph *g, cst_value l, cst_value b, bool transposed) {
  cst_attrs at = {.n_ints = 1, .i = {transposed}};
  return b ? cst_node2(g, "linalg.solve_lower", l, b, &at) : CST_NONE;
}

static cst_status vjp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *bar, const bool *want, cst_value *in_bar) {
  (void)n;
  bool t = at->i[0] != 0;
  cst_value b_bar = solve_lower(g, in[0], bar[0], !t);
  cst_value whole = !want[0] ? CST_NONE : t ? linalg_outer(g, in[0], out[0], b_bar) : linalg_outer(g, in[0], b_bar, out[0]);
  if (want[0]) in_bar[0] = cst_neg(g, linalg_lower(g, whole, 1));
  if (want[1]) in_bar[1] = linalg_reduce(g, b_bar, in[1]);
  return g->status;
}

static cst_status jvp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *dot, cst_value *out_dot) {
  (void)n;
  bool t = at->i[0] != 0;
  cst_value moved = dot[0] ? linalg_times(g, linalg_lower(g, dot[0], 1), out[0], t) : CST_NONE;
  *out_dot = solve_lower(g, in[0], linalg_sub(g, dot[1], moved), t);
  return g->status;
}

const cst_op linalg_solve_lower = {
    .struct_size = sizeof(cst_op), .name = "solve_lower", .n_in_min = 2, .n_in_max = 2, .flags = CST_OP_REAL, .linear = 2,
    .infer = infer, .kernel = {run, run}, .vjp = vjp, .jvp = jvp, .state_new = state_new, .state_free = linalg_state_free};
