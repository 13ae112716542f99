/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Sets of series that are made: they are what their formulas say, noise and chance included.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sets.h"

#define PI 3.14159265358979323846

static double at(const cst_dataset *d, const char *name, size_t i) {
  return cst_tensor_get(set_tensor(d, name), i);
}

/* Without noise and spread a series is the sine of its frequency: two values tell it. */
static void periodic_is_periodic(void) {
  const cst_given exact[] = {COUNT("series", 50), NUMBER("noise", 0), NUMBER("level_std", 0)};
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(set_build("datasets.periodic", exact, 3, 4, &d), CST_OK);
  double low = 1, high = 0;
  CU_ASSERT_EQUAL(at(&d, "t", 0), 0);
  for (size_t r = 0; r < 50; r++) {
    size_t p = 1; /* the first quarter of a period gives the frequency */
    double f = asin(at(&d, "y", r * 100 + p) - 1) / (2 * PI * at(&d, "t", p));
    for (p = 0; p < 100; p++) {
      CU_ASSERT_EQUAL(at(&d, "t", r * 100 + p), at(&d, "t", p));
      CU_ASSERT_DOUBLE_EQUAL(at(&d, "y", r * 100 + p), 1 + sin(2 * PI * f * at(&d, "t", p)), 1e-9);
    }
    low = fmin(low, f), high = fmax(high, f);
  }
  CU_ASSERT(low >= 0.4 && low < 0.45 && high <= 0.8 && high > 0.75);
  set_check(&d);
  cst_dataset_free(set_ctx, &d);
}

static void periodic_has_levels_and_noise(void) {
  const cst_given flat[] = {COUNT("series", 4000), COUNT("points", 3), NUMBER("amplitude", 0)};
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(set_build("datasets.periodic", flat, 3, 4, &d), CST_OK);
  double mean = 0, square = 0, noise = 0, least = 1, most = 0;
  for (size_t r = 0; r < 4000; r++) {
    double z = at(&d, "y", 3 * r), e = at(&d, "y", 3 * r + 1) - z;
    mean += z / 4000, square += (z - 1) * (z - 1) / 4000, noise += e / 4000;
    least = fmin(least, e), most = fmax(most, e);
  }
  CU_ASSERT_DOUBLE_EQUAL(mean, 1, 4 * 0.1 / sqrt(4000));
  CU_ASSERT_DOUBLE_EQUAL(sqrt(square), 0.1, 4 * 0.1 / sqrt(2 * 4000));
  CU_ASSERT_DOUBLE_EQUAL(noise, 0.005, 4 * 0.01 / sqrt(12. * 4000));
  CU_ASSERT(least >= 0 && most < 0.01);
  cst_dataset_free(set_ctx, &d);
}

/* With drift the phase is f0 t + g t^2. The level is crossed where it is k / 2: the first and the
 * last crossing give f0 and g, and the others must lie where these say. */
static void check_drift(const cst_dataset *d, size_t row, size_t points) {
  double crossing[16];
  size_t n = 0, first = row * points;
  for (size_t p = 2; p < points && n < 16; p++) {
    double y0 = at(d, "y", first + p - 1) - 1, y1 = at(d, "y", first + p) - 1;
    double t0 = at(d, "t", first + p - 1), t1 = at(d, "t", first + p);
    if (y0 * y1 < 0) crossing[n++] = t0 + (t1 - t0) * y0 / (y0 - y1);
  }
  CU_ASSERT_FATAL(n >= 3 && n < 16);
  double ta = crossing[0], tb = crossing[n - 1], a = 0.5 / ta, b = 0.5 * (double)n / tb,
         g = (b - a) / (tb - ta);
  double f0 = a - g * ta, f1 = f0 + 2 * g * 5;
  CU_ASSERT(f0 > 0.39 && f0 < 0.81 && f1 > 0.39 && f1 < 0.81);
  for (size_t k = 0; k < n; k++) {
    double t = crossing[k];
    CU_ASSERT_DOUBLE_EQUAL(f0 * t + g * t * t, 0.5 * (double)(k + 1), 1e-4);
  }
}

static void periodic_drifts(void) {
  const cst_given given[] = {COUNT("series", 20),
                             NUMBER("noise", 0),
                             NUMBER("level_std", 0),
                             COUNT("points", 5000),
                             {.name = "drift", .kind = CST_BOOLEAN, .number = 1}};
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(set_build("datasets.periodic", given, 5, 4, &d), CST_OK);
  for (size_t row = 0; row < 20; row++) check_drift(&d, row, 5000);
  cst_dataset_free(set_ctx, &d);
}

static void spirals_wind(void) {
  const cst_given given[] = {COUNT("series", 400), TEXT("times", "window")};
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(set_build("datasets.spirals2d", given, 2, 1, &d), CST_OK);
  double square = 0, n = (double)set_tensor(&d, "y")->count, turned = 0;
  for (size_t r = 0; r < 400; r++) {
    bool counter = at(&d, "label", r) != 0;
    double s = at(&d, "t", r * 100);
    double u = counter ? s : 6 * PI + 1 - s, radius = counter ? 0.3 * s : 15 / u;
    CU_ASSERT_DOUBLE_EQUAL(at(&d, "point_clean", r * 200), radius * cos(u) + (counter ? 5 : -5),
                           1e-12);
    CU_ASSERT_DOUBLE_EQUAL(at(&d, "point_clean", r * 200 + 1), radius * sin(u), 1e-12);
    turned += counter;
  }
  for (size_t i = 0; i < set_tensor(&d, "y")->count; i++) {
    double e = at(&d, "y", i) - at(&d, "point_clean", i);
    square += e * e / n;
  }
  CU_ASSERT_DOUBLE_EQUAL(sqrt(square), 0.3, 4 * 0.3 / sqrt(2 * n));
  CU_ASSERT_DOUBLE_EQUAL(turned, 200, 40);
  cst_dataset_free(set_ctx, &d);
  CU_ASSERT_EQUAL_FATAL(set_build("datasets.spirals2d", given, 1, 1, &d), CST_OK);
  for (size_t r = 0; r < 400; r++) CU_ASSERT_EQUAL(at(&d, "t", r * 100 + 99), at(&d, "t", 99));
  CU_ASSERT_DOUBLE_EQUAL(at(&d, "t", 99), 99 * 6 * PI / 499, 1e-12);
  cst_dataset_free(set_ctx, &d);
  const cst_given few[] = {COUNT("total", 200)};
  CU_ASSERT_EQUAL(set_build("datasets.spirals2d", few, 1, 1, &d), CST_EINVAL);
  set_expect_message("total must be more than twice points, got 200 and 100");
}

/* Energy v^2 / 2 - (g / l) cos x is kept without damping and lost with it. */
static void pendulums_swing(void) {
  for (int damped = 0; damped < 2; damped++) {
    const cst_given given[] = {COUNT("series", 30), NUMBER("noise", 0), NUMBER("damping", damped),
                               NUMBER("length", 2)};
    cst_dataset d;
    CU_ASSERT_EQUAL_FATAL(set_build("datasets.pendulums", given, 4, 2, &d), CST_OK);
    size_t points = (size_t)set_tensor(&d, "t")->type.dim[1];
    for (size_t r = 0; r < 30; r++) {
      size_t n = (size_t)at(&d, "lengths", r), first = 2 * r * points, last = first + 2 * (n - 1);
      double e0 = pow(at(&d, "y", first + 1), 2) / 2 - 9.81 / 2 * cos(at(&d, "y", first));
      double e1 = pow(at(&d, "y", last + 1), 2) / 2 - 9.81 / 2 * cos(at(&d, "y", last));
      CU_ASSERT(n >= 10);
      if (damped) CU_ASSERT(e1 < e0);
      if (!damped) CU_ASSERT_DOUBLE_EQUAL(e1, e0, 1e-12);
    }
    set_check(&d);
    cst_dataset_free(set_ctx, &d);
  }
}

static void pendulums_hide_channels(void) {
  const cst_given given[] = {NUMBER("observed", 0.3)};
  const cst_given wrong[] = {COUNT("points_low", 9), COUNT("points_high", 8)};
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(set_build("datasets.pendulums", given, 1, 2, &d), CST_OK);
  double seen = 0, points = 0;
  for (size_t i = 0; i < set_tensor(&d, "mask")->count; i++) seen += at(&d, "mask", i);
  for (size_t r = 0; r < 200; r++) points += at(&d, "lengths", r);
  /* each with chance 0.3, and one of two where neither came: 0.6 + 0.49 a point */
  CU_ASSERT_DOUBLE_EQUAL(seen / points, 1.09, 4 * sqrt(0.09 * 0.91 / points));
  set_check(&d);
  cst_dataset_free(set_ctx, &d);
  CU_ASSERT_EQUAL(set_build("datasets.pendulums", wrong, 2, 2, &d), CST_EINVAL);
  set_expect_message("points_high must not be below points_low, got 8 and 9");
}

/* Counts have the mean and the variance of their integrals, and the sum of 1 / lambda over the
 * times has the mean t1 (Campbell's formula): the times follow the rate. */
static void poisson_times_follow_the_rate(void) {
  const cst_given given[] = {COUNT("series", 2000)};
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(set_build("datasets.poisson_sampled", given, 1, 3, &d), CST_OK);
  size_t points = (size_t)set_tensor(&d, "t")->type.dim[1];
  double count = 0, expected = 0, square = 0, inverse = 0, inverse_variance = 0;
  for (size_t r = 0; r < 2000; r++) {
    double n = at(&d, "lengths", r), mean = at(&d, "rate_integral", r);
    count += n, expected += mean, square += (n - mean) * (n - mean) / mean / 2000;
    for (size_t p = 0; p < (size_t)n; p++) {
      double x = 1 / at(&d, "point_rate", r * points + p);
      inverse += x, inverse_variance += x * x;
    }
  }
  CU_ASSERT_DOUBLE_EQUAL(count, expected, 4 * sqrt(expected));
  CU_ASSERT_DOUBLE_EQUAL(square, 1, 4 * sqrt(2. / 2000));
  CU_ASSERT_DOUBLE_EQUAL(inverse, 2000 * 10, 4 * sqrt(inverse_variance));
  set_check(&d);
  cst_dataset_free(set_ctx, &d);
  const cst_given never[] = {NUMBER("rate", 1e-6), NUMBER("t1", 1e-3)};
  CU_ASSERT_EQUAL(set_build("datasets.poisson_sampled", never, 2, 3, &d), CST_EINVAL);
  set_expect_message("a series without a time: raise rate or t1");
}

static void seeds_decide(void) {
  static const char *const names[] = {"periodic", "spirals2d", "pendulums", "poisson_sampled"};
  const cst_given few[] = {COUNT("series", 5)}, more[] = {COUNT("series", 9)};
  for (size_t i = 0; i < 4; i++) {
    cst_dataset a, b, c, e;
    char name[64];
    snprintf(name, sizeof name, "datasets.%s", names[i]);
    CU_ASSERT_EQUAL_FATAL(set_build(name, few, 1, 1, &a), CST_OK);
    CU_ASSERT_EQUAL_FATAL(set_build(name, few, 1, 1, &b), CST_OK);
    CU_ASSERT_EQUAL_FATAL(set_build(name, few, 1, 2, &c), CST_OK);
    CU_ASSERT_EQUAL_FATAL(set_build(name, more, 1, 1, &e), CST_OK);
    const cst_tensor *y = set_tensor(&a, "y");
    CU_ASSERT_EQUAL(memcmp(y->data, set_tensor(&b, "y")->data, y->count * 8), 0);
    CU_ASSERT(y->count != set_tensor(&c, "y")->count ||
              memcmp(y->data, set_tensor(&c, "y")->data, y->count * 8) != 0);
    CU_ASSERT_EQUAL(at(&e, "y", 0),
                    at(&a, "y", 0)); /* more series leave the first ones as they are */
    cst_dataset_free(set_ctx, &a), cst_dataset_free(set_ctx, &b), cst_dataset_free(set_ctx, &c),
        cst_dataset_free(set_ctx, &e);
  }
}

static CU_TestInfo tests[] = {
    {"periodic is periodic", periodic_is_periodic},
    {"periodic has levels and noise", periodic_has_levels_and_noise},
    {"periodic drifts", periodic_drifts},
    {"spirals wind", spirals_wind},
    {"pendulums swing", pendulums_swing},
    {"pendulums hide channels", pendulums_hide_channels},
    {"poisson times follow the rate", poisson_times_follow_the_rate},
    {"seeds decide", seeds_decide},
    CU_TEST_INFO_NULL,
};

int cst_suite_made(void);
int cst_suite_made(void) {
  CU_SuiteInfo info[] = {{"made", set_open, set_close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
