/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * States of a solve from which its steps are taken again: at most `most` of them at any time.
 *
 * Forwards, the number of steps is not known: every stride-th state is kept, and when there is no room for
 * one more, every second of them is dropped and the stride doubles. `turn` follows the last step: of what
 * was kept it retains what a binomial schedule of that many steps would have placed about there, so that
 * room is free behind it. Backwards, the steps from a state to the next are reversed by the binomial
 * schedule (A. Griewank, A. Walther, "Revolve", ACM TOMS 26, 2000): with s states, C(s + r, s) steps are
 * reversed by taking each at most r times again.
 */
#pragma once
#include "ode/tape.h"

typedef struct cst_checkpoint {
  size_t step; /* the state at the start of this step */
  void *state;
} cst_checkpoint;

typedef struct cst_checkpoints {
  cst_context *ctx;
  cst_tape *tape;         /* that states lie on */
  size_t most, bytes;     /* states at most; bytes of one */
  size_t stride;
  cst_checkpoint *kept;   /* ascending; kept[0] is the first state of all */
  size_t n, capacity;
  void **spare;           /* room of states that were dropped */
  size_t n_spare, spare_capacity;
  size_t peak;            /* most that were held at a time */
  bool turned;
} cst_checkpoints;

/* Forgets everything; the tape was cleared. most: 0, as many as the tape's budget admits. */
void cst_checkpoints_start(cst_checkpoints *c, cst_context *ctx, cst_tape *tape, size_t most, size_t bytes);
void cst_checkpoints_free(cst_checkpoints *c);

/* Forwards, for each step in order: *state is where to put the state at its start; NULL: not kept.
 * ENOMEM: there is no room for the very first. */
cst_status cst_checkpoints_offer(cst_checkpoints *c, size_t step, void **state);

/* The last step before which reversal begins is n - 1. */
void cst_checkpoints_turn(cst_checkpoints *c, size_t n);

/* Backwards, for steps in descending order: the last state at or before the step; those after it are dropped. */
const cst_checkpoint *cst_checkpoints_before(cst_checkpoints *c, size_t step);
/* On the way from step `from` to `step`: where to put the next state and which it is; NULL: no more. */
cst_status cst_checkpoints_place(cst_checkpoints *c, size_t from, size_t step, cst_checkpoint **next);

/* The first of `n` steps to keep a state at, with room for so many more: from *least to *most steps on serve equally
 * well, n >= 2. */
void cst_checkpoints_split(size_t n, size_t room, size_t *least, size_t *most);
