/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Any op by its name: the way from scripts to the ops of plugins.
 */
#include "binding.h"

/* Pushes the operands of the list at `arg`; returns their number, `slot` their places. */
static size_t push_operands(lua_State *L, int arg, int *slot) {
  luaL_checktype(L, arg, LUA_TTABLE);
  size_t n = lua_rawlen(L, arg);
  luaL_argcheck(L, n <= LCS_MAX_ARGS, arg, "too many values");
  luaL_checkstack(L, (int)n + 8, "operands");
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, arg, (lua_Integer)i + 1);
    slot[i] = lua_gettop(L);
  }
  return n;
}

/* core.node(op, { values }, { integers or booleans }, { reals }) -> its first output: any op by name, also of
 * plugins */
static int op_node(lua_State *L) {
  int slot[LCS_MAX_ARGS];
  cst_attrs at = {0};
  const char *op = luaL_checkstring(L, 1);
  lua_settop(L, 4);
  for (int t = 3; t <= 4; t++)
    for (int i = 0; lua_istable(L, t) && lua_rawgeti(L, t, i + 1) != LUA_TNIL; i++, lua_pop(L, 1)) {
      luaL_argcheck(L, i < (t == 3 ? CST_ATTR_INTS : CST_ATTR_REALS), t, "too many attributes");
      if (t == 4) at.x[at.n_reals++] = luaL_checknumber(L, -1);
      else at.i[at.n_ints++] = lua_isboolean(L, -1) ? lua_toboolean(L, -1) : luaL_checkinteger(L, -1);
    }
  lua_settop(L, 4);
  size_t n = push_operands(L, 2, slot);
  lcs_apply(L, op, slot, n, &at);
  return 1;
}

static const luaL_Reg functions[] = {{"node", op_node}, {NULL, NULL}};

void lcs_open_node(lua_State *L, int lib) {
  lua_pushvalue(L, lib);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
