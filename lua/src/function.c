/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * costate.Function: a finished trace.
 */
#include <stdio.h>
#include <string.h>

#include "binding.h"

typedef struct function_box {
  cst_function *f;
} function_box;

cst_function *lcs_check_function(lua_State *L, int arg) {
  function_box *b = luaL_checkudata(L, arg, LCS_FUNCTION);
  luaL_argcheck(L, b->f, arg, "the function is closed");
  return b->f;
}

/* Pushes a closed handle and returns where its function goes. */
cst_function **lcs_push_function(lua_State *L) {
  function_box *b = lcs_box(L, sizeof *b, LCS_FUNCTION);
  return &b->f;
}

static int function_gc(lua_State *L) {
  function_box *b = luaL_checkudata(L, 1, LCS_FUNCTION);
  cst_function *f = b->f;
  b->f = NULL;
  cst_object_release(f);
  return 0;
}

static void push_place(lua_State *L, const cst_function *f, cst_value v) {
  cst_value_info i = cst_graph_info(f->graph, v);
  char text[400], number[40] = "";
  if (strcmp(i.op, "scalar") == 0) snprintf(number, sizeof number, " %.17g", i.attrs->x[0]);
  if (i.line) snprintf(text, sizeof text, "%s%s at %s:%d", i.op, number, i.source, i.line);
  else snprintf(text, sizeof text, "%s%s", i.op, number);
  lua_pushstring(L, text);
}

/* The first value at or after v that has a line: where to send the reader. */
static void push_line(lua_State *L, const cst_function *f, cst_value v) {
  for (cst_value n = cst_graph_size(f->graph); v && v <= n; v++) {
    cst_value_info i = cst_graph_info(f->graph, v);
    if (!i.line) continue;
    lua_pushfstring(L, "%s:%d", i.source, i.line);
    return;
  }
  lua_pushnil(L);
}

/* f:equal(g) -> true | false, what f has there, what g has, "script.lua:12" */
static int function_equal(lua_State *L) {
  cst_function *a = lcs_check_function(L, 1), *b = lcs_check_function(L, 2);
  cst_value x = CST_NONE, y = CST_NONE;
  bool equal = cst_function_equal(a, b, &x, &y);
  lua_pushboolean(L, equal);
  if (equal) return 1;
  push_place(L, a, x);
  push_place(L, b, y);
  push_line(L, b, y);
  if (lua_isnil(L, -1)) lua_pop(L, 1), push_line(L, a, x);
  return 4;
}

/* f:explain() -> listing */
static int function_explain(lua_State *L) {
  cst_function *f = lcs_check_function(L, 1);
  size_t n = cst_function_format(f, NULL, 0);
  luaL_Buffer b;
  char *text = luaL_buffinitsize(L, &b, n + 1);
  cst_function_format(f, text, n + 1);
  luaL_pushresultsize(&b, n);
  return 1;
}

/* f:call(args) -> values: its nodes again in the current trace */
static int function_call(lua_State *L) {
  cst_function *f = lcs_check_function(L, 1);
  lcs_trace *tr = lcs_current(L);
  if (!tr) return lcs_error(L, "a function is called inside a trace");
  luaL_argcheck(L, lua_rawlen(L, 2) == f->n_in, 2, "one value for each input");
  cst_value *in = lua_newuserdatauv(L, (f->n_in + 1) * sizeof *in, 0);
  cst_value *out = lua_newuserdatauv(L, (f->n_out + 1) * sizeof *out, 0);
  for (uint32_t i = 0; i < f->n_in; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, 2, i + 1);
    in[i] = lcs_lift(L, tr, lua_gettop(L));
  }
  lcs_check(L, cst_function_call(tr->graph, f, in, out));
  lua_createtable(L, (int)f->n_out, 0);
  for (uint32_t i = 0; i < f->n_out; i++) {
    lcs_push_value(L, out[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* f:mixes() -> in what results of rows come to depend on each other, or nil */
static int function_mixes(lua_State *L) {
  cst_function *f = lcs_check_function(L, 1);
  cst_program *p = NULL;
  cst_value who = CST_NONE;
  lcs_check(L, cst_program_new(f, NULL, &p));
  bool apart = cst_program_apart(p, &who);
  cst_program_release(p);
  if (apart) return 0;
  push_place(L, f, who);
  return 1;
}

/* f:size() -> inputs, outputs, nodes */
static int function_size(lua_State *L) {
  cst_function *f = lcs_check_function(L, 1);
  lua_pushinteger(L, f->n_in);
  lua_pushinteger(L, f->n_out);
  lua_pushinteger(L, cst_graph_size(f->graph));
  return 3;
}

static const luaL_Reg function_methods[] = {{"equal", function_equal},
                                            {"explain", function_explain},
                                            {"call", function_call},
                                            {"mixes", function_mixes},
                                            {"size", function_size},
                                            {NULL, NULL}};
static const luaL_Reg function_meta[] = {{"__gc", function_gc}, {NULL, NULL}};

void lcs_open_function(lua_State *L) {
  lcs_type(L, LCS_FUNCTION, function_methods, function_meta);
}
