/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * solve: x = A^-1 b, or A^-T b with the attribute `transposed`. A second attribute says that A is the Jacobian of an
 * implicit function, which a script has not written down: messages then tell so. From dA x + A dx = db
 *
 *   tangent    dx = A^-1 (db - dA x)
 *   cotangent  b_bar = A^-T x_bar,   A_bar = -b_bar x^T     (transposed: A_bar = -x b_bar^T)
 */
#include "linalg.h"

static cst_status infer(const cst_host *h, const cst_attrs *at, const cst_type *in, size_t n, cst_type *x, size_t *n_out) {
  (void)at, (void)n, (void)n_out;
  char text[64];
  if (linalg_rank(&in[0]) != 2 || linalg_dim(&in[0], 0) != linalg_dim(&in[0], 1) || linalg_dim(&in[0], 0) == 0)
    return h->fail(h, CST_ESHAPE, "a system needs a square matrix [n, n] or a batch of them (cs.rows), got %s",
                   linalg_format(&in[0], text, sizeof text));
  return linalg_infer(h, in, linalg_dim(&in[0], 0), linalg_dim(&in[0], 0), x);
}

static cst_status state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state) {
  (void)ctx, (void)rows;
  size_t n = (size_t)linalg_dim(&q->operand[0].type, 0);
  return linalg_state_new(q, n * n, 0, n, state);
}

static void transpose(double *a, size_t n) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < i; j++) {
      double t = a[i * n + j];
      a[i * n + j] = a[j * n + i], a[j * n + i] = t;
    }
}

static bool of_implicit(const cst_attrs *at) { return at->n_ints > 1 && at->i[1]; }

static cst_status factor(const cst_call *c, size_t row) {
  work *w = c->state;
  linalg_load(c, 0, row, w->a);
  if (c->q->attrs->i[0]) transpose(w->a, w->n);
  linalg_lu(w->a, w->n, w->pivot);
  size_t j = linalg_lu_fault(w->a, w->n);
  if (j == w->n) return CST_OK;
  double pivot = w->a[j * w->n + j];
  if (!of_implicit(c->q->attrs)) return linalg_singular(c, "linalg.solve", LINALG_TRY, row, j, w->n, pivot);
  return linalg_singular(c, "implicit, Jacobian of the constraint",
                         "Its equations do not determine every unknown there: look at the constraint, or start elsewhere", row,
                         j, w->n, pivot);
}
static void apply(const cst_call *c) {
  work *w = c->state;
  if (w->k) linalg_lu_solve(w->a, w->n, w->pivot, w->x, w->k);
}
static cst_status run(const cst_call *c) { return linalg_run(c, factor, apply); }

static cst_value solve(cst_graph *g, const cst_attrs *like, cst_value a, cst_value b, bool transposed) {
  cst_attrs at = *like;
  at.i[0] = transposed;
  return b ? cst_node2(g, "linalg.solve", a, b, &at) : CST_NONE;
}

static cst_status vjp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *bar, const bool *want, cst_value *in_bar) {
  (void)n;
  bool t = at->i[0] != 0;
  cst_value b_bar = solve(g, at, in[0], bar[0], !t);
  if (want[0]) in_bar[0] = cst_neg(g, t ? linalg_outer(g, in[0], out[0], b_bar) : linalg_outer(g, in[0], b_bar, out[0]));
  if (want[1]) in_bar[1] = linalg_reduce(g, b_bar, in[1]);
  return g->status;
}

static cst_status jvp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *dot, cst_value *out_dot) {
  (void)n;
  bool t = at->i[0] != 0;
  cst_value moved = dot[0] ? linalg_times(g, dot[0], out[0], t) : CST_NONE;
  *out_dot = solve(g, at, in[0], linalg_sub(g, dot[1], moved), t);
  return g->status;
}

const cst_op linalg_solve = {
    .struct_size = sizeof(cst_op), .name = "solve", .n_in_min = 2, .n_in_max = 2, .flags = CST_OP_REAL, .linear = 2,
    .infer = infer, .kernel = {run, run}, .vjp = vjp, .jvp = jvp, .state_new = state_new, .state_free = linalg_state_free};
