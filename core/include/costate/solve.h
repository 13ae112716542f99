/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Fields and the solve node.
 *
 * A field is a function f(t, y_1 .. y_P, c_1 .. c_C) -> (dy_1 .. dy_P): t an f64 scalar, y_p ROW
 * values [B, ...], c_i captures of any space. Captures carry parameters, controls, noise and the
 * like; each has its cotangent.
 */
#pragma once
#include "costate/graph.h"

typedef struct cst_solve_options {
  const char *solver;        /* "dopri5", "rk.dopri5", "gsl.rk8pd" */
  const char *gradient;      /* "discrete", "reversible", "backsolve", "interpolating", "quadrature", "forward", "finite" */
  const char *controller;    /* "i", "pi" */
  const cst_options *solver_options, *gradient_options, *controller_options; /* resolved, or NULL */
  double rtol, atol;
  double step;               /* > 0: fixed step size (required for solvers not adaptive) */
  double first_step;         /* 0: chosen (Hairer, Norsett, Wanner I, II.4) */
  double min_step, max_step; /* 0: resolution of t; no limit */
  uint64_t max_steps;        /* of one solve */
  size_t memory;             /* budget in bytes of what a gradient stores; 0: 1 GiB */
  size_t checkpoints;        /* of a gradient that stores: this many states and no records; 0: what memory allows */
  size_t lower, upper;       /* bandwidths of the Jacobian of a row, for implicit solvers; SIZE_MAX: dense */
  bool trace;                /* keep every attempted step for cst_workspace_attempts */
  bool exact;                /* implicit steps are solved to round-off also where no gradient asks for it */
  bool per_row;              /* every row takes steps of its own and may have times of its own */
} cst_solve_options;

/* rtol 1e-6, atol 1e-9, dopri5, discrete, pi... */
void cst_solve_defaults(cst_solve_options *o);

typedef struct cst_solve_plan cst_solve_plan; /* an object: names resolved, programs compiled on demand */

/* `flags[p]`: CST_PART_*; may be NULL. `names[p]` may be NULL. Loads plugins as named. */
cst_status cst_solve_plan_new(cst_context *ctx, cst_function *field, size_t n_parts,
                              const uint32_t *flags, const char *const *names,
                              const cst_solve_options *o, cst_solve_plan **out);

/* A solve node. y0[p] are ROW, or SHARED with a leading batch axis equal to the field's rows; times
 * is an f64 vector [T], T >= 1, monotone, times[0] the start; with per_row it may be [B, T], ROW or SHARED
 * (shorter rows repeat their last time). Values: one per part, [B, T, ...], and last the record. Returns
 * the first. */
cst_value cst_graph_solve(cst_graph *g, cst_solve_plan *plan, const cst_value *y0, cst_value times,
                          const cst_value *captures);

typedef struct cst_event_plan cst_event_plan; /* an object: a solve's field and what happens along it */

/* `events` maps (t, y_1 .. y_P, captures) to one number a row for each event; `direction` by event: +1 rising,
 * -1 falling along the solve, 0 both. */
cst_status cst_event_plan_new(cst_context *ctx, cst_solve_plan *solve, cst_function *events, const int8_t *direction,
                              cst_event_plan **out);

/* Follows y0 over times ([2], or [B, 2] as for a solve) until an event happens. `skip`: f64 [B], the number (from 1)
 * of the event that was just handled, 0 for none. Values: the time [B], and which event (0: none), both f64
 * without a derivative. Returns the first. */
cst_value cst_graph_locate(cst_graph *g, cst_event_plan *plan, const cst_value *y0, cst_value times, cst_value skip,
                           const cst_value *captures, const cst_value *event_captures);

/* A field that is computed outside of graphs, whatever that takes: dy[p] of part p from t and y[p], each of `type[p]`,
 * whose first axis are the rows under way. dy[p] may be NULL: not wanted. Called on the thread that runs the
 * program. A status other than CST_OK, with a message, ends the solve; CST_RETRY: not defined there. */
typedef struct cst_callback cst_callback;
struct cst_callback {
  cst_object object;
  cst_status (*call)(cst_callback *self, double t, const cst_type *type, size_t n, const void *const *y, void *const *dy);
};

/* A field made of it has no derivative: implicit solvers take differences, and of gradients there is "finite". It is
 * called with all rows, but with one row at a time where each row is an integration of its own (per_row) or has a
 * time of its own (t of as many entries): then, and for Jacobians, row i of dy must depend on row i of y alone.
 * Returns the first of n values. */
cst_value cst_graph_callback(cst_graph *g, cst_callback *f, cst_value t, const cst_value *y, size_t n);

/* What the solves of a workspace did in the last run, summed. */
typedef struct cst_solve_report {
  cst_solve_stats forward, backward;
  size_t solves;
  size_t tape_bytes;      /* of the record, at most */
  size_t checkpoints;     /* states that were kept at a time where records did not fit */
  size_t schedule_bytes;  /* of the steps' times and sizes */
  cst_status status;      /* of the first solve that failed, else CST_OK */
  double t;               /* where it stood */
  uint64_t scan_rows;     /* rows that bodies of scans were run on, entry by entry */
} cst_solve_report;
cst_solve_report cst_workspace_solves(const cst_workspace *w);
/* The attempted steps of the first solve with the option `trace`, of its last run; NULL: there is none. */
const cst_attempts *cst_workspace_attempts(const cst_workspace *w);
