/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Scan: a body applied along an axis, its carry handed from one entry to the next.
 *
 * Inputs   carry (n_carry), xs (n_xs), captures (the rest); of a ragged scan the lengths of rows
 * Outputs  last carry (n_carry), stacks of what the body yields (n_ys), stacks of the carry before
 *          each entry (n_carry): the pullback needs these and nothing else
 */
#pragma once
#include "autodiff/graph_internal.h"

/* Attributes; the object is the body, a function. */
enum { SCAN_N_CARRY, SCAN_N_XS, SCAN_AXIS, SCAN_REVERSE, SCAN_LENGTH, SCAN_RAGGED, SCAN_INTS, SCAN_MOST = 128 };

static inline const cst_function *scan_body(const cst_attrs *a) { return (const cst_function *)a->object; }
static inline size_t scan_n_ys(const cst_attrs *a) { return scan_body(a)->n_out - (size_t)a->i[SCAN_N_CARRY]; }

/* Any scan; `lengths`: CST_NONE, or of a ragged one. */
cst_value cst_scan_node(cst_graph *g, cst_function *body, const cst_value *carry, size_t n_carry, const cst_value *xs,
                        size_t n_xs, const cst_value *captures, size_t n_captures, int axis, bool reverse,
                        cst_value lengths);

/* ---- at run time --------------------------------------------------------------------------------------- */

typedef struct scan_state {
  cst_program *program;
  cst_workspace *workspace;
  unsigned char *memory; /* two sets of carries, one entry of every x and y; captures of rows in order */
  void *carry[2][SCAN_MOST], *x[SCAN_MOST], *y[SCAN_MOST], *capture[SCAN_MOST];
  size_t *order, *under_way; /* of a ragged scan: rows by length, the longest first; by entry, how many have it */
} scan_state;

typedef struct scan_frame {
  const cst_call *c;
  scan_state *s;
  size_t n_carry, n_xs, n_ys;
  size_t rows; /* of the body, which may know no rows in a graph that does */
  int axis;
  const void *in[SCAN_MOST];
  void *out[SCAN_MOST];
} scan_frame;

/* Moves entry `e` of a stack: out of it (to a contiguous entry) or into it. */
void cst_scan_move(const cst_operand *stack, size_t rows, int axis, int64_t e, void *data, void *entry, bool into);
/* The frame of a run, whose body counts anew. */
scan_frame cst_scan_enter(const cst_call *c);
/* The body on the first rows. Whoever runs a scan on fewer rows than it was made for knows that the body keeps
 * rows apart. */
cst_status cst_scan_body(const scan_frame *f, size_t rows);
/* Adds what the body counted. */
void cst_scan_leave(const scan_frame *f);
/* The key of random draws of an entry. */
void cst_scan_key(const scan_frame *f, int64_t e);
size_t cst_scan_bytes(const cst_call *c, uint32_t operand);

/* scan_ragged.c */
cst_status cst_scan_run_ragged(const cst_call *c);

/* scan_rules.c */
cst_status cst_scan_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n, const cst_value *out,
                        const cst_value *bar, const bool *want, cst_value *in_bar);
cst_status cst_scan_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n, const cst_value *out,
                        const cst_value *dot, cst_value *out_dot);

/* The workspace of the body of a scan node, from the node's state: its counters are those of the last run. */
cst_workspace *cst_scan_workspace(void *state);
