/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * LU of a band matrix with partial pivoting among the `lower` rows below, O(n lower (lower + upper)).
 * Pivoting widens U to lower + upper diagonals above the main one; L keeps its multipliers where they
 * were made, so a solve repeats swaps and eliminations in their order.
 *
 * A pivot counts as zero when it is no more than the rounding of the largest number that its row has
 * been made of.
 */
#include "linalg.h"

#include <float.h>
#include <math.h>

typedef struct band {
  double *w;
  size_t n, lower, upper, width;
} band;

static band band_of(double *w, size_t n, size_t lower, size_t upper) {
  return (band){w, n, lower, upper, 2 * lower + upper + 1};
}
static double *entry(const band *b, size_t i, size_t j) { return b->w + i * b->width + (j + b->lower - i); }
static size_t end_of(const band *b, size_t j, size_t reach) { return b->n - j > reach + 1 ? j + reach + 1 : b->n; }

static double largest(const band *b, size_t i) {
  double most = 0;
  for (size_t k = 0; k < b->width; k++) most = fmax(most, fabs(b->w[i * b->width + k]));
  return most;
}

static void swap(double *a, double *b) {
  double t = *a;
  *a = *b, *b = t;
}

/* Brings the largest entry of column j to row j. */
static size_t pivoting(const band *b, size_t j, double *size) {
  size_t best = j;
  for (size_t i = j + 1; i < end_of(b, j, b->lower); i++)
    if (fabs(*entry(b, i, j)) > fabs(*entry(b, best, j))) best = i;
  if (best == j) return j;
  for (size_t k = j; k < end_of(b, j, b->lower + b->upper); k++) swap(entry(b, j, k), entry(b, best, k));
  swap(&size[j], &size[best]);
  return best;
}

static void eliminate(const band *b, size_t j, double *size) {
  for (size_t i = j + 1; i < end_of(b, j, b->lower); i++) {
    double l = *entry(b, i, j) / *entry(b, j, j);
    *entry(b, i, j) = l;
    size[i] = fmax(size[i], fabs(l) * size[j]);
    for (size_t k = j + 1; k < end_of(b, j, b->lower + b->upper); k++) *entry(b, i, k) -= l * *entry(b, j, k);
  }
}

size_t linalg_band_lu(double *w, size_t n, size_t lower, size_t upper, size_t *pivot, double *size) {
  band b = band_of(w, n, lower, upper);
  for (size_t i = 0; i < n; i++) size[i] = largest(&b, i);
  for (size_t j = 0; j < n; j++) {
    pivot[j] = pivoting(&b, j, size);
    if (fabs(*entry(&b, j, j)) <= (double)(lower + upper + 1) * DBL_EPSILON * size[j]) return j;
    eliminate(&b, j, size);
  }
  return n;
}

void linalg_band_solve(const double *w, size_t n, size_t lower, size_t upper, const size_t *pivot, double *x, size_t k) {
  band b = band_of((double *)(uintptr_t)w, n, lower, upper);
  for (size_t j = 0; j < n; j++) {
    for (size_t q = 0; pivot[j] != j && q < k; q++) swap(&x[j * k + q], &x[pivot[j] * k + q]);
    for (size_t i = j + 1; i < end_of(&b, j, lower); i++)
      for (size_t q = 0; q < k; q++) x[i * k + q] -= *entry(&b, i, j) * x[j * k + q];
  }
  for (size_t j = n; j-- > 0;) {
    for (size_t i = j + 1; i < end_of(&b, j, lower + upper); i++)
      for (size_t q = 0; q < k; q++) x[j * k + q] -= *entry(&b, j, i) * x[i * k + q];
    for (size_t q = 0; q < k; q++) x[j * k + q] /= *entry(&b, j, j);
  }
}
