/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One step. The error estimate h sum_i e_i k_i is filtered by (I - c J)^-1 (Hairer, Wanner II, IV.8;
 * L. F. Shampine, 1984): that of no method here fades for h lambda -> -infinity, while the step
 * itself does.
 */
#include <math.h>

#include "esdirk.h"

void esdirk_slopes(const esdirk *e, const cst_rhs *f, const esdirk_record *r, const void *f0,
                   const void *f1, const void **k) {
  k[0] = f0;
  for (int i = 1; i < e->stages - 1; i++) k[i] = esdirk_slope(e, f, r, i);
  k[e->stages - 1] = f1;
}

cst_status esdirk_check(const esdirk *e, const cst_rhs *f) {
  const cst_host *host = e->host;
  size_t width = esdirk_width(f);
  if (!f->jacobian)
    return host->fail(host, CST_EUNSUPPORTED,
                      "solver 'esdirk.%s' needs the Jacobian of the field, which this one (of gradient "
                      "'backsolve', perhaps) does not give; use gradient = \"interpolating\" or \"discrete\"",
                      e->name);
  if (f->per_row && f->rows > 1)
    return host->fail(host, CST_EUNSUPPORTED, "solver 'esdirk.%s' takes one step size for all rows",
                      e->name);
  if (f->rows * width * width * e->size > e->m.bytes || width > e->m.width || f->n_stage > e->n_stage ||
      f->n > e->n)
    return host->fail(host, CST_EINTERNAL, "a state is larger than its solver was made for");
  return CST_OK;
}

/* Where a step keeps its slopes, residuals and sums: on the tape, or in the state. */
static cst_status place(const esdirk *e, cst_step *s, esdirk_record *r) {
  const cst_rhs *f = s->rhs;
  size_t k = (size_t)(e->stages - 2) * esdirk_round(f->n_stage * e->size);
  size_t q = ESDIRK_SUMS * esdirk_round((f->n - f->n_stage) * e->size);
  size_t residuals = (size_t)(e->stages - 1) * f->residual_bytes, head = esdirk_round(sizeof *r);
  if (!s->tape) {
    *r = (esdirk_record){e->space, NULL, e->space + k};
    return CST_OK;
  }
  unsigned char *block = e->host->tape_push(s->tape, head + k + q + residuals);
  if (!block) return CST_ENOMEM;
  *r = (esdirk_record){block + head, block + head + k + q, block + head + k};
  memcpy(block, r, sizeof *r);
  s->record = block;
  return CST_OK;
}

/* Adds the tail of slope i to the sums; slope 0 begins them. */
static void add_quadrature(const esdirk *e, const cst_rhs *f, const esdirk_record *r, int i,
                           const void *k) {
  const void *tail = esdirk_tail(e, f, k);
  const double c[ESDIRK_SUMS] = {esdirk_b(e, i), e->tab->e[i]};
  for (int row = 0; row < ESDIRK_SUMS && f->n > f->n_stage; row++) {
    void *sum = esdirk_sum(e, f, r, row);
    e->host->combine(e->dtype, f->n - f->n_stage, i ? sum : NULL, 1, &c[row], &tail, sum);
  }
}

/* e->base = y + h sum_{j<i} a_ij k_j */
static void known_part(const esdirk *e, const cst_step *s, int i, const void *const *k) {
  esdirk_terms sum;
  sum.n = 0;
  for (int j = 0; j < i; j++) esdirk_add(&sum, *s->h * esdirk_a(e, i, j), k[j]);
  e->host->combine(e->dtype, s->rhs->n_stage, s->y, sum.n, sum.c, sum.k, e->base);
}

/* Slope i from its increment, and of the last stage y1. */
static void keep(const esdirk *e, const cst_step *s, const esdirk_record *r, int i) {
  const cst_rhs *f = s->rhs;
  const void *z = e->z;
  const double one = 1, per = 1 / (*s->h * e->gamma);
  bool last = i == e->stages - 1;
  void *k = last ? s->f1 : esdirk_slope(e, f, r, i);
  e->host->combine(e->dtype, f->n_stage, NULL, 1, &per, &z, k);
  if (f->n > f->n_stage) add_quadrature(e, f, r, i, e->slope);
  if (!last) return;
  e->host->combine(e->dtype, f->n_stage, e->base, 1, &one, &z, s->y1);
  memcpy(esdirk_tail(e, f, k), esdirk_tail(e, f, e->slope), (f->n - f->n_stage) * e->size);
}

static void finish(const esdirk *e, const cst_step *s, const esdirk_record *r,
                   const void *const *k) {
  const cst_rhs *f = s->rhs;
  size_t tail = f->n - f->n_stage;
  const void *q[ESDIRK_SUMS] = {esdirk_sum(e, f, r, 0), esdirk_sum(e, f, r, 1)};
  if (tail)
    e->host->combine(e->dtype, tail, esdirk_tail(e, f, s->y), 1, s->h, &q[ESDIRK_SUM_B],
                     esdirk_tail(e, f, s->y1));
  if (!s->error) return;
  esdirk_terms sum;
  sum.n = 0;
  for (int i = 0; i < e->stages; i++) esdirk_add(&sum, *s->h * e->tab->e[i], k[i]);
  e->host->combine(e->dtype, f->n_stage, NULL, sum.n, sum.c, sum.k, s->error);
  esdirk_solve(e, f, false, s->error);
  if (tail)
    e->host->combine(e->dtype, tail, NULL, 1, s->h, &q[ESDIRK_SUM_E], esdirk_tail(e, f, s->error));
}

/* The driver is shown where the field is not finite, and names it. */
static cst_status undefined(const esdirk *e, const cst_step *s) {
  const cst_rhs *f = s->rhs;
  memcpy(s->y1, e->y, f->n_stage * e->size);
  memcpy(esdirk_tail(e, f, s->y1), esdirk_tail(e, f, s->y), (f->n - f->n_stage) * e->size);
  return CST_OK;
}

static cst_status stages(esdirk *e, cst_step *s, const esdirk_record *r, const void *const *k,
                         bool *defined) {
  for (int i = 1; i < e->stages; i++) {
    void *residual =
        s->tape ? r->residual + (size_t)(i - 1) * s->rhs->residual_bytes : NULL;
    known_part(e, s, i, k);
    CST_TRY(esdirk_stage(e, s, i, k, residual, defined));
    if (!*defined) return CST_OK;
    keep(e, s, r, i);
    if (i == e->stages - 1) s->f1_residual = residual;
  }
  return CST_OK;
}

cst_status esdirk_step(void *state, cst_step *s) {
  esdirk *e = state;
  esdirk_record r;
  const void *k[ESDIRK_STAGES];
  bool defined = true;
  CST_TRY(esdirk_check(e, s->rhs));
  CST_TRY(place(e, s, &r));
  CST_TRY(esdirk_begin(e, s));
  esdirk_slopes(e, s->rhs, &r, s->f0, s->f1, k);
  add_quadrature(e, s->rhs, &r, 0, s->f0);
  CST_TRY(stages(e, s, &r, k, &defined));
  if (!defined) return undefined(e, s);
  finish(e, s, &r, k);
  e->next = *s->t1;
  return CST_OK;
}
