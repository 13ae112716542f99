/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From f to the functions its gradients run: see field.h.
 */
#include <string.h>

#include "ode/field.h"

/* One graph that holds f, lambda and all cotangents; the derived functions are cut out of it. */
typedef struct tangle {
  cst_field *f;
  cst_graph *g;
  cst_value *in;      /* t, y.., captures.. */
  cst_value *dy, *lambda, *bar; /* bar: of every input */
  uint32_t n_in, n_parts;
  bool *live;         /* by value: needed for dy */
  cst_value *residual;
  uint32_t n_residuals;
} tangle;

static cst_status alloc_tangle(tangle *t) {
  size_t n = t->n_in + 3 * (size_t)t->n_parts + t->n_in;
  t->in = cst_alloc(t->f->ctx, n * sizeof *t->in);
  if (!t->in) return CST_ENOMEM;
  t->dy = t->in + t->n_in, t->lambda = t->dy + t->n_parts, t->bar = t->lambda + t->n_parts;
  return cst_graph_new(t->f->ctx, (cst_dtype)t->f->f->graph->real, t->f->f->graph->rows, &t->g);
}

static cst_status build(tangle *t) {
  const cst_function *f = t->f->f;
  CST_TRY(alloc_tangle(t));
  for (uint32_t i = 0; i < t->n_in; i++) {
    const cst_node *q = node_at(f->graph, f->inputs[i]);
    t->in[i] = cst_graph_input(t->g, &q->type[0], q->name);
  }
  CST_TRY(cst_function_call(t->g, f, t->in, t->dy));
  for (uint32_t p = 0; p < t->n_parts; p++) t->lambda[p] = cst_graph_input(t->g, type_at(t->g, t->dy[p]), "cotangent");
  return cst_graph_vjp(t->g, t->dy, t->lambda, t->n_parts, t->in, t->n_in, t->bar);
}

static cst_status mark_live(tangle *t) {
  size_t n = (size_t)impl(t->g)->n_values + 1;
  t->live = cst_alloc(t->f->ctx, n);
  t->residual = cst_alloc(t->f->ctx, n * sizeof *t->residual);
  if (!t->live || !t->residual) return CST_ENOMEM;
  for (uint32_t p = 0; p < t->n_parts; p++) t->live[t->dy[p]] = true;
  for (uint32_t i = 0; i < t->n_in; i++) t->live[t->in[i]] = true;
  for (cst_value v = (cst_value)n - 1; v >= 1; v--) {
    const cst_node *q = node_at(t->g, v);
    for (uint32_t i = 0; t->live[v] && i < q->n_in; i++) t->live[q->in[i]] = true;
  }
  return CST_OK;
}

static bool is_constant(const cst_node *q) { return q->n_in == 0 && strcmp(q->op->name, "input") != 0; }

/* t and the captures are at hand on the way back; y and everything made of it is not. */
static bool at_hand(const tangle *t, cst_value v) {
  if (v == t->in[0]) return true;
  for (uint32_t i = 1 + t->n_parts; i < t->n_in; i++)
    if (t->in[i] == v) return true;
  return false;
}

/* Walks back from the cotangents and stops at values of the forward pass: these are residuals. */
static cst_status find_residuals(tangle *t) {
  cst_value top = impl(t->g)->n_values;
  bool *need = cst_alloc(t->f->ctx, (size_t)top + 1);
  if (!need) return CST_ENOMEM;
  for (uint32_t i = 0; i < t->n_in; i++)
    if (t->bar[i]) need[t->bar[i]] = true;
  for (cst_value v = top; v >= 1; v--) {
    const cst_node *q = node_at(t->g, v);
    if (!need[v]) continue;
    if (t->live[v] && !is_constant(q)) {
      if (!at_hand(t, v)) t->residual[t->n_residuals++] = v;
      continue;
    }
    for (uint32_t i = 0; i < q->n_in; i++) need[q->in[i]] = true;
  }
  cst_free(t->f->ctx, need);
  return CST_OK;
}

static cst_status new_list(tangle *t, size_t n, cst_value **list) {
  *list = cst_alloc(t->f->ctx, (n + 1) * sizeof **list);
  return *list ? CST_OK : CST_ENOMEM;
}

static cst_status make_keep(tangle *t) {
  cst_value *out;
  CST_TRY(new_list(t, t->n_parts + t->n_residuals, &out));
  memcpy(out, t->dy, t->n_parts * sizeof *out);
  memcpy(out + t->n_parts, t->residual, t->n_residuals * sizeof *out);
  cst_status st = cst_function_new(t->g, t->in, t->n_in, out, t->n_parts + t->n_residuals, &t->f->derived[FIELD_KEEP]);
  cst_free(t->f->ctx, out);
  return st;
}

/* y_bar.., t_bar, capture_bar..: those that are not zero, in this order; `list` holds them all. */
static size_t collect_bars(const tangle *t, const cst_value *bar, cst_value *list) {
  size_t n = 0;
  for (uint32_t p = 0; p < t->n_parts; p++)
    if (bar[1 + p]) list[n++] = bar[1 + p];
  if (bar[0]) list[n++] = bar[0];
  for (uint32_t i = 1 + t->n_parts; i < t->n_in; i++)
    if (bar[i]) list[n++] = bar[i];
  return n;
}

static cst_status make_joint(tangle *t) {
  cst_value *in, *out;
  size_t n_in = t->n_in + t->n_parts;
  CST_TRY(new_list(t, n_in + t->n_parts + t->n_in, &in));
  out = in + n_in;
  memcpy(in, t->in, t->n_in * sizeof *in);
  memcpy(in + t->n_in, t->lambda, t->n_parts * sizeof *in);
  memcpy(out, t->dy, t->n_parts * sizeof *out);
  size_t n_out = t->n_parts + collect_bars(t, t->bar, out + t->n_parts);
  cst_status st = cst_function_new(t->g, in, n_in, out, n_out, &t->f->derived[FIELD_JOINT]);
  cst_free(t->f->ctx, in);
  return st;
}

static cst_status fill_pull(tangle *t, cst_graph *g, cst_value *in, cst_value *map) {
  size_t n = 0;
  in[n] = map[t->in[0]] = cst_graph_input(g, type_at(t->g, t->in[0]), "t"), n++;
  for (uint32_t i = 0; i < t->n_residuals; i++, n++)
    in[n] = map[t->residual[i]] = cst_graph_input(g, type_at(t->g, t->residual[i]), "residual");
  for (uint32_t i = 1 + t->n_parts; i < t->n_in; i++, n++)
    in[n] = map[t->in[i]] = cst_graph_input(g, type_at(t->g, t->in[i]), "capture");
  for (uint32_t p = 0; p < t->n_parts; p++, n++)
    in[n] = map[t->lambda[p]] = cst_graph_input(g, type_at(t->g, t->lambda[p]), "cotangent");
  return g->status;
}

static cst_status make_pull(tangle *t) {
  cst_graph *g;
  size_t n_in = 1 + t->n_residuals + (t->n_in - 1 - t->n_parts) + t->n_parts;
  cst_value *map = NULL, *in = NULL, *bar, *out;
  CST_TRY(cst_graph_new(t->f->ctx, (cst_dtype)t->g->real, t->g->rows, &g));
  cst_status st = new_list(t, impl(t->g)->n_values, &map);
  if (st == CST_OK) st = new_list(t, n_in + 2 * (size_t)t->n_in, &in);
  if (st == CST_OK) st = fill_pull(t, g, in, map);
  if (st == CST_OK) {
    bar = in + n_in, out = bar + t->n_in;
    st = cst_graph_extract(g, t->g, map, t->bar, t->n_in, bar);
    size_t n = st == CST_OK ? collect_bars(t, bar, out) : 0;
    if (st == CST_OK) st = cst_function_new(g, in, n_in, out, n, &t->f->derived[FIELD_PULL]);
  }
  cst_free(t->f->ctx, map), cst_free(t->f->ctx, in);
  cst_graph_release(g);
  return st;
}

static cst_status note_shape(tangle *t) {
  cst_field *f = t->f;
  f->residual = cst_alloc(f->ctx, (t->n_residuals + 1) * sizeof *f->residual);
  f->has_y_bar = cst_alloc(f->ctx, f->n_parts + f->n_captures + 1);
  if (!f->residual || !f->has_y_bar) return CST_ENOMEM;
  f->has_capture_bar = f->has_y_bar + f->n_parts;
  f->n_residuals = t->n_residuals;
  for (uint32_t i = 0; i < t->n_residuals; i++) f->residual[i] = cst_operand_of(type_at(t->g, t->residual[i]));
  f->has_t_bar = t->bar[0] != CST_NONE;
  for (uint32_t i = 1; i < t->n_in; i++) f->has_y_bar[i - 1] = t->bar[i] != CST_NONE;
  return CST_OK;
}

/* Nothing stays of what failed half way, so that it may be tried again. */
static void forget(cst_field *f) {
  cst_object_release(f->derived[FIELD_KEEP]), cst_object_release(f->derived[FIELD_JOINT]);
  cst_free(f->ctx, f->residual), cst_free(f->ctx, f->has_y_bar);
  f->derived[FIELD_KEEP] = f->derived[FIELD_JOINT] = NULL;
  f->residual = NULL, f->has_y_bar = f->has_capture_bar = NULL, f->n_residuals = 0;
}

cst_status cst_field_derive(cst_field *f) {
  if (f->derived[FIELD_PULL]) return CST_OK;
  tangle t = {.f = f, .n_in = f->f->n_in, .n_parts = f->n_parts};
  cst_status st = build(&t);
  if (st == CST_OK) st = mark_live(&t);
  if (st == CST_OK) st = find_residuals(&t);
  if (st == CST_OK) st = note_shape(&t);
  if (st == CST_OK) st = make_keep(&t);
  if (st == CST_OK) st = make_joint(&t);
  if (st == CST_OK) st = make_pull(&t);
  if (st != CST_OK) forget(f);
  cst_free(f->ctx, t.in), cst_free(f->ctx, t.live), cst_free(f->ctx, t.residual);
  cst_graph_release(t.g);
  return st;
}
