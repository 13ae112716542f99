/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The floor of the workload `spiral`: a training iteration written by hand for exactly this network.
 *
 *     cc -O3 -march=native -fno-math-errno -ffinite-math-only -fno-signed-zeros -DREAL=float limit.c -o limit -lm
 *     ./limit DIR
 *
 * DIR has what `costate bench spiral --inputs DIR` writes; a JSON array of one row goes to stdout.
 *
 * dy/dt = W2^T tanh(W1^T y^3 + b1) + b2 for 20 rows of 2, by dopri5 with one step size for all rows.
 * Accepted stages keep their activations; the discrete adjoint goes back through dense output and stages.
 * A vec has 8 numbers: the 50 hidden units are 7 vecs, padded by zeros, and a state of 40 is 5 vecs.
 */
#ifdef __FAST_MATH__
#error "tanh_vec() rounds by adding a large number: compile without -ffast-math"
#endif
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef REAL
#define REAL float
#endif

enum {
  LANES = 8, ROWS = 20, STATE = 2 * ROWS, NV = STATE / LANES, HIDDEN = 50, HV = 7,
  OUTPUTS = 10, TRAIN = 60, ROUNDS = 40, MAX_STEPS = 64, STAGES = 7,
};

typedef REAL vec __attribute__((vector_size(LANES * sizeof(REAL))));

#define RTOL ((REAL)1e-7)
#define ATOL ((REAL)1e-9)

/* All zero in its padding, where gradients are zero too. b2 has two numbers, over again in every pair of lanes. */
typedef struct {
  vec w1[2][HV], b1[HV], w2[2][HV], b2;
} net;

enum { NET_VECS = sizeof(net) / sizeof(vec) };

/* One evaluation k = f(y), with what its pullback needs. */
typedef struct {
  vec y[NV], k[NV], a[ROWS][HV];
} stage;

/* An output is y + sum w[i] k[i] of its step; g is the loss's gradient in it. */
typedef struct {
  int step;
  REAL w[STAGES];
  vec g[NV];
} output;

/* Stages 6 n ... 6 n + 6 are those of step n: the last is the first of the next. */
static struct {
  stage stage[6 * MAX_STEPS + 1];
  double h[MAX_STEPS];
  output out[OUTPUTS];
  int steps, evaluations, pullbacks;
} tape;

/* ---- vectors ---------------------------------------------------------------------------------------- */

#define IS_FLOAT (sizeof(REAL) == 4)
typedef __typeof__(__builtin_choose_expr(IS_FLOAT, (int32_t)0, (int64_t)0)) whole; /* as wide as a REAL */
typedef whole ints __attribute__((vector_size(sizeof(vec))));

/* The sums of neighbours: those of a, then those of b. */
static inline vec pairs(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14) +
         __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
}

/* Lane i is the sum of p[i]. */
static inline vec sums(const vec p[LANES]) {
  vec low = pairs(pairs(p[0], p[1]), pairs(p[2], p[3]));
  vec high = pairs(pairs(p[4], p[5]), pairs(p[6], p[7]));
  return pairs(low, high);
}

static inline vec clamp(vec x, REAL bound) {
  for (int i = 0; i < LANES; i++) {
    x[i] = x[i] < bound ? x[i] : bound;
    x[i] = x[i] > -bound ? x[i] : -bound;
  }
  return x;
}

/* (e^2r - 1) / 2 for |r| <= ln 2 / 4: Taylor's series to full precision, two terms at a time. */
static inline vec expm1_half(vec r) {
  static const REAL c[] = { 4096 / 6227020800., 2048 / 479001600., 1024 / 39916800., 512 / 3628800., 256 / 362880.,
    128 / 40320., 64 / 5040., 32 / 720., 16 / 120., 8 / 24., 4 / 6., 2 / 2. };
  int first = IS_FLOAT ? 6 : 0;
  vec square = r * r, p = c[first] * r + c[first + 1];
  for (int i = first + 2; i < 12; i += 2) p = p * square + (c[i] * r + c[i + 1]);
  return r + square * p;
}

/* tanh x = m / (m + 1) with m = (e^2x - 1) / 2 and e^2x = 2^n e^2r. Adding `big` leaves n in the low bits. */
static inline vec tanh_vec(vec x) {
  const REAL big = IS_FLOAT ? 12582912. : 6755399441055744.;
  const int mantissa = IS_FLOAT ? 23 : 52, bias = IS_FLOAT ? 127 : 1023;
  x = clamp(x, 20);
  vec shifted = x * (REAL)2.88539008177792681 + big;       /* 2 / ln 2 */
  vec r = x - (shifted - big) * (REAL)0.346573590279972655; /* ln 2 / 2 */
  vec scale = (vec)(((ints)shifted + bias) << mantissa);
  vec m = scale * expm1_half(r) + (scale * (REAL)0.5 - (REAL)0.5);
  return m / (m + 1);
}

/* ---- the field and its pullback ----------------------------------------------------------------------- */

/* s->k = f(s->y), keeping activations. */
static void field(const net *p, stage *s) {
  vec cube[NV], part[STATE];
  for (int v = 0; v < NV; v++) cube[v] = s->y[v] * s->y[v] * s->y[v];
  const REAL *u = (const REAL *)cube;
  for (int b = 0; b < ROWS; b++) {
    vec k0 = { 0 }, k1 = { 0 };
    for (int h = 0; h < HV; h++) {
      vec a = s->a[b][h] = tanh_vec(p->b1[h] + u[2 * b] * p->w1[0][h] + u[2 * b + 1] * p->w1[1][h]);
      k0 += a * p->w2[0][h];
      k1 += a * p->w2[1][h];
    }
    part[2 * b] = k0;
    part[2 * b + 1] = k1;
  }
  for (int v = 0; v < NV; v++) s->k[v] = sums(part + LANES * v) + p->b2;
  tape.evaluations++;
}

/* Hidden units of block h: their parameters' gradient += ..., part += the cotangent of y^3. */
static inline void pull_block(const net *p, const stage *s, int h, const REAL *u, const REAL *g, net *grad, vec *part) {
  vec w10 = p->w1[0][h], w11 = p->w1[1][h], w20 = p->w2[0][h], w21 = p->w2[1][h];
  vec d10 = { 0 }, d11 = { 0 }, db = { 0 }, d20 = { 0 }, d21 = { 0 };
  for (int b = 0; b < ROWS; b++) {
    REAL g0 = g[2 * b], g1 = g[2 * b + 1];
    vec a = s->a[b][h], z = (w20 * g0 + w21 * g1) * (1 - a * a);
    d20 += a * g0;
    d21 += a * g1;
    d10 += z * u[2 * b];
    d11 += z * u[2 * b + 1];
    db += z;
    part[2 * b] += w10 * z;
    part[2 * b + 1] += w11 * z;
  }
  grad->w1[0][h] += d10;
  grad->w1[1][h] += d11;
  grad->b1[h] += db;
  grad->w2[0][h] += d20;
  grad->w2[1][h] += d21;
}

/* y_bar = k_bar^T df/dy at the stage, and the parameters' gradient += k_bar^T df/dparameters. */
static void pullback(const net *p, const stage *s, const vec *k_bar, net *grad, vec *y_bar) {
  vec cube[NV], part[STATE] = { 0 };
  for (int v = 0; v < NV; v++) {
    cube[v] = s->y[v] * s->y[v] * s->y[v];
    grad->b2 += k_bar[v];
  }
  for (int h = 0; h < HV; h++) pull_block(p, s, h, (const REAL *)cube, (const REAL *)k_bar, grad, part);
  for (int v = 0; v < NV; v++) y_bar[v] = 3 * s->y[v] * s->y[v] * sums(part + LANES * v);
  tape.pullbacks++;
}

/* ---- dopri5 -------------------------------------------------------------------------------------------- */

/* Row i: what stage i + 1 takes of the stages before it. The last row is the solution as well. */
static const double A[6][6] = {
  { 1 / 5. },
  { 3 / 40., 9 / 40. },
  { 44 / 45., -56 / 15., 32 / 9. },
  { 19372 / 6561., -25360 / 2187., 64448 / 6561., -212 / 729. },
  { 9017 / 3168., -355 / 33., 46732 / 5247., 49 / 176., -5103 / 18656. },
  { 35 / 384., 0, 500 / 1113., 125 / 192., -2187 / 6784., 11 / 84. },
};
static const double E[STAGES] = { 71 / 57600., 0, -71 / 16695., 71 / 1920., -17253 / 339200., 22 / 525., -1 / 40. };
static const double D[STAGES] = { -12715105075. / 11282082432, 0, 87487479700. / 32700410799,
  -10690763975. / 1880347072, 701980252875. / 199316789632, -1453857185. / 822651844, 69997945. / 29380423 };

/* Root mean square of x / (atol + rtol max(|a|, |b|)). */
static REAL norm(const vec *x, const vec *a, const vec *b) {
  vec square[LANES] = { 0 };
  for (int v = 0; v < NV; v++) {
    vec scale;
    for (int i = 0; i < LANES; i++) {
      REAL m = fabs(a[v][i]), n = fabs(b[v][i]);
      scale[i] = m > n ? m : n;
    }
    vec q = x[v] / (ATOL + RTOL * scale);
    square[0] += q * q;
  }
  return sqrt(sums(square)[0] / STATE);
}

/* Hairer's first step: s[0] is evaluated, s[1] is used as scratch. */
static double first_step(const net *p, stage *s) {
  vec curve[NV];
  double d0 = norm(s->y, s->y, s->y), d1 = norm(s->k, s->y, s->y);
  double h0 = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1;
  for (int v = 0; v < NV; v++) s[1].y[v] = s->y[v] + (REAL)h0 * s->k[v];
  field(p, s + 1);
  for (int v = 0; v < NV; v++) curve[v] = s[1].k[v] - s->k[v];
  double d2 = norm(curve, s->y, s->y) / h0, most = fmax(d1, d2);
  double h1 = most <= 1e-15 ? fmax(1e-6, 1e-3 * h0) : pow(0.01 / most, 1 / 5.);
  return fmin(100 * h0, h1);
}

/* Stages s[1] ... s[6] from s[0]; the error's norm. */
static REAL attempt(const net *p, stage *s, double h) {
  vec error[NV];
  for (int i = 0; i < 6; i++) {
    for (int v = 0; v < NV; v++) {
      vec sum = (REAL)(h * A[i][0]) * s[0].k[v];
      for (int j = 1; j <= i; j++) sum += (REAL)(h * A[i][j]) * s[j].k[v];
      s[i + 1].y[v] = s->y[v] + sum;
    }
    field(p, s + i + 1);
  }
  for (int v = 0; v < NV; v++) {
    error[v] = (vec){ 0 };
    for (int j = 0; j < STAGES; j++) error[v] += (REAL)(h * E[j]) * s[j].k[v];
  }
  return norm(error, s[0].y, s[6].y);
}

/* The output at fraction x of a step: weights of the stages, then loss and its gradient. Returns the
 * output's absolute error. */
static double emit(output *o, const stage *s, double h, double x, const REAL *target) {
  for (int j = 0; j < STAGES; j++) {
    double b = j < 6 ? A[5][j] : 0, start = (j == 0) - b, end = b - (j == 6) - start;
    o->w[j] = h * x * (b + (1 - x) * (start + x * (end + (1 - x) * D[j])));
  }
  vec error[LANES] = { 0 };
  for (int v = 0; v < NV; v++) {
    vec y = s->y[v], t;
    for (int j = 0; j < STAGES; j++) y += o->w[j] * s[j].k[v];
    memcpy(&t, target + LANES * v, sizeof t);
    vec sign = __builtin_convertvector((y < t) - (y > t), vec);
    error[0] += (y - t) * sign;
    o->g[v] = sign / (STATE * OUTPUTS);
  }
  return sums(error)[0];
}

/* Solves from y0 over the times and returns the loss against targets [10][40]; leaves the tape. */
static double solve(const net *p, const REAL *y0, const double *times, const REAL *target) {
  stage *s = tape.stage;
  memcpy(s->y, y0, sizeof s->y);
  field(p, s);
  double t = 0, h = first_step(p, s), end = times[OUTPUTS - 1], error = 0;
  for (int next = 1, n = tape.steps = 0, rejected = 0; next < OUTPUTS;) {
    int last = t + h >= end;
    if (last) h = end - t;
    REAL e = attempt(p, s, h);
    double factor = fmin(rejected ? 1 : 10, fmax(0.2, 0.9 * pow(e, -1 / 5.)));
    rejected = !(e <= 1);
    if (!rejected) {
      if (++tape.steps == MAX_STEPS) abort();
      tape.h[n] = h;
      for (; next < OUTPUTS && (last || times[next] <= t + h); next++) {
        tape.out[next].step = n;
        error += emit(&tape.out[next], s, h, (times[next] - t) / h, target + STATE * next);
      }
      t += h, n++, s += 6;
    }
    h *= factor;
  }
  return error / (STATE * OUTPUTS);
}

/* ---- the adjoint ----------------------------------------------------------------------------------------- */

/* Adds to k_bar and y_bar what the outputs within step n ask; *last runs downwards. */
static void pull_outputs(int n, int *last, vec k_bar[STAGES][NV], vec *y_bar) {
  for (; *last > 0 && tape.out[*last].step == n; --*last) {
    const output *o = &tape.out[*last];
    for (int v = 0; v < NV; v++) {
      y_bar[v] += o->g[v];
      for (int j = 0; j < STAGES; j++) k_bar[j][v] += o->w[j] * o->g[v];
    }
  }
}

/* Through one step: y_bar from that of its end to that of its start, and the stages' k_bar. */
static void pull_step(const net *p, const stage *s, double h, vec k_bar[STAGES][NV], const vec *end_bar, vec *y_bar,
                      net *grad) {
  for (int i = 6; i > 0; i--) {
    vec bar[NV];
    pullback(p, s + i, k_bar[i], grad, bar);
    for (int v = 0; v < NV; v++) {
      if (i == 6) bar[v] += end_bar[v];
      y_bar[v] += bar[v];
      for (int j = 0; j < i; j++) k_bar[j][v] += (REAL)(h * A[i - 1][j]) * bar[v];
    }
  }
}

/* grad = the gradient of the loss of the solve on the tape. */
static void adjoint(const net *p, net *grad) {
  vec end_bar[NV] = { 0 }, carry[NV] = { 0 };
  int last = OUTPUTS - 1;
  memset(grad, 0, sizeof *grad);
  for (int n = tape.steps - 1; n >= 0; n--) {
    vec k_bar[STAGES][NV] = { 0 }, y_bar[NV] = { 0 };
    memcpy(k_bar[6], carry, sizeof carry);
    pull_outputs(n, &last, k_bar, y_bar);
    pull_step(p, tape.stage + 6 * n, tape.h[n], k_bar, end_bar, y_bar, grad);
    memcpy(end_bar, y_bar, sizeof y_bar);
    memcpy(carry, k_bar[0], sizeof carry);
  }
  pullback(p, tape.stage, carry, grad, end_bar);
  grad->b2 += __builtin_shufflevector(grad->b2, grad->b2, 2, 3, 4, 5, 6, 7, 0, 1);
  grad->b2 += __builtin_shufflevector(grad->b2, grad->b2, 4, 5, 6, 7, 0, 1, 2, 3);
}

/* ---- training ---------------------------------------------------------------------------------------------- */

static void rmsprop(net *p, net *mean, const net *grad) {
  REAL *x = (REAL *)p, *m = (REAL *)mean;
  const REAL *g = (const REAL *)grad;
  for (int i = 0; i < NET_VECS * LANES; i++) {
    m[i] = (REAL)0.99 * m[i] + (REAL)0.01 * g[i] * g[i];
    x[i] -= (REAL)1e-3 * g[i] / ((IS_FLOAT ? sqrtf(m[i]) : (REAL)sqrt(m[i])) + (REAL)1e-8);
  }
}

typedef struct {
  REAL y0[STATE], y[OUTPUTS * STATE]; /* y is [time][row][2] */
} batch;

static double iterate(net *p, net *mean, const batch *b, const double *times) {
  static net grad;
  double loss = solve(p, b->y0, times, b->y);
  adjoint(p, &grad);
  rmsprop(p, mean, &grad);
  return loss;
}

static void read_numbers(const char *directory, const char *what, double *x, size_t n) {
  char path[4096];
  snprintf(path, sizeof path, "%s/spiral.%s.txt", directory, what);
  FILE *f = fopen(path, "r");
  for (size_t i = 0; i < n; i++) {
    if (f && fscanf(f, "%lf", &x[i]) == 1) continue;
    fprintf(stderr, "limit: %s: %zu numbers wanted\n", path, n);
    exit(1);
  }
  fclose(f);
}

static void read_net(const char *directory, net *p) {
  double x[5 * HIDDEN + 2];
  read_numbers(directory, "weights", x, 5 * HIDDEN + 2);
  memset(p, 0, sizeof *p);
  for (int h = 0; h < HIDDEN; h++) {
    int v = h / LANES, lane = h % LANES;
    for (int i = 0; i < 2; i++) p->w1[i][v][lane] = x[HIDDEN * i + h];
    p->b1[v][lane] = x[2 * HIDDEN + h];
    for (int i = 0; i < 2; i++) p->w2[i][v][lane] = x[3 * HIDDEN + 2 * h + i];
  }
  for (int i = 0; i < LANES; i++) p->b2[i] = x[5 * HIDDEN + i % 2];
}

static void read_batches(const char *directory, batch *to) {
  enum { LINE = STATE + OUTPUTS * STATE };
  static double x[TRAIN][LINE];
  read_numbers(directory, "batches", x[0], TRAIN * LINE);
  for (int i = 0; i < TRAIN; i++) {
    for (int k = 0; k < STATE; k++) to[i].y0[k] = x[i][k];
    for (int k = 0; k < OUTPUTS * STATE; k++) {
      int row = k / (2 * OUTPUTS), time = k / 2 % OUTPUTS;
      to[i].y[STATE * time + 2 * row + k % 2] = x[i][STATE + k];
    }
  }
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e3 * t.tv_sec + 1e-6 * t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *x, int n) {
  qsort(x, n, sizeof *x, ascending);
  return (x[(n - 1) / 2] + x[n / 2]) / 2;
}

int main(int argc, char **argv) {
  enum { TIMED = TRAIN * ROUNDS };
  static net start, p, mean;
  static batch batches[TRAIN];
  static double times[OUTPUTS], ms[TIMED], forward[TIMED], backward[TIMED];
  if (argc != 2) return fputs("usage: limit DIR\n", stderr), 2;
  read_net(argv[1], &start);
  read_numbers(argv[1], "times", times, OUTPUTS);
  read_batches(argv[1], batches);
  double loss = 0;
  for (int i = -TRAIN; i < TIMED; i++) { /* the first round warms up */
    int k = (i + TRAIN) % TRAIN, at = i < 0 ? 0 : i;
    if (k == 0) p = start, memset(&mean, 0, sizeof mean);
    tape.evaluations = tape.pullbacks = 0;
    double began = now();
    loss = iterate(&p, &mean, &batches[k], times);
    ms[at] = now() - began;
    forward[at] = tape.evaluations, backward[at] = tape.pullbacks;
  }
  double middle = median(ms, TIMED);
  printf("[{\"name\": \"spiral\", \"variant\": \"\", \"gradient\": \"discrete\", \"dtype\": \"f%zu\", \"threads\": 1,\n"
         "  \"median_ms\": %.6g, \"min_ms\": %.6g, \"nfe_forward\": %g, \"nfe_backward\": %g, \"loss\": %.9g,\n"
         "  \"peer\": \"limit.c\", \"versions\": \"cc %s\", \"compile_s\": null}]\n",
         8 * sizeof(REAL), middle, ms[0], median(forward, TIMED), median(backward, TIMED), loss, __VERSION__);
}
