/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * costate.Options: a script's table resolved against a schema of the core. The table is never
 * changed; the positional part goes to the schema's first list.
 */
#include <string.h>

#include "binding.h"

typedef struct options_box {
  cst_context *ctx;
  cst_options *o;
} options_box;

const cst_options *lcs_check_options(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return NULL;
  options_box *b = luaL_checkudata(L, arg, LCS_OPTIONS);
  return b->o;
}

static int options_gc(lua_State *L) {
  options_box *b = luaL_checkudata(L, 1, LCS_OPTIONS);
  cst_options *o = b->o;
  b->o = NULL;
  if (o) cst_options_free(b->ctx, o);
  return 0;
}

/* Numbers of the list on top of the stack, in a userdata that replaces it. */
static const double *list_of(lua_State *L, const char *what, const char *name, size_t *n) {
  int list = lua_gettop(L);
  cst_tensor *t = lcs_test_tensor(L, list);
  *n = t ? t->count : lua_rawlen(L, list);
  double *x = lua_newuserdatauv(L, (*n + 1) * sizeof *x, 0);
  for (size_t i = 0; i < *n; i++) {
    if (t) {
      x[i] = cst_tensor_get(t, i);
      continue;
    }
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    int ok;
    x[i] = lua_tonumberx(L, -1, &ok);
    if (!ok) lcs_error(L, "option '%s' of %s is a list of numbers", name, what);
    lua_pop(L, 1);
  }
  return x;
}

/* A table where the schema has one value is told as that, not by what is in it. */
static void check_list(lua_State *L, const char *what, const cst_option *schema, const char *name) {
  for (; schema && schema->kind != CST_OPTION_END; schema++)
    if (strcmp(schema->name, name) == 0 && schema->kind != CST_LIST)
      lcs_error(L, "option '%s' of %s is %s, not a table", name, what, schema->kind == CST_STRING ? "a name" : "one value");
}

/* The value on top of the stack; a list leaves a userdata there that must stay. */
static cst_given given_of(lua_State *L, const char *what, const cst_option *schema, const char *name) {
  cst_given g = {.name = name};
  switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
      g.kind = CST_BOOLEAN, g.number = lua_toboolean(L, -1);
      break;
    case LUA_TNUMBER:
      g.kind = lua_isinteger(L, -1) ? CST_INTEGER : CST_NUMBER;
      g.number = lua_tonumber(L, -1), g.integer = lua_tointeger(L, -1);
      break;
    case LUA_TSTRING:
      g.kind = CST_STRING, g.string = lua_tostring(L, -1);
      break;
    case LUA_TUSERDATA:
    case LUA_TTABLE:
      check_list(L, what, schema, name);
      g.kind = CST_LIST, g.list = list_of(L, what, name, &g.n_list);
      break;
    default:
      lcs_error(L, "option '%s' of %s cannot be a %s", name, what, luaL_typename(L, -1));
  }
  return g;
}

static const char *first_list(const cst_option *schema) {
  for (; schema && schema->kind != CST_OPTION_END; schema++)
    if (schema->kind == CST_LIST) return schema->name;
  return NULL;
}

static size_t count_keys(lua_State *L, int arg) {
  size_t n = 1;
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1))
    if (lua_type(L, -2) == LUA_TSTRING) n++;
  return n;
}

/* The table's fields; values stay alive in the table, lists in userdata collected at slot `keep`. */
static size_t collect(lua_State *L, const char *what, const cst_option *schema, int arg, int keep,
                      cst_given *given) {
  size_t n = 0;
  if (lua_rawlen(L, arg) > 0) {
    const char *name = first_list(schema);
    if (!name) lcs_error(L, "%s takes named options only", what);
    lua_pushvalue(L, arg);
    given[n++] = given_of(L, what, schema, name);
    lua_rawseti(L, keep, (lua_Integer)n);
    lua_pop(L, 1);
  }
  for (lua_pushnil(L); lua_next(L, arg);) {
    int key = lua_gettop(L) - 1;
    if (lua_type(L, key) == LUA_TSTRING) {
      given[n++] = given_of(L, what, schema, lua_tostring(L, key));
      if (lua_gettop(L) > key + 1) lua_rawseti(L, keep, (lua_Integer)n);
    }
    lua_settop(L, key);
  }
  return n;
}

const cst_options *lcs_push_options(lua_State *L, const char *what, const cst_option *schema,
                                    int arg) {
  bool some = !lua_isnoneornil(L, arg);
  if (some) luaL_checktype(L, arg, LUA_TTABLE);
  arg = some ? lua_absindex(L, arg) : 0;
  options_box *b = lcs_box(L, sizeof *b, LCS_OPTIONS);
  int box = lua_gettop(L);
  b->ctx = lcs_state_of(L)->ctx;
  lua_newtable(L);
  cst_given *given = lua_newuserdatauv(L, (some ? count_keys(L, arg) + 1 : 1) * sizeof *given, 0);
  size_t n = some ? collect(L, what, schema, arg, box + 1, given) : 0;
  lcs_check(L, cst_options_new(b->ctx, what, schema, given, n, &b->o));
  lua_settop(L, box);
  return b->o;
}

static void push_option_value(lua_State *L, const cst_option *s, const cst_option_value *v) {
  switch (s->kind) {
    case CST_NUMBER: lua_pushnumber(L, v->number); break;
    case CST_INTEGER: lua_pushinteger(L, v->integer); break;
    case CST_BOOLEAN: lua_pushboolean(L, v->number != 0); break;
    case CST_STRING: lua_pushstring(L, v->string); break;
    default:
      lua_createtable(L, (int)v->n_list, 0);
      for (size_t i = 0; i < v->n_list; i++) {
        lua_pushnumber(L, v->list[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
      }
  }
}

/* o:table() -> every option with its value, defaults filled in */
static int options_table(lua_State *L) {
  const cst_options *o = lcs_check_options(L, 1);
  lua_newtable(L);
  for (size_t i = 0; o && o->schema && o->schema[i].kind != CST_OPTION_END; i++) {
    push_option_value(L, &o->schema[i], &o->values[i]);
    lua_setfield(L, -2, o->schema[i].name);
  }
  return 1;
}

/* core.options(kind, name, table) -> Options: loads the plugin if need be */
static int options_new(lua_State *L) {
  static const char *const kinds[] = {"op", "solver", "controller", "gradient", "model", "loss",
                                      "optimizer", "dataset", "exporter", "communicator", NULL};
  cst_kind kind = (cst_kind)luaL_checkoption(L, 1, NULL, kinds);
  const cst_entry *e = lcs_check_entry(L, kind, 2);
  const char *what = lua_pushfstring(L, "%s '%s'", kinds[kind], lua_tostring(L, 2));
  lcs_push_options(L, what, e->options, 3);
  return 1;
}

static const luaL_Reg methods[] = {{"table", options_table}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", options_gc}, {NULL, NULL}};

void lcs_open_options(lua_State *L, int lib) {
  lcs_type(L, LCS_OPTIONS, methods, meta);
  lua_pushcfunction(L, options_new);
  lua_setfield(L, lib, "options");
}
