/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The tangent of a solve in its times. Step sizes are constants of the derivative, except the last,
 * which is clipped to the last time, and that of a step which ends at a break of the field, since breaks
 * stand still. So with a dot for the tangent:
 *
 *   up to the first break   t_n moves with t_0 and h does not:  t_dot = t0_dot
 *   the step that ends there from t_n: h_dot = -t0_dot
 *   what follows            t_dot = 0
 *   the last step, from t_n h_dot = T_dot - t_n_dot
 *
 * Where h moves, a stage is y + h sum a_j k_j, its tangent
 *
 *   y_dot + sum a_j (h k_dot_j + h_dot k_j) = y_dot + h sum a_j (k_dot_j + s k_j),   s = h_dot / h,
 *
 * at the time t with t_dot = t_n_dot + s (t - t_n): a step of the tangent field with s k added and t_dot
 * fed in; both come in as the capture `clock` = (t_n_dot, s, t_n). An output inside a step stands at a
 * fixed fraction of it; what its own time moves beyond that adds dy/dt times the difference.
 *
 * The steps are taken in legs, one with each clock. What a solver carries over from leg to leg is a slope, whose
 * tangent has s k in it as above, and vectors like y.
 *
 * A solver that decides more than its steps would lose its history where they begin to move. With it the tangent is
 * that of the solution, one solve: y_dot - t0_dot f(y, t0) from t0 on, and at an output T_dot f(y, T) more.
 */
#include <math.h>
#include <string.h>

#include "ode/plan.h"

typedef struct timed {
  cst_solve_state *s;
  cst_integration *run;
  const cst_schedule *all; /* the steps of the solve */
  const double *dot;
  size_t first;      /* output i of this leg is output first + i of the solve */
  size_t from, upto; /* outputs of the solve that this leg gives: from <= i < upto */
  size_t save;       /* output of the leg whose state is where the next leg starts */
  void *state;       /* that state */
  void *moved;       /* an output, apart from the state of the run */
  double *times;     /* of a leg */
  void *block;       /* what the solver carries at that state, */
  size_t n_block;    /*   scalars of it; 0: nothing */
  double block_s;    /*   and s of the leg that left it */
} timed;

/* The tangent parts of y += by times the parts of x that they are tangents of. */
static void add_to_tangent(const cst_solve_state *s, double by, const void *x, void *y) {
  const cst_rhs *f = cst_field_rhs_base(s->rhs);
  size_t size = cst_dtype_size((cst_dtype)f->dtype);
  if (by == 0) return;
  uint32_t half = s->plan->n_parts / 2;
  for (uint32_t p = 0; p < half; p++) {
    const cst_part *value = cst_solve_part(s, p), *tangent = cst_solve_part(s, p + half);
    const void *from = (const char *)x + value->offset * size;
    void *to = (char *)y + tangent->offset * size;
    cst_kernels_get()->combine[f->dtype == CST_F64](value->n * f->rows, to, 1, &by, &from, to);
  }
}

/* y_dot += (times_dot - t_dot at the output) dy/dt. */
static void move_output(const timed *m, size_t output, void *y) {
  const cst_solve_state *s = m->s;
  double t_dot = s->clock[0] + s->clock[1] * (s->times[output] - s->clock[2]);
  add_to_tangent(s, m->dot[output] - t_dot, s->slope, y);
}

/* What is carried at the end of a leg, for the next to begin with. */
static void save_block(timed *m) {
  const cst_solve_state *s = m->s;
  size_t size = cst_dtype_size((cst_dtype)cst_field_rhs_base(s->rhs)->dtype);
  const void *block = cst_integrator_block(s->integrator, &m->n_block);
  if (!block) {
    m->n_block = 0;
    return;
  }
  memcpy(m->block, block, m->n_block * size);
  m->block_s = s->clock[1];
}

static bool is_break(const cst_solve_state *s, double t) { return cst_breaks_among(s->breaks, s->n_breaks, t); }

/* The block for a leg from step a on, unless steps begin anew there. */
static const void *block_at(const timed *m, size_t a) {
  if (a == 0 || m->n_block == 0 || is_break(m->s, cst_schedule_t(m->all, a))) return NULL;
  add_to_tangent(m->s, m->s->clock[1] - m->block_s, m->block, m->block);
  return m->block;
}

static cst_status give(void *arg, size_t i, void *y, bool *jumped) {
  (void)jumped;
  timed *m = arg;
  const cst_rhs *f = cst_field_rhs_base(m->s->rhs);
  size_t output = m->first + i;
  if (i == m->save) {
    memcpy(m->state, y, f->n * cst_dtype_size((cst_dtype)f->dtype));
    save_block(m);
  }
  if (output < m->from || output >= m->upto) return CST_OK;
  memcpy(m->moved, y, f->n * cst_dtype_size((cst_dtype)f->dtype));
  if (output > 0) move_output(m, output, m->moved);
  cst_solve_scatter(m->s, m->s->values, output, m->moved);
  return CST_OK;
}

/* Times of the leg of steps a to b - 1: its start, its outputs, its end (where the state is saved) and the
 * end of one step more, since at the very end of a run no slope is given. Returns how many. */
static size_t leg_times(timed *m, size_t a, size_t b) {
  const cst_solve_state *s = m->s;
  const cst_schedule *all = m->all;
  double last = s->times[s->n_times - 1], direction = last < s->times[0] ? -1 : 1;
  double end = b < all->n ? cst_schedule_t(all, b) : last;
  size_t k = 0, next = m->upto;
  m->from = next, m->first = next - (a > 0), m->save = SIZE_MAX;
  if (a > 0) m->times[k++] = cst_schedule_t(all, a);
  while (next < s->n_times && (s->times[next] - end) * direction <= 0) m->times[k++] = s->times[next++];
  m->upto = next;
  if (b == all->n) return k;
  m->save = k;
  m->times[k++] = end;
  m->times[k++] = b + 1 < all->n ? cst_schedule_t(all, b + 1) : last;
  return k;
}

/* Steps a to b - 1 from s->y, during which t moves by t_dot and, in a lone step, h by h_dot. */
static cst_status leg(timed *m, size_t a, size_t b, double t_dot, double h_dot) {
  cst_solve_state *s = m->s;
  const cst_schedule *all = m->all;
  const cst_rhs *f = cst_field_rhs_base(s->rhs);
  if (a == b) return CST_OK;
  size_t n = b < all->n ? b + 1 - a : b - a;
  cst_schedule steps = *all;
  double start = cst_schedule_t(all, a), end = b < all->n ? cst_schedule_t(all, b) : s->times[s->n_times - 1];
  steps.from += a, steps.n = n;
  s->clock[0] = t_dot, s->clock[1] = h_dot != 0 ? h_dot / (end - start) : 0, s->clock[2] = start;
  m->run->n_times = leg_times(m, a, b), m->run->times = m->times;
  m->run->schedule = &steps, m->run->replay = true;
  m->run->f0 = block_at(m, a);
  CST_TRY(cst_integrate(s->integrator, m->run));
  if (b < all->n) memcpy(s->y, m->state, f->n * cst_dtype_size((cst_dtype)f->dtype));
  return CST_OK;
}

/* The first step that ends at a break; the last step when there is none before. */
static size_t first_break(const timed *m) {
  const cst_solve_state *s = m->s;
  for (size_t k = 0; k + 1 < m->all->n; k++)
    if (is_break(s, cst_schedule_t(m->all, k + 1))) return k;
  return m->all->n - 1;
}

static cst_status legs(timed *m) {
  size_t n = m->all->n, k = first_break(m);
  double from = m->dot[0], to = m->dot[m->s->n_times - 1];
  m->upto = 0;
  if (from == 0 && to == 0) return leg(m, 0, n, 0, 0);
  CST_TRY(leg(m, 0, k, from, 0));
  if (k == n - 1) return leg(m, k, n, from, to - from);
  CST_TRY(leg(m, k, k + 1, from, -from));
  CST_TRY(leg(m, k + 1, n - 1, 0, 0));
  return leg(m, n - 1, n, 0, to);
}

/* ---- of the solution ------------------------------------------------------------------------------------- */

/* The tangent parts of y += by times the field at time t, with which the value parts move. Where the field jumps it is
 * that of the step which ends at t or, at the start and at times that repeat it, of the one that begins. */
static cst_status move_along(const timed *m, double t, double by, void *y) {
  const cst_solve_state *s = m->s;
  cst_rhs *f = cst_field_rhs_base(s->rhs);
  double from = s->times[0], to = s->times[s->n_times - 1];
  if ((t == from ? to < t : from < t) && is_break(s, t)) t = nextafter(t, -HUGE_VAL);
  cst_status st = by == 0 ? CST_RETRY : f->eval(f, &t, y, s->slope);
  if (st != CST_OK) return st == CST_RETRY ? CST_OK : st; /* where it is not defined nothing moves */
  add_to_tangent(s, by, s->slope, y);
  return CST_OK;
}

static cst_status give_solution(void *arg, size_t i, void *y, bool *jumped) {
  (void)jumped;
  const timed *m = arg;
  const cst_solve_state *s = m->s;
  const cst_rhs *f = cst_field_rhs_base(s->rhs);
  memcpy(m->moved, y, f->n * cst_dtype_size((cst_dtype)f->dtype));
  CST_TRY(move_along(m, s->times[i], m->dot[i], m->moved));
  cst_solve_scatter(s, s->values, i, m->moved);
  return CST_OK;
}

static cst_status solution(timed *m) {
  cst_solve_state *s = m->s;
  s->clock[0] = 0, m->run->slope = NULL, m->run->at = give_solution;
  CST_TRY(move_along(m, s->times[0], -m->dot[0], s->y));
  return cst_integrate(s->integrator, m->run);
}

/* Vectors that a timed run needs beside those of its state, kept with it. */
static cst_status make_room(cst_solve_state *s) {
  const cst_rhs *f = cst_field_rhs_base(s->rhs);
  if (s->timed_room) return CST_OK;
  size_t bytes = (f->n * cst_dtype_size((cst_dtype)f->dtype) + 63) & ~(size_t)63;
  s->timed_room = cst_alloc(s->ctx, (3 + cst_integrator_block_vectors(s->integrator)) * bytes + (s->n_times + 3) * sizeof(double));
  return s->timed_room ? CST_OK : CST_ENOMEM;
}

cst_status cst_solve_timed(cst_solve_state *s, cst_integration *run, const double *times_dot) {
  cst_rhs *f = cst_field_rhs_base(s->rhs);
  size_t size = f->n * cst_dtype_size((cst_dtype)f->dtype), bytes = (size + 63) & ~(size_t)63;
  timed m = {.s = s, .run = run, .all = s->schedule, .dot = times_dot, .upto = s->n_times, .save = SIZE_MAX};
  CST_TRY(make_room(s));
  unsigned char *start = s->timed_room;
  m.state = start + bytes, m.moved = start + 2 * bytes, m.block = start + 3 * bytes;
  m.times = (double *)(void *)(start + (3 + cst_integrator_block_vectors(s->integrator)) * bytes);
  memcpy(start, s->y, size);
  s->clock[0] = times_dot[0], s->clock[1] = s->clock[2] = 0;
  run->at = give, run->arg = &m, run->slope = s->slope;
  bool known = run->replay && m.all->n > 0;
  if (cst_solver_decides(s->plan->solver)) return solution(&m);
  if (!known) CST_TRY(cst_integrate(s->integrator, run)); /* finds the steps */
  if (m.all->n == 0) return CST_OK;
  memcpy(s->y, start, size);
  return legs(&m);
}
