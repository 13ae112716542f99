/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * normal_solve: w = N^-1 b, N = A^T A + ridge I = R^T R, by the factor R of QR: what the derivatives of
 * lstsq are made of.
 *
 *   tangent    dw = N^-1 (db - dA^T A w - A^T dA w)
 *   cotangent  u = b_bar = N^-1 w_bar,   A_bar = -(A u) w^T - (A w) u^T
 */
#include "linalg.h"

#include "qr.h"

static cst_status infer(const cst_host *h, const cst_attrs *at, const cst_type *in, size_t n, cst_type *x, size_t *n_out) {
  (void)n, (void)n_out;
  CST_TRY(qr_check(h, at, &in[0]));
  return linalg_infer(h, in, linalg_dim(&in[0], 1), linalg_dim(&in[0], 1), x);
}

static cst_status factor(const cst_call *c, size_t row) { return qr_factor(c, row); }

static void apply(const cst_call *c) {
  work *w = c->state;
  qr q = qr_of(c);
  for (size_t j = 0; j < w->k; j++) {
    for (size_t i = 0; i < w->n; i++) q.column[i] = w->x[i * w->k + j];
    qr_back(&q, true);
    qr_back(&q, false);
    for (size_t i = 0; i < w->n; i++) w->x[i * w->k + j] = q.column[i];
  }
}
static cst_status run(const cst_call *c) { return linalg_run(c, factor, apply); }

static cst_value normal(cst_graph *g, const cst_attrs *at, cst_value a, cst_value b) {
  return b ? cst_node2(g, "linalg.normal_solve", a, b, at) : CST_NONE;
}

static cst_status vjp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *bar, const bool *want, cst_value *in_bar) {
  (void)n;
  cst_value u = normal(g, at, in[0], bar[0]);
  if (want[0]) {
    cst_value au = linalg_times(g, in[0], u, false), aw = linalg_times(g, in[0], out[0], false);
    in_bar[0] = cst_neg(g, cst_add(g, linalg_outer(g, in[0], au, out[0]), linalg_outer(g, in[0], aw, u)));
  }
  if (want[1]) in_bar[1] = linalg_reduce(g, u, in[1]);
  return g->status;
}

static cst_status jvp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *dot, cst_value *out_dot) {
  (void)n;
  cst_value b = dot[1];
  if (dot[0]) {
    cst_value first = linalg_times(g, dot[0], linalg_times(g, in[0], out[0], false), true);
    cst_value second = linalg_times(g, in[0], linalg_times(g, dot[0], out[0], false), true);
    b = linalg_sub(g, b, cst_add(g, first, second));
  }
  *out_dot = normal(g, at, in[0], b);
  return g->status;
}

const cst_op linalg_normal_solve = {
    .struct_size = sizeof(cst_op), .name = "normal_solve", .n_in_min = 2, .n_in_max = 2, .flags = CST_OP_REAL, .linear = 2,
    .infer = infer, .kernel = {run, run}, .vjp = vjp, .jvp = jvp, .state_new = qr_state_new,
    .state_free = linalg_state_free};
