/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Ops that take a piece of an axis, put it into a longer one or join several; all are linear. Along the batch they
 * give values that are not of rows.
 */
#include "autodiff/moves.h"

/* An operation along one axis: ROW is lost when that axis is the batch. */
static uint8_t space_along(const cst_type *t, int axis) {
  return t->space == CST_ROW && axis == 0 ? CST_SHARED : t->space;
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

static const cst_op table[] = {
  ROW(slice, 1, 1, RUN(slice), RULES(slice)),
  ROW(pad, 1, 1, RUN(pad), RULES(pad)),
  ROW(concat, 64, ~(uint64_t)0, RUN(concat), RULES(concat), .flags = CST_OP_JOINT),
};

cst_status cst_register_axes(const cst_host *h) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) CST_TRY(h->register_op(h, &table[i]));
  return CST_OK;
}
