/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Scan: a body applied along an axis, its carry handed from one entry to the next.
 *
 * Inputs   carry (n_carry), xs (n_xs), captures (the rest)
 * Outputs  last carry (n_carry), stacks of what the body yields (n_ys), stacks of the carry before
 *          each entry (n_carry): the pullback needs these and nothing else
 */
#pragma once
#include "autodiff/graph_internal.h"

/* Attributes; the object is the body, a function. */
enum { SCAN_N_CARRY, SCAN_N_XS, SCAN_AXIS, SCAN_REVERSE, SCAN_LENGTH, SCAN_INTS, SCAN_MOST = 128 };

static inline const cst_function *scan_body(const cst_attrs *a) { return (const cst_function *)a->object; }
static inline size_t scan_n_ys(const cst_attrs *a) { return scan_body(a)->n_out - (size_t)a->i[SCAN_N_CARRY]; }

/* scan_rules.c */
cst_status cst_scan_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n, const cst_value *out,
                        const cst_value *bar, const bool *want, cst_value *in_bar);
cst_status cst_scan_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n, const cst_value *out,
                        const cst_value *dot, cst_value *out_dot);

/* The workspace of the body of a scan node, from the node's state: its counters are those of the last run. */
cst_workspace *cst_scan_workspace(void *state);
