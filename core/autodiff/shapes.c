/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Ops that move elements and compute nothing; all are linear. A ROW value stays ROW as long as its
 * leading axis stays the batch.
 */
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

static int axis_of(int64_t axis, int rank) { return (int)(axis < 0 ? axis + rank : axis); }

/* An operation along one axis: ROW is lost when that axis is the batch. */
static uint8_t space_along(const cst_type *t, int axis) {
  return t->space == CST_ROW && axis == 0 ? CST_SHARED : t->space;
}

static cst_status bad_axis(const cst_host *h, int64_t axis, const cst_type *t) {
  char text[64];
  return h->fail(h, CST_ESHAPE, "axis %lld of a value of shape %s", (long long)axis,
                 cst_type_format(t, text, sizeof text));
}

/* ---- reshape: attributes dim.. ------------------------------------------------------------------- */

INFER(reshape) {
  UNUSED_INFER;
  char text[64];
  int64_t count = (int64_t)cst_type_count(in), known = 1;
  int open = -1;
  if (a->n_ints > CST_MAX_RANK) return h->fail(h, CST_ESHAPE, "a shape of more than %d axes", CST_MAX_RANK);
  *out = (cst_type){.dtype = in->dtype, .rank = a->n_ints};
  for (int i = 0; i < out->rank; i++) {
    out->dim[i] = a->i[i];
    if (a->i[i] == -1 && open < 0) open = i;
    else if (a->i[i] < 0) return h->fail(h, CST_ESHAPE, "a negative length in a shape");
    else if (__builtin_mul_overflow(known, a->i[i], &known)) return h->fail(h, CST_ESHAPE, "a shape so large does not fit into memory");
  }
  if (open >= 0) out->dim[open] = known ? count / known : 0;
  if ((int64_t)cst_type_count(out) != count)
    return h->fail(h, CST_ESHAPE, "%s cannot be reshaped: it has %lld elements, the new shape %lld",
                   cst_type_format(in, text, sizeof text), (long long)count,
                   (long long)cst_type_count(out));
  bool keeps = in->space != CST_ROW || (out->rank > 0 && out->dim[0] == in->dim[0]);
  out->space = keeps ? in->space : CST_SHARED;
  return CST_OK;
}
VJP(reshape) {
  UNUSED_VJP;
  const cst_type *t = type_at(g, in[0]);
  in_bar[0] = cst_reshape(g, bar[0], t->rank, t->dim);
  return g->status;
}
SAME_JVP(reshape)
CST_BATCH_RULE(reshape) {
  (void)a, (void)n;
  const cst_type *like = type_at(g, in[0]), *to = type_at(g, out[0]);
  bool row = to->space == CST_ROW, has = type_at(g, stacked[0])->space == CST_ROW;
  int64_t dim[CST_MAX_RANK];
  int rank = 0;
  if ((like->space == CST_ROW) != row || to->rank == CST_MAX_RANK) return CST_EUNSUPPORTED;
  if (has) dim[rank++] = to->dim[0];
  dim[rank++] = k;
  for (int i = row; i < to->rank; i++) dim[rank++] = to->dim[i];
  *out_stacked = cst_reshape(g, stacked[0], rank, dim);
  return g->status;
}

/* The same node of the stacked value. */
#define SAME_BATCH(name)                                                                         \
  CST_BATCH_RULE(name) {                                                                         \
    (void)in, (void)n, (void)k, (void)out;                                                       \
    *out_stacked = cst_node1(g, #name, stacked[0], a);                                           \
    return g->status;                                                                            \
  }

INFER(detach) {
  UNUSED_INFER;
  *out = *in;
  return CST_OK;
}

SAME_BATCH(detach)

static cst_status alias_run(const cst_call *c) {
  const cst_operand *o = &c->q->operand[1];
  size_t n = o->type.space == CST_ROW ? c->rows * o->inner : o->inner;
  memcpy(c->p[1], c->p[0], n * cst_dtype_size(o->type.dtype));
  return CST_OK;
}

/* ---- transpose: attributes perm.. ------------------------------------------------------------------ */

INFER(transpose) {
  UNUSED_INFER;
  *out = (cst_type){.dtype = in->dtype, .rank = in->rank};
  uint32_t seen = 0;
  for (int i = 0; i < in->rank && a->n_ints == in->rank; i++) {
    int p = axis_of(a->i[i], in->rank);
    if (p < 0 || p >= in->rank) return bad_axis(h, a->i[i], in);
    out->dim[i] = in->dim[p];
    seen |= 1u << p;
  }
  if (seen != (1u << in->rank) - 1) return h->fail(h, CST_ESHAPE, "not a permutation of the axes");
  out->space = in->space == CST_ROW && axis_of(a->i[0], in->rank) != 0 ? CST_SHARED : in->space;
  return CST_OK;
}
static cst_status transpose_run(const cst_call *c) {
  const cst_type *in = &c->q->operand[0].type, *out = &c->q->operand[1].type;
  int64_t dim[CST_MAX_RANK], plain[CST_MAX_RANK], from[CST_MAX_RANK], to[CST_MAX_RANK],
      now[CST_MAX_RANK];
  cst_shape_now(in, c->rows, now);
  cst_strides(in->rank, now, plain);
  for (int i = 0; i < out->rank; i++) {
    int p = axis_of(c->q->attrs->i[i], in->rank);
    dim[i] = now[p], from[i] = plain[p];
  }
  cst_strides(out->rank, dim, to);
  cst_copy_strided(cst_dtype_size(in->dtype), out->rank, dim, c->p[0], from, c->p[1], to);
  return CST_OK;
}
VJP(transpose) {
  UNUSED_VJP;
  int rank = type_at(g, in[0])->rank, back[CST_MAX_RANK];
  for (int i = 0; i < rank; i++) back[axis_of(a->i[i], rank)] = i;
  in_bar[0] = cst_transpose(g, bar[0], rank, back);
  return g->status;
}
SAME_JVP(transpose)
CST_BATCH_RULE(transpose) {
  (void)n, (void)k, (void)out;
  const cst_type *like = type_at(g, in[0]);
  int row = like->space == CST_ROW, has = type_at(g, stacked[0])->space == CST_ROW, perm[CST_MAX_RANK] = {0, 1};
  if (row && axis_of(a->i[0], like->rank) != 0) return CST_EUNSUPPORTED;
  for (int i = row; i < like->rank; i++) perm[i - row + 1 + has] = cst_stacked_axis(g, stacked[0], like, a->i[i]);
  *out_stacked = cst_transpose(g, stacked[0], type_at(g, stacked[0])->rank, perm);
  return g->status;
}

/* A node that goes along an axis of each row, attribute 0. */
static cst_status along_axis(cst_graph *g, const char *name, const cst_attrs *a, cst_value in, cst_value stacked,
                             cst_value *out_stacked) {
  const cst_type *like = type_at(g, in);
  cst_attrs at = *a;
  if (like->space == CST_ROW && axis_of(a->i[0], like->rank) == 0) return CST_EUNSUPPORTED;
  at.i[0] = cst_stacked_axis(g, stacked, like, a->i[0]);
  *out_stacked = cst_node1(g, name, stacked, &at);
  return g->status;
}
#define AXIS_BATCH(name)                                                                         \
  CST_BATCH_RULE(name) {                                                                         \
    (void)n, (void)k, (void)out;                                                                 \
    return along_axis(g, #name, a, in[0], stacked[0], out_stacked);                              \
  }

/* ---- slice: attributes axis, start, stop, step ------------------------------------------------------- */

INFER(slice) {
  UNUSED_INFER;
  int axis = axis_of(a->i[0], in->rank);
  if (axis < 0 || axis >= in->rank) return bad_axis(h, a->i[0], in);
  int64_t start = a->i[1], stop = a->i[2], step = a->i[3];
  if (step < 1 || start < 0 || stop < start || stop > in->dim[axis])
    return h->fail(h, CST_ESHAPE, "elements %lld to %lld of an axis of length %lld",
                   (long long)start, (long long)stop, (long long)in->dim[axis]);
  *out = *in;
  out->dim[axis] = stop > start ? (stop - start - 1) / step + 1 : 0;
  out->space = space_along(in, axis);
  return CST_OK;
}
static cst_status slice_run(const cst_call *c) {
  const cst_type *in = &c->q->operand[0].type, *out = &c->q->operand[1].type;
  const cst_attrs *a = c->q->attrs;
  int axis = axis_of(a->i[0], in->rank);
  int64_t now[CST_MAX_RANK], dim[CST_MAX_RANK], from[CST_MAX_RANK], to[CST_MAX_RANK];
  cst_shape_now(in, c->rows, now);
  cst_shape_now(out, c->rows, dim);
  cst_strides(in->rank, now, from);
  cst_strides(out->rank, dim, to);
  size_t size = cst_dtype_size(in->dtype);
  const char *first = (const char *)c->p[0] + (size_t)(a->i[1] * from[axis]) * size;
  if (dim[axis] > 1) from[axis] *= a->i[3];
  cst_copy_strided(size, out->rank, dim, first, from, c->p[1], to);
  return CST_OK;
}
VJP(slice) {
  UNUSED_VJP;
  const cst_type *t = type_at(g, in[0]);
  int axis = axis_of(a->i[0], t->rank);
  int64_t length = type_at(g, out[0])->dim[axis], step = a->i[3], whole = t->dim[axis];
  int64_t covered = length ? (length - 1) * step + 1 : 0;
  in_bar[0] = cst_pad(g, bar[0], axis, a->i[1], whole - a->i[1] - covered, step);
  return g->status;
}
SAME_JVP(slice)
AXIS_BATCH(slice)

/* ---- pad: attributes axis, before, after, step --------------------------------------------------------- */

/* before + n spread elements + after; -1: more than there are numbers. */
static int64_t padded(int64_t n, const cst_attrs *a) {
  int64_t length = 0;
  if (n && (__builtin_mul_overflow(n - 1, a->i[3], &length) || __builtin_add_overflow(length, 1, &length))) return -1;
  bool over = __builtin_add_overflow(length, a->i[1], &length) || __builtin_add_overflow(length, a->i[2], &length);
  return over ? -1 : length;
}
INFER(pad) {
  UNUSED_INFER;
  int axis = axis_of(a->i[0], in->rank);
  if (axis < 0 || axis >= in->rank) return bad_axis(h, a->i[0], in);
  if (a->i[1] < 0 || a->i[2] < 0 || a->i[3] < 1)
    return h->fail(h, CST_ESHAPE, "padding by %lld and %lld", (long long)a->i[1], (long long)a->i[2]);
  *out = *in;
  out->dim[axis] = padded(in->dim[axis], a);
  if (out->dim[axis] < 0) return h->fail(h, CST_ESHAPE, "padding to a length that does not fit into memory");
  out->space = space_along(in, axis);
  return CST_OK;
}
static cst_status pad_run(const cst_call *c) {
  const cst_type *in = &c->q->operand[0].type, *out = &c->q->operand[1].type;
  const cst_attrs *a = c->q->attrs;
  int axis = axis_of(a->i[0], in->rank);
  int64_t dim[CST_MAX_RANK], now[CST_MAX_RANK], from[CST_MAX_RANK], to[CST_MAX_RANK];
  cst_shape_now(in, c->rows, dim);
  cst_shape_now(out, c->rows, now);
  cst_strides(in->rank, dim, from);
  cst_strides(out->rank, now, to);
  size_t size = cst_dtype_size(in->dtype), total = 1;
  for (int i = 0; i < out->rank; i++) total *= (size_t)now[i];
  memset(c->p[1], 0, total * size);
  char *first = (char *)c->p[1] + (size_t)(a->i[1] * to[axis]) * size;
  if (dim[axis] > 1) to[axis] *= a->i[3];
  cst_copy_strided(size, in->rank, dim, c->p[0], from, first, to);
  return CST_OK;
}
VJP(pad) {
  UNUSED_VJP;
  const cst_type *t = type_at(g, in[0]);
  int axis = axis_of(a->i[0], t->rank);
  int64_t length = t->dim[axis], stop = a->i[1] + (length ? (length - 1) * a->i[3] + 1 : 0);
  in_bar[0] = cst_slice(g, bar[0], axis, a->i[1], stop, a->i[3]);
  return g->status;
}
SAME_JVP(pad)
AXIS_BATCH(pad)

/* ---- concat: attribute axis ------------------------------------------------------------------------------ */

INFER(concat) {
  UNUSED_INFER;
  int axis = axis_of(a->i[0], in->rank);
  if (axis < 0 || axis >= in->rank) return bad_axis(h, a->i[0], in);
  *out = *in;
  out->space = space_along(in, axis);
  for (size_t i = 1; i < n; i++) {
    bool fits = in[i].rank == in->rank && in[i].dtype == in->dtype;
    for (int k = 0; fits && k < in->rank; k++) fits = k == axis || in[i].dim[k] == in->dim[k];
    char x[64], y[64];
    if (!fits)
      return h->fail(h, CST_ESHAPE, "%s and %s cannot be joined along axis %d",
                     cst_type_format(in, x, sizeof x), cst_type_format(&in[i], y, sizeof y), axis);
    out->dim[axis] += in[i].dim[axis];
    if (in[i].space == CST_ROW && axis != 0) out->space = CST_ROW;
    else if (in[i].space != in->space && out->space != CST_ROW) out->space = CST_SHARED;
  }
  return CST_OK;
}
static cst_status concat_run(const cst_call *c) {
  uint32_t n = c->q->n_in;
  const cst_type *out = &c->q->operand[n].type;
  int axis = axis_of(c->q->attrs->i[0], out->rank);
  int64_t now[CST_MAX_RANK], to[CST_MAX_RANK];
  cst_shape_now(out, c->rows, now);
  cst_strides(out->rank, now, to);
  size_t size = cst_dtype_size(out->dtype);
  char *at = c->p[n];
  for (uint32_t i = 0; i < n; i++) {
    int64_t dim[CST_MAX_RANK], from[CST_MAX_RANK];
    cst_shape_now(&c->q->operand[i].type, c->rows, dim);
    if (axis != 0 && out->space == CST_ROW) dim[0] = (int64_t)c->rows;
    cst_strides(out->rank, dim, from);
    cst_copy_strided(size, out->rank, dim, c->p[i], from, at, to);
    at += (size_t)(dim[axis] * to[axis]) * size;
  }
  return CST_OK;
}
VJP(concat) {
  UNUSED_VJP;
  int axis = axis_of(a->i[0], type_at(g, out[0])->rank);
  int64_t at = 0;
  for (size_t i = 0; i < n; i++) {
    int64_t length = type_at(g, in[i])->dim[axis];
    if (want[i]) in_bar[i] = cst_slice(g, bar[0], axis, at, at + length, 1);
    at += length;
  }
  return g->status;
}
JVP(concat) {
  (void)out;
  cst_value part[64];
  if (n > 64) return CST_EUNSUPPORTED;
  for (size_t i = 0; i < n; i++) part[i] = value_or_zero(g, dot[i], in[i]);
  *out_dot = g->host->node(g, "concat", part, n, a);
  return g->status;
}

CST_BATCH_RULE(concat) {
  const cst_type *to = type_at(g, out[0]);
  cst_value part[64];
  bool row = to->space == CST_ROW, plain = true; /* plain: no part has the batch axis */
  if (n > 64 || (row && axis_of(a->i[0], to->rank) == 0)) return CST_EUNSUPPORTED;
  for (size_t i = 0; i < n; i++) {
    plain = plain && stacked[i] && type_at(g, stacked[i])->space != CST_ROW;
    if ((type_at(g, in[i])->space == CST_ROW) != row) return CST_EUNSUPPORTED;
  }
  for (size_t i = 0; i < n; i++)
    if (!(part[i] = plain ? stacked[i] : cst_stacked_full(g, in[i], stacked[i], k))) return g->status;
  cst_attrs at = {.n_ints = 1, .i = {cst_stacked_axis(g, part[0], to, a->i[0])}};
  *out_stacked = g->host->node(g, "concat", part, n, &at);
  return g->status;
}

/* ---- cast: attribute dtype --------------------------------------------------------------------------------- */

INFER(cast) {
  UNUSED_INFER;
  if (a->i[0] < 0 || a->i[0] >= CST_OPAQUE || in->dtype == CST_OPAQUE)
    return h->fail(h, CST_EDTYPE, "no such conversion");
  *out = *in;
  out->dtype = (uint8_t)a->i[0];
  return CST_OK;
}
static double load(const void *p, uint8_t dtype, size_t i) {
  return dtype == CST_F32   ? (double)((const float *)p)[i]
         : dtype == CST_F64 ? ((const double *)p)[i] : (double)((const int64_t *)p)[i];
}
static cst_status cast_run(const cst_call *c) {
  const cst_operand *o = &c->q->operand[1];
  uint8_t from = c->q->operand[0].type.dtype;
  size_t n = o->type.space == CST_ROW ? c->rows * o->inner : o->inner;
  for (size_t i = 0; i < n; i++) {
    double x = load(c->p[0], from, i);
    if (o->type.dtype == CST_F32) ((float *)c->p[1])[i] = (float)x;
    else if (o->type.dtype == CST_F64) ((double *)c->p[1])[i] = x;
    else ((int64_t *)c->p[1])[i] = x > -9.2e18 && x < 9.2e18 ? (int64_t)x : 0;
  }
  return CST_OK;
}
VJP(cast) {
  UNUSED_VJP;
  uint8_t d = type_at(g, in[0])->dtype;
  in_bar[0] = d == CST_I64 || type_at(g, out[0])->dtype == CST_I64 ? CST_NONE : cst_cast(g, bar[0], d);
  return g->status;
}
JVP(cast) {
  UNUSED_JVP;
  *out_dot = a->i[0] == CST_I64 ? CST_NONE : cst_cast(g, dot[0], (cst_dtype)a->i[0]);
  return g->status;
}

SAME_BATCH(cast)

#define RUN(nm) .kernel = {nm##_run, nm##_run}
#define ROW(nm, most, lin, ...)                                                                  \
  {.struct_size = sizeof(cst_op), .name = #nm, .n_in_min = 1, .n_in_max = most, .linear = lin,    \
   .infer = nm##_infer, __VA_ARGS__}
#define RULES(nm) .vjp = nm##_vjp, .jvp = nm##_jvp, .batch = nm##_batch
static const cst_op table[] = {
  ROW(reshape, 1, 1, .kernel = {alias_run, alias_run}, RULES(reshape), .flags = CST_OP_ALIAS),
  ROW(detach, 1, 1, .kernel = {alias_run, alias_run}, .batch = detach_batch, .flags = CST_OP_ALIAS | CST_OP_CONSTANT),
  ROW(transpose, 1, 1, RUN(transpose), RULES(transpose)),
  ROW(slice, 1, 1, RUN(slice), RULES(slice)),
  ROW(pad, 1, 1, RUN(pad), RULES(pad)),
  ROW(concat, 64, ~(uint64_t)0, RUN(concat), RULES(concat), .flags = CST_OP_JOINT),
  ROW(cast, 1, 1, RUN(cast), RULES(cast)),
};

cst_status cst_register_shapes(const cst_host *h) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) CST_TRY(h->register_op(h, &table[i]));
  return CST_OK;
}
