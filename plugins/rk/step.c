/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One step, and values inside it.
 */
#include <math.h>

#include "rk.h"

void rk_slopes(const rk *r, const cst_rhs *f, const rk_record *rec, int n, const void *f0,
               const void *f1, const void **k) {
  k[0] = f0;
  for (int i = 1; i < n; i++) k[i] = rk_slope(r, f, rec, i);
  if (r->fsal) k[r->stages - 1] = f1;
}

/* Where a step keeps its slopes, residuals and sums: on the tape, or in the state. A slope is
 * written with the quadrature parts behind it; that tail lies where the next slope will, and is
 * summed before. */
static cst_status place(rk *r, cst_step *s, rk_record *rec) {
  const cst_rhs *f = s->rhs;
  size_t stages = (size_t)rk_count(r, s->dense_wanted), tail = (f->n - f->n_stage) * r->size;
  size_t own = stages - 1 - r->fsal;
  size_t k = own ? (own - 1) * rk_round(f->n_stage * r->size) + rk_round(f->n * r->size) : 0;
  size_t q = rk_round(tail) * (size_t)(RK_SUM_P + (s->dense_wanted ? r->degree : 0));
  if (!s->tape) {
    *rec = (rk_record){r->space, NULL, r->space + k};
    return CST_OK;
  }
  size_t residuals = (stages - 1) * f->residual_bytes, head = rk_round(sizeof *rec);
  unsigned char *block = r->host->tape_push(s->tape, head + k + q + residuals);
  if (!block) return CST_ENOMEM;
  *rec = (rk_record){block + head, block + head + k + q, block + head + k};
  memcpy(block, rec, sizeof *rec);
  s->record = block;
  return CST_OK;
}

static bool estimates(const rk *r, const cst_step *s) {
  return r->tab->e && (s->error || s->error_sum);
}

/* Whether the error of a quadrature part is asked for: controlled spans are in order. */
static bool estimates_tail(const rk *r, const cst_step *s) {
  if (!estimates(r, s)) return false;
  if (s->error) return true;
  const cst_span *last = s->n_controlled ? &s->controlled[s->n_controlled - 1] : NULL;
  return last && last->first + last->n > s->rhs->n_stage;
}

/* Adds c times the tail of slope i to a sum; slope 0 begins it. */
static void add_tail(const rk *r, const cst_rhs *f, int i, double c, const void *tail, void *sum) {
  if (i == 0 || c != 0)
    r->host->combine(r->dtype, f->n - f->n_stage, i ? sum : NULL, 1, &c, &tail, sum);
}

static void add_quadrature(const rk *r, const cst_step *s, const rk_record *rec, int i,
                           const void *k) {
  const cst_rhs *f = s->rhs;
  const cst_tableau *tab = r->tab;
  const void *tail = rk_tail(r, f, k);
  if (i < r->stages) add_tail(r, f, i, tab->b[i], tail, rk_sum(r, f, rec, RK_SUM_B));
  if (i < r->stages && estimates_tail(r, s)) {
    add_tail(r, f, i, tab->e[i], tail, rk_sum(r, f, rec, RK_SUM_E));
    if (r->e_low) add_tail(r, f, i, r->e_low[i], tail, rk_sum(r, f, rec, RK_SUM_LOW));
  }
  if (s->dense_wanted)
    for (int j = 0; j < r->degree; j++)
      add_tail(r, f, i, r->p[i * r->degree + j], tail, rk_sum(r, f, rec, RK_SUM_P + j));
}

/* c = h w: what `combine` and `error_sum` multiply n slopes with; they skip zeros. */
static inline void scaled(int n, double h, const double *w, double *c) {
  for (int j = 0; j < n; j++) c[j] = h * w[j];
}

/* k_i = f(t + c_i h, y + sum c_j k_j), c = h times row i of a. */
static cst_status stage(rk *r, cst_step *s, const rk_record *rec, const void **k, int i, const double *c) {
  cst_rhs *f = s->rhs;
  bool last = r->fsal && i == r->stages - 1;
  double t = rk_time(r, i, *s->t, *s->h, *s->t1);
  void *slope = last ? s->f1 : rk_slope(r, f, rec, i), *y = last ? s->y1 : r->y;
  r->combine(f->n_stage, s->y, (size_t)i, c, k, y);
  if (s->tape) {
    void *residual = rec->residual + (size_t)(i - 1) * f->residual_bytes;
    if (last) s->f1_residual = residual;
    CST_TRY(f->eval_keep(f, &t, y, slope, residual));
  } else {
    CST_TRY(f->eval(f, &t, y, slope));
  }
  if (f->n > f->n_stage) add_quadrature(r, s, rec, i, slope);
  return CST_OK;
}

/* The driver looks at y1 and the error. A slope that is in neither is looked at here: when it is not
 * finite, neither is the error. */
static bool finite_slope(const rk *r, const cst_step *s, const void *k) {
  return isfinite(r->host->dot(r->dtype, s->rhs->n, k, k));
}

/* The stages of the dense output, after the estimate. */
static cst_status dense_stages(rk *r, cst_step *s, const rk_record *rec, const void **k) {
  for (int i = r->stages; i < rk_count(r, s->dense_wanted); i++) {
    double c[RK_STAGES];
    scaled(i, *s->h, rk_row(r, i), c);
    CST_TRY(stage(r, s, rec, k, i, c));
    if (finite_slope(r, s, k[i])) continue;
    if (!s->error_sum)
      return r->host->fail(r->host, CST_ENONFINITE,
                           "the field is not finite at t = %.9g, where an output inside the step needs it",
                           rk_time(r, i, *s->t, *s->h, *s->t1));
    *s->error_sum = HUGE_VAL;
    break;
  }
  return CST_OK;
}

static void finish(const rk *r, const cst_step *s, const rk_record *rec, const void *const *k) {
  const cst_rhs *f = s->rhs;
  if (!r->fsal) {
    double c[RK_STAGES];
    scaled(r->stages, *s->h, r->tab->b, c);
    r->combine(f->n_stage, s->y, (size_t)r->stages, c, k, s->y1);
  }
  if (f->n == f->n_stage) return;
  const void *q = rk_sum(r, f, rec, RK_SUM_B);
  r->host->combine(r->dtype, f->n - f->n_stage, rk_tail(r, f, s->y), 1, s->h, &q,
                   (unsigned char *)s->y1 + f->n_stage * r->size);
}

/* The sum over one controlled span of h sum w_i k_i, c = h w; of the tail, whose w_i k_i are summed in q. */
static double span_sum(const rk *r, const cst_step *s, cst_span span, const double *c, const void *const *k,
                       const void *q) {
  size_t at = span.first * r->size;
  const char *y0 = (const char *)s->y + at, *y1 = (const char *)s->y1 + at;
  const void *moved[RK_STAGES];
  if (span.first >= s->rhs->n_stage) {
    moved[0] = (const char *)q + (span.first - s->rhs->n_stage) * r->size;
    return r->error_sum(span.n, 1, s->h, moved, y0, y1, s->rtol, s->atol);
  }
  if (at == 0) return r->error_sum(span.n, (size_t)r->stages, c, k, y0, y1, s->rtol, s->atol);
  for (int i = 0; i < r->stages; i++) moved[i] = (const char *)k[i] + at;
  return r->error_sum(span.n, (size_t)r->stages, c, moved, y0, y1, s->rtol, s->atol);
}

/* The sum over all controlled spans for one of the two estimates, whose tail is summed in `row`. */
static double controlled_sum(const rk *r, const cst_step *s, const rk_record *rec,
                             const void *const *k, const double *w, int row) {
  const void *q = rk_sum(r, s->rhs, rec, row);
  double sum = 0, c[RK_STAGES];
  scaled(r->stages, *s->h, w, c);
  for (size_t i = 0; i < s->n_controlled; i++) sum += span_sum(r, s, s->controlled[i], c, k, q);
  return sum;
}

/* With a second estimate the error is e times |e| / sqrt(|e|^2 + |e_low|^2 / 100): the square of
 * that factor. */
static double shrinkage(const rk *r, const cst_step *s, const rk_record *rec,
                        const void *const *k, double sum) {
  if (!r->e_low || sum == 0) return 1;
  return sum / (sum + 0.01 * controlled_sum(r, s, rec, k, r->e_low, RK_SUM_LOW));
}

static void error_vector(const rk *r, const cst_step *s, const rk_record *rec,
                         const void *const *k, double factor) {
  const cst_rhs *f = s->rhs;
  const void *q = rk_sum(r, f, rec, RK_SUM_E);
  const double scale = *s->h * factor;
  double c[RK_STAGES];
  scaled(r->stages, scale, r->tab->e, c);
  r->combine(f->n_stage, NULL, (size_t)r->stages, c, k, s->error);
  if (f->n > f->n_stage)
    r->combine(f->n - f->n_stage, NULL, 1, &scale, &q, (unsigned char *)s->error + f->n_stage * r->size);
}

static void estimate(const rk *r, const cst_step *s, const rk_record *rec, const void *const *k) {
  bool unseen = r->fsal && r->tab->e[r->stages - 1] == 0;
  double sum = 0, factor = 1;
  if (s->error_sum || r->e_low) {
    sum = controlled_sum(r, s, rec, k, r->tab->e, RK_SUM_E);
    factor = shrinkage(r, s, rec, k, sum);
  }
  if (s->error_sum) *s->error_sum = unseen && !finite_slope(r, s, s->f1) ? HUGE_VAL : sum * factor;
  else error_vector(r, s, rec, k, sqrt(factor));
}

cst_status rk_step(void *state, cst_step *s) {
  rk *r = state;
  rk_record rec;
  const void *k[RK_STAGES];
  double c[RK_STAGES * (RK_STAGES - 1) / 2]; /* h a: its rows one after the other */
  r->pending = false; /* of a pullback that failed */
  CST_TRY(place(r, s, &rec));
  scaled(r->stages * (r->stages - 1) / 2, *s->h, r->tab->a, c);
  rk_slopes(r, s->rhs, &rec, rk_count(r, s->dense_wanted), s->f0, s->f1, k);
  if (s->rhs->n > s->rhs->n_stage) add_quadrature(r, s, &rec, 0, k[0]);
  for (int i = 1; i < r->stages; i++) CST_TRY(stage(r, s, &rec, k, i, c + i * (i - 1) / 2));
  finish(r, s, &rec, k);
  if (estimates(r, s)) estimate(r, s, &rec, k);
  CST_TRY(dense_stages(r, s, &rec, k));
  r->last = rec;
  return CST_OK;
}

/* y0 + h sum_i w_i k_i with w_i = sum_j p_ij x_j; y0 may be NULL. */
static void dense_sum(const rk *r, const cst_step *s, const rk_record *rec, const double *x,
                      const void *y0, void *out) {
  const cst_rhs *f = s->rhs;
  const void *k[RK_STAGES];
  rk_terms sum, tail;
  sum.n = tail.n = 0;
  rk_slopes(r, f, rec, r->all, s->f0, s->f1, k);
  for (int i = 0; i < r->all; i++) {
    double w = 0;
    for (int j = 0; j < r->degree; j++) w += r->p[i * r->degree + j] * x[j];
    rk_add(&sum, *s->h * w, k[i]);
  }
  r->host->combine(r->dtype, f->n_stage, y0, sum.n, sum.c, sum.k, out);
  if (f->n == f->n_stage) return;
  for (int j = 0; j < r->degree; j++)
    rk_add(&tail, *s->h * x[j], rk_sum(r, f, rec, RK_SUM_P + j));
  r->host->combine(r->dtype, f->n - f->n_stage, y0 ? rk_tail(r, f, y0) : NULL, tail.n, tail.c,
                   tail.k, (unsigned char *)out + f->n_stage * r->size);
}

cst_status rk_dense(void *state, const cst_step *s, double x, void *y, void *slope) {
  const rk *r = state;
  const rk_record *rec = s->record ? s->record : &r->last;
  double power[RK_DEGREE], derivative[RK_DEGREE], last = 1;
  if (!r->p) return r->host->fail(r->host, CST_EINTERNAL, "tableau '%s' has no dense output", r->tab->name);
  for (int j = 0; j < r->degree; j++, last *= x)
    power[j] = last * x, derivative[j] = (j + 1) * last;
  dense_sum(r, s, rec, power, s->y, y);
  if (slope) dense_sum(r, s, rec, derivative, NULL, slope);
  return CST_OK;
}
