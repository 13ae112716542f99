/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Making tensors: from nested tables, by rule, and the mark of a batch.
 */
#include <string.h>

#include "binding.h"

cst_dtype lcs_check_dtype(lua_State *L, int arg, cst_dtype fallback) {
  static const char *const names[] = {"f32", "f64", "i64", NULL};
  if (lua_isnoneornil(L, arg)) return fallback;
  return (cst_dtype)luaL_checkoption(L, arg, NULL, names);
}

static cst_dtype default_real(lua_State *L) { return (cst_dtype)lcs_state_of(L)->real; }

void lcs_check_shape(lua_State *L, int arg, cst_type *type) {
  luaL_checktype(L, arg, LUA_TTABLE);
  size_t rank = lua_rawlen(L, arg);
  luaL_argcheck(L, rank <= CST_MAX_RANK, arg, "at most 8 axes");
  type->rank = (uint8_t)rank;
  for (size_t i = 0; i < rank; i++) {
    lua_rawgeti(L, arg, (lua_Integer)i + 1);
    int ok;
    type->dim[i] = lua_tointegerx(L, -1, &ok);
    luaL_argcheck(L, ok && type->dim[i] >= 0, arg, "a shape is a list of lengths");
    lua_pop(L, 1);
  }
}

/* ---- cs.tensor{...} ------------------------------------------------------------------------------- */

/* The shape of nested tables, from the first entry at each depth. */
static void nested_shape(lua_State *L, int arg, cst_type *type) {
  lua_pushvalue(L, arg);
  while (lua_istable(L, -1)) {
    luaL_argcheck(L, type->rank < CST_MAX_RANK, arg, "at most 8 axes");
    int64_t n = (int64_t)lua_rawlen(L, -1);
    type->dim[type->rank++] = n;
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
    if (n == 0) break;
  }
  lua_pop(L, 1);
}

static void put_number(lua_State *L, cst_tensor *t, size_t at) {
  if (lua_type(L, -1) != LUA_TNUMBER)
    lcs_error(L, "tensor: entries are numbers, found a %s (cs.stack joins tensors)",
              luaL_typename(L, -1));
  if (t->type.dtype != CST_I64) {
    cst_tensor_set(t, at, lua_tonumber(L, -1));
    return;
  }
  int ok;
  ((int64_t *)t->data)[at] = lua_tointegerx(L, -1, &ok);
  if (!ok) lcs_error(L, "tensor: entries of an i64 tensor are integers");
}

static void fill_nested(lua_State *L, cst_tensor *t, int axis, size_t *at) {
  if (axis == t->type.rank) {
    put_number(L, t, (*at)++);
    return;
  }
  luaL_checkstack(L, 4, "tensor is too deep");
  int64_t n = t->type.dim[axis];
  if (!lua_istable(L, -1) || (int64_t)lua_rawlen(L, -1) != n)
    lcs_error(L, "tensor: the tables are ragged: %d entries are expected here", (int)n);
  for (int64_t i = 1; i <= n; i++) {
    lua_rawgeti(L, -1, i);
    fill_nested(L, t, axis + 1, at);
    lua_pop(L, 1);
  }
}

static void check_keys(lua_State *L, int arg) {
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1))
    if (lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), "dtype") != 0)
      lcs_error(L, "unknown option '%s' of tensor: it takes 'dtype'", lua_tostring(L, -2));
}

/* cs.tensor{...} | cs.tensor(number) [, dtype] */
int lcs_make_tensor(lua_State *L) {
  lua_settop(L, 2);
  if (lua_istable(L, 1) && lua_isnil(L, 2)) {
    check_keys(L, 1);
    lua_getfield(L, 1, "dtype");
    lua_replace(L, 2);
  }
  cst_type type = {.dtype = (uint8_t)lcs_check_dtype(L, 2, default_real(L))};
  if (!lua_istable(L, 1)) luaL_checknumber(L, 1);
  nested_shape(L, 1, &type);
  cst_tensor *t = lcs_push_tensor(L, &type);
  size_t at = 0;
  lua_pushvalue(L, 1);
  fill_nested(L, t, 0, &at);
  lua_pop(L, 1);
  return 1;
}

/* ---- by rule --------------------------------------------------------------------------------------- */

/* A shape as separate numbers or one table, then an optional dtype. */
static cst_type shape_arguments(lua_State *L, int first) {
  cst_type type = {.dtype = (uint8_t)default_real(L)};
  int dtype = first + 1;
  if (lua_istable(L, first)) {
    lcs_check_shape(L, first, &type);
  } else {
    int arg = first;
    for (; lua_type(L, arg) == LUA_TNUMBER; arg++) {
      luaL_argcheck(L, type.rank < CST_MAX_RANK, arg, "at most 8 axes");
      type.dim[type.rank++] = luaL_checkinteger(L, arg);
      luaL_argcheck(L, type.dim[type.rank - 1] >= 0, arg, "a length must not be negative");
    }
    dtype = arg;
  }
  type.dtype = (uint8_t)lcs_check_dtype(L, dtype, default_real(L));
  return type;
}

static int make_zeros(lua_State *L) {
  cst_type type = shape_arguments(L, 1);
  lcs_push_tensor(L, &type);
  return 1;
}

static int fill_with(lua_State *L, int first, double x) {
  cst_type type = shape_arguments(L, first);
  cst_tensor *t = lcs_push_tensor(L, &type);
  for (size_t i = 0; i < t->count; i++) cst_tensor_set(t, i, x);
  return 1;
}
static int make_ones(lua_State *L) { return fill_with(L, 1, 1); }
static int make_full(lua_State *L) { return fill_with(L, 2, luaL_checknumber(L, 1)); }

static double *push_doubles(lua_State *L, lua_Integer n) {
  cst_type type = {.dtype = CST_F64, .rank = 1, .dim = {n}};
  return lcs_push_tensor(L, &type)->data;
}

/* cs.linspace(a, b, n): n numbers with both ends exact, always f64 (they are mostly times) */
static int make_linspace(lua_State *L) {
  double a = luaL_checknumber(L, 1), b = luaL_checknumber(L, 2);
  lua_Integer n = luaL_checkinteger(L, 3);
  luaL_argcheck(L, n >= 1, 3, "at least one number");
  double *x = push_doubles(L, n);
  for (lua_Integer i = 0; i < n; i++) x[i] = n == 1 ? a : a + (b - a) * (double)i / (double)(n - 1);
  if (n > 1) x[n - 1] = b;
  return 1;
}

/* cs.arange(a, b [, step]): a, a+step, ... below b; f64 */
static int make_arange(lua_State *L) {
  double a = luaL_checknumber(L, 1), b = luaL_checknumber(L, 2), step = luaL_optnumber(L, 3, 1);
  double length = (b - a) / step;
  luaL_argcheck(L, step != 0 && length < 1e15, 3, "the step does not lead from start to stop");
  lua_Integer n = length > 0 ? (lua_Integer)length : 0;
  if ((double)n < length) n++;
  double *x = push_doubles(L, n);
  for (lua_Integer i = 0; i < n; i++) x[i] = a + step * (double)i;
  return 1;
}

/* cs.iota(n): 0, 1, ..., n-1 */
static int make_iota(lua_State *L) {
  cst_type type = {.dtype = (uint8_t)default_real(L), .rank = 1, .dim = {luaL_checkinteger(L, 1)}};
  cst_tensor *t = lcs_push_tensor(L, &type);
  for (size_t i = 0; i < t->count; i++) cst_tensor_set(t, i, (double)i);
  return 1;
}

/* cs.index{3, 1, 2} or cs.index(3): positions from 1, kept as i64 offsets from 0 */
static int make_index(lua_State *L) {
  cst_type type = {.dtype = CST_I64};
  bool list = lua_istable(L, 1);
  if (list) type.rank = 1, type.dim[0] = (int64_t)lua_rawlen(L, 1);
  cst_tensor *t = lcs_push_tensor(L, &type);
  int64_t *x = t->data;
  for (size_t i = 0; i < t->count; i++) {
    if (list) lua_rawgeti(L, 1, (lua_Integer)i + 1);
    else lua_pushvalue(L, 1);
    int ok;
    x[i] = lua_tointegerx(L, -1, &ok) - 1;
    luaL_argcheck(L, ok && x[i] >= 0, 1, "positions are integers from 1");
    lua_pop(L, 1);
  }
  return 1;
}

/* ---- the mark of a batch --------------------------------------------------------------------------- */

static int mark(lua_State *L, uint8_t space) {
  if (lua_istable(L, 1)) {
    lua_settop(L, 1);
    lcs_make_tensor(L);
    lua_replace(L, 1);
  }
  cst_tensor *t = lcs_check_tensor(L, 1);
  luaL_argcheck(L, t->type.rank >= 1, 1, "a number has no batch");
  cst_type type = t->type;
  type.space = space;
  lcs_push_view(L, t, 0, &type);
  return 1;
}
/* cs.rows(t): the same elements, the leading axis marked as a batch; cs.shared(t) takes it away */
static int make_rows(lua_State *L) { return mark(L, CST_ROW); }
static int make_shared(lua_State *L) { return mark(L, CST_SHARED); }

/* core.view(base, offset, shape): elements from `offset` (from 0) */
static int make_view(lua_State *L) {
  cst_tensor *base = lcs_check_tensor(L, 1);
  lua_Integer offset = luaL_checkinteger(L, 2);
  luaL_argcheck(L, offset >= 0, 2, "must not be negative");
  cst_type type = {.dtype = base->type.dtype};
  lcs_check_shape(L, 3, &type);
  lcs_push_view(L, base, (size_t)offset, &type);
  return 1;
}

/* core.same(a, b): whether two handles are one tensor, or have equal types and elements */
static int same(lua_State *L) {
  cst_tensor *a = lcs_check_tensor(L, 1), *b = lcs_check_tensor(L, 2);
  bool equal = a == b;
  if (!equal)
    equal = memcmp(&a->type, &b->type, sizeof a->type) == 0 &&
            memcmp(a->data, b->data, a->count * cst_dtype_size(a->type.dtype)) == 0;
  lua_pushboolean(L, equal);
  lua_pushboolean(L, a == b);
  return 2;
}

/* core.signature(x) -> "f64 r [2, 3]": equal for equal types */
static int signature(lua_State *L) {
  cst_type t = lcs_type_at(L, 1);
  char text[16 + 24 * CST_MAX_RANK], *p = text;
  *p++ = (char)('0' + t.dtype);
  *p++ = t.space == CST_ROW ? 'r' : 's';
  *p = '\0';
  lua_pushstring(L, text);
  for (int i = 0; i < t.rank; i++) lua_pushfstring(L, ",%I", (lua_Integer)t.dim[i]);
  lua_concat(L, t.rank + 1);
  return 1;
}

/* core.kind(x) -> "tensor" | "value" | nil */
static int kind(lua_State *L) {
  if (lcs_test_tensor(L, 1)) return lua_pushliteral(L, "tensor"), 1;
  if (lcs_test_value(L, 1)) return lua_pushliteral(L, "value"), 1;
  return 0;
}

static const luaL_Reg functions[] = {
    {"tensor", lcs_make_tensor}, {"zeros", make_zeros},   {"ones", make_ones},   {"full", make_full},
    {"linspace", make_linspace}, {"arange", make_arange}, {"iota", make_iota},
    {"index", make_index},   {"rows", make_rows},     {"shared", make_shared}, {"view", make_view},
    {"same", same},          {"signature", signature}, {"kind", kind},        {NULL, NULL}};

void lcs_open_make(lua_State *L, int lib) {
  lua_pushvalue(L, lib);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
