/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The extrapolation method of Gragg, Bulirsch and Stoer (Hairer, Norsett, Wanner, "Solving Ordinary
 * Differential Equations I", II.9): no coefficients to type in, order 16 with eight rows.
 */
#include <float.h>
#include <math.h>

#include "trajectory.h"

#define ROWS 8
#define MAX_STEPS 100000 /* between two samples */

/* One step of size h by n modified midpoint steps, n even; its error is a series in (h/n)^2. */
static void midpoint(const trajectory_system *s, const wide *p, wide t, wide h, int n,
                     const wide *y, wide *out) {
  wide before[TRAJECTORY_MAX_DIM], now[TRAJECTORY_MAX_DIM], dy[TRAJECTORY_MAX_DIM], step = h / n;
  s->field(p, t, y, dy);
  for (size_t i = 0; i < s->dim; i++) before[i] = y[i], now[i] = y[i] + step * dy[i];
  for (int m = 1; m < n; m++) {
    s->field(p, t + m * step, now, dy);
    for (size_t i = 0; i < s->dim; i++) {
      wide next = before[i] + 2 * step * dy[i];
      before[i] = now[i], now[i] = next;
    }
  }
  s->field(p, t + h, now, dy);
  for (size_t i = 0; i < s->dim; i++) out[i] = (before[i] + now[i] + step * dy[i]) / 2;
}

/* Extrapolates rows n = 2, 4, .., 16 to n = infinity; returns the largest relative difference of
 * the last two columns. */
static wide extrapolate(const trajectory_system *s, const wide *p, wide t, wide h, const wide *y,
                        wide *out) {
  wide table[ROWS][TRAJECTORY_MAX_DIM], error = 0;
  for (int j = 0; j < ROWS; j++) midpoint(s, p, t, h, 2 * (j + 1), y, table[j]);
  for (size_t i = 0; i < s->dim; i++) {
    wide last = 0;
    for (int k = 1; k < ROWS; k++) {
      last = table[ROWS - 1][i];
      for (int j = ROWS - 1; j >= k; j--) {
        wide ratio = (wide)(j + 1) / (wide)(j - k + 1);
        table[j][i] += (table[j][i] - table[j - 1][i]) / (ratio * ratio - 1);
      }
    }
    out[i] = table[ROWS - 1][i];
    wide e = fabsl(out[i] - last) / (1 + fabsl(y[i]));
    if (!(e <= error)) error = e; /* NaN stays */
  }
  return error;
}

cst_status trajectory_advance(const trajectory_system *s, const wide *p, wide *t0, wide t,
                              wide *y) {
  const wide tolerance = fmaxl(1e-17L, 100 * LDBL_EPSILON);
  wide h = t - *t0, smallest = fabsl(h) * 0x1p-40L;
  for (int step = 0; *t0 != t; step++) {
    if (step == MAX_STEPS) return CST_EMAXSTEPS;
    wide out[TRAJECTORY_MAX_DIM];
    bool last = fabsl(t - *t0) <= fabsl(h);
    if (last) h = t - *t0;
    wide error = extrapolate(s, p, *t0, h, y, out);
    if (!(error <= tolerance) && fabsl(h) > smallest) {
      h /= 2;
      continue;
    }
    for (size_t i = 0; i < s->dim; i++)
      if (!isfinite(y[i] = out[i])) return CST_ENONFINITE;
    *t0 = last ? t : *t0 + h;
    if (error <= tolerance / 1e4L) h *= 2;
  }
  return CST_OK;
}
