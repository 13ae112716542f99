/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lstsq: the x that makes |A x - b|^2 + ridge |x|^2 least, by the QR factors of [A; sqrt(ridge) I]
 * (Householder; A^T A is never formed). Without a ridge A [m, n] must be tall, m >= n, and of full
 * rank. With N = A^T A + ridge I and r = b - A x
 *
 *   tangent    dx = lstsq(A, db - dA x) + N^-1 dA^T r
 *   cotangent  u = N^-1 x_bar,   b_bar = A u,   A_bar = r u^T - A u x^T
 */
#include "linalg.h"

#include "qr.h"

static cst_status infer(const cst_host *h, const cst_attrs *at, const cst_type *in, size_t n, cst_type *x, size_t *n_out) {
  (void)n, (void)n_out;
  CST_TRY(qr_check(h, at, &in[0]));
  return linalg_infer(h, in, linalg_dim(&in[0], 0), linalg_dim(&in[0], 1), x);
}

static cst_status factor(const cst_call *c, size_t row) { return qr_factor(c, row); }

/* x = R^-1 (Q^T [b; 0])_1..n, column by column. */
static void apply(const cst_call *c) {
  work *w = c->state;
  qr q = qr_of(c);
  for (size_t j = 0; j < w->k; j++) {
    for (size_t i = 0; i < q.rows; i++) q.column[i] = i < w->m ? w->x[i * w->k + j] : 0;
    qr_project(&q);
    qr_back(&q, false);
    for (size_t i = 0; i < w->n; i++) q.result[i * w->k + j] = q.column[i];
  }
  for (size_t i = 0; i < w->n * w->k; i++) w->x[i] = q.result[i];
}
static cst_status run(const cst_call *c) { return linalg_run(c, factor, apply); }

static cst_value node(cst_graph *g, const char *op, const cst_attrs *at, cst_value a, cst_value b) {
  return a && b ? cst_node2(g, op, a, b, at) : CST_NONE;
}

static cst_status vjp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *bar, const bool *want, cst_value *in_bar) {
  (void)n;
  cst_value u = node(g, "linalg.normal_solve", at, in[0], bar[0]), au = linalg_times(g, in[0], u, false);
  if (want[0]) {
    cst_value r = cst_sub(g, in[1], linalg_times(g, in[0], out[0], false));
    in_bar[0] = linalg_sub(g, linalg_outer(g, in[0], r, u), linalg_outer(g, in[0], au, out[0]));
  }
  if (want[1]) in_bar[1] = linalg_reduce(g, au, in[1]);
  return g->status;
}

static cst_status jvp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *dot, cst_value *out_dot) {
  (void)n;
  cst_value moved = linalg_times(g, dot[0], out[0], false);
  cst_value dx = node(g, "linalg.lstsq", at, in[0], linalg_sub(g, dot[1], moved));
  if (dot[0]) {
    cst_value r = cst_sub(g, in[1], linalg_times(g, in[0], out[0], false));
    dx = linalg_add(g, dx, node(g, "linalg.normal_solve", at, in[0], linalg_times(g, dot[0], r, true)));
  }
  *out_dot = dx;
  return g->status;
}

const cst_op linalg_lstsq = {
    .struct_size = sizeof(cst_op), .name = "lstsq", .n_in_min = 2, .n_in_max = 2, .flags = CST_OP_REAL, .linear = 2,
    .infer = infer, .kernel = {run, run}, .vjp = vjp, .jvp = jvp, .state_new = qr_state_new,
    .state_free = linalg_state_free};
