/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Reverse mode as a graph transform. Cotangents travel from later values to earlier ones; every rule
 * adds nodes after all present ones, so the walk never meets its own output.
 */
#include <string.h>

#include "autodiff/graph_internal.h"

enum { MAX_OUT = 256 }; /* outputs of a node */

typedef struct reverse {
  cst_graph *g;
  cst_context *ctx;
  cst_value *bar; /* by value: the cotangent so far */
  bool *varies;   /* by value: depends on one of xs */
  bool *leaf;     /* by value: one of xs, which stand for themselves */
  cst_value top;  /* values above were made by the walk */
} reverse;

static void mark_varying(const reverse *r, const cst_value *xs, size_t n_x) {
  for (size_t i = 0; i < n_x; i++)
    if (xs[i]) r->varies[xs[i]] = r->leaf[xs[i]] = true;
  for (cst_value v = 1; v <= r->top; v++) {
    const cst_node *q = node_at(r->g, v);
    if (q->op->flags & CST_OP_CONSTANT) continue;
    for (uint32_t i = 0; i < q->n_in && !r->varies[v]; i++) r->varies[v] = r->varies[q->in[i]];
  }
}

/* An op without its own rule: differentiate its expansion, whose inputs are the node's. */
static cst_status through_expansion(cst_graph *g, const cst_node *q, const cst_value *bar,
                                    cst_value *in_bar) {
  cst_value out[8] = {CST_NONE};
  if (q->n_out > 8) return CST_EINTERNAL;
  CST_TRY(q->op->expand(g, q->attrs, q->in, q->n_in, out));
  CST_TRY(cst_graph_vjp(g, out, bar, q->n_out, q->in, q->n_in, in_bar));
  for (uint32_t i = 1; i < q->n_in; i++) /* a value given twice has one cotangent, and that is whole */
    for (uint32_t k = 0; k < i; k++)
      if (q->in[k] == q->in[i]) in_bar[i] = CST_NONE;
  return CST_OK;
}

static cst_status pull_back(reverse *r, const cst_node *q) {
  cst_value in_bar_few[16], *in_bar = in_bar_few;
  bool want_few[16], *want = want_few;
  if (q->n_in > 16) {
    in_bar = cst_alloc(r->ctx, q->n_in * (sizeof *in_bar + sizeof *want));
    if (!in_bar) return cst_graph_fail(r->g, CST_ENOMEM, "derivative"), CST_ENOMEM;
    want = (bool *)(in_bar + q->n_in);
  }
  cst_value out[MAX_OUT];
  for (uint32_t i = 0; i < q->n_in; i++) in_bar[i] = CST_NONE, want[i] = r->varies[q->in[i]];
  cst_value bar[MAX_OUT];
  for (uint32_t i = 0; i < q->n_out && i < MAX_OUT; i++) {
    out[i] = q->first + i;
    bar[i] = r->leaf[out[i]] ? CST_NONE : r->bar[out[i]];
  }
  cst_status st;
  if (q->op->vjp)
    st = q->op->vjp(r->g, q->attrs, q->in, q->n_in, out, bar, want, in_bar);
  else if (q->op->expand)
    st = through_expansion(r->g, q, bar, in_bar);
  else
    cst_graph_fail(r->g, st = CST_EUNSUPPORTED,
                   "'%s' has no reverse derivative (second derivatives through a solve: use reverse "
                   "over forward, cs.hvp)", q->op->name);
  for (uint32_t i = 0; st == CST_OK && i < q->n_in; i++)
    if (want[i] && in_bar[i])
      r->bar[q->in[i]] = add_values(r->g, r->bar[q->in[i]], derivative_like(r->g, in_bar[i], q->in[i]));
  if (in_bar != in_bar_few) cst_free(r->ctx, in_bar);
  return r->g->status != CST_OK ? r->g->status : st;
}

static bool has_cotangent(const reverse *r, const cst_node *q) {
  for (uint32_t i = 0; i < q->n_out; i++)
    if (r->bar[q->first + i] && !r->leaf[q->first + i]) return true;
  return false;
}

static bool varies_somewhere(const reverse *r, const cst_node *q) {
  for (uint32_t i = 0; i < q->n_in; i++)
    if (r->varies[q->in[i]]) return !(q->op->flags & CST_OP_CONSTANT);
  return false;
}

static cst_status walk(reverse *r) {
  for (cst_value v = r->top; v >= 1; v--) {
    const cst_node *q = node_at(r->g, v);
    if (q->first != v || q->n_in == 0 || !has_cotangent(r, q) || !varies_somewhere(r, q)) continue;
    cst_graph_line(r->g, q->source, q->line);
    CST_TRY(pull_back(r, q));
  }
  return r->g->status;
}

cst_status cst_graph_vjp(cst_graph *g, const cst_value *ys, const cst_value *y_bar, size_t n_y,
                         const cst_value *xs, size_t n_x, cst_value *x_bar) {
  if (g->status != CST_OK) return g->status;
  size_t n = impl(g)->n_values + 1;
  reverse r = {.g = g, .ctx = impl(g)->ctx, .top = impl(g)->n_values};
  r.bar = cst_alloc(r.ctx, n * (sizeof *r.bar + 2 * sizeof *r.varies));
  if (!r.bar) return cst_graph_fail(g, CST_ENOMEM, "out of memory for a derivative"), CST_ENOMEM;
  r.varies = (bool *)(r.bar + n);
  r.leaf = r.varies + n;
  const char *source = impl(g)->source;
  int line = impl(g)->line;
  mark_varying(&r, xs, n_x);
  for (size_t i = 0; i < n_y; i++)
    if (ys[i] && y_bar[i]) r.bar[ys[i]] = add_values(g, r.bar[ys[i]], derivative_like(g, y_bar[i], ys[i]));
  cst_status st = walk(&r);
  for (size_t i = 0; i < n_x; i++) x_bar[i] = st == CST_OK && xs[i] ? r.bar[xs[i]] : CST_NONE;
  impl(g)->source = source, impl(g)->line = line;
  cst_free(r.ctx, r.bar);
  return st;
}
