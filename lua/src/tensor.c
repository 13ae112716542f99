/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * costate.Tensor: a handle of a core tensor. Rows and columns count from 1, as everywhere in Lua.
 */
#include <math.h>
#include <string.h>

#include "binding.h"

typedef struct handle {
  cst_tensor *t;
} handle;

enum { COLLECT_BYTES = 64 << 20 };

cst_tensor *lcs_test_tensor(lua_State *L, int arg) {
  handle *h = luaL_testudata(L, arg, LCS_TENSOR);
  return h ? h->t : NULL;
}

cst_tensor *lcs_check_tensor(lua_State *L, int arg) {
  handle *h = luaL_checkudata(L, arg, LCS_TENSOR);
  luaL_argcheck(L, h->t, arg, "the tensor is closed");
  return h->t;
}

/* Lua sees a few bytes of a tensor however large it is: collect when many bytes were made. */
static void note_bytes(lua_State *L, lcs_state *st, size_t bytes) {
  st->pending += bytes;
  if (st->pending < COLLECT_BYTES + cst_memory_of(st->ctx).live_bytes / 2) return;
  st->pending = 0;
  lua_gc(L, LUA_GCCOLLECT);
}

cst_tensor *lcs_push_tensor(lua_State *L, const cst_type *type) {
  lcs_state *st = lcs_state_of(L);
  handle *h = lcs_box(L, sizeof *h, LCS_TENSOR);
  lcs_check(L, cst_tensor_new(st->ctx, type->dtype, type->rank, type->dim, &h->t));
  h->t->type.space = type->space == CST_ROW ? CST_ROW : CST_SHARED;
  note_bytes(L, st, h->t->count * cst_dtype_size(type->dtype));
  return h->t;
}

cst_tensor *lcs_push_view(lua_State *L, cst_tensor *base, size_t offset, const cst_type *type) {
  handle *h = lcs_box(L, sizeof *h, LCS_TENSOR);
  lcs_check(L, cst_tensor_view(base, offset, type->rank, type->dim, &h->t));
  h->t->type.space = type->space;
  return h->t;
}

void lcs_push_retained(lua_State *L, cst_tensor *t) {
  handle *h = lcs_box(L, sizeof *h, LCS_TENSOR);
  h->t = cst_tensor_retain(t);
}

static int tensor_gc(lua_State *L) {
  handle *h = luaL_checkudata(L, 1, LCS_TENSOR);
  cst_tensor *t = h->t;
  h->t = NULL;
  cst_tensor_release(t);
  return 0;
}

static int tensor_tostring(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1);
  luaL_Buffer b;
  size_t n = cst_tensor_format(t, NULL, 0);
  char *text = luaL_buffinitsize(L, &b, n + 1);
  cst_tensor_format(t, text, n + 1);
  luaL_pushresultsize(&b, n);
  return 1;
}

static int tensor_len(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1);
  if (t->type.rank == 0) return lcs_error(L, "a tensor of rank 0 has no length");
  lua_pushinteger(L, t->type.dim[0]);
  return 1;
}

void lcs_push_shape(lua_State *L, const cst_type *t) {
  lua_createtable(L, t->rank, 0);
  for (int i = 0; i < t->rank; i++) {
    lua_pushinteger(L, t->dim[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

const char *lcs_dtype_name(uint8_t dtype) {
  static const char *const names[] = {"f32", "f64", "i64", "opaque"};
  return names[dtype <= CST_OPAQUE ? dtype : CST_OPAQUE];
}

static int index_row(lua_State *L, cst_tensor *t) {
  lua_Integer i = lua_tointeger(L, 2), n = t->type.rank ? t->type.dim[0] : 0;
  if (i < 1 || i > n) return 0; /* nil ends ipairs */
  return lcs_select(L, 1, i - 1);
}

static int tensor_index(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1);
  if (lua_isinteger(L, 2)) return index_row(L, t);
  const char *k = lua_tostring(L, 2);
  if (!k) return luaL_argerror(L, 2, "an index is an integer or a name");
  if (strcmp(k, "shape") == 0) return lcs_push_shape(L, &t->type), 1;
  if (strcmp(k, "dtype") == 0) return lua_pushstring(L, lcs_dtype_name(t->type.dtype)), 1;
  if (strcmp(k, "rank") == 0) return lua_pushinteger(L, t->type.rank), 1;
  if (strcmp(k, "count") == 0) return lua_pushinteger(L, (lua_Integer)t->count), 1;
  if (strcmp(k, "rows") == 0) return lua_pushboolean(L, t->type.space == CST_ROW), 1;
  luaL_getmetafield(L, 1, "__methods");
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

/* Copies `count` converted elements of s to t, from element `offset` of t. */
static void copy_elements(cst_tensor *t, size_t offset, const cst_tensor *s) {
  size_t size = cst_dtype_size(t->type.dtype);
  if (t->type.dtype == s->type.dtype)
    memmove((char *)t->data + offset * size, s->data, s->count * size);
  else
    for (size_t i = 0; i < s->count; i++) cst_tensor_set(t, offset + i, cst_tensor_get(s, i));
}

static void fill_elements(cst_tensor *t, size_t offset, size_t n, double x) {
  for (size_t i = 0; i < n; i++) cst_tensor_set(t, offset + i, x);
}

/* t[i] = number | tensor: prepares data. */
static int tensor_newindex(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1);
  lua_Integer i = luaL_checkinteger(L, 2), n = t->type.rank ? t->type.dim[0] : 0;
  luaL_argcheck(L, i >= 1 && i <= n, 2, "index outside the tensor");
  size_t row = t->count / (size_t)n, at = (size_t)(i - 1) * row;
  cst_tensor *s = lcs_test_tensor(L, 3);
  if (!s) return fill_elements(t, at, row, luaL_checknumber(L, 3)), 0;
  if (s->count != row) return lcs_error(L, "row %d has %d elements, the tensor given has %d", (int)i,
                                        (int)row, (int)s->count);
  copy_elements(t, at, s);
  return 0;
}

/* t:fill(x) -> t */
static int tensor_fill(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1);
  fill_elements(t, 0, t->count, luaL_checknumber(L, 2));
  lua_settop(L, 1);
  return 1;
}

/* t:copy(from) -> t: elements of a tensor of as many elements */
static int tensor_copy(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1), *s = lcs_check_tensor(L, 2);
  luaL_argcheck(L, s->count == t->count, 2, "the numbers of elements differ");
  copy_elements(t, 0, s);
  lua_settop(L, 1);
  return 1;
}

/* t:clone() */
static int tensor_clone(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1);
  copy_elements(lcs_push_tensor(L, &t->type), 0, t);
  return 1;
}

static size_t flat_index(lua_State *L, const cst_tensor *t, int first) {
  size_t at = 0;
  for (int i = 0; i < t->type.rank; i++) {
    lua_Integer k = luaL_checkinteger(L, first + i);
    luaL_argcheck(L, k >= 1 && k <= t->type.dim[i], first + i, "index outside the tensor");
    at = at * (size_t)t->type.dim[i] + (size_t)(k - 1);
  }
  return at;
}

static void push_element(lua_State *L, const cst_tensor *t, size_t i) {
  if (t->type.dtype == CST_I64) lua_pushinteger(L, ((const int64_t *)t->data)[i]);
  else lua_pushnumber(L, cst_tensor_get(t, i));
}

/* t:get(i, j, ...) -> number */
static int tensor_get(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1);
  push_element(L, t, flat_index(L, t, 2));
  return 1;
}

/* t:set(i, j, ..., number) -> t */
static int tensor_set(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1);
  size_t at = flat_index(L, t, 2);
  cst_tensor_set(t, at, luaL_checknumber(L, t->type.rank + 2));
  lua_settop(L, 1);
  return 1;
}

/* t:item() -> the number of a tensor of one element */
static int tensor_item(lua_State *L) {
  cst_tensor *t = lcs_check_tensor(L, 1);
  if (t->count != 1) return lcs_error(L, "item: the tensor has %d elements, not one", (int)t->count);
  push_element(L, t, 0);
  return 1;
}

static void push_nested(lua_State *L, const cst_tensor *t, int axis, size_t *at) {
  if (axis == t->type.rank) {
    push_element(L, t, (*at)++);
    return;
  }
  luaL_checkstack(L, 3, "tensor is too deep");
  int n = (int)t->type.dim[axis];
  lua_createtable(L, n, 0);
  for (int i = 1; i <= n; i++) {
    push_nested(L, t, axis + 1, at);
    lua_rawseti(L, -2, i);
  }
}

/* t:totable() -> nested tables of numbers */
static int tensor_totable(lua_State *L) {
  size_t at = 0;
  push_nested(L, lcs_check_tensor(L, 1), 0, &at);
  return 1;
}

/* Leaves "[2, 3]" on the stack. */
static const char *push_lengths(lua_State *L, const cst_type *t) {
  lua_pushliteral(L, "[");
  for (int i = 0; i < t->rank; i++) {
    lua_pushfstring(L, i ? ", %I" : "%I", (lua_Integer)t->dim[i]);
    lua_concat(L, 2);
  }
  lua_pushliteral(L, "]");
  lua_concat(L, 2);
  return lua_tostring(L, -1);
}

static void check_same_lengths(lua_State *L, const cst_type *a, const cst_type *b) {
  if (a->rank == b->rank && memcmp(a->dim, b->dim, a->rank * sizeof *a->dim) == 0) return;
  const char *own = push_lengths(L, a), *other = push_lengths(L, b);
  lcs_error(L, "near compares tensors of one shape, these have %s and %s: reshape one of them", own, other);
}

/* Nested tables become a tensor of f64. */
static void read_tables(lua_State *L, int arg) {
  if (!lua_istable(L, arg)) return;
  lua_pushcfunction(L, lcs_make_tensor);
  lua_pushvalue(L, arg);
  lua_pushliteral(L, "f64");
  lua_call(L, 2, 1);
  lua_replace(L, arg);
}

/* a:near(b [, tolerance]) -> boolean, largest difference: |a-b| <= tolerance max(1, |b|) everywhere. A NaN is near
 * to nothing, an infinity to itself alone. */
static int tensor_near(lua_State *L) {
  read_tables(L, 2);
  cst_tensor *a = lcs_check_tensor(L, 1), *b = lcs_test_tensor(L, 2);
  double number = b ? 0 : luaL_checknumber(L, 2), tolerance = luaL_optnumber(L, 3, 1e-9), worst = 0;
  bool near = true;
  if (b) check_same_lengths(L, &a->type, &b->type);
  for (size_t i = 0; i < a->count; i++) {
    double x = cst_tensor_get(a, i), y = b ? cst_tensor_get(b, i) : number, d = fabs(x - y);
    if (x == y) continue;
    if (isnan(d) || d > worst) worst = d;
    if (!(isfinite(d) && d <= tolerance * fmax(1, fabs(y)))) near = false;
  }
  lua_pushboolean(L, near);
  lua_pushnumber(L, worst);
  return 2;
}

/* Orders two tensors of one element each, or one and a number: anything else is cs.lt's business. */
static double scalar_of(lua_State *L, int arg) {
  cst_tensor *t = lcs_test_tensor(L, arg);
  if (t && t->count == 1) return cst_tensor_get(t, 0);
  if (!t && lua_isnumber(L, arg)) return lua_tonumber(L, arg);
  lcs_error(L, "< and <= order numbers and tensors of one element; element by element use cs.lt, "
               "cs.le and cs.where");
  return 0;
}
static int tensor_lt(lua_State *L) {
  double a = scalar_of(L, 1), b = scalar_of(L, 2);
  return lua_pushboolean(L, a < b), 1;
}
static int tensor_le(lua_State *L) {
  double a = scalar_of(L, 1), b = scalar_of(L, 2);
  return lua_pushboolean(L, a <= b), 1;
}

static const luaL_Reg methods[] = {
    {"fill", tensor_fill}, {"copy", tensor_copy},       {"clone", tensor_clone},
    {"get", tensor_get},   {"set", tensor_set},         {"item", tensor_item},
    {"near", tensor_near}, {"totable", tensor_totable}, {NULL, NULL}};

static const luaL_Reg meta[] = {
    {"__gc", tensor_gc},   {"__tostring", tensor_tostring}, {"__len", tensor_len},
    {"__lt", tensor_lt},   {"__le", tensor_le},             {"__index", tensor_index},
    {"__newindex", tensor_newindex}, {NULL, NULL}};

void lcs_open_tensor(lua_State *L) {
  lcs_type(L, LCS_TENSOR, methods, meta);
  luaL_getmetatable(L, LCS_TENSOR);
  lcs_set_operators(L);
  lua_getfield(L, -1, "__methods");
  lcs_set_methods(L);
  lcs_set_shape_methods(L);
  lua_pop(L, 2);
}
