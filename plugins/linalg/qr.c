/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * QR by GSL's Householder reflections. Column j depends on those before it, to working precision, when
 * reflecting leaves no more of it than its rounding: |r_jj| <= n eps |column j of R|, and a column of R is as
 * long as that column of A.
 */
#include "qr.h"

#include <float.h>
#include <gsl/gsl_blas.h>
#include <gsl/gsl_linalg.h>
#include <math.h>

static size_t rows_of(const cst_attrs *at, size_t m, size_t n) { return at->x[0] > 0 ? m + n : m; }

qr qr_of(const cst_call *c) {
  const work *w = c->state;
  const cst_type *a = &c->q->operand[0].type;
  qr q = {.n = (size_t)linalg_dim(a, 1), .a = w->a, .tau = w->more};
  q.rows = rows_of(c->q->attrs, (size_t)linalg_dim(a, 0), q.n);
  q.column = q.tau + q.n;
  q.result = q.column + q.rows;
  return q;
}

cst_status qr_check(const cst_host *h, const cst_attrs *at, const cst_type *a) {
  char text[64];
  if (!(at->x[0] >= 0) || !isfinite(at->x[0]))
    return h->fail(h, CST_EINVAL, "the ridge must be a number from 0 on, got %g", at->x[0]);
  if (linalg_rank(a) != 2 || linalg_dim(a, 1) == 0 || linalg_dim(a, 0) == 0)
    return h->fail(h, CST_ESHAPE, "least squares need a matrix [m, n] or a batch of them (cs.rows), got %s",
                   linalg_format(a, text, sizeof text));
  if (at->x[0] == 0 && linalg_dim(a, 0) < linalg_dim(a, 1))
    return h->fail(h, CST_ESHAPE, "%s has more unknowns than equations: least squares have no unique solution without a "
                   "ridge > 0", linalg_format(a, text, sizeof text));
  return CST_OK;
}

cst_status qr_state_new(cst_context *ctx, const cst_instruction *q, size_t batch, void **state) {
  (void)ctx, (void)batch;
  const cst_type *a = &q->operand[0].type, *b = &q->operand[1].type;
  size_t n = (size_t)linalg_dim(a, 1), rows = rows_of(q->attrs, (size_t)linalg_dim(a, 0), n);
  size_t k = linalg_rank(b) == 2 ? (size_t)linalg_dim(b, 1) : 1;
  return linalg_state_new(q, rows * n, n + rows + n * k, 0, state);
}

/* The first column that depends on others, or n. */
static size_t fault(const qr *q) {
  for (size_t j = 0; j < q->n; j++) {
    double length = 0;
    for (size_t i = 0; i <= j; i++) length = hypot(length, q->a[i * q->n + j]);
    if (fabs(q->a[j * q->n + j]) <= (double)q->n * DBL_EPSILON * length) return j;
  }
  return q->n;
}

cst_status qr_factor(const cst_call *c, size_t row) {
  qr q = qr_of(c);
  double ridge = c->q->attrs->x[0];
  linalg_load(c, 0, row, q.a);
  for (size_t i = q.rows - q.n; ridge > 0 && i < q.rows; i++)
    for (size_t j = 0; j < q.n; j++) q.a[i * q.n + j] = i - (q.rows - q.n) == j ? sqrt(ridge) : 0;
  gsl_matrix_view a = gsl_matrix_view_array(q.a, q.rows, q.n);
  gsl_vector_view tau = gsl_vector_view_array(q.tau, q.n);
  gsl_linalg_QR_decomp(&a.matrix, &tau.vector);
  size_t j = fault(&q);
  static const char advice[] = "Leave out columns that others make up, or give it a ridge (ridge = 1e-8, say)";
  return j == q.n ? CST_OK : linalg_singular(c, "linalg.lstsq", advice, row, j, q.n, q.a[j * q.n + j]);
}

void qr_project(const qr *q) {
  gsl_matrix_view a = gsl_matrix_view_array(q->a, q->rows, q->n);
  gsl_vector_view tau = gsl_vector_view_array(q->tau, q->n), x = gsl_vector_view_array(q->column, q->rows);
  gsl_linalg_QR_QTvec(&a.matrix, &tau.vector, &x.vector);
}

void qr_back(const qr *q, bool transposed) {
  gsl_matrix_view r = gsl_matrix_view_array(q->a, q->n, q->n);
  gsl_vector_view x = gsl_vector_view_array(q->column, q->n);
  gsl_blas_dtrsv(CblasUpper, transposed ? CblasTrans : CblasNoTrans, CblasNonUnit, &r.matrix, &x.vector);
}
