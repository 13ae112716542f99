/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A chain: several element-wise nodes of one shape, run block by block so that intermediate results
 * stay in the first-level cache.
 */
#pragma once
#include "autodiff/graph_internal.h"
#include "tensor/kernels.h"

/* A step has at most three operands, and all but the first take a result of the chain. */
enum { CHAIN_STEPS = 16, CHAIN_OPERANDS = 2 * CHAIN_STEPS + 1, CHAIN_BLOCK = 256 };

/* Element e of the result meets element (e / div) % mod of the operand; mod 0: no wrap. Or, with gap > 1, lines of
 * `run` elements are met `gap` times each: element e / (run gap) run + e % run. */
typedef struct cst_chain_reading {
  size_t div, mod, run, gap;
} cst_chain_reading;
typedef struct cst_chain_operand {
  cst_value value;
  cst_chain_reading how;
} cst_chain_operand;

typedef struct cst_chain_step {
  cst_map_fn *map;
  cst_value node; /* whose step this is, for messages */
  int16_t in[3];  /* >= 0: operand; < 0: register ~in */
  int16_t out;    /* register; -1: the result */
  uint8_t n_in;
} cst_chain_step;

typedef struct cst_chain {
  uint8_t dtype;
  bool plain; /* one step whose operands stand in its order and are read in place */
  uint16_t n_steps, n_operands, n_registers;
  cst_chain_operand operand[CHAIN_OPERANDS];
  cst_chain_step step[CHAIN_STEPS];
} cst_chain;

/* Whether an operand of type t can be read so in a result of type `out`, and how. */
bool cst_chain_reads(const cst_type *out, const cst_type *t, cst_chain_reading *how);
/* Builds the chain of `n` nodes given in ascending order, the last of which is the result. `rep` maps
 * a value to the value whose storage it shares. False: too many operands. */
bool cst_chain_build(const cst_graph *g, const cst_value *nodes, size_t n, const cst_value *rep,
                     cst_chain *chain);
cst_status cst_chain_run(const cst_call *c);
/* The first node of the chain that gives a value that is not finite, or CST_NONE. */
cst_value cst_chain_blame(const cst_call *c);
