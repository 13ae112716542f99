/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The transpose of a step, by the implicit function theorem. With v = y1_bar, w_l the cotangent of
 * Y_l and, for the last stage, the f1_bar given,
 *
 *     K_i = h (b_i v + sum_{l>i} a_li w_l) [+ f1_bar]     cotangent of k_i = f(t_i, Y_i), where
 *     Y_i = y + h sum_{j<i} a_ij k_j + c k_i              gives k_i another c w_i:
 *     kappa_i = K_i + c w_i,   w_i = kappa_i^T df/dy   =>   (I - c J_i^T) kappa_i = K_i
 *
 * with J_i at Y_i and c = h gamma. Then y_bar += v + sum_i w_i, f0_bar += K_0, t_bar += tau_i and
 * h_bar += c_i tau_i with tau_i = kappa_i^T df/dt. Slopes enter stages and y1 with the factor h,
 * therefore h_bar += (1/h) sum_i k_i . (kappa_i [- f1_bar]).
 *
 * The tail of K_i, of the quadrature parts, meets no equation, but they read the stage: first its
 * pullback g goes into w_i, and c g beside K_i to the right-hand side.
 */
#include <math.h>

#include "esdirk.h"

static cst_status prepare(esdirk *e) {
  size_t stage = esdirk_round(e->n_stage * e->size), all = esdirk_round((e->n + 1) * e->size);
  if (e->w) return CST_OK;
  e->w = e->host->alloc(e->host, (size_t)e->stages * stage + 3 * all);
  if (!e->w) return CST_ENOMEM;
  e->y_bar = e->w + (size_t)e->stages * stage;
  e->k_bar = e->y_bar + all, e->lambda = e->k_bar + all;
  return CST_OK;
}

static unsigned char *w_of(const esdirk *e, const cst_rhs *f, int i) {
  return e->w + (size_t)i * esdirk_round(f->n_stage * e->size);
}

/* x += c y over n scalars */
static void add(const esdirk *e, size_t n, double c, const void *y, void *x) {
  e->host->combine(e->dtype, n, x, 1, &c, &y, x);
}

/* K_i without f1_bar into k_bar. */
static void slope_bar(const esdirk *e, const cst_step_vjp *v, int i) {
  const cst_rhs *f = v->rhs;
  const void *tail = esdirk_tail(e, f, e->y_bar);
  double b = v->h * esdirk_b(e, i);
  esdirk_terms sum;
  sum.n = 0;
  esdirk_add(&sum, b, e->y_bar);
  for (int l = i + 1; l < e->stages; l++)
    esdirk_add(&sum, v->h * esdirk_a(e, l, i), w_of(e, f, l));
  e->host->combine(e->dtype, f->n_stage, NULL, sum.n, sum.c, sum.k, e->k_bar);
  e->host->combine(e->dtype, f->n - f->n_stage, NULL, 1, &b, &tail, esdirk_tail(e, f, e->k_bar));
}

/* I - c J at stage i. */
static cst_status matrix(esdirk *e, const cst_step_vjp *v, int i, double t, const void *const *k) {
  cst_rhs *f = v->rhs;
  const void *y = v->y1;
  if (i < e->stages - 1) {
    esdirk_terms sum;
    sum.n = 0;
    for (int j = 0; j <= i; j++) esdirk_add(&sum, v->h * esdirk_a(e, i, j), k[j]);
    e->host->combine(e->dtype, f->n_stage, v->y, sum.n, sum.c, sum.k, e->y);
    y = e->y;
  }
  e->m.valid = false; /* for the next step */
  CST_TRY(f->jacobian(f, &t, y, e->m.jac, NULL));
  if (esdirk_factor(e, f, v->h * e->gamma)) return CST_OK;
  return e->host->fail(e->host, CST_ENONFINITE,
                       "solver 'esdirk.%s': the matrix of a stage at t = %.9g is singular, so the step "
                       "has no derivative", e->name, t);
}

/* Through f at stage i: lambda^T df/dy is added to w_i. */
static cst_status pull(const esdirk *e, cst_step_vjp *v, int i, double t, const void *lambda) {
  const esdirk_record *r = v->record;
  cst_rhs *f = v->rhs;
  double t_bar = 0;
  CST_TRY(f->pullback(f, &t, r->residual + (size_t)(i - 1) * f->residual_bytes, lambda, w_of(e, f, i),
                      v->t_bar || v->h_bar ? &t_bar : NULL));
  if (v->t_bar) *v->t_bar += t_bar;
  if (v->h_bar) *v->h_bar += e->c[i] * t_bar;
  return CST_OK;
}

/* The tail of K_i alone; then K_i += c g and no tail is left. */
static cst_status pull_tail(const esdirk *e, cst_step_vjp *v, int i, double t) {
  const cst_rhs *f = v->rhs;
  size_t tail = (f->n - f->n_stage) * e->size;
  memset(e->lambda, 0, f->n_stage * e->size);
  memcpy(esdirk_tail(e, f, e->lambda), esdirk_tail(e, f, e->k_bar), tail);
  memset(esdirk_tail(e, f, e->k_bar), 0, tail);
  CST_TRY(pull(e, v, i, t, e->lambda));
  add(e, f->n_stage, v->h * e->gamma, w_of(e, f, i), e->k_bar);
  return CST_OK;
}

/* From K_i in k_bar to w_i. */
static cst_status through(esdirk *e, cst_step_vjp *v, int i, const void *const *k) {
  cst_rhs *f = v->rhs;
  double t = esdirk_time(e, i, v->t, v->h, v->t1);
  bool last = i == e->stages - 1;
  if (last && v->f1_bar) add(e, f->n, 1, v->f1_bar, e->k_bar);
  memset(w_of(e, f, i), 0, f->n_stage * e->size);
  CST_TRY(matrix(e, v, i, t, k));
  if (f->n > f->n_stage && (esdirk_b(e, i) != 0 || last)) CST_TRY(pull_tail(e, v, i, t));
  esdirk_solve(e, f, true, e->k_bar);
  CST_TRY(pull(e, v, i, t, e->k_bar));
  if (v->h_bar) *v->h_bar += e->gamma * e->host->dot(e->dtype, f->n_stage, k[i], w_of(e, f, i));
  return CST_OK;
}

static void add_to_y_bar(const esdirk *e, const cst_step_vjp *v) {
  const cst_rhs *f = v->rhs;
  esdirk_terms sum;
  sum.n = 0;
  esdirk_add(&sum, 1, e->y_bar);
  for (int i = 1; i < e->stages; i++) esdirk_add(&sum, 1, w_of(e, f, i));
  e->host->combine(e->dtype, f->n_stage, v->y_bar, sum.n, sum.c, sum.k, v->y_bar);
  add(e, f->n - f->n_stage, 1, esdirk_tail(e, f, e->y_bar), esdirk_tail(e, f, v->y_bar));
}

cst_status esdirk_vjp(void *state, cst_step_vjp *v) {
  esdirk *e = state;
  cst_rhs *f = v->rhs;
  const esdirk_record *r = v->record;
  const void *k[ESDIRK_STAGES];
  double along = 0; /* sum of k_i . K_i without f1_bar */
  CST_TRY(esdirk_check(e, f));
  CST_TRY(prepare(e));
  esdirk_slopes(e, f, r, v->f0, v->f1, k);
  memcpy(e->y_bar, v->y1_bar, f->n * e->size);
  for (int i = e->stages - 1; i >= 0; i--) {
    slope_bar(e, v, i);
    if (v->h_bar) along += e->host->dot(e->dtype, f->n_stage, k[i], e->k_bar);
    if (i) CST_TRY(through(e, v, i, k));
    else add(e, f->n, 1, e->k_bar, v->f0_bar);
  }
  add_to_y_bar(e, v);
  if (v->h_bar) *v->h_bar += along / v->h;
  if (v->h_bar && f->n > f->n_stage)
    *v->h_bar += e->host->dot(e->dtype, f->n - f->n_stage, esdirk_sum(e, f, r, ESDIRK_SUM_B),
                              esdirk_tail(e, f, e->y_bar));
  return CST_OK;
}
