/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Functions: a closed graph with ordered inputs and outputs; calling one builds its nodes again in
 * another graph, with the call's arguments for its inputs.
 */
#include <string.h>

#include "autodiff/graph_internal.h"

static void function_destroy(cst_object *o) {
  cst_function *f = (cst_function *)o;
  cst_context *ctx = impl(f->graph)->ctx;
  cst_graph *g = f->graph;
  cst_free(ctx, f->inputs);
  cst_free(ctx, f);
  cst_graph_release(g);
}

static bool function_same(const cst_object *a, const cst_object *b);

/* Every input that the outputs depend on must be in the list. */
static cst_status check_inputs(const cst_function *f, bool *need) {
  const cst_graph_impl *m = impl(f->graph);
  for (uint32_t i = 0; i < f->n_out; i++)
    if (f->outputs[i]) need[f->outputs[i]] = true;
  for (cst_value v = m->n_values; v >= 1; v--) {
    const cst_node *q = node_at(f->graph, v);
    for (uint32_t i = 0; need[v] && i < q->n_in; i++) need[q->in[i]] = true;
  }
  for (uint32_t i = 0; i < f->n_in; i++) need[f->inputs[i]] = false;
  for (cst_value v = 1; v <= m->n_values; v++)
    if (need[v] && cst_op_is(f->graph, v, "input"))
      return cst_fail(m->ctx, CST_EINVAL, "a function depends on the input '%s', which is not listed",
                      node_at(f->graph, v)->name ? node_at(f->graph, v)->name : "?");
  return CST_OK;
}

cst_status cst_function_new(cst_graph *g, const cst_value *inputs, size_t n_in,
                            const cst_value *outputs, size_t n_out, cst_function **out) {
  cst_context *ctx = impl(g)->ctx;
  *out = NULL;
  if (g->status != CST_OK) return g->status;
  cst_function *f = cst_alloc(ctx, sizeof *f);
  cst_value *values = cst_alloc(ctx, (n_in + n_out + 1) * sizeof *values);
  bool *need = cst_alloc(ctx, (size_t)impl(g)->n_values + 1);
  if (!f || !values || !need) {
    cst_free(ctx, f), cst_free(ctx, values), cst_free(ctx, need);
    return cst_fail(ctx, CST_ENOMEM, "out of memory for a function");
  }
  *f = (cst_function){.object = {1, function_destroy, function_same}, .graph = cst_graph_retain(g), .inputs = values,
                      .outputs = values + n_in, .n_in = (uint32_t)n_in, .n_out = (uint32_t)n_out};
  if (n_in) memcpy(f->inputs, inputs, n_in * sizeof *inputs);
  if (n_out) memcpy(f->outputs, outputs, n_out * sizeof *outputs);
  cst_status st = check_inputs(f, need);
  cst_free(ctx, need);
  if (st != CST_OK) cst_object_release(f);
  else *out = f;
  return st;
}

static cst_status call_node(cst_graph *g, const cst_node *q, cst_value *map) {
  cst_value few[32], *in = few;
  cst_context *ctx = impl(g)->ctx;
  if (q->n_in > 32 && !(in = cst_alloc(ctx, q->n_in * sizeof *in))) return CST_ENOMEM;
  for (uint32_t i = 0; i < q->n_in; i++) in[i] = map[q->in[i]];
  cst_graph_line(g, q->source, q->line);
  cst_value v = cst_graph_apply(g, q->op, in, q->n_in, q->attrs);
  for (uint32_t i = 0; v && i < q->n_out; i++)
    if (!map[q->first + i]) map[q->first + i] = v + i;
  if (in != few) cst_free(ctx, in);
  return g->status;
}

/* What the outputs need beyond the values that `map` already gives. */
static void mark(const cst_graph *src, const cst_value *outs, size_t n, const cst_value *map, bool *need) {
  for (size_t i = 0; i < n; i++)
    if (outs[i]) need[outs[i]] = true;
  for (cst_value v = impl(src)->n_values; v >= 1; v--) {
    const cst_node *q = node_at(src, v);
    for (uint32_t i = 0; need[v] && !map[v] && i < q->n_in; i++) need[q->in[i]] = true;
  }
}

cst_status cst_graph_extract(cst_graph *g, const cst_graph *src, cst_value *map, const cst_value *outs,
                             size_t n, cst_value *results) {
  cst_context *ctx = impl(g)->ctx;
  cst_value top = impl(src)->n_values;
  bool *need = cst_alloc(ctx, (size_t)top + 1);
  if (!need) return cst_graph_fail(g, CST_ENOMEM, "out of memory for a call"), CST_ENOMEM;
  const char *source = impl(g)->source;
  int line = impl(g)->line;
  mark(src, outs, n, map, need);
  cst_status st = g->status;
  for (cst_value v = 1; v <= top && st == CST_OK; v++) {
    const cst_node *q = node_at(src, v);
    bool some = false;
    for (uint32_t i = 0; i < q->n_out; i++) some |= need[q->first + i] && !map[q->first + i];
    if (q->first == v && some) st = call_node(g, q, map);
  }
  for (size_t i = 0; i < n; i++) results[i] = st == CST_OK && outs[i] ? map[outs[i]] : CST_NONE;
  impl(g)->source = source, impl(g)->line = line;
  cst_free(ctx, need);
  return st;
}

cst_status cst_function_call(cst_graph *g, const cst_function *f, const cst_value *args,
                             cst_value *results) {
  cst_context *ctx = impl(g)->ctx;
  cst_value *map = cst_alloc(ctx, (impl(f->graph)->n_values + 1) * sizeof *map);
  if (!map) return cst_graph_fail(g, CST_ENOMEM, "out of memory for a call"), CST_ENOMEM;
  for (uint32_t i = 0; i < f->n_in; i++) map[f->inputs[i]] = args[i];
  cst_status st = cst_graph_extract(g, f->graph, map, f->outputs, f->n_out, results);
  cst_free(ctx, map);
  return st;
}

static bool same_object(const cst_object *a, const cst_object *b);

static bool same_node(const cst_node *p, const cst_node *q) {
  const cst_attrs *a = p->attrs, *b = q->attrs;
  if (p->op != q->op || p->n_in != q->n_in || p->n_out != q->n_out || a->n_ints != b->n_ints ||
      a->n_reals != b->n_reals || !same_object(a->object, b->object))
    return false;
  for (uint32_t i = 0; i < p->n_out; i++)
    if (!cst_type_equal(&p->type[i], &q->type[i])) return false;
  return memcmp(p->in, q->in, p->n_in * sizeof *p->in) == 0 &&
         memcmp(a->i, b->i, a->n_ints * sizeof *a->i) == 0 &&
         memcmp(a->x, b->x, a->n_reals * sizeof *a->x) == 0;
}

static bool same_object(const cst_object *a, const cst_object *b) {
  return a == b || (a && b && a->destroy == b->destroy && a->same && a->same(a, b));
}

static bool function_same(const cst_object *a, const cst_object *b) {
  cst_value x, y;
  return cst_function_equal((const cst_function *)a, (const cst_function *)b, &x, &y);
}

bool cst_function_equal(const cst_function *a, const cst_function *b, cst_value *in_a,
                        cst_value *in_b) {
  cst_value n = impl(a->graph)->n_values, m = impl(b->graph)->n_values;
  for (cst_value v = 1; v <= n && v <= m; v++) {
    *in_a = *in_b = v;
    if (node_at(a->graph, v)->first == v && !same_node(node_at(a->graph, v), node_at(b->graph, v)))
      return false;
  }
  *in_a = n > m ? m + 1 : n, *in_b = m > n ? n + 1 : m;
  if (n != m) return false;
  *in_a = n, *in_b = m;
  return a->n_in == b->n_in && a->n_out == b->n_out &&
         memcmp(a->inputs, b->inputs, a->n_in * sizeof *a->inputs) == 0 &&
         memcmp(a->outputs, b->outputs, a->n_out * sizeof *a->outputs) == 0;
}
