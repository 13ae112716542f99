/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whole sets of series (t, y, mask, lengths: see lua/costate/data/series.lua): what a set must satisfy,
 * and channels brought to one scale, those of tables x [N, D] too.
 */
#include <math.h>

#include "binding.h"

typedef struct series {
  const cst_tensor *t, *y, *mask, *lengths;
  size_t rows, points, channels;
} series;

static bool shaped(const cst_tensor *x, int rank, const int64_t *dim) {
  bool ok = x->type.rank == rank && x->type.space == CST_ROW;
  for (int i = 0; ok && i < rank; i++) ok = x->type.dim[i] == dim[i];
  return ok;
}

/* The tensors t, y, mask, lengths at the first four slots. */
static series check_shapes(lua_State *L) {
  series s = {lcs_check_tensor(L, 1),
              lcs_check_tensor(L, 2),
              lcs_check_tensor(L, 3),
              lcs_check_tensor(L, 4),
              0,
              0,
              0};
  const int64_t *dim = s.y->type.dim;
  if (s.y->type.rank != 3 || !shaped(s.y, 3, dim) || !shaped(s.t, 2, dim) ||
      !shaped(s.mask, 3, dim) || !shaped(s.lengths, 1, dim))
    lcs_error(L,
              "a set of series needs rows t [N, T], y [N, T, C], mask [N, T, C] and lengths [N]");
  s.rows = (size_t)dim[0], s.points = (size_t)dim[1], s.channels = (size_t)dim[2];
  if (!s.rows || !s.points || !s.channels)
    lcs_error(L, "a set of series needs rows, times and channels");
  return s;
}

/* ---- what a set must satisfy ---- */

static size_t check_length(lua_State *L, const series *s, size_t row) {
  double n = cst_tensor_get(s->lengths, row);
  if (n == 0) lcs_error(L, "series %d is empty: its length is 0", (int)row + 1);
  if (!(n >= 1 && n <= (double)s->points) || n != floor(n))
    lcs_error(L, "series %d: its length must be one of 1 .. %d, got %f", (int)row + 1,
              (int)s->points, n);
  return (size_t)n;
}

static void check_times(lua_State *L, const series *s, size_t row, size_t n) {
  for (size_t p = 0; p < s->points; p++) {
    double t = cst_tensor_get(s->t, row * s->points + p);
    double before = p ? cst_tensor_get(s->t, row * s->points + p - 1) : -(double)INFINITY;
    if (!isfinite(t)) lcs_error(L, "series %d: time %d is not finite", (int)row + 1, (int)p + 1);
    if (p < n && t == before)
      lcs_error(L, "series %d: time %f is there twice: merge what was seen at one time",
                (int)row + 1, t);
    if (p < n && t < before)
      lcs_error(L, "series %d: times must ascend, but %f comes after %f", (int)row + 1, t, before);
    if (p >= n && t != before)
      lcs_error(L, "series %d: beyond its %d times the last one must be repeated, got %f",
                (int)row + 1, (int)n, t);
  }
}

static const char *channel_name(lua_State *L, size_t channel) {
  lua_rawgeti(L, 5, (lua_Integer)channel + 1);
  const char *name = lua_tostring(L, -1);
  return name ? name : "?";
}

/* Whether (row, point, channel) is observed. */
static bool check_value(lua_State *L, const series *s, size_t row, size_t p, size_t c,
                        bool beyond) {
  size_t at = (row * s->points + p) * s->channels + c;
  double m = cst_tensor_get(s->mask, at), y = cst_tensor_get(s->y, at);
  const char *wrong = NULL;
  if (m != 0 && m != 1)
    wrong = "the mask must be 0 or 1";
  else if (m != 0 && beyond)
    wrong = "the mask must be 0 beyond the length";
  else if (m != 0 && !isfinite(y))
    wrong = "an observed value is not finite: mask it";
  else if (m == 0 && y != 0)
    wrong = "what is not observed must be 0 in y";
  if (wrong)
    lcs_error(L, "series %d, time %d, channel '%s': %s", (int)row + 1, (int)p + 1,
              channel_name(L, c), wrong);
  return m != 0;
}

/* core.check_series(t, y, mask, lengths, channels): raises with what is wrong. */
static int check_series(lua_State *L) {
  series s = check_shapes(L);
  luaL_checktype(L, 5, LUA_TTABLE);
  if (lua_rawlen(L, 5) != s.channels)
    return lcs_error(L, "a set of series with %d channels has %d names", (int)s.channels,
                     (int)lua_rawlen(L, 5));
  bool *seen = lua_newuserdatauv(L, s.channels, 0);
  for (size_t c = 0; c < s.channels; c++) seen[c] = false;
  for (size_t row = 0; row < s.rows; row++) {
    size_t n = check_length(L, &s, row);
    bool any = false;
    check_times(L, &s, row, n);
    for (size_t p = 0; p < s.points; p++)
      for (size_t c = 0; c < s.channels; c++)
        if (check_value(L, &s, row, p, c, p >= n)) any = seen[c] = true;
    if (!any) return lcs_error(L, "series %d is empty: nothing of it is observed", (int)row + 1);
  }
  for (size_t c = 0; c < s.channels; c++)
    if (!seen[c]) return lcs_error(L, "channel '%s' is never observed", channel_name(L, c));
  return 0;
}

/* ---- scale ---- */

static void push_numbers(lua_State *L, const double *x, size_t n) {
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lua_pushnumber(L, x[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* How many channels y [.., C] at slot 1 has, and the mask at slot 2; NULL for nil: all is observed. */
static size_t check_channels(lua_State *L, const cst_tensor *y, const cst_tensor **mask) {
  *mask = lua_isnoneornil(L, 2) ? NULL : lcs_check_tensor(L, 2);
  luaL_argcheck(L, y->type.rank >= 2, 1, "rows with channels are needed");
  luaL_argcheck(L, !*mask || (*mask)->count == y->count, 2, "not shaped like y");
  return (size_t)y->type.dim[y->type.rank - 1];
}

static double observed(const cst_tensor *mask, size_t i) {
  return mask ? cst_tensor_get(mask, i) : 1;
}

/* core.channel_moments(y, mask) -> means, standard deviations, numbers of what is observed, by
 * channel. Two passes: the deviations are from the mean. */
static int channel_moments(lua_State *L) {
  const cst_tensor *y = lcs_check_tensor(L, 1), *mask;
  size_t channels = check_channels(L, y, &mask);
  double *x = lua_newuserdatauv(L, 3 * channels * sizeof *x + 1, 0);
  double *mean = x, *std = x + channels, *count = x + 2 * channels;
  for (size_t c = 0; c < 3 * channels; c++) x[c] = 0;
  for (size_t i = 0; i < y->count; i++) {
    double m = observed(mask, i);
    mean[i % channels] += m * cst_tensor_get(y, i), count[i % channels] += m;
  }
  for (size_t c = 0; c < channels; c++) mean[c] /= count[c];
  for (size_t i = 0; i < y->count; i++) {
    double e = cst_tensor_get(y, i) - mean[i % channels];
    std[i % channels] += observed(mask, i) * e * e;
  }
  for (size_t c = 0; c < channels; c++) std[c] = sqrt(std[c] / count[c]);
  for (int i = 0; i < 3; i++) push_numbers(L, x + (size_t)i * channels, channels);
  return 3;
}

/* core.rescale_channels(y, mask, mean, std) -> (y - mean) / std where observed, 0 elsewhere */
static int rescale_channels(lua_State *L) {
  const cst_tensor *y = lcs_check_tensor(L, 1), *mask;
  size_t channels = check_channels(L, y, &mask);
  double *x = lua_newuserdatauv(L, 2 * channels * sizeof *x + 1, 0);
  for (size_t i = 0; i < 2 * channels; i++) {
    lua_geti(L, i < channels ? 3 : 4, (lua_Integer)(i % channels) + 1);
    x[i] = luaL_checknumber(L, -1);
    lua_pop(L, 1);
  }
  cst_type type = y->type;
  cst_tensor *out = lcs_push_tensor(L, &type);
  for (size_t i = 0; i < y->count; i++)
    if (observed(mask, i) != 0)
      cst_tensor_set(out, i, (cst_tensor_get(y, i) - x[i % channels]) / x[channels + i % channels]);
  return 1;
}

/* core.shared_times(t, lengths) -> f64 [T], or nil where rows differ or are padded */
static int shared_times(lua_State *L) {
  const cst_tensor *t = lcs_check_tensor(L, 1), *lengths = lcs_check_tensor(L, 2);
  luaL_argcheck(L, t->type.rank == 2 && t->type.dtype == CST_F64, 1, "f64 times [N, T] are needed");
  size_t points = (size_t)t->type.dim[1];
  const double *x = t->data;
  for (size_t i = 0; i < lengths->count; i++)
    if (cst_tensor_get(lengths, i) != (double)points) return 0;
  for (size_t i = points; i < t->count; i++)
    if (x[i] != x[i - points]) return 0;
  if (!t->count) return 0;
  cst_type type = {.dtype = CST_F64, .rank = 1, .dim = {(int64_t)points}};
  double *out = lcs_push_tensor(L, &type)->data;
  for (size_t p = 0; p < points; p++) out[p] = x[p];
  return 1;
}

static const luaL_Reg functions[] = {{"check_series", check_series},
                                     {"channel_moments", channel_moments},
                                     {"rescale_channels", rescale_channels},
                                     {"shared_times", shared_times},
                                     {NULL, NULL}};

void lcs_open_series(lua_State *L, int lib) {
  lua_pushvalue(L, lib);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
