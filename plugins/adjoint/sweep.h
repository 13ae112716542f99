/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Gradients by directions. With L = sum_i g_i . z_i, a direction of the inputs gives
 *
 *     dL = sum_i g_i . dz_i
 *
 * and the gradient is that of unit directions: one for each scalar of y0 and of the captures. Where rows do not
 * meet, one direction moves the same scalar in all rows, and each row has the part of the sum that is its own.
 * Quadrature parts need none: nothing depends on them, so dL/dy0 = sum_i g_i there. Times are the method's affair.
 */
#pragma once
#include "adjoint.h"

typedef struct adjoint_sweep adjoint_sweep;
/* Of the method: the increment of a scalar that is x among others whose root mean square is scale, and the derivative
 * times increments along the direction that y0_dot (capture SIZE_MAX) or capture_dot (of that capture) holds, collected
 * in `slope`. */
typedef double adjoint_increment_fn(const adjoint_sweep *s, double x, double scale);
typedef cst_status adjoint_along_fn(adjoint_sweep *s, size_t capture);

struct adjoint_sweep {
  const cst_host *host;
  const cst_options *options;
  size_t size;                 /* of a scalar */
  unsigned char *memory;       /* of the vectors that follow */
  unsigned char *y0, *y0_dot;  /* state vectors */
  unsigned char *capture_dot;  /* room for the largest capture, */
  unsigned char *moved;        /* and once more, or for a state vector */
  unsigned char *bar;          /* state vector */
  double *slope;               /* by row: result of `along` */
  double *scale;               /* by row: of the scalars that directions move by turns, see `increment` */
  const void **captures;       /* NULLs, but for the one that moves */
  size_t captures_capacity;
  double *times;               /* four vectors of n_times */
  size_t times_capacity;
  const cst_solve_pullback *p; /* of the present call */
  double noise;                /* relative jumps of a solve that is repeated: rounding, or what the solver decides anew */
  double weight;               /* of what adjoint_sweep_collect adds */
  adjoint_increment_fn *increment;
  adjoint_along_fn *along;
};

/* Every solver: each repeats its steps, and takes those of a tangent field. */
cst_status adjoint_sweep_accepts(const cst_host *host, const cst_solver_type *s);
cst_status adjoint_sweep_new(const cst_gradient_config *c, adjoint_increment_fn *increment, adjoint_along_fn *along,
                             void **state);
void adjoint_sweep_free(const cst_host *host, void *state);
/* Before anything else in a pullback. */
cst_status adjoint_sweep_enter(adjoint_sweep *s, const cst_solve_pullback *p);
/* y0_bar and capture_bar. */
cst_status adjoint_sweep_inputs(adjoint_sweep *s);
/* Is `at` of a solve, arg = the sweep: slope[row] += weight g_i . z_i, of that row. */
cst_status adjoint_sweep_collect(void *arg, size_t i, const void *z);
/* *sum = the slopes of all rows, which are zero after. */
double adjoint_sweep_take(adjoint_sweep *s);
/* Whether the solver decides more than its steps: multistep ones their order, those with control of their own
 * the steps within a step. */
bool adjoint_sweep_decides(const cst_solver_type *s);
/* *product = g_i . f(z_i, t_i): what moves value i along the field; 0 where that is not defined. */
cst_status adjoint_sweep_field(adjoint_sweep *s, size_t i, double *product);
