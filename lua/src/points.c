/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Points of series, some of them: flags [B, T] (i64, 1 where chosen) for a batch of series, and the
 * chosen points (or the others) as series again.
 */
#include <math.h>
#include <string.h>

#include "binding.h"
#include "costate/rng.h"

static size_t length_of(const cst_tensor *lengths, size_t row) {
  return (size_t)cst_tensor_get(lengths, row);
}

static int64_t *push_flags(lua_State *L, size_t rows, int64_t points) {
  cst_type type = {.dtype = CST_I64, .space = CST_ROW, .rank = 2, .dim = {(int64_t)rows, points}};
  return lcs_push_tensor(L, &type)->data;
}

/* How many of n points to keep: a number, or else a share of them, at least one. */
static size_t how_many(size_t n, lua_Integer count, double share) {
  size_t k = count > 0 ? (size_t)count : (size_t)(share * (double)n + 0.5);
  return k < 1 ? 1 : k > n ? n : k;
}

/* Chooses k of n, every subset being as likely as any other (selection sampling: Knuth, "The art of
 * computer programming", 3.4.2, algorithm S). Keyed by seed, draw and row: what else is in the
 * batch does not matter. */
static void choose(int64_t *flag, size_t n, size_t k, uint64_t seed, uint64_t draw, uint64_t row) {
  uint64_t stream = cst_rng_stream("series.points") ^ draw * 0x9E3779B97F4A7C15u;
  cst_rng r = {.seed = seed, .stream = stream, .counter = row << 32};
  for (size_t i = 0; i < n; i++) {
    flag[i] = cst_rng_below(&r, n - i) < k;
    k -= (size_t)flag[i];
  }
}

/* core.choose_points(lengths, T, rows, seed, draw, count or 0, share) -> flags */
static int choose_points(lua_State *L) {
  const cst_tensor *lengths = lcs_check_tensor(L, 1), *rows = lcs_check_tensor(L, 3);
  lua_Integer points = luaL_checkinteger(L, 2), count = luaL_checkinteger(L, 6);
  uint64_t seed = (uint64_t)luaL_checkinteger(L, 4), draw = (uint64_t)luaL_checkinteger(L, 5);
  double share = luaL_checknumber(L, 7);
  luaL_argcheck(L, rows->type.dtype == CST_I64 && rows->count == lengths->count, 3,
                "one position a row");
  int64_t *flag = push_flags(L, lengths->count, points);
  for (size_t i = 0; i < lengths->count; i++) {
    size_t n = length_of(lengths, i);
    luaL_argcheck(L, n >= 1 && n <= (size_t)points, 1, "a length outside 1 .. T");
    choose(flag + i * (size_t)points, n, how_many(n, count, share), seed, draw,
           (uint64_t)((const int64_t *)rows->data)[i]);
  }
  return 1;
}

/* core.early_points(t, lengths, share) -> flags of the points in the first `share` of each row's
 * span */
static int early_points(lua_State *L) {
  const cst_tensor *t = lcs_check_tensor(L, 1), *lengths = lcs_check_tensor(L, 2);
  double share = luaL_checknumber(L, 3);
  luaL_argcheck(L, t->type.rank == 2 && t->type.dtype == CST_F64, 1, "f64 times [N, T] are needed");
  luaL_argcheck(L, lengths->count == (size_t)t->type.dim[0], 2, "one length a row");
  size_t points = (size_t)t->type.dim[1];
  int64_t *flag = push_flags(L, lengths->count, t->type.dim[1]);
  for (size_t i = 0; i < lengths->count; i++) {
    size_t n = length_of(lengths, i);
    luaL_argcheck(L, n >= 1 && n <= points, 2, "a length outside 1 .. T");
    const double *x = (const double *)t->data + i * points;
    double end = x[0] + share * (x[n - 1] - x[0]);
    for (size_t p = 0; p < n; p++) flag[i * points + p] = p == 0 || x[p] <= end;
  }
  return 1;
}

typedef struct gathering {
  const int64_t *flag;
  const cst_tensor *lengths;
  size_t rows, points;
  int64_t wanted; /* 1: the chosen, 0: the others */
} gathering;

static gathering check_gathering(lua_State *L, int arg) {
  const cst_tensor *flags = lcs_check_tensor(L, arg), *lengths = lcs_check_tensor(L, arg + 1);
  luaL_argcheck(L, flags->type.rank == 2 && flags->type.dtype == CST_I64, arg,
                "flags [B, T] are needed");
  luaL_argcheck(L, lengths->count == (size_t)flags->type.dim[0], arg + 1, "one length a row");
  for (size_t i = 0; i < lengths->count; i++)
    luaL_argcheck(L, length_of(lengths, i) <= (size_t)flags->type.dim[1], arg + 1,
                  "a length above T");
  return (gathering){flags->data, lengths, lengths->count, (size_t)flags->type.dim[1],
                     lua_toboolean(L, arg + 2)};
}

static size_t wanted_of(const gathering *g, size_t row) {
  size_t n = 0, length = length_of(g->lengths, row);
  for (size_t p = 0; p < length; p++) n += g->flag[row * g->points + p] == g->wanted;
  return n;
}

/* core.count_points(flags, lengths, wanted) -> lengths of what gather_points gives, and the
 * largest. A row of which no point is wanted has one all the same, at which nothing is observed. */
static int count_points(lua_State *L) {
  gathering g = check_gathering(L, 1);
  cst_type type = {.dtype = CST_F64, .space = CST_ROW, .rank = 1, .dim = {(int64_t)g.rows}};
  double *out = lcs_push_tensor(L, &type)->data;
  size_t most = 1;
  for (size_t i = 0; i < g.rows; i++) {
    size_t n = wanted_of(&g, i);
    out[i] = n ? (double)n : 1;
    if (n > most) most = n;
  }
  lua_pushinteger(L, (lua_Integer)most);
  return 2;
}

/* Beyond the points of a row: its last one again (times), -1 (integers: classes), or 0. */
static void pad(cst_tensor *out, size_t first, size_t last, size_t width, const cst_tensor *x,
                size_t behind, bool times) {
  for (size_t i = first * width; i < last * width; i++)
    cst_tensor_set(out, i, times ? cst_tensor_get(x, behind) : out->type.dtype == CST_I64 ? -1 : 0);
}

static void gather_row(const gathering *g, size_t row, const cst_tensor *x, cst_tensor *out,
                       bool times) {
  size_t width = x->count / (g->rows * g->points), length = length_of(g->lengths, row);
  size_t bytes = width * cst_dtype_size(x->type.dtype), room = (size_t)out->type.dim[1];
  size_t from = row * g->points, to = row * room, behind = from + (length ? length - 1 : 0);
  const char *source = x->data;
  for (size_t p = from; p < from + length && to < (row + 1) * room; p++) {
    if (g->flag[p] != g->wanted) continue;
    memcpy((char *)out->data + to++ * bytes, source + p * bytes, bytes);
    behind = p;
  }
  pad(out, to, (row + 1) * room, width, x, behind, times);
}

/* core.gather_points(x, flags, lengths, wanted, T1, times) -> [B, T1, ...]; the flags of a row are
 * read up to its length. `times`: the last one is repeated. */
static int gather_points(lua_State *L) {
  const cst_tensor *x = lcs_check_tensor(L, 1);
  gathering g = check_gathering(L, 2);
  lua_Integer room = luaL_checkinteger(L, 5);
  luaL_argcheck(
      L,
      x->type.rank >= 2 && (size_t)x->type.dim[0] == g.rows && (size_t)x->type.dim[1] == g.points,
      1, "points [B, T, ...] are needed");
  luaL_argcheck(L, room >= 1, 5, "room for a point is needed");
  cst_type type = x->type;
  type.dim[1] = room;
  cst_tensor *out = lcs_push_tensor(L, &type);
  for (size_t i = 0; i < g.rows && g.points; i++) gather_row(&g, i, x, out, lua_toboolean(L, 6));
  return 1;
}

static const luaL_Reg functions[] = {{"choose_points", choose_points},
                                     {"early_points", early_points},
                                     {"count_points", count_points},
                                     {"gather_points", gather_points},
                                     {NULL, NULL}};

void lcs_open_points(lua_State *L, int lib) {
  lua_pushvalue(L, lib);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
