/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the methods of the continuous adjoint share: backsolve, interpolating, quadrature.
 *
 *     dlambda/dt = -lambda^T df/dz                lambda += g_i at t_i
 *     dG/dt = -lambda^T df/dtheta                 G(t1) = 0, G(t0) = dL/dtheta
 *
 * is solved as one state [z, lambda | G], z and G where the method carries them, from the last time to
 * the first in one integration that stops at the outputs and keeps its step size there. Then dL/dy0 =
 * lambda(t0), and
 *
 *     dL/dt_i = g_i . f(z_i, t_i)  (i > 0),       dL/dt_0 = -lambda(t0) . f(z_0, t0)
 *
 * with lambda(t0) before g_0 is added. G is a quadrature part of that state. Quadrature parts of the
 * forward state have a lambda that only jumps: it is held beside the state.
 */
#pragma once
#include "adjoint.h"

typedef struct continuous continuous;

typedef struct continuous_kind {
  const char *name;
  size_t bytes;  /* of the method's own state, which begins with a `continuous` */
  bool z, theta; /* what the state carries beside lambda */
  bool seminorm; /* G does not count in the error norm, unless the options say otherwise */
  /* The equation backwards; jacobian and jvp are for implicit solvers and may be NULL. */
  cst_status (*eval)(cst_rhs *self, const double *t, const void *y, void *dy);
  cst_status (*jacobian)(cst_rhs *self, const double *t, const void *y, void *jac, void *dfdt);
  cst_status (*jvp)(cst_rhs *self, const double *t, const void *y, const void *y_dot, double t_dot, void *dy,
                    void *dy_dot);
  /* Optional: the steps down to an output are taken, lambda has not jumped there yet. */
  cst_status (*reached)(continuous *b);
} continuous_kind;

struct continuous {
  const continuous_kind *kind;
  const cst_host *host;
  const cst_options *options;
  cst_integrator *integrator;
  const cst_solver_type *solver; /* backwards */
  double rtol, atol, step;       /* the same */
  size_t size, n_theta;          /* of a scalar; scalars of G in this run, at first the most there are */
  cst_part *part;
  size_t part_capacity;
  unsigned char *vectors;
  unsigned char *y;      /* the state */
  unsigned char *lambda; /* -lambda for the field; its tail, the quadrature parts, lives here only */
  unsigned char *value, *bar, *slope, *probe;
  unsigned char *moved[2]; /* states, made when first asked for */
  size_t moved_capacity[2];
  const cst_solve_pullback *p; /* of the present call */
  size_t hint;           /* the step of the trajectory asked for last */
  cst_rhs rhs;           /* backwards */
  double *times;         /* the same */
  size_t times_capacity;
};

/* With the options rtol, atol, seminorm and solver, where the method has them. *state: only on success, and zero
 * behind the `continuous`. */
cst_status continuous_create(const cst_gradient_config *c, const continuous_kind *kind, void **state);
/* The two are slots of a method that adds nothing. */
void continuous_destroy(const cst_host *host, void *state);
cst_status continuous_pullback(void *state, const cst_solve_pullback *p);
/* Solves backwards and gives what lambda, the times and G have; `lambda` (may be NULL) receives the solution. */
cst_status continuous_run(continuous *b, const cst_solve_pullback *p, cst_trajectory *lambda);

/* z_bar = -lambda^T df/dz and theta_bar = -lambda^T df/dtheta at (t, z), and dz = f there; each may be NULL.
 * With `tail` the quadrature parts have their share in lambda. */
cst_status continuous_pull(continuous *b, double t, const void *z, const void *lambda, bool tail, void *dz,
                           void *z_bar, void *theta_bar);
/* Adds G to the cotangents of the captures. */
void continuous_give_theta(continuous *b, const void *theta);
bool continuous_wants_theta(const cst_solve_pullback *p);

static inline size_t continuous_stage_bytes(const continuous *b) { return b->p->rhs->n_stage * b->size; }

/* equation.c: the equation of lambda (and G), z being the forward trajectory's. */
const void *continuous_state(continuous *b, double t); /* valid until the next call */
cst_status continuous_equation(cst_rhs *self, const double *t, const void *y, void *dy);
cst_status continuous_jacobian(cst_rhs *self, const double *t, const void *y, void *jac, void *dfdt);
cst_status continuous_jvp(cst_rhs *self, const double *t, const void *y, const void *y_dot, double t_dot, void *dy,
                          void *dy_dot);
/* solver.c: the stepper backwards for a method with a choice, G in its state or not; NULL: there is none, with a
 * message. */
const cst_solver_type *continuous_solver(const cst_host *host, const char *name, const cst_solver_type *forward,
                                         bool theta);
cst_status continuous_accepts(const cst_host *host, const cst_solver_type *s);

#define CONTINUOUS_TOLERANCES                                                                             \
  {"rtol", CST_NUMBER, .range = {0, 1}, .help = "relative tolerance backwards; 0: as forwards"},          \
  {"atol", CST_NUMBER, .range = {0, 1e9}, .help = "absolute tolerance backwards; 0: as forwards"}
#define CONTINUOUS_SOLVER                                                                                  \
  {"solver", CST_STRING, .string = "",                                                                    \
   .help = "solver backwards; none: the forward one, or where that does not suit one of rk or esdirk"}
