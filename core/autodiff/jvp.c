/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Forward mode as a graph transform: tangents travel with the values, in order.
 */
#include "autodiff/graph_internal.h"

enum { MAX_OUT = 256 }; /* outputs of a node */

typedef struct forward {
  cst_graph *g;
  cst_value *dot; /* by value: the tangent, CST_NONE is zero */
  bool *need, *seed; /* by value: reaches ys; is one of xs, which stand for themselves */
} forward;

static cst_status through_expansion(cst_graph *g, const cst_node *q, const cst_value *in_dot,
                                    cst_value *out_dot) {
  cst_value out[8] = {CST_NONE};
  if (q->n_out > 8) return CST_EINTERNAL;
  CST_TRY(q->op->expand(g, q->attrs, q->in, q->n_in, out));
  return cst_graph_jvp(g, q->in, in_dot, q->n_in, out, q->n_out, out_dot);
}

static cst_status push_forward(forward *f, const cst_node *q) {
  cst_value few[64], out[MAX_OUT], out_dot[MAX_OUT] = {CST_NONE}, *in_dot = few;
  cst_context *ctx = impl(f->g)->ctx;
  if (q->n_in > 64 && !(in_dot = cst_alloc(ctx, q->n_in * sizeof *in_dot))) return CST_ENOMEM;
  bool any = false;
  for (uint32_t i = 0; i < q->n_in; i++) any |= (in_dot[i] = f->dot[q->in[i]]) != CST_NONE;
  for (uint32_t i = 0; i < q->n_out && i < MAX_OUT; i++) out[i] = q->first + i;
  cst_status st = CST_OK;
  if (!any) st = CST_OK;
  else if (q->op->jvp) st = q->op->jvp(f->g, q->attrs, q->in, q->n_in, out, in_dot, out_dot);
  else if (q->op->expand) st = through_expansion(f->g, q, in_dot, out_dot);
  else
    cst_graph_fail(f->g, st = CST_EUNSUPPORTED, "'%s' has no forward derivative", q->op->name);
  if (in_dot != few) cst_free(ctx, in_dot);
  for (uint32_t i = 0; i < q->n_out && i < MAX_OUT; i++)
    if (!f->seed[out[i]]) f->dot[out[i]] = derivative_like(f->g, out_dot[i], out[i]);
  return f->g->status != CST_OK ? f->g->status : st;
}

/* Values that reach ys otherwise than through a seed; nothing else needs a tangent. */
static void mark_needed(forward *f, const cst_value *ys, size_t n_y, cst_value top) {
  for (size_t i = 0; i < n_y; i++)
    if (ys[i]) f->need[ys[i]] = true;
  for (cst_value v = top; v >= 1; v--) {
    const cst_node *q = node_at(f->g, v);
    if (!f->need[v] || f->seed[v]) continue;
    for (uint32_t i = 0; i < q->n_in; i++) f->need[q->in[i]] = true;
  }
}

static bool wanted(const forward *f, const cst_node *q) {
  for (uint32_t i = 0; i < q->n_out; i++)
    if (f->need[q->first + i] && !f->seed[q->first + i]) return true;
  return false;
}

static cst_status walk(forward *f, cst_value top) {
  for (cst_value v = 1; v <= top; v++) {
    const cst_node *q = node_at(f->g, v);
    if (q->first != v || q->n_in == 0 || (q->op->flags & CST_OP_CONSTANT) || !wanted(f, q)) continue;
    cst_graph_line(f->g, q->source, q->line);
    CST_TRY(push_forward(f, q));
  }
  return f->g->status;
}

cst_status cst_graph_jvp(cst_graph *g, const cst_value *xs, const cst_value *x_dot, size_t n_x,
                         const cst_value *ys, size_t n_y, cst_value *y_dot) {
  if (g->status != CST_OK) return g->status;
  cst_value top = impl(g)->n_values;
  cst_context *ctx = impl(g)->ctx;
  size_t n = (size_t)top + 1;
  forward f = {.g = g, .dot = cst_alloc(ctx, n * (sizeof *f.dot + 2 * sizeof(bool)))};
  if (!f.dot) return cst_graph_fail(g, CST_ENOMEM, "out of memory for a derivative"), CST_ENOMEM;
  f.need = (bool *)(f.dot + n), f.seed = f.need + n;
  const char *source = impl(g)->source;
  int line = impl(g)->line;
  for (size_t i = 0; i < n_x; i++)
    if (xs[i]) f.dot[xs[i]] = derivative_like(g, x_dot[i], xs[i]), f.seed[xs[i]] = true;
  mark_needed(&f, ys, n_y, top);
  cst_status st = walk(&f, top);
  for (size_t i = 0; i < n_y; i++) y_dot[i] = st == CST_OK && ys[i] ? f.dot[ys[i]] : CST_NONE;
  impl(g)->source = source, impl(g)->line = line;
  cst_free(ctx, f.dot);
  return st;
}
