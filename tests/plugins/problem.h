/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Differential equations for the tests of solvers and gradients. A field is written once over
 * complex numbers, so that every derivative is at hand to round-off by the complex step
 * f'(x) = Im f(x + i s)/s, s = 1e-30, without a line of differentiation to get wrong.
 */
#pragma once
#include <complex.h>

#include "costate/registry.h"
#include "ode/integrate.h"
#include "ode/tape.h"

typedef double complex number;

enum { MAX_D = 8, MAX_THETA = 4, MAX_ROWS = 5, MAX_N = MAX_ROWS * (MAX_D + 1) };

/* One row: dy [d] and the quadrature dq [q] from t, y [d], theta. */
typedef void field_fn(number t, const number *y, const number *theta, number *dy, number *dq);

typedef struct problem {
  cst_rhs rhs;
  cst_part part[2];
  field_fn *field;
  size_t d, q;                /* stage and quadrature scalars a row */
  double theta[MAX_THETA];
  double theta_bar[MAX_THETA]; /* where pullback accumulates */
  size_t n_theta;
  double low, high;           /* of the times the field was asked for */
  double bad_after;           /* NaN from this time on */
} problem;

extern field_fn field_rotation; /* y' = theta0 J y: y rotates */
extern field_fn field_lotka;    /* Lotka-Volterra; q' = y0 y1 + t theta0 */
extern field_fn field_forced;   /* y' = -theta0 y + theta1 sin(theta2 t) */
extern field_fn field_blow_up;  /* y' = y^2 */
extern field_fn field_pair;     /* rotation of (y0, y1) and y2' = -y2: q' = y0 */
extern field_fn field_duffing; /* y'' = -y - y^3 + cos(t)/2; q' = y^2 */
extern field_fn field_stepped;  /* y0' = -theta0 y0 + u, y1' and q' likewise driven by u, which jumps at breaks */
extern field_fn field_van_der_pol; /* mu = 1000 */
extern field_fn field_oregonator, field_hires; /* stiff, d = 3 and 8 */
extern field_fn field_robertson; /* his stiff reaction, d = 3; theta0 .. 2 scale its rates */
extern field_fn field_fast;     /* y' = -y/1000; q' = y sin(20 t) */

/* Where field_stepped jumps, and the value of u after k of these breaks. */
enum { N_BREAKS = 8 };
extern const double problem_breaks[N_BREAKS];
double problem_level(size_t k);

void problem_init(problem *p, field_fn *field, cst_dtype dtype, size_t rows, size_t d, size_t q);
/* y [rows (d + q)] and everything it depends on in complex numbers, for the forward derivatives. */
void problem_slope(const problem *p, number t, const number *y, const number *theta, number *dy);
double problem_get(const problem *p, const void *v, size_t i);
void problem_set(const problem *p, void *v, size_t i, double x);

/* A context with the plugins rk, reversible and adjoint. */
cst_context *ode_context(void);
cst_context *ode_context_with(const char *plugin); /* and with this one */
const cst_solver_type *ode_solver(cst_context *ctx, const char *name);

/* The solvers of the registry for which is(entry) holds. */
#define SOLVERS_THAT(ctx, is, t)                                        \
  for (size_t i_ = 0; i_ < cst_entry_count(ctx, CST_KIND_SOLVER); i_++) \
    for (const cst_solver_type *t = ode_solver_at(ctx, i_, is); t; t = NULL)
const cst_solver_type *ode_solver_at(cst_context *ctx, size_t i, bool (*is)(const cst_entry *e));
bool is_ordinary(const cst_entry *e); /* explicit, of one step, for fields without noise or structure */
bool is_reversible(const cst_entry *e);
bool is_rk(const cst_entry *e);       /* of that plugin, as the next */
bool is_esdirk(const cst_entry *e);
/* A stepper with its options as they are by default, which it must not look at any more. */
cst_status ode_create(cst_context *ctx, const cst_solver_type *t, const problem *p, void **state);
/* Whether a solver is a coupled pair; options by default, but with this coupling. */
bool ode_has_coupling(const cst_solver_type *t);
cst_status ode_coupled(cst_context *ctx, const cst_solver_type *t, double coupling, cst_options **o);
/* Scalars of what a solver has as f0 and f1; f0 where a solve begins. */
size_t ode_block(const cst_solver_type *t, const problem *p);
cst_status ode_begin(const cst_solver_type *t, void *state, problem *p, double time, const void *y, void *f0);

cst_integrator_config ode_config(cst_context *ctx, const char *solver, const problem *p);

/* One solve whose values are gathered. */
typedef struct solve {
  cst_integrator *integrator;
  problem *p;
  double value[64][MAX_N];
  double y[MAX_N]; /* of doubles or floats: in and out */
  size_t given;
  cst_solve_stats stats;
  cst_schedule schedule;
  cst_integration run;
} solve;
void solve_init(solve *s, cst_context *ctx, const cst_integrator_config *c, problem *p);
cst_status solve_run(solve *s, const double *y0, const double *times, size_t n);
void solve_free(solve *s, cst_context *ctx);
