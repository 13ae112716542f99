/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the driver and dopri5 cost beyond the field: Lotka-Volterra as a C callback against the same method and
 * control written by hand, and a linear field of n numbers whose own calls are taken off.
 *
 *     meson compile -C build && build/tests/bench_overhead
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "costate/registry.h"
#include "ode/integrate.h"

enum { ROUNDS = 100, MOST = 1000 };
#define RTOL 1e-6
#define ATOL 1e-9
#define END 200.0

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- by hand ---------------------------------------------------------------------------------------- */

static void lotka(const double *y, double *dy) {
  dy[0] = 1.5 * y[0] - y[0] * y[1];
  dy[1] = y[0] * y[1] - 3 * y[1];
}

static const double A[6][6] = {
    {1 / 5.},
    {3 / 40., 9 / 40.},
    {44 / 45., -56 / 15., 32 / 9.},
    {19372 / 6561., -25360 / 2187., 64448 / 6561., -212 / 729.},
    {9017 / 3168., -355 / 33., 46732 / 5247., 49 / 176., -5103 / 18656.},
    {35 / 384., 0, 500 / 1113., 125 / 192., -2187 / 6784., 11 / 84.}};
static const double E[7] = {71 / 57600., 0, -71 / 16695., 71 / 1920., -17253 / 339200., 22 / 525., -1 / 40.};

static double norm_by_hand(double k[7][2], double h, const double *y, const double *y1) {
  double sum = 0;
  for (int c = 0; c < 2; c++) {
    double e = 0;
    for (int j = 0; j < 7; j++) e += E[j] * k[j][c];
    double s = h * e / (ATOL + RTOL * fmax(fabs(y[c]), fabs(y1[c])));
    sum += s * s;
  }
  return sqrt(sum / 2);
}

/* Steps taken and tried. */
static int by_hand(double *y, int *tried) {
  double k[7][2], t = 0, h = 1e-3;
  int steps = 0;
  bool rejected = false;
  lotka(y, k[0]);
  for (*tried = 0; t < END; (*tried)++) {
    double y1[2];
    if (h > END - t) h = END - t;
    for (int i = 0; i < 6; i++) {
      for (int c = 0; c < 2; c++) {
        double s = 0;
        for (int j = 0; j <= i; j++) s += A[i][j] * k[j][c];
        y1[c] = y[c] + h * s;
      }
      lotka(y1, k[i + 1]);
    }
    double e = norm_by_hand(k, h, y, y1), factor = fmin(rejected ? 1 : 10, fmax(0.2, 0.9 * pow(e, -0.2)));
    rejected = e > 1;
    if (!rejected) {
      t += h, steps++;
      memcpy(y, y1, sizeof y1), memcpy(k[0], k[6], sizeof k[0]);
    }
    h *= factor;
  }
  return steps;
}

/* ---- by the driver ----------------------------------------------------------------------------------- */

static cst_status lotka_eval(cst_rhs *f, const double *t, const void *y, void *dy) {
  (void)t;
  f->evaluations++;
  lotka(y, dy);
  return CST_OK;
}

/* dy_i = -y_i / (1 + i): cheap, and vectors. */
static cst_status linear_eval(cst_rhs *f, const double *t, const void *y, void *dy) {
  (void)t;
  const double *rate = f->self, *in = y;
  double *out = dy;
  f->evaluations++;
  for (size_t i = 0; i < f->n; i++) out[i] = -rate[i] * in[i];
  return CST_OK;
}

static cst_integrator *integrator_for(cst_context *ctx, size_t n, double step) {
  cst_integrator *i = NULL;
  cst_integrator_config c = {.struct_size = sizeof c, .solver = cst_find(ctx, CST_KIND_SOLVER, "rk.dopri5")->type,
                             .controller = cst_find(ctx, CST_KIND_CONTROLLER, "core.i")->type, .dtype = CST_F64,
                             .rows = 1, .n = n, .n_stage = n, .rtol = RTOL, .atol = ATOL, .first_step = 1e-3,
                             .step = step};
  if (cst_integrator_new(cst_host_of(ctx), &c, &i) != CST_OK) fprintf(stderr, "%s\n", cst_message(ctx)), exit(1);
  return i;
}

static cst_rhs rhs_of(size_t n, cst_part *part, void *self,
                      cst_status (*eval)(cst_rhs *, const double *, const void *, void *)) {
  *part = (cst_part){.name = "y", .n = n};
  return (cst_rhs){.struct_size = sizeof(cst_rhs), .dtype = CST_F64, .rows = 1, .n = n, .n_stage = n, .parts = part,
                   .n_parts = 1, .self = self, .eval = eval};
}

static double run(cst_integrator *i, cst_rhs *f, double *y, double end, cst_solve_stats *stats) {
  const double times[2] = {0, end};
  cst_integration in = {.struct_size = sizeof in, .rhs = f, .times = times, .n_times = 2, .y = y, .stats = stats};
  double began = now();
  if (cst_integrate(i, &in) != CST_OK) exit(1);
  return now() - began;
}

static void compare_lotka(cst_context *ctx) {
  cst_part part;
  cst_rhs f = rhs_of(2, &part, NULL, lotka_eval);
  cst_integrator *i = integrator_for(ctx, 2, 0);
  double best[2] = {1, 1};
  int steps = 0, tried = 0;
  cst_solve_stats stats = {0};
  for (int r = 0; r < ROUNDS; r++) {
    double y[2] = {1, 1}, began = now();
    steps = by_hand(y, &tried);
    best[0] = fmin(best[0], now() - began);
    double z[2] = {1, 1};
    stats = (cst_solve_stats){0};
    best[1] = fmin(best[1], run(i, &f, z, END, &stats));
  }
  printf("Lotka-Volterra to t = %g: by hand %.1f us (%d steps of %d tried), Costate %.1f us (%llu of %llu): %.2fx, a step tried %.2fx\n",
         END, 1e6 * best[0], steps, tried, 1e6 * best[1], (unsigned long long)stats.accepted,
         (unsigned long long)(stats.accepted + stats.rejected), best[1] / best[0],
         best[1] / best[0] * tried / (double)(stats.accepted + stats.rejected));
  cst_integrator_free(i);
}

static double field_alone(cst_rhs *f, double *y, double *dy) {
  double best = 1;
  for (int r = 0; r < ROUNDS; r++) {
    double t = 0, began = now();
    for (int k = 0; k < 2000; k++) f->eval(f, &t, y, dy);
    best = fmin(best, (now() - began) / 2000);
  }
  return best;
}

static void overhead(cst_context *ctx, size_t n) {
  static double rate[MOST], y[MOST], dy[MOST];
  cst_part part;
  cst_rhs f = rhs_of(n, &part, rate, linear_eval);
  cst_integrator *i = integrator_for(ctx, n, 0);
  double best = 1e9, alone;
  for (size_t k = 0; k < n; k++) rate[k] = 1 / (1 + (double)k), y[k] = 1;
  alone = field_alone(&f, y, dy);
  for (int r = 0; r < ROUNDS; r++) {
    cst_solve_stats stats = {0};
    for (size_t k = 0; k < n; k++) y[k] = 1;
    double seconds = run(i, &f, y, 50, &stats);
    best = fmin(best, (seconds - (double)stats.evaluations * alone) / (double)(stats.accepted + stats.rejected));
  }
  printf("%4zu numbers: %.0f ns a step beyond the field's calls (%.1f ns each); 80 + 2 n is %zu\n", n, 1e9 * best,
         1e9 * alone, 80 + 2 * n);
  cst_integrator_free(i);
}

int main(void) {
  cst_context *ctx = cst_context_new(NULL);
  if (!ctx || cst_plugin_load(ctx, "rk") != CST_OK) return 1;
  compare_lotka(ctx);
  const size_t sizes[] = {2, 10, 100, 1000};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) overhead(ctx, sizes[k]);
  cst_context_free(ctx);
  return 0;
}
