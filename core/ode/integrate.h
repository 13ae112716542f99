/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The solve driver: takes steps, controls their size, gives outputs, keeps what a gradient needs.
 *
 * What it promises for every stepper:
 *  - arrival at times[n_times - 1] exactly, and no evaluation outside the span of the times;
 *  - a failed or rejected step leaves no trace in the state, the tape or the schedule;
 *  - no allocation in a run that is like an earlier one of the same integrator and tape;
 *  - a status with a message that names the time, the step and the worst component.
 * An integrator belongs to one thread at a time.
 */
#pragma once
#include "costate/context.h"
#include "costate/plugin.h"

cst_status cst_integrator_new(const cst_host *host, const cst_integrator_config *config,
                              cst_integrator **out);
cst_status cst_integrate(cst_integrator *i, const cst_integration *run);
void cst_integrator_free(cst_integrator *i);

/* Of the last run, when it had a tape and as long as that is not cleared. A step has a record and values
 * if the memory lasted for it. */
size_t cst_integrator_n_steps(const cst_integrator *i);
cst_taped_step cst_integrator_step(const cst_integrator *i, size_t k);
/* How many states were kept at a time, in place of records. */
size_t cst_integrator_checkpoints(const cst_integrator *i);
/* The times and breaks of the last run, where they lie now. */
void cst_integrator_bind(cst_integrator *i, const double *times, const double *breaks);
void *cst_integrator_solver_state(const cst_integrator *i);

/* Step k of a schedule: where it starts, its size. */
double cst_schedule_t(const cst_schedule *s, size_t k);
double cst_schedule_h(const cst_schedule *s, size_t k);
size_t cst_schedule_bytes(const cst_schedule *s);
void cst_schedule_free(cst_context *ctx, cst_schedule *s);

/* While `at` is given the state at the end of a step: the f block there, which a run from there on begins with
 * to be the same steps. NULL: the solver carries nothing that f would not tell. */
const void *cst_integrator_block(const cst_integrator *i, size_t *scalars);
/* Vectors of such a block. */
size_t cst_integrator_block_vectors(const cst_integrator *i);
/* Whether t is one of n times that increase. */
bool cst_breaks_among(const double *breaks, size_t n, double t);

/* See cst_solve_pullback.redo: of a run with a tape, of an undoable one. Steps of which only states were kept, and
 * all of the latter, are asked for in descending order. */
cst_status cst_integrator_undo(cst_integrator *i, cst_rhs *rhs, size_t step, cst_taped_step *out);
/* What that one holds beside the schedule. */
size_t cst_integrator_undo_bytes(const cst_integrator *i);
cst_status cst_integrator_redo(cst_integrator *i, cst_rhs *rhs, size_t step, cst_taped_step *out);
/* The largest size of a recorded step times the fastest rate of the field at its start, and where that was; 0: not
 * known. An explicit method is stable up to a few, so what is more than 2 held the steps in place of their error. */
double cst_integrator_hold(cst_integrator *i, cst_rhs *rhs, double *t);

/* Registers the controllers i, pi and pid. */
cst_status cst_register_core_controllers(const cst_host *host);
