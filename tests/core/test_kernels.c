/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Element-wise kernels: accuracy of the elementary functions, special values, and one result on
 * every instruction set, at every length and place. Products and sums are in test_products.c.
 */
#include <float.h>

#include "kernels_check.h"

int cst_suite_kernels(void);

#define POINTS MAX /* arguments of a function */

static const char *const map_name[] = {
#define NAME(name, n) #name,
    CST_MAP_LIST(NAME)
#undef NAME
};
static const int map_inputs[] = {
#define INPUTS(name, n) n,
    CST_MAP_LIST(INPUTS)
#undef INPUTS
};

static long double sigmoid_ref(long double x) {
  return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x));
}
static long double softplus_ref(long double x) {
  return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x));
}
static long double elu_ref(long double x) { return x > 0 ? x : expm1l(x); }

static const struct { cst_map map; long double (*ref)(long double); } functions[] = {
    {CST_MAP_exp, expl},   {CST_MAP_expm1, expm1l},        {CST_MAP_log, logl},
    {CST_MAP_log1p, log1pl}, {CST_MAP_sin, sinl},          {CST_MAP_cos, cosl},
    {CST_MAP_tan, tanl},   {CST_MAP_tanh, tanhl},          {CST_MAP_sigmoid, sigmoid_ref},
    {CST_MAP_softplus, softplus_ref}, {CST_MAP_elu, elu_ref}, {CST_MAP_erf, erfl},
    {CST_MAP_atan, atanl},
};
#define FUNCTIONS (sizeof functions / sizeof *functions)

/* Distance of y from the exact r in units of r's last place; 0 for equal specials, else huge. */
static double ulps(int f64, double y, long double r) {
  double rounded = f64 ? (double)r : (double)(float)r, top = f64 ? DBL_MAX : (double)FLT_MAX;
  if (isnan(y) || isnan(rounded)) return isnan(y) && isnan(rounded) ? 0 : 1e9;
  if (isinf(y) && y == rounded) return 0;
  if (isinf(y) || isinf(rounded)) return fabs(isinf(y) ? rounded : y) >= top ? 1 : 1e9;
  int e, low = f64 ? -1021 : -125;
  frexpl(r, &e);
  if (r == 0 || e < low) e = low;
  return (double)ldexpl(fabsl((long double)y - r), (f64 ? 53 : 24) - e);
}

/* Arguments of every size, denser where functions change their formula. */
static double argument(int f64) {
  double e = f64 ? 1060 : 148, sign = draw() & 1 ? 1 : -1;
  switch (draw() % 5) {
    case 0: return uniform(-2, 2);
    case 1: return uniform(-12, 12);
    case 2: return f64 ? uniform(-750, 750) : uniform(-110, 110);
    case 3: return sign * exp2(uniform(-e, e < 1023 ? 127 : 1023));
    default: return sign * exp2(uniform(-30, 22));
  }
}

static void test_accuracy(void) {
  static array x, y;
  EACH(t, f64) {
    for (size_t f = 0; f < FUNCTIONS; f++) {
      double worst = 0, where = 0;
      for (size_t i = 0; i < POINTS; i++) set(f64, &x, i, argument(f64));
      (*t)->map[f64][functions[f].map]((const void *const[]){&x}, &y, POINTS);
      for (size_t i = 0; i < POINTS; i++) {
        double u = ulps(f64, get(f64, &y, i), functions[f].ref((long double)get(f64, &x, i)));
        if (u > worst) worst = u, where = get(f64, &x, i);
      }
      check(worst < 1.7, map_name[functions[f].map], (*t)->isa, f64, where, worst);
    }
  }
}

static void test_pow(void) {
  static array in[2], y;
  EACH(t, f64) {
    double worst = 0, where = 0;
    for (size_t i = 0; i < POINTS; i++) {
      double x = argument(f64), p = i % 3 ? uniform(-1, 1) * (f64 ? 745 : 104) / log(fabs(x)) : argument(f64);
      set(f64, &in[0], i, i % 7 ? fabs(x) : x);
      set(f64, &in[1], i, i % 7 ? p : floor(p / 4));
    }
    (*t)->map[f64][CST_MAP_pow]((const void *const[]){&in[0], &in[1]}, &y, POINTS);
    for (size_t i = 0; i < POINTS; i++) {
      double u = ulps(f64, get(f64, &y, i), powl((long double)get(f64, &in[0], i), (long double)get(f64, &in[1], i)));
      if (u > worst) worst = u, where = get(f64, &in[0], i);
    }
    check(worst < 1.7, "pow", (*t)->isa, f64, where, worst);
  }
}

static bool same(double a, double b) {
  return isnan(a) ? isnan(b) : a == b && !signbit(a) == !signbit(b);
}

static void test_special(void) {
  const double pi_2 = 1.57079632679489661923;
  const struct { cst_map map; double x, y; } row[] = {
      {CST_MAP_exp, 0, 1}, {CST_MAP_exp, -0.0, 1}, {CST_MAP_exp, inf, inf}, {CST_MAP_exp, -inf, 0},
      {CST_MAP_expm1, -0.0, -0.0}, {CST_MAP_expm1, -inf, -1}, {CST_MAP_expm1, inf, inf},
      {CST_MAP_log, 1, 0}, {CST_MAP_log, 0, -inf}, {CST_MAP_log, -0.0, -inf}, {CST_MAP_log, -1, nan_},
      {CST_MAP_log, inf, inf}, {CST_MAP_log, -inf, nan_}, {CST_MAP_log1p, -0.0, -0.0},
      {CST_MAP_log1p, -1, -inf}, {CST_MAP_log1p, -2, nan_}, {CST_MAP_log1p, inf, inf},
      {CST_MAP_sin, -0.0, -0.0}, {CST_MAP_sin, inf, nan_}, {CST_MAP_cos, 0, 1},
      {CST_MAP_cos, -inf, nan_}, {CST_MAP_tan, -0.0, -0.0}, {CST_MAP_tan, inf, nan_},
      {CST_MAP_tanh, -0.0, -0.0}, {CST_MAP_tanh, inf, 1}, {CST_MAP_tanh, -inf, -1},
      {CST_MAP_sigmoid, 0, 0.5}, {CST_MAP_sigmoid, inf, 1}, {CST_MAP_sigmoid, -inf, 0},
      {CST_MAP_softplus, inf, inf}, {CST_MAP_softplus, -inf, 0}, {CST_MAP_elu, -inf, -1},
      {CST_MAP_elu, inf, inf}, {CST_MAP_elu, -0.0, -0.0}, {CST_MAP_erf, -0.0, -0.0},
      {CST_MAP_erf, inf, 1}, {CST_MAP_erf, -inf, -1}, {CST_MAP_atan, -0.0, -0.0},
      {CST_MAP_atan, inf, pi_2}, {CST_MAP_atan, -inf, -pi_2}, {CST_MAP_relu, -inf, 0},
      {CST_MAP_relu, inf, inf}, {CST_MAP_sign, -3, -1}, {CST_MAP_sign, inf, 1}, {CST_MAP_sign, 0, 0},
      {CST_MAP_floor, -0.5, -1}, {CST_MAP_floor, 2.5, 2}, {CST_MAP_floor, -0.0, -0.0},
      {CST_MAP_floor, 0x1p60, 0x1p60}, {CST_MAP_floor, -inf, -inf}, {CST_MAP_recip, 0, inf},
      {CST_MAP_sqrt, -1, nan_}, {CST_MAP_sqrt, -0.0, -0.0}, {CST_MAP_abs, -0.0, 0},
      {CST_MAP_neg, 0, -0.0}, {CST_MAP_step, 0, 0}, {CST_MAP_step, 2, 1},
      {CST_MAP_isfinite, inf, 0}, {CST_MAP_isfinite, nan_, 0}, {CST_MAP_isfinite, -1, 1},
  };
  EACH(t, f64) {
    static array x, y;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
      set(f64, &x, 0, row[i].x);
      (*t)->map[f64][row[i].map]((const void *const[]){&x}, &y, 1);
      double want = f64 ? row[i].y : (double)(float)row[i].y;
      check(same(get(f64, &y, 0), want), map_name[row[i].map], (*t)->isa, f64, row[i].x, get(f64, &y, 0));
    }
    set(f64, &x, 0, nan_);
    for (int f = 0; f < CST_MAP_COUNT; f++) {
      if (map_inputs[f] != 1 || f == CST_MAP_step || f == CST_MAP_isfinite) continue;
      (*t)->map[f64][f]((const void *const[]){&x}, &y, 1);
      check(isnan(get(f64, &y, 0)), map_name[f], (*t)->isa, f64, nan_, get(f64, &y, 0));
    }
  }
}

static void test_special_pairs(void) {
  const double v[] = {0, -0.0, 0.5, -0.5, 1, -1, 2, -2, 3, -3, 0x1p40, -0x1p40, inf, -inf, nan_};
  enum { N = sizeof v / sizeof *v };
  static array x, y, z;
#define TYPED(op) (f64 ? a op b : (double)((float)a op (float)b))
  EACH(t, f64) {
    for (size_t i = 0; i < N * N; i++) {
      double a = v[i / N], b = v[i % N];
      bool none = isnan(a) || isnan(b);
      const struct { cst_map map; double want; } row[] = {
          {CST_MAP_add, TYPED(+)}, {CST_MAP_sub, TYPED(-)}, {CST_MAP_mul, TYPED(*)}, {CST_MAP_div, TYPED(/)},
          {CST_MAP_lt, a < b}, {CST_MAP_le, a <= b}, {CST_MAP_eq, a == b}, {CST_MAP_ne, a != b},
          {CST_MAP_max, none ? a + b : a > b ? a : b}, {CST_MAP_min, none ? a + b : a < b ? a : b},
          {CST_MAP_pow, f64 ? pow(a, b) : (double)(float)pow(a, b)},
      };
      set(f64, &x, 0, a);
      set(f64, &y, 0, b);
      for (size_t r = 0; r < sizeof row / sizeof *row; r++) {
        (*t)->map[f64][row[r].map]((const void *const[]){&x, &y}, &z, 1);
        double got = get(f64, &z, 0), want = row[r].want;
        bool signed_zero = row[r].map != CST_MAP_max && row[r].map != CST_MAP_min;
        bool rounded = row[r].map == CST_MAP_pow && fabs(want) < 1e9 && ulps(f64, got, (long double)want) <= 1 && want != 0;
        check(same(got, want) || rounded || (!signed_zero && got == want), map_name[row[r].map],
              (*t)->isa, f64, a, b);
      }
    }
  }
#undef TYPED
}

/* Every map, every length up to 70, at an odd address, in place: the bits of the first table on
 * one long aligned array, and nothing beyond the end is written. */
static void test_maps_everywhere(void) {
  static array in[3], want, got, copy[3];
  const size_t n = 2000;
  for (int f64 = 0; f64 < 2; f64++) {
    for (size_t i = 0; i < n; i++) {
      set(f64, &in[0], i, argument(f64));
      set(f64, &in[1], i, i % 5 ? argument(f64) : (double)(draw() % 7) - 3);
      set(f64, &in[2], i, argument(f64));
    }
    for (int f = 0; f < CST_MAP_COUNT; f++) {
      const void *const p[] = {&in[0], &in[1], &in[2]};
      cst_kernels_all()[0]->map[f64][f](p, &want, n);
      for (const cst_kernels *const *t = cst_kernels_all(); *t; t++) {
        (*t)->map[f64][f](p, &got, n);
        check(memcmp(&got, &want, n * size_of(f64)) == 0, map_name[f], (*t)->isa, f64, 0, 0);
        for (size_t w = 0; w <= 70; w++) {
          size_t from = 1 + w * 17;
          memcpy(copy, in, sizeof copy);
          const void *const q[] = {at(f64, &copy[0], from), at(f64, &copy[1], from), at(f64, &copy[2], from)};
          (*t)->map[f64][f](q, at(f64, &copy[0], from), w);
          check(memcmp(at(f64, &copy[0], from), at(f64, &want, from), w * size_of(f64)) == 0,
                map_name[f], (*t)->isa, f64, (double)w, (double)from);
          check(memcmp(at(f64, &copy[0], from + w), at(f64, &in[0], from + w), 256) == 0 &&
                    memcmp(&copy[0], &in[0], from * size_of(f64)) == 0,
                "map writes outside", (*t)->isa, f64, (double)w, (double)f);
        }
      }
    }
  }
}

static void test_choice(void) {
  bool known = false;
  for (const cst_kernels *const *t = cst_kernels_all(); *t; t++) known = known || *t == cst_kernels_get();
  CU_ASSERT(known);
  const char *name = getenv("COSTATE_ISA");
  for (const cst_kernels *const *t = cst_kernels_all(); name && *t; t++)
    if (strcmp(name, (*t)->isa) == 0) CU_ASSERT(*t == cst_kernels_get());
}

int cst_suite_kernels(void) {
  CU_pSuite s = CU_add_suite("kernels", NULL, NULL);
  if (!s) return -1;
  bool ok = CU_add_test(s, "elementary functions are accurate", test_accuracy) &&
            CU_add_test(s, "pow is accurate", test_pow) &&
            CU_add_test(s, "special values", test_special) &&
            CU_add_test(s, "special pairs", test_special_pairs) &&
            CU_add_test(s, "maps: every set, length, place", test_maps_everywhere) &&
            CU_add_test(s, "choice of a table", test_choice);
  return ok ? 0 : -1;
}
