/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Asynchronous leapfrog (U. Mutze, 2013; J. Zhuang et al., MALI, ICLR 2021). Beside y goes a velocity v, at
 * first f(t, y); it is what the driver carries as f1, and close enough to f(t1, y1) for cubic interpolation
 * of order 2. With damping d:
 *
 *     k = y + h/2 v,    u = f(t + h/2, k),    v1 = v + 2 d (u - v),    y1 = k + h/2 v1
 *
 * of order 2 with d = 1. Below that v lags behind f by an amount of order h and the order is 1. Undone:
 *
 *     k = y1 - h/2 v1,    u = f(t + h/2, k),    v = (v1 - 2 d u)/(1 - 2 d),    y = k - h/2 v.
 *
 * y1 = y + h v + d h (u - v): the estimate is d h (u - v), of Euler's method with v inside.
 */
#include "reversible.h"

enum { K, U, V_BAR, VECTORS };

static cst_status step(void *state, cst_step *s) {
  const rev *r = state;
  cst_rhs *f = s->rhs;
  const double half = *s->h / 2, d = r->factor, turn[2] = {1 - 2 * d, 2 * d}, error[2] = {2 * d * half, -2 * d * half};
  unsigned char *k = rev_vector(r, K), *u = rev_vector(r, U);
  const void *v = s->f0, *v1 = s->f1;
  if (s->tape && !(s->record = r->host->tape_push(s->tape, f->residual_bytes))) return CST_ENOMEM;
  r->combine(f->n, s->y, 1, &half, &v, k);
  CST_TRY(rev_evaluate(f, *s->t + half, k, u, s->tape ? s->record : NULL));
  r->combine(f->n, NULL, 2, turn, (const void *[]){v, u}, s->f1);
  r->combine(f->n, k, 1, &half, &v1, s->y1);
  rev_estimate(r, s, 2, error, (const void *[]){u, v});
  return CST_OK;
}

static cst_status reverse(void *state, cst_step *s) {
  const rev *r = state;
  cst_rhs *f = s->rhs;
  const double back = -*s->h / 2, d = r->factor, turn[2] = {1 / (1 - 2 * d), -2 * d / (1 - 2 * d)};
  unsigned char *k = rev_vector(r, K), *u = rev_vector(r, U);
  const void *v = s->f1, *v1 = s->f0;
  r->combine(f->n, s->y, 1, &back, &v1, k);
  CST_TRY(rev_evaluate(f, *s->t - back, k, u, NULL));
  r->combine(f->n, NULL, 2, turn, (const void *[]){v1, u}, s->f1);
  r->combine(f->n, k, 1, &back, &v, s->y1);
  return CST_OK;
}

/* From the last line of the step to the first. */
static cst_status vjp(void *state, cst_step_vjp *v) {
  const rev *r = state;
  cst_rhs *f = v->rhs;
  const double half = v->h / 2, d = r->factor, twice = 2 * d, through[2] = {1 - 2 * d, half};
  unsigned char *k_bar = rev_vector(r, K), *u_bar = rev_vector(r, U), *v1_bar = rev_vector(r, V_BAR);
  const void *one = v->y1_bar, *both[2] = {v1_bar, k_bar};
  r->combine(f->n, v->f1_bar, 1, &half, &one, v1_bar);
  r->combine(f->n, NULL, 1, &twice, both, u_bar);
  memcpy(k_bar, v->y1_bar, f->n * r->size);
  CST_TRY(rev_pull(v, v->t + half, 0.5, v->record, u_bar, k_bar));
  rev_add(r, f->n, 1, k_bar, v->y_bar);
  r->combine(f->n, v->f0_bar, 2, through, both, v->f0_bar);
  if (v->h_bar)
    *v->h_bar += (r->host->dot(r->dtype, f->n, v->f0, k_bar) + r->host->dot(r->dtype, f->n, v->f1, v->y1_bar)) / 2;
  return CST_OK;
}

static cst_status create(const cst_solver_config *c, void **state) {
  rev *r;
  CST_TRY(rev_new(c, VECTORS, "damping", 0.5, &r));
  *state = r;
  return CST_OK;
}

const cst_solver_type rev_alf = {
  .struct_size = sizeof rev_alf,
  .name = "alf",
  .help = "asynchronous leapfrog (MALI): order 2(1), one evaluation a step; for fields that hardly damp",
  .options = CST_OPTIONS({"damping", CST_NUMBER, .number = 1, .range = {0.5, 1},
                          .help = "above 0.5; below 1 the order is 1, and the way back magnifies rounding by "
                                  "1/(2 damping - 1) a step"}),
  .order = 2, .error_order = 1, .dense_order = 2,
  .traits = CST_ADAPTIVE | CST_FSAL | CST_REVERSIBLE,
  .create = create, .destroy = rev_destroy, .step = step, .vjp = vjp, .reverse = reverse,
};
