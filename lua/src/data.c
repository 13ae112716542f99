/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Cutting batches out of tensors, outside of traces.
 */
#include <string.h>

#include "binding.h"

static const int64_t *check_index(lua_State *L, int arg, size_t *n, int64_t limit) {
  cst_tensor *t = lcs_check_tensor(L, arg);
  luaL_argcheck(L, t->type.dtype == CST_I64 && t->type.rank == 1, arg, "an index tensor is needed");
  const int64_t *x = t->data;
  for (size_t i = 0; i < t->count; i++)
    luaL_argcheck(L, x[i] >= 0 && x[i] < limit, arg, "position outside the tensor");
  *n = t->count;
  return x;
}

/* core.windows(t, starts, length [, drop]) -> [B, length, ...] rows: entry b holds the rows of t from
 * starts[b] on. With `drop` (length 1) the axis of length 1 is left out. */
static int windows(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1);
  lua_Integer length = luaL_checkinteger(L, 3);
  bool drop = lua_toboolean(L, 4);
  luaL_argcheck(L, t->type.rank >= 1, 1, "a tensor with rows is needed");
  luaL_argcheck(L, length >= 1 && length <= t->type.dim[0], 3, "longer than the data");
  luaL_argcheck(L, !drop || length == 1, 4, "only an axis of length 1 can be left out");
  luaL_argcheck(L, drop || t->type.rank < CST_MAX_RANK, 1, "too many axes");
  size_t n;
  const int64_t *start = check_index(L, 2, &n, t->type.dim[0] - length + 1);
  cst_type type = {.dtype = t->type.dtype, .space = CST_ROW, .dim = {(int64_t)n}, .rank = 1};
  if (!drop) type.dim[type.rank++] = length;
  for (int i = 1; i < t->type.rank; i++) type.dim[type.rank++] = t->type.dim[i];
  size_t row = t->count / (size_t)t->type.dim[0] * cst_dtype_size(t->type.dtype);
  char *out = lcs_push_tensor(L, &type)->data;
  for (size_t i = 0; i < n; i++)
    memcpy(out + i * row * (size_t)length, (const char *)t->data + (size_t)start[i] * row,
           row * (size_t)length);
  return 1;
}

/* core.range(t, first, last) -> view of rows first to last */
static int range(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1);
  lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3);
  int64_t n = t->type.rank ? t->type.dim[0] : 0;
  luaL_argcheck(L, first >= 1 && first <= n + 1, 2, "row outside the tensor");
  luaL_argcheck(L, last >= first - 1 && last <= n, 3, "row outside the tensor");
  cst_type type = t->type;
  type.dim[0] = last - first + 1;
  size_t row = n ? t->count / (size_t)n : 0;
  lcs_push_view(L, t, (size_t)(first - 1) * row, &type);
  return 1;
}

/* core.convert(t, dtype) -> t itself or a converted copy, marks kept */
static int convert(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1);
  cst_type type = t->type;
  type.dtype = (uint8_t)lcs_check_dtype(L, 2, CST_F64);
  if (type.dtype == t->type.dtype) return lua_settop(L, 1), 1;
  cst_tensor *out = lcs_push_tensor(L, &type);
  for (size_t i = 0; i < t->count; i++) cst_tensor_set(out, i, cst_tensor_get(t, i));
  return 1;
}

static const luaL_Reg functions[] = {
    {"windows", windows}, {"range", range}, {"convert", convert}, {NULL, NULL}};

void lcs_open_data(lua_State *L, int lib) {
  lua_pushvalue(L, lib);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
