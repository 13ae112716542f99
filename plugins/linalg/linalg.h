/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Linear systems as ops. x solves a system with matrix A and right-hand side b:
 *
 *   solve             A x = b                          A [n, n]
 *   solve_lower       L x = b                          L [n, n], of which the lower triangle counts
 *   solve_banded      A x = b                          A as bands [lower + upper + 1, n], see banded.c
 *   solve_tridiagonal A x = b                          A as lower [n - 1], diagonal [n], upper [n - 1]
 *   lstsq             min |A x - b|^2 + ridge |x|^2    A [m, n]
 *   normal_solve      (A^T A + ridge I) x = b          A [m, n]
 *   cholesky          L L^T = (A + A^T) / 2            A [n, n]
 *
 * b is a vector or a matrix whose columns are solved for. Every operand is SHARED or of rows, each by
 * itself: one matrix serves all rows of b (and is factored once), one b serves a matrix a row.
 *
 * Derivatives emit nodes of the same ops (and of core ops), so they nest. The kernels compute in f64
 * whatever the graph's float type, allocate nothing, and take rows one by one: what a row gets does
 * not depend on the batch. NaNs of the input come out as NaNs; a matrix that is singular to working
 * precision is CST_ESINGULAR.
 *
 * GSL's error handler is left alone: no call here can raise, for sizes are checked by `infer` and
 * pivots are looked at before anything divides by them.
 */
#pragma once
#include <costate/plugin.h>

extern const cst_op linalg_solve, linalg_solve_lower, linalg_cholesky, linalg_solve_banded, linalg_banded_times,
    linalg_banded_outer, linalg_solve_tridiagonal, linalg_lstsq, linalg_normal_solve;

/* ---- infer.c: types ------------------------------------------------------------------------------ */

static inline bool linalg_of_rows(const cst_type *t) { return t->space == CST_ROW; }
static inline int linalg_rank(const cst_type *t) { return t->rank - linalg_of_rows(t); } /* of one row */
static inline int64_t linalg_dim(const cst_type *t, int axis) { return t->dim[axis + linalg_of_rows(t)]; }

/* "row [5, 3, 3]" into text. */
const char *linalg_format(const cst_type *t, char *text, size_t size);
/* All real and of one element type. */
cst_status linalg_same_dtype(const cst_host *h, const cst_type *in, size_t n);
/* x has n entries where b has m: x is a vector if b is one, of rows if b or a matrix (`rows`, else NULL)
 * is. PARTIAL where b is and no matrix is: x is linear in b only. */
void linalg_result(const cst_type *rows, bool partial_matrix, const cst_type *b, int64_t n, cst_type *x);
/* The type of x from matrix in[0], [m, n], and in[1], b of `entries` entries. */
cst_status linalg_infer(const cst_host *h, const cst_type *in, int64_t entries, int64_t n, cst_type *x);

/* ---- system.c: running ---------------------------------------------------------------------------- */

/* Memory of a node: sized when the workspace is made, then only written. */
typedef struct work {
  const cst_host *host;
  size_t m, n, k;   /* entries of b and of x, columns of both */
  double *a;        /* the matrix, then its factors */
  double *x;        /* [max(m, n), k]: b, then x */
  double *more;     /* whatever else a method needs */
  size_t *pivot;
} work;

/* The state of a node whose last input is b; a, more and pivot of so many numbers. */
cst_status linalg_state_new(const cst_instruction *q, size_t a, size_t more, size_t pivots, void **state);
void linalg_state_free(cst_context *ctx, void *state);

/* Copies what operand i holds for row r, as f64. */
void linalg_load(const cst_call *c, uint32_t i, size_t r, double *to);
void linalg_store(const cst_call *c, uint32_t i, size_t r, const double *from);

/* For every row of the result: `factor` when the matrix is another than before, then load b into
 * w->x, `apply`, and store w->x. */
typedef cst_status linalg_factor_fn(const cst_call *c, size_t row);
typedef void linalg_apply_fn(const cst_call *c);
cst_status linalg_run(const cst_call *c, linalg_factor_fn *factor, linalg_apply_fn *apply);

/* " of row 5" for a matrix of rows, else "". */
const char *linalg_row_text(const cst_call *c, size_t row, char *text, size_t size);
/* CST_ESINGULAR: pivot j (from 0) of n is `pivot`, nothing but rounding. `advice` says what to try, as for a square
 * system that the script set up itself. */
#define LINALG_TRY                                                                  \
  "Look for equal or zero rows and columns, add a multiple of the identity, or use " \
  "cs.linalg.lstsq with a ridge"
cst_status linalg_singular(const cst_call *c, const char *op, const char *advice, size_t row, size_t j, size_t n,
                           double pivot);

/* ---- algebra.c: nodes ------------------------------------------------------------------------------ */

/* op(A) x for a matrix A [p, q] and x [q] or [q, k]; either may be of rows. */
cst_value linalg_times(cst_graph *g, cst_value a, cst_value x, bool transposed);
/* u v^T, summed over columns and, unless `a` is of rows, over rows: a cotangent of a. */
cst_value linalg_outer(cst_graph *g, cst_value a, cst_value u, cst_value v);
/* v, summed over rows when `like` is not of rows. */
cst_value linalg_reduce(cst_graph *g, cst_value v, cst_value like);
/* Swaps the last two axes. */
cst_value linalg_swap(cst_graph *g, cst_value a);
/* The lower triangle of a square matrix; its diagonal times `diagonal`, 1 or 1/2. */
cst_value linalg_lower(cst_graph *g, cst_value a, double diagonal);
/* Difference and sum where either may be CST_NONE (zero). */
cst_value linalg_sub(cst_graph *g, cst_value a, cst_value b);
cst_value linalg_add(cst_graph *g, cst_value a, cst_value b);

/* ---- lu.c, band.c ---------------------------------------------------------------------------------- */

/* P A = L U in place, partial pivoting; row j was swapped with pivot[j] >= j, in this order. */
void linalg_lu(double *a, size_t n, size_t *pivot);
/* The first pivot that rounding alone may have made, or n. */
size_t linalg_lu_fault(const double *a, size_t n);
void linalg_lu_solve(const double *lu, size_t n, const size_t *pivot, double *x, size_t k);

/* Row i of a band matrix: w[i (2 lower + upper + 1) + j - i + lower] is entry (i, j); beyond column
 * i + upper there is room for what pivoting fills in. `size` holds n numbers. The first pivot that
 * rounding alone may have made, or n. */
size_t linalg_band_lu(double *w, size_t n, size_t lower, size_t upper, size_t *pivot, double *size);
void linalg_band_solve(const double *w, size_t n, size_t lower, size_t upper, const size_t *pivot, double *x, size_t k);
