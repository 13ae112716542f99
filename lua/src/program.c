/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * costate.Program: a compiled function with its operands bound. Running it enters no Lua.
 */
#include <string.h>

#include "binding.h"

struct lcs_program {
  cst_function *f;
  cst_program *program;
  cst_workspace *workspace;
  const void **in;
  void **out;
  cst_tensor **bound, **result; /* retained */
  bool running;                 /* it calls a function of Lua, perhaps */
  double *number;               /* for rank-0 f64 inputs bound to numbers */
};

/* A callback may not touch the program that calls it. */
static void refuse_running(lua_State *L, const lcs_program *p) {
  if (p->running)
    lcs_error(L, "what is running is used again before it has ended: a callback must not use the flow that calls it");
}

lcs_program *lcs_check_program(lua_State *L, int arg) {
  lcs_program *p = luaL_checkudata(L, arg, LCS_PROGRAM);
  luaL_argcheck(L, p->workspace, arg, "the program is closed");
  refuse_running(L, p);
  return p;
}

static int program_gc(lua_State *L) {
  lcs_program *p = luaL_checkudata(L, 1, LCS_PROGRAM);
  if (!p->f) return 0;
  cst_context *ctx = cst_graph_context(p->f->graph);
  for (uint32_t i = 0; p->bound && i < p->f->n_in; i++) cst_tensor_release(p->bound[i]);
  for (uint32_t i = 0; p->result && i < p->f->n_out; i++) cst_tensor_release(p->result[i]);
  cst_free(ctx, p->in), cst_free(ctx, p->out), cst_free(ctx, p->bound), cst_free(ctx, p->result);
  cst_free(ctx, p->number);
  cst_workspace_free(p->workspace);
  cst_program_release(p->program);
  cst_function *f = p->f;
  memset(p, 0, sizeof *p);
  cst_object_release(f);
  return 0;
}

static int program_close(lua_State *L) {
  refuse_running(L, luaL_checkudata(L, 1, LCS_PROGRAM));
  return program_gc(L);
}

static cst_status open_program(lcs_program *p, lcs_state *st) {
  size_t n_in = p->f->n_in, n_out = p->f->n_out;
  p->in = cst_alloc(st->ctx, (n_in + 1) * sizeof *p->in);
  p->out = cst_alloc(st->ctx, (n_out + 1) * sizeof *p->out);
  p->bound = cst_alloc(st->ctx, (n_in + 1) * sizeof *p->bound);
  p->result = cst_alloc(st->ctx, (n_out + 1) * sizeof *p->result);
  p->number = cst_alloc(st->ctx, (n_in + 1) * sizeof *p->number);
  if (!p->in || !p->out || !p->bound || !p->result || !p->number) return CST_ENOMEM;
  CST_TRY(cst_program_new(p->f, NULL, &p->program));
  CST_TRY(cst_workspace_new(p->program, &p->workspace));
  cst_workspace_run(p->workspace)->seed = st->seed;
  return CST_OK;
}

static bool same_type(const cst_type *a, const cst_type *b) {
  if (a->dtype != b->dtype || a->rank != b->rank) return false;
  if ((a->space == CST_ROW) != (b->space == CST_ROW)) return false;
  return memcmp(a->dim, b->dim, a->rank * sizeof *a->dim) == 0;
}

static const cst_type *input_type(const lcs_program *p, size_t i) {
  return cst_type_of(p->f->graph, p->f->inputs[i]);
}

/* Binds input i (from 0) to what stands at `arg`; false when its type is another. */
bool lcs_program_bind(lua_State *L, lcs_program *p, size_t i, int arg) {
  refuse_running(L, p);
  const cst_type *type = input_type(p, i);
  cst_tensor *t = lcs_test_tensor(L, arg);
  if (!t) {
    if (type->rank || type->dtype != CST_F64 || lua_type(L, arg) != LUA_TNUMBER) return false;
    p->number[i] = lua_tonumber(L, arg);
    p->in[i] = &p->number[i];
  } else if (t != p->bound[i]) {
    if (!same_type(&t->type, type)) return false;
    cst_tensor_release(p->bound[i]);
    p->bound[i] = cst_tensor_retain(t);
  }
  if (t) p->in[i] = t->data;
  return true;
}

static size_t check_slot(lua_State *L, int arg, uint32_t n) {
  lua_Integer i = luaL_checkinteger(L, arg);
  luaL_argcheck(L, i >= 1 && i <= (lua_Integer)n, arg, "there is no such operand");
  return (size_t)(i - 1);
}

/* core.program(function, captures): captures are bound to the last inputs */
static int program_new(lua_State *L) {
  cst_function *f = lcs_check_function(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  size_t n = lua_rawlen(L, 2);
  luaL_argcheck(L, n <= f->n_in, 2, "more captures than inputs");
  lcs_program *p = lcs_box(L, sizeof *p, LCS_PROGRAM);
  p->f = cst_object_retain(f);
  lcs_check(L, open_program(p, lcs_state_of(L)));
  for (size_t i = 0; i < n; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    if (!lcs_program_bind(L, p, f->n_in - n + i, lua_gettop(L)))
      return lcs_error(L, "capture %d does not fit", (int)i + 1);
  }
  return 1;
}

/* p:bind(i, tensor or number) -> whether the type is the one compiled for */
static int program_bind(lua_State *L) {
  lcs_program *p = lcs_check_program(L, 1);
  lua_pushboolean(L, lcs_program_bind(L, p, check_slot(L, 2, p->f->n_in), 3));
  return 1;
}

static void set_result(lcs_program *p, size_t i, cst_tensor *t) {
  cst_tensor_release(p->result[i]);
  p->result[i] = cst_tensor_retain(t);
  p->out[i] = t ? t->data : NULL;
}

/* p:result(i, tensor | nil): where output i is written */
static int program_result(lua_State *L) {
  lcs_program *p = lcs_check_program(L, 1);
  size_t i = check_slot(L, 2, p->f->n_out);
  cst_tensor *t = lua_isnoneornil(L, 3) ? NULL : lcs_check_tensor(L, 3);
  const cst_type *type = cst_type_of(p->f->graph, p->f->outputs[i]);
  if (t && (t->type.dtype != type->dtype || t->count != cst_type_count(type)))
    return luaL_argerror(L, 3, "type or size is not that of the result");
  set_result(p, i, t);
  return 0;
}

/* p:fresh() -> new tensors for all outputs, bound */
static int program_fresh(lua_State *L) {
  lcs_program *p = lcs_check_program(L, 1);
  lua_createtable(L, (int)p->f->n_out, 0);
  for (uint32_t i = 0; i < p->f->n_out; i++) {
    cst_type type = *cst_type_of(p->f->graph, p->f->outputs[i]);
    if (type.dtype == CST_OPAQUE) continue;
    set_result(p, i, lcs_push_tensor(L, &type));
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

cst_status lcs_program_execute(lua_State *L, lcs_program *p) {
  cst_context *ctx = cst_graph_context(p->f->graph);
  for (uint32_t i = 0; i < p->f->n_in; i++)
    if (!p->in[i]) return cst_fail(ctx, CST_EINVAL, "input %u of the program is not bound", i + 1);
  lcs_state *st = lcs_state_of(L);
  lua_State *before = st->runner;
  st->runner = L, p->running = true;
  cst_status status = cst_program_run(p->workspace, (size_t)p->f->graph->rows, p->in, p->out);
  st->runner = before, p->running = false;
  return status;
}

double lcs_program_number(const lcs_program *p, size_t output) {
  const cst_tensor *t = p->result[output];
  return t && t->count ? cst_tensor_get(t, 0) : 0;
}

/* Runs it again, see cst_program_find_nonfinite. */
static bool find_nonfinite(lua_State *L, lcs_program *p, char *text, size_t size) {
  lcs_state *st = lcs_state_of(L);
  lua_State *before = st->runner;
  st->runner = L, p->running = true;
  bool found = cst_program_find_nonfinite(p->workspace, (size_t)p->f->graph->rows, text, size);
  st->runner = before, p->running = false;
  return found;
}

/* Pushes what went wrong, where a NaN was born and what to try. */
void lcs_push_failure(lua_State *L, lcs_program *p, cst_status st) {
  cst_context *ctx = cst_graph_context(p->f->graph);
  int top = lua_gettop(L);
  lua_pushstring(L, cst_message(ctx));
  char text[256];
  bool told = strstr(cst_message(ctx), "stopped being finite in") != NULL; /* the solve knew */
  if (st == CST_ENONFINITE && !told && find_nonfinite(L, p, text, sizeof text))
    lua_pushfstring(L, " (first in %s)", text);
  if (!strstr(cst_message(ctx), "; try ")) /* it has advice of its own */
    lua_pushfstring(L, "; %s", cst_status_advice(st));
  lua_concat(L, lua_gettop(L) - top);
}

/* p:run() -> "ok" | status, message */
static int program_run(lua_State *L) {
  lcs_program *p = lcs_check_program(L, 1);
  cst_status st = lcs_program_execute(L, p);
  lua_pushstring(L, cst_status_name(st));
  if (st == CST_OK) return 1;
  lcs_push_failure(L, p, st);
  return 2;
}

static void set_count(lua_State *L, const char *name, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, name);
}

static void push_stats(lua_State *L, const cst_solve_stats *s) {
  lua_createtable(L, 0, 4);
  set_count(L, "evaluations", s->evaluations);
  set_count(L, "accepted", s->accepted);
  set_count(L, "rejected", s->rejected);
  lua_pushnumber(L, s->last_h);
  lua_setfield(L, -2, "last_step");
  if (s->stiffness <= 0) return;
  lua_pushnumber(L, s->stiffness);
  lua_setfield(L, -2, "stiffness");
}

/* p:stats() -> what the solves of the last run did: forward, backward, solves, tape_bytes, checkpoints,
 * schedule_bytes, scan_rows, t, status */
static int program_stats(lua_State *L) {
  cst_solve_report r = cst_workspace_solves(lcs_check_program(L, 1)->workspace);
  lua_createtable(L, 0, 6);
  push_stats(L, &r.forward);
  lua_setfield(L, -2, "forward");
  push_stats(L, &r.backward);
  lua_setfield(L, -2, "backward");
  set_count(L, "solves", r.solves);
  set_count(L, "tape_bytes", r.tape_bytes);
  set_count(L, "checkpoints", r.checkpoints);
  set_count(L, "schedule_bytes", r.schedule_bytes);
  set_count(L, "scan_rows", r.scan_rows);
  lua_pushnumber(L, r.t);
  lua_setfield(L, -2, "t");
  lua_pushstring(L, cst_status_name(r.status));
  lua_setfield(L, -2, "status");
  return 1;
}

/* p:evaluations() -> forward, backward, accepted, rejected of the last run: no table made */
static int program_evaluations(lua_State *L) {
  cst_solve_report r = cst_workspace_solves(lcs_check_program(L, 1)->workspace);
  lua_pushinteger(L, (lua_Integer)r.forward.evaluations);
  lua_pushinteger(L, (lua_Integer)r.backward.evaluations);
  lua_pushinteger(L, (lua_Integer)r.forward.accepted);
  lua_pushinteger(L, (lua_Integer)r.forward.rejected);
  return 4;
}

/* p:attempts() -> f64 [n, 4]: t, h, error, whether accepted, of the steps of the solve that was traced; or nil */
static int program_attempts(lua_State *L) {
  const cst_attempts *a = cst_workspace_attempts(lcs_check_program(L, 1)->workspace);
  if (!a) return lua_pushnil(L), 1;
  const cst_type type = {.dtype = CST_F64, .rank = 2, .dim = {(int64_t)a->n, 4}};
  double *to = lcs_push_tensor(L, &type)->data;
  for (size_t i = 0; i < a->n; i++, to += 4)
    to[0] = a->list[i].t, to[1] = a->list[i].h, to[2] = a->list[i].error, to[3] = a->list[i].accepted;
  return 1;
}

/* p:configure(step [, replay]): key of random draws; whether solves repeat their last schedule */
static int program_configure(lua_State *L) {
  cst_run *run = cst_workspace_run(lcs_check_program(L, 1)->workspace);
  run->step = (uint64_t)luaL_checkinteger(L, 2);
  run->replay = lua_toboolean(L, 3);
  run->seed = lcs_state_of(L)->seed;
  return 0;
}

/* p:explain() -> listing; p:bytes() -> of the workspace */
static int program_explain(lua_State *L) {
  lcs_program *p = lcs_check_program(L, 1);
  size_t n = cst_program_format(p->program, NULL, 0);
  luaL_Buffer b;
  char *text = luaL_buffinitsize(L, &b, n + 1);
  cst_program_format(p->program, text, n + 1);
  luaL_pushresultsize(&b, n);
  return 1;
}
static int program_bytes(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)cst_workspace_bytes(lcs_check_program(L, 1)->workspace));
  return 1;
}

static const luaL_Reg program_methods[] = {
    {"bind", program_bind},   {"result", program_result}, {"fresh", program_fresh},
    {"run", program_run},     {"stats", program_stats},   {"evaluations", program_evaluations},
    {"attempts", program_attempts},
    {"configure", program_configure}, {"explain", program_explain}, {"bytes", program_bytes},
    {"close", program_close},    {NULL, NULL}};
static const luaL_Reg program_meta[] = {{"__gc", program_gc}, {"__close", program_close}, {NULL, NULL}};


void lcs_open_program(lua_State *L, int lib) {
  lcs_type(L, LCS_PROGRAM, program_methods, program_meta);
  lua_pushcfunction(L, program_new);
  lua_setfield(L, lib, "program");
}
