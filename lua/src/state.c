/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The state of the binding in one Lua state: the context, the stack of traces, defaults; and how
 * failures of the core become Lua errors.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "binding.h"

static const char state_key = 0, own_key = 0;

lcs_state *lcs_state_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  lcs_state *st = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return st;
}

/* Runs last: the context userdata was marked for finalisation before any other of ours. */
static int state_gc(lua_State *L) {
  lcs_state *st = lua_touserdata(L, 1);
  lcs_eager_clear(st);
  if (st->ctx) cst_context_free(st->ctx);
  st->ctx = NULL;
  return 0;
}

/* Whether a chunk belongs to Costate's own Lua modules: they are not the script's fault. */
static bool is_own(lua_State *L, const char *source) {
  bool own = false;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &own_key) == LUA_TSTRING) {
    size_t n;
    const char *prefix = lua_tolstring(L, -1, &n);
    own = strncmp(source, prefix, n) == 0;
  }
  lua_pop(L, 1);
  return own;
}

int lcs_script_line(lua_State *L, char *source, size_t size) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0 || is_own(L, ar.source)) continue;
    snprintf(source, size, "%s", ar.short_src);
    return ar.currentline;
  }
  if (size) source[0] = '\0';
  return 0;
}

static int raise_text(lua_State *L, const char *text) {
  char source[LUA_IDSIZE];
  int line = lcs_script_line(L, source, sizeof source);
  char prefix[LUA_IDSIZE + 16];
  snprintf(prefix, sizeof prefix, "%s:%d:", source, line);
  if (line && strncmp(text, prefix, strlen(prefix)) != 0) lua_pushfstring(L, "%s %s", prefix, text);
  else lua_pushstring(L, text);
  return lua_error(L);
}

int lcs_error(lua_State *L, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const char *text = lua_pushvfstring(L, format, args);
  va_end(args);
  return raise_text(L, text);
}

void lcs_check(lua_State *L, cst_status st) {
  if (st == CST_OK) return;
  lcs_state *s = lcs_state_of(L);
  const char *text = lua_pushstring(L, cst_message(s->ctx));
  if (!*text) text = lua_pushfstring(L, "%s (%s)", cst_status_name(st), cst_status_advice(st));
  raise_text(L, text);
}

void *lcs_box(lua_State *L, size_t size, const char *type) {
  void *p = lua_newuserdatauv(L, size, 1);
  memset(p, 0, size);
  luaL_setmetatable(L, type);
  return p;
}

void lcs_type(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *meta) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, meta, 0);
  lua_newtable(L);
  if (methods) luaL_setfuncs(L, methods, 0);
  lua_getfield(L, -2, "__index"); /* a type with its own __index finds its methods in __methods */
  lua_pushvalue(L, -2);
  lua_setfield(L, -4, lua_isnil(L, -2) ? "__index" : "__methods");
  lua_pop(L, 2);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

/* core.own(prefix): chunks whose source starts so are Costate's own. */
static int own(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &own_key);
  return 0;
}

/* core.place() -> "script.lua:12" or nil */
static int place(lua_State *L) {
  char source[LUA_IDSIZE];
  int line = lcs_script_line(L, source, sizeof source);
  if (!line) return 0;
  lua_pushfstring(L, "%s:%d", source, line);
  lua_pushstring(L, source);
  lua_pushinteger(L, line);
  return 3;
}

/* core.fail(message): raises it with the script's line. */
static int fail(lua_State *L) { return raise_text(L, luaL_checkstring(L, 1)); }

/* core.dtype([name]) -> name of the default float type */
static int dtype(lua_State *L) {
  static const char *const names[] = {"f32", "f64", NULL};
  lcs_state *st = lcs_state_of(L);
  if (!lua_isnoneornil(L, 1)) st->real = (uint8_t)luaL_checkoption(L, 1, NULL, names);
  lua_pushstring(L, names[st->real]);
  return 1;
}

/* core.seed([n]) -> the run's seed */
static int seed(lua_State *L) {
  lcs_state *st = lcs_state_of(L);
  if (!lua_isnoneornil(L, 1)) st->seed = (uint64_t)luaL_checkinteger(L, 1);
  lua_pushinteger(L, (lua_Integer)st->seed);
  return 1;
}

/* core.threads([n]) -> worker threads */
static int threads(lua_State *L) {
  lcs_state *st = lcs_state_of(L);
  if (!lua_isnoneornil(L, 1)) {
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 1 && n <= 1024, 1, "between 1 and 1024 threads");
    lcs_check(L, cst_set_threads(st->ctx, (unsigned)n));
  }
  lua_pushinteger(L, (lua_Integer)cst_threads(st->ctx));
  return 1;
}

/* core.memory([forget]) -> allocations so far, live bytes, peak bytes, live blocks; with `forget` the peak
 * begins anew */
static int memory(lua_State *L) {
  if (lua_toboolean(L, 1)) cst_memory_forget_peak(lcs_state_of(L)->ctx);
  cst_memory m = cst_memory_of(lcs_state_of(L)->ctx);
  lua_pushinteger(L, (lua_Integer)m.allocations);
  lua_pushinteger(L, (lua_Integer)m.live_bytes);
  lua_pushinteger(L, (lua_Integer)m.peak_bytes);
  lua_pushinteger(L, (lua_Integer)m.live_blocks);
  return 4;
}

/* core.profile(): from now on instructions are timed -> a list of {what, calls, seconds} so far, the
 * longest first */
static int profile(lua_State *L) {
  enum { MOST = 64 };
  cst_profile_row row[MOST];
  cst_context *ctx = lcs_state_of(L)->ctx;
  lcs_check(L, cst_profile_start(ctx));
  size_t n = cst_profile_rows(ctx, row, MOST);
  lua_newtable(L);
  for (size_t i = 0; i < n && i < MOST; i++) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, row[i].what), lua_setfield(L, -2, "what");
    lua_pushinteger(L, (lua_Integer)row[i].calls), lua_setfield(L, -2, "calls");
    lua_pushnumber(L, row[i].seconds), lua_setfield(L, -2, "seconds");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static const luaL_Reg functions[] = {
    {"own", own},         {"place", place},     {"fail", fail}, {"dtype", dtype}, {"seed", seed},
    {"threads", threads}, {"memory", memory},   {"profile", profile},
    {NULL, NULL}};

/* The context lives on Lua's own allocator, so whoever limits Lua's memory limits all of it. */
static void open_context(lua_State *L) {
  lcs_state *st = lua_newuserdatauv(L, sizeof *st, 0);
  memset(st, 0, sizeof *st);
  st->real = CST_F64;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  st->main = lua_tothread(L, -1);
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushcfunction(L, state_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  cst_allocator a;
  a.resize = lua_getallocf(L, &a.user);
  st->ctx = cst_context_new(&a);
  if (!st->ctx) luaL_error(L, "not enough memory for a Costate context");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
}

int lcs_open_state(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key) == LUA_TNIL) open_context(L);
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
