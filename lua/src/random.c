/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * costate.Rng: random numbers for preparing data, and draws inside traces. A number is a function of
 * (seed, stream, position): see rng.h.
 */
#include <math.h>
#include <string.h>

#include "binding.h"
#include "costate/rng.h"

static cst_rng *check_rng(lua_State *L) { return luaL_checkudata(L, 1, LCS_RNG); }

/* core.rng(seed [, stream name [, counter]]) */
static int rng_new(lua_State *L) {
  cst_rng r = {.seed = (uint64_t)luaL_checkinteger(L, 1),
               .stream = cst_rng_stream(luaL_optstring(L, 2, "script")),
               .counter = (uint64_t)luaL_optinteger(L, 3, 0)};
  *(cst_rng *)lcs_box(L, sizeof r, LCS_RNG) = r;
  return 1;
}

/* A new tensor of the shape given as numbers or a table from slot 2 on; no shape: NULL, a number. */
static cst_tensor *shape_tensor(lua_State *L, uint8_t dtype) {
  cst_type type = {.dtype = dtype};
  if (lua_isnoneornil(L, 2)) return NULL;
  if (lua_istable(L, 2)) {
    lcs_check_shape(L, 2, &type);
    return lcs_push_tensor(L, &type);
  }
  for (int arg = 2; lua_type(L, arg) == LUA_TNUMBER; arg++) {
    luaL_argcheck(L, type.rank < CST_MAX_RANK, arg, "at most 8 axes");
    type.dim[type.rank++] = luaL_checkinteger(L, arg);
    luaL_argcheck(L, type.dim[type.rank - 1] >= 0, arg, "a length must not be negative");
  }
  return lcs_push_tensor(L, &type);
}

static int draw(lua_State *L, double (*next)(cst_rng *)) {
  cst_rng *r = check_rng(L);
  cst_tensor *t = shape_tensor(L, lcs_state_of(L)->real);
  if (!t) return lua_pushnumber(L, next(r)), 1;
  for (size_t i = 0; i < t->count; i++) cst_tensor_set(t, i, next(r));
  return 1;
}
/* rng:normal([shape...]), rng:uniform([shape...]) */
static int rng_normal(lua_State *L) { return draw(L, cst_rng_normal); }
static int rng_uniform(lua_State *L) { return draw(L, cst_rng_uniform); }

/* rng:integer(n) -> 1 .. n */
static int rng_integer(lua_State *L) {
  cst_rng *r = check_rng(L);
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_argcheck(L, n >= 1, 2, "must be at least 1");
  lua_pushinteger(L, 1 + (lua_Integer)cst_rng_below(r, (uint64_t)n));
  return 1;
}

static int64_t *push_index(lua_State *L, lua_Integer n) {
  cst_type type = {.dtype = CST_I64, .rank = 1, .dim = {n}};
  return lcs_push_tensor(L, &type)->data;
}

/* rng:permutation(n) -> index tensor */
static int rng_permutation(lua_State *L) {
  cst_rng *r = check_rng(L);
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_argcheck(L, n >= 0, 2, "must not be negative");
  int64_t *x = push_index(L, n);
  for (lua_Integer i = 0; i < n; i++) x[i] = i;
  for (lua_Integer i = n - 1; i > 0; i--) {
    uint64_t j = cst_rng_below(r, (uint64_t)i + 1);
    int64_t t = x[i];
    x[i] = x[j], x[j] = t;
  }
  return 1;
}

static bool seen(const int64_t *x, lua_Integer n, int64_t v) {
  for (lua_Integer i = 0; i < n; i++)
    if (x[i] == v) return true;
  return false;
}

/* rng:choose(n, k) -> index tensor of k different positions among n */
static int rng_choose(lua_State *L) {
  cst_rng *r = check_rng(L);
  lua_Integer n = luaL_checkinteger(L, 2), k = luaL_checkinteger(L, 3);
  luaL_argcheck(L, k >= 0 && k <= n, 3, "more than there are");
  if (k > 64 && k > n / 16) { /* the head of a permutation */
    lua_settop(L, 2);
    rng_permutation(L);
    cst_type type = {.dtype = CST_I64, .rank = 1, .dim = {k}};
    lcs_push_view(L, lcs_check_tensor(L, 3), 0, &type);
    return 1;
  }
  int64_t *x = push_index(L, k);
  for (lua_Integer i = 0; i < k; i++) {
    do x[i] = (int64_t)cst_rng_below(r, (uint64_t)n);
    while (seen(x, i, x[i]));
  }
  return 1;
}

/* The first place whose cumulative weight exceeds x. */
static int64_t place_of(const double *cumulative, int64_t n, double x) {
  int64_t low = 0, high = n - 1;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (cumulative[middle] > x) high = middle;
    else low = middle + 1;
  }
  return low;
}

/* rng:weighted(cumulative, n) -> index tensor of n positions, each with probability proportional to
 * its weight; given are the sums of the weights up to and with each, f64. */
static int rng_weighted(lua_State *L) {
  cst_rng *r = check_rng(L);
  cst_tensor *t = lcs_check_tensor(L, 2);
  lua_Integer n = luaL_checkinteger(L, 3);
  luaL_argcheck(L, t->type.dtype == CST_F64 && t->type.rank == 1 && t->count > 0, 2,
                "cumulative weights are an f64 list");
  luaL_argcheck(L, n >= 0, 3, "must not be negative");
  const double *cumulative = t->data, total = cumulative[t->count - 1];
  luaL_argcheck(L, isfinite(total) && total > 0, 2, "the weights must have a positive sum");
  int64_t *x = push_index(L, n);
  for (lua_Integer i = 0; i < n; i++) {
    double u = total * cst_rng_uniform(r);
    x[i] = place_of(cumulative, (int64_t)t->count, u < total ? u : nextafter(total, 0));
  }
  return 1;
}

/* rng:state() -> seed, stream, counter; rng:seek(counter) */
static int rng_state(lua_State *L) {
  cst_rng *r = check_rng(L);
  lua_pushinteger(L, (lua_Integer)r->seed);
  lua_pushinteger(L, (lua_Integer)r->stream);
  lua_pushinteger(L, (lua_Integer)r->counter);
  return 3;
}
static int rng_seek(lua_State *L) {
  check_rng(L)->counter = (uint64_t)luaL_checkinteger(L, 2);
  return 0;
}

/* core.random(normal, stream name, dtype, space, shape) -> Value: drawn anew at every run */
static int traced(lua_State *L) {
  static const char *const spaces[] = {"shared", "row", NULL};
  lcs_trace *tr = lcs_current(L);
  if (!tr) return lcs_error(L, "a traced draw needs a trace");
  if (tr->field)
    return lcs_error(L, "random numbers are not drawn inside a field, whose value must depend on t "
                        "and y alone: draw outside and use the result in the field");
  cst_type type = {.dtype = (uint8_t)lcs_check_dtype(L, 3, tr->graph->real),
                   .space = (uint8_t)luaL_checkoption(L, 4, "shared", spaces)};
  lcs_check_shape(L, 5, &type);
  lcs_check(L, lcs_check_rows(tr, &type));
  uint64_t stream = cst_rng_stream(luaL_checkstring(L, 2));
  lcs_push_value(L, cst_graph_random(tr->graph, lua_toboolean(L, 1), stream, &type));
  return 1;
}

static const luaL_Reg methods[] = {{"normal", rng_normal},   {"uniform", rng_uniform},
                                   {"integer", rng_integer}, {"permutation", rng_permutation},
                                   {"choose", rng_choose},   {"weighted", rng_weighted},
                                   {"state", rng_state},     {"seek", rng_seek},
                                   {NULL, NULL}};
static const luaL_Reg meta[] = {{NULL, NULL}};

void lcs_open_random(lua_State *L, int lib) {
  lcs_type(L, LCS_RNG, methods, meta);
  lua_pushcfunction(L, rng_new);
  lua_setfield(L, lib, "rng");
  lua_pushcfunction(L, traced);
  lua_setfield(L, lib, "random");
}
