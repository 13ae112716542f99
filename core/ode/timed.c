/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The tangent of a solve in its times. Step sizes are constants of the derivative, except the last,
 * which is clipped to the last time. So with a dot for the tangent:
 *
 *   steps but the last   t_n moves with t_0 and h does not:  t_dot = t0_dot
 *   the last, from t_n   h_dot = T_dot - t0_dot. A stage is y + h sum a_j k_j, its tangent
 *                        y_dot + sum a_j (h k_dot_j + h_dot k_j) = y_dot + h sum a_j (k_dot_j + s k_j),
 *                        s = h_dot / h, at the time t with t_dot = t0_dot + s (t - t_n)
 *
 * which is a step of the tangent field with s k added and t_dot fed in; both come in as the capture
 * `clock` = (t0_dot, s, t_n). An output inside a step stands at a fixed fraction of it; what its own
 * time moves beyond that adds dy/dt times the difference.
 */
#include <string.h>

#include "ode/plan.h"

typedef struct timed {
  cst_solve_state *s;
  const double *dot;
  size_t first;  /* output i of this leg is output first + i of the solve */
  size_t from, upto; /* outputs of the solve that this leg gives: from <= i < upto */
} timed;

/* y_dot += (times_dot - t_dot at the output) dy/dt. */
static void move_output(const timed *m, size_t output, void *y) {
  const cst_solve_state *s = m->s;
  const cst_rhs *f = cst_field_rhs_base(s->rhs);
  double t_dot = s->clock[0] + s->clock[1] * (s->times[output] - s->clock[2]), by = m->dot[output] - t_dot;
  size_t size = cst_dtype_size((cst_dtype)f->dtype);
  uint32_t half = s->plan->n_parts / 2;
  for (uint32_t p = 0; p < half; p++) {
    const cst_part *value = cst_solve_part(s, p), *tangent = cst_solve_part(s, p + half);
    const void *slope = (const char *)s->slope + value->offset * size;
    void *to = (char *)y + tangent->offset * size;
    cst_kernels_get()->combine[f->dtype == CST_F64](value->n * f->rows, to, 1, &by, &slope, to);
  }
}

static cst_status give(void *arg, size_t i, void *y, bool *jumped) {
  (void)jumped;
  const timed *m = arg;
  size_t output = m->first + i;
  if (output < m->from || output >= m->upto) return CST_OK;
  if (output > 0) move_output(m, output, y);
  cst_solve_scatter(m->s, m->s->values, output, y);
  return CST_OK;
}

/* One leg of the solve along given steps. */
static cst_status leg(timed *m, cst_integration *run, const double *times, size_t n, cst_schedule *steps) {
  run->times = times, run->n_times = n, run->schedule = steps, run->replay = true;
  return cst_integrate(m->s->integrator, run);
}

/* The last step on its own, from the state at its start. */
static cst_status last_step(timed *m, cst_integration *run, size_t inner, double *times) {
  cst_solve_state *s = m->s;
  size_t n = s->schedule->n - 1;
  double t = s->schedule->t[n], end = s->times[s->n_times - 1];
  cst_schedule one = {.n = 1, .capacity = 1, .t = &s->schedule->t[n], .h = &s->schedule->h[n]};
  s->clock[1] = (m->dot[s->n_times - 1] - m->dot[0]) / (end - t), s->clock[2] = t;
  times[0] = t;
  memcpy(times + 1, s->times + inner, (s->n_times - inner) * sizeof *times);
  m->first = inner - 1, m->from = inner, m->upto = s->n_times;
  return leg(m, run, times, s->n_times - inner + 1, &one);
}

cst_status cst_solve_timed(cst_solve_state *s, cst_integration *run, const double *times_dot) {
  cst_rhs *f = cst_field_rhs_base(s->rhs);
  size_t bytes = f->n * cst_dtype_size((cst_dtype)f->dtype), inner = 0;
  timed m = {.s = s, .dot = times_dot, .upto = s->n_times};
  void *start = cst_alloc(s->ctx, bytes + (s->n_times + 1) * sizeof(double) + 64);
  if (!start) return CST_ENOMEM;
  double *times = (double *)(void *)((char *)start + ((bytes + 63) & ~(size_t)63));
  memcpy(start, s->y, bytes);
  s->clock[0] = times_dot[0], s->clock[1] = s->clock[2] = 0;
  run->at = give, run->arg = &m, run->slope = s->slope;
  cst_status st = cst_integrate(s->integrator, run); /* finds the steps; all outputs but the last step's */
  size_t n = s->schedule->n;
  if (st == CST_OK && n > 0) {
    double t = s->schedule->t[n - 1], direction = s->times[s->n_times - 1] < s->times[0] ? -1 : 1;
    while (inner < s->n_times && (s->times[inner] - t) * direction <= 0) times[inner] = s->times[inner], inner++;
    memcpy(s->y, start, bytes);
    if (n > 1) { /* the state where the last step starts */
      cst_schedule before = *s->schedule;
      before.n = n - 1;
      m.from = m.upto = 0;
      times[inner] = t;
      st = leg(&m, run, times, inner + 1, &before);
    }
    if (st == CST_OK) st = last_step(&m, run, inner, times);
  }
  cst_free(s->ctx, start);
  return st;
}
