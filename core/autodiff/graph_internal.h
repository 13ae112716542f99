/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The graph from inside. Nodes live in an arena and never move; `node_of[v]` finds the node that
 * value v is an output of. Nodes are made in topological order and merged when equal.
 */
#pragma once
#include "costate/context.h"
#include "costate/graph.h"

typedef struct cst_node {
  const cst_op *op;
  const cst_attrs *attrs;
  const cst_value *in;
  const cst_type *type; /* of the outputs */
  const char *source;   /* interned, or NULL */
  const char *name;     /* of an input */
  uint32_t n_in, n_out;
  cst_value first; /* outputs are first .. first + n_out - 1 */
  int line;
  uint64_t hash;
} cst_node;

typedef struct cst_slab cst_slab;

typedef struct cst_graph_impl {
  cst_graph head;
  cst_context *ctx;
  uint32_t refs;
  uint32_t n_values;             /* values 1 .. n_values */
  uint32_t capacity;             /* of node_of */
  cst_node **node_of;      /* by value */
  cst_node **table;        /* open addressing over hash */
  uint32_t table_size, n_nodes;
  uint32_t n_inputs;
  cst_slab *slab;                /* newest first */
  const char *source;            /* of nodes to come */
  int line;
  struct cst_text { struct cst_text *next; char text[1]; } *texts; /* interned */
  cst_object **objects;          /* retained */
  uint32_t n_objects, objects_capacity;
} cst_graph_impl;

static inline cst_graph_impl *impl(const cst_graph *g) { return (cst_graph_impl *)(uintptr_t)g; }
static inline const cst_node *node_at(const cst_graph *g, cst_value v) {
  return impl(g)->node_of[v];
}
static inline const cst_type *type_at(const cst_graph *g, cst_value v) {
  const cst_node *n = impl(g)->node_of[v];
  return &n->type[v - n->first];
}

/* The host's node, type_of and graph_fail. */
cst_value cst_graph_node(cst_graph *g, const char *op, const cst_value *in, size_t n,
                             const cst_attrs *a);
const cst_type *cst_graph_type(const cst_graph *g, cst_value v);
cst_value cst_graph_fail(cst_graph *g, cst_status st, const char *format, ...);

/* The same for an op already found: a name alone does not tell the op of a plugin from the core's. */
cst_value cst_graph_apply(cst_graph *g, const cst_op *op, const cst_value *in, size_t n, const cst_attrs *a);

/* The same without checks and rewriting by cst_simplify. */
cst_value cst_graph_emit(cst_graph *g, const cst_op *op, const cst_value *in, size_t n,
                         const cst_attrs *a);
const cst_op *cst_op_find(cst_graph *g, const char *name);
bool cst_op_is(const cst_graph *g, cst_value v, const char *name);

/* simplify.c: an equal value that is cheaper than the node asked for, or CST_NONE. */
cst_value cst_simplify(cst_graph *g, const cst_op *op, const cst_value *in, size_t n,
                       const cst_attrs *a);

/* broadcast.c: shapes of element-wise operations. */
cst_status cst_broadcast_types(const cst_host *h, const cst_op *op, const cst_type *in, size_t n,
                               cst_type *out);
/* Element strides of operand `t` for every axis of `out` (0 where broadcast). False: does not fit. */
bool cst_broadcast_strides(const cst_type *out, const cst_type *t, int64_t *stride);
bool cst_type_equal(const cst_type *a, const cst_type *b);

/* registration of the core's op table, one function a file of ops */
cst_status cst_register_core_ops(const cst_host *h);
cst_status cst_register_elementwise(const cst_host *h);
cst_status cst_register_sources(const cst_host *h);
cst_status cst_register_linear(const cst_host *h);
cst_status cst_register_reductions(const cst_host *h);
cst_status cst_register_shapes(const cst_host *h);
cst_status cst_register_axes(const cst_host *h);
cst_status cst_register_indexing(const cst_host *h);
cst_status cst_register_controls(const cst_host *h);
cst_status cst_register_scan(const cst_host *h);
cst_status cst_register_implicit(const cst_host *h);

/* A zero of the type of v; and g if it exists, else such a zero. */
static inline cst_value value_or_zero(cst_graph *g, cst_value x, cst_value like) {
  return x ? x : cst_zeros_like(g, like);
}
/* Sum of two values either of which may be CST_NONE (zero). */
static inline cst_value add_values(cst_graph *g, cst_value a, cst_value b) {
  return a && b ? cst_add(g, a, b) : a ? a : b;
}

/* A derivative as the value it belongs to is. Rules compute in the graph's float type, which f64 values
 * of an f32 graph (the time) do not have; and a value lined up with the batch by its length, or made of
 * a batch by its length, gets a derivative of the other kind. */
static inline cst_value derivative_like(cst_graph *g, cst_value x, cst_value like) {
  uint8_t d = type_at(g, like)->dtype;
  if (x && type_at(g, x)->dtype != d && (d == CST_F32 || d == CST_F64)) x = cst_cast(g, x, (cst_dtype)d);
  bool same = !x || (type_at(g, x)->space == CST_ROW) == (type_at(g, like)->space == CST_ROW);
  return same ? x : cst_broadcast_like(g, x, like);
}

/* batch.c: for batch rules. `like` is the type of the value that `stacked` is with one more axis. */
cst_type cst_stacked_type(const cst_type *like, int64_t k);
/* Where axis i of that value is in `stacked`; -1: the batch axis, which it does not have. */
int cst_stacked_axis(const cst_graph *g, cst_value stacked, const cst_type *like, int64_t axis);
/* v with the axis and all others: `stacked` or, if that is CST_NONE, v itself, repeated where they lack. */
cst_value cst_stacked_full(cst_graph *g, cst_value v, cst_value stacked, int64_t k);
/* The batch rule of `broadcast`. */
cst_status cst_batch_broadcast(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n, const cst_value *stacked,
                               int64_t k, const cst_value *out, cst_value *out_stacked);
/* The head of a batch rule. */
#define CST_BATCH_RULE(name)                                                                               \
  static cst_status name##_batch(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,        \
                                 const cst_value *stacked, int64_t k, const cst_value *out,              \
                                 cst_value *out_stacked)

/* function.c: builds in g what `outs` of `src` need, starting from the values that `map` gives (by value
 * of src; it is completed on the way). */
cst_status cst_graph_extract(cst_graph *g, const cst_graph *src, cst_value *map, const cst_value *outs,
                             size_t n, cst_value *results);
