/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Steppers whose steps can be undone to round-off. What they carry from step to step beside y makes that
 * possible, and has a price: a second root of the difference equation, which no step damps. For y' = mu y the
 * product of both roots is 1 in modulus (for a coupling or damping d below 1: about d a step, or 2 d - 1). Where
 * the field damps as exp(-c t), the second therefore grows as exp(c t), and rounding on the way back as well as
 * errors on the way there with it: these methods are for fields that oscillate, or damp little over the span. A
 * coupling of 0.9 holds the second root down for c h < 0.1, and costs a digit in 22 steps of the way back.
 *
 * Quadrature parts need no care of their own here: they are carried as all else is, and f does not read them.
 */
#pragma once
#include "costate/plugin.h"

enum { REV_STAGES = 7, REV_DEGREE = 4 };

/* An explicit Runge-Kutta method Psi, data of the coupled pair (couple.h). */
typedef struct rev_method {
  int stages;
  const double *a; /* strictly lower triangle, row by row */
  const double *b, *c;
  const double *e; /* stages + 1 numbers: the estimate h sum e_i k_i, the last slope being f(t1, y1); NULL: none */
  const double *p; /* dense output of degree `degree` on the same slopes; NULL: cubic Hermite */
  int degree;
} rev_method;

typedef struct rev {
  const cst_host *host;
  cst_combine_fn *combine;
  cst_error_sum_fn *error_sum;
  uint8_t dtype;
  size_t size;            /* of a scalar */
  size_t stride;          /* of the vectors below, in bytes */
  double factor;          /* the option: damping or coupling; 1 of a type without one */
  unsigned char *vectors; /* of steps */
  /* The rest is of the coupled pair. */
  const rev_method *method;
  unsigned char *work;    /* of its transpose, made when first asked for */
  const unsigned char *last; /* slopes of the latest step */
  bool pending;           /* cotangents of outputs were given */
} rev;

/* A state with so many vectors. `option` names the factor, which lies above `least`; NULL: there is none. */
cst_status rev_new(const cst_solver_config *c, size_t vectors, const char *option, double least, rev **out);
void rev_destroy(const cst_host *host, void *state);

static inline unsigned char *rev_vector(const rev *r, size_t k) { return r->vectors + k * r->stride; }
/* Vector k of a block. */
static inline unsigned char *rev_part(const rev *r, const cst_rhs *f, const void *block, size_t k) {
  return (unsigned char *)(uintptr_t)block + k * f->n * r->size;
}
/* y += c x over n scalars */
static inline void rev_add(const rev *r, size_t n, double c, const void *x, void *y) {
  r->combine(n, y, 1, &c, &x, y);
}
/* dy = f(t, y), keeping its residual unless that is NULL. */
static inline cst_status rev_evaluate(cst_rhs *f, double t, const void *y, void *dy, void *residual) {
  return residual ? f->eval_keep(f, &t, y, dy, residual) : f->eval(f, &t, y, dy);
}
/* y_bar += lambda^T df/dy; t moves with the start and by `share` with h. */
cst_status rev_pull(const cst_step_vjp *v, double t, double share, const void *residual, const void *lambda,
                    void *y_bar);
/* The estimate sum c_i k_i as the driver wants it, if it does. */
void rev_estimate(const rev *r, const cst_step *s, size_t n, const double *c, const void *const *k);

/* A block [f(t, y), y]: start, and its transpose. */
cst_status rev_start_copy(void *state, const cst_step *s, void *f0);
cst_status rev_start_copy_vjp(void *state, cst_rhs *f, const void *f0_bar, void *y_bar);

extern const cst_solver_type rev_alf, rev_heun, rev_rk3, rev_rk4, rev_dopri5;
