/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the files of the plugin share. The driver keeps the loop: only single steps are GSL's
 * (gsl_odeiv2_step_apply). Bottom-up: quiet (GSL's handler of errors), stepper (one step of any
 * method), explicit, implicit, multistep (the types), gsl (init).
 */
#pragma once
#include <costate/plugin.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_odeiv2.h>

/* ---- quiet.c: GSL's handler of errors is one for the process, and aborts by default ---- */

/* While a stepper exists, errors in a step are ours and silent, all others go where they went before. */
void quiet_acquire(void);
void quiet_release(void);
void quiet_renew(void); /* at the start of a solve: someone may have set another handler since */
/* From now on errors on this thread set *raised (NULL: they are not ours). Returns what it was before. */
bool *quiet_listen(bool *raised);

/* ---- stepper.c ---- */

typedef struct method {
  const gsl_odeiv2_step_type *const *gsl; /* its variable: no constant at compile time */
  double newton; /* how well its equations are solved, as a part of the tolerance; 0: it does not ask */
  bool mean;     /* GSL measures that by the root mean square, else by the sum of squares */
  double scale;  /* of GSL's estimate of the error; 0: it is taken as it is */
} method;

typedef struct stepper {
  const cst_host *host;
  const cst_solver_type *type;
  gsl_odeiv2_step *step;
  gsl_odeiv2_control control; /* all that GSL's steppers read of a driver is this, */
  gsl_odeiv2_driver driver;   /*   and of it only the error level of a component */
  double *error;              /* for a caller who wants none */
  double *part, *part_slope;  /* state and slope within a shorter step */
  size_t n;                   /* scalars that step and error are made for */
  cst_step *in;               /* the step under way */
  double rtol, atol, weight;  /* of its error levels */
  cst_status status;          /* of the last call of the field */
  unsigned evaluations;       /* in this step */
  int code;                   /* GSL's result */
} stepper;

cst_status stepper_open(stepper *s, const cst_solver_config *c);
void stepper_close(stepper *s);
/* One step, in->error and in->y1 written. OK: all is finite. */
cst_status stepper_apply(stepper *s, cst_step *in);

/* The slots of one-step methods; their state is a stepper. */
cst_status stepper_create(const cst_solver_config *c, void **state);
void stepper_destroy(const cst_host *host, void *state);
cst_status stepper_reset(void *state);
cst_status stepper_step(void *state, cst_step *in);
cst_status stepper_dense(void *state, const cst_step *in, double theta, void *y, void *slope);

/* ---- the types, ending with one that has no name ---- */

extern const cst_solver_type explicit_types[], implicit_types[], multistep_types[];
