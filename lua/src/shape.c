/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Functions that move elements about. Axes and positions count from 1; negative ones from the end;
 * ranges include both ends, as in string.sub.
 */
#include <string.h>

#include "binding.h"

/* Pushes elements [start, stop) of `axis` (from 0) of what stands at `arg`. */
static void push_slice(lua_State *L, int arg, int axis, int64_t start, int64_t stop, int64_t step) {
  cst_attrs at = {.n_ints = 4, .i = {axis, start, stop, step}};
  lcs_apply(L, "slice", (const int[]){arg}, 1, &at);
}

static void push_reshape(lua_State *L, int arg, int rank, const int64_t *dim) {
  cst_attrs at = {.n_ints = (uint8_t)rank};
  memcpy(at.i, dim, (size_t)rank * sizeof *dim);
  lcs_apply(L, "reshape", (const int[]){arg}, 1, &at);
}

/* Pushes entry i of an axis without that axis. */
static void push_entry(lua_State *L, int arg, int axis, int64_t i) {
  cst_type t = lcs_type_at(L, arg);
  push_slice(L, arg, axis, i, i + 1, 1);
  for (int k = axis; k + 1 < t.rank; k++) t.dim[k] = t.dim[k + 1];
  int slot = lua_gettop(L);
  push_reshape(L, slot, t.rank - 1, t.dim);
  lua_remove(L, slot);
}

/* Row i of a tensor outside of traces is a view that shares its elements; of rank 1, the number. */
static int select_view(lua_State *L, cst_tensor *t, int64_t i) {
  if (t->type.rank == 1) {
    if (t->type.dtype == CST_I64) lua_pushinteger(L, ((const int64_t *)t->data)[i]);
    else lua_pushnumber(L, cst_tensor_get(t, (size_t)i));
    return 1;
  }
  cst_type type = {.dtype = t->type.dtype, .rank = (uint8_t)(t->type.rank - 1)};
  memcpy(type.dim, t->type.dim + 1, type.rank * sizeof *type.dim);
  lcs_push_view(L, t, (size_t)i * cst_type_count(&type), &type);
  return 1;
}

/* The entry of a batch by its position is not a row any more: slicing the batch axis drops the mark. */
int lcs_select(lua_State *L, int arg, int64_t i) {
  cst_tensor *t = lcs_test_tensor(L, arg);
  if (t && !lcs_state_of(L)->current) return select_view(L, t, i);
  push_entry(L, arg, 0, i);
  return 1;
}

/* x:reshape(d1, d2, ...) or x:reshape{d1, ...}; one may be -1 */
static int op_reshape(lua_State *L) {
  int64_t dim[CST_MAX_RANK];
  int rank = 0;
  if (lua_istable(L, 2)) {
    for (; lua_rawgeti(L, 2, rank + 1) != LUA_TNIL; lua_pop(L, 1)) {
      if (rank == CST_MAX_RANK) return lcs_error(L, "reshape: at most %d axes", CST_MAX_RANK);
      dim[rank++] = luaL_checkinteger(L, -1);
    }
  } else {
    for (int n = lua_gettop(L); rank + 2 <= n; rank++) {
      if (rank == CST_MAX_RANK) return lcs_error(L, "reshape: at most %d axes", CST_MAX_RANK);
      dim[rank] = luaL_checkinteger(L, rank + 2);
    }
  }
  push_reshape(L, 1, rank, dim);
  return 1;
}

/* x:transpose() swaps the last two axes; x:transpose(a, b) swaps two; x:transpose{perm} any */
static int op_transpose(lua_State *L) {
  cst_type t = lcs_type_at(L, 1);
  cst_attrs at = {.n_ints = t.rank};
  for (int i = 0; i < t.rank; i++) at.i[i] = i;
  if (lua_istable(L, 2)) {
    luaL_argcheck(L, (int)lua_rawlen(L, 2) == t.rank, 2, "one entry for every axis");
    for (int i = 0; i < t.rank; i++, lua_pop(L, 1)) {
      lua_rawgeti(L, 2, i + 1);
      at.i[i] = lcs_axis(L, lua_gettop(L), t.rank, 0);
    }
  } else {
    if (t.rank < 2) return lcs_error(L, "transpose needs two axes, the value has rank %d", t.rank);
    int a = lcs_axis(L, 2, t.rank, -2), b = lcs_axis(L, 3, t.rank, -1);
    at.i[a] = b, at.i[b] = a;
  }
  lcs_apply(L, "transpose", (const int[]){1}, 1, &at);
  return 1;
}

/* x:slice(axis, first, last [, step]) */
static int op_slice(lua_State *L) {
  cst_type t = lcs_type_at(L, 1);
  int axis = lcs_axis(L, 2, t.rank, 1);
  int64_t n = t.dim[axis], first = luaL_optinteger(L, 3, 1), last = luaL_optinteger(L, 4, -1);
  int64_t step = luaL_optinteger(L, 5, 1);
  if (first < 0) first += n + 1;
  if (last < 0) last += n + 1;
  luaL_argcheck(L, first >= 1 && first <= n + 1, 3, "position outside the axis");
  luaL_argcheck(L, last >= first - 1 && last <= n, 4, "position outside the axis");
  luaL_argcheck(L, step >= 1, 5, "the step must be positive");
  push_slice(L, 1, axis, first - 1, last, step);
  return 1;
}

static int last_axis(lua_State *L, cst_type *t) {
  *t = lcs_type_at(L, 1);
  if (t->rank == 0) lcs_error(L, "a value of rank 0 has no columns");
  return t->rank - 1;
}

/* x:column(i): entry i of the last axis */
static int op_column(lua_State *L) {
  cst_type t;
  int axis = last_axis(L, &t);
  lua_Integer i = luaL_checkinteger(L, 2);
  if (i < 0) i += t.dim[axis] + 1;
  luaL_argcheck(L, i >= 1 && i <= t.dim[axis], 2, "there is no such column");
  push_entry(L, 1, axis, i - 1);
  return 1;
}

/* x:columns() -> every entry of the last axis */
static int op_columns(lua_State *L) {
  cst_type t;
  int axis = last_axis(L, &t), n = (int)t.dim[axis];
  if (t.dim[axis] > 200) return lcs_error(L, "columns: %d are too many, use column(i)", n);
  luaL_checkstack(L, n + 8, "columns");
  for (int i = 0; i < n; i++) push_entry(L, 1, axis, i);
  return n;
}

/* Pushes every value of the list at slot 1; returns how many. */
static int push_list(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  int n = (int)lua_rawlen(L, 1);
  if (n < 1 || n > LCS_MAX_ARGS) lcs_error(L, "between 1 and %d values are joined", LCS_MAX_ARGS);
  luaL_checkstack(L, 3 * n + 8, "too many values");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, 1, i);
  return n;
}

static void push_concat(lua_State *L, int first, int n, int axis) {
  int args[LCS_MAX_ARGS];
  for (int i = 0; i < n; i++) args[i] = first + i;
  cst_attrs at = {.n_ints = 1, .i = {axis}};
  lcs_apply(L, "concat", args, (size_t)n, &at);
}

/* cs.concat({a, b, ...} [, axis]): along an axis they have, the last by default */
static int op_concat(lua_State *L) {
  lua_settop(L, 2);
  int n = push_list(L);
  cst_type t = lcs_type_at(L, 3);
  push_concat(L, 3, n, lcs_axis(L, 2, t.rank, -1));
  return 1;
}

/* The type that all are broadcast to: rows if any has rows, else the highest rank. */
static cst_type common_type(lua_State *L, int first, int n, int *at) {
  cst_type best = lcs_type_at(L, first);
  *at = first;
  for (int i = first + 1; i < first + n; i++) {
    cst_type t = lcs_type_at(L, i);
    bool more = t.space == CST_ROW && best.space != CST_ROW;
    bool same = (t.space == CST_ROW) == (best.space == CST_ROW);
    if (more || (same && (t.rank > best.rank ||
                          (t.rank == best.rank && cst_type_count(&t) > cst_type_count(&best)))))
      best = t, *at = i;
  }
  return best;
}

static bool same_shape(const cst_type *a, const cst_type *b) {
  return a->rank == b->rank && (a->space == CST_ROW) == (b->space == CST_ROW) &&
         memcmp(a->dim, b->dim, a->rank * sizeof *a->dim) == 0;
}

/* A number repeated: in a trace a node like any other, else a tensor of the wanted float type. */
static void push_repeated(lua_State *L, double x, const cst_type *t) {
  lcs_trace *tr = lcs_current(L);
  if (tr) {
    lcs_push_value(L, cst_scalar(tr->graph, x));
    return;
  }
  cst_type type = *t;
  if (type.dtype != CST_F32 && type.dtype != CST_F64) type.dtype = lcs_state_of(L)->real;
  cst_tensor *out = lcs_push_tensor(L, &type);
  for (size_t i = 0; i < out->count; i++) cst_tensor_set(out, i, x);
}

/* A batch that the trace has not met yet brings its rows with it, before anything is repeated along them. */
static void meet_batch(lua_State *L, int arg) {
  lcs_trace *tr = lcs_current(L);
  if (tr && lcs_type_at(L, arg).space == CST_ROW) lcs_lift(L, tr, arg);
}

static void push_broadcast(lua_State *L, int arg, const cst_type *t) {
  bool number = lua_type(L, arg) == LUA_TNUMBER;
  if (number) push_repeated(L, lua_tonumber(L, arg), t);
  if (number && !lcs_test_value(L, lua_gettop(L))) return;
  if (number) arg = lua_gettop(L);
  cst_attrs at = {.n_ints = (uint8_t)(2 + t->rank), .i = {t->rank, t->space == CST_ROW}};
  for (int i = 0; i < t->rank; i++) at.i[2 + i] = t->dim[i];
  lcs_apply(L, "broadcast", (const int[]){arg}, 1, &at);
  if (number) lua_remove(L, arg);
}

/* cs.stack({a, b, ...} [, axis]): along a new axis, the last by default; numbers and shared values
 * are repeated to fit. */
static int op_stack(lua_State *L) {
  lua_settop(L, 2);
  int n = push_list(L), like;
  cst_type t = common_type(L, 3, n, &like), wide;
  if (lua_type(L, like) == LUA_TNUMBER) t.dtype = lcs_state_of(L)->real;
  if (t.rank == CST_MAX_RANK) return lcs_error(L, "stack: the result would have more than %d axes", CST_MAX_RANK);
  wide = t;
  meet_batch(L, like);
  int axis = lcs_axis(L, 2, t.rank + 1, -1);
  if (t.space == CST_ROW && axis == 0) return lcs_error(L, "stack: the first axis is the batch");
  memmove(wide.dim + axis + 1, t.dim + axis, (size_t)(t.rank - axis) * sizeof *t.dim);
  wide.dim[axis] = 1;
  for (int i = 3; i < 3 + n; i++) {
    cst_type own = lcs_type_at(L, i);
    bool number = lua_type(L, i) == LUA_TNUMBER;
    if (same_shape(&own, &t) && !number) lua_pushvalue(L, i);
    else push_broadcast(L, i, &t);
    int slot = lua_gettop(L);
    push_reshape(L, slot, t.rank + 1, wide.dim);
    lua_replace(L, slot);
  }
  push_concat(L, 3 + n, n, axis);
  return 1;
}

/* x:broadcast_like(y) */
static int op_broadcast_like(lua_State *L) {
  cst_type t = lcs_type_at(L, 2);
  meet_batch(L, 2);
  push_broadcast(L, 1, &t);
  return 1;
}

static int full_like(lua_State *L, double x) {
  cst_type t = lcs_type_at(L, 1);
  meet_batch(L, 1);
  lua_pushnumber(L, x);
  push_broadcast(L, lua_gettop(L), &t);
  return 1;
}
static int op_zeros_like(lua_State *L) { return full_like(L, 0); }
static int op_ones_like(lua_State *L) { return full_like(L, 1); }
static int op_full_like(lua_State *L) { return full_like(L, luaL_checknumber(L, 2)); }

/* x:pad(axis, before, after) with zeros */
static int op_pad(lua_State *L) {
  cst_type t = lcs_type_at(L, 1);
  cst_attrs at = {.n_ints = 4, .i = {lcs_axis(L, 2, t.rank, 1), luaL_checkinteger(L, 3),
                                     luaL_optinteger(L, 4, 0), 1}};
  luaL_argcheck(L, at.i[1] >= 0, 3, "must not be negative");
  luaL_argcheck(L, at.i[2] >= 0, 4, "must not be negative");
  lcs_apply(L, "pad", (const int[]){1}, 1, &at);
  return 1;
}

/* Positions that are known already lie on the axis; those of a batch come later, and the op takes the
 * nearest. */
static void check_positions(lua_State *L, const cst_tensor *index, int64_t length) {
  const int64_t *at = index->data;
  for (size_t i = 0; i < index->count; i++)
    if (at[i] < 0 || at[i] >= length)
      lcs_error(L, "take: position %I is not on an axis of length %I", (LUAI_UACINT)at[i] + 1, (LUAI_UACINT)length);
}

/* x:take(index [, axis]): entries by an index tensor (cs.index), along the first axis by default */
static int op_take(lua_State *L) {
  cst_type t = lcs_type_at(L, 1), index = lcs_type_at(L, 2);
  luaL_argcheck(L, index.dtype == CST_I64, 2, "an index tensor (cs.index{...}) is needed");
  cst_attrs at = {.n_ints = 1, .i = {lcs_axis(L, 3, t.rank, 1)}};
  cst_tensor *known = lcs_test_tensor(L, 2);
  if (known) check_positions(L, known, t.dim[at.i[0]]);
  lcs_apply(L, "gather", (const int[]){1, 2}, 2, &at);
  return 1;
}

/* x:cast(dtype) */
static int op_cast(lua_State *L) {
  cst_attrs at = {.n_ints = 1, .i = {lcs_check_dtype(L, 2, CST_F64)}};
  lcs_apply(L, "cast", (const int[]){1}, 1, &at);
  return 1;
}

static const luaL_Reg functions[] = {
    {"reshape", op_reshape},   {"transpose", op_transpose}, {"slice", op_slice},
    {"column", op_column},     {"columns", op_columns},     {"concat", op_concat},
    {"stack", op_stack},       {"pad", op_pad},             {"take", op_take},
    {"cast", op_cast},         {"zeros_like", op_zeros_like}, {"ones_like", op_ones_like},
    {"full_like", op_full_like}, {"broadcast_like", op_broadcast_like}, {NULL, NULL}};

void lcs_set_shape_methods(lua_State *L) { luaL_setfuncs(L, functions, 0); }
