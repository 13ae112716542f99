/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sweep.h"

#include <float.h>
#include <math.h>

bool adjoint_sweep_decides(const cst_solver_type *s) { return s->traits & (CST_MULTISTEP | CST_SELF_CONTROLLED); }

static double get(const adjoint_sweep *s, const void *v, size_t k) {
  return s->size == sizeof(double) ? ((const double *)v)[k] : (double)((const float *)v)[k];
}
static void put(const adjoint_sweep *s, void *v, size_t k, double x) {
  if (s->size == sizeof(double)) ((double *)v)[k] = x;
  else ((float *)v)[k] = (float)x;
}

/* ---- products --------------------------------------------------------------------------------------------- */

/* A part that is not of rows does not occur in a forward solve. */
cst_status adjoint_sweep_collect(void *arg, size_t i, const void *z) {
  adjoint_sweep *s = arg;
  const cst_rhs *f = s->p->rhs;
  if (!s->p->value_bar(s->p->self, i, s->bar)) return CST_OK;
  for (size_t k = 0; k < f->n_parts; k++)
    for (size_t row = 0; row < f->rows; row++) {
      size_t at = (f->parts[k].offset + row * f->parts[k].n) * s->size;
      s->slope[row] += s->weight * s->host->dot(f->dtype, f->parts[k].n, s->bar + at, (const unsigned char *)z + at);
    }
  return CST_OK;
}

double adjoint_sweep_take(adjoint_sweep *s) {
  double sum = 0;
  for (size_t row = 0; row < s->p->rhs->rows; row++) sum += s->slope[row], s->slope[row] = 0;
  return sum;
}

cst_status adjoint_sweep_field(adjoint_sweep *s, size_t i, double *product) {
  const cst_solve_pullback *p = s->p;
  double t = adjoint_side(p, i);
  *product = 0;
  if (!p->value_bar(p->self, i, s->bar)) return CST_OK;
  p->value(p->self, i, s->y0_dot);
  cst_status st = p->rhs->eval(p->rhs, &t, s->y0_dot, s->moved);
  if (p->stats) p->stats->evaluations++;
  if (st == CST_OK) *product = s->host->dot(p->rhs->dtype, p->rhs->n, s->bar, s->moved);
  memset(s->y0_dot, 0, p->rhs->n * s->size);
  return st == CST_RETRY ? CST_OK : st;
}

/* ---- directions ----------------------------------------------------------------------------------------------- */

/* Where the scalars of one direction lie: first, first + stride, .. one a row; or one alone. */
typedef struct lane {
  size_t capture; /* SIZE_MAX: the state */
  const void *x;
  unsigned char *dot;
  void *bar;
  size_t first, stride, n;
} lane;

static cst_status follow(adjoint_sweep *s, const lane *l) {
  for (size_t r = 0; r < l->n; r++) {
    size_t k = l->first + r * l->stride;
    put(s, l->dot, k, s->increment(s, get(s, l->x, k), s->scale[r]));
  }
  CST_TRY(s->along(s, l->capture));
  double all = l->n > 1 ? 0 : adjoint_sweep_take(s);
  for (size_t r = 0; r < l->n; r++) {
    size_t k = l->first + r * l->stride;
    double slope = l->n > 1 ? s->slope[r] : all;
    put(s, l->bar, k, get(s, l->bar, k) + slope / get(s, l->dot, k));
    put(s, l->dot, k, 0);
    if (l->n > 1) s->slope[r] = 0;
  }
  return CST_OK;
}

static double root_mean_square(const adjoint_sweep *s, const void *x, size_t first, size_t n) {
  double sum = 0;
  for (size_t k = first; k < first + n; k++) sum += get(s, x, k) * get(s, x, k);
  return sqrt(sum / (double)n);
}

/* `count` scalars from l->first on, of which the rows follow one another. */
static cst_status block(adjoint_sweep *s, lane l, size_t count, bool of_rows) {
  size_t start = l.first;
  l.n = of_rows && s->p->separable ? s->p->rhs->rows : 1;
  l.stride = l.n ? count / l.n : 0;
  for (size_t r = 0; r < l.n; r++) s->scale[r] = root_mean_square(s, l.x, start + r * l.stride, l.stride);
  for (size_t k = 0; k < l.stride; k++) {
    l.first = start + k;
    CST_TRY(follow(s, &l));
  }
  return CST_OK;
}

static void quadratures(adjoint_sweep *s) {
  const cst_rhs *f = s->p->rhs;
  size_t tail = f->n_stage * s->size;
  const void *from = s->bar + tail;
  for (size_t i = 0; f->n > f->n_stage && i < s->p->n_times; i++)
    if (s->p->value_bar(s->p->self, i, s->bar))
      s->host->combine(f->dtype, f->n - f->n_stage, (char *)s->p->y0_bar + tail, 1, (const double[]){1}, &from,
                       (char *)s->p->y0_bar + tail);
}

cst_status adjoint_sweep_inputs(adjoint_sweep *s) {
  const cst_solve_pullback *p = s->p;
  const cst_rhs *f = p->rhs;
  for (size_t k = 0; p->y0_bar && k < f->n_parts; k++) {
    const cst_part *part = &f->parts[k];
    lane l = {.capture = SIZE_MAX, .x = s->y0, .dot = s->y0_dot, .bar = p->y0_bar, .first = part->offset};
    if (!(part->flags & CST_PART_QUADRATURE)) CST_TRY(block(s, l, part->n * f->rows, true));
  }
  if (p->y0_bar) quadratures(s);
  for (size_t c = 0; c < p->n_captures; c++) {
    lane l = {.capture = c, .x = p->capture[c], .dot = s->capture_dot, .bar = p->capture_bar[c]};
    if (l.bar && p->capture_count[c]) CST_TRY(block(s, l, p->capture_count[c], p->capture_row[c]));
  }
  return CST_OK;
}

/* ---- the life of a sweep ---------------------------------------------------------------------------------------- */

cst_status adjoint_sweep_enter(adjoint_sweep *s, const cst_solve_pullback *p) {
  s->p = p;
  CST_TRY(adjoint_grow(s->host, &s->captures, &s->captures_capacity, p->n_captures + 1, sizeof *s->captures));
  CST_TRY(adjoint_grow(s->host, &s->times, &s->times_capacity, 4 * p->n_times, sizeof *s->times));
  p->value(p->self, 0, s->y0);
  return CST_OK;
}

void adjoint_sweep_free(const cst_host *host, void *state) {
  adjoint_sweep *s = state;
  void *all[] = {s->memory, s->captures, s->times, s};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i]) host->free(host, all[i]);
}

cst_status adjoint_sweep_accepts(const cst_host *host, const cst_solver_type *s) {
  (void)host, (void)s;
  return CST_OK;
}

cst_status adjoint_sweep_new(const cst_gradient_config *c, adjoint_increment_fn *increment, adjoint_along_fn *along,
                             void **state) {
  size_t size = cst_dtype_size((cst_dtype)c->forward->dtype), rows = (c->forward->rows * sizeof(double) + 127) & ~(size_t)63;
  size_t vector = (c->forward->n * size + 127) & ~(size_t)63, captures = (c->n_captures_scalars * size + 127) & ~(size_t)63;
  adjoint_sweep *s = c->host->alloc(c->host, sizeof *s);
  if (!s) return CST_ENOMEM;
  *s = (adjoint_sweep){.host = c->host, .options = c->options, .size = size, .weight = 1, .increment = increment,
                       .along = along, .memory = c->host->alloc(c->host, 4 * vector + 2 * captures + 2 * rows)};
  double rounding = size == sizeof(double) ? DBL_EPSILON : (double)FLT_EPSILON, rtol = c->forward->rtol;
  s->noise = adjoint_sweep_decides(c->forward->solver) && rtol > rounding ? rtol : rounding;
  if (!s->memory) return adjoint_sweep_free(c->host, s), CST_ENOMEM;
  s->y0 = s->memory, s->y0_dot = s->y0 + vector, s->bar = s->y0_dot + vector, s->capture_dot = s->bar + vector;
  s->moved = s->capture_dot + captures;
  s->slope = (double *)(void *)(s->moved + captures + vector);
  s->scale = (double *)(void *)((unsigned char *)s->slope + rows);
  *state = s;
  return CST_OK;
}
