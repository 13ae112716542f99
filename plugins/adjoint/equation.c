/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The equation backwards with z(t) known from the forward solve. It is linear in lambda,
 *
 *     F(t, [lambda | G]) = [-lambda^T df/dz | -lambda^T df/dtheta]  at  (z(t), t),
 *
 * so that its derivative along v is F with v for lambda, without the tail (the quadrature parts of the
 * forward state, whose lambda is no part of the state), and its Jacobian is that of f, negative and
 * transposed, row by row. F depends on t through z and f: dF/dt, of which only the linearly implicit
 * methods make use, is a difference quotient within one step of the forward solve.
 */
#include "continuous.h"

#include <math.h>

/* A stage may lie beyond a step, and so beyond the forward solve: its polynomial goes on for half a step
 * of it, far from which it means nothing. */
const void *continuous_state(continuous *b, double t) {
  const cst_host *host = b->host;
  const cst_trajectory *z = b->p->trajectory;
  double t_k, h;
  b->hint = host->trajectory_find(z, t, b->hint);
  host->trajectory_step(z, b->hint, &t_k, &h);
  host->trajectory_value(z, b->hint, fmin(fmax((t - t_k) / h, -0.5), 1.5), b->value);
  return b->value;
}

static void *theta_of(const continuous *b, void *dy) {
  return b->rhs.n > b->rhs.n_stage ? (unsigned char *)dy + continuous_stage_bytes(b) : NULL;
}

cst_status continuous_equation(cst_rhs *self, const double *t, const void *y, void *dy) {
  continuous *b = self->self;
  self->evaluations++;
  return continuous_pull(b, *t, continuous_state(b, *t), y, true, NULL, dy, theta_of(b, dy));
}

/* Two times inside the step of the trajectory that holds t. */
static void times_about(continuous *b, double t, double *low, double *high) {
  const double apart = 1e-5, inside = 1e-9;
  double t_k, h;
  b->hint = b->host->trajectory_find(b->p->trajectory, t, b->hint);
  b->host->trajectory_step(b->p->trajectory, b->hint, &t_k, &h);
  double x = (t - t_k) / h;
  *low = t_k + h * fmin(fmax(x - apart, inside), 1 - inside - apart);
  *high = t_k + h * fmin(fmax(x + apart, inside + apart), 1 - inside);
}

/* b->moved[0] = dF/dt */
static cst_status time_derivative(continuous *b, double t, const void *y) {
  double times[2];
  times_about(b, t, &times[0], &times[1]);
  for (int i = 0; i < 2; i++) {
    CST_TRY(adjoint_grow(b->host, &b->moved[i], &b->moved_capacity[i], b->rhs.n, b->size));
    CST_TRY(continuous_equation(&b->rhs, &times[i], y, b->moved[i]));
  }
  const double c = 1 / (times[1] - times[0]), weights[2] = {-c, c};
  const void *both[2] = {b->moved[0], b->moved[1]};
  b->host->combine(b->rhs.dtype, b->rhs.n, NULL, 2, weights, both, b->moved[0]);
  return CST_OK;
}

cst_status continuous_jvp(cst_rhs *self, const double *t, const void *y, const void *y_dot, double t_dot, void *dy,
                          void *dy_dot) {
  continuous *b = self->self;
  if (dy) CST_TRY(continuous_equation(self, t, y, dy));
  self->evaluations++;
  CST_TRY(continuous_pull(b, *t, continuous_state(b, *t), y_dot, false, NULL, dy_dot, theta_of(b, dy_dot)));
  if (t_dot == 0) return CST_OK;
  CST_TRY(time_derivative(b, *t, y));
  const void *moved = b->moved[0];
  b->host->combine(self->dtype, self->n, dy_dot, 1, &t_dot, &moved, dy_dot);
  return CST_OK;
}

/* ---- the Jacobian ------------------------------------------------------------------------------ */

#define MINUS_TRANSPOSE(name, real)                        \
  static void name(real *m, size_t d) {                    \
    for (size_t i = 0; i < d; i++)                         \
      for (size_t j = 0; j <= i; j++) {                    \
        real below = m[i * d + j], above = m[j * d + i];   \
        m[i * d + j] = -above, m[j * d + i] = -below;      \
      }                                                    \
  }
MINUS_TRANSPOSE(minus_transpose_f32, float)
MINUS_TRANSPOSE(minus_transpose_f64, double)

/* The stage parts of a state as [rows, D]. */
static void by_row(const continuous *b, const unsigned char *y, unsigned char *out) {
  const cst_rhs *f = b->p->rhs;
  for (size_t row = 0; row < f->rows; row++)
    for (size_t p = 0; p < f->n_parts; p++) {
      const cst_part *part = &f->parts[p];
      size_t bytes = part->n * b->size;
      if (part->flags & CST_PART_QUADRATURE) continue;
      memcpy(out, y + part->offset * b->size + row * bytes, bytes);
      out += bytes;
    }
}

cst_status continuous_jacobian(cst_rhs *self, const double *t, const void *y, void *jac, void *dfdt) {
  continuous *b = self->self;
  cst_rhs *f = b->p->rhs;
  size_t d = f->rows ? f->n_stage / f->rows : 0;
  uint64_t before = f->evaluations;
  if (jac) CST_TRY(f->jacobian(f, t, continuous_state(b, *t), jac, NULL));
  self->evaluations += f->evaluations - before;
  for (size_t row = 0; jac && row < f->rows; row++) {
    if (f->dtype == CST_F32) minus_transpose_f32((float *)jac + row * d * d, d);
    else minus_transpose_f64((double *)jac + row * d * d, d);
  }
  if (!dfdt) return CST_OK;
  CST_TRY(time_derivative(b, *t, y));
  by_row(b, b->moved[0], dfdt);
  return CST_OK;
}
