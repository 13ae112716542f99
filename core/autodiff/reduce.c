/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Reductions and broadcasting, each the other's pullback. An axis mask reaches `sum` and `amax` as
 * one run of neighbouring axes (simplify.c splits others), so a kernel sees [outer, mid, inner].
 */
#include "autodiff/graph_internal.h"
#include "autodiff/strided.h"
#include "tensor/kernels.h"

/* attributes: mask of axes, keep */
static cst_status reduce_type(const cst_attrs *a, const cst_type *in, cst_type *out) {
  *out = (cst_type){.dtype = in->dtype, .space = in->space};
  for (int i = 0; i < in->rank; i++) {
    bool gone = a->i[0] >> i & 1;
    if (!gone || a->i[1]) out->dim[out->rank++] = gone ? 1 : in->dim[i];
  }
  return CST_OK;
}
static cst_status sum_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                            cst_type *out, size_t *n_out) {
  (void)h, (void)n, (void)n_out;
  reduce_type(a, in, out);
  if (in->space == CST_ROW && (a->i[0] & 1)) out->space = CST_PARTIAL;
  return CST_OK;
}
static cst_status amax_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                             cst_type *out, size_t *n_out) {
  (void)n, (void)n_out;
  reduce_type(a, in, out);
  if (in->space != CST_ROW || (a->i[0] & 1)) out->space = CST_SHARED;
  for (int i = 0; i < in->rank; i++)
    if ((a->i[0] >> i & 1) && in->dim[i] == 0)
      return h->fail(h, CST_ESHAPE, "the largest of no elements");
  return CST_OK;
}

static void split(const cst_call *c, size_t *outer, size_t *mid, size_t *inner) {
  const cst_type *t = &c->q->operand[0].type;
  int64_t dim[CST_MAX_RANK];
  cst_shape_now(t, c->rows, dim);
  *outer = *mid = *inner = 1;
  bool before = true;
  for (int i = 0; i < t->rank; i++) {
    if (c->q->attrs->i[0] >> i & 1) *mid *= (size_t)dim[i], before = false;
    else if (before) *outer *= (size_t)dim[i];
    else *inner *= (size_t)dim[i];
  }
}
static cst_status sum_run(const cst_call *c) {
  size_t outer, mid, inner;
  split(c, &outer, &mid, &inner);
  cst_kernels_get()->sum[c->q->operand[0].type.dtype == CST_F64](outer, mid, inner, c->p[0],
                                                                 c->add & 1, c->p[1]);
  return CST_OK;
}
static cst_status amax_run(const cst_call *c) {
  size_t outer, mid, inner;
  split(c, &outer, &mid, &inner);
  if (mid) cst_kernels_get()->max[c->q->operand[0].type.dtype == CST_F64](outer, mid, inner, c->p[0], c->p[1]);
  return CST_OK;
}

/* A reduced value with its lost axes back as length 1, then as long as `like`. */
static cst_value spread(cst_graph *g, const cst_attrs *a, cst_value reduced, cst_value like) {
  const cst_type *t = type_at(g, like), *r = type_at(g, reduced);
  int64_t dim[CST_MAX_RANK];
  for (int i = 0; i < t->rank; i++) dim[i] = a->i[0] >> i & 1 ? 1 : t->dim[i];
  if (r->space != CST_ROW && t->space == CST_ROW && !(a->i[0] & 1)) dim[0] = r->dim[0];
  return cst_broadcast_like(g, cst_reshape(g, reduced, t->rank, dim), like);
}

static cst_status sum_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                          const cst_value *out, const cst_value *bar, const bool *want,
                          cst_value *in_bar) {
  (void)n, (void)out, (void)want;
  in_bar[0] = spread(g, a, bar[0], in[0]);
  return g->status;
}
static cst_status sum_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                          const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)in, (void)n, (void)out;
  *out_dot = cst_sum(g, dot[0], (uint64_t)a->i[0], a->i[1] != 0);
  return g->status;
}

/* The share of each element in the maximum: ties share evenly. */
static cst_value share(cst_graph *g, const cst_attrs *a, cst_value x, cst_value y) {
  cst_value hit = cst_eq(g, x, spread(g, a, y, x));
  cst_value hits = spread(g, a, cst_sum(g, hit, (uint64_t)a->i[0], true), x);
  return cst_div(g, hit, hits);
}
static cst_status amax_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                           const cst_value *out, const cst_value *bar, const bool *want,
                           cst_value *in_bar) {
  (void)n, (void)want;
  in_bar[0] = cst_mul(g, spread(g, a, bar[0], in[0]), share(g, a, in[0], out[0]));
  return g->status;
}
static cst_status amax_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                           const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)n;
  *out_dot = cst_sum(g, cst_mul(g, dot[0], share(g, a, in[0], out[0])), (uint64_t)a->i[0],
                     a->i[1] != 0);
  return g->status;
}

/* Over the batch axis as well: what is left is not of rows, and has the new axis in front. */
static cst_status reduce_batch(cst_graph *g, const char *name, const cst_attrs *a, cst_value in, cst_value stacked,
                               cst_value *out_stacked) {
  const cst_type *t = type_at(g, in);
  cst_attrs at = {.n_ints = 2, .i = {0, a->i[1]}};
  for (int i = 0; i < t->rank; i++) {
    if (!(a->i[0] >> i & 1)) continue;
    int axis = cst_stacked_axis(g, stacked, t, i);
    if (axis < 0 || (axis == 0 && a->i[1])) return CST_EUNSUPPORTED;
    at.i[0] |= (int64_t)1 << axis;
  }
  *out_stacked = cst_node1(g, name, stacked, &at);
  return g->status;
}
CST_BATCH_RULE(sum) {
  (void)n, (void)k, (void)out;
  return reduce_batch(g, "sum", a, in[0], stacked[0], out_stacked);
}
CST_BATCH_RULE(amax) {
  (void)n, (void)k, (void)out;
  return reduce_batch(g, "amax", a, in[0], stacked[0], out_stacked);
}

/* ---- broadcast: attributes rank, space, dim.. ------------------------------------------------------ */

static cst_status broadcast_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                                  cst_type *out, size_t *n_out) {
  (void)n, (void)n_out;
  if (a->i[0] < 0 || a->i[0] > CST_MAX_RANK) return h->fail(h, CST_ESHAPE, "a shape of more than %d axes", CST_MAX_RANK);
  *out = (cst_type){.dtype = in->dtype, .rank = (uint8_t)a->i[0]};
  for (int i = 0; i < out->rank; i++) out->dim[i] = a->i[2 + i];
  out->space = a->i[1] == CST_ROW ? CST_ROW : in->space == CST_PARTIAL ? CST_PARTIAL : CST_SHARED;
  int64_t stride[CST_MAX_RANK];
  char x[64], y[64];
  if (cst_broadcast_strides(out, in, stride)) return CST_OK;
  return h->fail(h, CST_ESHAPE, "%s does not broadcast to %s", cst_type_format(in, x, sizeof x),
                 cst_type_format(out, y, sizeof y));
}
static cst_status broadcast_run(const cst_call *c) {
  const cst_type *in = &c->q->operand[0].type, *out = &c->q->operand[1].type;
  int64_t dim[CST_MAX_RANK], from[CST_MAX_RANK], to[CST_MAX_RANK];
  cst_shape_now(out, c->rows, dim);
  cst_broadcast_strides(out, in, from);
  cst_strides(out->rank, dim, to);
  cst_copy_strided(cst_dtype_size(out->dtype), out->rank, dim, c->p[0], from, c->p[1], to);
  return CST_OK;
}
static cst_status broadcast_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                                const cst_value *out, const cst_value *bar, const bool *want,
                                cst_value *in_bar) {
  (void)a, (void)n, (void)out, (void)want;
  in_bar[0] = cst_sum_to(g, bar[0], in[0]);
  return g->status;
}
static cst_status broadcast_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                                const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)in, (void)n, (void)out;
  *out_dot = cst_node1(g, "broadcast", dot[0], a);
  return g->status;
}

/* `sum_to` is rewritten into sum and reshape (simplify.c). */
static cst_status sum_to_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                               cst_type *out, size_t *n_out) {
  (void)a, (void)n, (void)out, (void)n_out;
  char x[64];
  return h->fail(h, CST_ESHAPE, "%s is not a broadcast of the shape asked for",
                 cst_type_format(in, x, sizeof x));
}
static cst_status never_run(const cst_call *c) {
  (void)c;
  return CST_EINTERNAL;
}

#define ROW(nm, ...) {.struct_size = sizeof(cst_op), .name = #nm, .n_in_min = 1, .n_in_max = 1, \
                      .infer = nm##_infer, __VA_ARGS__}
#define RULES(nm) .kernel = {nm##_run, nm##_run}, .vjp = nm##_vjp, .jvp = nm##_jvp
static const cst_op table[] = {
  ROW(sum, RULES(sum), .batch = sum_batch, .linear = 1, .accumulates = 1, .flags = CST_OP_REAL),
  ROW(amax, RULES(amax), .batch = amax_batch, .flags = CST_OP_REAL),
  ROW(broadcast, RULES(broadcast), .batch = cst_batch_broadcast, .linear = 1),
  ROW(sum_to, .kernel = {never_run, never_run}),
};

cst_status cst_register_reductions(const cst_host *h) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) CST_TRY(h->register_op(h, &table[i]));
  return CST_OK;
}
