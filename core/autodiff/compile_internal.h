/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The compiler's passes and what they share:
 *   compile.c  what is needed, shared storage, chains; the order of the passes
 *   emit.c     instructions
 *   homes.c    where every slot's elements are
 */
#pragma once
#include <string.h>

#include "autodiff/program_internal.h"

typedef struct contribution {
  cst_value v;
  uint32_t output;
} contribution;

typedef struct compiler {
  cst_context *ctx;
  const cst_function *f;
  const cst_graph *g;
  const bool *accumulate;
  cst_program *p;
  cst_value top;
  bool *need;           /* by value: read by something that runs, or an output */
  uint32_t *uses;       /* by value: readers among needed nodes, and outputs */
  cst_value *rep;       /* by value: the value whose storage it shares */
  cst_value *group;     /* by value: the last node of its chain */
  uint32_t *group_size; /* by last node */
  cst_home *home;       /* by value (of rep) */
  uint32_t *born, *dies; /* by value (of rep): instruction numbers */
  uint32_t *add_output; /* by value: output + 1 that the producer adds into */
  contribution *copies; /* outputs to be copied or added at the end */
  size_t n_copies;
  uint32_t n_slots, n_code;
  contribution *part;   /* what outputs are made of */
  size_t n_part;
} compiler;

static inline bool is_source(const cst_node *q) {
  return q->n_in == 0 && strcmp(q->op->name, "input") != 0 && strcmp(q->op->name, "random") != 0;
}
static inline bool is_input(const cst_node *q) { return strcmp(q->op->name, "input") == 0; }
static inline bool is_alias(const cst_node *q) { return q->op->flags & CST_OP_ALIAS; }
static inline bool is_elementwise(const cst_node *q) { return q->op->flags & CST_OP_ELEMENTWISE; }
static inline bool accumulates(const compiler *c, uint32_t output) {
  return c->accumulate && c->accumulate[output];
}

/* emit.c. `slot_value` receives the value of every slot. */
cst_status cst_emit_all(compiler *c, cst_value *slot_value);
void cst_emit_copies(compiler *c, cst_value *slot_value);
cst_status cst_add_into(const cst_call *call); /* the kernel of those copies */

/* compile.c: whether anything of a node is needed. */
bool cst_node_runs(const compiler *c, const cst_node *q);

/* homes.c */
void cst_place_inputs(compiler *c);
cst_status cst_place_constants(compiler *c);
void cst_bind_outputs(compiler *c);
cst_status cst_place_all(compiler *c, const cst_value *slot_value);
cst_status cst_list_patches(compiler *c);
