/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Stiff problems: Robertson's reaction, Van der Pol's oscillator, the high irradiance response of a
 * plant (HIRES), the Oregonator (Mazzia & Magherini, Test Set for Initial Value Problem Solvers,
 * 2008), and the Brusselator with diffusion (Hairer & Wanner, Solving Ordinary Differential
 * Equations II, IV.10) on 20 points.
 */
#include <math.h>

#include "detest.h"

static void robertson(size_t n, number t, const number *y, number *dy) {
  number slow = 0.04 * y[0], fast = 3e7 * y[1] * y[1], back = 1e4 * y[1] * y[2];
  (void)n, (void)t;
  dy[0] = back - slow;
  dy[1] = slow - back - fast;
  dy[2] = fast;
}

static void van_der_pol(size_t n, number t, const number *y, number *dy) {
  (void)n, (void)t;
  dy[0] = y[1];
  dy[1] = 1000 * (1 - y[0] * y[0]) * y[1] - y[0];
}

static void hires(size_t n, number t, const number *y, number *dy) {
  number split = 280 * y[5] * y[7];
  (void)n, (void)t;
  dy[0] = -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007;
  dy[1] = 1.71 * y[0] - 8.75 * y[1];
  dy[2] = -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4];
  dy[3] = 8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3];
  dy[4] = -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6];
  dy[5] = 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6] - split;
  dy[6] = split - 1.81 * y[6];
  dy[7] = -dy[6];
}

static void oregonator(size_t n, number t, const number *y, number *dy) {
  (void)n, (void)t;
  dy[0] = 77.27 * (y[1] + y[0] * (1 - 8.375e-6 * y[0] - y[1]));
  dy[1] = (y[2] - (1 + y[0]) * y[1]) / 77.27;
  dy[2] = 0.161 * (y[0] - y[2]);
}

enum { POINTS = 20 };

/* y = u_1, v_1, u_2, v_2, ...; u = 1 and v = 3 at both ends. */
static void brusselator(size_t n, number t, const number *y, number *dy) {
  const double c = (POINTS + 1) * (POINTS + 1) / 50.0;
  (void)t;
  for (size_t i = 0; i < n; i += 2) {
    number u = y[i], v = y[i + 1], uuv = u * u * v;
    number left[2] = {i ? y[i - 2] : 1, i ? y[i - 1] : 3};
    number right[2] = {i + 2 < n ? y[i + 2] : 1, i + 2 < n ? y[i + 3] : 3};
    dy[i] = 1 + uuv - 4 * u + c * (left[0] - 2 * u + right[0]);
    dy[i + 1] = 3 * u - uuv + c * (left[1] - 2 * v + right[1]);
  }
}
static void brusselator_start(double *y) {
  for (size_t i = 0; i < POINTS; i++) {
    y[2 * i] = 1 + sin(2 * acos(-1) * (double)(i + 1) / (POINTS + 1));
    y[2 * i + 1] = 3;
  }
}

#define ROW(id, size, end, f, count, ...)                              \
  {.name = id, .n = size, .t1 = end, .field = f, .given = count,       \
   .y0 = (const double[count]){__VA_ARGS__}}

const ivp ivp_stiff[] = {
  ROW("robertson40", 3, 40, robertson, 1, 1),
  ROW("robertson4e5", 3, 4e5, robertson, 1, 1),
  ROW("robertson1e11", 3, 1e11, robertson, 1, 1),
  ROW("vanderpol", 2, 2000, van_der_pol, 1, 2),
  ROW("oregonator", 3, 360, oregonator, 3, 1, 2, 3),
  ROW("hires", 8, 321.8122, hires, 8, 1, 0, 0, 0, 0, 0, 0, 0.0057),
  {.name = "brusselator", .n = 2 * POINTS, .t1 = 10, .field = brusselator,
   .start = brusselator_start, .band = 2},
  {.name = NULL}};
