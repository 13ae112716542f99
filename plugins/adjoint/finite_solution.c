/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * finite, times of a solver that decides more than its steps: a difference in a time would be one of decisions. So
 * they are those of the solution,
 *
 *     dL/dt_i = g_i . f(z_i, t_i)  (i > 0),      dL/dt_0 = sum_{i > 0} g_i . S(t_i),   S(t0) = -f(z_0, t_0),
 *
 * S being a direction of y0 like any other.
 */
#include "finite.h"

/* f(z_0, t_0) is scaled to the increment of a direction: s->y0_dot = -scale f. */
static cst_status set_direction(adjoint_sweep *s, double *scale) {
  cst_rhs *f = s->p->rhs;
  const void *slope = s->moved;
  double t = adjoint_side(s->p, 0);
  CST_TRY(f->eval(f, &t, s->y0, s->moved));
  if (s->p->stats) s->p->stats->evaluations++;
  double square = s->host->dot(f->dtype, f->n, slope, slope);
  *scale = s->increment(s, 0, 1) / (square > 1 ? square : 1);
  s->host->combine(f->dtype, f->n, NULL, 1, (const double[]){-*scale}, &slope, s->y0_dot);
  return CST_OK;
}

cst_status finite_times_of_solution(adjoint_sweep *s) {
  const cst_solve_pullback *p = s->p;
  double product, scale;
  for (size_t i = 1; i < p->n_times; i++) {
    CST_TRY(adjoint_sweep_field(s, i, &product));
    p->times_bar[i] += product;
  }
  CST_TRY(adjoint_sweep_field(s, 0, &product)); /* what y0 itself would move the first value by, which stands */
  CST_TRY(set_direction(s, &scale));
  CST_TRY(s->along(s, SIZE_MAX));
  p->times_bar[0] += adjoint_sweep_take(s) / scale + product;
  memset(s->y0_dot, 0, p->rhs->n * s->size);
  return CST_OK;
}
