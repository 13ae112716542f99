/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is registered, as scripts see it: look-ups, schemas, plugins.
 */
#include <string.h>

#include "binding.h"

static const char *const kinds[] = {"op", "solver", "controller", "gradient", "model", "loss",
                                    "optimizer", "dataset", "exporter", "communicator", NULL};

const cst_entry *lcs_check_entry(lua_State *L, cst_kind kind, int arg) {
  lcs_state *st = lcs_state_of(L);
  const cst_entry *e = cst_find(st->ctx, kind, luaL_checkstring(L, arg));
  if (!e) lcs_check(L, cst_last_status(st->ctx));
  return e;
}

static void set_string(lua_State *L, const char *key, const char *s) {
  if (!s) return;
  lua_pushstring(L, s);
  lua_setfield(L, -2, key);
}

static void push_default(lua_State *L, const cst_option *o) {
  if (o->kind == CST_STRING) lua_pushstring(L, o->string);
  else if (o->kind == CST_BOOLEAN) lua_pushboolean(L, o->number != 0);
  else if (o->kind == CST_INTEGER) lua_pushinteger(L, (lua_Integer)o->number);
  else if (o->kind == CST_NUMBER) lua_pushnumber(L, o->number);
  else lua_pushnil(L);
}

static void push_schema(lua_State *L, const cst_option *o) {
  static const char *const names[] = {"", "number", "integer", "boolean", "string", "list"};
  lua_newtable(L);
  for (lua_Integer i = 1; o && o->kind != CST_OPTION_END; i++, o++) {
    lua_newtable(L);
    set_string(L, "name", o->name);
    set_string(L, "kind", names[o->kind]);
    set_string(L, "choices", o->choices);
    set_string(L, "unit", o->unit);
    set_string(L, "help", o->help);
    lua_pushboolean(L, o->required);
    lua_setfield(L, -2, "required");
    push_default(L, o);
    lua_setfield(L, -2, "default");
    lua_pushnumber(L, o->range[0]);
    lua_setfield(L, -2, "low");
    lua_pushnumber(L, o->range[1]);
    lua_setfield(L, -2, "high");
    lua_rawseti(L, -2, i);
  }
}

typedef struct trait {
  uint32_t bit;
  const char *name;
} trait;

static const trait solver_traits[] = {
    {CST_ADAPTIVE, "adaptive"},     {CST_FSAL, "fsal"},     {CST_IMPLICIT, "implicit"},   {CST_SYMPLECTIC, "symplectic"},
    {CST_STOCHASTIC, "stochastic"}, {CST_REVERSIBLE, "reversible"}, {CST_SINGLE, "single"}, {CST_F64_ONLY, "f64_only"},
    {CST_MULTISTEP, "multistep"},   {CST_SELF_CONTROLLED, "self_controlled"}, {0, NULL}};
static const trait gradient_traits[] = {
    {CST_EXACT, "exact"}, {CST_CONTINUOUS, "continuous"}, {CST_APPROXIMATE, "approximate"}, {0, NULL}};
static const trait gradient_needs[] = {
    {CST_NEEDS_TAPE, "tape"}, {CST_NEEDS_AGAIN, "again"}, {CST_NEEDS_TANGENT, "tangent"}, {0, NULL}};

/* entry[key] = { name = whether its bit is set, ... } */
static void set_traits(lua_State *L, const char *key, const trait *list, uint32_t bits) {
  lua_newtable(L);
  for (; list->name; list++) {
    lua_pushboolean(L, (bits & list->bit) != 0);
    lua_setfield(L, -2, list->name);
  }
  lua_setfield(L, -2, key);
}

static void push_solver(lua_State *L, const cst_solver_type *t) {
  lua_pushinteger(L, t->order);
  lua_setfield(L, -2, "order");
  set_traits(L, "traits", solver_traits, t->traits);
}

static void push_gradient(lua_State *L, const cst_gradient_type *t) {
  set_traits(L, "traits", gradient_traits, CST_HAS(t, traits) ? t->traits : 0);
  set_traits(L, "needs", gradient_needs, t->needs);
  set_traits(L, "solver_needs", solver_traits, t->solver_needs);
}

static void push_entry(lua_State *L, const cst_entry *e) {
  lua_newtable(L);
  set_string(L, "kind", cst_kind_name(e->kind));
  set_string(L, "name", e->name);
  set_string(L, "plugin", e->plugin);
  set_string(L, "path", e->path);
  set_string(L, "help", e->help);
  push_schema(L, e->options);
  lua_setfield(L, -2, "options");
  if (e->kind == CST_KIND_SOLVER) push_solver(L, e->type);
  if (e->kind == CST_KIND_GRADIENT) push_gradient(L, e->type);
  const cst_model_type *model = e->kind == CST_KIND_MODEL ? e->type : NULL;
  if (model && CST_HAS(model, signature)) set_string(L, "signature", model->signature);
}

/* Returns nil and the context's message. */
static int push_reason(lua_State *L) {
  lua_pushnil(L);
  lua_pushstring(L, cst_message(lcs_state_of(L)->ctx));
  return 2;
}

/* core.find(kind, name) -> entry | nil, message */
static int find(lua_State *L) {
  cst_kind kind = (cst_kind)luaL_checkoption(L, 1, NULL, kinds);
  const cst_entry *e = cst_find(lcs_state_of(L)->ctx, kind, luaL_checkstring(L, 2));
  if (!e) return push_reason(L);
  push_entry(L, e);
  return 1;
}

/* core.entries(kind) -> list of what is registered now */
static int entries(lua_State *L) {
  cst_kind kind = (cst_kind)luaL_checkoption(L, 1, NULL, kinds);
  cst_context *ctx = lcs_state_of(L)->ctx;
  lua_newtable(L);
  for (size_t i = 0; i < cst_entry_count(ctx, kind); i++) {
    push_entry(L, cst_entry_at(ctx, kind, i));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* core.load(name or path) -> true | nil, message */
static int load(lua_State *L) {
  if (cst_plugin_load(lcs_state_of(L)->ctx, luaL_checkstring(L, 1)) != CST_OK)
    return push_reason(L);
  lua_pushboolean(L, 1);
  return 1;
}

/* core.plugins() -> list of loaded plugins */
static int plugins(lua_State *L) {
  cst_context *ctx = lcs_state_of(L)->ctx;
  lua_newtable(L);
  for (size_t i = 0; i < cst_plugin_count(ctx); i++) {
    cst_plugin_info p = cst_plugin_at(ctx, i);
    lua_newtable(L);
    set_string(L, "name", p.name);
    set_string(L, "version", p.version);
    set_string(L, "license", p.license);
    set_string(L, "path", p.path);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* The callback of cst_plugin_available must not raise, so it copies into memory sized beforehand:
 * the first pass counts, the second copies. */
typedef struct names {
  char *text;
  size_t used, size;
} names;

static void note(names *n, const char *s) {
  size_t length = strlen(s) + 1;
  if (n->text && n->used + length <= n->size) memcpy(n->text + n->used, s, length);
  n->used += length;
}

static void note_plugin(void *arg, const char *name, const char *path) {
  note(arg, name);
  note(arg, path);
}

/* core.available() -> list of {name, path}, loaded or not */
static int available(lua_State *L) {
  cst_context *ctx = lcs_state_of(L)->ctx;
  names n = {0};
  cst_plugin_available(ctx, note_plugin, &n);
  n.size = n.used;
  n.used = 0;
  n.text = lua_newuserdatauv(L, n.size + 1, 0);
  cst_plugin_available(ctx, note_plugin, &n);
  lua_newtable(L);
  lua_Integer count = 0;
  for (size_t at = 0; at < n.used && n.used <= n.size;) {
    const char *name = n.text + at, *path = name + strlen(name) + 1;
    at += strlen(name) + strlen(path) + 2;
    lua_createtable(L, 0, 2);
    set_string(L, "name", name);
    set_string(L, "path", path);
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}

/* core.suggest(word, candidates) -> the nearest, or nil */
static int suggest(lua_State *L) {
  const char *word = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  size_t n = lua_rawlen(L, 2), used = 0;
  const char **list = lua_newuserdatauv(L, (n + 1) * sizeof *list, 0);
  for (size_t i = 1; i <= n; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, 2, (lua_Integer)i);
    if (lua_type(L, -1) == LUA_TSTRING) list[used++] = lua_tostring(L, -1); /* kept by the table */
  }
  lua_pushstring(L, cst_suggest(word, list, used));
  return 1;
}

/* core.accepts(gradient, solver) -> whether they go together | nil, why not */
static int accepts(lua_State *L) {
  const cst_gradient_type *g = lcs_check_entry(L, CST_KIND_GRADIENT, 1)->type;
  const cst_solver_type *s = lcs_check_entry(L, CST_KIND_SOLVER, 2)->type;
  for (const trait *t = solver_traits; t->name; t++)
    if (g->solver_needs & ~s->traits & t->bit) {
      lua_pushnil(L);
      lua_pushfstring(L, "gradient '%s' needs a solver that is %s, which '%s' is not", g->name, t->name, s->name);
      return 2;
    }
  if (g->accepts(cst_host_of(lcs_state_of(L)->ctx), s) != CST_OK) return push_reason(L);
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg functions[] = {{"find", find},           {"entries", entries},
                                     {"load", load},           {"plugins", plugins},
                                     {"available", available}, {"suggest", suggest},
                                     {"accepts", accepts},
                                     {NULL, NULL}};

void lcs_open_registry(lua_State *L, int lib) {
  lua_pushvalue(L, lib);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
