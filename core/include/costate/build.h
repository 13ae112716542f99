/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Building graph nodes: thin inline wrappers over host->node, the same for the core's own
 * derivative rules, for models in plugins and for the Lua binding.
 *
 * Shapes. A ROW value behaves like its per-row ("inner") shape: operands are aligned at the row
 * axis first, then the remaining axes broadcast from the right. So row [B] + row [B,D] is [B,D],
 * and shared [D] + row [B,D] is [B,D]. Element types must agree; rank-0 f64 operands are cast.
 * All functions return CST_NONE after an error (g->status says which) and accept CST_NONE.
 * Axes count from 0; negative axes count from the end.
 */
#pragma once
#include "costate/plugin.h"

struct cst_graph {
  const cst_host *host;
  cst_status status; /* sticky: the first error; its text is in the context */
  uint8_t real;      /* the graph's float type, CST_F32 or CST_F64 */
  int64_t rows;      /* the row capacity: dim[0] of every ROW value */
  /* private from here on */
};

/* Activations of `dense`; the numbers are part of the op's meaning (and are those of kernels.h). */
enum { CST_NO_ACT, CST_TANH, CST_SIGMOID, CST_RELU, CST_SOFTPLUS, CST_ELU };

static inline cst_value cst_node1(cst_graph *g, const char *op, cst_value a, const cst_attrs *at) {
  return g->host->node(g, op, &a, 1, at);
}
static inline cst_value cst_node2(cst_graph *g, const char *op, cst_value a, cst_value b,
                                  const cst_attrs *at) {
  cst_value in[2] = {a, b};
  return g->host->node(g, op, in, 2, at);
}
static inline const cst_type *cst_type_of(const cst_graph *g, cst_value v) {
  return g->host->type_of(g, v);
}

/* A scalar constant of the graph's float type. */
static inline cst_value cst_scalar(cst_graph *g, double x) {
  cst_attrs at = {.n_ints = 1, .n_reals = 1, .i = {g->real}, .x = {x}};
  return g->host->node(g, "scalar", NULL, 0, &at);
}

#define CST_UNARY(name) \
  static inline cst_value cst_##name(cst_graph *g, cst_value a) { return cst_node1(g, #name, a, NULL); }
CST_UNARY(neg) CST_UNARY(abs) CST_UNARY(sign) CST_UNARY(floor) CST_UNARY(recip) CST_UNARY(square)
CST_UNARY(cube) CST_UNARY(sqrt) CST_UNARY(exp) CST_UNARY(expm1) CST_UNARY(log) CST_UNARY(log1p) CST_UNARY(sin)
CST_UNARY(cos) CST_UNARY(tan) CST_UNARY(tanh) CST_UNARY(sigmoid) CST_UNARY(softplus) CST_UNARY(relu)
CST_UNARY(elu) CST_UNARY(erf) CST_UNARY(atan) CST_UNARY(heaviside) CST_UNARY(isfinite)
CST_UNARY(detach) /* the value, with derivative zero */
#undef CST_UNARY

#define CST_BINARY(name)                                                         \
  static inline cst_value cst_##name(cst_graph *g, cst_value a, cst_value b) {  \
    return cst_node2(g, #name, a, b, NULL);                                      \
  }
CST_BINARY(add) CST_BINARY(sub) CST_BINARY(mul) CST_BINARY(div) CST_BINARY(pow) CST_BINARY(max)
CST_BINARY(min) CST_BINARY(lt) CST_BINARY(le) CST_BINARY(eq) CST_BINARY(ne)
#undef CST_BINARY

static inline cst_value cst_where(cst_graph *g, cst_value c, cst_value a, cst_value b) {
  cst_value in[3] = {c, a, b};
  return g->host->node(g, "where", in, 3, NULL);
}
static inline cst_value cst_scale(cst_graph *g, cst_value a, double s) {
  return cst_mul(g, a, cst_scalar(g, s));
}

/* x [.., K] times w [K, N] (shared), or with trans w [N, K]: [.., N]. */
static inline cst_value cst_matmul(cst_graph *g, cst_value x, cst_value w, bool trans) {
  cst_attrs at = {.n_ints = 1, .i = {trans}};
  return cst_node2(g, "matmul", x, w, &at);
}
/* Sum over all leading axes of a [.., K]^T b [.., N]: [K, N]. */
static inline cst_value cst_outer(cst_graph *g, cst_value a, cst_value b) {
  return cst_node2(g, "outer", a, b, NULL);
}
/* Matrix by matrix for every leading index: op(a) [.., M, K] op(b) [.., K, N]; equal leading axes. */
static inline cst_value cst_bmm(cst_graph *g, cst_value a, cst_value b, bool trans_a, bool trans_b) {
  cst_attrs at = {.n_ints = 2, .i = {trans_a, trans_b}};
  return cst_node2(g, "bmm", a, b, &at);
}
/* act(x [.., K] w [K, N] + b [N]). */
static inline cst_value cst_dense(cst_graph *g, cst_value x, cst_value w, cst_value b, int act) {
  cst_attrs at = {.n_ints = 1, .i = {act}};
  cst_value in[3] = {x, w, b};
  return g->host->node(g, "dense", in, 3, &at);
}

/* Reductions over the axes in the bit mask (bit i: axis i; ~0 all); `keep` leaves axes of length 1. */
static inline cst_value cst_sum(cst_graph *g, cst_value a, uint64_t axes, bool keep) {
  cst_attrs at = {.n_ints = 2, .i = {(int64_t)axes, keep}};
  return cst_node1(g, "sum", a, &at);
}
static inline cst_value cst_amax(cst_graph *g, cst_value a, uint64_t axes, bool keep) {
  cst_attrs at = {.n_ints = 2, .i = {(int64_t)axes, keep}};
  return cst_node1(g, "amax", a, &at);
}
/* Mean over all elements: a scalar. */
static inline cst_value cst_mean(cst_graph *g, cst_value a) {
  cst_value s = cst_sum(g, a, ~(uint64_t)0, false);
  return a ? cst_scale(g, s, 1.0 / (double)cst_type_count(cst_type_of(g, a))) : CST_NONE;
}
/* Sums a broadcast value back to type `like` has (the pullback of broadcasting). */
static inline cst_value cst_sum_to(cst_graph *g, cst_value a, cst_value like) {
  if (!a || !like) return CST_NONE;
  const cst_type *t = cst_type_of(g, like);
  cst_attrs at = {.n_ints = (uint8_t)(2 + t->rank), .i = {t->rank, t->space}};
  for (int i = 0; i < t->rank; i++) at.i[2 + i] = t->dim[i];
  return cst_node1(g, "sum_to", a, &at);
}
static inline cst_value cst_broadcast_like(cst_graph *g, cst_value a, cst_value like) {
  if (!a || !like) return CST_NONE;
  const cst_type *t = cst_type_of(g, like);
  cst_attrs at = {.n_ints = (uint8_t)(2 + t->rank), .i = {t->rank, t->space}};
  for (int i = 0; i < t->rank; i++) at.i[2 + i] = t->dim[i];
  return cst_node1(g, "broadcast", a, &at);
}
/* Zeros of the shape and element type of `like`. */
static inline cst_value cst_zeros_like(cst_graph *g, cst_value like) {
  cst_value zero = cst_scalar(g, 0);
  cst_attrs at = {.n_ints = 1, .i = {cst_type_of(g, like)->dtype}};
  if (zero && like && at.i[0] != g->real) zero = cst_node1(g, "cast", zero, &at);
  return cst_broadcast_like(g, zero, like);
}

/* One dimension may be -1. A ROW value keeps its leading axis: give it as -1 or as g->rows. */
static inline cst_value cst_reshape(cst_graph *g, cst_value a, int rank, const int64_t *dim) {
  cst_attrs at = {.n_ints = (uint8_t)rank};
  for (int i = 0; i < rank && i < CST_MAX_RANK; i++) at.i[i] = dim[i];
  return cst_node1(g, "reshape", a, &at);
}
/* Axis i of the result is axis perm[i] of a. */
static inline cst_value cst_transpose(cst_graph *g, cst_value a, int rank, const int *perm) {
  cst_attrs at = {.n_ints = (uint8_t)rank};
  for (int i = 0; i < rank && i < CST_MAX_RANK; i++) at.i[i] = perm[i];
  return cst_node1(g, "transpose", a, &at);
}
/* Elements start, start+step, ... < stop along one axis. */
static inline cst_value cst_slice(cst_graph *g, cst_value a, int axis, int64_t start, int64_t stop,
                                  int64_t step) {
  cst_attrs at = {.n_ints = 4, .i = {axis, start, stop, step}};
  return cst_node1(g, "slice", a, &at);
}
static inline cst_value cst_concat(cst_graph *g, const cst_value *in, size_t n, int axis) {
  cst_attrs at = {.n_ints = 1, .i = {axis}};
  return g->host->node(g, "concat", in, n, &at);
}
/* Zeros before and after along one axis, `step - 1` zeros between elements. */
static inline cst_value cst_pad(cst_graph *g, cst_value a, int axis, int64_t before, int64_t after,
                                int64_t step) {
  cst_attrs at = {.n_ints = 4, .i = {axis, before, after, step}};
  return cst_node1(g, "pad", a, &at);
}
/* Takes entries along an axis by an i64 index of rank <= 1 (rank 0 drops the axis). */
static inline cst_value cst_gather(cst_graph *g, cst_value a, cst_value index, int axis) {
  cst_attrs at = {.n_ints = 1, .i = {axis}};
  return cst_node2(g, "gather", a, index, &at);
}
static inline cst_value cst_cast(cst_graph *g, cst_value a, cst_dtype dtype) {
  cst_attrs at = {.n_ints = 1, .i = {dtype}};
  return cst_node1(g, "cast", a, &at);
}

/* Kinds of `control`; the numbers are part of the op's meaning. */
enum { CST_CONTROL_CONSTANT, CST_CONTROL_LINEAR, CST_CONTROL_HERMITE };

/* The `order`-th derivative at t of the function of time that takes `values` [K, ..] at `times` [K],
 * increasing f64; rows may have their own, [B, K, ..] and [B, K]. t is an f64 scalar, one a row, or,
 * where nothing is of rows, a vector [T]. Knot times are constants of every derivative. A field that
 * uses a control of its own time is solved from knot to knot: see autodiff/control_op.c, ode/breaks.c. */
static inline cst_value cst_control(cst_graph *g, cst_value t, cst_value times, cst_value values, int kind, int order) {
  cst_attrs at = {.n_ints = 2, .i = {kind, order}};
  cst_value in[3] = {t, times, values};
  return g->host->node(g, "control", in, 3, &at);
}
