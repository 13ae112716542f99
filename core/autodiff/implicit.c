/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * implicit: u where c(u, s) = 0, however it was found. From c_u du + c_s ds = 0
 *
 *   tangent    du = -c_u^-1 (c_s ds)
 *   cotangent  lambda = c_u^-T u_bar,   s_bar = -c_s^T lambda
 *
 * Inputs   what was found, the residual c there, captures s
 * Outputs  u: what was found, once the residual is seen to be small
 *
 * The rules call three recorded functions: c(u, s..), `back`(u, s.., x) = c_u^-T x and
 * `forth`(u, s.., x) = c_u^-1 x, with the output u itself for their first argument. So what they emit
 * depends on s through u as well, and its derivatives are right to every order. How u was found is
 * never differentiated.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autodiff/graph_internal.h"

enum { STEPS, MOST = 128 };

typedef struct plan {
  cst_object object;
  cst_context *ctx;
  cst_function *c, *back, *forth;
} plan;

static void plan_destroy(cst_object *o) {
  plan *p = (plan *)o;
  cst_context *ctx = p->ctx;
  cst_object_release(p->c), cst_object_release(p->back), cst_object_release(p->forth);
  cst_free(ctx, p);
}

static bool same(const cst_function *a, const cst_function *b) {
  cst_value x, y;
  return a == b || cst_function_equal(a, b, &x, &y);
}
static bool plan_same(const cst_object *a, const cst_object *b) {
  const plan *p = (const plan *)a, *q = (const plan *)b;
  return same(p->c, q->c) && same(p->back, q->back) && same(p->forth, q->forth);
}

/* ---- running ------------------------------------------------------------------------------------------ */

static cst_status infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n, cst_type *out, size_t *n_out) {
  const plan *p = (const plan *)a->object;
  char x[64], y[64];
  (void)n_out;
  if (n != p->c->n_in + 1) return h->fail(h, CST_EINVAL, "the constraint takes %u values, not %zu", p->c->n_in, n - 1);
  *out = in[0];
  if (out->space == CST_PARTIAL) out->space = CST_SHARED;
  bool fits = in[0].rank == in[1].rank && in[0].dtype == in[1].dtype && memcmp(in[0].dim, in[1].dim, sizeof in[0].dim) == 0;
  if (fits && (in[0].space == CST_ROW) == (in[1].space == CST_ROW)) return CST_OK;
  return h->fail(h, CST_ESHAPE, "as many equations as unknowns are needed: the unknowns are %s, the constraint gives %s",
                 cst_type_format(&in[0], x, sizeof x), cst_type_format(&in[1], y, sizeof y));
}

static double at(const void *p, uint8_t dtype, size_t i) {
  return dtype == CST_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static cst_status too_large(const cst_call *c, size_t i, double r) {
  const cst_operand *o = &c->q->operand[1];
  size_t line = o->type.space == CST_ROW && o->inner ? o->inner : i + 1;
  const cst_attrs *a = c->q->attrs;
  char row[32] = "";
  if (o->type.space == CST_ROW) snprintf(row, sizeof row, " of row %zu", c->run->row0 + i / line + 1);
  return cst_fail(c->run->ctx, CST_ENOCONVERGENCE,
                  "implicit: after %lld steps equation %zu%s is off by %.2g, where the tolerance is %.2g: start nearer to the "
                  "solution, allow more steps, or, if that is as far as rounding lets it come, a larger tolerance",
                  (long long)a->i[STEPS], i % line + 1, row, r, a->x[0]);
}

static cst_status run(const cst_call *c) {
  const cst_operand *o = &c->q->operand[1];
  size_t n = o->type.space == CST_ROW ? c->rows * o->inner : o->inner;
  for (size_t i = 0; i < n; i++) {
    double r = fabs(at(c->p[1], o->type.dtype, i));
    if (!(r <= c->q->attrs->x[0])) return too_large(c, i, r);
  }
  void *out = c->p[c->q->n_in];
  if (out) memcpy(out, c->p[0], n * cst_dtype_size(o->type.dtype));
  return CST_OK;
}

/* ---- rules ---------------------------------------------------------------------------------------------- */

/* u, then captures: the arguments of c, and the first ones of the others. */
static size_t arguments(const cst_value *in, size_t n, cst_value u, cst_value *arg) {
  arg[0] = u;
  for (size_t i = 2; i < n; i++) arg[i - 1] = in[i];
  return n - 1;
}

static cst_status vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *bar, const bool *want, cst_value *in_bar) {
  const plan *p = (const plan *)a->object;
  cst_value arg[MOST], arg_bar[MOST], lambda, r;
  size_t k = arguments(in, n, out[0], arg);
  arg[k] = bar[0];
  CST_TRY(cst_function_call(g, p->back, arg, &lambda));
  CST_TRY(cst_function_call(g, p->c, arg, &r));
  lambda = cst_neg(g, lambda);
  CST_TRY(cst_graph_vjp(g, &r, &lambda, 1, arg, k, arg_bar));
  for (size_t i = 2; i < n; i++) {
    bool again = false; /* a value given twice has one cotangent, and that is whole */
    for (size_t j = 2; j < i; j++) again |= in[j] == in[i];
    if (want[i] && !again) in_bar[i] = arg_bar[i - 1];
  }
  return g->status;
}

static cst_status jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *dot, cst_value *out_dot) {
  const plan *p = (const plan *)a->object;
  cst_value arg[MOST], arg_dot[MOST], r, r_dot, moved;
  size_t k = arguments(in, n, out[0], arg);
  arguments(dot, n, CST_NONE, arg_dot);
  CST_TRY(cst_function_call(g, p->c, arg, &r));
  CST_TRY(cst_graph_jvp(g, arg, arg_dot, k, &r, 1, &r_dot));
  if (!r_dot) return g->status;
  arg[k] = r_dot;
  CST_TRY(cst_function_call(g, p->forth, arg, &moved));
  *out_dot = cst_neg(g, moved);
  return g->status;
}

/* ---- building --------------------------------------------------------------------------------------------- */

static cst_value emit(cst_graph *g, plan *p, cst_value found, const cst_value *captures, size_t n, double tolerance,
                      int64_t steps) {
  cst_value in[MOST], residual;
  in[0] = found;
  memcpy(in + 1, captures, n * sizeof *in);
  if (cst_function_call(g, p->c, in, &residual) != CST_OK) return CST_NONE;
  memmove(in + 2, in + 1, n * sizeof *in);
  in[1] = residual;
  cst_attrs a = {.n_ints = 1, .n_reals = 1, .i = {steps}, .x = {tolerance}, .object = &p->object};
  return g->host->node(g, "implicit", in, n + 2, &a);
}

static bool takes(const cst_function *f, size_t n) { return f->n_in == n && f->n_out == 1; }

cst_value cst_graph_implicit(cst_graph *g, cst_function *c, cst_function *back, cst_function *forth, cst_value found,
                             const cst_value *captures, size_t n, double tolerance, int64_t steps) {
  if (g->status != CST_OK) return CST_NONE;
  if (n + 2 >= MOST) return cst_graph_fail(g, CST_EUNSUPPORTED, "a constraint on more than %d values", MOST - 3);
  if (!takes(c, n + 1) || !takes(back, n + 2) || !takes(forth, n + 2))
    return cst_graph_fail(g, CST_EINVAL, "the functions of an implicit equation do not take its %zu values", n + 1);
  plan *p = cst_alloc(impl(g)->ctx, sizeof *p);
  if (!p) return cst_graph_fail(g, CST_ENOMEM, "out of memory while building a graph");
  *p = (plan){.object = {1, plan_destroy, plan_same}, .ctx = impl(g)->ctx, .c = cst_object_retain(c),
              .back = cst_object_retain(back), .forth = cst_object_retain(forth)};
  cst_value v = emit(g, p, found, captures, n, tolerance, steps);
  cst_object_release(p);
  return v;
}

static const cst_op implicit = {
  .struct_size = sizeof(cst_op), .name = "implicit", .n_in_min = 2, .n_in_max = MOST, .infer = infer, .kernel = {run, run},
  .vjp = vjp, .jvp = jvp,
};

cst_status cst_register_implicit(const cst_host *h) { return h->register_op(h, &implicit); }
