/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Ops that arrange the elements of one value anew, or convert them, and compute nothing; all are linear. A ROW value
 * stays ROW as long as its leading axis stays the batch.
 */
#include "autodiff/moves.h"

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

static const cst_op table[] = {
  ROW(reshape, 1, 1, .kernel = {alias_run, alias_run}, RULES(reshape), .flags = CST_OP_ALIAS),
  ROW(detach, 1, 1, .kernel = {alias_run, alias_run}, .batch = detach_batch, .flags = CST_OP_ALIAS | CST_OP_CONSTANT),
  ROW(transpose, 1, 1, RUN(transpose), RULES(transpose)),
  ROW(cast, 1, 1, RUN(cast), RULES(cast)),
};

cst_status cst_register_shapes(const cst_host *h) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) CST_TRY(h->register_op(h, &table[i]));
  return CST_OK;
}
