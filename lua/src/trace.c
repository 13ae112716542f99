/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * costate.Trace: a graph being recorded. Traces form a stack. A value of an outer trace used inside
 * an inner one is lifted level by level to a numbered capture; a tensor becomes an input of the
 * outermost trace first, known by identity, so that later writes to it are seen.
 */
#include <string.h>

#include "binding.h"

static const char current_key = 0; /* registry: the innermost trace's userdata */

/* ---- captures --------------------------------------------------------------------------------- */

static cst_status add_capture(lcs_trace *tr, lcs_capture c) {
  if (tr->n_captures == tr->capacity) {
    size_t capacity = tr->capacity * 2 + 8;
    void *p = cst_realloc(tr->st->ctx, tr->capture, capacity * sizeof *tr->capture);
    if (!p) return CST_ENOMEM;
    tr->capture = p;
    tr->capacity = capacity;
  }
  if (!c.inner) return tr->graph->status;
  cst_tensor_retain(c.tensor);
  tr->capture[tr->n_captures++] = c;
  return CST_OK;
}

/* An inner trace has its own batch: what is shared outside stays shared, what is a row stays one. */
static cst_status capture_value(lcs_trace *to, cst_value outer, cst_value *out) {
  for (size_t i = 0; i < to->n_captures; i++)
    if (to->capture[i].outer == outer) return *out = to->capture[i].inner, CST_OK;
  cst_type type = *cst_type_of(to->parent->graph, outer);
  if (type.space == CST_PARTIAL) type.space = CST_SHARED;
  if (type.space == CST_ROW && type.dim[0] != to->graph->rows)
    return cst_fail(to->st->ctx, CST_ESHAPE,
                    "a value with %lld rows is used inside a field or function of %lld rows",
                    (long long)type.dim[0], (long long)to->graph->rows);
  *out = cst_graph_input(to->graph, &type, cst_graph_info(to->parent->graph, outer).name);
  return add_capture(to, (lcs_capture){.outer = outer, .inner = *out});
}

static bool is_ancestor(const lcs_trace *a, const lcs_trace *tr) {
  while (tr && tr != a) tr = tr->parent;
  return tr != NULL;
}

cst_status lcs_lift_value(lcs_trace *to, const lcs_trace *from, cst_value v, cst_value *out) {
  if (to == from) return *out = v, CST_OK;
  if (!from->open || !is_ancestor(from, to))
    return cst_fail(to->st->ctx, CST_EINVAL,
                    "this value belongs to a trace that has ended: a traced function must make its "
                    "results anew at every call");
  cst_value outer;
  CST_TRY(lcs_lift_value(to->parent, from, v, &outer));
  return capture_value(to, outer, out);
}

cst_status lcs_check_rows(lcs_trace *tr, const cst_type *type) {
  if (type->space != CST_ROW || tr->graph->rows == type->dim[0]) return CST_OK;
  if (tr->graph->rows == 0 && !tr->parent) return tr->graph->rows = type->dim[0], CST_OK;
  return cst_fail(tr->st->ctx, CST_ESHAPE,
                  "a batch of %lld rows is used with a batch of %lld rows (cs.shared(x) takes the "
                  "mark of a batch away)", (long long)type->dim[0], (long long)tr->graph->rows);
}

static cst_status capture_tensor(lcs_trace *root, cst_tensor *t, cst_value *out) {
  for (size_t i = 0; i < root->n_captures; i++)
    if (root->capture[i].tensor == t) return *out = root->capture[i].inner, CST_OK;
  CST_TRY(lcs_check_rows(root, &t->type));
  *out = cst_graph_input(root->graph, &t->type, NULL);
  return add_capture(root, (lcs_capture){.tensor = t, .inner = *out});
}

cst_status lcs_lift_tensor(lcs_trace *to, cst_tensor *t, cst_value *out) {
  lcs_trace *root = to;
  while (root->parent) root = root->parent;
  cst_value v;
  CST_TRY(capture_tensor(root, t, &v));
  return lcs_lift_value(to, root, v, out);
}

cst_value lcs_lift(lua_State *L, lcs_trace *to, int arg) {
  cst_value v = CST_NONE;
  lcs_value *x = lcs_test_value(L, arg);
  cst_tensor *t = x ? NULL : lcs_test_tensor(L, arg);
  if (x) lcs_check(L, lcs_lift_value(to, x->trace, x->v, &v));
  else if (t) lcs_check(L, lcs_lift_tensor(to, t, &v));
  else if (lua_isboolean(L, arg)) v = cst_scalar(to->graph, lua_toboolean(L, arg));
  else if (lua_type(L, arg) == LUA_TNUMBER) v = cst_scalar(to->graph, lua_tonumber(L, arg));
  else luaL_typeerror(L, arg, "number, tensor or value");
  if (!v) lcs_check(L, to->graph->status);
  return v;
}

cst_value *lcs_lift_list(lua_State *L, lcs_trace *tr, int arg, size_t *n) {
  luaL_checktype(L, arg, LUA_TTABLE);
  *n = lua_rawlen(L, arg);
  cst_value *v = lua_newuserdatauv(L, (*n + 1) * sizeof *v, 0);
  for (size_t i = 0; i < *n; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, arg, (lua_Integer)i + 1);
    v[i] = lcs_lift(L, tr, lua_gettop(L));
  }
  return v;
}

/* ---- the stack -------------------------------------------------------------------------------- */

lcs_trace *lcs_current(lua_State *L) {
  lcs_trace *tr = lcs_state_of(L)->current;
  if (!tr) return NULL;
  char source[LUA_IDSIZE];
  int line = lcs_script_line(L, source, sizeof source);
  cst_graph_line(tr->graph, line ? source : NULL, line);
  return tr;
}

void lcs_push_value(lua_State *L, cst_value v) {
  lcs_state *st = lcs_state_of(L);
  if (!v) lcs_check(L, st->current->graph->status);
  lcs_value *x = lcs_box(L, sizeof *x, LCS_VALUE);
  x->trace = st->current;
  x->v = v;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &current_key);
  lua_setiuservalue(L, -2, 1);
}

static lcs_trace *check_trace(lua_State *L) {
  lcs_trace *tr = luaL_checkudata(L, 1, LCS_TRACE);
  luaL_argcheck(L, tr->open, 1, "the trace has ended");
  luaL_argcheck(L, tr->st->current == tr, 1, "an inner trace is still open");
  return tr;
}

/* core.trace(rows, field) -> Trace: open until closed (a to-be-closed variable). */
static int trace_new(lua_State *L) {
  lcs_state *st = lcs_state_of(L);
  lua_Integer rows = luaL_optinteger(L, 1, 0);
  bool field = lua_toboolean(L, 2);
  luaL_argcheck(L, rows >= 0, 1, "rows must not be negative");
  lcs_trace *tr = lcs_box(L, sizeof *tr, LCS_TRACE);
  tr->st = st;
  lcs_check(L, cst_graph_new(st->ctx, st->real, rows, &tr->graph));
  lua_rawgetp(L, LUA_REGISTRYINDEX, &current_key); /* keeps the parent alive */
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &current_key);
  tr->parent = st->current;
  tr->field = field || (tr->parent && tr->parent->field);
  tr->open = true;
  st->current = tr;
  return 1;
}

/* Ends the trace and every trace inside it that an error left open. */
static int trace_close(lua_State *L) {
  lcs_trace *tr = luaL_checkudata(L, 1, LCS_TRACE);
  if (!tr->open) return 0;
  lcs_state *st = tr->st;
  while (st->current && is_ancestor(tr, st->current)) {
    st->current->open = false;
    st->current = st->current->parent;
  }
  lua_getiuservalue(L, 1, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &current_key); /* the key exists: no memory is asked for */
  return 0;
}

/* An open trace is in the registry, so only closed ones (and those at lua_close) come here. */
static int trace_gc(lua_State *L) {
  lcs_trace *tr = luaL_checkudata(L, 1, LCS_TRACE);
  if (!tr->st) return 0;
  if (tr->open && tr->st->current == tr) tr->st->current = NULL;
  tr->open = false;
  for (size_t i = 0; i < tr->n_captures; i++) cst_tensor_release(tr->capture[i].tensor);
  cst_free(tr->st->ctx, tr->capture);
  cst_free(tr->st->ctx, tr->input);
  cst_graph_release(tr->graph);
  tr->n_captures = tr->n_inputs = 0;
  tr->capture = NULL, tr->input = NULL, tr->graph = NULL;
  return 0;
}

/* ---- inputs and results ------------------------------------------------------------------------- */

static cst_value add_input(lua_State *L, lcs_trace *tr, const cst_type *type, const char *name) {
  if (tr->n_inputs == tr->input_capacity) {
    size_t capacity = tr->input_capacity * 2 + 8;
    void *p = cst_realloc(tr->st->ctx, tr->input, capacity * sizeof *tr->input);
    if (!p) lcs_check(L, CST_ENOMEM);
    tr->input = p;
    tr->input_capacity = capacity;
  }
  lcs_check(L, lcs_check_rows(tr, type));
  cst_value v = cst_graph_input(tr->graph, type, name);
  if (!v) lcs_check(L, tr->graph->status);
  return tr->input[tr->n_inputs++] = v;
}

/* trace:input(dtype, space, shape [, name]) -> Value */
static int trace_input(lua_State *L) {
  static const char *const spaces[] = {"shared", "row", NULL};
  lcs_trace *tr = check_trace(L);
  cst_type type = {.dtype = (uint8_t)lcs_check_dtype(L, 2, tr->graph->real),
                   .space = (uint8_t)luaL_checkoption(L, 3, "shared", spaces)};
  lcs_check_shape(L, 4, &type);
  lcs_push_value(L, add_input(L, tr, &type, luaL_optstring(L, 5, NULL)));
  return 1;
}

/* trace:like(tensor or value [, name]) -> an input of its type */
static int trace_like(lua_State *L) {
  lcs_trace *tr = check_trace(L);
  cst_type type = lcs_type_at(L, 2);
  if (type.space == CST_PARTIAL) type.space = CST_SHARED;
  lcs_push_value(L, add_input(L, tr, &type, luaL_optstring(L, 3, NULL)));
  return 1;
}

/* trace:value(x) -> x lifted into this trace */
static int trace_value(lua_State *L) {
  lcs_trace *tr = check_trace(L);
  lcs_push_value(L, lcs_lift(L, tr, 2));
  return 1;
}

/* Values of the list at `arg`, lifted; false entries are CST_NONE. The array is a userdata on the
 * stack: an error frees it. */
static cst_value *check_values(lua_State *L, lcs_trace *tr, int arg, size_t *n) {
  luaL_checktype(L, arg, LUA_TTABLE);
  *n = lua_rawlen(L, arg);
  cst_value *v = lua_newuserdatauv(L, (*n + 1) * sizeof *v, 0);
  for (size_t i = 0; i < *n; i++) {
    lua_rawgeti(L, arg, (lua_Integer)i + 1);
    bool none = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
    v[i] = none ? CST_NONE : lcs_lift(L, tr, lua_gettop(L));
    lua_pop(L, 1);
  }
  return v;
}

static void push_values(lua_State *L, const cst_value *v, size_t n) {
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    if (v[i]) lcs_push_value(L, v[i]);
    else lua_pushboolean(L, 0);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* trace:vjp(ys, y_bars, xs) -> x_bars (false: zero) */
static int trace_vjp(lua_State *L) {
  lcs_trace *tr = check_trace(L);
  lcs_current(L);
  size_t n_y, n_bar, n_x;
  cst_value *y = check_values(L, tr, 2, &n_y), *bar = check_values(L, tr, 3, &n_bar);
  cst_value *x = check_values(L, tr, 4, &n_x);
  luaL_argcheck(L, n_y == n_bar, 3, "one cotangent for each result");
  cst_value *x_bar = lua_newuserdatauv(L, (n_x + 1) * sizeof *x_bar, 0);
  lcs_check(L, cst_graph_vjp(tr->graph, y, bar, n_y, x, n_x, x_bar));
  push_values(L, x_bar, n_x);
  return 1;
}

/* trace:jvp(xs, x_dots, ys) -> y_dots (false: zero) */
static int trace_jvp(lua_State *L) {
  lcs_trace *tr = check_trace(L);
  lcs_current(L);
  size_t n_x, n_dot, n_y;
  cst_value *x = check_values(L, tr, 2, &n_x), *dot = check_values(L, tr, 3, &n_dot);
  cst_value *y = check_values(L, tr, 4, &n_y);
  luaL_argcheck(L, n_x == n_dot, 3, "one tangent for each argument");
  cst_value *y_dot = lua_newuserdatauv(L, (n_y + 1) * sizeof *y_dot, 0);
  lcs_check(L, cst_graph_jvp(tr->graph, x, dot, n_x, y, n_y, y_dot));
  push_values(L, y_dot, n_y);
  return 1;
}

/* trace:jvps(k, xs, x_dots, ys) -> y_dots with k tangents each (false: zero), or nil where an op has no batch rule */
static int trace_jvps(lua_State *L) {
  lcs_trace *tr = check_trace(L);
  lcs_current(L);
  size_t n_x, n_dot, n_y;
  lua_Integer k = luaL_checkinteger(L, 2);
  cst_value *x = check_values(L, tr, 3, &n_x), *dot = check_values(L, tr, 4, &n_dot);
  cst_value *y = check_values(L, tr, 5, &n_y);
  luaL_argcheck(L, n_x == n_dot, 4, "tangents for each argument");
  cst_value *y_dot = lua_newuserdatauv(L, (n_y + 1) * sizeof *y_dot, 0);
  cst_status st = cst_graph_jvps(tr->graph, k, x, dot, n_x, y, n_y, y_dot);
  if (st == CST_EUNSUPPORTED && tr->graph->status == CST_OK) return lua_pushnil(L), 1;
  lcs_check(L, st);
  push_values(L, y_dot, n_y);
  return 1;
}

/* Captures as the caller must supply them: tensors of an outermost trace, else values outside. */
static void push_captures(lua_State *L, lcs_trace *tr) {
  lua_createtable(L, (int)tr->n_captures, 0);
  for (size_t i = 0; i < tr->n_captures; i++) {
    if (tr->capture[i].tensor) {
      lcs_push_retained(L, tr->capture[i].tensor);
    } else {
      lcs_value *x = lcs_box(L, sizeof *x, LCS_VALUE);
      x->trace = tr->parent;
      x->v = tr->capture[i].outer;
      lua_getiuservalue(L, 1, 1); /* the parent's userdata */
      lua_setiuservalue(L, -2, 1);
    }
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* trace:finish(results) -> Function, captures: its inputs are the declared ones, then captures. */
static int trace_finish(lua_State *L) {
  lcs_trace *tr = check_trace(L);
  size_t n_out, n = 0;
  cst_value *out = check_values(L, tr, 2, &n_out);
  cst_value *in = lua_newuserdatauv(L, (tr->n_inputs + tr->n_captures + 1) * sizeof *in, 0);
  for (size_t i = 0; i < tr->n_inputs; i++) in[n++] = tr->input[i];
  for (size_t i = 0; i < tr->n_captures; i++) in[n++] = tr->capture[i].inner;
  lcs_check(L, cst_function_new(tr->graph, in, n, out, n_out, lcs_push_function(L)));
  push_captures(L, tr);
  return 2;
}

/* trace:size() -> number of declared inputs, of captures, of values, rows */
static int trace_size(lua_State *L) {
  lcs_trace *tr = luaL_checkudata(L, 1, LCS_TRACE);
  lua_pushinteger(L, (lua_Integer)tr->n_inputs);
  lua_pushinteger(L, (lua_Integer)tr->n_captures);
  lua_pushinteger(L, tr->graph ? (lua_Integer)cst_graph_size(tr->graph) : 0);
  lua_pushinteger(L, tr->graph ? (lua_Integer)tr->graph->rows : 0);
  return 4;
}

/* core.current() -> the innermost trace or nil */
static int current(lua_State *L) {
  if (!lcs_state_of(L)->current) return 0;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &current_key);
  return 1;
}

/* core.sealed(f, ...) -> f(...), which cannot yield: a coroutine left suspended while it records would
 * leave its trace open for everybody else. */
static int sealed(lua_State *L) {
  luaL_checkany(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static const luaL_Reg methods[] = {
    {"input", trace_input}, {"like", trace_like},     {"value", trace_value}, {"vjp", trace_vjp},
    {"jvp", trace_jvp},     {"jvps", trace_jvps},
    {"finish", trace_finish}, {"close", trace_close}, {"size", trace_size},
    {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", trace_gc}, {"__close", trace_close}, {NULL, NULL}};

void lcs_open_trace(lua_State *L, int lib) {
  lcs_type(L, LCS_TRACE, methods, meta);
  lua_pushboolean(L, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &current_key);
  lua_pushcfunction(L, trace_new);
  lua_setfield(L, lib, "trace");
  lua_pushcfunction(L, current);
  lua_setfield(L, lib, "current");
  lua_pushcfunction(L, sealed);
  lua_setfield(L, lib, "sealed");
}
