/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Jacobians for Newton's method, exact by the field's forward mode. Of a field without derivatives
 * (the augmented one of backsolve) they are difference quotients, which serve: an error of the matrix
 * slows Newton's iteration down but does not move where it ends.
 *
 * Columns further apart than the bandwidth share one product (Curtis, Powell, Reid, 1974): the sum of
 * unit vectors first, first + stride, ... goes through at once.
 */
#include <sunmatrix/sunmatrix_band.h>
#include <sunmatrix/sunmatrix_dense.h>

#include "sundials.h"

/* The call under way. */
typedef struct work {
  engine *e;
  double t;
  N_Vector y, fy;
  double *v, *jv, *other; /* of n numbers */
} work;

static void put(const engine *e, SUNMatrix jac, size_t i, size_t j, double x) {
  sunindextype row = (sunindextype)i, column = (sunindextype)j;
  if (e->banded) SM_ELEMENT_B(jac, row, column) = x;
  else SM_ELEMENT_D(jac, row, column) = x;
}

/* Rows of column j inside the band: *from .. *to, inclusive. */
static void rows_of(const engine *e, size_t j, size_t *from, size_t *to) {
  *from = j > e->upper ? j - e->upper : 0;
  *to = e->n_stage - 1 - j < e->lower ? e->n_stage - 1 : j + e->lower;
}

/* How far to move component j: a share of its size, or of the size below which tolerances ignore it. */
static double increment(const engine *e, double y) {
  double scale = fmax(fabs(y), e->rtol > 0 ? e->atol / e->rtol : 1);
  double moved = y + sqrt(DBL_EPSILON) * (scale > 0 ? scale : 1);
  return moved - y;
}

/* jv = J v, or f(y + v) - f(y). */
static cst_status along(const work *w) {
  engine *e = w->e;
  const double *y = sun_data(w->y), *fy = sun_data(w->fy);
  if (e->has_jvp) return e->rhs->jvp(e->rhs, &w->t, y, w->v, 0, w->other, w->jv);
  memcpy(w->other, y, e->n * sizeof *y);
  for (size_t i = 0; i < e->n_stage; i++) w->other[i] += w->v[i];
  CST_TRY(e->rhs->eval(e->rhs, &w->t, w->other, w->jv));
  for (size_t i = 0; i < e->n_stage; i++) w->jv[i] -= fy[i];
  return CST_OK;
}

static int group(const work *w, size_t first, size_t stride, SUNMatrix jac) {
  engine *e = w->e;
  memset(w->v, 0, e->n * sizeof *w->v);
  for (size_t j = first; j < e->n_stage; j += stride)
    w->v[j] = e->has_jvp ? 1 : increment(e, sun_data(w->y)[j]);
  SUN_TRY(sun_answer(e, along(w), w->t, w->jv, e->n_stage, "the Jacobian"));
  for (size_t j = first; j < e->n_stage; j += stride) {
    size_t from, to;
    rows_of(e, j, &from, &to);
    for (size_t i = from; i <= to; i++) put(e, jac, i, j, w->jv[i] / w->v[j]);
  }
  return 0;
}

static int by_columns(const work *w, SUNMatrix jac) {
  const engine *e = w->e;
  size_t stride = e->banded && e->lower + e->upper + 1 < e->n_stage ? e->lower + e->upper + 1 : e->n_stage;
  for (size_t first = 0; first < stride; first++) SUN_TRY(group(w, first, stride, jac));
  return 0;
}

static int as_a_whole(const work *w, SUNMatrix jac) {
  engine *e = w->e;
  size_t d = e->n_stage;
  if (!e->jac && !(e->jac = e->of->host->alloc(e->of->host, d * d * sizeof *e->jac))) {
    e->status = e->of->host->fail(e->of->host, CST_ENOMEM, "no memory for a Jacobian of %zu x %zu", d, d);
    return -1;
  }
  cst_status st = e->rhs->jacobian(e->rhs, &w->t, sun_data(w->y), e->jac, NULL);
  SUN_TRY(sun_answer(e, st, w->t, NULL, 0, "the Jacobian"));
  for (size_t i = 0; i < d; i++) SUN_TRY(sun_answer(e, CST_OK, w->t, e->jac + i * d, d, "the Jacobian"));
  for (size_t j = 0; j < d; j++) {
    size_t from, to;
    rows_of(e, j, &from, &to);
    for (size_t i = from; i <= to; i++) put(e, jac, i, j, e->jac[i * d + j]);
  }
  return 0;
}

int sun_jacobian(sunrealtype t, N_Vector y, N_Vector fy, SUNMatrix jac, void *engine_, N_Vector a, N_Vector b,
                 N_Vector c) {
  engine *e = engine_;
  work w = {.e = e, .t = sun_clamp(e, t), .y = y, .fy = fy, .v = sun_data(a), .jv = sun_data(b), .other = sun_data(c)};
  SUNMatZero(jac);
  return e->has_jacobian && !(e->banded && e->has_jvp) ? as_a_whole(&w, jac) : by_columns(&w, jac);
}

int sun_product(N_Vector v, N_Vector jv, sunrealtype t, N_Vector y, N_Vector fy, void *engine_, N_Vector a) {
  (void)fy;
  engine *e = engine_;
  t = sun_clamp(e, t);
  cst_status st = e->rhs->jvp(e->rhs, &t, sun_data(y), sun_data(v), 0, sun_data(a), sun_data(jv));
  return sun_answer(e, st, t, sun_data(jv), e->n, "the product with the Jacobian");
}
