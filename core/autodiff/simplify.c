/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rewrites made while nodes are built: constant scalars fold, neutral elements vanish, and a
 * product with a bias and an activation becomes one `dense` node - before derivatives are taken,
 * so these find the fused layer as well.
 */
#include <string.h>

#include "autodiff/graph_internal.h"
#include "tensor/kernels.h"

static bool scalar_value(const cst_graph *g, cst_value v, double *x) {
  if (!cst_op_is(g, v, "scalar")) return false;
  *x = node_at(g, v)->attrs->x[0];
  return true;
}

static bool is_scalar(const cst_graph *g, cst_value v, double x) {
  double y;
  return scalar_value(g, v, &y) && y == x;
}

static cst_value scalar_of(cst_graph *g, uint8_t dtype, double x) {
  cst_attrs at = {.n_reals = 1, .n_ints = 1, .i = {dtype}, .x = {x}};
  return g->host->node(g, "scalar", NULL, 0, &at);
}

/* All operands are constant scalars: compute with the very kernel that a program would use. */
static cst_value fold(cst_graph *g, const cst_op *op, const cst_value *in, size_t n) {
  double x[3];
  float f[3], f_out;
  const void *p[3];
  if (!op->map || n > 3) return CST_NONE;
  uint8_t dtype = type_at(g, in[0])->dtype;
  for (size_t i = 0; i < n; i++) {
    if (!scalar_value(g, in[i], &x[i])) return CST_NONE;
    f[i] = (float)x[i];
    p[i] = dtype == CST_F32 ? (void *)&f[i] : (void *)&x[i];
  }
  double out;
  cst_map_fn *map = cst_kernels_get()->map[dtype == CST_F64][op->map - 1];
  map(p, dtype == CST_F32 ? (void *)&f_out : (void *)&out, 1);
  return scalar_of(g, dtype, dtype == CST_F32 ? (double)f_out : out);
}

/* v itself when an operation with a neutral scalar leaves value and type as they are. */
static cst_value neutral(cst_graph *g, const char *op, const cst_value *in) {
  if (strcmp(op, "mul") == 0) {
    if (is_scalar(g, in[0], 1)) return in[1];
    if (is_scalar(g, in[1], 1)) return in[0];
  }
  if (strcmp(op, "sub") == 0 && is_scalar(g, in[1], 0)) return in[0];
  if (strcmp(op, "div") == 0 && is_scalar(g, in[1], 1)) return in[0];
  return CST_NONE;
}

/* x W + b with W shared and b a vector along the last axis. */
static cst_value fuse_bias(cst_graph *g, cst_value product, cst_value b) {
  if (!cst_op_is(g, product, "matmul")) return CST_NONE;
  const cst_node *q = node_at(g, product);
  const cst_type *t = type_at(g, product), *bias = type_at(g, b);
  if (q->attrs->i[0] || t->rank < 1 || bias->rank != 1 || bias->space != CST_SHARED ||
      bias->dim[0] != t->dim[t->rank - 1] || type_at(g, q->in[1])->space != CST_SHARED)
    return CST_NONE;
  return cst_dense(g, q->in[0], q->in[1], b, CST_NO_ACT);
}

static int act_of(const char *op) {
  static const char *const name[] = {"", "tanh", "sigmoid", "relu", "softplus", "elu"};
  for (int i = 1; i < 6; i++)
    if (strcmp(op, name[i]) == 0) return i;
  return CST_NO_ACT;
}

static cst_value fuse_activation(cst_graph *g, const char *op, cst_value x) {
  int act = act_of(op);
  if (act == CST_NO_ACT || !cst_op_is(g, x, "dense")) return CST_NONE;
  const cst_node *q = node_at(g, x);
  if (q->attrs->i[0] != CST_NO_ACT) return CST_NONE;
  return cst_dense(g, q->in[0], q->in[1], q->in[2], act);
}

static cst_value power(cst_graph *g, cst_value x, cst_value exponent) {
  double p;
  if (!scalar_value(g, exponent, &p)) return CST_NONE;
  if (p == 0.5) return cst_sqrt(g, x);
  if (!(p >= -16 && p <= 16) || p != (double)(int)p || p == 0) return CST_NONE;
  unsigned n = (unsigned)(p < 0 ? -p : p);
  cst_value result = n == 3 ? cst_cube(g, x) : CST_NONE;
  for (cst_value square = x; n && n != 3; n >>= 1) {
    if (n & 1) result = result ? cst_mul(g, result, square) : square;
    if (n > 1) square = cst_square(g, square);
  }
  return p < 0 ? cst_recip(g, result) : result;
}

/* ---- reductions ------------------------------------------------------------------------------------ */

/* Bits of axes that exist; the lowest run of neighbouring axes among them. */
static uint64_t lowest_run(uint64_t mask) {
  if (!mask) return 0;
  uint64_t low = mask & (~mask + 1), run = 0;
  while (mask & low) run |= low, low <<= 1;
  return run;
}

/* A reduction over axes that are not neighbours: one after the other, keeping axes, then dropped. */
static cst_value split_axes(cst_graph *g, const cst_op *op, cst_value x, const cst_attrs *a) {
  const cst_type *t = type_at(g, x);
  uint64_t mask = (uint64_t)a->i[0] & (((uint64_t)1 << t->rank) - 1), run = lowest_run(mask);
  if (mask == 0) return x;
  cst_attrs part = {.n_ints = 2, .i = {(int64_t)run, 1}};
  if (run == mask) {
    part.i[1] = a->i[1];
    return cst_graph_emit(g, op, &x, 1, &part);
  }
  cst_value v = x;
  for (uint64_t rest = mask; rest && v; rest &= ~run) {
    run = lowest_run(rest);
    part.i[0] = (int64_t)run;
    v = cst_graph_emit(g, op, &v, 1, &part);
  }
  if (a->i[1] || !v) return v;
  int64_t dim[CST_MAX_RANK];
  int rank = 0;
  for (int i = 0; i < t->rank; i++)
    if (!(mask >> i & 1)) dim[rank++] = t->dim[i];
  return cst_reshape(g, v, rank, dim);
}

/* Sums over the axes along which `like` is repeated in x. */
static cst_value sum_to(cst_graph *g, cst_value x, const cst_attrs *a) {
  cst_type like = {.dtype = type_at(g, x)->dtype, .space = (uint8_t)a->i[1], .rank = (uint8_t)a->i[0]};
  for (int i = 0; i < like.rank; i++) like.dim[i] = a->i[2 + i];
  const cst_type *t = type_at(g, x);
  int64_t stride[CST_MAX_RANK];
  cst_type from = *t;
  if (like.space == CST_ROW && from.space != CST_ROW) from.space = CST_ROW;
  if (!cst_broadcast_strides(&from, &like, stride)) return CST_NONE;
  uint64_t mask = 0;
  for (int i = 0; i < t->rank; i++)
    if (stride[i] == 0 && (t->dim[i] != 1 || t->space == CST_ROW) && !(like.space == CST_ROW && i == 0))
      mask |= (uint64_t)1 << i;
  cst_value v = mask ? cst_sum(g, x, mask, true) : x;
  bool same = v && type_at(g, v)->rank == like.rank;
  for (int i = 0; same && i < like.rank; i++) same = type_at(g, v)->dim[i] == like.dim[i];
  return same ? v : cst_reshape(g, v, like.rank, like.dim);
}

static cst_value simplify_shapes(cst_graph *g, const cst_op *op, cst_value x, const cst_attrs *a) {
  if (strcmp(op->name, "sum") == 0 || strcmp(op->name, "amax") == 0) return split_axes(g, op, x, a);
  if (strcmp(op->name, "sum_to") == 0) return sum_to(g, x, a);
  if (strcmp(op->name, "broadcast") == 0) {
    const cst_type *t = type_at(g, x);
    bool same = t->rank == a->i[0] && (t->space == CST_ROW) == (a->i[1] == CST_ROW);
    for (int i = 0; same && i < t->rank; i++) same = t->dim[i] == a->i[2 + i];
    return same ? x : CST_NONE;
  }
  return CST_NONE;
}

cst_value cst_simplify(cst_graph *g, const cst_op *op, const cst_value *in, size_t n,
                       const cst_attrs *a) {
  if (!(op->flags & CST_OP_ELEMENTWISE)) return n == 1 ? simplify_shapes(g, op, in[0], a) : CST_NONE;
  if (n < 1) return CST_NONE;
  cst_value v = fold(g, op, in, n);
  if (v) return v;
  if (n == 1) return fuse_activation(g, op->name, in[0]);
  if (n != 2) return CST_NONE;
  if (strcmp(op->name, "pow") == 0) return power(g, in[0], in[1]);
  if (strcmp(op->name, "add") == 0) {
    v = fuse_bias(g, in[0], in[1]);
    return v ? v : fuse_bias(g, in[1], in[0]);
  }
  v = neutral(g, op->name, in);
  cst_type t;
  if (v && cst_broadcast_types(g->host, op, (cst_type[]){*type_at(g, in[0]), *type_at(g, in[1])}, 2,
                               &t) == CST_OK &&
      cst_type_equal(&t, type_at(g, v)))
    return v;
  return CST_NONE;
}
