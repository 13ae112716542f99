/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Words for the rules of ops that move elements: heads of rules, rules that are the same node once more, rows of a table.
 */
#pragma once
#include <string.h>

#include "autodiff/graph_internal.h"
#include "autodiff/strided.h"

#define INFER(name)                                                                              \
  static cst_status name##_infer(const cst_host *h, const cst_attrs *a, const cst_type *in,      \
                                 size_t n, cst_type *out, size_t *n_out)
#define VJP(name)                                                                                \
  static cst_status name##_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,  \
                               const cst_value *out, const cst_value *bar, const bool *want,     \
                               cst_value *in_bar)
#define JVP(name)                                                                                \
  static cst_status name##_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,  \
                               const cst_value *out, const cst_value *dot, cst_value *out_dot)
#define UNUSED_INFER (void)h, (void)a, (void)n, (void)n_out
#define UNUSED_VJP (void)a, (void)in, (void)n, (void)out, (void)want
#define UNUSED_JVP (void)a, (void)in, (void)n, (void)out

/* Linear in one operand: the tangent goes through the same node. */
#define SAME_JVP(name)                                                                           \
  JVP(name) {                                                                                    \
    UNUSED_JVP;                                                                                  \
    *out_dot = cst_node1(g, #name, dot[0], a);                                                   \
    return g->status;                                                                            \
  }
/* The same node of the stacked value. */
#define SAME_BATCH(name)                                                                         \
  CST_BATCH_RULE(name) {                                                                         \
    (void)in, (void)n, (void)k, (void)out;                                                       \
    *out_stacked = cst_node1(g, #name, stacked[0], a);                                           \
    return g->status;                                                                            \
  }

#define RUN(nm) .kernel = {nm##_run, nm##_run}
#define ROW(nm, most, lin, ...)                                                                  \
  {.struct_size = sizeof(cst_op), .name = #nm, .n_in_min = 1, .n_in_max = most, .linear = lin,    \
   .infer = nm##_infer, __VA_ARGS__}
#define RULES(nm) .vjp = nm##_vjp, .jvp = nm##_jvp, .batch = nm##_batch

static inline int axis_of(int64_t axis, int rank) { return (int)(axis < 0 ? axis + rank : axis); }

static inline cst_status bad_axis(const cst_host *h, int64_t axis, const cst_type *t) {
  char text[64];
  return h->fail(h, CST_ESHAPE, "axis %lld of a value of shape %s", (long long)axis,
                 cst_type_format(t, text, sizeof text));
}
