/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the files of the driver share. Bottom-up: tape, schedule, control; start (first step size),
 * attempt (one step tried), outputs, follow (trajectories), events, record and reverse (what a gradient sees),
 * explain (messages), integrator (new, free), integrate (the loop).
 */
#pragma once
#include "costate/context.h"
#include "ode/checkpoint.h"
#include "ode/integrate.h"
#include "ode/tape.h"
#include "tensor/kernels.h"

/* Where a run stands. Between steps y, f0 describe time t; after an accepted attempt y1, f1
 * describe t1. Vectors lie in the integrator's buffers, or on the tape. */
typedef struct cst_progress {
  const cst_integration *in;
  cst_rhs *rhs;
  double start, finish;    /* times[0], times[n - 1] */
  double direction;        /* +1 or -1 */
  double t, t1;
  double t_field, t1_field; /* the same as the field is asked: see cst_integration.breaks */
  double h;                /* what the controller proposes, signed */
  double used;             /* size of the present attempt, signed */
  double reached;          /* where a SELF_CONTROLLED stepper ended it */
  double anchor;           /* fixed steps: where they are counted from, */
  uint64_t count;          /*   and how many were taken since */
  size_t clip;             /* the attempt ends at times[clip]; SIZE_MAX: at none */
  size_t next;             /* the first time not given yet */
  const double *breaks;    /* of the run, those inside its span */
  size_t n_breaks, passed; /* how many lie behind t or at it */
  bool at_break;           /* the attempt ends at a break */
  double shift;            /* replay: from times of the schedule to those of the run */
  size_t replayed;         /* steps of the schedule already taken */
  void *y, *f0, *f0_residual;
  void *y1, *f1, *f1_residual;
  bool f0_valid, f0_own, f1_own;
  bool thin;               /* the tape takes no more records, only states of some steps */
  cst_trajectory *trajectory; /* of the run; NULL: none */
  cst_step step;
  cst_tape_place mark;     /* before the attempt */
  double error;            /* norm of the last attempt, 1 being the tolerance */
  double sum;
  cst_controller_state control;
  unsigned bad;            /* attempts in a row that were not finite */
  uint64_t accepted, rejected, evaluations_before;
  bool ended;              /* by an event */
  double stiffness;        /* where it gave up, see cst_solve_stats */
} cst_progress;

/* The end of a stretch of steps that follow one another: y, and behind it the f block as it was carried. */
typedef struct cst_stretch_ends {
  unsigned char *end; /* one after another */
  size_t n, capacity;
} cst_stretch_ends;

struct cst_integrator {
  const cst_host *host;
  cst_context *ctx;
  const cst_kernels *kernels;
  cst_integrator_config config;
  size_t size; /* of a scalar */
  void *solver;
  const cst_options *controller_options, *solver_options; /* as given, or the defaults */
  void *y[2], *f[2], *error, *output; /* state vectors */
  cst_span *controlled;
  size_t n_controlled, span_capacity, controlled_scalars;
  double share; /* of one controlled scalar in the mean of an error norm; 0: none is controlled */
  cst_integration kept;          /* the last run; cst_integrator_bind renews what it points to */
  cst_schedule *schedule, own;   /* of the last run: the caller's, or ours where a record needs one */
  cst_taped_step *steps;         /* the first n_recorded of n_steps, with their records */
  size_t n_steps, n_recorded, step_capacity;
  cst_checkpoints checkpoints;   /* among the others */
  cst_tape *scratch; /* of redo and undo */
  cst_stretch_ends ends; /* of an undoable run */
  size_t ends_left;      /* those that undo has not come to yet */
  unsigned char *undone[2]; /* y and f block: where undo stands, and what it goes to */
  double *event_value; /* of the event functions, where they were looked at last */
  int8_t *event_sign;  /* 0: at zero since the start */
  size_t event_capacity, sign_capacity;
  cst_progress run;
};

/* Scalars of a value of the field as the solver carries it, for vectors of n scalars. */
static inline size_t cst_block(const cst_integrator *i, size_t n) {
  return (1 + (size_t)(CST_HAS(i->config.solver, carry) ? i->config.solver->carry : 0)) * n;
}
/* Whether f1 of a step says more than (t1, y1): it cannot be had from them again. */
static inline bool cst_carries(const cst_integrator *i) {
  return (i->config.solver->traits & (CST_FSAL | CST_REVERSIBLE)) == (CST_FSAL | CST_REVERSIBLE) ||
         cst_block(i, 1) > 1;
}
/* Whether the steps of the run are noted for a gradient. */
static inline bool cst_noted(const cst_progress *r) { return r->in->tape || r->in->undoable; }

/* Grows *array (of elements of `size` bytes) to hold `n`; keeps what is there. */
cst_status cst_grow(cst_context *ctx, void *array, size_t *capacity, size_t n, size_t size);

/* spans.c: what counts in the error norm of this rhs. */
cst_status cst_spans_find(cst_integrator *i, const cst_rhs *rhs);
/* Root mean square over the controlled scalars of v / (atol + rtol max(|y0|, |y1|)). */
double cst_spans_norm(const cst_integrator *i, const void *v, const void *y0, const void *y1);

/* breaks.c: the times at which the field jumps. */
void cst_breaks_enter(cst_integrator *i);
/* The next break ahead, or `otherwise` when there is none. */
double cst_breaks_next(const cst_progress *r, double otherwise);
bool cst_breaks_has(const cst_progress *r, double t);
/* t as the field is asked from the side of `from`. */
double cst_breaks_side(const cst_progress *r, double t, double from);
/* After a step has ended at r->t. */
void cst_breaks_pass(cst_progress *r);

/* start.c */
cst_status cst_first_step(cst_integrator *i, double *h);

/* attempt.c */
typedef enum cst_verdict { CST_ACCEPTED, CST_TOO_LARGE, CST_NOT_FINITE, CST_REFUSED } cst_verdict;
/* dy = f(t, y), with its residual when the run keeps records. */
cst_status cst_evaluate(cst_integrator *i, double t, const void *y, void *dy, void *residual);
bool cst_all_finite(const cst_integrator *i, const void *y);
/* One step of the stepper from (t, y) to t1, its results in y1, f1. */
cst_status cst_try_step(cst_integrator *i, cst_verdict *verdict);
/* Fills the rest of the f block whose slope is there, where steps begin anew. */
cst_status cst_start_block(cst_integrator *i, cst_rhs *rhs, double t, const void *y, void *f0);
/* f0 at (t, y) by the driver. */
cst_status cst_derivative(cst_integrator *i);
/* The block that the run was given. */
cst_status cst_derivative_given(cst_integrator *i);
/* f1 at (t1, y1) by the driver, for interpolation; it becomes f0 of the next step. */
cst_status cst_derivative_after(cst_integrator *i);

/* outputs.c */
cst_status cst_outputs_start(cst_integrator *i);
/* The outputs inside (t, t1] of the accepted step. *jumped: the state or field changed there. */
cst_status cst_outputs_step(cst_integrator *i, bool *jumped);

/* y = the state at fraction x of the accepted step; `slope` (may be NULL) is its derivative in x. */
cst_status cst_sample(cst_integrator *i, double x, void *y, void *slope);
/* i->output = that state, and the slope in t where the run wants it. */
cst_status cst_interpolate(cst_integrator *i, double x);

/* follow.c: the trajectory of a run, when there is one. */
void cst_follow_start(cst_integrator *i);
cst_status cst_follow_step(cst_integrator *i); /* before the outputs of the step */
void cst_follow_jump(cst_integrator *i);

/* events.c */
cst_status cst_events_start(cst_integrator *i);
/* Ends the run (r->ended) where an event happened inside the accepted step. */
cst_status cst_events_step(cst_integrator *i);

/* record.c */
cst_status cst_record_start(cst_integrator *i);
cst_status cst_record_step(cst_integrator *i);    /* before the outputs of the step */
void cst_record_outputs(cst_integrator *i);       /* after them */
/* The step from its y, and from its f0 unless that is NULL, with a record on the scratch tape. */
cst_status cst_take_again(cst_integrator *i, cst_rhs *rhs, cst_taped_step *s);

/* reverse.c: what an undoable run keeps. */
void cst_undo_begin(cst_integrator *i);
/* The end of the accepted step, as it is before any jump: noted, and kept when steps begin anew there or end. */
cst_status cst_undo_note(cst_integrator *i);
void cst_undo_keep(cst_integrator *i);

/* schedule.c */
/* Notes the last attempt where someone wants to see it. */
cst_status cst_note_attempt(cst_integrator *i, bool accepted);
void cst_schedule_clear(cst_schedule *s);
/* `counted`: steps of fixed size are counted from where the first of them began. */
cst_status cst_schedule_push(cst_context *ctx, cst_schedule *s, double t, double h, bool counted);

/* describe.c: step k of the last run but for what was stored of it. */
void cst_describe_step(const cst_integrator *i, size_t k, cst_taped_step *out);

/* explain.c: the message of a solve that stopped, naming a component (SIZE_MAX: none). */
cst_status cst_explain(cst_integrator *i, cst_status status, const char *what, size_t component);
size_t cst_first_nonfinite(const cst_integrator *i, const void *v);
/* stiffness.c: the fastest rate of the field at (t, y), by a few evaluations; 0: not known. */
double cst_stiffness(cst_integrator *i);
/* Takes the last attempt again to learn which component has the largest scaled error. */
size_t cst_worst_error(cst_integrator *i);
