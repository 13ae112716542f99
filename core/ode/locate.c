/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The node `locate`: follows the field of a solve until an event happens.
 *   inputs    y0 (n_parts), times [2] or [B, 2], skip [B], captures of the field, captures of the events
 *   outputs   time [B], which [B] (from 1; 0: none, and the time is the last), both f64
 *
 * It has no derivative. What follows is differentiable: a solve up to that time, and one step of Newton's
 * method on g(t, y(t)) = 0, which by the implicit function theorem carries the derivative of the time
 * (lua/costate/events.lua).
 */
#include <string.h>

#include "ode/plan.h"

enum { MOST_EVENTS = 64 };

struct cst_event_plan {
  cst_object object;
  cst_context *ctx;
  cst_solve_plan *solve;
  cst_field *field; /* (t, y.., e, captures..) -> 0.., g: e is there to have the shape of g */
  size_t n_events;
  int8_t direction[MOST_EVENTS];
};

static const cst_event_plan *plan_of(const cst_attrs *a) { return (const cst_event_plan *)a->object; }

/* ---- the plan ------------------------------------------------------------------------------------------- */

static void plan_destroy(cst_object *o) {
  cst_event_plan *p = (cst_event_plan *)o;
  cst_object_release(&p->solve->object);
  cst_object_release(p->field);
  cst_free(p->ctx, p);
}

static bool plan_same(const cst_object *a, const cst_object *b) {
  const cst_event_plan *p = (const cst_event_plan *)a, *q = (const cst_event_plan *)b;
  cst_value x, y;
  return p->n_events == q->n_events && memcmp(p->direction, q->direction, sizeof p->direction) == 0 &&
         p->solve->object.same(&p->solve->object, &q->solve->object) &&
         cst_function_equal(p->field->f, q->field->f, &x, &y);
}

/* The values of the events, a number a row each, side by side. */
static cst_value side_by_side(cst_graph *g, const cst_value *event, size_t n, int64_t rows) {
  cst_value list[MOST_EVENTS];
  for (size_t e = 0; e < n; e++) list[e] = cst_reshape(g, event[e], 2, (const int64_t[]){rows, 1});
  return n == 1 ? list[0] : cst_concat(g, list, n, 1);
}

/* The events as a field whose last part they are the derivative of. */
static cst_status as_field(const cst_solve_plan *p, const cst_function *events, cst_function **out) {
  uint32_t n_parts = p->n_parts, n_caps = events->n_in - 1 - n_parts;
  int64_t rows = (int64_t)p->field->rows;
  cst_type e = {.dtype = events->graph->real, .space = CST_ROW, .rank = 2, .dim = {rows, (int64_t)events->n_out}};
  cst_graph *g;
  CST_TRY(cst_graph_new(p->ctx, (cst_dtype)events->graph->real, rows, &g));
  cst_value arg[MOST_VALUES], in[MOST_VALUES + 1], value[MOST_EVENTS], dy[MOST_VALUES];
  for (uint32_t i = 0; i < events->n_in; i++) {
    const cst_node *q = node_at(events->graph, events->inputs[i]);
    arg[i] = cst_graph_input(g, &q->type[0], q->name);
  }
  memcpy(in, arg, (1 + n_parts) * sizeof *in);
  in[1 + n_parts] = cst_graph_input(g, &e, "events");
  memcpy(in + 2 + n_parts, arg + 1 + n_parts, n_caps * sizeof *in);
  cst_status st = cst_function_call(g, events, arg, value);
  for (uint32_t i = 0; i < n_parts; i++) dy[i] = cst_zeros_like(g, arg[1 + i]);
  if (st == CST_OK) dy[n_parts] = side_by_side(g, value, events->n_out, rows);
  if (st == CST_OK) dy[n_parts] = cst_broadcast_like(g, dy[n_parts], in[1 + n_parts]);
  if (st == CST_OK) st = cst_function_new(g, in, events->n_in + 1, dy, n_parts + 1, out);
  cst_graph_release(g);
  return st;
}

static cst_status check(const cst_solve_plan *p, const cst_function *events) {
  if (p->field->rows > 1 && !p->per_row)
    return cst_fail(p->ctx, CST_EUNSUPPORTED, "events of a batch happen to each row at its own time: set control = \"row\"");
  if (events->n_out < 1 || events->n_out > MOST_EVENTS)
    return cst_fail(p->ctx, CST_EINVAL, "a solve has from 1 to %d events, got %u", MOST_EVENTS, events->n_out);
  if (events->n_in < 1 + p->n_parts || events->n_in > MOST_VALUES)
    return cst_fail(p->ctx, CST_EUNSUPPORTED, "events with more than %d values", MOST_VALUES);
  for (uint32_t e = 0; e < events->n_out; e++)
    if (cst_type_count(type_at(events->graph, events->outputs[e])) != p->field->rows)
      return cst_fail(p->ctx, CST_ESHAPE, "event %u must give one number for each row", e + 1);
  return CST_OK;
}

cst_status cst_event_plan_new(cst_context *ctx, cst_solve_plan *solve, cst_function *events, const int8_t *direction,
                              cst_event_plan **out) {
  cst_function *f = NULL;
  *out = NULL;
  CST_TRY(check(solve, events));
  cst_event_plan *p = cst_alloc(ctx, sizeof *p);
  if (!p) return CST_ENOMEM;
  *p = (cst_event_plan){.object = {1, plan_destroy, plan_same}, .ctx = ctx, .n_events = events->n_out};
  p->solve = cst_object_retain(solve);
  memcpy(p->direction, direction, p->n_events);
  cst_status st = as_field(solve, events, &f);
  if (st == CST_OK) st = cst_field_new(ctx, f, solve->n_parts + 1, &p->field);
  cst_object_release(f);
  if (st == CST_OK) *out = p;
  else cst_object_release(p);
  return st;
}

/* ---- the node ------------------------------------------------------------------------------------------- */

static cst_status locate_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n, cst_type *out,
                               size_t *n_out) {
  const cst_event_plan *p = plan_of(a);
  uint32_t n_parts = p->solve->n_parts;
  const cst_type *times = &in[n_parts], *skip = &in[n_parts + 1];
  if (n != (size_t)n_parts + 2 + p->solve->field->n_captures + p->field->n_captures)
    return h->fail(h, CST_EINVAL, "the field and its events take %u and %u captures", p->solve->field->n_captures,
                   p->field->n_captures);
  bool own = times->rank == 2 && (size_t)times->dim[0] == p->field->rows;
  if (times->dtype != CST_F64 || (times->rank != 1 && !own) || cst_times_count(times) != 2)
    return h->fail(h, CST_ESHAPE, "the times of a search for events are two, of f64");
  if (skip->dtype != CST_F64 || cst_type_count(skip) != p->field->rows)
    return h->fail(h, CST_ESHAPE, "the event to skip is an f64 number a row");
  out[0] = (cst_type){.dtype = CST_F64, .space = in[0].space, .rank = 1, .dim = {(int64_t)p->field->rows}};
  out[1] = out[0];
  *n_out = 2;
  return CST_OK;
}

cst_value cst_graph_locate(cst_graph *g, cst_event_plan *plan, const cst_value *y0, cst_value times, cst_value skip,
                           const cst_value *captures, const cst_value *event_captures) {
  cst_value in[3 * MOST_VALUES];
  size_t n = 0;
  if (g->status != CST_OK) return CST_NONE;
  for (uint32_t i = 0; i < plan->solve->n_parts; i++) in[n++] = y0[i];
  in[n++] = times, in[n++] = skip;
  for (uint32_t i = 0; i < plan->solve->field->n_captures; i++) in[n++] = captures[i];
  for (uint32_t i = 0; i < plan->field->n_captures; i++) in[n++] = event_captures[i];
  return g->host->node(g, "locate", in, n, &(cst_attrs){.n_ints = 1, .i = {plan->solve->n_parts}, .object = &plan->object});
}

typedef struct locate_state {
  cst_context *ctx;
  const cst_event_plan *plan;
  cst_field_rhs *rhs, *events;
  cst_integrator *integrator;
  unsigned char *y, *y_events, *g; /* the state; the same with part e behind; what the events gave */
  cst_solve_state breaks;          /* of which only what cst_knots_merge reads and writes is there */
} locate_state;

static void locate_state_free(cst_context *ctx, void *state) {
  locate_state *s = state;
  cst_integrator_free(s->integrator);
  cst_field_rhs_free(s->rhs);
  cst_field_rhs_free(s->events);
  cst_free(ctx, s->y);
  cst_free(ctx, s->breaks.breaks);
  cst_free(ctx, s);
}

static cst_status locate_state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state) {
  (void)rows;
  const cst_event_plan *p = plan_of(q->attrs);
  const cst_solve_plan *o = p->solve;
  locate_state *s = *state = cst_alloc(ctx, sizeof *s);
  if (!s) return CST_ENOMEM;
  s->ctx = ctx, s->plan = p;
  s->breaks.ctx = ctx, s->breaks.plan = o, s->breaks.n_times = 2;
  CST_TRY(cst_field_refuse_coupled(o->field, "steps of each row's own for a field"));
  CST_TRY(cst_field_refuse_coupled(p->field, "events of each row's own by functions"));
  CST_TRY(cst_field_rhs_new(o->field, 1, o->flags, (const char *const *)o->names, cst_solve_plan_programs(o, false), &s->rhs));
  CST_TRY(cst_field_rhs_new(p->field, 1, NULL, NULL, 1u << FIELD_EVAL, &s->events));
  cst_rhs *f = cst_field_rhs_base(s->rhs), *e = cst_field_rhs_base(s->events);
  f->lower = o->o.lower, f->upper = o->o.upper;
  cst_integrator_config c = cst_solve_config(o, f);
  CST_TRY(cst_integrator_new(cst_host_of(ctx), &c, &s->integrator));
  size_t bytes = ((e->n + 1) * sizeof(double) + 63) & ~(size_t)63;
  s->y = cst_alloc(ctx, 3 * bytes);
  if (!s->y) return CST_ENOMEM;
  s->y_events = s->y + bytes, s->g = s->y_events + bytes;
  return CST_OK;
}

/* The parts of the solve's vector stand in that of the events in the field's order, which differs when there are
 * quadrature parts. */
static cst_status event_values(void *arg, double t, const void *y, double *g) {
  locate_state *s = arg;
  cst_rhs *f = cst_field_rhs_base(s->rhs), *e = cst_field_rhs_base(s->events);
  size_t size = cst_dtype_size((cst_dtype)f->dtype), at = 0;
  for (uint32_t p = 0; p < s->plan->solve->n_parts; p++) {
    const cst_part *part = cst_solve_plan_part(s->plan->solve, f, p);
    memcpy(s->y_events + at * size, (const char *)y + part->offset * size, part->n * size);
    at += part->n;
  }
  CST_TRY(e->eval(e, &t, s->y_events, s->g));
  for (size_t k = 0; k < s->plan->n_events; k++)
    g[k] = size == 4 ? (double)((const float *)(const void *)s->g)[at + k] : ((const double *)(const void *)s->g)[at + k];
  return CST_OK;
}

static void load(const locate_state *s, void *const *y0, size_t row) {
  const cst_rhs *f = cst_field_rhs_base(s->rhs);
  size_t size = cst_dtype_size((cst_dtype)f->dtype);
  for (uint32_t p = 0; p < s->plan->solve->n_parts; p++) {
    const cst_part *part = cst_solve_plan_part(s->plan->solve, f, p);
    memcpy(s->y + part->offset * size, (const char *)y0[p] + row * part->n * size, part->n * size);
  }
}

static cst_status follow(locate_state *s, size_t row, const double *times, size_t skip, cst_solve_stats *stats,
                         cst_event *found) {
  const cst_event_plan *p = s->plan;
  s->breaks.times = times;
  CST_TRY(cst_knots_merge(&s->breaks, row, 1));
  *found = (cst_event){SIZE_MAX, times[1]};
  cst_integration run = {.struct_size = sizeof run, .rhs = cst_field_rhs_base(s->rhs), .times = times, .n_times = 2,
                         .y = s->y, .stats = stats, .event = event_values, .event_arg = s, .n_events = p->n_events,
                         .event_direction = p->direction, .event_skip = skip <= p->n_events ? skip : 0,
                         .event_found = found, .breaks = s->breaks.breaks, .n_breaks = s->breaks.n_breaks};
  return cst_integrate(s->integrator, &run);
}

static cst_status locate_run(const cst_call *c) {
  locate_state *s = c->state;
  const cst_event_plan *p = s->plan;
  uint32_t n_parts = p->solve->n_parts;
  const cst_operand *times = &c->q->operand[n_parts];
  const double *t = c->p[n_parts], *skip = c->p[n_parts + 1];
  double *when = c->p[c->q->n_in], *which = c->p[c->q->n_in + 1];
  cst_solve_stats stats = {0};
  s->breaks.capture = (void **)(uintptr_t)(c->p + n_parts + 2);
  cst_field_rhs_bind(s->rhs, (const void *const *)(c->p + n_parts + 2), c->run);
  cst_field_rhs_bind(s->events, (const void *const *)(c->p + n_parts + 2 + p->solve->field->n_captures), c->run);
  size_t rows = c->q->operand[0].type.space == CST_ROW ? c->rows : p->field->rows;
  for (size_t row = 0; row < rows; row++) {
    cst_event found;
    cst_field_rhs_select(s->rhs, row), cst_field_rhs_select(s->events, row);
    load(s, c->p, row);
    const double *span = t + cst_times_of_row(&times->type, row);
    CST_TRY(follow(s, row, span, (size_t)skip[row], &stats, &found));
    if (when) when[row] = found.which == SIZE_MAX ? span[1] : found.t;
    if (which) which[row] = found.which == SIZE_MAX ? 0 : (double)found.which + 1;
  }
  c->run->nfe_forward += stats.evaluations;
  return CST_OK;
}

/* Every row has a search of its own, where the captures that are of rows are given as rows. */
static bool locate_first_rows(const cst_attrs *a, const cst_type *in, size_t n) {
  const cst_event_plan *p = plan_of(a);
  uint32_t n_parts = p->solve->n_parts, n_caps = p->solve->field->n_captures;
  (void)n;
  for (uint32_t i = 0; i < n_parts; i++)
    if (in[i].space != CST_ROW) return false;
  for (uint32_t c = 0; c < n_caps; c++)
    if (in[n_parts + 2 + c].space != cst_field_capture(p->solve->field, c)->space) return false;
  for (uint32_t c = 0; c < p->field->n_captures; c++)
    if (in[n_parts + 2 + n_caps + c].space != cst_field_capture(p->field, c)->space) return false;
  return in[n_parts + 1].space == CST_ROW && (in[n_parts].rank == 1 || in[n_parts].space == CST_ROW);
}

static const cst_op locate = {
  .struct_size = sizeof(cst_op), .name = "locate", .n_in_min = 3, .n_in_max = 3 * MOST_VALUES, .flags = CST_OP_CONSTANT,
  .infer = locate_infer, .kernel = {locate_run, locate_run}, .state_new = locate_state_new,
  .state_free = locate_state_free, .first_rows = locate_first_rows,
};

cst_status cst_register_locate(const cst_host *h) { return h->register_op(h, &locate); }
