/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * costate.Callback: a field that is a function of Lua, called at every evaluation of a solve.
 *
 * The core calls, so nothing here may jump over it: marshalling, the call and the reading of its results run
 * inside one protected call, and an error leaves as a status with its text. The function is called in the coroutine
 * that runs the program (lcs_state.runner). It stands in the registry under the address of its object, until no
 * plan or program has that any more.
 *
 * The script gets copies: what it keeps or changes of y is its own, and dy is read when it returns. dy begins as
 * a NaN that no arithmetic makes, all bits set, which tells what was not written.
 */
#include <stdio.h>
#include <string.h>

#include "binding.h"

typedef struct callback {
  cst_callback base;
  lcs_state *st;
  const void *function; /* the script's, as lua_topointer has it */
  bool lone;            /* one row, which the script sees without its axis */
  char source[LUA_IDSIZE];
  int line;
  char key[]; /* how the script sees the parts */
} callback;

typedef struct callback_box {
  callback *f;
} callback_box;

/* One call. */
typedef struct frame {
  callback *f;
  double t;
  const cst_type *type;
  size_t n;
  const void *const *y;
  void *const *dy;
} frame;

enum { MOST_PARTS = 64 };

/* ---- calling ------------------------------------------------------------------------------------------ */

static cst_tensor *push_part(lua_State *L, const callback *f, const cst_type *type) {
  cst_type t = *type;
  t.space = f->lone ? CST_SHARED : CST_ROW;
  if (f->lone) memmove(t.dim, t.dim + 1, --t.rank * sizeof *t.dim);
  return lcs_push_tensor(L, &t);
}

static size_t bytes(const cst_tensor *t) { return t->count * cst_dtype_size((cst_dtype)t->type.dtype); }

/* Light userdata frame: calls f(t, y1, dy1, ..) and hands over what stands in dy afterwards. */
static int body(lua_State *L) {
  const frame *c = lua_touserdata(L, 1);
  cst_tensor *dy[MOST_PARTS];
  luaL_checkstack(L, 3 * (int)c->n + 8, "parts of the state");
  for (size_t i = 0; i < c->n; i++) {
    dy[i] = push_part(L, c->f, &c->type[i]);
    memset(dy[i]->data, 0xff, bytes(dy[i]));
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, c->f);
  lua_pushnumber(L, c->t);
  for (size_t i = 0; i < c->n; i++) {
    cst_tensor *y = push_part(L, c->f, &c->type[i]);
    memcpy(y->data, c->y[i], bytes(y));
    lua_pushvalue(L, 2 + (int)i);
  }
  lua_call(L, 1 + 2 * (int)c->n, 0);
  for (size_t i = 0; i < c->n; i++)
    if (c->dy[i]) memcpy(c->dy[i], dy[i]->data, bytes(dy[i]));
  return 0;
}

/* Any error object as a text. */
static int as_text(lua_State *L) {
  if (lua_type(L, 1) != LUA_TSTRING) luaL_tolstring(L, 1, NULL);
  return 1;
}

/* Between the core and the protected call only what neither raises nor asks for memory. */
static cst_status call(cst_callback *self, double t, const cst_type *type, size_t n, const void *const *y, void *const *dy) {
  callback *f = (callback *)self;
  lua_State *L = f->st->runner;
  if (!L) return cst_fail(f->st->ctx, CST_ECALLBACK, "a callback of Lua is called by a program that Lua does not run");
  if (!lua_checkstack(L, 8)) return cst_fail(f->st->ctx, CST_ENOMEM, "out of memory for a callback");
  frame c = {f, t, type, n, y, dy};
  int top = lua_gettop(L);
  lua_pushcfunction(L, as_text);
  lua_pushcfunction(L, body);
  lua_pushlightuserdata(L, &c);
  int code = lua_pcall(L, 1, 0, top + 1);
  cst_status st = code == LUA_OK ? CST_OK : code == LUA_ERRMEM ? CST_ENOMEM : CST_ECALLBACK;
  bool text = st != CST_OK && lua_type(L, -1) == LUA_TSTRING;
  if (st != CST_OK) cst_fail(f->st->ctx, st, "%s", text ? lua_tostring(L, -1) : "an error in the callback");
  lua_settop(L, top);
  return st;
}

/* ---- the object ------------------------------------------------------------------------------------------ */

static void destroy(cst_object *o) {
  callback *f = (callback *)o;
  lua_State *L = f->st->main;
  if (lua_checkstack(L, 1)) { /* an entry that exists is set: no memory is asked for */
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, f);
  }
  cst_free(f->st->ctx, f);
}

static bool same(const cst_object *a, const cst_object *b) {
  const callback *f = (const callback *)a, *g = (const callback *)b;
  return f->function == g->function && f->lone == g->lone && strcmp(f->key, g->key) == 0;
}

static callback *check_callback(lua_State *L) {
  callback_box *b = luaL_checkudata(L, 1, LCS_CALLBACK);
  luaL_argcheck(L, b->f, 1, "the callback is closed");
  return b->f;
}

static int callback_gc(lua_State *L) {
  callback_box *b = luaL_checkudata(L, 1, LCS_CALLBACK);
  callback *f = b->f;
  b->f = NULL;
  cst_object_release(f);
  return 0;
}

/* core.callback(f(t, y1, dy1, ..), the script's function, key, lone) -> Callback. Equal keys mean that f calls the
 * script's function alike. */
static int callback_new(lua_State *L) {
  size_t length;
  lcs_state *st = lcs_state_of(L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  const char *key = luaL_checklstring(L, 3, &length);
  lua_Debug where;
  lua_pushvalue(L, 2);
  lua_getinfo(L, ">S", &where);
  callback_box *b = lcs_box(L, sizeof *b, LCS_CALLBACK);
  callback *f = b->f = cst_alloc(st->ctx, sizeof *f + length + 1);
  if (!f) lcs_check(L, cst_fail(st->ctx, CST_ENOMEM, "out of memory for a callback"));
  f->base = (cst_callback){.object = {1, destroy, same}, .call = call};
  f->st = st, f->function = lua_topointer(L, 2), f->lone = lua_toboolean(L, 4);
  snprintf(f->source, sizeof f->source, "%s", where.short_src);
  f->line = where.linedefined;
  memcpy(f->key, key, length + 1);
  lua_pushvalue(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, f);
  return 1;
}

/* ---- in traces and outside --------------------------------------------------------------------------------- */

/* c:node(t, ys) -> list of dy, in the current trace; its line is that of the script's function */
static int callback_node(lua_State *L) {
  callback *f = check_callback(L);
  lcs_trace *tr = lcs_current(L);
  if (!tr) return lcs_error(L, "a callback is recorded inside a trace");
  size_t n;
  cst_value t = lcs_lift(L, tr, 2), *y = lcs_lift_list(L, tr, 3, &n);
  if (f->line > 0) cst_graph_line(tr->graph, f->source, f->line);
  cst_value v = cst_graph_callback(tr->graph, &f->base, t, y, n);
  if (!v) lcs_check(L, tr->graph->status);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lcs_push_value(L, v + (cst_value)i);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* c:call(t, ys) -> list of dy: tensors, with the axis of rows */
static int callback_call(lua_State *L) {
  callback *f = check_callback(L);
  cst_type type[MOST_PARTS];
  const void *y[MOST_PARTS];
  void *dy[MOST_PARTS];
  frame c = {f, luaL_checknumber(L, 2), type, 0, y, dy};
  luaL_checktype(L, 3, LUA_TTABLE);
  size_t n = lua_rawlen(L, 3);
  luaL_argcheck(L, n <= MOST_PARTS, 3, "too many parts");
  lua_createtable(L, (int)n, 0);
  for (; c.n < n; c.n++, lua_pop(L, 1)) {
    lua_rawgeti(L, 3, (lua_Integer)c.n + 1); /* the table keeps it */
    const cst_tensor *part = lcs_check_tensor(L, -1);
    type[c.n] = part->type, y[c.n] = part->data;
    dy[c.n] = lcs_push_tensor(L, &part->type)->data;
    lua_rawseti(L, -3, (lua_Integer)c.n + 1);
  }
  lua_pushcfunction(L, body);
  lua_pushlightuserdata(L, &c);
  lua_call(L, 1, 0);
  return 1;
}

/* ---- dy ------------------------------------------------------------------------------------------------------ */

static bool written(const cst_tensor *t, size_t i) {
  static const unsigned char none[8] = {255, 255, 255, 255, 255, 255, 255, 255};
  size_t size = cst_dtype_size((cst_dtype)t->type.dtype);
  return memcmp((const char *)t->data + i * size, none, size) != 0;
}

static void push_place(lua_State *L, const cst_type *t, size_t i) {
  lua_pushliteral(L, "");
  for (int axis = t->rank; axis-- > 0; i /= (size_t)t->dim[axis]) {
    lua_pushfstring(L, "[%I]", (lua_Integer)(i % (size_t)t->dim[axis]) + 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
}

/* core.unwritten(dy) -> nil, or where the first element is that was not written: "[2]"; or "all" */
static int unwritten(lua_State *L) {
  const cst_tensor *t = lcs_check_tensor(L, 1);
  size_t n = 0, first = t->count;
  for (size_t i = t->count; i-- > 0;)
    if (!written(t, i)) n++, first = i;
  if (n == 0) return 0;
  if (n == t->count) lua_pushliteral(L, "all");
  else push_place(L, &t->type, first);
  return 1;
}

/* core.give(dy, x): dy = x, a number for all elements or a tensor of its shape -> whether x is that */
static int give(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1);
  const cst_tensor *x = lcs_test_tensor(L, 2);
  bool fits = x ? x->type.rank == t->type.rank : lua_type(L, 2) == LUA_TNUMBER;
  for (int i = 0; x && fits && i < t->type.rank; i++) fits = x->type.dim[i] == t->type.dim[i];
  for (size_t i = 0; fits && i < t->count; i++) cst_tensor_set(t, i, x ? cst_tensor_get(x, i) : lua_tonumber(L, 2));
  lua_pushboolean(L, fits);
  return 1;
}

static const luaL_Reg methods[] = {{"node", callback_node}, {"call", callback_call}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", callback_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"callback", callback_new}, {"unwritten", unwritten}, {"give", give}, {NULL, NULL}};

void lcs_open_callback(lua_State *L, int lib) {
  lcs_type(L, LCS_CALLBACK, methods, meta);
  lua_pushvalue(L, lib);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
