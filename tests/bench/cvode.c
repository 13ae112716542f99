/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The initial value problems of lua/costate/bench/ivp.lua by bare CVODE: fields in C, its own loop, dense
 * Jacobians by its differences. What `costate bench` takes beside it is Costate.
 *
 *     cc -O3 -march=native cvode.c -o cvode -lsundials_cvode -lsundials_nvecserial -lsundials_sunmatrixdense
 *        -lsundials_sunlinsoldense -lsundials_generic -lm
 *     ./cvode ivp_stiff DIR
 *
 * DIR has the end values that `costate bench NAME --inputs DIR` writes; a JSON array goes to stdout.
 */
#include <cvode/cvode.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sundials/sundials_config.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <time.h>

enum { MOST = 40, ROUNDS = 400 };
static const double PI = 3.14159265358979323846;

typedef struct problem {
  const char *name;
  int n;
  double t1, scale; /* of atol */
  void (*field)(const double *y, double *dy);
  double y0[MOST];
} problem;

static void a4(const double *y, double *d) { d[0] = y[0] / 4 * (1 - y[0] / 20); }
static void b1(const double *y, double *d) { d[0] = 2 * (y[0] - y[0] * y[1]), d[1] = y[0] * y[1] - y[1]; }
static void b5(const double *y, double *d) { d[0] = y[1] * y[2], d[1] = -y[0] * y[2], d[2] = -0.51 * y[0] * y[1]; }
static void kepler(const double *y, double *d) {
  double r3 = pow(y[0] * y[0] + y[1] * y[1], 1.5);
  d[0] = y[2], d[1] = y[3], d[2] = -y[0] / r3, d[3] = -y[1] / r3;
}
static void e2(const double *y, double *d) { d[0] = y[1], d[1] = (1 - y[0] * y[0]) * y[1] - y[0]; }
static void lorenz(const double *y, double *d) {
  d[0] = 10 * (y[1] - y[0]), d[1] = y[0] * (28 - y[2]) - y[1], d[2] = y[0] * y[1] - 8 / 3. * y[2];
}
static void pleiades(const double *y, double *d) {
  for (int i = 0; i < 7; i++) {
    d[i] = y[14 + i], d[7 + i] = y[21 + i], d[14 + i] = d[21 + i] = 0;
    for (int j = 0; j < 7; j++) {
      double dx = y[j] - y[i], dy = y[7 + j] - y[7 + i], r2 = dx * dx + dy * dy;
      if (i == j) continue;
      double w = (j + 1) / (r2 * sqrt(r2));
      d[14 + i] += w * dx, d[21 + i] += w * dy;
    }
  }
}
static void arenstorf(const double *s, double *d) {
  const double mu = 0.012277471, x = s[0], y = s[1], u = s[2], v = s[3];
  double d1 = pow((x + mu) * (x + mu) + y * y, 1.5), d2 = pow((x - (1 - mu)) * (x - (1 - mu)) + y * y, 1.5);
  d[0] = u, d[1] = v;
  d[2] = x + 2 * v - (1 - mu) * (x + mu) / d1 - mu * (x - (1 - mu)) / d2;
  d[3] = y - 2 * u - (1 - mu) * y / d1 - mu * y / d2;
}
static void robertson(const double *y, double *d) {
  double slow = 0.04 * y[0], fast = 3e7 * y[1] * y[1], turn = 1e4 * y[1] * y[2];
  d[0] = turn - slow, d[1] = slow - turn - fast, d[2] = fast;
}
static void van_der_pol(const double *y, double *d) { d[0] = y[1], d[1] = 1000 * (1 - y[0] * y[0]) * y[1] - y[0]; }
static void hires(const double *y, double *d) {
  double bound = 280 * y[5] * y[7];
  d[0] = -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007, d[1] = 1.71 * y[0] - 8.75 * y[1];
  d[2] = -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4], d[3] = 8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3];
  d[4] = -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6];
  d[5] = -bound + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6];
  d[6] = bound - 1.81 * y[6], d[7] = -bound + 1.81 * y[6];
}
static void orego(const double *y, double *d) {
  d[0] = 77.27 * (y[1] + y[0] * (1 - 8.375e-6 * y[0] - y[1])), d[1] = (y[2] - (1 + y[0]) * y[1]) / 77.27;
  d[2] = 0.161 * (y[0] - y[2]);
}
static void brusselator(const double *y, double *d) {
  for (int i = 0; i < 20; i++) {
    double u = y[i], v = y[20 + i], r = u * u * v, c = 21 * 21 / 50.;
    double ul = i ? y[i - 1] : 1, ur = i < 19 ? y[i + 1] : 1, vl = i ? y[19 + i] : 3, vr = i < 19 ? y[21 + i] : 3;
    d[i] = 1 + r - 4 * u + c * (ul - 2 * u + ur), d[20 + i] = 3 * u - r + c * (vl - 2 * v + vr);
  }
}

static problem nonstiff[] = {
    {"A4", 1, 20, 1, a4, {1}}, {"B1", 2, 20, 1, b1, {1, 3}}, {"B5", 3, 20, 1, b5, {0, 1, 1}},
    {"D1", 4, 20, 1, kepler, {0.9, 0, 0, 1.1055415967851332831}}, {"D5", 4, 20, 1, kepler, {0.1, 0, 0, 4.3588989435406735523}},
    {"E2", 2, 20, 1, e2, {2, 0}}, {"lorenz", 3, 10, 1, lorenz, {1, 1, 1}},
    {"pleiades", 28, 3, 1, pleiades,
     {3, 3, -1, -3, 2, -2, 2, 3, -3, 2, 0, 0, -4, 4, 0, 0, 0, 0, 0, 1.75, -1.5, 0, 0, 0, -1.25, 1, 0, 0}},
    {"arenstorf", 4, 17.0652165601579625588917206249, 1, arenstorf, {0.994, 0, 0, -2.00158510637908252240537862224}},
    {0}};
static problem stiff[] = {
    {"robertson", 3, 1e11, 1e-6, robertson, {1}}, {"van_der_pol", 2, 2000, 1, van_der_pol, {2, 0}},
    {"hires", 8, 321.8122, 1, hires, {1, 0, 0, 0, 0, 0, 0, 0.0057}}, {"orego", 3, 360, 1, orego, {1, 2, 3}},
    {"brusselator", 40, 10, 1, brusselator, {0}}, {0}};

static long evaluations;

static int field(sunrealtype t, N_Vector y, N_Vector dy, void *arg) {
  (void)t;
  evaluations++;
  ((const problem *)arg)->field(N_VGetArrayPointer(y), N_VGetArrayPointer(dy));
  return 0;
}

/* A row that fails is left out; `solve` tells it by its value. */
static void quiet(int code, const char *module, const char *function, char *message, void *arg) {
  (void)code, (void)module, (void)function, (void)message, (void)arg;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of one solve to t1, into y; negative: it failed. */
static double solve(const problem *p, bool bdf, double tolerance, double *y) {
  SUNContext ctx;
  SUNContext_Create(NULL, &ctx);
  N_Vector v = N_VNew_Serial(p->n, ctx);
  memcpy(N_VGetArrayPointer(v), p->y0, (size_t)p->n * sizeof *y);
  evaluations = 0;
  double began = now();
  void *cv = CVodeCreate(bdf ? CV_BDF : CV_ADAMS, ctx);
  CVodeSetErrHandlerFn(cv, quiet, NULL);
  CVodeInit(cv, field, 0, v);
  CVodeSStolerances(cv, tolerance, tolerance * p->scale);
  CVodeSetUserData(cv, (void *)p);
  CVodeSetMaxNumSteps(cv, 2000000);
  SUNMatrix m = SUNDenseMatrix(p->n, p->n, ctx);
  SUNLinearSolver ls = SUNLinSol_Dense(v, m, ctx);
  CVodeSetLinearSolver(cv, ls, m);
  CVodeSetStopTime(cv, p->t1);
  sunrealtype t;
  int code = CVode(cv, p->t1, v, &t, CV_NORMAL);
  double seconds = now() - began;
  memcpy(y, N_VGetArrayPointer(v), (size_t)p->n * sizeof *y);
  CVodeFree(&cv), SUNLinSolFree(ls), SUNMatDestroy(m), N_VDestroy(v), SUNContext_Free(&ctx);
  return code >= 0 ? seconds : -1;
}

static bool read_end(const char *workload, const char *dir, const problem *p, double *end) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s.%s.txt", dir, workload, p->name);
  FILE *f = fopen(path, "r");
  int k = 0;
  while (f && k < p->n && fscanf(f, "%lf", &end[k]) == 1) k++;
  if (f) fclose(f);
  return k == p->n;
}

static int by_size(const void *a, const void *b) {
  const double *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

static bool row(const char *workload, const problem *p, bool bdf, double tolerance, const double *end, bool first) {
  double y[MOST], times[ROUNDS], began = now(), error = 0;
  int n = 0;
  for (; n < ROUNDS && (n < 5 || now() - began < 0.3); n++)
    if ((times[n] = solve(p, bdf, tolerance, y)) < 0) return false;
  qsort(times, (size_t)n, sizeof *times, by_size);
  for (int k = 0; k < p->n; k++) error = fmax(error, fabs(y[k] - end[k]) / (1 + fabs(end[k])));
  char t[16];
  snprintf(t, sizeof t, "%.0e", tolerance);
  if (t[3] == '0') memmove(t + 3, t + 4, strlen(t + 4) + 1);
  printf("%s{\"name\": \"%s\", \"variant\": \"%s %s sundials.cvode_%s\", \"gradient\": \"none\", \"dtype\": \"f64\","
         " \"threads\": 1, \"peer\": \"cvode\", \"versions\": \"CVODE %s\", \"median_ms\": %.6g, \"min_ms\": %.6g,"
         " \"nfe_forward\": %ld, \"nfe_backward\": 0, \"loss\": %.6g}\n",
         first ? "" : ",", workload, p->name, t, bdf ? "bdf" : "adams", SUNDIALS_VERSION, 1e3 * times[n / 2], 1e3 * times[0],
         evaluations, error);
  return true;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  bool bdf = strcmp(argv[1], "ivp_stiff") == 0, first = true;
  for (int i = 0; i < 20; i++) stiff[4].y0[i] = 1 + sin(2 * PI * (i + 1) / 21.), stiff[4].y0[20 + i] = 3;
  printf("[");
  for (const problem *p = bdf ? stiff : nonstiff; p->name; p++) {
    double end[MOST];
    if (!read_end(argv[1], argv[2], p, end)) continue;
    for (double tolerance = bdf ? 1e-4 : 1e-3; tolerance > (bdf ? 5e-9 : 5e-10); tolerance /= bdf ? 100 : 1000)
      if (row(argv[1], p, bdf, tolerance, end, first)) first = false;
  }
  printf("]\n");
  return 0;
}
