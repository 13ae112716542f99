/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The linear systems of Newton's method, (I - gamma J) x = b. The field depends on its stage parts
 * alone, and only their block is factorised: the parts behind them (quadratures: thousands of
 * parameter gradients, maybe) are solved by the identity, which is exact but for gamma dq/dy x. One
 * more iteration, with y converged, makes up for it.
 */
#include <sunlinsol/sunlinsol_band.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunlinsol/sunlinsol_spgmr.h>
#include <sunmatrix/sunmatrix_band.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunnonlinsol/sunnonlinsol_fixedpoint.h>

#include "sundials.h"

/* ---- a solver of the leading block -------------------------------------------------------------- */

typedef struct block {
  engine *e;
  SUNLinearSolver inner; /* of the stage parts */
  N_Vector x, b;         /* their share of the vectors at hand */
} block;

static SUNLinearSolver_Type block_type(SUNLinearSolver s) { return (void)s, SUNLINEARSOLVER_DIRECT; }
static int block_initialize(SUNLinearSolver s) { return SUNLinSolInitialize(((block *)s->content)->inner); }
static int block_setup(SUNLinearSolver s, SUNMatrix a) { return SUNLinSolSetup(((block *)s->content)->inner, a); }

static int block_solve(SUNLinearSolver s, SUNMatrix a, N_Vector x, N_Vector b, sunrealtype tolerance) {
  block *k = s->content;
  size_t first = k->e->n_stage, n = k->e->n;
  memcpy(sun_data(x) + first, sun_data(b) + first, (n - first) * sizeof(double));
  N_VSetArrayPointer_Serial(sun_data(x), k->x);
  N_VSetArrayPointer_Serial(sun_data(b), k->b);
  return SUNLinSolSolve(k->inner, a, k->x, k->b, tolerance);
}

static int block_free(SUNLinearSolver s) {
  block *k = s->content;
  if (k) {
    if (k->inner) SUNLinSolFree(k->inner);
    if (k->x) N_VDestroy(k->x);
    if (k->b) N_VDestroy(k->b);
    k->e->of->host->free(k->e->of->host, k);
  }
  s->content = NULL;
  SUNLinSolFreeEmpty(s);
  return 0;
}

static SUNLinearSolver block_new(engine *e) {
  SUNLinearSolver s = SUNLinSolNewEmpty(e->context);
  if (!s) return NULL;
  s->ops->gettype = block_type;
  s->ops->initialize = block_initialize;
  s->ops->setup = block_setup;
  s->ops->solve = block_solve;
  s->ops->free = block_free;
  block *k = s->content = e->of->host->alloc(e->of->host, sizeof *k);
  if (k) {
    sunindextype d = (sunindextype)e->n_stage;
    *k = (block){.e = e, .x = N_VNewEmpty_Serial(d, e->context), .b = N_VNewEmpty_Serial(d, e->context)};
    if (k->x && k->b)
      k->inner = e->banded ? SUNLinSol_Band(k->x, e->matrix, e->context) : SUNLinSol_Dense(k->x, e->matrix, e->context);
    if (k->inner) return s;
  }
  block_free(s);
  return NULL;
}

/* ---- which one ------------------------------------------------------------------------------------ */

/* A banded factorisation stores and works on about 2 lower + upper + 1 diagonals. */
static cst_status choose(engine *e) {
  const stepper *s = e->of;
  size_t d = e->n_stage;
  if (s->linear == SUN_BANDED && (e->lower == SIZE_MAX || e->upper == SIZE_MAX))
    return s->host->fail(s->host, CST_EUNSUPPORTED,
                         "sundials.%s: the bandwidths of the Jacobian are not known: give lower and upper, or "
                         "linear = \"dense\"",
                         s->type->name);
  if (e->lower >= d) e->lower = d - 1;
  if (e->upper >= d) e->upper = d - 1;
  e->banded = s->linear == SUN_BANDED || (s->linear == SUN_AUTO && 2 * e->lower + e->upper + 1 <= d / 2);
  if (!e->banded) e->lower = e->upper = d - 1;
  return CST_OK;
}

static void new_direct(engine *e) {
  sunindextype d = (sunindextype)e->n_stage;
  e->matrix = e->banded ? SUNBandMatrix(d, (sunindextype)e->upper, (sunindextype)e->lower, e->context)
                        : SUNDenseMatrix(d, d, e->context);
  if (e->matrix) e->linear = block_new(e);
}

cst_status sun_linear_new(engine *e) {
  const stepper *s = e->of;
  if (!s->fixed_point && s->linear != SUN_KRYLOV && e->n_stage == 0)
    return s->host->fail(s->host, CST_EUNSUPPORTED,
                         "sundials.%s: every part of the state is a quadrature: choose an explicit solver",
                         s->type->name);
  if (s->fixed_point) e->nonlinear = SUNNonlinSol_FixedPoint(e->y, 0, e->context);
  else if (s->linear == SUN_KRYLOV) e->linear = SUNLinSol_SPGMR(e->y, SUN_PREC_NONE, s->krylov, e->context);
  else {
    CST_TRY(choose(e));
    new_direct(e);
  }
  if (e->linear || e->nonlinear) return CST_OK;
  return s->host->fail(s->host, CST_ENOMEM, "sundials.%s: no memory for the linear systems of %zu numbers",
                       s->type->name, e->n_stage);
}

void sun_linear_free(engine *e) {
  if (e->linear) SUNLinSolFree(e->linear);
  if (e->nonlinear) SUNNonlinSolFree(e->nonlinear);
  if (e->matrix) SUNMatDestroy(e->matrix);
  e->of->host->free(e->of->host, e->jac);
}
