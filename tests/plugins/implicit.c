/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Every stage is solved by Newton's method with the Jacobian of the real parts, all rows in one dense
 * matrix: real parts converge quadratically, and with them the imaginary ones, whose equation is
 * linear. Nothing of the solver is in it but the tableau.
 */
#include "implicit.h"

#include <math.h>
#include <string.h>

static double a_of(const esdirk_tableau *t, int i, int j) {
  return i == j ? t->gamma : t->a[i * (i - 1) / 2 + j];
}

/* m = I - c df/dy at the real part of y */
static void matrix(const problem *p, number t, const number *y, const number *theta, double c,
                   double m[MAX_N][MAX_N]) {
  const double tiny = 1e-30;
  size_t n = p->rhs.n_stage;
  number in[MAX_N], slope[MAX_N], real[MAX_THETA];
  for (size_t j = 0; j < n; j++) in[j] = creal(y[j]);
  for (size_t j = 0; j < MAX_THETA; j++) real[j] = creal(theta[j]);
  for (size_t j = 0; j < n; j++) {
    in[j] += (number)I * tiny;
    problem_slope(p, creal(t), in, real, slope);
    in[j] = creal(in[j]);
    for (size_t i = 0; i < n; i++) m[i][j] = (i == j) - c * cimag(slope[i]) / tiny;
  }
}

static void eliminate(size_t n, double m[MAX_N][MAX_N], number *x) {
  for (size_t k = 0; k < n; k++) {
    size_t p = k;
    for (size_t i = k + 1; i < n; i++)
      if (fabs(m[i][k]) > fabs(m[p][k])) p = i;
    number y = x[k];
    x[k] = x[p], x[p] = y;
    for (size_t j = 0; j < n; j++) {
      double z = m[k][j];
      m[k][j] = m[p][j], m[p][j] = z;
    }
    for (size_t i = k + 1; i < n; i++) {
      double f = m[i][k] / m[k][k];
      for (size_t j = k; j < n; j++) m[i][j] -= f * m[k][j];
      x[i] -= f * x[k];
    }
  }
  for (size_t k = n; k-- > 0;) {
    for (size_t j = k + 1; j < n; j++) x[k] -= m[k][j] * x[j];
    x[k] /= m[k][k];
  }
}

/* z = c f(t, base + z) from z = c k; the field at the end in k, its stage part z / c. */
static void stage(const problem *p, number t, number c, const number *base, const number *theta,
                  number *k) {
  size_t n = p->rhs.n_stage;
  number z[MAX_N], y[MAX_N];
  double m[MAX_N][MAX_N];
  for (size_t j = 0; j < n; j++) z[j] = c * k[j];
  for (int iteration = 0; iteration < 30; iteration++) {
    number d[MAX_N];
    for (size_t j = 0; j < n; j++) y[j] = base[j] + z[j];
    problem_slope(p, t, y, theta, k);
    for (size_t j = 0; j < n; j++) d[j] = c * k[j] - z[j];
    matrix(p, t, y, theta, creal(c), m);
    eliminate(n, m, d);
    for (size_t j = 0; j < n; j++) z[j] += d[j];
  }
  for (size_t j = 0; j < n; j++) k[j] = z[j] / c;
}

void implicit_step(const problem *p, const esdirk_tableau *tab, number t, number h, const number *y,
                   const number *theta, number (*k)[MAX_N], number *y1) {
  int last = tab->stages - 1;
  for (int i = 1; i <= last; i++) {
    number base[MAX_N];
    double c = tab->gamma;
    for (size_t j = 0; j < p->rhs.n; j++) base[j] = y[j];
    for (int l = 0; l < i; l++) {
      c += a_of(tab, i, l);
      for (size_t j = 0; j < p->rhs.n; j++) base[j] += h * a_of(tab, i, l) * k[l][j];
    }
    if (fabs(c - 1) < 1e-12) c = 1;
    memcpy(k[i], k[i - 1], sizeof k[i]);
    stage(p, t + c * h, h * tab->gamma, base, theta, k[i]);
    for (size_t j = 0; j < p->rhs.n; j++) y1[j] = base[j] + h * tab->gamma * k[i][j];
  }
}
