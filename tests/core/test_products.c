/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Products, layers, their pullbacks and reductions against plain loops; rows that do not depend on
 * their neighbours, fused layers with the bits of eager ones.
 */
#include "kernels_check.h"

int cst_suite_products(void);

static const size_t shapes[][2] = {{2, 50}, {50, 2}, {4, 32}, {32, 4}, {20, 20}, {1, 1}, {3, 3}, {5, 1},
                                   {1, 5}, {7, 17}, {17, 7}, {33, 49}, {100, 100}, {1500, 3}, {130, 70}};
#define SHAPES (sizeof shapes / sizeof *shapes)

static double tolerance(int f64, size_t k) { return (f64 ? 0x1p-52 : 0x1p-23) * (2 + (double)k); }

static void check_product(const cst_kernels *t, int f64, size_t m, size_t k, size_t n, bool trans, bool add) {
  static array a, b, c, c0;
  fill(f64, &a, m * k);
  fill(f64, &b, k * n);
  fill(f64, &c, m * n + 8);
  c0 = c;
  t->product[f64](m, k, n, at(f64, &a, 0), at(f64, &b, 0), trans, add, at(f64, &c, 0));
  double worst = 0;
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++) {
      double s = add ? get(f64, &c0, i * n + j) : 0;
      for (size_t p = 0; p < k; p++)
        s += get(f64, &a, i * k + p) * get(f64, &b, trans ? j * k + p : p * n + j);
      worst = fmax(worst, fabs(s - get(f64, &c, i * n + j)));
    }
  check(worst <= tolerance(f64, k), "product", t->isa, f64, (double)k, (double)n);
  check(memcmp(at(f64, &c, m * n), at(f64, &c0, m * n), 8 * size_of(f64)) == 0, "product writes beyond",
        t->isa, f64, (double)k, (double)n);
}

/* May be larger than an array. */
static void check_outer(const cst_kernels *t, int f64, size_t m, size_t k, size_t n, bool add) {
  void *a = malloc(8 * m * k + 8), *b = malloc(8 * m * n + 8);
  void *c = malloc(8 * k * n + 64), *c0 = malloc(8 * k * n + 64);
  fill(f64, a, m * k);
  fill(f64, b, m * n);
  fill(f64, c, k * n + 8);
  memcpy(c0, c, (k * n + 8) * size_of(f64));
  t->outer[f64](m, k, n, a, b, add, c);
  double worst = 0;
  for (size_t p = 0; p < k; p++)
    for (size_t j = 0; j < n; j++) {
      double s = add ? get(f64, c0, p * n + j) : 0;
      for (size_t i = 0; i < m; i++) s += get(f64, a, i * k + p) * get(f64, b, i * n + j);
      worst = fmax(worst, fabs(s - get(f64, c, p * n + j)));
    }
  check(worst <= tolerance(f64, m), "outer", t->isa, f64, (double)k, (double)n);
  check(memcmp(at(f64, c, k * n), at(f64, c0, k * n), 8 * size_of(f64)) == 0, "outer writes beyond",
        t->isa, f64, (double)k, (double)n);
  free(a), free(b), free(c), free(c0);
}

static void test_products(void) {
  const size_t rows[] = {0, 1, 3, 13, 60};
  EACH(t, f64) {
    for (size_t s = 0; s < SHAPES; s++)
      for (size_t r = 0; r < 5; r++)
        for (int mode = 0; mode < 4; mode++) {
          size_t m = rows[r], k = shapes[s][0], n = shapes[s][1];
          if (m * k > MAX || m * n > MAX) m = 5;
          check_product(*t, f64, m, k, n, mode & 1, mode & 2);
          if (mode < 2) check_outer(*t, f64, m, k, n, mode & 1);
        }
    for (size_t n = 0; n <= 70; n++) check_product(*t, f64, 5, 6, n, n & 1, false);
    check_product(*t, f64, 3, 0, 5, false, true);
    check_product(*t, f64, 3, 0, 5, true, false);
    check_outer(*t, f64, 460, 43, 36, true); /* several blocks of the inner dimension */
    for (int add = 0; add < 2; add++) check_outer(*t, f64, f64 ? 600 : 1300, 227, 203, add); /* large */
    check_product(*t, f64, 30, 600, 30, true, true);
    check_product(*t, f64, 300, 60, 60, false, false);
  }
}

/* A row alone, in short batches and at other places has the same bits. */
static void test_rows(void) {
  static array x, w, b, all, part;
  EACH(t, f64) {
    for (size_t s = 0; s < SHAPES; s++) {
      size_t k = shapes[s][0], n = shapes[s][1], m = k > 1000 ? 13 : 60;
      fill(f64, &x, m * k);
      fill(f64, &w, k * n);
      fill(f64, &b, n);
      cst_dense_args d = {m, k, n, CST_ACT_TANH, &x, &w, &b, &all};
      (*t)->dense[f64](&d);
      for (size_t rows = 1; rows <= 40 && rows + 2 <= m; rows++) {
        size_t from = rows % 3;
        d = (cst_dense_args){rows, k, n, CST_ACT_TANH, at(f64, &x, from * k), &w, &b, &part};
        (*t)->dense[f64](&d);
        check(memcmp(&part, at(f64, &all, from * n), rows * n * size_of(f64)) == 0, "rows of dense",
              (*t)->isa, f64, (double)k, (double)n);
      }
      (*t)->product[f64](m, k, n, &x, &w, true, false, &all);
      for (size_t rows = 1; rows <= 40 && rows + 2 <= m; rows++) {
        size_t from = rows % 3;
        (*t)->product[f64](rows, k, n, at(f64, &x, from * k), &w, true, false, &part);
        check(memcmp(&part, at(f64, &all, from * n), rows * n * size_of(f64)) == 0, "rows of product",
              (*t)->isa, f64, (double)k, (double)n);
      }
    }
  }
}

/* A fused layer has the bits of a product started at the bias, then the map. */
static void test_dense_is_eager(void) {
  static const cst_map map[] = {CST_MAP_copy, CST_MAP_tanh, CST_MAP_sigmoid, CST_MAP_relu, CST_MAP_softplus, CST_MAP_elu};
  static array x, w, b, fused, eager;
  const size_t m = 23;
  EACH(t, f64) {
    for (size_t s = 0; s < SHAPES; s++)
      for (int act = 0; act < CST_ACT_COUNT; act++)
        for (int bias = 0; bias < 2; bias++) {
          size_t k = shapes[s][0], n = shapes[s][1], rows = k > 800 ? 10 : m;
          fill(f64, &x, rows * k);
          fill(f64, &w, k * n);
          fill(f64, &b, n);
          for (size_t i = 0; i < rows * n; i++) set(f64, &eager, i, get(f64, &b, i % n));
          (*t)->product[f64](rows, k, n, &x, &w, false, bias, &eager);
          (*t)->map[f64][map[act]]((const void *const[]){&eager}, &eager, rows * n);
          cst_dense_args d = {rows, k, n, (cst_act)act, &x, &w, bias ? &b : NULL, &fused};
          (*t)->dense[f64](&d);
          check(memcmp(&fused, &eager, rows * n * size_of(f64)) == 0, "dense against product and map",
                (*t)->isa, f64, (double)k, (double)n);
        }
  }
}

static double slope(cst_act act, double y) {
  switch (act) {
    case CST_ACT_TANH: return 1 - y * y;
    case CST_ACT_SIGMOID: return y * (1 - y);
    case CST_ACT_RELU: return y > 0;
    case CST_ACT_SOFTPLUS: return 1 - exp(-y);
    case CST_ACT_ELU: return y > 0 ? 1 : y + 1;
    default: return 1;
  }
}

static void check_back(const cst_kernels *t, int f64, size_t m, size_t k, size_t n, cst_act act, bool add) {
  static array x, w, b, y, gy, gz, gx, gw, gb, gw0, gb0;
  fill(f64, &x, m * k);
  fill(f64, &w, k * n);
  fill(f64, &b, n);
  fill(f64, &gy, m * n);
  fill(f64, &gw0, k * n);
  fill(f64, &gb0, n);
  gw = gw0, gb = gb0;
  cst_dense_args d = {m, k, n, act, &x, &w, &b, &y};
  t->dense[f64](&d);
  cst_dense_back_args p = {m, k, n, act, add, &x, &w, &y, &gy, act ? &gz : NULL, &gx, &gw, &gb};
  t->dense_back[f64](&p);
  double ex = 0, ew = 0, eb = 0;
  static double z[MAX];
  for (size_t i = 0; i < m * n; i++) z[i] = get(f64, &gy, i) * slope(act, get(f64, &y, i));
  for (size_t q = 0; q < k; q++) {
    for (size_t i = 0; i < m; i++) {
      double s = 0;
      for (size_t j = 0; j < n; j++) s += z[i * n + j] * get(f64, &w, q * n + j);
      ex = fmax(ex, fabs(s - get(f64, &gx, i * k + q)));
    }
    for (size_t j = 0; j < n; j++) {
      double s = add ? get(f64, &gw0, q * n + j) : 0;
      for (size_t i = 0; i < m; i++) s += get(f64, &x, i * k + q) * z[i * n + j];
      ew = fmax(ew, fabs(s - get(f64, &gw, q * n + j)));
    }
  }
  for (size_t j = 0; j < n; j++) {
    double s = add ? get(f64, &gb0, j) : 0;
    for (size_t i = 0; i < m; i++) s += z[i * n + j];
    eb = fmax(eb, fabs(s - get(f64, &gb, j)));
  }
  double tol = 4 * tolerance(f64, m + n);
  check(ex <= tol && ew <= tol && eb <= tol, "dense_back", t->isa, f64, (double)k, (double)n);
  /* Parts not asked for change nothing in the others; a row of gx is a matter of that row. */
  static array gx2;
  p.gx = &gx2, p.gw = p.gb = NULL, p.m = 1;
  if (m) t->dense_back[f64](&p);
  check(memcmp(&gx2, &gx, m ? k * size_of(f64) : 0) == 0, "row of gx", t->isa, f64, (double)k, (double)n);
}

static void test_dense_back(void) {
  EACH(t, f64)
    for (size_t s = 0; s < SHAPES; s++)
      for (int act = 0; act < CST_ACT_COUNT; act++)
        for (size_t m = 1; m < 60; m += m < 4 ? 1 : 16) {
          if (shapes[s][0] < 1000) check_back(*t, f64, m, shapes[s][0], shapes[s][1], (cst_act)act, m & 1);
          else check_back(*t, f64, m % 8, shapes[s][0], shapes[s][1], (cst_act)act, m & 1);
        }
}

static void test_nonfinite_products(void) {
  static array x, w, y;
  EACH(t, f64)
    for (size_t s = 0; s < SHAPES; s++) {
      size_t k = shapes[s][0], n = shapes[s][1], m = 5;
      fill(f64, &x, m * k);
      fill(f64, &w, k * n);
      set(f64, &x, 2 * k + k / 2, nan_); /* row 2 and no other */
      set(f64, &x, 4 * k - 1, inf); /* row 3 */
      (*t)->product[f64](m, k, n, &x, &w, false, false, &y);
      for (size_t i = 0; i < m * n; i++) {
        double v = get(f64, &y, i);
        check(i / n == 2 ? isnan(v) : i / n == 3 ? isinf(v) : isfinite(v), "NaN in a product",
              (*t)->isa, f64, (double)k, (double)n);
      }
    }
}

static void test_combine(void) {
  static array y, k[10], got, want;
  const double c[10] = {0.3, 0, -0.7, 1.1, 0.01, 0, 0.2, 0.5, -0.25, 0.6};
  const void *p[10];
  EACH(t, f64) {
    for (size_t j = 0; j < 10; j++) fill(f64, &k[j], 600), p[j] = at(f64, &k[j], j);
    fill(f64, &y, 600);
    for (size_t s = 0; s <= 10; s++)
      for (size_t n = 0; n < 500; n += n < 70 ? 1 : 77)
        for (int start = 0; start < 2; start++) {
          for (size_t i = 0; i < n + 9; i++) set(f64, &got, i, 7);
          if (start) memcpy(&got, &y, n * size_of(f64));
          (*t)->combine[f64](n, start ? &got : NULL, s, c, p, &got);
          double worst = 0;
          for (size_t i = 0; i < n; i++) {
            double v = start ? get(f64, &y, i) : 0;
            for (size_t j = 0; j < s; j++) v += c[j] * get(f64, &k[j], i + j);
            worst = fmax(worst, fabs(v - get(f64, &got, i)));
          }
          check(worst <= tolerance(f64, s), "combine", (*t)->isa, f64, (double)s, (double)n);
          check(get(f64, &got, n) == 7, "combine writes beyond", (*t)->isa, f64, (double)s, (double)n);
          double sum = 0, e = 0;
          for (size_t i = 0; i < n; i++) {
            double v = 0, a = fabs(get(f64, &y, i)), b = fabs(get(f64, &k[9], i));
            for (size_t j = 0; j < s; j++) v += c[j] * get(f64, &k[j], i + j);
            v /= 1e-3 + 1e-2 * fmax(a, b);
            sum += v * v;
          }
          e = (*t)->error_sum[f64](n, s, c, p, &y, &k[9], 1e-2, 1e-3);
          check(fabs(e - sum) <= (f64 ? 1e-13 : 1e-4) * sum, "error_sum", (*t)->isa, f64, e, sum);
        }
    set(f64, &k[9], 3, nan_);
    check(isnan((*t)->error_sum[f64](40, 2, c, p, &y, &k[9], 1e-2, 1e-3)), "NaN in error_sum", (*t)->isa, f64, 0, 0);
    set(f64, &k[1], 1 + 9, nan_); /* a stage of weight 0 is not looked at */
    (*t)->combine[f64](20, &y, 3, c, p, &want);
    check((*t)->all_finite[f64](20, &want), "stage of weight 0", (*t)->isa, f64, 0, 0);
    set(f64, &k[2], 2 + 9, nan_);
    (*t)->combine[f64](20, &y, 3, c, p, &want);
    check(!(*t)->all_finite[f64](20, &want), "NaN in combine", (*t)->isa, f64, 0, 0);
  }
}

static void test_reductions(void) {
  static array x, y, got, top;
  const size_t shape[][3] = {{3, 1, 1}, {4, 7, 1}, {2, 100, 1}, {1, 5000, 1}, {1, 40, 3}, {5, 6, 17}, {2, 33, 70}, {3, 0, 4}};
  EACH(t, f64) {
    for (size_t s = 0; s < sizeof shape / sizeof *shape; s++) {
      size_t outer = shape[s][0], mid = shape[s][1], inner = shape[s][2];
      fill(f64, &x, outer * mid * inner);
      for (int add = 0; add < 2; add++) {
        for (size_t i = 0; i < outer * inner; i++) set(f64, &got, i, 0.5);
        (*t)->sum[f64](outer, mid, inner, &x, add, &got);
        if (mid) (*t)->max[f64](outer, mid, inner, &x, &top);
        for (size_t i = 0; i < outer * inner; i++) {
          double v = add ? 0.5 : 0, most = -inf;
          for (size_t q = 0; q < mid; q++) {
            double e = get(f64, &x, (i / inner * mid + q) * inner + i % inner);
            v += e;
            most = fmax(most, e);
          }
          check(fabs(v - get(f64, &got, i)) <= tolerance(f64, mid), "sum", (*t)->isa, f64, (double)mid, (double)inner);
          check(!mid || get(f64, &top, i) == most, "max", (*t)->isa, f64, (double)mid, (double)inner);
        }
      }
      if (!mid) continue;
      set(f64, &x, 0, nan_);
      (*t)->max[f64](outer, mid, inner, &x, &top);
      check(isnan(get(f64, &top, 0)), "NaN wins", (*t)->isa, f64, (double)mid, (double)inner);
    }
    fill(f64, &x, 500);
    fill(f64, &y, 500);
    for (size_t n = 0; n < 500; n += n < 70 ? 1 : 61) {
      double s = 0;
      for (size_t i = 0; i < n; i++) s += get(f64, &x, i + 1) * get(f64, &y, i);
      double d = (*t)->dot[f64](n, at(f64, &x, 1), &y);
      check(fabs(d - s) <= 1e-13, "dot", (*t)->isa, f64, d, s);
      check((*t)->all_finite[f64](n, at(f64, &x, 1)), "all_finite", (*t)->isa, f64, (double)n, 1);
      if (!n) continue;
      double keep = get(f64, &x, n);
      set(f64, &x, n, n % 2 ? inf : nan_);
      check(!(*t)->all_finite[f64](n, at(f64, &x, 1)), "all_finite", (*t)->isa, f64, (double)n, 0);
      check((*t)->all_finite[f64](n - 1, at(f64, &x, 1)), "all_finite", (*t)->isa, f64, (double)n, 2);
      set(f64, &x, n, keep);
    }
  }
}

/* The pullback of a layer, which some tables compute in one pass. */
static void check_pullback_bits(int f64, size_t m, size_t k, size_t n, cst_act act) {
  static array x, w, h, gy, gz, got[3], first[3];
  fill(f64, &x, m * k);
  fill(f64, &w, k * n);
  fill(f64, &h, m * n);
  fill(f64, &gy, m * n);
  size_t seen = 0, len[3] = {m * k, k * n, n};
  for (const cst_kernels *const *t = cst_kernels_all(); *t; t++) {
    if (strncmp((*t)->isa, "avx", 3) != 0) continue;
    cst_dense_back_args p = {m, k, n, act, false, &x, &w, &h, &gy, &gz, &got[0], &got[1], &got[2]};
    (*t)->dense_back[f64](&p);
    for (int i = 0; i < 3 && seen; i++)
      check(memcmp(&got[i], &first[i], len[i] * size_of(f64)) == 0, "pullback bits", (*t)->isa, f64, (double)k, (double)n);
    if (!seen++) memcpy(first, got, sizeof got);
  }
}

/* Tables with a fused multiply-add agree to the bit in products and sums as well. */
static void test_fused_tables_agree(void) {
  static array x, w, y, first_y, gw, first_gw;
  const void *const k[2] = {&x, &w};
  for (int f64 = 0; f64 < 2; f64++)
    for (size_t s = 0; s < SHAPES; s++) {
      size_t K = shapes[s][0], n = shapes[s][1], m = K > 1000 ? 9 : 37, seen = 0;
      double norm = 0;
      fill(f64, &x, m * K);
      fill(f64, &w, K * n > m * n ? K * n : m * n);
      for (const cst_kernels *const *t = cst_kernels_all(); *t; t++) {
        if (strncmp((*t)->isa, "avx", 3) != 0) continue;
        (*t)->product[f64](m, K, n, &x, &w, false, false, &y);
        (*t)->outer[f64](m, K, n, &x, &w, false, &gw);
        size_t len = m * K < K * n ? m * K : K * n;
        double e = (*t)->error_sum[f64](len, 2, (double[]){0.3, 0.4}, k, &x, &w, 1e-3, 1e-6) +
                   (*t)->dot[f64](len, &x, &w);
        if (seen++) {
          check(memcmp(&y, &first_y, m * n * size_of(f64)) == 0, "product bits", (*t)->isa, f64, (double)K, (double)n);
          check(memcmp(&gw, &first_gw, K * n * size_of(f64)) == 0, "outer bits", (*t)->isa, f64, (double)K, (double)n);
          check(e == norm, "norm bits", (*t)->isa, f64, e, norm);
        }
        first_y = y, first_gw = gw, norm = e;
      }
      check_pullback_bits(f64, m, K, n, CST_ACT_TANH);
      check_pullback_bits(f64, m, K, n, CST_ACT_SOFTPLUS);
    }
}

int cst_suite_products(void) {
  CU_pSuite s = CU_add_suite("products", NULL, NULL);
  if (!s) return -1;
  bool ok = CU_add_test(s, "products against plain loops", test_products) &&
            CU_add_test(s, "rows do not depend on their neighbours", test_rows) &&
            CU_add_test(s, "fused layers have eager bits", test_dense_is_eager) &&
            CU_add_test(s, "pullback of a layer", test_dense_back) &&
            CU_add_test(s, "NaN and infinity in products", test_nonfinite_products) &&
            CU_add_test(s, "stage combination and error", test_combine) &&
            CU_add_test(s, "reductions", test_reductions) &&
            CU_add_test(s, "fused tables agree", test_fused_tables_agree);
  return ok ? 0 : -1;
}
