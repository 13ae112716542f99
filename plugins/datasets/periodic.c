/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * periodic: y(t) = z + sin(2 pi int_0^t f), one channel, on times that all series share: 0 and
 * points drawn from U(0, t1). With the defaults it is the toy set of Rubanova, Chen, Duvenaud,
 * "Latent ODEs for irregularly-sampled time series" (2019), as their program makes it:
 *
 *   f ~ U(0.4, 0.8) for each series and constant along it (with `drift` it goes linearly to an end
 *   value that is drawn likewise), level z ~ N(1, 0.1^2), amplitude 1, and noise that is uniform on
 *   [0, noise) and spares the first point.
 *
 * Series i is drawn from its own stretch of the stream: more series leave the first ones as they
 * are.
 */
#include "series.h"
#include "systems.h"

#define TWO_PI 6.283185307179586476925

static void draw_times(uint64_t seed, double t1, double *t, size_t n) {
  cst_rng r = {.seed = seed, .stream = cst_rng_stream("datasets.periodic.times")};
  for (size_t i = 1; i < n; i++) t[i] = t1 * cst_rng_uniform(&r);
  series_sort_times(t, n);
}

/* One series on the times t[n]. */
static void draw_series(const cst_options *o, uint64_t seed, size_t row, const double *t, double *y,
                        size_t n) {
  cst_rng r = {
      .seed = seed, .stream = cst_rng_stream("datasets.periodic"), .counter = (uint64_t)row << 32};
  double low = cst_option_number(o, "frequency_low"), high = cst_option_number(o, "frequency_high");
  double f0 = low + (high - low) * cst_rng_uniform(&r),
         f1 = low + (high - low) * cst_rng_uniform(&r);
  double level =
      cst_option_number(o, "level") + cst_option_number(o, "level_std") * cst_rng_normal(&r);
  double noise = cst_option_number(o, "noise"), amplitude = cst_option_number(o, "amplitude");
  double slope = cst_option_boolean(o, "drift") ? (f1 - f0) / cst_option_number(o, "t1") : 0;
  for (size_t i = 0; i < n; i++) {
    double cycles = t[i] * (f0 + slope * t[i] / 2);
    y[i] = level + amplitude * sin(TWO_PI * cycles) + (i ? noise * cst_rng_uniform(&r) : 0);
  }
}

static cst_status periodic_build(const cst_host *host, const cst_options *o, uint64_t seed,
                                 cst_dataset_spec *d) {
  int64_t dim[3] = {cst_option_integer(o, "series"), cst_option_integer(o, "points"), 1};
  size_t n = (size_t)dim[1];
  series_tensors x;
  if (cst_option_number(o, "frequency_high") < cst_option_number(o, "frequency_low"))
    return host->fail(host, CST_EINVAL, "periodic: frequency_high must not be below frequency_low");
  CST_TRY(series_new_tensors(host, d, dim, &x));
  draw_times(seed, cst_option_number(o, "t1"), x.t, n);
  for (size_t row = 0; row < (size_t)dim[0]; row++) {
    memcpy(x.t + row * n, x.t, row ? n * sizeof *x.t : 0);
    draw_series(o, seed, row, x.t, x.y + row * n, n);
  }
  return host->dataset_words(d, "channels", 1, (const char *const[]){"y"});
}

const cst_dataset_type dataset_periodic = {
    .struct_size = sizeof dataset_periodic,
    .name = "periodic",
    .build = periodic_build,
    .help =
        "series z + sin(2 pi f t) of different frequency and level, at irregular times that all "
        "share",
    .options = CST_OPTIONS(
        {"series", CST_INTEGER, .number = 1000, .range = {1, 1e8}, .help = "how many"},
        {"points", CST_INTEGER, .number = 100, .range = {1, 1e8},
         .help = "times of each, the first one 0"},
        {"t1", CST_NUMBER, .number = 5, .range = {1e-300, 1e300}, .help = "end of the times"},
        {"frequency_low", CST_NUMBER, .number = 0.4, .help = "frequencies are uniform from here"},
        {"frequency_high", CST_NUMBER, .number = 0.8, .help = "to here"},
        {"drift", CST_BOOLEAN, .number = 0,
         .help = "the frequency goes linearly to another drawn value"},
        {"amplitude", CST_NUMBER, .number = 1, .help = "of the sine"},
        {"level", CST_NUMBER, .number = 1, .help = "mean of the level z"},
        {"level_std", CST_NUMBER, .number = 0.1, .range = {0, 1e300},
         .help = "its standard deviation"},
        {"noise", CST_NUMBER, .number = 0.01, .range = {0, 1e300},
         .help = "uniform on [0, noise)"})};
