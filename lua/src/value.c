/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * costate.Value: what a traced function works on. It has a shape but no elements yet.
 */
#include <string.h>

#include "binding.h"

lcs_value *lcs_test_value(lua_State *L, int arg) { return luaL_testudata(L, arg, LCS_VALUE); }

static const cst_type *type_of(lua_State *L, const lcs_value *x) {
  if (!x->trace || !x->trace->graph) lcs_error(L, "this value belongs to a trace that has ended");
  return cst_type_of(x->trace->graph, x->v);
}

static int value_tostring(lua_State *L) {
  lcs_value *x = luaL_checkudata(L, 1, LCS_VALUE);
  if (!x->trace || !x->trace->graph) return lua_pushliteral(L, "value of a trace that has ended"), 1;
  char shape[128];
  cst_value_info i = cst_graph_info(x->trace->graph, x->v);
  const char *name = lcs_dtype_name(i.type.dtype);
  cst_type_format(&i.type, shape, sizeof shape);
  if (i.line) lua_pushfstring(L, "traced %s %s (%s at %s:%d)", name, shape, i.op, i.source, i.line);
  else lua_pushfstring(L, "traced %s %s (%s)", name, shape, i.name ? i.name : i.op);
  return 1;
}

static int value_len(lua_State *L) {
  const cst_type *t = type_of(L, luaL_checkudata(L, 1, LCS_VALUE));
  if (t->rank == 0) return lcs_error(L, "a value of rank 0 has no length");
  lua_pushinteger(L, t->dim[0]);
  return 1;
}

static int value_index(lua_State *L) {
  const cst_type *t = type_of(L, luaL_checkudata(L, 1, LCS_VALUE));
  if (lua_isinteger(L, 2)) {
    lua_Integer i = lua_tointeger(L, 2), n = t->rank ? t->dim[0] : 0;
    if (t->space == CST_ROW && (i < 1 || i > n))
      return lcs_error(L, "[%d] asks for a row of the batch, which has %d: components of a row are "
                          "x:column(%d) or x:columns()", (int)i, (int)n, (int)i);
    return i < 1 || i > n ? 0 : lcs_select(L, 1, i - 1);
  }
  const char *k = lua_tostring(L, 2);
  if (!k) return luaL_argerror(L, 2, "an index is an integer or a name");
  if (strcmp(k, "shape") == 0) return lcs_push_shape(L, t), 1;
  if (strcmp(k, "dtype") == 0) return lua_pushstring(L, lcs_dtype_name(t->dtype)), 1;
  if (strcmp(k, "rank") == 0) return lua_pushinteger(L, t->rank), 1;
  if (strcmp(k, "count") == 0) return lua_pushinteger(L, (lua_Integer)cst_type_count(t)), 1;
  if (strcmp(k, "rows") == 0) return lua_pushboolean(L, t->space == CST_ROW), 1;
  luaL_getmetafield(L, 1, "__methods");
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

static int value_newindex(lua_State *L) {
  return lcs_error(L, "a traced value cannot be written to: build a new one with cs.where or cs.stack");
}

/* Lua turns the result of a comparison into a boolean, so it could not be a value. */
static int value_compare(lua_State *L) {
  return lcs_error(L, "a comparison of traced values cannot steer `if`: their numbers are not known "
                      "yet. Use cs.lt, cs.le, cs.gt, cs.ge, cs.eq and cs.where(condition, a, b)");
}

static int value_concrete(lua_State *L) {
  return lcs_error(L, "a traced value has no numbers yet: item, get and totable work on tensors, "
                      "outside of traced functions");
}

static const luaL_Reg methods[] = {
    {"item", value_concrete}, {"get", value_concrete},   {"totable", value_concrete},
    {"near", value_concrete}, {"clone", value_concrete}, {NULL, NULL}};
static const luaL_Reg meta[] = {
    {"__tostring", value_tostring}, {"__len", value_len},   {"__index", value_index},
    {"__newindex", value_newindex}, {"__lt", value_compare}, {"__le", value_compare},
    {"__eq", value_compare},        {NULL, NULL}};

void lcs_open_value(lua_State *L) {
  lcs_type(L, LCS_VALUE, methods, meta);
  luaL_getmetatable(L, LCS_VALUE);
  lcs_set_operators(L);
  lua_getfield(L, -1, "__methods");
  lcs_set_methods(L);
  lcs_set_shape_methods(L);
  lua_pop(L, 2);
}
