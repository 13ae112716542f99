/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the files of plugin sundials share. Bottom-up: field (a cst_rhs as SUNDIALS calls it, error
 * weights), jacobian (matrices and products), linear (linear solvers), cvode and arkode (their calls
 * as one set), failure (their flags as statuses), engine (one integration memory), step (the solver).
 *
 * SUNDIALS: Hindmarsh, Brown, Grant, Lee, Serban, Shumaker, Woodward, ACM TOMS 31 (2005); CVODE: Cohen,
 * Hindmarsh, Computers in Physics 10 (1996); ARKODE: Reynolds, Gardner, Woodward, Chinomona, ACM TOMS 49
 * (2023). Everything here is of one row, in f64.
 */
#pragma once
#include <costate/plugin.h>
#include <float.h>
#include <math.h>
#include <nvector/nvector_serial.h>
#include <sundials/sundials_linearsolver.h>
#include <sundials/sundials_matrix.h>
#include <sundials/sundials_nonlinearsolver.h>

_Static_assert(sizeof(sunrealtype) == sizeof(double), "a SUNDIALS of double precision");

typedef struct engine engine;

/* Since the last restart. */
typedef struct sun_counts {
  long steps, error_failures, convergence_failures;
  int order;
  double last_h;
} sun_counts;

/* CVODE and ARKODE as one set of calls; results are their flags, 0 is success. */
typedef struct sun_method {
  int family; /* of CVODE: CV_ADAMS or CV_BDF */
  const char *hint; /* what to try when it does not get on */
  int (*make)(engine *e, double t);
  void (*free)(engine *e);
  /* Begins at (t, e->y). h: the first step to try, 0: it is chosen. */
  int (*restart)(engine *e, double t, double h);
  /* One step of its own, not past t1: *end and e->y are where it ended. */
  int (*advance)(engine *e, double t1, double *end);
  /* A derivative (0: the value) of the solution inside the last step. NULL: it has none as accurate as
   * the solution. */
  int (*inside)(engine *e, double t, int derivative, N_Vector out);
  void (*counts)(engine *e, sun_counts *c);
  /* Of the last attempt: its estimated errors and their weights. */
  int (*errors)(engine *e, N_Vector error, N_Vector weight);
} sun_method;

extern const sun_method sun_cvode_bdf, sun_cvode_adams, sun_ark_dirk;

typedef enum sun_linear { SUN_AUTO, SUN_DENSE, SUN_BANDED, SUN_KRYLOV } sun_linear;

typedef struct stepper {
  const cst_host *host;
  const cst_solver_type *type;
  const sun_method *method;
  int order;               /* of ark_dirk; the highest of cvode_* */
  sun_linear linear;
  bool fixed_point;        /* instead of Newton */
  int64_t lower, upper;    /* bandwidths; -1: what the field says */
  int krylov, most_inner;
  engine *main;            /* goes on from step to step */
  engine *aside;           /* takes shorter steps for values inside a step; made when first asked for */
} stepper;

struct engine {
  stepper *of;
  SUNContext context;
  void *memory;            /* of CVODE or ARKODE */
  N_Vector y, out;         /* where the last step ended; a vector over somebody's numbers */
  SUNMatrix matrix;
  SUNLinearSolver linear;
  SUNNonlinearSolver nonlinear;
  double *jac;             /* a whole Jacobian as the field gives it */
  size_t n, n_stage;
  size_t lower, upper;     /* bandwidths of the matrix */
  size_t field_lower, field_upper; /* as the field had them when this was made */
  bool has_jvp, has_jacobian, banded;
  bool valid;              /* the history ends at (t, y) */
  double t, direction;
  double heading;          /* of ARKODE: the direction that its memory goes in; 0: none yet */
  /* of the step under way */
  cst_rhs *rhs;
  double start, end;       /* nothing is evaluated outside of them */
  double rtol, atol;
  const cst_span *controlled;
  size_t n_controlled;
  cst_status status;       /* of the field, when it failed for good */
  cst_status trouble;      /* RETRY or ENONFINITE: the field's latest answer of this kind in this step, */
  double trouble_t;        /*   where it was, */
  size_t trouble_at;       /*   and of which component; SIZE_MAX: none */
  const char *trouble_of;
  size_t no_weight;        /* a component whose tolerance is 0; SIZE_MAX: none */
  char text[256];          /* what SUNDIALS said */
};

#define SUN_TRY(call)           \
  do {                          \
    int sun_flag_ = (call);     \
    if (sun_flag_) return sun_flag_; \
  } while (0)

static inline double *sun_data(N_Vector v) { return N_VGetArrayPointer_Serial(v); }

/* SUNDIALS takes times closer than this for one. */
static inline double sun_least(const engine *e) { return 100 * DBL_EPSILON * fabs(e->t); }

/* field.c */
double sun_clamp(const engine *e, double t);
/* The answer for SUNDIALS to a call of the field with this result: 0, 1 (a smaller step may help), -1. */
int sun_answer(engine *e, cst_status st, double t, const double *values, size_t n, const char *of);
int sun_field(sunrealtype t, N_Vector y, N_Vector dy, void *engine_);
int sun_weights(N_Vector y, N_Vector weight, void *engine_);
void sun_keep_text(int code, const char *module, const char *function, char *text, void *engine_);

/* jacobian.c */
int sun_jacobian(sunrealtype t, N_Vector y, N_Vector fy, SUNMatrix jac, void *engine_, N_Vector a, N_Vector b,
                 N_Vector c);
int sun_product(N_Vector v, N_Vector jv, sunrealtype t, N_Vector y, N_Vector fy, void *engine_, N_Vector a);

/* linear.c: fills matrix, linear or nonlinear of an engine. */
cst_status sun_linear_new(engine *e);
void sun_linear_free(engine *e);

/* failure.c */
enum { SUN_STANDS_STILL = -1000 }; /* beside the flags of SUNDIALS: a step that does not move t */
cst_status sun_failure(engine *e, int flag);
void sun_remark(void *state, char *text, size_t size);

/* engine.c */
bool sun_engine_fits(const engine *e, const cst_rhs *f);
cst_status sun_engine_new(stepper *s, const cst_rhs *f, engine **out);
void sun_engine_free(engine *e);
/* From (in->t, in->y) towards t1; *end is where it ended, which with `whole` is t1. */
cst_status sun_engine_go(engine *e, const cst_step *in, double t1, bool whole, double first_h, double *end);

/* step.c */
cst_status sun_create(const cst_solver_config *c, void **state);
void sun_destroy(const cst_host *host, void *state);
cst_status sun_reset(void *state);
cst_status sun_step(void *state, cst_step *in);
cst_status sun_dense(void *state, const cst_step *in, double theta, void *y, void *slope);
