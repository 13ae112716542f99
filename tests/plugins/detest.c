/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The 25 problems of DETEST: Hull, Enright, Fellen, Sedgwick, Comparing numerical methods for
 * ordinary differential equations, SIAM J. Numer. Anal. 9 (1972). Classes: A single equations, B
 * small systems, C moderate systems, D orbits, E equations of higher order.
 */
#include "detest.h"

/* ---- A ---- */

static void a1(size_t n, number t, const number *y, number *dy) {
  (void)n, (void)t;
  dy[0] = -y[0];
}
static void a2(size_t n, number t, const number *y, number *dy) {
  (void)n, (void)t;
  dy[0] = -y[0] * y[0] * y[0] / 2;
}
static void a3(size_t n, number t, const number *y, number *dy) {
  (void)n;
  dy[0] = y[0] * ccos(t);
}
static void a4(size_t n, number t, const number *y, number *dy) {
  (void)n, (void)t;
  dy[0] = y[0] / 4 * (1 - y[0] / 20);
}
static void a5(size_t n, number t, const number *y, number *dy) {
  (void)n;
  dy[0] = (y[0] - t) / (y[0] + t);
}

/* ---- B ---- */

static void conflict(size_t n, number t, const number *y, number *dy) {
  (void)n, (void)t;
  dy[0] = 2 * (y[0] - y[0] * y[1]);
  dy[1] = -(y[1] - y[0] * y[1]);
}
static void linear_reaction(size_t n, number t, const number *y, number *dy) {
  (void)n, (void)t;
  dy[0] = -y[0] + y[1];
  dy[1] = y[0] - 2 * y[1] + y[2];
  dy[2] = y[1] - y[2];
}
static void reaction(size_t n, number t, const number *y, number *dy) {
  (void)n, (void)t;
  dy[0] = -y[0];
  dy[1] = y[0] - y[1] * y[1];
  dy[2] = y[1] * y[1];
}
static void torus(size_t n, number t, const number *y, number *dy) {
  number r = csqrt(y[0] * y[0] + y[1] * y[1]);
  (void)n, (void)t;
  dy[0] = -y[1] - y[0] * y[2] / r;
  dy[1] = y[0] - y[1] * y[2] / r;
  dy[2] = y[0] / r;
}
static void rigid_body(size_t n, number t, const number *y, number *dy) {
  (void)n, (void)t;
  dy[0] = y[1] * y[2];
  dy[1] = -y[0] * y[2];
  dy[2] = -0.51 * y[0] * y[1];
}

/* ---- C ---- */

static void decay(size_t n, number t, const number *y, number *dy) {
  (void)t;
  dy[0] = -y[0];
  for (size_t i = 1; i < n - 1; i++) dy[i] = y[i - 1] - y[i];
  dy[n - 1] = y[n - 2];
}
static void faster_decay(size_t n, number t, const number *y, number *dy) {
  (void)t;
  dy[0] = -y[0];
  for (size_t i = 1; i < n - 1; i++) dy[i] = (double)i * y[i - 1] - (double)(i + 1) * y[i];
  dy[n - 1] = (double)(n - 1) * y[n - 2];
}
static void diffusion(size_t n, number t, const number *y, number *dy) {
  (void)t;
  for (size_t i = 0; i < n; i++)
    dy[i] = (i ? y[i - 1] : 0) - 2 * y[i] + (i + 1 < n ? y[i + 1] : 0);
}

/* Jupiter, Saturn, Uranus, Neptune, Pluto about the Sun: positions, then velocities. */
static const double mass[5] = {0.000954786104043, 0.000285583733151, 0.0000437273164546,
                               0.0000517759138449, 0.00000277777777778};

static number inverse_cube(const number *x) {
  number s = x[0] * x[0] + x[1] * x[1] + x[2] * x[2];
  return 1 / (s * csqrt(s));
}
static void attract(const number *x, size_t j, size_t k, number *force) {
  number d[3];
  for (size_t i = 0; i < 3; i++) d[i] = x[3 * k + i] - x[3 * j + i];
  number w = inverse_cube(d), sun = inverse_cube(x + 3 * k);
  for (size_t i = 0; i < 3; i++) force[i] += mass[k] * (d[i] * w - x[3 * k + i] * sun);
}
static void planets(size_t n, number t, const number *y, number *dy) {
  const double k2 = 2.95912208286, sun = 1.00000597682;
  (void)n, (void)t;
  for (size_t j = 0; j < 5; j++) {
    number w = inverse_cube(y + 3 * j), force[3] = {0};
    for (size_t k = 0; k < 5; k++)
      if (k != j) attract(y, j, k, force);
    for (size_t i = 0; i < 3; i++) {
      dy[3 * j + i] = y[15 + 3 * j + i];
      dy[15 + 3 * j + i] = k2 * (force[i] - (sun + mass[j]) * y[3 * j + i] * w);
    }
  }
}
static const double sky[30] = {
  3.42947415189, 3.35386959711, 1.35494901715, 6.64145542550, 5.97156957878, 2.18231499728,
  11.2630437207, 14.6952576794, 6.27960525067, -30.1552268759, 1.65699966404, 1.43785752721,
  -21.1238353380, 28.4465098142, 15.3882659679, -.557160570446, .505696783289, .230578543901,
  -.415570776342, .365682722812, .169143213293, -.325325669158, .189706021964, .0877265322780,
  -.0240476254170, -.287659532608, -.117219543175, -.176860753121, -.216393453025, -.0148647893090};

/* ---- D and E ---- */

static void orbit(size_t n, number t, const number *y, number *dy) {
  number s = y[0] * y[0] + y[1] * y[1], w = 1 / (s * csqrt(s));
  (void)n, (void)t;
  dy[0] = y[2], dy[1] = y[3];
  dy[2] = -y[0] * w, dy[3] = -y[1] * w;
}
static void bessel(size_t n, number t, const number *y, number *dy) {
  number x = t + 1;
  (void)n;
  dy[0] = y[1];
  dy[1] = -(y[1] / x + (1 - 0.25 / (x * x)) * y[0]);
}
static void van_der_pol(size_t n, number t, const number *y, number *dy) {
  (void)n, (void)t;
  dy[0] = y[1];
  dy[1] = (1 - y[0] * y[0]) * y[1] - y[0];
}
static void duffing(size_t n, number t, const number *y, number *dy) {
  (void)n;
  dy[0] = y[1];
  dy[1] = y[0] * y[0] * y[0] / 6 - y[0] + 2 * csin(2.78535 * t);
}
static void falling_body(size_t n, number t, const number *y, number *dy) {
  (void)n, (void)t;
  dy[0] = y[1];
  dy[1] = 0.032 - 0.4 * y[1] * y[1];
}
static void pursuit(size_t n, number t, const number *y, number *dy) {
  (void)n;
  dy[0] = y[1];
  dy[1] = csqrt(1 + y[1] * y[1]) / (25 - t);
}

#define ROW(id, size, f, count, ...)                                                \
  {.name = id, .n = size, .t1 = 20, .field = f, .given = count, .y0 = (const double[count]){__VA_ARGS__}}

const ivp ivp_detest[] = {
  ROW("A1", 1, a1, 1, 1), ROW("A2", 1, a2, 1, 1), ROW("A3", 1, a3, 1, 1), ROW("A4", 1, a4, 1, 1),
  ROW("A5", 1, a5, 1, 4),
  ROW("B1", 2, conflict, 2, 1, 3), ROW("B2", 3, linear_reaction, 3, 2, 0, 1),
  ROW("B3", 3, reaction, 1, 1), ROW("B4", 3, torus, 1, 3), ROW("B5", 3, rigid_body, 3, 0, 1, 1),
  ROW("C1", 10, decay, 1, 1), ROW("C2", 10, faster_decay, 1, 1), ROW("C3", 10, diffusion, 1, 1),
  ROW("C4", 51, diffusion, 1, 1),
  {.name = "C5", .n = 30, .t1 = 20, .field = planets, .given = 30, .y0 = sky},
  /* Eccentricity e: (1 - e, 0, 0, sqrt((1 + e)/(1 - e))). */
  ROW("D1", 4, orbit, 4, 0.9, 0, 0, 1.10554159678513328),
  ROW("D2", 4, orbit, 4, 0.7, 0, 0, 1.36277028773849378),
  ROW("D3", 4, orbit, 4, 0.5, 0, 0, 1.73205080756887729),
  ROW("D4", 4, orbit, 4, 0.3, 0, 0, 2.38047614284761667),
  ROW("D5", 4, orbit, 4, 0.1, 0, 0, 4.35889894354067355),
  ROW("E1", 2, bessel, 2, 0.6713967071418030, 0.09540051444747446),
  ROW("E2", 2, van_der_pol, 1, 2), ROW("E3", 2, duffing, 1, 0), ROW("E4", 2, falling_body, 1, 30),
  ROW("E5", 2, pursuit, 1, 0),
  {.name = NULL}};
