/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cholesky: the lower triangular L with positive diagonal and L L^T = S, S = (A + A^T) / 2. Written
 * with Phi, which takes the lower triangle and halves the diagonal (Murray, "Differentiation of the
 * Cholesky decomposition", 2016):
 *
 *   tangent    dL = L Phi(L^-1 dS L^-T)
 *   cotangent  A_bar = (C + C^T) / 2,   C = L^-T Phi(L^T L_bar) L^-1
 *
 * By halves: L11 from S11, L21 = S21 L11^-T, L22 from S22 - L21 L21^T.
 */
#include "linalg.h"

#include <float.h>
#include <gsl/gsl_blas.h>
#include <math.h>

enum { NARROW = 16 };

/* ---- numbers ---------------------------------------------------------------------------------------- */

/* Number of columns done: where a pivot s_jj - sum l_jk^2 is no more than the rounding of s_jj (its
 * `diagonal`), it is left in place and the rest is not done. n is the size of the whole matrix. */
static size_t plain(gsl_matrix *a, const double *diagonal, size_t n) {
  for (size_t j = 0; j < a->size1; j++) {
    double *row = a->data + j * a->tda;
    for (size_t i = 0; i <= j; i++) {
      const double *other = a->data + i * a->tda;
      for (size_t k = 0; k < i; k++) row[i] -= row[k] * other[k];
      if (i < j) row[i] /= other[i];
    }
    if (row[j] <= (double)n * DBL_EPSILON * fabs(diagonal[j])) return j;
    row[j] = sqrt(row[j]);
  }
  return a->size1;
}

static size_t factor(gsl_matrix *a, const double *diagonal, size_t n) {
  size_t m = a->size1, h = m / 2;
  if (m <= NARROW) return plain(a, diagonal, n);
  gsl_matrix_view l11 = gsl_matrix_submatrix(a, 0, 0, h, h), l21 = gsl_matrix_submatrix(a, h, 0, m - h, h);
  gsl_matrix_view s22 = gsl_matrix_submatrix(a, h, h, m - h, m - h);
  size_t done = factor(&l11.matrix, diagonal, n);
  if (done < h) return done;
  gsl_blas_dtrsm(CblasRight, CblasLower, CblasTrans, CblasNonUnit, 1, &l11.matrix, &l21.matrix);
  gsl_blas_dsyrk(CblasLower, CblasNoTrans, -1, &l21.matrix, 1, &s22.matrix);
  return h + factor(&s22.matrix, diagonal + h, n);
}

/* ---- the op ------------------------------------------------------------------------------------------- */

static cst_status infer(const cst_host *h, const cst_attrs *at, const cst_type *in, size_t n, cst_type *l, size_t *n_out) {
  (void)at, (void)n, (void)n_out;
  char text[64];
  CST_TRY(linalg_same_dtype(h, in, 1));
  if (linalg_rank(in) != 2 || linalg_dim(in, 0) != linalg_dim(in, 1) || linalg_dim(in, 0) == 0)
    return h->fail(h, CST_ESHAPE, "a Cholesky factor needs a square matrix [n, n] or a batch of them (cs.rows), got %s",
                   linalg_format(in, text, sizeof text));
  *l = *in;
  if (l->space == CST_PARTIAL) l->space = CST_SHARED;
  return CST_OK;
}

static cst_status state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state) {
  (void)ctx, (void)rows;
  return linalg_state_new(q, 0, (size_t)linalg_dim(&q->operand[0].type, 0), 0, state);
}

/* The symmetric part, of which only the lower triangle is used; the diagonal apart. */
static void symmetrise(double *a, size_t n, double *diagonal) {
  for (size_t i = 0; i < n; i++) {
    diagonal[i] = a[i * n + i];
    for (size_t j = 0; j < i; j++) {
      a[i * n + j] = (a[i * n + j] + a[j * n + i]) / 2;
      a[j * n + i] = 0;
    }
  }
}

static cst_status one(const cst_call *c, size_t row) {
  work *w = c->state;
  const cst_host *h = c->q->host;
  char text[32];
  linalg_load(c, 0, row, w->x);
  symmetrise(w->x, w->n, w->more);
  gsl_matrix_view a = gsl_matrix_view_array(w->x, w->n, w->n);
  size_t j = factor(&a.matrix, w->more, w->n);
  if (j == w->n) return CST_OK;
  return h->fail(h, CST_ESINGULAR,
                 "linalg.cholesky: the matrix%s is not positive definite: pivot %zu of %zu is %.2g. Add a multiple of "
                 "the identity, or use cs.linalg.solve, which does not need it",
                 linalg_row_text(c, row, text, sizeof text), j + 1, w->n, w->x[j * w->n + j]);
}

static cst_status run(const cst_call *c) {
  size_t rows = linalg_of_rows(&c->q->operand[0].type) ? c->rows : 1;
  for (size_t r = 0; r < rows && c->p[1]; r++) {
    CST_TRY(one(c, r));
    linalg_store(c, 1, r, ((work *)c->state)->x);
  }
  return CST_OK;
}

/* L^-1 X, or L^-T X. */
static cst_value without(cst_graph *g, cst_value l, cst_value x, bool transposed) {
  cst_attrs at = {.n_ints = 1, .i = {transposed}};
  return cst_node2(g, "linalg.solve_lower", l, x, &at);
}
static cst_value symmetric(cst_graph *g, cst_value x) {
  return cst_scale(g, cst_add(g, x, linalg_swap(g, x)), 0.5);
}

static cst_status vjp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *bar, const bool *want, cst_value *in_bar) {
  (void)at, (void)in, (void)n, (void)want;
  cst_value phi = linalg_lower(g, cst_bmm(g, out[0], linalg_lower(g, bar[0], 1), true, false), 0.5);
  cst_value left = without(g, out[0], phi, true);
  in_bar[0] = symmetric(g, without(g, out[0], linalg_swap(g, left), true));
  return g->status;
}

static cst_status jvp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *dot, cst_value *out_dot) {
  (void)at, (void)in, (void)n;
  cst_value left = without(g, out[0], symmetric(g, dot[0]), false);
  cst_value both = without(g, out[0], linalg_swap(g, left), false);
  *out_dot = cst_bmm(g, out[0], linalg_lower(g, both, 0.5), false, false);
  return g->status;
}

const cst_op linalg_cholesky = {
    .struct_size = sizeof(cst_op), .name = "cholesky", .n_in_min = 1, .n_in_max = 1, .flags = CST_OP_REAL, .infer = infer,
    .kernel = {run, run}, .vjp = vjp, .jvp = jvp, .state_new = state_new, .state_free = linalg_state_free};
