/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A solve plan: the field with everything a solve needs resolved - types found, options checked - so
 * that entering a solve looks nothing up.
 */
#pragma once
#include "costate/solve.h"
#include "ode/field.h"
#include "ode/integrate.h"

enum { MOST_VALUES = 96 }; /* inputs of a solve node */

/* Knot times of a control in the field, see knots.c. */
typedef struct cst_knots {
  uint32_t capture;           /* that holds them, */
  const cst_tensor *constant; /* unless they are a constant of the graph */
  size_t n;                   /* of one row */
  bool row;                   /* every row has its own */
  int kind;
} cst_knots;

struct cst_solve_plan {
  cst_object object;
  cst_context *ctx;
  cst_field *field;
  uint32_t n_parts;
  uint32_t *flags;
  char **names;
  const cst_solver_type *solver;
  const cst_controller_type *controller;
  const cst_gradient_type *gradient;
  uint32_t back_traits; /* of the solver that the gradient's options name, see find_back */
  cst_options *solver_options, *controller_options, *gradient_options;
  cst_solve_options o; /* scalars; the names and option pointers are not used */
  bool tangent;        /* of another plan */
  bool follows;        /* takes the steps of another solve, whose schedule is its last input */
  bool timed;          /* a tangent plan that carries the tangent of the times: see timed.c */
  bool per_row;        /* every row is an integration of its own */
  cst_knots *knots;
  uint32_t n_knots;
  size_t knots_capacity;
};

/* Whether a solver decides more than its steps (its order, steps within a step): with the tangent beside the state
 * it may not be able to repeat a step, and need not take the same. */
static inline bool cst_solver_decides(const cst_solver_type *s) {
  return s->traits & (CST_MULTISTEP | CST_SELF_CONTROLLED);
}

/* Times are one vector [T] for all rows, or [B, T]: where `row` has its own, and how many those are. */
static inline size_t cst_times_of_row(const cst_type *t, size_t row) { return t->rank == 2 ? row * (size_t)t->dim[1] : 0; }
static inline size_t cst_times_count(const cst_type *t) { return (size_t)t->dim[t->rank - 1]; }

static inline const cst_solve_plan *cst_solve_plan_of(const cst_attrs *a) {
  return (const cst_solve_plan *)a->object;
}

/* The programs that the plan's gradient needs, as a mask for cst_field_rhs_new. */
uint32_t cst_solve_plan_programs(const cst_solve_plan *p, bool recorded);
/* The plan of the tangent: parts and captures followed by their tangents (those in `has`, by field
 * input), tangent parts uncontrolled, so that it takes the very steps of the plan itself. */
cst_status cst_solve_plan_tangent(const cst_solve_plan *p, const bool *has_capture, bool timed, cst_solve_plan **out);

/* Rows of one integration. */
static inline size_t cst_solve_rows(const cst_solve_plan *p) { return p->per_row ? 1 : p->field->rows; }

/* ---- the solve node at run time (solve_run.c), which its pullback reads ------------------------------ */

typedef struct cst_solve_state {
  cst_context *ctx;
  const cst_solve_plan *plan;
  cst_field_rhs *rhs;
  cst_integrator *integrator;
  cst_tape *tape;          /* NULL unless a gradient needs one */
  cst_trajectory *trajectory; /* the same */
  bool undoable;           /* a gradient goes back from the end of the solve */
  cst_schedule *schedules; /* by run: one, or one a row */
  size_t n_runs, most_runs; /* of the present run, which may be on fewer rows than the field has */
  cst_schedule *followed;  /* by run: those, or those of the solve that this one follows */
  cst_schedule *schedule;  /* of the run under way */
  size_t row;              /* where its rows begin */
  cst_attempts attempts;   /* with the option `trace` */
  bool exact;              /* its steps are differentiated: see cst_step.exact */
  bool replayed;           /* the schedule holds the steps of an earlier run */
  void *y;                 /* one state vector */
  void **capture;
  size_t n_times;
  const double *times;
  void **values;           /* by part, [B, T, n] */
  void *slope;             /* timed: dy/dt at an output */
  unsigned char *timed_room; /* timed: see there */
  double clock[3];         /* timed: the capture that tells the field how time moves */
  cst_solve_report report; /* of the last run */
  double *breaks;          /* where controls jump or bend, increasing */
  size_t n_breaks, breaks_capacity;
} cst_solve_state;

/* knots.c: the controls of the plan's field; the breaks of a run of `rows` rows from `first` on, whose times
 * and captures are known. */
cst_status cst_knots_find(cst_solve_plan *p);
cst_status cst_knots_merge(cst_solve_state *s, size_t first, size_t rows);

/* Part p (in the field's order) of the state vector. */
const cst_part *cst_solve_plan_part(const cst_solve_plan *plan, const cst_rhs *f, uint32_t p);
const cst_part *cst_solve_part(const cst_solve_state *s, uint32_t p);
cst_integrator_config cst_solve_config(const cst_solve_plan *p, const cst_rhs *f);
/* Copies value i between the stacked parts [B, T, n] and a state vector. */
void cst_solve_gather(const cst_solve_state *s, void *const *parts, size_t i, void *y);
void cst_solve_scatter(const cst_solve_state *s, void *const *parts, size_t i, const void *y);

/* What follows is about the run of this row (0 when all rows are one run). `all`: times of all rows. */
cst_status cst_solve_choose(cst_solve_state *s, const cst_operand *times, const double *all, size_t row);
/* s->y = the initial state of the rows under way, from its parts. */
void cst_solve_load(cst_solve_state *s, void *const *y0);
/* An integration from s->y that keeps nothing, to be completed. */
cst_integration cst_solve_way(cst_solve_state *s);
/* Is `at` of an integration with arg = s: puts values where s->values are. */
cst_status cst_solve_keep(void *arg, size_t i, void *y, bool *jumped);

/* Rows that see each other have nothing of their own; `what` begins the message. */
cst_status cst_field_refuse_coupled(cst_field *f, const char *what);
/* Sets the rows of the run to come, the first of the field's. */
void cst_solve_resize(cst_solve_state *s, size_t rows);
/* Rows of the run under way. */
size_t cst_solve_rows_now(const cst_solve_state *s);
/* The largest memory of the record so far, and that of the schedule, go into the report. */
void cst_solve_note_memory(cst_solve_state *s);
cst_status cst_solve_state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state);
/* The same for a plan without a node; `recorded`: a gradient will be asked for. */
cst_status cst_solve_state_make(cst_context *ctx, cst_solve_plan *p, bool recorded, cst_solve_state **out);
void cst_solve_state_free(cst_context *ctx, void *state);
cst_status cst_solve_run(const cst_call *c);

/* lost.c: fails where a pullback made cotangents that are not finite of some that were, and says why. */
cst_status cst_solve_back_finite(cst_context *ctx, cst_integrator *i, const cst_solve_pullback *p);

/* ---- the solve followed again, for gradient methods (directions.c) --------------------------------------- */

typedef struct cst_directions cst_directions;

/* For `wanted` captures (by field input) and, with `timed`, times of n_times entries. The tangent of the solve is
 * made when the plan's gradient NEEDS_TANGENT. *out is the caller's to free also when it fails. */
cst_status cst_directions_new(cst_solve_plan *p, const bool *wanted, bool timed, size_t n_times, cst_directions **out);
void cst_directions_free(cst_directions *d);
/* Puts what stands under "the forward solve followed again" into `back`, for the run of `s` that is under way. */
void cst_directions_offer(cst_directions *d, cst_solve_state *s, const cst_call *c, cst_solve_pullback *back);

/* timed.c: the run of a timed plan; `times_dot` has one entry a time. */
cst_status cst_solve_timed(cst_solve_state *s, cst_integration *run, const double *times_dot);

/* Registers the ops solve and solve_back. */
cst_status cst_register_solve(const cst_host *h);
cst_status cst_register_solve_back(const cst_host *h);
cst_status cst_register_locate(const cst_host *h);
cst_status cst_register_callback(const cst_host *h);
