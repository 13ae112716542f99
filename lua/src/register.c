/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What scripts register that the core must know: see lua/costate/register.lua, which gives lists of
 * the right lengths.
 */
#include "binding.h"

static const char *text_field(lua_State *L, int arg, const char *name) {
  lua_getfield(L, arg, name); /* stays on the stack, and so alive */
  return lua_isnil(L, -1) ? NULL : luaL_checkstring(L, -1);
}

static int integer_field(lua_State *L, int arg, const char *name) {
  int found;
  lua_getfield(L, arg, name);
  lua_Integer x = lua_tointegerx(L, -1, &found);
  if (!lua_isnil(L, -1) && (!found || x < 0 || x > 1000))
    lcs_error(L, "option '%s' of register.tableau must be an integer from 0 to 1000", name);
  lua_pop(L, 1);
  return (int)x;
}

/* The n numbers of a list in a userdata that stays on the stack; NULL when there is no list. */
static const double *list_field(lua_State *L, int arg, const char *name, int n) {
  luaL_checkstack(L, 4, "too many lists");
  if (lua_getfield(L, arg, name) == LUA_TNIL) return NULL;
  luaL_checktype(L, -1, LUA_TTABLE);
  int list = lua_gettop(L);
  if (lua_rawlen(L, list) != (size_t)n)
    lcs_error(L, "'%s' of register.tableau has %d numbers, it needs %d", name, (int)lua_rawlen(L, list), n);
  double *out = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *out, 0);
  for (int i = 0; i < n; i++, lua_pop(L, 1)) {
    int found;
    lua_rawgeti(L, list, i + 1);
    out[i] = lua_tonumberx(L, -1, &found);
    if (!found) lcs_error(L, "number %d of '%s' of register.tableau is a %s", i + 1, name, luaL_typename(L, -1));
  }
  return out;
}

/* core.register_tableau { name, help, order, stages, a, b, ... }: the fields of cst_tableau, the
 * coefficients as flat lists */
static int tableau(lua_State *L) {
  lua_settop(L, 1);
  luaL_checktype(L, 1, LUA_TTABLE);
  char source[LUA_IDSIZE];
  int line = lcs_script_line(L, source, sizeof source);
  const char *where = lua_pushfstring(L, "%s:%d", source, line), *name = text_field(L, 1, "name");
  if (!name) return lcs_error(L, "option 'name' of register.tableau is required");
  cst_tableau t = {.struct_size = sizeof t, .help = text_field(L, 1, "help")};
  t.order = integer_field(L, 1, "order");
  t.stages = integer_field(L, 1, "stages");
  t.error_order = integer_field(L, 1, "error_order");
  t.error_order_low = integer_field(L, 1, "error_order_low");
  t.dense_degree = integer_field(L, 1, "dense_degree");
  t.dense_order = integer_field(L, 1, "dense_order");
  t.dense_stages = integer_field(L, 1, "dense_stages");
  int s = t.stages, extra = t.dense_stages;
  t.a = list_field(L, 1, "a", s ? s * (s - 1) / 2 : 0);
  t.b = list_field(L, 1, "b", s);
  t.e = list_field(L, 1, "e", s);
  t.e_low = list_field(L, 1, "e_low", s);
  t.p = list_field(L, 1, "p", (s + extra) * t.dense_degree);
  t.a_dense = list_field(L, 1, "a_dense", extra ? extra * s + extra * (extra - 1) / 2 : 0);
  lcs_check(L, cst_tableau_register(lcs_state_of(L)->ctx, name, where, &t));
  return 0;
}

void lcs_open_register(lua_State *L, int lib) {
  lua_pushcfunction(L, tableau);
  lua_setfield(L, lib, "register_tableau");
}
