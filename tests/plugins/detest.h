/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Initial value problems with known end values: the 25 non-stiff problems of DETEST and stiff ones.
 * Where they are from and how the end values were found is written in tests/data/detest.py and
 * stiff.py. As in problem.h a field is written once over complex numbers, and its derivatives are
 * complex steps.
 */
#pragma once
#include "problem.h"

enum { IVP_MAX_N = 51 };

/* dy [n] from t, y [n]. */
typedef void ivp_field(size_t n, number t, const number *y, number *dy);

typedef struct ivp {
  const char *name;         /* as in the reference file */
  size_t n;
  double t1;                /* the start is at 0 */
  ivp_field *field;
  size_t given;             /* how many initial values are in y0; the others are 0 */
  const double *y0;
  void (*start)(double *y); /* instead of y0, may be NULL */
  size_t band;              /* lower and upper bandwidth of the Jacobian; 0: dense */
} ivp;

extern const ivp ivp_detest[], ivp_stiff[]; /* both end with a row without a name */

/* One problem as a solver sees it, with one row. It holds pointers to itself: do not copy. */
typedef struct ivp_rhs {
  cst_rhs rhs;
  cst_part part;
  const ivp *problem;
} ivp_rhs;

void ivp_rhs_init(ivp_rhs *f, const ivp *p);
void ivp_start(const ivp *p, double *y);
/* The end values of p from FILE in $COSTATE_TEST_DATA; false: it is not there with n numbers. */
bool ivp_reference(const ivp *p, const char *file, double *end);

/* Loads every plugin that can be found, so that the registry holds every solver. */
bool ivp_load_all(cst_context *ctx);

/* One adaptive solve to p->t1 with rtol and atol and the core's default controller: the end in y. A coupled pair
 * has the coupling 0.9, at which its second root is damped; with its default, made for the way back, it grows
 * where the field damps. */
cst_status ivp_solve(cst_context *ctx, const cst_solver_type *solver, const ivp *p, double rtol,
                     double atol, double *y, cst_solve_stats *stats);
