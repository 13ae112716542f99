/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pendulums: x'' = -(g / l) sin x - c x', a series for each of many starts x(0) ~ U(-swing, swing),
 * x'(0) = 0, seen at n ~ U{points_low .. points_high} times drawn from U(0, t1), each series at its
 * own. Channels are the angle and its velocity, each with normal noise; at every time a channel is
 * seen with probability `observed`, and one of the two always is.
 */
#include "series.h"
#include "systems.h"
#include "trajectory.h"

#define GRAVITY 9.81L

/* p: length, damping. */
static void field(const wide *p, wide t, const wide *y, wide *dy) {
  (void)t;
  dy[0] = y[1];
  dy[1] = -GRAVITY / p[0] * sinl(y[0]) - p[1] * y[1];
}

static const trajectory_system pendulum = {.name = "pendulums", .field = field, .dim = 2};

typedef struct swing {
  const cst_host *host;
  const cst_options *o;
  series s;
  double *t; /* room for points_high times */
} swing;

/* Both channels, one of them, or neither of what the pendulum shows at time t. */
static cst_status look(swing *w, cst_rng *r, size_t row, double t, const wide *state) {
  double share = cst_option_number(w->o, "observed"), noise = cst_option_number(w->o, "noise");
  bool seen[2] = {cst_rng_uniform(r) < share, cst_rng_uniform(r) < share};
  if (!seen[0] && !seen[1]) seen[cst_rng_below(r, 2)] = true;
  for (size_t c = 0; c < 2; c++) {
    observation o = {
        .t = t, .value = (double)state[c] + noise * cst_rng_normal(r), .row = row, .channel = c};
    if (seen[c]) CST_TRY(series_add(&w->s, &o));
  }
  return CST_OK;
}

static cst_status draw_series(swing *w, uint64_t seed, size_t row) {
  cst_rng r = {
      .seed = seed, .stream = cst_rng_stream("datasets.pendulums"), .counter = (uint64_t)row << 32};
  int64_t low = cst_option_integer(w->o, "points_low"),
          high = cst_option_integer(w->o, "points_high");
  size_t n = (size_t)low + (size_t)cst_rng_below(&r, (uint64_t)(high - low + 1));
  const wide p[2] = {(wide)cst_option_number(w->o, "length"),
                     (wide)cst_option_number(w->o, "damping")};
  wide now = 0,
       state[2] = {(wide)(cst_option_number(w->o, "swing") * (2 * cst_rng_uniform(&r) - 1)), 0};
  for (size_t i = 0; i < n; i++) w->t[i] = cst_option_number(w->o, "t1") * cst_rng_uniform(&r);
  series_sort_times(w->t, n);
  for (size_t i = 0; i < n; i++) {
    cst_status st = trajectory_advance(&pendulum, p, &now, (wide)w->t[i], state);
    if (st != CST_OK)
      return w->host->fail(w->host, st, "pendulums: the motion cannot be followed beyond t = %g",
                           (double)now);
    CST_TRY(look(w, &r, row, w->t[i], state));
  }
  return CST_OK;
}

static cst_status draw_all(swing *w, uint64_t seed, cst_dataset_spec *d) {
  for (size_t row = 0; row < w->s.rows; row++) CST_TRY(draw_series(w, seed, row));
  CST_TRY(series_arrange(&w->s));
  return series_fields(&w->s, d);
}

static cst_status pendulums_build(const cst_host *host, const cst_options *o, uint64_t seed,
                                  cst_dataset_spec *d) {
  static const char *const channels[] = {"angle", "velocity"};
  int64_t low = cst_option_integer(o, "points_low"), high = cst_option_integer(o, "points_high");
  if (high < low)
    return host->fail(host, CST_EINVAL,
                      "pendulums: points_high must not be below points_low, got %lld and %lld",
                      (long long)high, (long long)low);
  swing w = {.host = host, .o = o, .t = host->alloc(host, (size_t)high * sizeof *w.t)};
  w.s = (series){.host = host,
                 .path = "pendulums",
                 .rows = (size_t)cst_option_integer(o, "series"),
                 .channels = 2,
                 .channel_name = channels,
                 .repeat = SERIES_AVERAGED};
  cst_status st =
      w.t ? draw_all(&w, seed, d) : host->fail(host, CST_ENOMEM, "pendulums: no memory");
  series_free(&w.s);
  host->free(host, w.t);
  return st;
}

const cst_dataset_type dataset_pendulums = {
    .struct_size = sizeof dataset_pendulums,
    .name = "pendulums",
    .build = pendulums_build,
    .help = "damped pendulums, each seen at its own irregular times; angle and velocity",
    .options = CST_OPTIONS(
        {"series", CST_INTEGER, .number = 200, .range = {1, 1e7}, .help = "how many"},
        {"points_low", CST_INTEGER, .number = 10, .range = {1, 1e6},
         .help = "fewest times of a series"},
        {"points_high", CST_INTEGER, .number = 50, .range = {1, 1e6}, .help = "most"},
        {"t1", CST_NUMBER, .number = 10, .range = {1e-300, 1e6}, .help = "end of the times",
         .unit = "s"},
        {"length", CST_NUMBER, .number = 1, .range = {1e-6, 1e6}, .help = "of the pendulum",
         .unit = "m"},
        {"damping", CST_NUMBER, .number = 0.25, .range = {0, 1e6}, .help = "c", .unit = "1/s"},
        {"swing", CST_NUMBER, .number = 2, .range = {0, 1e6}, .help = "largest angle at first",
         .unit = "rad"},
        {"observed", CST_NUMBER, .number = 1, .range = {0, 1},
         .help = "chance of a channel to be seen"},
        {"noise", CST_NUMBER, .number = 0.05, .range = {0, 1e300}, .help = "standard deviation"})};
