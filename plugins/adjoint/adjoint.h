/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Plugin adjoint: gradients of a solve. For losses L(z(t_0), ..., z(t_T)) with cotangents
 * g_i = dL/dz(t_i), each type computes dL/dy0, dL/dtheta (all captures) and dL/dt_i.
 */
#pragma once
#include "costate/plugin.h"

/* Cubic Hermite interpolation, for steppers without a dense output of their own: adds the cotangent
 * of the value at x of the step `s` (with h, v of `v`) to those of y, f0, y1, f1. *x_bar and *h_bar
 * accumulate when not NULL. */
void adjoint_hermite_vjp(const cst_host *host, const cst_taped_step *s, const cst_step_vjp *v,
                         double x, const void *out_bar, void *y1_bar, void *f1_bar, double *x_bar);

/* The walk back through the steps of a solve (walk.c): the state of the gradients that take it. */
typedef struct adjoint_walk {
  const cst_host *host;
  const cst_options *solver_options; /* of the forward solve, whose plan keeps them */
  size_t size, vectors_of_f; /* of a scalar; in a block f */
  unsigned char *vectors;    /* of all the following */
  void *y_bar[2], *f_bar[2], *out_bar, *slope;
} adjoint_walk;

cst_status adjoint_walk_accepts(const cst_host *host, const char *gradient, const cst_solver_type *s);
cst_status adjoint_walk_new(const cst_gradient_config *c, void **state);
void adjoint_walk_free(const cst_host *host, void *state);
/* y0 (unless NULL): the state at the start as the first step has it; NULL when there was no step. */
cst_status adjoint_walk_back(const adjoint_walk *w, const cst_solve_pullback *p, const void **y0);

/* *array holds n elements of `size` bytes; what it held before is gone if it had to grow (grow.c). */
cst_status adjoint_grow(const cst_host *host, void *array, size_t *capacity, size_t n, size_t size);

/* Time k as the field is asked there: where it jumps, in the step that ends at that time, and at the start, or at a
 * time that repeats it, in the one that begins (side.c). */
double adjoint_side(const cst_solve_pullback *p, size_t k);

/* Whether a solver stops at a field without a Jacobian; one with steps of its own choice has differences for it. */
static inline bool adjoint_needs_jacobian(const cst_solver_type *s) {
  return s->traits & CST_IMPLICIT && !(s->traits & CST_SELF_CONTROLLED);
}

extern const cst_gradient_type adjoint_discrete, adjoint_reversible, adjoint_backsolve, adjoint_interpolating,
    adjoint_forward, adjoint_finite;
