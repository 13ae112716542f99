/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Interfaces of ordinary differential equations: what a stepper sees of a field (cst_rhs), what the
 * driver hands to a stepper (cst_step), and what a gradient method is given.
 *
 * A state is one contiguous vector of the graph's float type: its parts one after another, each
 * [rows, n_p]; parts flagged QUADRATURE stand last. Times and step sizes are f64.
 */
#pragma once
#include "costate/option.h"
#include "costate/types.h"

enum {
  CST_PART_QUADRATURE = 1,  /* the field does not depend on it: no stages are kept for it */
  CST_PART_UNCONTROLLED = 2 /* does not count in the error norm (the seminorm of an adjoint) */
};

typedef struct cst_part {
  const char *name;
  uint32_t flags;
  size_t n;      /* scalars a row (0 rows-independent parts do not exist: see `once`) */
  bool once;     /* not per row: n scalars in all (the parameter part of a backward solve) */
  size_t offset; /* of its first element in the state vector, for the present number of rows */
} cst_part;

/* ---- the field as a stepper sees it ------------------------------------------------------- */

typedef struct cst_rhs cst_rhs;
struct cst_rhs {
  uint32_t struct_size;
  uint8_t dtype;    /* CST_F32 or CST_F64, of every state vector */
  uint8_t per_row;  /* t has one entry a row */
  size_t rows;      /* active rows */
  size_t n;         /* scalars of a state vector */
  size_t n_stage;   /* those before the quadrature parts: what the field reads */
  const cst_part *parts;
  size_t n_parts;
  size_t residual_bytes; /* of one evaluation kept for pullback; multiple of 64 */
  void *self;            /* of whoever made this rhs */
  uint64_t evaluations, pullbacks; /* counted by the functions below */
  const char *(*name_of)(cst_rhs *f, size_t component, char *text, size_t size); /* optional */

  /* Of every y and y_bar below only the n_stage scalars of the stage parts are read or touched; dy
   * and lambda have all n. Functions are called from one thread at a time. */

  /* dy = f(t, y). REQUIRED. Status RETRY: not defined there, a smaller step may help. */
  cst_status (*eval)(cst_rhs *f, const double *t, const void *y, void *dy);
  /* The same, leaving in `residual` what pullback needs (NULL: as eval). Optional. */
  cst_status (*eval_keep)(cst_rhs *f, const double *t, const void *y, void *dy, void *residual);
  /* y_bar += lambda^T df/dy, *t_bar += lambda^T df/dt (t_bar may be NULL), and the cotangents of
   * captures accumulate where the rhs was told to. Optional. */
  cst_status (*pullback)(cst_rhs *f, const double *t, const void *residual, const void *lambda,
                         void *y_bar, double *t_bar);
  /* All in one pass: dy = f(t,y); y_bar = lambda^T df/dy; *t_bar = lambda^T df/dt; capture_bar =
   * lambda^T df/dcapture as one flat vector of n_captures scalars (each NULL: not computed; all
   * overwritten). Optional. */
  cst_status (*vector_jacobian)(cst_rhs *f, const double *t, const void *y, const void *lambda,
                                void *dy, void *y_bar, double *t_bar, void *capture_bar);
  size_t n_captures;
  /* dy = f(t,y), dy_dot = df/dy y_dot + df/dt t_dot. Optional: there for IMPLICIT solvers. */
  cst_status (*jvp)(cst_rhs *f, const double *t, const void *y, const void *y_dot, double t_dot,
                    void *dy, void *dy_dot);
  /* J [rows, D, D] row-major (D = scalars a row of the stage parts, one part after another), dfdt
   * [rows, D]; either may be NULL. With lower/upper bandwidth < D only the band is meaningful, the rest
   * is zero. For more than one row the rows must not depend on each other (UNSUPPORTED, naming the op
   * that mixes them). Optional: there for IMPLICIT solvers. */
  cst_status (*jacobian)(cst_rhs *f, const double *t, const void *y, void *jac, void *dfdt);
  size_t lower, upper; /* bandwidths of the Jacobian; SIZE_MAX when dense */
};

/* Noise increments of a Brownian path: a function of (row id, t, h). Optional service. */
typedef struct cst_noise cst_noise;
struct cst_noise {
  uint32_t struct_size;
  size_t channels;
  void *self;
  cst_status (*increment)(cst_noise *w, const double *t, const double *h, void *dw);
};

/* Memory of a solve that outlives a step; rewound when a step is rejected. */
typedef struct cst_tape cst_tape;

/* The solution of a run at any time in its span, from what its steps kept: see core/ode/trajectory.h. */
typedef struct cst_trajectory cst_trajectory;

/* Scalars first .. first + n - 1 of a state vector. */
typedef struct cst_span {
  size_t first, n;
} cst_span;

/* ---- steppers ----------------------------------------------------------------------------- */

/* One attempted step. The driver owns all vectors; lengths are rhs->n, those of f0 and f1 of a solver that
 * carries more than a slope (cst_solver_type.carry) (1 + carry) rhs->n. A stepper that fails leaves y, f0 and
 * its own history as before the call. */
typedef struct cst_step {
  uint32_t struct_size;
  cst_rhs *rhs;
  const double *t, *h;     /* one entry, or one a row when rhs->per_row; h may be negative */
  const double *t1;        /* t + h as the driver counts it: the exact end of a clipped step, so that
                              no evaluation falls outside the span; use it for stages with c = 1. Where
                              the field jumps at an end of the step, t or t1 lies a rounding inside */
  const void *y;
  const void *f0;          /* f(t, y), or the f1 of the step before; always given */
  const void *f0_residual; /* residual of that evaluation when tape is set; NULL: the f1 before had none */
  cst_noise *noise;        /* NULL unless the solver is stochastic */
  cst_tape *tape;          /* NULL: keep no record */
  bool dense_wanted;       /* `dense` may be called for this step: an output lies inside it */
  const cst_span *controlled; /* what counts in the error norm; no span crosses n_stage */
  size_t n_controlled;
  /* results */
  void *y1;
  void *f1;                /* f(t + h, y1), or what the solver carries, when its trait FSAL is set */
  void *f1_residual;       /* out: residual of that evaluation, inside the tape */
  void *error;             /* estimate y1 - y1_hat of an ADAPTIVE solver; NULL: not wanted */
  double *error_sum;       /* a solver that can writes the sum over `controlled` here (see error_sum
                              in cst_host) and leaves `error` alone; others leave it. May be NULL:
                              then `error` is to be written; both NULL: no estimate is wanted */
  double rtol, atol;
  void *record;            /* out: what vjp needs of this step, inside the tape */
  cst_status *row_status;  /* per_row: one a row; else NULL */
  int error_order;         /* out, of a solver whose order varies: that of this step's estimate; 0, as
                              the driver sets it: the type's */
  bool exact;              /* the step will be differentiated, now or when it is taken again, whether
                              there is a tape or not: implicit equations are solved to round-off */
  double *reached;         /* SELF_CONTROLLED: where the step ended, t1 or before it; holds t1. NULL:
                              it must end at t1 (fixed steps, replay) */
} cst_step;

/* The pullback of one accepted step, given its record. Adds to y_bar, f0_bar, t_bar, h_bar. With
 * y1 = Y(t, h, y, f0) (and f1 likewise), all four are partial derivatives: f0 is a variable of its
 * own, and h is held when t varies. */
typedef struct cst_step_vjp {
  uint32_t struct_size;
  cst_rhs *rhs;
  double t, h, t1;        /* as in cst_step */
  const void *record;
  const void *y, *y1;     /* kept by the driver */
  const void *f0;         /* f(t, y) of the step, kept by the driver */
  const void *f1;         /* f(t1, y1), kept by the driver (trait FSAL) */
  const void *f0_residual;
  const void *y1_bar;
  const void *f1_bar;     /* cotangent of f1 (trait FSAL), as long as f1; NULL: zero */
  void *y_bar, *f0_bar;
  double *t_bar, *h_bar;  /* NULL: not wanted */
} cst_step_vjp;

enum {
  CST_ADAPTIVE = 1,    /* gives an error estimate */
  CST_FSAL = 2,        /* gives f1 */
  CST_IMPLICIT = 4,
  CST_SYMPLECTIC = 8,
  CST_STOCHASTIC = 16,
  CST_REVERSIBLE = 32, /* `reverse` undoes a step to round-off. With FSAL f1 is carried: no function of (t1, y1) */
  CST_SINGLE = 64,     /* sees one row at a time: the driver loops over rows */
  CST_F64_ONLY = 128,
  CST_MULTISTEP = 256, /* has a history: reset at every discontinuity */
  /* Chooses its own steps under its own error control (of rtol, atol and `controlled`): t1 is only how
   * far a step may go, see `reached`, and its error is written as 0. It needs `dense`, and evaluates
   * the field itself: f0 is NULL unless the driver happens to know it. */
  CST_SELF_CONTROLLED = 512
};

typedef struct cst_solver_config {
  uint32_t struct_size;
  const cst_host *host;
  const struct cst_solver_type *type;
  const cst_options *options;
  uint8_t dtype;
  size_t rows, n, n_stage; /* capacities: no step has more */
} cst_solver_config;

typedef struct cst_solver_type {
  uint32_t struct_size;
  const char *name, *help;
  const cst_option *options; /* optional */
  const void *method;        /* of the engine: a tableau, a GSL type */
  int order;                 /* REQUIRED: of the propagated solution */
  int error_order;           /* ADAPTIVE: the estimate shrinks as h^(error_order + 1) */
  int dense_order;           /* of `dense`; without it, of cubic Hermite interpolation on f0 and f1; 0: 3 */
  uint32_t traits;
  cst_status (*create)(const cst_solver_config *c, void **state); /* REQUIRED; *state only on success */
  void (*destroy)(const cst_host *host, void *state);             /* REQUIRED */
  cst_status (*reset)(void *state);                               /* optional: forget history */
  cst_status (*step)(void *state, cst_step *s);                   /* REQUIRED */
  /* Optional: exact derivative of `step` (the discrete adjoint). */
  cst_status (*vjp)(void *state, cst_step_vjp *v);
  /* Optional: y(t + theta h) inside the step just taken (with s->dense_wanted) or, with `record`, a
   * recorded one. `slope` (may be NULL) is dy/dtheta. s->y1 and, with trait FSAL, s->f1 are valid.
   * NULL: the driver evaluates f1 and uses cubic Hermite interpolation. */
  cst_status (*dense)(void *state, const cst_step *s, double theta, void *y, void *slope);
  /* Optional, with `dense` and `vjp`: adds the cotangent `out_bar` of y(t + theta h) to what the next
   * `vjp` of the same step pulls back. It is called before that, with the same v: y_bar, f0_bar,
   * t_bar, h_bar (theta held) may be added to at once or in that vjp; y1_bar and f1_bar (FSAL, else
   * NULL) accumulate; so does *theta_bar when not NULL. */
  cst_status (*dense_vjp)(void *state, const cst_step_vjp *v, double theta, const void *out_bar,
                          void *y1_bar, void *f1_bar, double *theta_bar);
  /* REVERSIBLE: undoes a step to round-off. t, h, t1 are those of the step; s->y is its y1 and, with FSAL,
   * s->f0 its f1; s->y1 receives its y, s->f1 its f0. There is no tape and no estimate. */
  cst_status (*reverse)(void *state, cst_step *s);
  /* Optional: a clause for the message of a solve that the driver stops, on what only the stepper
   * knows; "" when there is nothing to say. */
  void (*remark)(void *state, char *text, size_t size);
  /* How many vectors the solver carries from step to step beside y and a slope (needs FSAL). f0 and f1 are
   * then blocks of 1 + carry vectors one after another, rhs->n scalars each without padding; the first is a
   * slope good enough for the dense output. */
  uint32_t carry;
  /* Required with carry. A solve begins, or begins anew after a jump: f0[0 .. n) = f(t, y) of s is there,
   * the rest of the block is to be filled. Of s, rhs, t and y are set. */
  cst_status (*start)(void *state, const cst_step *s, void *f0);
  /* Required with carry and vjp. Its transpose: adds to y_bar what comes through the rest of the block
   * f0_bar; the cotangent of the slope goes through f afterwards. */
  cst_status (*start_vjp)(void *state, cst_rhs *rhs, const void *f0_bar, void *y_bar);
} cst_solver_type;

/* An explicit Runge-Kutta method as data, checked against its order conditions on registration. */
typedef struct cst_tableau {
  uint32_t struct_size;
  const char *name, *help;
  int order, stages;
  const double *a;   /* strictly lower triangle, row by row: stages (stages-1)/2 numbers */
  const double *b;   /* stages */
  const double *e;   /* b - b_hat as it is, or NULL: no error estimate */
  int error_order;   /* order of b_hat */
  const double *p;   /* dense output: y + h sum_i (sum_j p[i][j] theta^(j+1)) k_i, stages x dense_degree */
  int dense_degree;  /* 0: cubic Hermite */
  int dense_order;
  /* The following may lie outside struct_size: NULL, 0. */
  const double *a_dense; /* rows of `a` of stages that only `p` needs: the first has `stages` numbers,
                            each next one more. They are evaluated when an output lies in the step */
  int dense_stages;      /* how many; `p` has a row for each, after those of the stages */
  const double *e_low;   /* a second estimate of lower order, stages numbers: the error of a step is
                            then e |e| / sqrt(|e|^2 + |e_low|^2 / 100), of order 2 error_order -
                            error_order_low (Hairer, Norsett, Wanner I, II.10) */
  int error_order_low;   /* order of b - e_low */
} cst_tableau;

/* ---- step-size control -------------------------------------------------------------------- */

typedef struct cst_controller_state {
  double error[3]; /* of the last attempt and of the two accepted steps before; 0: none */
  bool rejected;   /* the attempt before this one was rejected */
} cst_controller_state;

typedef struct cst_controller_type {
  uint32_t struct_size;
  const char *name, *help;
  const cst_option *options;
  /* REQUIRED: factor for the next step size; error[0] <= 1 means the attempt is accepted. */
  double (*factor)(const cst_options *o, const cst_controller_state *c, int error_order);
} cst_controller_type;

/* ---- the driver, for gradient methods and other callers ------------------------------------ */

typedef struct cst_solve_stats {
  uint64_t evaluations, accepted, rejected;
  double last_h; /* signed; what the next step would have been */
  double t;      /* where the last solve ended or stopped */
  double stiffness; /* of a solve that stopped for its steps: the largest rate of the field there, the
                       spectral radius of df/dy; 0: not looked for */
} cst_solve_stats;

/* The steps that were taken: replaying them instead of a controller gives the same method. Zeroed
 * at first; the arrays grow with cst_realloc and are the caller's to free with cst_free. When
 * replayed, the steps move with times[0], and those clipped to a time follow that time.
 *
 * Equal steps that a solve of fixed steps counts from one time are kept as one run: run i has the
 * steps first[i] to first[i + 1] - 1, of size h[i], step k of them from t[i] + (k - first[i]) h[i]. With
 * `first` NULL, which is so where steps are chosen, run i is step i alone. */
typedef struct cst_schedule {
  size_t n, capacity; /* n steps, after `from` others: a schedule may be looked at from the middle */
  double *t, *h;
  size_t *first, n_runs, from;
} cst_schedule;

typedef struct cst_integrator cst_integrator;

/* One accepted step on the tape, oldest first. Every value of the field has one owner, through whose
 * residual its cotangent goes: the stepper (FSAL: f1 of this step), or the driver (f0_own, f1_own).
 * With f0_own false, f0 is what the previous step has as f1. f0 and f1 are blocks where a solver carries. */
typedef struct cst_taped_step {
  double t, h, t1;            /* t1 = t + h, exact when clipped */
  void *record;               /* of the stepper; NULL: it was not kept, see cst_solve_pullback.redo */
  void *y, *f0, *f0_residual;
  void *y1, *f1, *f1_residual; /* f1: NULL when nobody evaluated it */
  bool f0_own;                /* f0 was evaluated by the driver before this step */
  bool f1_own;                /* f1 was evaluated by the driver after it (for interpolation) */
  size_t clip;                /* h was cut: t1 = times[clip]; SIZE_MAX: it was not */
  size_t first_output, n_outputs; /* outputs inside (t, t1] */
  double t_field, t1_field;   /* t and t1 as the field was asked: where it jumps, of the step's side */
  bool at_break;              /* t1 is a break, which no derivative moves */
} cst_taped_step;

/* Every attempted step in order, for who wants to look: it grows with cst_realloc and is the caller's to free. */
typedef struct cst_attempt {
  double t, h, error; /* of the attempt; its error norm, 1 being the tolerance; NaN: none */
  bool accepted;
} cst_attempt;
typedef struct cst_attempts {
  size_t n, capacity;
  cst_attempt *list;
} cst_attempts;

/* Where a solve ended because a function of (t, y) passed zero. */
typedef struct cst_event {
  size_t which; /* from 0; SIZE_MAX: none did */
  double t;
} cst_event;

/* One solve. */
typedef struct cst_integration {
  uint32_t struct_size;
  cst_rhs *rhs;
  const double *times; /* n_times >= 1, monotone (not strictly); times[0] is the start */
  size_t n_times;
  void *y;             /* in: state at times[0]; out: state where the solve ended */
  /* Called for each time in order, i = 0 first, with the state there. With `stops` the solve lands
   * on every time exactly and `y` may be changed (a jump): return *jumped = true then. */
  cst_status (*at)(void *arg, size_t i, void *y, bool *jumped);
  void *arg;
  bool stops;
  cst_tape *tape;            /* NULL: keep nothing; cleared by its owner, not by the driver */
  bool exact;                /* the steps will be taken again with a tape, see cst_step.exact */
  cst_schedule *schedule;    /* optional: receives the steps (replay false) or gives them (true) */
  bool replay;
  cst_solve_stats *stats;    /* optional: added to */
  cst_noise *noise;          /* for STOCHASTIC solvers */
  void *slope;               /* optional state vector: dy/dt of the output, set before `at`; zero at
                                times[0] and at the end, where the steps decide */
  /* Optional: the solve ends where one of n_events functions g(t, y) first passes zero, found on the
   * dense output to the resolution of t; `y` is then the state there. A function that is zero at the
   * start, or is said to be (`event_skip`), counts from when it has left zero. One row only. */
  cst_status (*event)(void *arg, double t, const void *y, double *g);
  void *event_arg;
  size_t n_events;
  const int8_t *event_direction; /* by function, along the solve: +1 rising, -1 falling, 0 both */
  size_t event_skip;             /* number from 1 of the event that was just handled; 0: none */
  cst_event *event_found;        /* result */
  cst_attempts *attempts;        /* optional: receives them, after what it holds */
  /* Times, increasing whatever the direction, at which the field jumps or bends; outside the span they
   * do nothing. Steps end there exactly and start anew: f is evaluated again, histories are reset. A
   * field is continuous from the right in t: to the left of a break b it is asked at the number before b. */
  const double *breaks;
  size_t n_breaks;
  size_t checkpoints;            /* with a tape: keep so many states, and no records; 0: what memory allows */
  cst_trajectory *trajectory;    /* optional: emptied, then receives the stage parts of the solution */
  const void *f0; /* optional: the f block to begin with, of a run that goes on where another was cut */
  bool undoable;  /* without a tape: keep what cst_solve_pullback.redo of NEEDS_FINAL needs; REVERSIBLE solvers */
} cst_integration;

typedef struct cst_integrator_config {
  uint32_t struct_size;
  const cst_solver_type *solver;
  const cst_options *solver_options;
  const cst_controller_type *controller;
  const cst_options *controller_options;
  uint8_t dtype;
  size_t rows, n, n_stage; /* capacities */
  double rtol, atol;
  double step;                 /* > 0: fixed steps of this size, the last one clipped */
  double first_step;           /* 0: chosen */
  double min_step, max_step;   /* 0: resolution of t; no limit */
  uint64_t max_steps;          /* accepted and rejected; 0: no limit */
} cst_integrator_config;

/* ---- gradient methods ---------------------------------------------------------------------- */

/* Is given value i of a solve, a state vector, or its tangent. */
typedef cst_status cst_value_fn(void *arg, size_t i, const void *y);

/* What pullback is given: the finished forward solve and the cotangents of its values. */
typedef struct cst_solve_pullback {
  uint32_t struct_size;
  cst_rhs *rhs;
  const double *times;
  size_t n_times;
  void *solver_state;             /* of the forward solve */
  const cst_solver_type *solver;
  size_t n_steps;                 /* NEEDS_TAPE, NEEDS_FINAL */
  cst_integrator *integrator;     /* the same: of the forward solve */
  /* NEEDS_TAPE: *out = step i with everything present, asked for from the last to the first. A step
   * whose record did not fit the budget is taken again on scratch memory, which is valid until the
   * next call. NEEDS_FINAL: the same, but each step is undone from its end and taken again. */
  cst_status (*redo)(cst_integrator *integrator, cst_rhs *rhs, size_t i, cst_taped_step *out);
  /* State vectors at the outputs and their cotangents, as stored: value i is gathered by `value`. */
  void *self;
  void (*value)(void *self, size_t i, void *y);      /* y = value at times[i] */
  bool (*value_bar)(void *self, size_t i, void *bar); /* bar = cotangent there; false: it is zero */
  /* results: all accumulate */
  void *y0_bar;                   /* state vector, or NULL */
  double *times_bar;              /* n_times, or NULL */
  void **capture_bar;             /* per capture; entries may be NULL (not wanted) */
  const size_t *capture_count;    /* scalars of each; 0: of another type than the state, without a cotangent */
  size_t n_captures;
  cst_solve_stats *stats;         /* backward evaluations are added here */
  const double *breaks;           /* of the forward solve: for integrations backwards */
  size_t n_breaks;
  cst_trajectory *trajectory;     /* NEEDS_TRAJECTORY: of the forward solve */
  /* The forward solve followed again, for methods that go by directions. Vectors are of one run: of the rows
   * of `rhs`, of captures the scalars that capture_count says. */
  const void *const *capture;     /* values, in the order of capture_bar */
  const bool *capture_row;        /* its scalars lead with the rows */
  bool separable;                 /* no row of the values depends on another row of the state or of a capture of rows */
  size_t n_taken;                 /* steps; the first of them starts at times[0] */
  void *directions;               /* of the functions that follow */
  void (*taken)(void *directions, size_t k, double *t, double *h); /* start and size of step k */
  /* NEEDS_AGAIN: the solve from y0 with these captures (NULL: as they are, as is an entry that is NULL) at these
   * n_times times (NULL: its own), along its own steps (see cst_schedule); `at` for every value in order. */
  cst_status (*again)(void *directions, const void *y0, const void *const *captures, const double *times,
                      cst_value_fn *at, void *arg);
  /* NEEDS_TANGENT: the tangent of the values along a direction of y0, captures and times (each NULL: still),
   * the derivative of the same steps. A value moves with its own time, with times[0] and with the last time. */
  cst_status (*tangent)(void *directions, const void *y0_dot, const void *const *capture_dot, const double *times_dot,
                        cst_value_fn *at, void *arg);
} cst_solve_pullback;

typedef struct cst_gradient_config {
  uint32_t struct_size;
  const cst_host *host;
  const cst_options *options;
  const cst_integrator_config *forward; /* capacities, solver, tolerances of the forward solve */
  size_t n_captures_scalars;            /* all captures together */
} cst_gradient_config;

enum {
  CST_NEEDS_TAPE = 1,       /* the solve keeps a tape */
  CST_NEEDS_TRAJECTORY = 2,
  CST_NEEDS_AGAIN = 4,   /* cst_solve_pullback.again */
  CST_NEEDS_TANGENT = 8, /* cst_solve_pullback.tangent */
  CST_NEEDS_FINAL = 16   /* it keeps its end, from which a REVERSIBLE solver goes back */
};

/* What a gradient is the gradient of: exactly one is set. */
enum {
  CST_EXACT = 1,      /* the steps that were taken, to round-off (where `exact` of a step can be had) */
  CST_CONTINUOUS = 2, /* the solution: it shrinks towards it with the tolerances */
  CST_APPROXIMATE = 4 /* the steps taken, but for an error of its own (differences) */
};

typedef struct cst_gradient_type {
  uint32_t struct_size;
  const char *name, *help;
  const cst_option *options;
  uint32_t needs;
  uint32_t solver_needs; /* traits the solver must have */
  /* REQUIRED. Whether it works with this solver; says why not with host->fail. */
  cst_status (*accepts)(const cst_host *host, const cst_solver_type *solver);
  cst_status (*create)(const cst_gradient_config *c, void **state); /* REQUIRED; *state only on success */
  void (*destroy)(const cst_host *host, void *state);               /* REQUIRED */
  cst_status (*pullback)(void *state, const cst_solve_pullback *p); /* REQUIRED */
  uint32_t traits; /* may lie outside struct_size: then not known */
} cst_gradient_type;
