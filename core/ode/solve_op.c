/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The solve node.
 *   inputs    y0 (n_parts), times [T], captures
 *   outputs   values [B, T, ..] (n_parts), record
 * Its pullback is the node solve_back (solve_back.c); its tangent is a solve of the tangent field.
 */
#include <string.h>

#include "autodiff/strided.h"
#include "costate/solve.h"
#include "ode/plan.h"
#include "ode/tape.h"

/* ---- types -------------------------------------------------------------------------------------------- */

static cst_type stacked(const cst_type *y0, int64_t times) {
  cst_type t = *y0;
  for (int i = t.rank; i > 1; i--) t.dim[i] = t.dim[i - 1];
  t.dim[1] = times;
  t.rank++;
  return t;
}

static cst_status check_part(const cst_host *h, const cst_solve_plan *p, uint32_t i, const cst_type *y0) {
  const cst_type *want = cst_field_part(p->field, i);
  char x[64], y[64];
  bool fits = y0->rank == want->rank && y0->dtype == want->dtype && y0->rank < CST_MAX_RANK &&
              memcmp(y0->dim, want->dim, sizeof y0->dim) == 0;
  if (fits) return CST_OK;
  return h->fail(h, CST_ESHAPE, "initial state %u is %s where the field takes %s", i + 1,
                 cst_type_format(y0, x, sizeof x), cst_type_format(want, y, sizeof y));
}

/* A capture may be of another space than in the field, never of another shape: its elements are read.
 * For the clock of a timed plan stands the tangent of the times. */
static cst_status check_capture(const cst_host *h, const cst_solve_plan *p, uint32_t c, const cst_type *in) {
  const cst_type *given = &in[p->n_parts + 1 + c], *want = cst_field_capture(p->field, c);
  if (p->timed && c + 1 == p->field->n_captures) want = &in[p->n_parts];
  char x[64], y[64];
  if (given->rank == want->rank && given->dtype == want->dtype && memcmp(given->dim, want->dim, sizeof given->dim) == 0)
    return CST_OK;
  return h->fail(h, CST_ESHAPE, "capture %u is %s where the field takes %s", c + 1, cst_type_format(given, x, sizeof x),
                 cst_type_format(want, y, sizeof y));
}

static cst_status solve_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                              cst_type *out, size_t *n_out) {
  const cst_solve_plan *p = cst_solve_plan_of(a);
  if (n != (size_t)p->n_parts + 1 + p->field->n_captures)
    return h->fail(h, CST_EINVAL, "the field takes %u captures", p->field->n_captures);
  const cst_type *times = &in[p->n_parts];
  if (times->rank != 1 || times->dtype != CST_F64 || times->space == CST_ROW || times->dim[0] < 1)
    return h->fail(h, CST_ESHAPE, "times are a vector of at least one f64");
  for (uint32_t i = 0; i < p->n_parts; i++) {
    CST_TRY(check_part(h, p, i, &in[i]));
    out[i] = stacked(&in[i], times->dim[0]);
  }
  for (uint32_t c = 0; c < p->field->n_captures; c++) CST_TRY(check_capture(h, p, c, in));
  out[p->n_parts] = (cst_type){.dtype = CST_OPAQUE};
  *n_out = (size_t)p->n_parts + 1;
  return CST_OK;
}

cst_value cst_graph_solve(cst_graph *g, cst_solve_plan *plan, const cst_value *y0, cst_value times,
                          const cst_value *captures) {
  cst_value in[MOST_VALUES];
  size_t n = 0;
  if (g->status != CST_OK) return CST_NONE;
  if ((size_t)plan->n_parts + 1 + plan->field->n_captures > MOST_VALUES)
    return cst_graph_fail(g, CST_EUNSUPPORTED, "a solve with more than %d values", MOST_VALUES);
  for (uint32_t i = 0; i < plan->n_parts; i++) in[n++] = y0[i];
  in[n++] = times;
  for (uint32_t i = 0; i < plan->field->n_captures; i++) in[n++] = captures[i];
  cst_attrs a = {.n_ints = 1, .i = {plan->n_parts}, .object = &plan->object};
  return g->host->node(g, "solve", in, n, &a);
}

/* ---- running ---------------------------------------------------------------------------------------------- */

static void solve_state_free(cst_context *ctx, void *state) {
  cst_solve_state *s = state;
  cst_integrator_free(s->integrator);
  cst_field_rhs_free(s->rhs);
  cst_tape_free(s->tape);
  cst_free(ctx, s->schedule.t);
  cst_free(ctx, s->schedule.h);
  cst_free(ctx, s->breaks);
  cst_free(ctx, s->y);
  cst_free(ctx, s->capture);
  cst_free(ctx, s);
}

cst_integrator_config cst_solve_config(const cst_solve_plan *p, const cst_rhs *f) {
  const cst_solve_options *o = &p->o;
  return (cst_integrator_config){
      .struct_size = sizeof(cst_integrator_config), .solver = p->solver, .solver_options = p->solver_options,
      .controller = p->controller, .controller_options = p->controller_options, .dtype = f->dtype,
      .rows = f->rows, .n = f->n, .n_stage = f->n_stage, .rtol = o->rtol, .atol = o->atol, .step = o->step,
      .first_step = o->first_step, .min_step = o->min_step, .max_step = o->max_step, .max_steps = o->max_steps};
}

static cst_status solve_state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state) {
  (void)rows;
  cst_solve_plan *p = (cst_solve_plan *)q->attrs->object;
  cst_solve_state *s = *state = cst_alloc(ctx, sizeof *s);
  if (!s) return CST_ENOMEM;
  s->ctx = ctx, s->plan = p;
  bool recorded = q->operand[q->n_in + p->n_parts].read;
  CST_TRY(cst_field_rhs_new(p->field, p->field->rows, p->flags, (const char *const *)p->names, cst_solve_plan_programs(p, recorded), &s->rhs));
  cst_rhs *f = cst_field_rhs_base(s->rhs);
  cst_integrator_config c = cst_solve_config(p, f);
  CST_TRY(cst_integrator_new(cst_host_of(ctx), &c, &s->integrator));
  if (recorded && (p->gradient->needs & CST_NEEDS_TAPE) &&
      !(s->tape = cst_tape_new(ctx, p->o.memory ? p->o.memory : (size_t)1 << 30)))
    return CST_ENOMEM;
  s->y = cst_alloc(ctx, 2 * (f->n + 1) * cst_dtype_size((cst_dtype)f->dtype));
  if (p->timed && s->y) s->slope = (char *)s->y + (f->n + 1) * cst_dtype_size((cst_dtype)f->dtype);
  s->capture = cst_alloc(ctx, (p->field->n_captures + p->n_parts + 1) * sizeof *s->capture);
  if (!s->y || !s->capture) return CST_ENOMEM;
  s->values = s->capture + p->field->n_captures;
  return CST_OK;
}

/* Part p of a state vector: its offset and scalars a row. The field's order differs from the order of
 * the vector when quadrature parts stand between others. */
const cst_part *cst_solve_part(const cst_solve_state *s, uint32_t p) {
  const cst_rhs *f = cst_field_rhs_base(s->rhs);
  uint32_t k = 0;
  bool late = s->plan->flags[p] & CST_PART_QUADRATURE;
  for (uint32_t i = 0; i < s->plan->n_parts; i++) {
    bool q = s->plan->flags[i] & CST_PART_QUADRATURE;
    if (i != p && ((q == late && i < p) || (late && !q))) k++;
  }
  return &f->parts[k];
}

/* The n scalars of row b move between [B, T, n] and the vector. */
static void move(const cst_solve_state *s, void *const *parts, size_t i, void *y, bool out) {
  const cst_rhs *f = cst_field_rhs_base(s->rhs);
  size_t size = cst_dtype_size((cst_dtype)f->dtype);
  for (uint32_t p = 0; p < s->plan->n_parts; p++) {
    const cst_part *part = cst_solve_part(s, p);
    size_t bytes = part->n * size;
    char *in_vector = (char *)y + part->offset * size, *in_stack = parts[p];
    if (!in_stack) continue;
    char *in_rows = in_stack + i * bytes;
    if (out) cst_copy_rows(bytes, f->rows, in_vector, bytes, in_rows, s->n_times * bytes);
    else cst_copy_rows(bytes, f->rows, in_rows, s->n_times * bytes, in_vector, bytes);
  }
}
void cst_solve_gather(const cst_solve_state *s, void *const *parts, size_t i, void *y) { move(s, parts, i, y, false); }
void cst_solve_scatter(const cst_solve_state *s, void *const *parts, size_t i, const void *y) {
  move(s, parts, i, (void *)(uintptr_t)y, true);
}

static cst_status keep_value(void *arg, size_t i, void *y, bool *jumped) {
  (void)jumped;
  const cst_solve_state *s = arg;
  cst_solve_scatter(s, s->values, i, y);
  return CST_OK;
}

static void load_initial(cst_solve_state *s, void *const *y0) {
  const cst_rhs *f = cst_field_rhs_base(s->rhs);
  size_t size = cst_dtype_size((cst_dtype)f->dtype);
  for (uint32_t p = 0; p < s->plan->n_parts; p++) {
    const cst_part *part = cst_solve_part(s, p);
    memcpy((char *)s->y + part->offset * size, y0[p], part->n * f->rows * size);
  }
}

/* Adds where a NaN was born to the driver's message. */
static cst_status explain(cst_solve_state *s, cst_status st) {
  char text[160];
  if (st != CST_ENONFINITE) return st;
  bool found = cst_field_rhs_find_nonfinite(s->rhs, s->report.t, s->report.forward.last_h, s->y, text, sizeof text);
  return found ? cst_fail_note(s->ctx, st, "a value stopped being finite in %s", text) : st;
}

static void count(cst_run *run, const cst_solve_state *s) {
  run->nfe_forward += s->report.forward.evaluations;
  run->steps_accepted += s->report.forward.accepted;
  run->steps_rejected += s->report.forward.rejected;
}

static cst_status solve_run(const cst_call *c) {
  cst_solve_state *s = c->state;
  const cst_solve_plan *p = s->plan;
  const cst_operand *times = &c->q->operand[p->n_parts];
  for (uint32_t i = 0; i < p->n_parts; i++) s->values[i] = c->p[c->q->n_in + i];
  const double *times_dot = p->timed ? c->p[c->q->n_in - 1] : NULL;
  for (uint32_t i = 0; i < p->field->n_captures; i++) s->capture[i] = c->p[p->n_parts + 1 + i];
  if (p->timed) s->capture[p->field->n_captures - 1] = s->clock;
  cst_field_rhs_bind(s->rhs, (const void *const *)s->capture, c->run);
  load_initial(s, c->p);
  if (s->tape) cst_tape_clear(s->tape);
  s->n_times = times->inner, s->times = c->p[p->n_parts];
  CST_TRY(cst_knots_merge(s, 0, p->field->rows));
  s->report = (cst_solve_report){.solves = 1};
  cst_integration run = {
      .struct_size = sizeof run, .rhs = cst_field_rhs_base(s->rhs), .times = s->times, .n_times = s->n_times,
      .y = s->y, .at = keep_value, .arg = s, .tape = s->tape, .schedule = &s->schedule,
      .replay = c->run->replay && s->replayed, .stats = &s->report.forward,
      .breaks = s->breaks, .n_breaks = s->n_breaks};
  cst_status st = p->timed ? cst_solve_timed(s, &run, times_dot) : cst_integrate(s->integrator, &run);
  s->replayed = st == CST_OK;
  s->report.tape_bytes = s->tape ? cst_tape_bytes(s->tape) : 0;
  s->report.status = st;
  s->report.t = s->report.forward.t;
  count(c->run, s);
  void **record = (void **)c->p[c->q->n_in + p->n_parts];
  if (record) *record = s;
  return explain(s, st);
}

/* ---- pullback rule --------------------------------------------------------------------------------------------- */

/* Sums for captures are kept in the graph's float type: those of another have none, which must not
 * pass for zero. */
static cst_status refuse_mixed_captures(cst_graph *g, const cst_solve_plan *p, const bool *want) {
  for (uint32_t c = 0; c < p->field->n_captures; c++) {
    uint8_t d = cst_field_capture(p->field, c)->dtype;
    if (!want[c] || d == g->real || (d != CST_F32 && d != CST_F64)) continue;
    cst_status st = cst_field_derive(p->field);
    if (st != CST_OK) return g->status = st;
    if (p->field->has_capture_bar[c])
      cst_graph_fail(g, CST_EUNSUPPORTED, "the derivative in a value of other than the graph's float type that the "
                                          "field captures: convert it outside of the field");
  }
  return g->status;
}

static cst_status solve_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                            const cst_value *out, const cst_value *bar, const bool *want,
                            cst_value *in_bar) {
  const cst_solve_plan *p = cst_solve_plan_of(a);
  uint32_t n_parts = p->n_parts, n_caps = p->field->n_captures;
  cst_value back[4 * MOST_VALUES];
  if (p->timed)
    return cst_graph_fail(g, CST_EUNSUPPORTED, "a tangent in the times of a solve has no reverse derivative"), g->status;
  size_t m = 0;
  uint64_t given = 0;
  cst_attrs at = {.n_ints = 2, .i = {n_parts, 0}, .object = a->object};
  back[m++] = out[n_parts];
  back[m++] = in[n_parts];
  for (uint32_t i = 0; i < n_parts; i++) back[m++] = in[i];
  for (uint32_t i = 0; i < n_caps; i++) back[m++] = in[n_parts + 1 + i];
  for (uint32_t i = 0; i < n_parts; i++) back[m++] = out[i];
  for (uint32_t i = 0; i < n_parts; i++)
    if (bar[i]) back[m++] = bar[i], given |= (uint64_t)1 << i;
  if (!given) return g->status;
  at.i[1] = (int64_t)given;
  CST_TRY(refuse_mixed_captures(g, p, want + n_parts + 1));
  cst_value v = g->host->node(g, "solve_back", back, m, &at);
  for (uint32_t i = 0; v && i < n; i++) {
    bool real = type_at(g, in[i])->dtype == CST_F32 || type_at(g, in[i])->dtype == CST_F64;
    if (want[i] && real) in_bar[i] = v + i;
  }
  return g->status;
}

/* ---- tangent -------------------------------------------------------------------------------------------------------- */

static cst_status solve_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                            const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)n, (void)out;
  const cst_solve_plan *p = cst_solve_plan_of(a);
  uint32_t n_parts = p->n_parts, n_caps = p->field->n_captures, nc = 0;
  cst_value y0[64], caps[2 * MOST_VALUES];
  bool has[MOST_VALUES] = {false};
  for (uint32_t i = 0; i < n_caps; i++) caps[nc++] = in[n_parts + 1 + i];
  for (uint32_t i = 0; i < n_caps; i++)
    if ((has[i] = dot[n_parts + 1 + i] != CST_NONE)) caps[nc++] = dot[n_parts + 1 + i];
  cst_solve_plan *tangent;
  bool timed = dot[n_parts] != CST_NONE;
  if (timed) caps[nc++] = dot[n_parts]; /* in the place of the clock, see timed.c */
  cst_status st = cst_solve_plan_tangent(p, has, timed, &tangent);
  if (st != CST_OK) return g->status = st;
  for (uint32_t i = 0; i < n_parts; i++) {
    y0[i] = in[i];
    y0[n_parts + i] = value_or_zero(g, dot[i], in[i]);
  }
  cst_value v = cst_graph_solve(g, tangent, y0, in[n_parts], caps);
  cst_object_release(tangent);
  for (uint32_t i = 0; v && i < n_parts; i++) out_dot[i] = v + n_parts + i;
  return g->status;
}

static const cst_op solve = {
  .struct_size = sizeof(cst_op), .name = "solve", .n_in_min = 2, .n_in_max = MOST_VALUES, .infer = solve_infer,
  .kernel = {solve_run, solve_run}, .vjp = solve_vjp, .jvp = solve_jvp,
  .state_new = solve_state_new, .state_free = solve_state_free,
};
cst_status cst_register_solve(const cst_host *h) {
  CST_TRY(h->register_op(h, &solve));
  return cst_register_solve_back(h);
}

/* ---- reports --------------------------------------------------------------------------------------------------------- */

static void add_stats(cst_solve_stats *to, const cst_solve_stats *from) {
  to->evaluations += from->evaluations, to->accepted += from->accepted, to->rejected += from->rejected;
  to->last_h = from->last_h, to->t = from->t;
}

cst_solve_report cst_workspace_solves(const cst_workspace *w) {
  cst_solve_report sum = {0};
  for (uint32_t i = 0; i < w->p->n_code; i++) {
    const cst_solve_state *s = w->state[i];
    if (w->p->code[i].op != &solve || !s || !s->report.solves) continue;
    add_stats(&sum.forward, &s->report.forward);
    add_stats(&sum.backward, &s->report.backward);
    sum.solves++, sum.tape_bytes += s->report.tape_bytes;
    if (sum.status == CST_OK) sum.status = s->report.status, sum.t = s->report.t;
  }
  return sum;
}
