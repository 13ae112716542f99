/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A solve of a problem and its pullback by any gradient method, for the loss
 * L = sum over outputs i and components k of gradient_weight(i, k) y_k(times[i]).
 */
#pragma once
#include "ode/trajectory.h"
#include "problem.h"

enum { MAX_T = 12 };

double gradient_weight(size_t i, size_t k); /* output 2 has none */

typedef struct gradient {
  double y0[MAX_N], theta[MAX_THETA], times[MAX_T];
} gradient;

/* The largest difference over the largest component of b, or over 1; NaN if a difference is. */
double gradient_distance(const gradient *a, const gradient *b);

/* For two rows: where to start; times that repeat, some of them breaks of field_stepped, and that go backwards. */
extern const double gradient_start[6], gradient_forth[9], gradient_back[6];

/* A context with every solver of the project that is built. */
cst_context *gradient_context(void);

/* With a tape, for `discrete`; with a trajectory; or undoable. */
typedef struct taped {
  cst_context *ctx;
  problem p;
  solve s;
  cst_tape *tape;
  cst_trajectory *trajectory;
  cst_solver_type type;
  cst_integrator_config config; /* to be changed before the first run */
  cst_options *options;         /* of the solver */
  bool undoable;                /* the tape is left alone: the run keeps its end */
  const double *times;
  size_t n;
  field_fn *field;
} taped;

/* hermite: without the dense output of the stepper. Steps of 0.17 for one that has no others. */
void taped_new(taped *t, cst_context *ctx, size_t rows, field_fn *field, cst_dtype d, const char *solver,
               bool hermite, size_t budget);
/* The same of a type that is at hand, with its dense output. */
void taped_with(taped *t, cst_context *ctx, size_t rows, field_fn *field, cst_dtype d, const cst_solver_type *solver,
                size_t budget);
/* The solver's one option. */
void taped_option(taped *t, const char *name, double value);
/* A trajectory, under the budget, takes the place of the tape. */
void taped_follow(taped *t, size_t budget);
cst_status taped_solve(taped *t, const double *y0, const double *times, size_t n, bool stops);
double taped_loss(const taped *t);
/* The gradient of the steps by differences of order 4 in y0, theta and times, the steps replayed; times that steps
 * stop at do not move in a replay and are left out. Leaves no record behind. */
void taped_differences(taped *t, const double *y0, gradient *g);
void taped_free(taped *t);

const cst_gradient_type *method_type(cst_context *ctx, const char *name);
/* One option given, the others as they are. */
cst_options *options_of(cst_context *ctx, const cst_gradient_type *m, const char *name, cst_option_kind kind,
                        double value, const char *string);
void *method_new(taped *t, const cst_gradient_type *m, const cst_options *o);
cst_status method_run(taped *t, const cst_gradient_type *m, void *state, gradient *g, cst_solve_stats *stats);
/* All of it with default options: how it went; or, by method_of, it has to go well. */
cst_status method_pull(taped *t, const char *name, gradient *g, cst_solve_stats *stats);
void method_of(taped *t, const char *name, gradient *g, cst_solve_stats *stats);
