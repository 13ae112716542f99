/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The forward solve followed again, for gradient methods that go by directions: with other inputs, or with
 * the tangent of its inputs. Both replay the schedule of the forward solve, whose values and report stay; but
 * a solver that decides more than its steps finds those of a tangent itself, since the tangent is part of the
 * equations it iterates; so does one that refuses a step with the tangent which was fine without.
 *
 * The tangent is a solve of the tangent field (plan.c), state [z, z_dot], with states of its own: one for
 * directions in which times stand still, one for those in which they move (timed.c).
 */
#include <string.h>

#include "ode/plan.h"

struct cst_directions {
  cst_context *ctx;
  const cst_solve_plan *plan;
  uint32_t n_captures;
  bool *has;               /* by capture: it may move */
  bool *row;               /* by capture: its scalars lead with the rows */
  size_t *bytes;           /* by capture */
  void **moved;            /* by capture that has: its values, or its tangent, for all rows */
  void **part;             /* by part: tangent of the values, [B, T, n] */
  cst_solve_plan *tangent_plan[2];
  cst_solve_state *tangent[2]; /* times stand still; times move */
  size_t n_times;
  bool separable;
  /* of the run under way */
  cst_solve_state *s;
  const cst_call *call;
  void *const *first;    /* values of the forward solve by part, whose first is z0 */
  const void **standing; /* captures of the forward solve, this run's */
  void *z;               /* a state vector */
};

static size_t element(const cst_directions *d) { return cst_dtype_size((cst_dtype)d->plan->field->f->graph->real); }

/* ---- making ------------------------------------------------------------------------------------------------ */

/* Whether the field depends on a capture so that it has a derivative; a field without pullback does not tell. */
static cst_status find_moving(cst_directions *d, const bool *wanted) {
  cst_field *f = d->plan->field;
  bool known = cst_field_derive(f) == CST_OK;
  if (!known && cst_last_status(d->ctx) == CST_ENOMEM) return CST_ENOMEM;
  for (uint32_t c = 0; c < d->n_captures; c++) {
    const cst_type *t = cst_field_capture(f, c);
    d->has[c] = wanted[c] && (!known || f->has_capture_bar[c]);
    d->row[c] = t->space == CST_ROW;
    d->bytes[c] = cst_type_count(t) * cst_dtype_size(t->dtype);
    if (d->has[c] && !(d->moved[c] = cst_alloc(d->ctx, d->bytes[c] + 1))) return CST_ENOMEM;
  }
  return CST_OK;
}

static cst_status make_values(cst_directions *d) {
  size_t all = 0;
  for (uint32_t p = 0; p < d->plan->n_parts; p++) {
    size_t n = cst_type_count(cst_field_part(d->plan->field, p));
    all += n;
    if (!(d->part[p] = cst_alloc(d->ctx, (n * d->n_times + 1) * element(d)))) return CST_ENOMEM;
  }
  return (d->z = cst_alloc(d->ctx, (all + 1) * element(d))) ? CST_OK : CST_ENOMEM;
}

static cst_status make_tangent(cst_directions *d, bool timed) {
  CST_TRY(cst_solve_plan_tangent(d->plan, d->has, timed, &d->tangent_plan[timed]));
  return cst_solve_state_make(d->ctx, d->tangent_plan[timed], false, &d->tangent[timed]);
}

static cst_status make_arrays(cst_directions *d) {
  size_t n = d->n_captures + 1;
  d->moved = cst_alloc(d->ctx, (n + n + d->plan->n_parts) * sizeof *d->moved + n * sizeof *d->bytes + 2 * n);
  if (!d->moved) return CST_ENOMEM;
  d->standing = (const void **)(d->moved + n), d->part = d->moved + 2 * n;
  d->bytes = (size_t *)(void *)(d->part + d->plan->n_parts);
  d->has = (bool *)(d->bytes + n), d->row = d->has + n;
  return CST_OK;
}

static cst_status make(cst_directions *d, const bool *wanted, bool timed) {
  CST_TRY(make_arrays(d));
  CST_TRY(find_moving(d, wanted));
  CST_TRY(make_values(d));
  CST_TRY(cst_field_compile(d->plan->field, FIELD_EVAL));
  d->separable = cst_solve_rows(d->plan) <= 1 || cst_program_separable(d->plan->field->program[FIELD_EVAL], NULL);
  if (!(d->plan->gradient->needs & CST_NEEDS_TANGENT)) return CST_OK;
  CST_TRY(make_tangent(d, false));
  return timed ? make_tangent(d, true) : CST_OK;
}

cst_status cst_directions_new(cst_solve_plan *p, const bool *wanted, bool timed, size_t n_times, cst_directions **out) {
  cst_directions *d = *out = cst_alloc(p->ctx, sizeof *d);
  if (!d) return CST_ENOMEM;
  d->ctx = p->ctx, d->plan = p, d->n_captures = p->field->n_captures, d->n_times = n_times;
  return make(d, wanted, timed);
}

void cst_directions_free(cst_directions *d) {
  if (!d) return;
  for (int timed = 0; timed < 2; timed++) {
    if (d->tangent[timed]) cst_solve_state_free(d->ctx, d->tangent[timed]);
    cst_object_release(d->tangent_plan[timed]);
  }
  for (uint32_t c = 0; d->moved && c < d->n_captures; c++) cst_free(d->ctx, d->moved[c]);
  for (uint32_t p = 0; d->moved && p < d->plan->n_parts; p++) cst_free(d->ctx, d->part[p]);
  cst_free(d->ctx, d->moved);
  cst_free(d->ctx, d->z);
  cst_free(d->ctx, d);
}

/* ---- captures of the run under way ------------------------------------------------------------------------- */

/* Where its scalars begin, and how many bytes they are. */
static size_t own_bytes(const cst_directions *d, uint32_t c) {
  size_t all = d->plan->field->rows;
  return d->row[c] && all ? d->bytes[c] / all * cst_solve_rows_now(d->s) : d->bytes[c];
}
static size_t own_offset(const cst_directions *d, uint32_t c) { return d->row[c] ? d->s->row * own_bytes(d, c) : 0; }

/* moved[c] = x, or zeros, for the rows of the run; those of others are not read. */
static void *put(const cst_directions *d, uint32_t c, const void *x) {
  char *to = (char *)d->moved[c] + own_offset(d, c);
  if (x) memcpy(to, x, own_bytes(d, c));
  else memset(to, 0, own_bytes(d, c));
  return d->moved[c];
}

static void bind(const cst_directions *d, cst_solve_state *s) {
  cst_field_rhs_bind(s->rhs, (const void *const *)s->capture, d->call->run);
  if (s->plan->per_row) cst_field_rhs_select(s->rhs, d->s->row);
}

/* ---- on other inputs ----------------------------------------------------------------------------------------- */

typedef struct receiver {
  cst_value_fn *at;
  void *arg;
} receiver;

static cst_status receive(void *arg, size_t i, void *y, bool *jumped) {
  (void)jumped;
  const receiver *r = arg;
  return r->at(r->arg, i, y);
}

/* Captures of the forward solve, but for those that are given. */
static void set_captures(const cst_directions *d, const void *const *given) {
  for (uint32_t c = 0; c < d->n_captures; c++) {
    void *as_it_was = d->call->p[2 + d->plan->n_parts + c];
    d->s->capture[c] = given && given[c] && d->has[c] ? put(d, c, given[c]) : as_it_was;
  }
  bind(d, d->s);
}

static cst_status again(void *directions, const void *y0, const void *const *captures, const double *times,
                        cst_value_fn *at, void *arg) {
  const cst_directions *d = directions;
  cst_solve_state *s = d->s;
  receiver to = {at, arg};
  set_captures(d, captures);
  cst_integration run = cst_solve_way(s);
  memcpy(s->y, y0, run.rhs->n * element(d));
  run.at = receive, run.arg = &to, run.replay = run.exact = true, run.stats = &s->report.backward;
  if (times) run.times = times;
  cst_status st = cst_integrate(s->integrator, &run);
  set_captures(d, NULL);
  return st;
}

/* ---- the tangent ----------------------------------------------------------------------------------------------- */

/* t->y = [z0, y0_dot], z0 being the first value of the solve. */
static void load(const cst_directions *d, cst_solve_state *t, const void *y0_dot) {
  size_t size = element(d), rows = cst_solve_rows_now(d->s);
  cst_solve_gather(d->s, d->first, 0, d->z);
  for (uint32_t p = 0; p < d->plan->n_parts; p++) {
    const cst_part *from = cst_solve_part(d->s, p), *dot = cst_solve_part(t, p + d->plan->n_parts);
    size_t bytes = from->n * rows * size, at = from->offset * size;
    memcpy((char *)t->y + cst_solve_part(t, p)->offset * size, (const char *)d->z + at, bytes);
    if (y0_dot) memcpy((char *)t->y + dot->offset * size, (const char *)y0_dot + at, bytes);
    else memset((char *)t->y + dot->offset * size, 0, bytes);
  }
}

/* The tangent solve stands where the run of the forward solve does, on its schedule. */
static cst_status choose(const cst_directions *d, cst_solve_state *t, const void *const *capture_dot) {
  uint32_t n_parts = d->plan->n_parts, k = d->n_captures;
  if (!d->plan->per_row) cst_solve_resize(t, cst_solve_rows_now(d->s));
  for (uint32_t c = 0; c < d->n_captures; c++) {
    t->capture[c] = d->call->p[2 + n_parts + c];
    if (d->has[c]) t->capture[k++] = put(d, c, capture_dot ? capture_dot[c] : NULL);
  }
  if (t->plan->timed) t->capture[k] = t->clock;
  for (uint32_t p = 0; p < n_parts; p++) t->values[p] = NULL, t->values[n_parts + p] = d->part[p];
  bind(d, t);
  CST_TRY(cst_solve_choose(t, &d->call->q->operand[1], d->call->p[1], d->s->row));
  return CST_OK;
}

/* Along the steps of the forward solve, or along its own. */
static cst_status go(const cst_directions *d, cst_solve_state *t, const double *times_dot, bool given) {
  if (given) t->schedule = d->s->schedule;
  cst_integration run = cst_solve_way(t);
  run.at = cst_solve_keep, run.arg = t, run.exact = true, run.stats = &d->s->report.backward, run.replay = given;
  return times_dot ? cst_solve_timed(t, &run, times_dot) : cst_integrate(t->integrator, &run);
}

static cst_status tangent(void *directions, const void *y0_dot, const void *const *capture_dot, const double *times_dot,
                          cst_value_fn *at, void *arg) {
  const cst_directions *d = directions;
  cst_solve_state *t = d->tangent[times_dot != NULL];
  CST_TRY(choose(d, t, capture_dot));
  load(d, t, y0_dot);
  cst_status st = go(d, t, times_dot, !cst_solver_decides(d->plan->solver));
  if (st == CST_ESTEPMIN && !cst_solver_decides(d->plan->solver)) {
    CST_TRY(choose(d, t, capture_dot)); /* a step that was fine without the tangent is refused with it */
    load(d, t, y0_dot);
    st = go(d, t, times_dot, false);
  }
  if (st != CST_OK) return cst_fail_note(d->ctx, st, "tangent of a solve");
  for (size_t i = 0; i < t->n_times; i++) {
    cst_solve_gather(d->s, d->part, i, d->z);
    CST_TRY(at(arg, i, d->z));
  }
  return CST_OK;
}

static void taken(void *directions, size_t k, double *t, double *h) {
  const cst_schedule *steps = ((const cst_directions *)directions)->s->schedule;
  *t = cst_schedule_t(steps, k), *h = cst_schedule_h(steps, k);
}

void cst_directions_offer(cst_directions *d, cst_solve_state *s, const cst_call *c, cst_solve_pullback *back) {
  d->s = s, d->call = c, d->first = c->p + 2 + d->plan->n_parts + d->n_captures;
  for (uint32_t i = 0; i < d->n_captures; i++) {
    d->standing[i] = (const char *)c->p[2 + d->plan->n_parts + i] + own_offset(d, i);
    if (!d->has[i]) back->capture_bar[i] = NULL;
  }
  back->capture = d->standing, back->capture_row = d->row, back->separable = d->separable;
  back->n_taken = s->schedule->n, back->taken = taken;
  back->directions = d, back->again = again;
  if (d->tangent[0]) back->tangent = tangent;
}
