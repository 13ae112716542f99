/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Products. `matmul`, `outer` and `bmm` are closed under differentiation: the pullback of each is
 * made of the others. `dense` is a layer in one pass; `dense_back` is its whole pullback in one or
 * two, and differentiates by its expansion into products.
 */
#include <string.h>

#include "autodiff/graph_internal.h"
#include "tensor/kernels.h"

static size_t last(const cst_type *t) { return (size_t)t->dim[t->rank - 1]; }

/* Elements of operand i of a call. */
static size_t count(const cst_call *c, uint32_t i) {
  const cst_operand *o = &c->q->operand[i];
  return o->type.space == CST_ROW ? c->rows * o->inner : o->inner;
}

/* Lines of k elements in operand 0. A value of rows most often has one a row: no division then. */
static size_t lines(const cst_call *c, size_t k) {
  const cst_operand *o = &c->q->operand[0];
  if (o->type.space == CST_ROW && o->inner == k) return k ? c->rows : 0;
  return k ? count(c, 0) / k : 0;
}

static int precision(const cst_call *c, uint32_t i) {
  return c->q->operand[i].type.dtype == CST_F64;
}

/* The space of a bilinear result that keeps the leading axes of `a`. */
static uint8_t bilinear_space(const cst_type *a, const cst_type *b) {
  if (a->space == CST_ROW) return CST_ROW;
  if (a->space == CST_PARTIAL) return b->space == CST_SHARED ? CST_PARTIAL : CST_SHARED;
  return b->space == CST_PARTIAL ? CST_PARTIAL : CST_SHARED;
}

static cst_status misfit(const cst_host *h, const char *what, const cst_type *a, const cst_type *b) {
  char x[64], y[64];
  return h->fail(h, CST_ESHAPE, "%s of %s and %s", what, cst_type_format(a, x, sizeof x),
                 cst_type_format(b, y, sizeof y));
}

static bool is_vector_of_rows(const cst_type *t) { return t->rank > (t->space == CST_ROW); }

/* ---- matmul: y [.., N] = x [.., K] op(w); attribute: w is transposed, [N, K] ------------------- */

static cst_status matmul_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                               cst_type *out, size_t *n_out) {
  (void)n, (void)n_out;
  const cst_type *x = &in[0], *w = &in[1];
  if (w->rank != 2 || w->space == CST_ROW || !is_vector_of_rows(x) || x->dtype != w->dtype ||
      (int64_t)last(x) != w->dim[a->i[0] ? 1 : 0])
    return misfit(h, "the matrix product", x, w);
  *out = *x;
  out->dim[x->rank - 1] = w->dim[a->i[0] ? 0 : 1];
  out->space = bilinear_space(x, w);
  return CST_OK;
}
static cst_status matmul_run(const cst_call *c) {
  const cst_attrs *a = c->q->attrs;
  const cst_type *w = &c->q->operand[1].type;
  size_t k = (size_t)w->dim[a->i[0] ? 1 : 0], n = (size_t)w->dim[a->i[0] ? 0 : 1];
  cst_kernels_get()->product[precision(c, 0)](lines(c, k), k, n, c->p[0], c->p[1],
                                              a->i[0] != 0, c->add & 1, c->p[2]);
  return CST_OK;
}
static cst_status matmul_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                             const cst_value *out, const cst_value *bar, const bool *want,
                             cst_value *in_bar) {
  (void)n, (void)out;
  bool t = a->i[0];
  if (want[0]) in_bar[0] = cst_matmul(g, bar[0], in[1], !t);
  if (want[1]) in_bar[1] = t ? cst_outer(g, bar[0], in[0]) : cst_outer(g, in[0], bar[0]);
  return g->status;
}
static cst_status matmul_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                             const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)n, (void)out;
  cst_value x = dot[0] ? cst_matmul(g, dot[0], in[1], a->i[0]) : CST_NONE;
  cst_value w = dot[1] ? cst_matmul(g, in[0], dot[1], a->i[0]) : CST_NONE;
  *out_dot = add_values(g, x, w);
  return g->status;
}

/* The axis is one more of the leading ones. */
CST_BATCH_RULE(matmul) {
  (void)n, (void)k, (void)out;
  if (stacked[1]) return CST_EUNSUPPORTED;
  *out_stacked = cst_matmul(g, stacked[0], in[1], a->i[0] != 0);
  return g->status;
}

/* ---- outer: y [K, N] = sum over leading axes of a [.., K]^T b [.., N] --------------------------- */

static cst_status outer_infer(const cst_host *h, const cst_attrs *at, const cst_type *in, size_t n,
                              cst_type *out, size_t *n_out) {
  (void)at, (void)n, (void)n_out;
  const cst_type *a = &in[0], *b = &in[1];
  bool fits = a->rank == b->rank && is_vector_of_rows(a) && is_vector_of_rows(b) && a->dtype == b->dtype;
  for (int i = 0; fits && i < a->rank - 1; i++) fits = a->dim[i] == b->dim[i];
  if (!fits) return misfit(h, "the outer product", a, b);
  *out = (cst_type){.dtype = a->dtype, .rank = 2, .dim = {(int64_t)last(a), (int64_t)last(b)}};
  bool rows = a->space == CST_ROW && b->space == CST_ROW;
  bool partial = (a->space == CST_PARTIAL) != (b->space == CST_PARTIAL) && a->space != CST_ROW &&
                 b->space != CST_ROW;
  out->space = rows || partial ? CST_PARTIAL : CST_SHARED;
  return CST_OK;
}
static cst_status outer_run(const cst_call *c) {
  size_t k = last(&c->q->operand[0].type), n = last(&c->q->operand[1].type);
  cst_kernels_get()->outer[precision(c, 0)](lines(c, k), k, n, c->p[0], c->p[1],
                                            c->add & 1, c->p[2]);
  return CST_OK;
}
static cst_status outer_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                            const cst_value *out, const cst_value *bar, const bool *want,
                            cst_value *in_bar) {
  (void)a, (void)n, (void)out;
  if (want[0]) in_bar[0] = cst_matmul(g, in[1], bar[0], true);
  if (want[1]) in_bar[1] = cst_matmul(g, in[0], bar[0], false);
  return g->status;
}
static cst_status outer_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                            const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)a, (void)n, (void)out;
  cst_value x = dot[0] ? cst_outer(g, dot[0], in[1]) : CST_NONE;
  cst_value y = dot[1] ? cst_outer(g, in[0], dot[1]) : CST_NONE;
  *out_dot = add_values(g, x, y);
  return g->status;
}

/* ---- bmm: y [.., M, N] = op(a) [.., M, K] op(b) [.., K, N]; attributes: transposed a, b ---------- */

static cst_status bmm_infer(const cst_host *h, const cst_attrs *at, const cst_type *in, size_t n,
                            cst_type *out, size_t *n_out) {
  (void)n, (void)n_out;
  const cst_type *a = &in[0], *b = &in[1];
  int r = a->rank;
  bool rows = a->space == CST_ROW || b->space == CST_ROW;
  bool fits = r == b->rank && r >= 2 + rows && a->dtype == b->dtype;
  for (int i = 0; fits && i < r - 2; i++) fits = a->dim[i] == b->dim[i];
  if (!fits || a->dim[r - (at->i[0] ? 2 : 1)] != b->dim[r - (at->i[1] ? 1 : 2)])
    return misfit(h, "the batched matrix product", a, b);
  *out = *a;
  out->dim[r - 2] = a->dim[r - (at->i[0] ? 1 : 2)];
  out->dim[r - 1] = b->dim[r - (at->i[1] ? 2 : 1)];
  out->space = rows ? CST_ROW : bilinear_space(a, b);
  return CST_OK;
}
/* One matrix product; `a` transposed goes through `outer`, which contracts leading axes. */
static void bmm_one(const cst_kernels *kn, int p, size_t m, size_t k, size_t n, bool ta, bool tb,
                    const void *a, const void *b, void *y) {
  if (!ta) kn->product[p](m, k, n, a, b, tb, false, y);
  else if (!tb) kn->outer[p](k, m, n, a, b, false, y);
  else /* y [m,n] = a^T [m,k] b^T [k,n]: element by element, rare */
    for (size_t i = 0; i < m; i++)
      for (size_t j = 0; j < n; j++) {
        double s = 0;
        for (size_t q = 0; q < k; q++)
          s += p ? ((const double *)a)[q * m + i] * ((const double *)b)[j * k + q]
                 : (double)((const float *)a)[q * m + i] * (double)((const float *)b)[j * k + q];
        if (p) ((double *)y)[i * n + j] = s;
        else ((float *)y)[i * n + j] = (float)s;
      }
}
static cst_status bmm_run(const cst_call *c) {
  const cst_type *a = &c->q->operand[0].type, *y = &c->q->operand[2].type;
  bool ta = c->q->attrs->i[0], tb = c->q->attrs->i[1];
  size_t m = (size_t)y->dim[y->rank - 2], n = (size_t)y->dim[y->rank - 1];
  size_t k = (size_t)a->dim[a->rank - (ta ? 2 : 1)], size = cst_dtype_size(y->dtype);
  size_t batches = m != 0 && n != 0 ? count(c, 2) / (m * n) : 0;
  for (size_t i = 0; i < batches; i++)
    bmm_one(cst_kernels_get(), precision(c, 0), m, k, n, ta, tb,
            (const char *)c->p[0] + i * m * k * size, (const char *)c->p[1] + i * k * n * size,
            (char *)c->p[2] + i * m * n * size);
  return CST_OK;
}
static cst_status bmm_vjp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n,
                          const cst_value *out, const cst_value *bar, const bool *want,
                          cst_value *in_bar) {
  (void)n, (void)out;
  bool ta = at->i[0], tb = at->i[1];
  if (want[0])
    in_bar[0] = ta ? cst_bmm(g, in[1], bar[0], tb, true) : cst_bmm(g, bar[0], in[1], false, !tb);
  if (want[1])
    in_bar[1] = tb ? cst_bmm(g, bar[0], in[0], true, ta) : cst_bmm(g, in[0], bar[0], !ta, false);
  return g->status;
}
static cst_status bmm_jvp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n,
                          const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)n, (void)out;
  cst_value a = dot[0] ? cst_bmm(g, dot[0], in[1], at->i[0], at->i[1]) : CST_NONE;
  cst_value b = dot[1] ? cst_bmm(g, in[0], dot[1], at->i[0], at->i[1]) : CST_NONE;
  *out_dot = add_values(g, a, b);
  return g->status;
}

CST_BATCH_RULE(bmm) {
  (void)n, (void)out;
  if ((type_at(g, in[0])->space == CST_ROW) != (type_at(g, in[1])->space == CST_ROW)) return CST_EUNSUPPORTED;
  cst_value x = cst_stacked_full(g, in[0], stacked[0], k), y = cst_stacked_full(g, in[1], stacked[1], k);
  *out_stacked = x && y ? cst_bmm(g, x, y, a->i[0] != 0, a->i[1] != 0) : CST_NONE;
  return g->status;
}

/* ---- dense: y [.., N] = act(x [.., K] w [K, N] + b [N]); attribute: act ------------------------- */

static cst_status dense_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                              cst_type *out, size_t *n_out) {
  static const cst_attrs plain = {.n_ints = 1};
  CST_TRY(matmul_infer(h, &plain, in, n, out, n_out));
  const cst_type *b = &in[2];
  if (b->rank != 1 || b->space == CST_ROW || b->dim[0] != in[1].dim[1] || b->dtype != in[1].dtype)
    return misfit(h, "a dense layer: the bias does not fit, weight and bias", &in[1], b);
  if (a->i[0] < 0 || a->i[0] >= CST_ACT_COUNT) return h->fail(h, CST_EINVAL, "no such activation");
  if (out->space == CST_PARTIAL) out->space = CST_SHARED; /* affine, not linear */
  return CST_OK;
}
static cst_status dense_run(const cst_call *c) {
  const cst_type *w = &c->q->operand[1].type;
  size_t k = (size_t)w->dim[0], n = (size_t)w->dim[1];
  cst_kernels_get()->dense[precision(c, 0)](&(cst_dense_args){
      .m = lines(c, k), .k = k, .n = n, .act = (cst_act)c->q->attrs->i[0],
      .x = c->p[0], .w = c->p[1], .b = c->p[2], .y = c->p[3]});
  return CST_OK;
}

/* act'(z) as a function of y = act(z). */
static cst_value act_slope(cst_graph *g, int64_t act, cst_value y) {
  cst_value one = cst_scalar(g, 1);
  switch (act) {
    case CST_TANH: return cst_sub(g, one, cst_square(g, y));
    case CST_SIGMOID: return cst_mul(g, y, cst_sub(g, one, y));
    case CST_RELU: return cst_heaviside(g, y);
    case CST_SOFTPLUS: return cst_neg(g, cst_expm1(g, cst_neg(g, y)));
    case CST_ELU: return cst_where(g, cst_heaviside(g, y), one, cst_add(g, y, one));
    default: return CST_NONE;
  }
}
static cst_value through_act(cst_graph *g, int64_t act, cst_value y, cst_value bar) {
  cst_value slope = act_slope(g, act, y);
  return slope ? cst_mul(g, bar, slope) : bar;
}

static cst_status dense_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                            const cst_value *out, const cst_value *bar, const bool *want,
                            cst_value *in_bar) {
  (void)n;
  cst_value back_in[4] = {in[0], in[1], out[0], bar[0]};
  cst_value v = g->host->node(g, "dense_back", back_in, 4, a);
  for (cst_value i = 0; v && i < 3; i++)
    if (want[i]) in_bar[i] = v + i;
  return g->status;
}
static cst_status dense_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                            const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  static const cst_attrs plain = {.n_ints = 1};
  CST_TRY(matmul_jvp(g, &plain, in, n, out, dot, out_dot));
  *out_dot = add_values(g, *out_dot, dot[2]);
  if (*out_dot) *out_dot = through_act(g, a->i[0], out[0], *out_dot);
  if (*out_dot && !cst_type_equal(type_at(g, *out_dot), type_at(g, out[0])))
    *out_dot = cst_broadcast_like(g, *out_dot, out[0]);
  return g->status;
}
CST_BATCH_RULE(dense) {
  (void)n, (void)k, (void)out;
  if (stacked[1] || stacked[2]) return CST_EUNSUPPORTED;
  *out_stacked = cst_dense(g, stacked[0], in[1], in[2], (int)a->i[0]);
  return g->status;
}

/* ---- dense_back: (x, w, y, y_bar) -> x_bar, w_bar, b_bar, and y_bar act'(y) as scratch ------------ */

static cst_status dense_back_infer(const cst_host *h, const cst_attrs *a, const cst_type *in,
                                   size_t n, cst_type *out, size_t *n_out) {
  (void)h, (void)n;
  const cst_type *x = &in[0], *w = &in[1], *bar = &in[3];
  uint8_t sums = x->space == CST_ROW ? CST_PARTIAL
                 : bar->space == CST_PARTIAL && x->space == CST_SHARED ? CST_PARTIAL : CST_SHARED;
  out[0] = *x, out[1] = *w, out[3] = *bar;
  out[2] = (cst_type){.dtype = x->dtype, .rank = 1, .dim = {w->dim[1]}};
  if (x->space != CST_ROW) out[0].space = sums;
  out[1].space = out[2].space = sums;
  *n_out = a->i[0] == CST_NO_ACT ? 3 : 4;
  return CST_OK;
}
static cst_status dense_back_run(const cst_call *c) {
  const cst_type *w = &c->q->operand[1].type;
  size_t k = (size_t)w->dim[0], n = (size_t)w->dim[1];
  int p = precision(c, 0);
  cst_dense_back_args b = {.m = lines(c, k), .k = k, .n = n,
    .act = (cst_act)c->q->attrs->i[0], .x = c->p[0], .w = c->p[1], .y = c->p[2], .gy = c->p[3],
    .gx = c->p[4], .gw = c->p[5], .gb = c->p[6], .gz = c->q->n_out > 3 ? c->p[7] : NULL};
  bool add_w = c->add >> 1 & 1, add_b = c->add >> 2 & 1;
  size_t size = cst_dtype_size(w->dtype);
  b.add = add_w || add_b;
  if (b.add && !add_w && b.gw) memset(b.gw, 0, k * n * size);
  if (b.add && !add_b && b.gb) memset(b.gb, 0, n * size);
  cst_kernels_get()->dense_back[p](&b);
  return CST_OK;
}
static cst_status dense_back_expand(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                                    cst_value *out) {
  (void)n;
  cst_value x = in[0], w = in[1], z = through_act(g, a->i[0], in[2], in[3]);
  out[0] = cst_matmul(g, z, w, true);
  out[1] = cst_outer(g, x, z);
  int rank = type_at(g, z)->rank;
  out[2] = cst_sum(g, z, ((uint64_t)1 << (rank - 1)) - 1, false);
  if (a->i[0] != CST_NO_ACT) out[3] = z;
  return g->status;
}

static const cst_op table[] = {
  {.struct_size = sizeof(cst_op), .name = "matmul", .n_in_min = 2, .n_in_max = 2, .flags = CST_OP_REAL, .linear = 3,
   .accumulates = 1, .infer = matmul_infer, .kernel = {matmul_run, matmul_run}, .vjp = matmul_vjp,
   .jvp = matmul_jvp, .batch = matmul_batch},
  {.struct_size = sizeof(cst_op), .name = "outer", .n_in_min = 2, .n_in_max = 2, .flags = CST_OP_REAL, .linear = 3,
   .accumulates = 1, .infer = outer_infer, .kernel = {outer_run, outer_run}, .vjp = outer_vjp,
   .jvp = outer_jvp},
  {.struct_size = sizeof(cst_op), .name = "bmm", .n_in_min = 2, .n_in_max = 2, .flags = CST_OP_REAL, .linear = 3,
   .infer = bmm_infer, .kernel = {bmm_run, bmm_run}, .vjp = bmm_vjp, .jvp = bmm_jvp,
   .batch = bmm_batch},
  {.struct_size = sizeof(cst_op), .name = "dense", .n_in_min = 3, .n_in_max = 3, .flags = CST_OP_REAL,
   .infer = dense_infer, .kernel = {dense_run, dense_run}, .vjp = dense_vjp, .jvp = dense_jvp,
   .batch = dense_batch},
  {.struct_size = sizeof(cst_op), .name = "dense_back", .n_in_min = 4, .n_in_max = 4,
   .accumulates = 6, .infer = dense_back_infer, .kernel = {dense_back_run, dense_back_run},
   .expand = dense_back_expand},
};

cst_status cst_register_linear(const cst_host *h) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) CST_TRY(h->register_op(h, &table[i]));
  return CST_OK;
}
