/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The directional derivative of a field that has none, for implicit solvers:
 *
 *     (f(t + d t_dot, y + d y_dot) - f(t, y)) / d
 *
 * with, for every row, d = sqrt(u max(u^(1/3), |y|)) along a unit vector: u is the rounding unit, |y| the size of what
 * moves. For f64 that is what Hairer and Wanner have in RADAU5 (Solving Ordinary Differential Equations II, IV.8),
 * whose least size is 1e-5. Where time moves, all rows take the least of their d. Such a Jacobian makes an iteration
 * converge a little slower; what it converges to does not depend on it.
 */
#include <float.h>
#include <math.h>

#include "ode/rhs_internal.h"

typedef struct motion {
  const cst_rhs *f;
  const void *y, *y_dot;
  double t_dot, common; /* common: the d of all rows where time moves */
} motion;

static double get(const cst_rhs *f, const void *vector, size_t i) {
  return f->dtype == CST_F64 ? ((const double *)vector)[i] : (double)((const float *)vector)[i];
}
static void put(const cst_rhs *f, void *vector, size_t i, double x) {
  if (f->dtype == CST_F64) ((double *)vector)[i] = x;
  else ((float *)vector)[i] = (float)x;
}

static double distance(const cst_rhs *f, double size, double speed) {
  double unit = f->dtype == CST_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
  return sqrt(unit * fmax(cbrt(unit), size)) / speed;
}

/* What moves is as large as its mean, weighted by how fast; a row that stands has any distance. */
static double distance_of(const motion *m, size_t row) {
  double sum = 0, weight = 0, most = 0;
  for (size_t k = 0; k < m->f->n_parts; k++) {
    const cst_part *p = &m->f->parts[k];
    for (size_t i = 0; p->offset < m->f->n_stage && i < p->n; i++) {
      size_t at = p->offset + row * p->n + i;
      double speed = fabs(get(m->f, m->y_dot, at));
      sum += speed * fabs(get(m->f, m->y, at)), weight += speed, most = fmax(most, speed);
    }
  }
  if (most > 0) return distance(m->f, sum / weight, most);
  return m->t_dot != 0 ? HUGE_VAL : 1;
}

static double step_of(const motion *m, size_t row) { return m->t_dot != 0 ? m->common : distance_of(m, row); }

static double common_step(const motion *m, double t) {
  double d = distance(m->f, fabs(t), fabs(m->t_dot));
  for (size_t row = 0; row < m->f->rows; row++) d = fmin(d, distance_of(m, row));
  return d;
}

static void move(const motion *m, void *moved) {
  for (size_t k = 0; k < m->f->n_parts; k++) {
    const cst_part *p = &m->f->parts[k];
    for (size_t i = 0; p->offset < m->f->n_stage && i < p->n * m->f->rows; i++) {
      size_t at = p->offset + i;
      put(m->f, moved, at, get(m->f, m->y, at) + step_of(m, i / p->n) * get(m->f, m->y_dot, at));
    }
  }
}

/* dy_dot = (dy_dot - dy) / d */
static void divide(const motion *m, const void *dy, void *dy_dot) {
  for (size_t k = 0; k < m->f->n_parts; k++) {
    const cst_part *p = &m->f->parts[k];
    for (size_t i = 0; i < p->n * m->f->rows; i++) {
      size_t at = p->offset + i;
      put(m->f, dy_dot, at, (get(m->f, dy_dot, at) - get(m->f, dy, at)) / step_of(m, i / p->n));
    }
  }
}

cst_status cst_field_rhs_difference(cst_rhs *f, double t, const void *y, const void *y_dot, double t_dot, const void *dy,
                                    void *dy_dot) {
  cst_field_rhs *r = f->self;
  motion m = {.f = f, .y = y, .y_dot = y_dot, .t_dot = t_dot};
  if (!r->moved && !(r->moved = cst_alloc(r->field->ctx, (r->most + 1) * rhs_element(r)))) return CST_ENOMEM;
  if (t_dot != 0) m.common = common_step(&m, t);
  move(&m, r->moved);
  double later = t_dot != 0 ? t + m.common * t_dot : t;
  CST_TRY(f->eval(f, &later, r->moved, dy_dot));
  divide(&m, dy, dy_dot);
  return CST_OK;
}

cst_status cst_field_rhs_jvp_by_difference(cst_rhs *f, const double *t, const void *y, const void *y_dot, double t_dot,
                                           void *dy, void *dy_dot) {
  CST_TRY(f->eval(f, t, y, dy));
  return cst_field_rhs_difference(f, *t, y, y_dot, t_dot, dy, dy_dot);
}
