/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * poisson_sampled: when a series is looked at depends on what it does. The latent state of each is
 * an oscillation (x1, x2) = A (cos p, sin p), p = w t + p0, with A ~ U(0.5, 1) and p0 ~ U(0, 2 pi).
 * Its times on [0, t1] are an inhomogeneous Poisson process of the rate
 *
 *   lambda(t) = rate exp(gain x2(t)),
 *
 * made by thinning a process of rate R = rate exp(|gain| A) >= lambda (Lewis and Shedler, 1979),
 * and x1 with normal noise is seen. The truth comes along: point_rate [N, T] is lambda at the
 * times, rate_integral [N] its integral over [0, t1], span [N] is t1, state0 [N, 2] is the state at
 * 0. A series without a time would have nothing to give: it is drawn again (one in e^20 at the
 * defaults).
 */
#include "series.h"
#include "systems.h"

#define TWO_PI 6.283185307179586476925
#define MOST_TRIES 1000

typedef struct oscillator {
  double amplitude, phase, frequency, rate, gain, t1, noise;
} oscillator;

static double state(const oscillator *x, double t, int component) {
  double p = x->frequency * t + x->phase;
  return x->amplitude * (component ? sin(p) : cos(p));
}

static double rate(const oscillator *x, double t) {
  return x->rate * exp(x->gain * state(x, t, 1));
}

/* Simpson's rule; with 256 steps a period its error is far below 1e-9 of the integral. */
static double integral(const oscillator *x) {
  size_t n = 2 * (size_t)(128 * ceil(fabs(x->frequency) * x->t1 / TWO_PI) + 128);
  double h = x->t1 / (double)n, sum = rate(x, 0) + rate(x, x->t1);
  for (size_t i = 1; i < n; i++) sum += (i % 2 ? 4 : 2) * rate(x, h * (double)i);
  return sum * h / 3;
}

typedef struct sampler {
  const cst_options *o;
  uint64_t seed;
  series s;
  oscillator *x; /* of each row */
  cst_rng *r;    /* likewise, behind the draws of the oscillator */
} sampler;

static void draw_oscillator(const cst_options *o, cst_rng *r, oscillator *x) {
  *x = (oscillator){.frequency = cst_option_number(o, "frequency"),
                    .rate = cst_option_number(o, "rate"),
                    .gain = cst_option_number(o, "gain"),
                    .t1 = cst_option_number(o, "t1"),
                    .noise = cst_option_number(o, "noise")};
  x->amplitude = 0.5 + 0.5 * cst_rng_uniform(r);
  x->phase = TWO_PI * cst_rng_uniform(r);
}

static cst_status thin(sampler *w, size_t row) {
  const oscillator *x = &w->x[row];
  cst_rng *r = &w->r[row];
  double bound = x->rate * exp(fabs(x->gain) * x->amplitude);
  for (double t = 0;;) {
    t -= log(cst_rng_uniform(r)) / bound;
    if (t > x->t1) return CST_OK;
    if (cst_rng_uniform(r) * bound > rate(x, t)) continue;
    observation o = {.t = t, .value = state(x, t, 0) + x->noise * cst_rng_normal(r), .row = row};
    CST_TRY(series_add(&w->s, &o));
  }
}

static cst_status draw_series(sampler *w, size_t row) {
  w->r[row] = (cst_rng){.seed = w->seed,
                        .stream = cst_rng_stream("datasets.poisson_sampled"),
                        .counter = (uint64_t)row << 32};
  draw_oscillator(w->o, &w->r[row], &w->x[row]);
  size_t before = w->s.n;
  for (int i = 0; i < MOST_TRIES && w->s.n == before; i++) CST_TRY(thin(w, row));
  if (w->s.n > before) return CST_OK;
  return w->s.host->fail(w->s.host, CST_EINVAL,
                         "poisson_sampled: %d draws in a row gave a series without a "
                         "time: raise rate or t1",
                         MOST_TRIES);
}

static cst_status fill_truth(const sampler *w, cst_dataset_spec *d) {
  int64_t n = (int64_t)w->s.rows, points[2] = {n, (int64_t)w->s.longest}, pair[2] = {n, 2};
  void *at = NULL, *total = NULL, *span = NULL, *first = NULL;
  CST_TRY(w->s.host->dataset_tensor(d, "point_rate", CST_F64, 2, points, true, &at));
  CST_TRY(w->s.host->dataset_tensor(d, "rate_integral", CST_F64, 1, &n, true, &total));
  CST_TRY(w->s.host->dataset_tensor(d, "span", CST_F64, 1, &n, true, &span));
  CST_TRY(w->s.host->dataset_tensor(d, "state0", CST_F64, 2, pair, true, &first));
  for (size_t row = 0, i = 0; row < w->s.rows; row++) {
    const oscillator *x = &w->x[row];
    ((double *)total)[row] = integral(x);
    ((double *)span)[row] = x->t1;
    for (int k = 0; k < 2; k++) ((double *)first)[2 * row + (size_t)k] = state(x, 0, k);
    for (size_t p = 0; p < w->s.length[row]; p++, i++)
      ((double *)at)[row * w->s.longest + p] = rate(x, w->s.at[i].t);
  }
  return CST_OK;
}

static cst_status draw_all(sampler *w, cst_dataset_spec *d) {
  for (size_t row = 0; row < w->s.rows; row++) CST_TRY(draw_series(w, row));
  CST_TRY(series_arrange(&w->s));
  CST_TRY(series_fields(&w->s, d));
  return fill_truth(w, d);
}

static cst_status poisson_build(const cst_host *host, const cst_options *o, uint64_t seed,
                                cst_dataset_spec *d) {
  static const char *const channels[] = {"x"};
  size_t rows = (size_t)cst_option_integer(o, "series");
  sampler w = {.o = o,
               .seed = seed,
               .x = host->alloc(host, rows * sizeof *w.x),
               .r = host->alloc(host, rows * sizeof *w.r)};
  w.s = (series){.host = host,
                 .path = "poisson_sampled",
                 .rows = rows,
                 .channels = 1,
                 .channel_name = channels,
                 .repeat = SERIES_AVERAGED};
  cst_status st =
      w.x && w.r ? draw_all(&w, d) : host->fail(host, CST_ENOMEM, "poisson_sampled: no memory");
  series_free(&w.s);
  host->free(host, w.x);
  host->free(host, w.r);
  return st;
}

const cst_dataset_type dataset_poisson_sampled = {
    .struct_size = sizeof dataset_poisson_sampled,
    .name = "poisson_sampled",
    .build = poisson_build,
    .help = "oscillations seen at the times of a Poisson process whose rate depends on their state",
    .options = CST_OPTIONS(
        {"series", CST_INTEGER, .number = 500, .range = {1, 1e7}, .help = "how many"},
        {"t1", CST_NUMBER, .number = 10, .range = {1e-6, 1e6}, .help = "the times lie in [0, t1]"},
        {"rate", CST_NUMBER, .number = 2, .range = {1e-6, 1e6},
         .help = "of the times where x2 = 0"},
        {"gain", CST_NUMBER, .number = 1, .range = {-20, 20},
         .help = "log of the rate per unit of x2"},
        {"frequency", CST_NUMBER, .number = 1.5, .range = {-1e4, 1e4}, .help = "w, in radians"},
        {"noise", CST_NUMBER, .number = 0.1, .range = {0, 1e300}, .help = "standard deviation"})};
