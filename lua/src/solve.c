/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Solve plans, and the nodes that carry sub-functions: solve, scan, implicit.
 */
#include <string.h>

#include "binding.h"

typedef struct plan_box {
  cst_solve_plan *plan; /* an object of the core */
  size_t n_parts, n_captures;
} plan_box;

static const char keep_key = 0;

static int plan_gc(lua_State *L) {
  plan_box *b = luaL_checkudata(L, 1, LCS_PLAN);
  cst_solve_plan *p = b->plan;
  b->plan = NULL;
  cst_object_release(p);
  return 0;
}

static double number_field(lua_State *L, int arg, const char *name, double fallback) {
  double x = fallback;
  if (lua_getfield(L, arg, name) != LUA_TNIL) x = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return x;
}

static const char *string_field(lua_State *L, int arg, const char *name, const char *fallback) {
  const char *s = fallback; /* the table keeps the string alive */
  if (lua_getfield(L, arg, name) == LUA_TSTRING) s = lua_tostring(L, -1);
  lua_pop(L, 1);
  return s;
}

/* What plans read may outlive the script's handles, since programs keep plans: it stays until the
 * end. Pops the value on top. */
static void keep(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &keep_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &keep_key);
  }
  lua_insert(L, -2);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

static bool boolean_field(lua_State *L, int arg, const char *name) {
  lua_getfield(L, arg, name);
  bool set = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return set;
}

static const cst_options *options_field(lua_State *L, int arg, const char *name) {
  lua_getfield(L, arg, name);
  const cst_options *o = lcs_check_options(L, lua_gettop(L));
  if (o) keep(L);
  else lua_pop(L, 1);
  return o;
}

static void read_options(lua_State *L, int arg, cst_solve_options *o) {
  luaL_checktype(L, arg, LUA_TTABLE);
  cst_solve_defaults(o);
  o->solver = string_field(L, arg, "solver", o->solver);
  o->gradient = string_field(L, arg, "gradient", o->gradient);
  o->controller = string_field(L, arg, "controller", o->controller);
  o->solver_options = options_field(L, arg, "solver_options");
  o->gradient_options = options_field(L, arg, "gradient_options");
  o->controller_options = options_field(L, arg, "controller_options");
  o->rtol = number_field(L, arg, "rtol", o->rtol);
  o->atol = number_field(L, arg, "atol", o->atol);
  o->step = number_field(L, arg, "step", o->step);
  o->first_step = number_field(L, arg, "first_step", o->first_step);
  o->min_step = number_field(L, arg, "min_step", o->min_step);
  o->max_step = number_field(L, arg, "max_step", o->max_step);
  o->max_steps = (uint64_t)number_field(L, arg, "max_steps", (double)o->max_steps);
  o->memory = (size_t)number_field(L, arg, "memory", (double)o->memory);
  o->checkpoints = (size_t)number_field(L, arg, "checkpoints", (double)o->checkpoints);
  double lower = number_field(L, arg, "band_lower", -1), upper = number_field(L, arg, "band_upper", -1);
  if (lower >= 0 && upper >= 0) o->lower = (size_t)lower, o->upper = (size_t)upper;
  o->trace = boolean_field(L, arg, "trace"), o->exact = boolean_field(L, arg, "exact");
  o->per_row = strcmp(string_field(L, arg, "control", "batch"), "row") == 0;
}

/* core.solve_defaults() -> table of the core's defaults */
static int solve_defaults(lua_State *L) {
  cst_solve_options o;
  cst_solve_defaults(&o);
  lua_newtable(L);
#define NUMBER(name) (lua_pushnumber(L, (double)o.name), lua_setfield(L, -2, #name))
#define STRING(name) (lua_pushstring(L, o.name), lua_setfield(L, -2, #name))
  STRING(solver), STRING(gradient), STRING(controller);
  NUMBER(rtol), NUMBER(atol), NUMBER(step), NUMBER(first_step), NUMBER(min_step), NUMBER(max_step);
  lua_pushinteger(L, (lua_Integer)o.max_steps), lua_setfield(L, -2, "max_steps");
  lua_pushinteger(L, (lua_Integer)o.memory), lua_setfield(L, -2, "memory");
  lua_pushinteger(L, (lua_Integer)o.checkpoints), lua_setfield(L, -2, "checkpoints");
#undef NUMBER
#undef STRING
  return 1;
}

/* core.plan(field, names, flags, options) -> Plan */
static int plan_new(lua_State *L) {
  lua_settop(L, 4);
  lua_pushvalue(L, 2);
  keep(L);
  cst_function *f = lcs_check_function(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  size_t n = lua_rawlen(L, 2);
  luaL_argcheck(L, n >= 1 && n + 1 <= f->n_in, 2, "a field has t and at least one part");
  plan_box *b = lcs_box(L, sizeof *b, LCS_PLAN);
  const char **names = lua_newuserdatauv(L, n * sizeof *names, 0);
  uint32_t *flags = lua_newuserdatauv(L, n * sizeof *flags, 0);
  for (size_t i = 0; i < n; i++, lua_pop(L, 2)) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    lua_rawgeti(L, 3, (lua_Integer)i + 1);
    names[i] = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    flags[i] = (uint32_t)lua_tointeger(L, -1);
  }
  cst_solve_options o;
  read_options(L, 4, &o);
  lcs_check(L, cst_solve_plan_new(lcs_state_of(L)->ctx, f, n, flags, names, &o, &b->plan));
  b->n_parts = n;
  b->n_captures = f->n_in - 1 - n;
  lua_settop(L, 5);
  return 1;
}

static lcs_trace *need_trace(lua_State *L, const char *what) {
  lcs_trace *tr = lcs_current(L);
  if (!tr) lcs_error(L, "%s is built inside a trace", what);
  return tr;
}

static int push_results(lua_State *L, lcs_trace *tr, cst_value first, size_t n) {
  if (!first) lcs_check(L, tr->graph->status);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lcs_push_value(L, first + (cst_value)i);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* core.solve(plan, y0s, times, captures) -> list of values, one a part */
static int solve(lua_State *L) {
  plan_box *b = luaL_checkudata(L, 1, LCS_PLAN);
  luaL_argcheck(L, b->plan, 1, "the plan is closed");
  lcs_trace *tr = need_trace(L, "a solve");
  size_t n, n_captures;
  cst_value *y0 = lcs_lift_list(L, tr, 2, &n), times = lcs_lift(L, tr, 3);
  cst_value *captures = lcs_lift_list(L, tr, 4, &n_captures);
  luaL_argcheck(L, n == b->n_parts, 2, "one initial value for each part");
  luaL_argcheck(L, n_captures == b->n_captures, 4, "one value for each capture");
  if (cst_type_of(tr->graph, times)->dtype != CST_F64) times = cst_cast(tr->graph, times, CST_F64);
  return push_results(L, tr, cst_graph_solve(tr->graph, b->plan, y0, times, captures), n);
}

typedef struct events_box {
  cst_event_plan *plan; /* an object of the core */
  size_t n_parts, n_captures, n_event_captures;
} events_box;

static int events_gc(lua_State *L) {
  events_box *b = luaL_checkudata(L, 1, LCS_EVENTS);
  cst_event_plan *p = b->plan;
  b->plan = NULL;
  cst_object_release(p);
  return 0;
}

/* core.event_plan(plan, events, directions) -> Events */
static int event_plan(lua_State *L) {
  plan_box *solve = luaL_checkudata(L, 1, LCS_PLAN);
  cst_function *f = lcs_check_function(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  int8_t direction[64] = {0};
  luaL_argcheck(L, solve->plan, 1, "the plan is closed");
  for (size_t i = 0; i < f->n_out && i < sizeof direction; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, 3, (lua_Integer)i + 1);
    direction[i] = (int8_t)lua_tointeger(L, -1);
  }
  events_box *b = lcs_box(L, sizeof *b, LCS_EVENTS);
  lcs_check(L, cst_event_plan_new(lcs_state_of(L)->ctx, solve->plan, f, direction, &b->plan));
  b->n_parts = solve->n_parts, b->n_captures = solve->n_captures;
  b->n_event_captures = f->n_in - 1 - b->n_parts;
  return 1;
}

/* core.locate(events, y0s, times, skip, captures, event_captures) -> time, which */
static int locate(lua_State *L) {
  events_box *b = luaL_checkudata(L, 1, LCS_EVENTS);
  luaL_argcheck(L, b->plan, 1, "the plan is closed");
  lcs_trace *tr = need_trace(L, "a search for events");
  size_t n, n_captures, n_event_captures;
  cst_value *y0 = lcs_lift_list(L, tr, 2, &n), times = lcs_lift(L, tr, 3), skip = lcs_lift(L, tr, 4);
  cst_value *captures = lcs_lift_list(L, tr, 5, &n_captures), *more = lcs_lift_list(L, tr, 6, &n_event_captures);
  luaL_argcheck(L, n == b->n_parts, 2, "one initial value for each part");
  luaL_argcheck(L, n_captures == b->n_captures, 5, "one value for each capture");
  luaL_argcheck(L, n_event_captures == b->n_event_captures, 6, "one value for each capture");
  times = cst_cast(tr->graph, times, CST_F64), skip = cst_cast(tr->graph, skip, CST_F64);
  cst_value v = cst_graph_locate(tr->graph, b->plan, y0, times, skip, captures, more);
  if (!v) lcs_check(L, tr->graph->status);
  lcs_push_value(L, v);
  lcs_push_value(L, v + 1);
  return 2;
}

/* Three lists as one. */
static cst_value *join(lua_State *L, const cst_value *const list[3], const size_t n[3]) {
  cst_value *all = lua_newuserdatauv(L, (n[0] + n[1] + n[2] + 1) * sizeof *all, 0), *at = all;
  for (int i = 0; i < 3; at += n[i++]) memcpy(at, list[i], n[i] * sizeof *at);
  return all;
}

/* core.scan(body, carry, xs, captures, axis, reverse [, lengths]) -> carries and stacked outputs; nothing when
 * rows of such a body cannot end at lengths of their own */
static int scan(lua_State *L) {
  cst_function *body = lcs_check_function(L, 1);
  lcs_trace *tr = need_trace(L, "a scan");
  size_t n_carry, n_xs, n_captures;
  cst_value *carry = lcs_lift_list(L, tr, 2, &n_carry), *xs = lcs_lift_list(L, tr, 3, &n_xs);
  cst_value *captures = lcs_lift_list(L, tr, 4, &n_captures);
  int axis = (int)luaL_checkinteger(L, 5);
  luaL_argcheck(L, n_carry + n_xs + n_captures == body->n_in, 4, "one value for each input");
  luaL_argcheck(L, n_carry <= body->n_out, 2, "one result for each carry");
  bool reverse = lua_toboolean(L, 6);
  if (!lua_isnoneornil(L, 7)) {
    cst_value lengths = cst_cast(tr->graph, lcs_lift(L, tr, 7), CST_F64);
    cst_value *in = join(L, (const cst_value *[]){carry, xs, captures}, (const size_t[]){n_carry, n_xs, n_captures});
    lcs_check(L, tr->graph->status);
    if (!cst_scan_takes_lengths(tr->graph, body, in, n_carry, lengths, axis)) return 0;
    cst_value v = cst_graph_scan_ragged(tr->graph, body, carry, n_carry, xs, n_xs, captures, n_captures, lengths, reverse);
    return push_results(L, tr, v, body->n_out);
  }
  cst_value v = cst_graph_scan(tr->graph, body, carry, n_carry, xs, n_xs, captures, n_captures, axis, reverse);
  return push_results(L, tr, v, body->n_out);
}

/* core.implicit(c, back, forth, found, captures, tolerance, steps) -> u */
static int implicit(lua_State *L) {
  cst_function *c = lcs_check_function(L, 1), *back = lcs_check_function(L, 2), *forth = lcs_check_function(L, 3);
  lcs_trace *tr = need_trace(L, "an implicit function");
  size_t n;
  cst_value found = lcs_lift(L, tr, 4), *captures = lcs_lift_list(L, tr, 5, &n);
  lcs_push_value(L, cst_graph_implicit(tr->graph, c, back, forth, cst_detach(tr->graph, found), captures, n,
                                       luaL_checknumber(L, 6), luaL_checkinteger(L, 7)));
  return 1;
}

static const luaL_Reg meta[] = {{"__gc", plan_gc}, {NULL, NULL}};
static const luaL_Reg events_meta[] = {{"__gc", events_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"solve_defaults", solve_defaults},
                                     {"plan", plan_new},
                                     {"solve", solve},
                                     {"event_plan", event_plan},
                                     {"locate", locate},
                                     {"scan", scan},
                                     {"implicit", implicit},
                                     {NULL, NULL}};

void lcs_open_solve(lua_State *L, int lib) {
  lcs_type(L, LCS_PLAN, NULL, meta);
  lcs_type(L, LCS_EVENTS, NULL, events_meta);
  lua_pushvalue(L, lib);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
