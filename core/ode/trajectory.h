/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A trajectory: the solution of a run at any time of its span, from any stepper.
 *
 * Of every step it keeps the values at the Chebyshev-Lobatto points of its degree d,
 *
 *     y(t + x_j h),   x_j = (1 - cos(pi j/d))/2,   j = 0 .. d,
 *
 * and gives the polynomial through them by the second barycentric formula, in which the weights of
 * these points are w_j = (-1)^j, halved at both ends:
 *
 *     y(t + x h) = sum_j c_j y_j / sum_j c_j,   c_j = w_j / (x - x_j)
 *
 * (Berrut, Trefethen, "Barycentric Lagrange interpolation", SIAM Review 46, 2004; stable at these points:
 * Higham, IMA Journal of Numerical Analysis 24, 2004). A dense output that is a polynomial of degree d or
 * less is reproduced to round-off; one that is not (shorter steps from the same start: GSL's one-step
 * methods, ARKODE) up to the order it has. y_0 is y_d of the step before, and is kept again only where
 * the state jumped between the two.
 *
 * Only the stage parts are kept: nothing depends on the others. Values lie on a tape, its own or that of
 * another trajectory it lies behind; the budget is the tape's. Invariant: blocks of this trajectory lie
 * between the places `origin` and `end` of the tape.
 */
#pragma once
#include "ode/tape.h"

enum { CST_MOST_DEGREE = 24 };

typedef struct cst_trajectory_step {
  double t, h;
  const unsigned char *first; /* y_0 */
  unsigned char *rest;        /* y_1 .. y_d */
} cst_trajectory_step;

struct cst_trajectory {
  cst_context *ctx;
  cst_tape *own, *tape; /* the latter is in use */
  cst_tape_place origin, end;
  uint8_t dtype;
  size_t bytes; /* of a value */
  size_t n;     /* scalars of it */
  int degree;
  double node[CST_MOST_DEGREE + 1];
  cst_trajectory_step *steps;
  size_t n_steps, capacity;
  bool joined; /* the next step begins with what the last one ended with */
};

cst_status cst_trajectory_new(cst_context *ctx, size_t budget, cst_trajectory **out);
void cst_trajectory_free(cst_trajectory *y);
/* The slots of the host table, see there. */
void cst_trajectory_clear(cst_trajectory *y, const cst_trajectory *behind);
size_t cst_trajectory_steps(const cst_trajectory *y);
void cst_trajectory_step_at(const cst_trajectory *y, size_t k, double *t, double *h);
size_t cst_trajectory_find(const cst_trajectory *y, double t, size_t hint);
void cst_trajectory_value(const cst_trajectory *y, size_t k, double x, void *out);

/* ---- for the driver ---------------------------------------------------------------------------------- */

/* Empties it for values of n scalars. */
void cst_trajectory_begin(cst_trajectory *y, uint8_t dtype, size_t n, int degree);
/* One more step from state y0; *rest is to be filled with y_1 .. y_d. ENOMEM, without a message: there is no
 * room. */
cst_status cst_trajectory_push(cst_trajectory *y, double t, double h, const void *y0, unsigned char **rest);
/* The state jumped: the next step does not begin where the last one ended. */
void cst_trajectory_part(cst_trajectory *y);
/* Of the tape it lies on: in use now, and the most since it was empty. */
size_t cst_trajectory_bytes(const cst_trajectory *y);
size_t cst_trajectory_peak(const cst_trajectory *y);
