/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The op interface: one row of the op table. A row says how shapes follow, how to compute, and how
 * to differentiate by emitting further nodes, so derivatives nest without end.
 */
#pragma once
#include "costate/option.h"
#include "costate/types.h"

/* One operand of a compiled instruction. */
typedef struct cst_operand {
  cst_type type;
  size_t inner; /* elements of one row (ROW), or all elements */
  bool read;    /* of an output: whether anything reads it */
} cst_operand;

/* A compiled node. Kernels read it; nothing writes it after compilation. */
typedef struct cst_instruction cst_instruction;

/* One execution of a node. p[0 .. n_in) are inputs, p[n_in ..) outputs; an output nobody reads is
 * NULL. Elements of an operand: rows * inner when its space is ROW, else inner. */
typedef struct cst_call {
  const cst_instruction *q;
  void *const *p;
  size_t rows;
  uint32_t add; /* bit i: output i accumulates into what p[n_in + i] holds (see cst_op.accumulates) */
  void *state; /* what state_new made for this node in this workspace, or NULL */
  struct cst_run *run;
} cst_call;

struct cst_instruction {
  cst_status (*kernel)(const cst_call *call);
  const cst_attrs *attrs;
  const cst_operand *operand; /* inputs, then outputs */
  uint32_t n_in, n_out;
  const void *plan; /* compile-time data of fused chains and the like */
  const cst_host *host; /* for kernels and states of plugins: memory, and failures that say why */
};

/* What a running program knows of its surroundings. */
typedef struct cst_run {
  cst_context *ctx;
  uint64_t seed, step; /* keys of random draws */
  size_t row0;         /* index of the first row of this chunk */
  bool replay;         /* solves repeat their last schedule of steps */
  uint64_t nfe_forward, nfe_backward, steps_accepted, steps_rejected; /* counted by solves */
  uint64_t scan_rows;  /* rows that bodies of scans were run on, counted by scans */
} cst_run;

enum {
  CST_OP_ELEMENTWISE = 1, /* out[i] depends on in[..][i] alone after broadcasting */
  CST_OP_COMMUTATIVE = 2,
  CST_OP_CONSTANT = 4,    /* derivative zero everywhere (comparisons, floor, detach) */
  CST_OP_JOINT = 8,       /* linear in its `linear` inputs taken together (add, concat, where) */
  CST_OP_ALIAS = 16,      /* the output is the input's elements as they stand (reshape, detach) */
  CST_OP_REAL = 32        /* computes with real numbers: i64 operands (at most 3) are cast */
};

typedef struct cst_op cst_op;
struct cst_op {
  uint32_t struct_size;
  const char *name;
  uint32_t n_in_min, n_in_max; /* number of inputs */
  uint32_t flags;
  /* Bit i set: linear in input i when the other inputs are fixed. Decides whether PARTIAL stays. */
  uint64_t linear;
  uint32_t accumulates; /* bit i: the kernel can add into output i (cst_call.add) */

  /* REQUIRED. Output types from input types: shape, dtype, and space unless ELEMENTWISE (where all
   * three follow by broadcasting and this may be NULL). On misfit: cst graph fail via host->fail. */
  cst_status (*infer)(const cst_host *host, const cst_attrs *a, const cst_type *in, size_t n,
                      cst_type *out, size_t *n_out);
  /* REQUIRED unless ELEMENTWISE: kernel for the graph's dtype (of the first output). */
  cst_status (*kernel[2])(const cst_call *call);
  /* ELEMENTWISE ops: contiguous kernels per dtype; index into the kernel table + 1, 0 none. */
  int map;
  void (*map_fn[2])(const void *const *in, void *out, size_t n); /* for ops of plugins */

  /* Optional: emits nodes for the cotangents of the inputs. out_bar[i] may be CST_NONE (zero);
   * leave in_bar[i] CST_NONE for zero; want[i] says which are needed. NULL with `expand` set:
   * derived from the expansion; NULL without: the op is not differentiable that way (an error that
   * names it). */
  cst_status (*vjp)(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n_in,
                    const cst_value *out, const cst_value *out_bar, const bool *want,
                    cst_value *in_bar);
  /* Optional: tangents of the outputs from tangents of the inputs (CST_NONE is zero). */
  cst_status (*jvp)(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n_in,
                    const cst_value *out, const cst_value *in_dot, cst_value *out_dot);
  /* Optional: the same outputs from simpler ops; makes vjp, jvp and batching derivable. */
  cst_status (*expand)(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n_in,
                       cst_value *out);

  /* Optional: per-workspace state of a node (solves, scans). `q` lives as long as the state. */
  cst_status (*state_new)(cst_context *ctx, const cst_instruction *q, size_t row_capacity,
                          void **state);
  void (*state_free)(cst_context *ctx, void *state);

  /* Optional: whether each row of the outputs depends on the same row of the inputs alone, though all rows must
   * run at once. NULL: no. */
  bool (*rows_apart)(const cst_attrs *a);
  /* Optional, for ops that have outputs of all rows together (handles, sums): whether the node may run on the first
   * rows alone, which then come out as they would without the others; `in` are the types of its inputs. NULL: no. */
  bool (*first_rows)(const cst_attrs *a, const cst_type *in, size_t n_in);

  /* Optional: the batch rule, how the node runs with one more axis (cst_graph_batch). stacked[i] is in[i] with
   * the axis, or CST_NONE where in[i] has none; emits the outputs with it. CST_EUNSUPPORTED, before anything was
   * emitted, where this does not go. Element-wise ops need none. */
  cst_status (*batch)(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n_in,
                      const cst_value *stacked, int64_t k, const cst_value *out, cst_value *out_stacked);
};
