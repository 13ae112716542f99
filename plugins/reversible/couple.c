/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Steps of the coupled pair, there and back, and values inside them.
 */
#include "couple.h"

#include <math.h>

/* Vectors of a state: the argument of a stage, then the slopes of a step without a tape. */
cst_status couple_create(const cst_solver_config *c, void **state) {
  const rev_method *m = c->type->method;
  rev *r;
  CST_TRY(rev_new(c, 2 * (size_t)m->stages, "coupling", 0, &r));
  r->method = m;
  *state = r;
  return CST_OK;
}

static cst_status place(const rev *r, cst_step *s, couple_record *rec) {
  size_t count = 2 * (size_t)r->method->stages, k = (count - 1) * r->stride, head = 64;
  *rec = (couple_record){rev_vector(r, 1), NULL};
  if (!s->tape) return CST_OK;
  unsigned char *block = r->host->tape_push(s->tape, head + k + count * s->rhs->residual_bytes);
  if (!block) return CST_ENOMEM;
  *rec = (couple_record){block + head, block + head + k};
  memcpy(block, rec, sizeof *rec);
  s->record = block;
  return CST_OK;
}

/* y + c sum b_i k_i */
static void advance(const rev *r, const cst_rhs *f, const void *y, double c, const void *const *k, void *out) {
  double w[REV_STAGES];
  for (int i = 0; i < r->method->stages; i++) w[i] = c * r->method->b[i];
  r->combine(f->n, y, (size_t)r->method->stages, w, k, out);
}

/* The slopes of one increment from x, from stage `first` on. */
static cst_status increment(const rev *r, const cst_step *s, int side, int first, const void *x, const void **k,
                            unsigned char *residual) {
  const rev_method *m = r->method;
  cst_rhs *f = s->rhs;
  double h = side == FORTH ? *s->h : -*s->h, c[REV_STAGES];
  for (int i = first; i < m->stages; i++) {
    void *y = rev_vector(r, 0), *slope = (void *)(uintptr_t)k[i];
    for (int j = 0; j < i; j++) c[j] = h * couple_row(m, i)[j];
    if (i) r->combine(f->n_stage, x, (size_t)i, c, k, y);
    CST_TRY(rev_evaluate(f, couple_time(m, side, i, *s->t, *s->h, *s->t1), i ? y : x, slope,
                         residual ? residual + (size_t)i * f->residual_bytes : NULL));
  }
  return CST_OK;
}

/* z1 is neither in y1 nor in the estimate: where it is not finite the step is not either. */
static cst_status look_at(const rev *r, const cst_step *s, const void *z1) {
  if (isfinite(r->host->dot(r->dtype, s->rhs->n, z1, z1))) return CST_OK;
  if (!s->error_sum)
    return r->host->fail(r->host, CST_ENONFINITE, "the field is not finite on the way back from t = %.9g", *s->t1);
  *s->error_sum = HUGE_VAL;
  return CST_OK;
}

cst_status couple_step(void *state, cst_step *s) {
  rev *r = state;
  const rev_method *m = r->method;
  cst_rhs *f = s->rhs;
  const double l = r->factor, mix[2] = {l, 1 - l};
  const void *z = rev_part(r, f, s->f0, 1), *k[2 * REV_STAGES];
  unsigned char *z1 = rev_part(r, f, s->f1, 1);
  couple_record rec;
  double error[REV_STAGES];
  size_t half = (size_t)m->stages * f->residual_bytes;
  r->pending = false; /* of a pullback that failed */
  CST_TRY(place(r, s, &rec));
  couple_slopes(r, rec.k, s->f1, k);
  r->last = rec.k;
  CST_TRY(increment(r, s, FORTH, 0, z, k, rec.residual));
  r->combine(f->n, NULL, 2, mix, (const void *[]){s->y, z}, s->y1);
  advance(r, f, s->y1, *s->h, k, s->y1);
  CST_TRY(increment(r, s, BACK, 0, s->y1, k + m->stages, rec.residual ? rec.residual + half : NULL));
  if (rec.residual) s->f1_residual = rec.residual + half;
  advance(r, f, z, *s->h, k + m->stages, z1);
  for (int i = 0; m->e && i <= m->stages; i++) error[i] = *s->h * m->e[i];
  if (m->e) rev_estimate(r, s, (size_t)m->stages + 1, error, k);
  return look_at(r, s, z1);
}

cst_status couple_reverse(void *state, cst_step *s) {
  const rev *r = state;
  const rev_method *m = r->method;
  cst_rhs *f = s->rhs;
  const double l = r->factor, mix[2] = {1 / l, -(1 - l) / l};
  const void *y1 = s->y, *k[2 * REV_STAGES];
  unsigned char *z = rev_part(r, f, s->f1, 1);
  couple_slopes(r, rev_vector(r, 1), s->f0, k);
  CST_TRY(increment(r, s, BACK, 1, y1, k + m->stages, NULL));
  advance(r, f, rev_part(r, f, s->f0, 1), -*s->h, k + m->stages, z);
  CST_TRY(increment(r, s, FORTH, 0, z, k, NULL));
  r->combine(f->n, NULL, 2, mix, (const void *[]){y1, z}, s->y1);
  advance(r, f, s->y1, -*s->h / l, k, s->y1);
  return rev_evaluate(f, *s->t, s->y1, s->f1, NULL);
}

/* ---- values inside a step: y + x (1 - l)(z - y) + h sum w_i(x) k_i, which is y1 at x = 1 --------------- */

void couple_weights(const rev_method *m, double x, double *w, double *derivative) {
  for (int i = 0; i <= m->stages; i++) {
    double power = 1;
    w[i] = derivative[i] = 0;
    for (int j = 0; j < m->degree; j++, power *= x) {
      w[i] += m->p[i * m->degree + j] * power * x;
      derivative[i] += (j + 1) * m->p[i * m->degree + j] * power;
    }
  }
}

/* y + c (z - y) + h sum w_i k_i; y NULL: without the first term. */
static void sum_up(const rev *r, const cst_step *s, const void *y, double c, const double *w, void *out) {
  const couple_record *rec = s->record;
  const void *k[2 * REV_STAGES];
  double h[REV_STAGES];
  couple_slopes(r, rec ? rec->k : r->last, s->f1, k);
  for (int i = 0; i <= r->method->stages; i++) h[i] = *s->h * w[i];
  r->combine(s->rhs->n, y, (size_t)r->method->stages + 1, h, k, out);
  if (c != 0)
    r->combine(s->rhs->n, out, 2, (const double[]){c, -c}, (const void *[]){rev_part(r, s->rhs, s->f0, 1), s->y}, out);
}

cst_status couple_dense(void *state, const cst_step *s, double x, void *y, void *slope) {
  const rev *r = state;
  double w[REV_STAGES], derivative[REV_STAGES];
  couple_weights(r->method, x, w, derivative);
  sum_up(r, s, s->y, x * (1 - r->factor), w, y);
  if (slope) sum_up(r, s, NULL, 1 - r->factor, derivative, slope);
  return CST_OK;
}
