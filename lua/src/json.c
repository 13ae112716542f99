/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * JSON. Numbers are written as the shortest decimals that read back to the same bits, whatever the
 * locale; what JSON cannot hold (NaN, infinities) becomes null. Text is read by cJSON.
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binding.h"

enum { MAX_DEPTH = 64 };

/* The fewest digits that read back to the same bits; a decimal comma of the locale becomes a point. */
static void shortest(double x, char *text, size_t size) {
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, size, "%.*g", digits, x);
    if (strtod(text, NULL) == x) break;
  }
  char *comma = strchr(text, ',');
  if (comma) *comma = '.';
}

static void add_string(luaL_Buffer *b, const char *s, size_t n) {
  luaL_addchar(b, '"');
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    char hex[8];
    if (c == '"' || c == '\\') luaL_addchar(b, '\\'), luaL_addchar(b, (char)c);
    else if (c == '\n') luaL_addstring(b, "\\n");
    else if (c < 0x20) snprintf(hex, sizeof hex, "\\u%04x", c), luaL_addstring(b, hex);
    else luaL_addchar(b, (char)c);
  }
  luaL_addchar(b, '"');
}

static void push_number(lua_State *L, int arg) {
  char text[64];
  if (lua_isinteger(L, arg)) {
    lua_pushfstring(L, "%I", lua_tointeger(L, arg));
    return;
  }
  double x = lua_tonumber(L, arg);
  if (!isfinite(x)) {
    lua_pushliteral(L, "null");
    return;
  }
  shortest(x, text, sizeof text);
  lua_pushstring(L, text);
}

static void push_json(lua_State *L, int arg, int depth);

/* Joins the strings pushed above `base` with commas between brackets. */
static void join(lua_State *L, int base, const char *open, const char *close) {
  int n = lua_gettop(L) - base;
  luaL_Buffer b;
  luaL_checkstack(L, 4, "json");
  lua_createtable(L, n, 0);
  lua_insert(L, base + 1);
  for (int i = n; i >= 1; i--) lua_rawseti(L, base + 1, i);
  luaL_buffinit(L, &b);
  luaL_addstring(&b, open);
  for (int i = 1; i <= n; i++) {
    if (i > 1) luaL_addstring(&b, ", ");
    lua_rawgeti(L, base + 1, i);
    luaL_addvalue(&b);
  }
  luaL_addstring(&b, close);
  luaL_pushresult(&b);
  lua_replace(L, base + 1);
  lua_settop(L, base + 1);
}

static void push_array(lua_State *L, int arg, int depth) {
  int base = lua_gettop(L);
  size_t n = lua_rawlen(L, arg);
  luaL_checkstack(L, (int)n + 8, "json: the list is too long");
  for (size_t i = 1; i <= n; i++) {
    lua_rawgeti(L, arg, (lua_Integer)i);
    push_json(L, lua_gettop(L), depth);
    lua_remove(L, -2);
  }
  join(L, base, "[", "]");
}

/* The string keys in order, in a list on the stack. */
static int push_keys(lua_State *L, int arg) {
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "sort");
  lua_newtable(L);
  lua_remove(L, -3);
  lua_Integer n = 0;
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    lua_pushvalue(L, -2);
    lua_rawseti(L, -4, ++n);
  }
  lua_pushvalue(L, -1);
  lua_insert(L, -3);
  lua_call(L, 1, 0);
  return (int)n;
}

static void push_object(lua_State *L, int arg, int depth) {
  int n = push_keys(L, arg), keys = lua_gettop(L);
  luaL_checkstack(L, n + 12, "json: too many keys");
  for (int i = 1; i <= n; i++) {
    luaL_Buffer b;
    size_t length;
    lua_rawgeti(L, keys, i);
    lua_pushvalue(L, -1);
    lua_rawget(L, arg);
    push_json(L, lua_gettop(L), depth); /* stack: key, value, text */
    lua_replace(L, -2);
    const char *key = lua_tolstring(L, -2, &length);
    luaL_buffinit(L, &b);
    add_string(&b, key, length);
    luaL_addstring(&b, ": ");
    lua_pushvalue(L, keys + i + 1); /* the text, below the buffer */
    luaL_addvalue(&b);
    luaL_pushresult(&b);
    lua_replace(L, -3);
    lua_pop(L, 1);
  }
  join(L, keys, "{", "}");
  lua_remove(L, keys);
}

static void push_json(lua_State *L, int arg, int depth) {
  if (depth > MAX_DEPTH) lcs_error(L, "json: tables are nested too deeply");
  luaL_checkstack(L, 12, "json");
  luaL_Buffer b;
  size_t n;
  const char *s;
  switch (lua_type(L, arg)) {
    case LUA_TNIL: lua_pushliteral(L, "null"); break;
    case LUA_TBOOLEAN: lua_pushstring(L, lua_toboolean(L, arg) ? "true" : "false"); break;
    case LUA_TNUMBER: push_number(L, arg); break;
    case LUA_TSTRING:
      s = lua_tolstring(L, arg, &n);
      luaL_buffinit(L, &b);
      add_string(&b, s, n);
      luaL_pushresult(&b);
      break;
    case LUA_TTABLE:
      if (lua_rawlen(L, arg) > 0) push_array(L, arg, depth + 1);
      else push_object(L, arg, depth + 1);
      break;
    default: lcs_error(L, "json: a %s cannot be written", luaL_typename(L, arg));
  }
}

/* core.json(value) -> text on one line, keys sorted */
static int encode(lua_State *L) {
  lua_settop(L, 1);
  push_json(L, 1, 0);
  return 1;
}

static void push_decoded(lua_State *L, const cJSON *j, int depth) {
  luaL_checkstack(L, 4, "json");
  if (depth > MAX_DEPTH) lcs_error(L, "json: nested too deeply");
  if (cJSON_IsNumber(j)) {
    lua_Integer i;
    lua_pushnumber(L, j->valuedouble);
    if (lua_numbertointeger(j->valuedouble, &i) && (double)i == j->valuedouble) {
      lua_pop(L, 1);
      lua_pushinteger(L, i);
    }
  } else if (cJSON_IsString(j)) {
    lua_pushstring(L, j->valuestring);
  } else if (cJSON_IsBool(j)) {
    lua_pushboolean(L, cJSON_IsTrue(j));
  } else if (cJSON_IsNull(j)) {
    lua_pushnil(L);
  } else {
    lua_newtable(L);
    lua_Integer n = 0;
    for (const cJSON *c = j->child; c; c = c->next) {
      push_decoded(L, c, depth + 1);
      if (cJSON_IsArray(j)) lua_rawseti(L, -2, ++n);
      else lua_setfield(L, -2, c->string);
    }
  }
}

typedef struct json_box {
  cJSON *j;
} json_box;

static int json_gc(lua_State *L) {
  json_box *b = lua_touserdata(L, 1);
  cJSON_Delete(b->j);
  b->j = NULL;
  return 0;
}

/* core.parse_json(text) -> value | nil, message */
static int decode(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  json_box *b = lcs_box(L, sizeof *b, "costate.Json");
  b->j = cJSON_ParseWithLength(text, n);
  if (!b->j) {
    lua_pushnil(L);
    lua_pushliteral(L, "this is not JSON");
    return 2;
  }
  push_decoded(L, b->j, 0);
  return 1;
}

/* core.format(x) -> the shortest decimals of a number */
static int format(lua_State *L) {
  char text[64];
  shortest(luaL_checknumber(L, 1), text, sizeof text);
  lua_pushstring(L, text);
  return 1;
}

static const luaL_Reg meta[] = {{"__gc", json_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {
    {"json", encode}, {"parse_json", decode}, {"format", format}, {NULL, NULL}};

void lcs_open_json(lua_State *L, int lib) {
  lcs_type(L, "costate.Json", NULL, meta);
  lua_pushvalue(L, lib);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
