/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ode/plan.h"

#include <float.h>
#include <string.h>

#include "costate/registry.h"

void cst_solve_defaults(cst_solve_options *o) {
  *o = (cst_solve_options){.solver = "dopri5", .gradient = "discrete", .controller = "i", .rtol = 1e-6,
                           .atol = 1e-9, .max_steps = 100000, .lower = SIZE_MAX, .upper = SIZE_MAX};
}

static void plan_destroy(cst_object *o) {
  cst_solve_plan *p = (cst_solve_plan *)o;
  cst_context *ctx = p->ctx;
  cst_object_release(p->field);
  cst_free(ctx, p->knots);
  cst_free(ctx, p->flags);
  for (uint32_t i = 0; p->names && i < p->n_parts; i++) cst_free(ctx, p->names[i]);
  cst_free(ctx, p->names);
  cst_options_free(ctx, p->solver_options);
  cst_options_free(ctx, p->controller_options);
  cst_options_free(ctx, p->gradient_options);
  cst_free(ctx, p);
}

static bool plan_same(const cst_object *a, const cst_object *b);

/* ---- options ---------------------------------------------------------------------------------------------- */

static void as_given(const cst_option *s, const cst_option_value *v, cst_given *g) {
  *g = (cst_given){.name = s->name, .kind = s->kind, .number = v->number, .integer = v->integer,
                   .string = v->string, .list = v->list, .n_list = v->n_list};
}

/* A copy of resolved options, or the defaults of the schema. */
static cst_status own_options(cst_context *ctx, const char *what, const cst_option *schema,
                              const cst_options *from, cst_options **out) {
  cst_given given[64];
  size_t n = 0;
  for (size_t i = 0; from && from->schema && from->schema[i].kind != CST_OPTION_END && n < 64; i++)
    if (from->values[i].given) as_given(&from->schema[i], &from->values[i], &given[n++]);
  return cst_options_new(ctx, what, schema, given, n, out);
}

/* A gradient's option `solver`, where it has one, names that of its integration backwards. */
static cst_status find_back(cst_solve_plan *p) {
  const char *name = cst_option_string(p->gradient_options, "solver");
  if (!name[0]) return CST_OK;
  const cst_entry *e = cst_find(p->ctx, CST_KIND_SOLVER, name);
  if (!e) return cst_last_status(p->ctx);
  p->back_traits = ((const cst_solver_type *)e->type)->traits;
  return CST_OK;
}

static cst_status find_types(cst_solve_plan *p, const cst_solve_options *o) {
  const cst_entry *s = cst_find(p->ctx, CST_KIND_SOLVER, o->solver);
  if (!s) return cst_last_status(p->ctx);
  const cst_entry *c = cst_find(p->ctx, CST_KIND_CONTROLLER, o->controller);
  if (!c) return cst_last_status(p->ctx);
  const cst_entry *g = cst_find(p->ctx, CST_KIND_GRADIENT, o->gradient);
  if (!g) return cst_last_status(p->ctx);
  p->solver = s->type, p->controller = c->type, p->gradient = g->type;
  p->per_row = o->per_row || (p->solver->traits & CST_SINGLE);
  CST_TRY(own_options(p->ctx, o->solver, s->options, o->solver_options, &p->solver_options));
  CST_TRY(own_options(p->ctx, o->controller, c->options, o->controller_options, &p->controller_options));
  CST_TRY(own_options(p->ctx, o->gradient, g->options, o->gradient_options, &p->gradient_options));
  return find_back(p);
}

static cst_status check_options(const cst_solve_plan *p, const cst_solve_options *o) {
  if (!(o->rtol >= 0) || !(o->atol >= 0) || !(o->rtol + o->atol > 0))
    return cst_fail(p->ctx, CST_EINVAL, "rtol and atol must not be negative nor both zero (got %g and %g)", o->rtol, o->atol);
  if (o->rtol > 0 && o->rtol < 4 * DBL_EPSILON)
    return cst_fail(p->ctx, CST_EINVAL, "rtol %g is below what f64 resolves, %.2g", o->rtol, 4 * DBL_EPSILON);
  if (o->step < 0 || o->first_step < 0 || o->min_step < 0 || o->max_step < 0)
    return cst_fail(p->ctx, CST_EINVAL, "step sizes are given as positive numbers, whatever the direction of time");
  if (!(p->solver->traits & CST_ADAPTIVE) && !(o->step > 0))
    return cst_fail(p->ctx, CST_EINVAL, "solver '%s' has no error estimate: give it a step size, step = 0.01 say", p->solver->name);
  if ((p->solver->traits & CST_F64_ONLY) && p->field->f->graph->real != CST_F64)
    return cst_fail(p->ctx, CST_EDTYPE, "solver '%s' computes in f64: run with --dtype f64", p->solver->name);
  return CST_OK;
}

/* A quadrature part is one that the field does not read. */
static cst_status check_quadrature(const cst_solve_plan *p) {
  const cst_function *f = p->field->f;
  for (uint32_t i = 0; i < p->n_parts; i++) {
    if (!(p->flags[i] & CST_PART_QUADRATURE)) continue;
    for (cst_value v = 1; v <= cst_graph_size(f->graph); v++)
      for (uint32_t k = 0; k < node_at(f->graph, v)->n_in; k++)
        if (node_at(f->graph, v)->in[k] == f->inputs[1 + i])
          return cst_fail(p->ctx, CST_EINVAL, "part '%s' is declared a quadrature, but the field depends on it",
                          p->names[i] ? p->names[i] : "?");
  }
  return CST_OK;
}

static cst_status copy_parts(cst_solve_plan *p, const uint32_t *flags, const char *const *names) {
  p->flags = cst_alloc(p->ctx, (p->n_parts + 1) * sizeof *p->flags);
  p->names = cst_alloc(p->ctx, (p->n_parts + 1) * sizeof *p->names);
  if (!p->flags || !p->names) return CST_ENOMEM;
  for (uint32_t i = 0; i < p->n_parts; i++) {
    if (flags) p->flags[i] = flags[i];
    if (names && names[i] && !(p->names[i] = cst_strdup(p->ctx, names[i]))) return CST_ENOMEM;
  }
  return CST_OK;
}

static cst_status new_plan(cst_context *ctx, cst_function *f, uint32_t n_parts, const uint32_t *flags,
                           const char *const *names, const cst_solve_options *o, cst_solve_plan **out) {
  cst_solve_plan *p = *out = cst_alloc(ctx, sizeof *p);
  if (!p) return CST_ENOMEM;
  p->object = (cst_object){1, plan_destroy, plan_same};
  p->ctx = ctx, p->n_parts = n_parts, p->o = *o;
  CST_TRY(cst_field_new(ctx, f, n_parts, &p->field));
  CST_TRY(cst_knots_find(p));
  return copy_parts(p, flags, names);
}

cst_status cst_solve_plan_new(cst_context *ctx, cst_function *field, size_t n_parts, const uint32_t *flags,
                              const char *const *names, const cst_solve_options *o, cst_solve_plan **out) {
  cst_solve_plan *p = NULL;
  *out = NULL;
  cst_status st = new_plan(ctx, field, (uint32_t)n_parts, flags, names, o, &p);
  if (st == CST_OK) st = find_types(p, o);
  if (st == CST_OK) st = check_options(p, o);
  if (st == CST_OK) st = check_quadrature(p);
  if (st == CST_OK) *out = p;
  else cst_object_release(p);
  return st;
}

uint32_t cst_solve_plan_programs(const cst_solve_plan *p, bool recorded) {
  uint32_t eval = 1u << FIELD_EVAL;
  if ((p->solver->traits | p->back_traits) & CST_IMPLICIT) eval |= 1u << FIELD_JVP;
  if (!recorded) return eval;
  if (p->gradient->needs & (CST_NEEDS_TAPE | CST_NEEDS_FINAL)) return eval | 1u << FIELD_KEEP | 1u << FIELD_PULL;
  if (p->gradient->needs & (CST_NEEDS_AGAIN | CST_NEEDS_TANGENT)) return eval; /* it goes forwards only */
  return eval | 1u << FIELD_JOINT;
}

/* ---- the tangent ------------------------------------------------------------------------------------------- */

/* The tangent of t, and of dy the part that comes from a step size which moves (timed.c). */
static cst_value time_tangent(cst_graph *g, cst_value t, cst_value clock) {
  cst_value now[3];
  for (int i = 0; i < 3; i++) now[i] = cst_reshape(g, cst_slice(g, clock, 0, i, i + 1, 1), 0, NULL);
  return cst_add(g, now[0], cst_mul(g, now[1], cst_sub(g, t, now[2])));
}

static cst_value stretch(cst_graph *g, cst_value clock, cst_value dy) {
  return cst_mul(g, cst_reshape(g, cst_slice(g, clock, 0, 1, 2, 1), 0, NULL), dy);
}

/* (t, y.., y_dot.., c.., c_dot.. [, clock]) -> (dy.., dy_dot..) */
static cst_status tangent_function(const cst_solve_plan *p, const bool *has, bool timed, cst_function **out) {
  const cst_function *f = p->field->f;
  uint32_t n_parts = p->n_parts, n = f->n_in;
  cst_graph *g;
  CST_TRY(cst_graph_new(p->ctx, (cst_dtype)f->graph->real, f->graph->rows, &g));
  cst_value *in = cst_alloc(p->ctx, (size_t)(4 * n + 4 * n_parts + 4) * sizeof *in);
  if (!in) return cst_graph_release(g), CST_ENOMEM;
  cst_value *arg = in + 2 * n, *dot = arg + n, *dy = dot + n;
  uint32_t m = 0;
  in[m++] = arg[0] = cst_graph_input(g, type_at(f->graph, f->inputs[0]), "t");
  for (int tangent = 0; tangent < 2; tangent++)
    for (uint32_t i = 1; i <= n_parts; i++)
      in[m++] = (tangent ? dot : arg)[i] = cst_graph_input(g, type_at(f->graph, f->inputs[i]), node_at(f->graph, f->inputs[i])->name);
  for (int tangent = 0; tangent < 2; tangent++)
    for (uint32_t i = 1 + n_parts; i < n; i++)
      if (!tangent || has[i - 1 - n_parts])
        in[m++] = (tangent ? dot : arg)[i] = cst_graph_input(g, type_at(f->graph, f->inputs[i]), node_at(f->graph, f->inputs[i])->name);
  cst_type three = {.dtype = CST_F64, .rank = 1, .dim = {3}};
  cst_value clock = timed ? cst_graph_input(g, &three, "clock") : CST_NONE;
  if (timed) in[m++] = clock, dot[0] = time_tangent(g, arg[0], clock);
  cst_status st = cst_function_call(g, f, arg, dy);
  if (st == CST_OK) st = cst_graph_jvp(g, arg, dot, n, dy, n_parts, dy + n_parts);
  for (uint32_t i = 0; st == CST_OK && i < n_parts; i++) {
    if (timed) dy[n_parts + i] = add_values(g, dy[n_parts + i], stretch(g, clock, dy[i]));
    dy[n_parts + i] = value_or_zero(g, dy[n_parts + i], dy[i]);
    st = g->status;
  }
  if (st == CST_OK) st = cst_function_new(g, in, m, dy, 2 * n_parts, out);
  cst_free(p->ctx, in);
  cst_graph_release(g);
  return st;
}

static cst_status copy_types(const cst_solve_plan *from, cst_solve_plan *to) {
  to->back_traits = from->back_traits;
  to->solver = from->solver, to->controller = from->controller, to->gradient = from->gradient;
  cst_context *ctx = from->ctx;
  CST_TRY(own_options(ctx, "solver", from->solver->options, from->solver_options, &to->solver_options));
  CST_TRY(own_options(ctx, "controller", from->controller->options, from->controller_options, &to->controller_options));
  return own_options(ctx, "gradient", from->gradient->options, from->gradient_options, &to->gradient_options);
}

cst_status cst_solve_plan_tangent(const cst_solve_plan *p, const bool *has_capture, bool timed, cst_solve_plan **out) {
  uint32_t flags[64];
  const char *names[64];
  *out = NULL;
  if (p->timed) return cst_fail(p->ctx, CST_EUNSUPPORTED, "a second tangent in the times of a solve");
  if (2 * p->n_parts > 64) return cst_fail(p->ctx, CST_EUNSUPPORTED, "a tangent of more than 32 parts");
  for (uint32_t i = 0; i < p->n_parts; i++) {
    flags[i] = p->flags[i], names[i] = p->names[i];
    flags[p->n_parts + i] = p->flags[i] | CST_PART_UNCONTROLLED;
    names[p->n_parts + i] = "tangent";
  }
  cst_function *f = NULL;
  cst_solve_plan *q = NULL;
  cst_status st = tangent_function(p, has_capture, timed, &f);
  if (st == CST_OK) st = new_plan(p->ctx, f, 2 * p->n_parts, flags, names, &p->o, &q);
  if (st == CST_OK) st = copy_types(p, q);
  if (q) q->tangent = true, q->timed = timed, q->per_row = p->per_row, q->o.lower = q->o.upper = SIZE_MAX;
  cst_object_release(f);
  if (st == CST_OK) *out = q;
  else cst_object_release(q);
  return st;
}

/* ---- equality, for the guard of traces ----------------------------------------------------------------------- */

static bool same_options(const cst_options *a, const cst_options *b) {
  for (size_t i = 0; a && b && a->schema && a->schema[i].kind != CST_OPTION_END; i++) {
    const cst_option_value *x = &a->values[i], *y = &b->values[i];
    bool strings = x->string == y->string || (x->string && y->string && strcmp(x->string, y->string) == 0);
    if (x->number != y->number || x->integer != y->integer || !strings || x->n_list != y->n_list) return false;
    if (x->n_list && memcmp(x->list, y->list, x->n_list * sizeof *x->list) != 0) return false;
  }
  return true;
}

static bool plan_same(const cst_object *a, const cst_object *b) {
  const cst_solve_plan *p = (const cst_solve_plan *)a, *q = (const cst_solve_plan *)b;
  cst_value x, y;
  return p->solver == q->solver && p->controller == q->controller && p->gradient == q->gradient &&
         p->n_parts == q->n_parts && memcmp(p->flags, q->flags, p->n_parts * sizeof *p->flags) == 0 &&
         p->o.rtol == q->o.rtol && p->o.atol == q->o.atol && p->o.step == q->o.step &&
         p->o.first_step == q->o.first_step && p->o.min_step == q->o.min_step &&
         p->o.max_step == q->o.max_step && p->o.max_steps == q->o.max_steps && p->o.trace == q->o.trace && p->o.exact == q->o.exact && p->follows == q->follows &&
         p->o.lower == q->o.lower && p->o.upper == q->o.upper && p->per_row == q->per_row && p->o.memory == q->o.memory &&
         p->o.checkpoints == q->o.checkpoints &&
         same_options(p->solver_options, q->solver_options) &&
         same_options(p->controller_options, q->controller_options) &&
         same_options(p->gradient_options, q->gradient_options) &&
         cst_function_equal(p->field->f, q->field->f, &x, &y);
}
