/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A compiled program: instructions over pointer slots. A slot's home says where its elements are;
 * a workspace holds the table of actual pointers, of which only those of inputs and outputs that
 * moved since the last run are patched.
 */
#pragma once
#include "autodiff/chain.h"
#include "autodiff/graph_internal.h"

typedef enum cst_home_kind { HOME_NONE, HOME_ARENA, HOME_INPUT, HOME_OUTPUT, HOME_CONSTANT } cst_home_kind;

typedef struct cst_home {
  cst_home_kind kind;
  uint32_t index; /* input or output number */
  size_t offset;  /* ARENA, CONSTANT; OUTPUT: fallback in the arena + 1, 0: none */
} cst_home;

typedef struct cst_compiled {
  cst_instruction q;
  const cst_op *op;
  cst_value node;       /* first output of the node; of a chain its last */
  uint32_t first_slot;  /* inputs, then outputs */
  uint32_t add;
  uint32_t profile_row; /* profile.c: row + 1; 0: none yet */
  cst_chain *chain;
} cst_compiled;

struct cst_program {
  cst_object object;
  cst_context *ctx;
  cst_function *f;
  size_t rows;           /* capacity */
  bool separable;
  cst_value mixes;       /* the value that is why not */
  cst_value meets;       /* in which rows come to depend on each other, see cst_program_apart */
  cst_compiled *code;
  uint32_t n_code;
  cst_operand *operand;
  cst_home *home;        /* by slot */
  uint32_t n_slots;
  uint32_t *patch;       /* slots by input, then by output */
  uint32_t *patch_start; /* n_in + n_out + 1 */
  size_t arena_bytes, constant_bytes;
  unsigned char *constants;
  uint32_t n_fused;      /* nodes that vanished into chains */
};

struct cst_workspace {
  cst_program *p;
  void **slot;
  const void **bound; /* pointers to externals: inputs, then outputs */
  cst_call *call;     /* by instruction: all but the rows stands since the workspace was made */
  void **state;       /* by instruction */
  unsigned char *arena;
  cst_run run;
};

/* External e (inputs first, then outputs) lies elsewhere now. */
void cst_workspace_move(cst_workspace *w, uint32_t e, const void *to);
static inline void cst_workspace_put(cst_workspace *w, size_t e, const void *to) {
  if (w->bound[e] != to) cst_workspace_move(w, (uint32_t)e, to);
}
/* Runs with the externals as they were put. */
cst_status cst_workspace_execute(cst_workspace *w, size_t rows);
/* The same on the first rows of a program that mixes rows: the caller knows that it does in sums alone, which the
 * other rows would add nothing to. */
cst_status cst_workspace_execute_first(cst_workspace *w, size_t rows);

/* A program for at most `rows` rows, of a function of more: chunks run in smaller buffers. */
cst_status cst_program_new_for(cst_function *f, const bool *accumulate, size_t rows, cst_program **out);

static inline cst_operand cst_operand_of(const cst_type *t) {
  size_t n = cst_type_count(t);
  return (cst_operand){.type = *t, .inner = t->space == CST_ROW && t->dim[0] ? n / (size_t)t->dim[0] : n};
}

/* plan.c: offsets in the arena. `first` and `last` are instruction numbers. */
typedef struct cst_life {
  size_t bytes;
  uint32_t first, last;
  size_t offset; /* result */
} cst_life;
/* Places every life (sorted by `first`) so that lives that overlap in time do not overlap in space;
 * returns the size of the arena. `scratch` holds n entries. */
size_t cst_plan_arena(cst_life *life, size_t n, uint32_t *scratch);

/* explain.c: one line, cut to size. */
void cst_instruction_format(const cst_program *p, const cst_compiled *k, char *text, size_t size);

/* profile.c: runs a kernel and books its time. */
typedef struct cst_profile cst_profile;
cst_status cst_profile_kernel(cst_profile *to, const cst_program *p, cst_compiled *k, const cst_call *call);

/* mixing.c: whether a node makes rows meet (see cst_program_separable). */
bool cst_node_mixes(const cst_graph *g, const cst_node *q);
/* The same for its results alone, see cst_program_apart. */
bool cst_node_meets(const cst_graph *g, const cst_node *q);
/* Whether no node lets a row depend on another, nor on its place among them, so that what the graph computes for
 * the first rows can be had without the others. Sums over rows may leave it. */
bool cst_graph_first_rows(const cst_graph *g);
