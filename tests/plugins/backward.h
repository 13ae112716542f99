/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A solve and the gradient of a loss of its values, for tests: the loss is
 * L = sum over outputs i and components k of backward_weight(i, k) y_k(times[i]), of output 2 nothing.
 */
#pragma once
#include "problem.h"

enum { BACKWARD_TIMES = 12 };

typedef struct backward_gradient {
  double y0[MAX_N], theta[MAX_THETA], times[BACKWARD_TIMES];
} backward_gradient;

typedef struct backward {
  cst_context *ctx;
  problem p;
  solve s;
  cst_tape *tape;
  cst_solver_type type;
  cst_integrator_config config; /* to be changed before the first run */
  cst_options *options;         /* of the solver */
  size_t budget;                /* of the tape; 0: none */
  bool undoable;                /* no tape: the run keeps its end */
  const double *times;
  size_t n;
} backward;

double backward_weight(size_t i, size_t k);
/* Two rows; steps of 0.17 for a solver that has no others. */
void backward_new(backward *b, cst_context *ctx, field_fn *field, cst_dtype d, const cst_solver_type *solver);
/* The solver's one option. */
void backward_option(backward *b, const char *name, double value);
cst_status backward_solve(backward *b, const double *y0, const double *times, size_t n);
cst_status backward_pull(backward *b, const char *method, backward_gradient *g);
double backward_loss(const backward *b);
/* By differences of order 4 in y0, theta and times, the steps replayed; times that steps stop at do not move in a
 * replay and are left out. Leaves no record behind. */
void backward_differences(backward *b, const double *y0, backward_gradient *g);
/* The largest difference, relative to the largest component of b that is above 1. */
double backward_distance(const backward_gradient *a, const backward_gradient *b);
void backward_free(backward *b);
