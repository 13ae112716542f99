/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * QR factors of [A; sqrt(ridge) I], or of A when the ridge is zero: what lstsq and normal_solve share.
 * Real attribute 0 is the ridge.
 */
#pragma once
#include "linalg.h"

typedef struct qr {
  size_t rows, n;  /* of the matrix that is factored */
  double *a, *tau; /* Householder vectors below R; their factors */
  double *column;  /* [rows] */
  double *result;  /* [n, columns of b] */
} qr;

qr qr_of(const cst_call *c);
cst_status qr_check(const cst_host *h, const cst_attrs *at, const cst_type *a);
cst_status qr_state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state);
/* Loads the matrix of row `row` and factors it. */
cst_status qr_factor(const cst_call *c, size_t row);
void qr_project(const qr *q);               /* column <- Q^T column */
void qr_back(const qr *q, bool transposed); /* the first n of column <- R^-1, or R^-T, times them */
