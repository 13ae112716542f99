/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Element types, shapes, values of a graph and their attributes.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "costate/status.h"

typedef struct cst_context cst_context; /* allocator, error text, registry, threads */
typedef struct cst_host cst_host;       /* the functions a plugin calls (plugin.h) */
typedef struct cst_graph cst_graph;     /* nodes under construction (build.h, graph.h) */
typedef struct cst_tensor cst_tensor;   /* dense array (tensor.h) */

/* An OPAQUE value is one pointer into the workspace: the record of a solve is one. */
typedef enum cst_dtype { CST_F32, CST_F64, CST_I64, CST_OPAQUE } cst_dtype;

static inline size_t cst_dtype_size(cst_dtype d) { return d == CST_F32 ? 4 : 8; }

#define CST_MAX_RANK 8

/* Where a value's leading axis comes from - never decided by its shape.
 *  SHARED   the same for all rows (parameters, times, scalars).
 *  ROW      the leading axis is the batch; dim[0] is the graph's row capacity.
 *  PARTIAL  a sum over rows, of which every chunk of rows holds a summand. Only operations linear in
 *           it keep it PARTIAL. */
typedef enum cst_space { CST_SHARED, CST_ROW, CST_PARTIAL } cst_space;

typedef struct cst_type {
  uint8_t dtype; /* cst_dtype */
  uint8_t space; /* cst_space */
  uint8_t rank;
  int64_t dim[CST_MAX_RANK]; /* dim[rank..] are 0 */
} cst_type;

/* Number of elements. Shapes are checked for overflow where they are made. */
static inline size_t cst_type_count(const cst_type *t) {
  size_t n = 1;
  for (int i = 0; i < t->rank; i++) n *= (size_t)t->dim[i];
  return n;
}

/* A value of a graph: an index; 0 is "none", which every builder function accepts and returns once
 * the graph has failed, so building code needs no check per call. */
typedef uint32_t cst_value;
#define CST_NONE ((cst_value)0)

/* A reference-counted thing that a node carries: a constant tensor, a sub-graph, a solve plan. */
typedef struct cst_object cst_object;
struct cst_object {
  uint32_t refs;
  void (*destroy)(cst_object *self);
  /* Optional: equal in content to another object of the same destroy. NULL: only when identical. */
  bool (*same)(const cst_object *self, const cst_object *other);
};

static inline void *cst_object_retain(void *o) {
  if (o) ((cst_object *)o)->refs++;
  return o;
}
static inline void cst_object_release(void *o) {
  cst_object *x = (cst_object *)o;
  if (x && --x->refs == 0) x->destroy(x);
}

#define CST_ATTR_INTS 24
#define CST_ATTR_REALS 2

/* The constants of a node. Two nodes with equal op, inputs and attributes are one node. */
typedef struct cst_attrs {
  uint8_t n_ints, n_reals;
  int64_t i[CST_ATTR_INTS];
  double x[CST_ATTR_REALS];
  cst_object *object; /* may be NULL; compared by identity */
} cst_attrs;
