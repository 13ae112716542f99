/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * P A = L U with partial pivoting, by halves of the columns (Toledo, "Locality of reference in LU
 * decomposition with partial pivoting", 1997): factor the left half, U12 = L11^-1 A12,
 * A22 <- A22 - L21 U12, factor that. Almost all work is one matrix product a level.
 *
 * Singular. Rounding leaves in pivot j an error of about eps times the terms that were added up in
 * it, s_j = sum over k < j of |l_jk u_kj|. A pivot of at most n eps s_j may as well be zero. This
 * compares terms of one row and one column, so scaling rows or columns of A changes nothing.
 */
#include "linalg.h"

#include <float.h>
#include <gsl/gsl_blas.h>
#include <math.h>

enum { NARROW = 16 }; /* columns that are eliminated one by one */

static void swap_rows(gsl_matrix *a, size_t i, size_t j) {
  double *x = a->data + i * a->tda, *y = a->data + j * a->tda;
  for (size_t k = 0; i != j && k < a->size2; k++) {
    double t = x[k];
    x[k] = y[k], y[k] = t;
  }
}

static size_t largest_in_column(const gsl_matrix *a, size_t j) {
  size_t best = j;
  for (size_t i = j + 1; i < a->size1; i++)
    if (fabs(a->data[i * a->tda + j]) > fabs(a->data[best * a->tda + j])) best = i;
  return best;
}

/* A column of zeros is left as it is: its pivot tells. */
static void eliminate(gsl_matrix *a, size_t *pivot) {
  for (size_t j = 0; j < a->size2; j++) {
    pivot[j] = largest_in_column(a, j);
    swap_rows(a, j, pivot[j]);
    const double *u = a->data + j * a->tda;
    for (size_t i = j + 1; u[j] != 0 && i < a->size1; i++) {
      double *row = a->data + i * a->tda, l = row[j] / u[j];
      row[j] = l;
      for (size_t k = j + 1; k < a->size2; k++) row[k] -= l * u[k];
    }
  }
}

static void swap_all(gsl_matrix *a, const size_t *pivot, size_t n) {
  for (size_t j = 0; j < n; j++) swap_rows(a, j, pivot[j]);
}

static void factor(gsl_matrix *a, size_t *pivot) {
  size_t m = a->size1, n = a->size2, h = n / 2;
  if (n <= NARROW) {
    eliminate(a, pivot);
    return;
  }
  gsl_matrix_view left = gsl_matrix_submatrix(a, 0, 0, m, h), right = gsl_matrix_submatrix(a, 0, h, m, n - h);
  gsl_matrix_view l11 = gsl_matrix_submatrix(a, 0, 0, h, h), u12 = gsl_matrix_submatrix(a, 0, h, h, n - h);
  gsl_matrix_view l21 = gsl_matrix_submatrix(a, h, 0, m - h, h), a22 = gsl_matrix_submatrix(a, h, h, m - h, n - h);
  factor(&left.matrix, pivot);
  swap_all(&right.matrix, pivot, h);
  gsl_blas_dtrsm(CblasLeft, CblasLower, CblasNoTrans, CblasUnit, 1, &l11.matrix, &u12.matrix);
  gsl_blas_dgemm(CblasNoTrans, CblasNoTrans, -1, &l21.matrix, &u12.matrix, 1, &a22.matrix);
  factor(&a22.matrix, pivot + h);
  swap_all(&l21.matrix, pivot + h, n - h);
  for (size_t j = h; j < n; j++) pivot[j] += h;
}

void linalg_lu(double *a, size_t n, size_t *pivot) {
  gsl_matrix_view whole = gsl_matrix_view_array(a, n, n);
  factor(&whole.matrix, pivot);
}

size_t linalg_lu_fault(const double *a, size_t n) {
  for (size_t j = 0; j < n; j++) {
    double terms = 0;
    for (size_t k = 0; k < j; k++) terms += fabs(a[j * n + k] * a[k * n + j]);
    if (fabs(a[j * n + j]) <= (double)n * DBL_EPSILON * terms) return j;
  }
  return n;
}

void linalg_lu_solve(const double *lu, size_t n, const size_t *pivot, double *x, size_t k) {
  gsl_matrix_const_view a = gsl_matrix_const_view_array(lu, n, n);
  gsl_matrix_view b = gsl_matrix_view_array(x, n, k);
  swap_all(&b.matrix, pivot, n);
  gsl_blas_dtrsm(CblasLeft, CblasLower, CblasNoTrans, CblasUnit, 1, &a.matrix, &b.matrix);
  gsl_blas_dtrsm(CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, 1, &a.matrix, &b.matrix);
}
