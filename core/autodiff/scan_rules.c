/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Derivatives of a scan. Pullback: a scan the other way, over (stacked carries, xs, cotangents of the
 * stacks), that carries the cotangent of the carry and the sums for the captures. Tangent: a scan of
 * the body's tangent. Both are ordinary scans, so derivatives nest; those of a ragged scan are ragged, with the
 * same lengths: a row takes part in the same entries. What their bodies mix of rows are sums.
 */
#include "autodiff/scan.h"

/* ---- pullback -------------------------------------------------------------------------------------------- */

/* The body of the pullback. Carry: cotangents of the carry, then sums for the captures; xs: carries,
 * xs, cotangents of the ys and of the stacked carries that have one; captures as they are. */
typedef struct back_body {
  cst_graph *g;
  const cst_function *f;
  const cst_attrs *a;
  size_t n_carry, n_xs, n_ys, n_caps;
  const bool *has_y_bar, *has_stack_bar, *want;
  cst_value input[SCAN_MOST * 3], output[SCAN_MOST * 2];
  size_t n_in, n_out;
} back_body;

static bool real(const cst_type *t) { return t->dtype == CST_F32 || t->dtype == CST_F64; }

static cst_value take(back_body *b, const cst_type *t) {
  return b->input[b->n_in++] = cst_graph_input(b->g, t, NULL);
}

/* A cotangent of a SHARED value summed over rows is PARTIAL; inside the carry it is a plain sum. */
static cst_type bar_type(const cst_type *t) {
  cst_type b = *t;
  if (b.space == CST_PARTIAL) b.space = CST_SHARED;
  return b;
}

static void make_back_body(back_body *b) {
  const cst_function *f = b->f;
  cst_value carry_bar[SCAN_MOST], sum[SCAN_MOST], arg[SCAN_MOST], y_bar[SCAN_MOST], stack_bar[SCAN_MOST], res[SCAN_MOST], bar[SCAN_MOST], out_bar[SCAN_MOST];
  cst_type t;
  for (size_t i = 0; i < b->n_carry; i++) t = bar_type(type_at(f->graph, f->inputs[i])), carry_bar[i] = take(b, &t);
  for (size_t i = 0; i < b->n_caps; i++) {
    t = bar_type(type_at(f->graph, f->inputs[b->n_carry + b->n_xs + i]));
    sum[i] = b->want[b->n_carry + b->n_xs + i] && real(&t) ? take(b, &t) : CST_NONE;
  }
  for (size_t i = 0; i < b->n_carry + b->n_xs; i++) arg[i] = take(b, type_at(f->graph, f->inputs[i]));
  for (size_t i = 0; i < b->n_ys; i++)
    y_bar[i] = b->has_y_bar[i] ? take(b, type_at(f->graph, f->outputs[b->n_carry + i])) : CST_NONE;
  for (size_t i = 0; i < b->n_carry; i++)
    stack_bar[i] = b->has_stack_bar[i] ? take(b, type_at(f->graph, f->inputs[i])) : CST_NONE;
  for (size_t i = 0; i < b->n_caps; i++)
    arg[b->n_carry + b->n_xs + i] = take(b, type_at(f->graph, f->inputs[b->n_carry + b->n_xs + i]));
  if (cst_function_call(b->g, f, arg, res) != CST_OK) return;
  for (size_t i = 0; i < f->n_out; i++) out_bar[i] = i < b->n_carry ? carry_bar[i] : y_bar[i - b->n_carry];
  if (cst_graph_vjp(b->g, res, out_bar, f->n_out, arg, f->n_in, bar) != CST_OK) return;
  for (size_t i = 0; i < b->n_carry; i++)
    b->output[b->n_out++] = value_or_zero(b->g, add_values(b->g, bar[i], stack_bar[i]), arg[i]);
  for (size_t i = 0; i < b->n_caps; i++)
    if (sum[i]) b->output[b->n_out++] = add_values(b->g, sum[i], bar[b->n_carry + b->n_xs + i]);
  for (size_t i = 0; i < b->n_xs; i++)
    if (b->want[b->n_carry + i]) b->output[b->n_out++] = value_or_zero(b->g, bar[b->n_carry + i], arg[b->n_carry + i]);
}

static cst_status back_function(back_body *b, const cst_graph *outer, cst_function **out) {
  CST_TRY(cst_graph_new(impl(outer)->ctx, (cst_dtype)outer->real, outer->rows, &b->g));
  make_back_body(b);
  cst_status st = b->g->status;
  if (st == CST_OK) st = cst_function_new(b->g, b->input, b->n_in, b->output, b->n_out, out);
  cst_graph_release(b->g);
  return st;
}

cst_status cst_scan_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                           const cst_value *out, const cst_value *bar, const bool *want,
                           cst_value *in_bar) {
  cst_value lengths = a->i[SCAN_RAGGED] ? in[--n] : CST_NONE;
  size_t n_carry = (size_t)a->i[SCAN_N_CARRY], n_xs = (size_t)a->i[SCAN_N_XS], n_ys = scan_n_ys(a);
  size_t n_caps = n - n_carry - n_xs, nc = 0, nx = 0;
  bool has[SCAN_MOST], has_stack[SCAN_MOST];
  cst_value carry[SCAN_MOST], xs[2 * SCAN_MOST]; /* carries and ys, carries and xs */
  for (size_t i = 0; i < n_ys; i++) has[i] = bar[n_carry + i] != CST_NONE;
  for (size_t i = 0; i < n_carry; i++) has_stack[i] = bar[n_carry + n_ys + i] != CST_NONE;
  back_body b = {.f = scan_body(a), .a = a, .n_carry = n_carry, .n_xs = n_xs, .n_ys = n_ys,
                 .n_caps = n_caps, .has_y_bar = has, .has_stack_bar = has_stack, .want = want};
  cst_function *f = NULL;
  cst_status st = back_function(&b, g, &f);
  if (st != CST_OK) return g->status = st;
  for (size_t i = 0; i < n_carry; i++) carry[nc++] = value_or_zero(g, bar[i], in[i]);
  for (size_t i = 0; i < n_caps; i++) {
    cst_value c = in[n_carry + n_xs + i];
    if (want[n_carry + n_xs + i] && real(type_at(g, c))) carry[nc++] = cst_zeros_like(g, c);
  }
  for (size_t i = 0; i < n_carry; i++) xs[nx++] = out[n_carry + n_ys + i];
  for (size_t i = 0; i < n_xs; i++) xs[nx++] = in[n_carry + i];
  for (size_t i = 0; i < n_ys; i++)
    if (has[i]) xs[nx++] = bar[n_carry + i];
  for (size_t i = 0; i < n_carry; i++)
    if (has_stack[i]) xs[nx++] = bar[n_carry + n_ys + i];
  cst_value v = cst_scan_node(g, f, carry, nc, xs, nx, in + n_carry + n_xs, n_caps, (int)a->i[SCAN_AXIS],
                              !a->i[SCAN_REVERSE], lengths);
  cst_object_release(f);
  if (!v) return g->status;
  for (size_t i = 0; i < n_carry; i++)
    if (want[i]) in_bar[i] = v + (cst_value)i;
  cst_value at = v + (cst_value)n_carry;
  for (size_t i = 0; i < n_caps; i++)
    if (want[n_carry + n_xs + i] && real(type_at(g, in[n_carry + n_xs + i]))) in_bar[n_carry + n_xs + i] = at++;
  for (size_t i = 0; i < n_xs; i++)
    if (want[n_carry + i]) in_bar[n_carry + i] = at++;
  return g->status;
}

/* ---- tangent ----------------------------------------------------------------------------------------------- */

static cst_status tangent_function(const cst_graph *outer, const cst_attrs *a, const bool *has, cst_function **out) {
  const cst_function *f = scan_body(a);
  size_t n_carry = (size_t)a->i[SCAN_N_CARRY], n_xs = (size_t)a->i[SCAN_N_XS], n_in = 0, n_out = 0;
  cst_value input[2 * SCAN_MOST], output[2 * SCAN_MOST], arg[SCAN_MOST], dot[SCAN_MOST] = {CST_NONE}, res[SCAN_MOST], res_dot[SCAN_MOST];
  cst_graph *g;
  CST_TRY(cst_graph_new(impl(outer)->ctx, (cst_dtype)outer->real, outer->rows, &g));
  for (size_t part = 0, from = 0; part < 3; part++) { /* carries, xs, captures: values, then tangents */
    size_t to = part == 0 ? n_carry : part == 1 ? n_carry + n_xs : f->n_in;
    for (size_t i = from; i < to; i++) input[n_in++] = arg[i] = cst_graph_input(g, type_at(f->graph, f->inputs[i]), NULL);
    for (size_t i = from; i < to; i++)
      if (has[i]) input[n_in++] = dot[i] = cst_graph_input(g, type_at(f->graph, f->inputs[i]), NULL);
    from = to;
  }
  cst_status st = cst_function_call(g, f, arg, res);
  if (st == CST_OK) st = cst_graph_jvp(g, arg, dot, f->n_in, res, f->n_out, res_dot);
  for (size_t i = 0; st == CST_OK && i < n_carry; i++) output[n_out++] = res[i];
  for (size_t i = 0; st == CST_OK && i < n_carry; i++) output[n_out++] = value_or_zero(g, res_dot[i], res[i]);
  for (size_t i = n_carry; st == CST_OK && i < f->n_out; i++) output[n_out++] = res[i];
  for (size_t i = n_carry; st == CST_OK && i < f->n_out; i++) output[n_out++] = value_or_zero(g, res_dot[i], res[i]);
  if (st == CST_OK) st = cst_function_new(g, input, n_in, output, n_out, out);
  cst_graph_release(g);
  return st;
}

cst_status cst_scan_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                           const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)out;
  cst_value lengths = a->i[SCAN_RAGGED] ? in[--n] : CST_NONE;
  size_t n_carry = (size_t)a->i[SCAN_N_CARRY], n_xs = (size_t)a->i[SCAN_N_XS], n_ys = scan_n_ys(a), nx = 0, np = 0;
  bool has[SCAN_MOST];
  cst_value carry[2 * SCAN_MOST], xs[2 * SCAN_MOST], caps[2 * SCAN_MOST];
  if (2 * n > SCAN_MOST) return cst_graph_fail(g, CST_EUNSUPPORTED, "a scan with too many values for a tangent"), g->status;
  for (size_t i = 0; i < n; i++) has[i] = i < n_carry || dot[i];
  cst_function *f = NULL;
  cst_status st = tangent_function(g, a, has, &f);
  if (st != CST_OK) return g->status = st;
  for (size_t i = 0; i < n_carry; i++) {
    carry[i] = in[i];
    carry[n_carry + i] = value_or_zero(g, dot[i], in[i]);
  }
  for (size_t i = n_carry; i < n_carry + n_xs; i++) xs[nx++] = in[i];
  for (size_t i = n_carry; i < n_carry + n_xs; i++)
    if (has[i]) xs[nx++] = dot[i];
  for (size_t i = n_carry + n_xs; i < n; i++) caps[np++] = in[i];
  for (size_t i = n_carry + n_xs; i < n; i++)
    if (has[i]) caps[np++] = dot[i];
  cst_value v = cst_scan_node(g, f, carry, 2 * n_carry, xs, nx, caps, np, (int)a->i[SCAN_AXIS],
                              a->i[SCAN_REVERSE] != 0, lengths);
  cst_object_release(f);
  if (!v) return g->status;
  for (size_t i = 0; i < n_carry; i++) {
    out_dot[i] = v + (cst_value)(n_carry + i);
    out_dot[n_carry + n_ys + i] = v + (cst_value)(2 * n_carry + 2 * n_ys + n_carry + i);
  }
  for (size_t i = 0; i < n_ys; i++) out_dot[n_carry + i] = v + (cst_value)(2 * n_carry + n_ys + i);
  return g->status;
}
