/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * spirals2d: windows of two Archimedean spirals in the plane, one for each sense of rotation, as in
 * the toy set of Chen, Rubanova, Bettencourt, Duvenaud, "Neural ordinary differential equations"
 * (2018). On the angles s = linspace(0, 6 pi, total):
 *
 *   label 0, clockwise:          u = 6 pi + 1 - s,  r = a + 50 b / u,  (r cos u - 5, r sin u)
 *   label 1, counter-clockwise:                     r = a + b s,       (r cos s + 5, r sin s)
 *
 * A window of `points` neighbours starts at least `points` from either end; normal noise is added,
 * and point_clean [N, T, 2] has the values without it. Their program gives every window the times
 * of the first one, so that equal times mean different places on the spiral: times = "shared".
 * "window" gives each window the angles it was taken at.
 */
#include "series.h"
#include "systems.h"

#define STOP (6 * 3.14159265358979323846)

typedef struct spiral {
  double a, b;
  bool counter;
} spiral;

static void place(const spiral *s, double angle, double xy[2]) {
  double u = s->counter ? angle : STOP + 1 - angle;
  double r = s->counter ? s->a + s->b * u : s->a + 50 * s->b / u;
  xy[0] = r * cos(u) + (s->counter ? 5 : -5);
  xy[1] = r * sin(u);
}

typedef struct windows {
  const cst_options *o;
  uint64_t seed;
  size_t total, points;
  bool own_times;
  series_tensors x;
  double *clean;
  int64_t *label;
} windows;

static void draw_window(const windows *w, size_t row) {
  cst_rng r = {.seed = w->seed,
               .stream = cst_rng_stream("datasets.spirals2d"),
               .counter = (uint64_t)row << 32};
  size_t first = w->points + (size_t)cst_rng_below(&r, w->total - 2 * w->points), n = w->points;
  spiral s = {cst_option_number(w->o, "a"), cst_option_number(w->o, "b"),
              cst_rng_uniform(&r) > 0.5};
  double noise = cst_option_number(w->o, "noise"), step = STOP / (double)(w->total - 1);
  w->label[row] = s.counter;
  for (size_t i = 0; i < n; i++) {
    double *xy = w->clean + (row * n + i) * 2, *y = w->x.y + (row * n + i) * 2;
    place(&s, step * (double)(first + i), xy);
    for (int k = 0; k < 2; k++) y[k] = xy[k] + noise * cst_rng_normal(&r);
    w->x.t[row * n + i] = step * (double)(w->own_times ? first + i : i);
  }
}

static cst_status spirals_build(const cst_host *host, const cst_options *o, uint64_t seed,
                                cst_dataset_spec *d) {
  int64_t dim[3] = {cst_option_integer(o, "series"), cst_option_integer(o, "points"), 2};
  windows w = {.o = o,
               .seed = seed,
               .total = (size_t)cst_option_integer(o, "total"),
               .points = (size_t)dim[1]};
  w.own_times = strcmp(cst_option_string(o, "times"), "window") == 0;
  if (w.total <= 2 * w.points)
    return host->fail(host, CST_EINVAL,
                      "spirals2d: total must be more than twice points, got %zu and %zu", w.total,
                      w.points);
  void *clean = NULL, *label = NULL;
  CST_TRY(series_new_tensors(host, d, dim, &w.x));
  CST_TRY(host->dataset_tensor(d, "point_clean", CST_F64, 3, dim, true, &clean));
  CST_TRY(host->dataset_tensor(d, "label", CST_I64, 1, dim, true, &label));
  w.clean = clean, w.label = label;
  for (size_t row = 0; row < (size_t)dim[0]; row++) draw_window(&w, row);
  CST_TRY(host->dataset_words(d, "classes", 2,
                              (const char *const[]){"clockwise", "counter-clockwise"}));
  return host->dataset_words(d, "channels", 2, (const char *const[]){"x", "y"});
}

const cst_dataset_type dataset_spirals2d = {
    .struct_size = sizeof dataset_spirals2d,
    .name = "spirals2d",
    .build = spirals_build,
    .help = "noisy windows of a clockwise and a counter-clockwise Archimedean spiral",
    .options = CST_OPTIONS(
        {"series", CST_INTEGER, .number = 1000, .range = {1, 1e8}, .help = "how many windows"},
        {"points", CST_INTEGER, .number = 100, .range = {1, 1e8}, .help = "of a window"},
        {"total", CST_INTEGER, .number = 500, .range = {3, 1e8},
         .help = "points of a whole spiral"},
        {"a", CST_NUMBER, .number = 0, .help = "r = a + b s"},
        {"b", CST_NUMBER, .number = 0.3, .help = "growth of the radius"},
        {"noise", CST_NUMBER, .number = 0.3, .range = {0, 1e300}, .help = "standard deviation"},
        {"times", CST_STRING, .string = "shared", .choices = "shared|window",
         .help = "those of the first window for all, or the window's own"})};
