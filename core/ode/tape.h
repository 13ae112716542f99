/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The tape: memory of a solve that outlives its steps. Linked slabs that grow geometrically, are
 * counted against a budget and are kept for the next run, so that a run like the last one allocates
 * nothing. Blocks are 64-byte aligned, not zeroed, and never move; the tape is a stack of blocks.
 *
 * A quarter of the budget is a reserve that only cst_tape_push_reserve may touch: when the records
 * of steps no longer fit, their states (far smaller) still do.
 */
#pragma once
#include "costate/context.h"
#include "costate/ode.h"

typedef struct cst_tape_place {
  void *slab;
  size_t used; /* in that slab */
  size_t bytes;
} cst_tape_place;

/* budget 0: no limit. NULL when memory is exhausted. */
cst_tape *cst_tape_new(cst_context *ctx, size_t budget);
void cst_tape_free(cst_tape *tape);

/* NULL when the budget or the memory is exhausted; the tape is then as before. */
void *cst_tape_push(cst_tape *tape, size_t bytes);
void *cst_tape_push_reserve(cst_tape *tape, size_t bytes);
/* Whether the last push was refused. */
bool cst_tape_refused(const cst_tape *tape);
size_t cst_tape_limit(const cst_tape *tape); /* the budget; SIZE_MAX: none */

cst_tape_place cst_tape_mark(const cst_tape *tape);
/* Drops every block pushed after the mark. */
void cst_tape_rewind(cst_tape *tape, cst_tape_place mark);
void cst_tape_clear(cst_tape *tape);

size_t cst_tape_bytes(const cst_tape *tape);  /* in blocks now */
size_t cst_tape_peak(const cst_tape *tape);   /* the most there were since it was cleared */
