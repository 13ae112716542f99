/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where the controls in a field jump or bend: the knots of every control of the field's own time. When a
 * plan is made, they are found in the field's graph; when a solve runs, their times are merged.
 *
 *     constant   jumps at every knot but the first
 *     linear     bends at every knot
 *     hermite    bends at the first and the last, where it becomes constant
 *
 * Derivatives of a control in time count as the control itself, so that a tangent or a backward solve
 * stops where the solve did.
 */
#include <stdlib.h>
#include <string.h>

#include "ode/integrate_internal.h"
#include "ode/plan.h"

/* ---- in the graph --------------------------------------------------------------------------------- */

static cst_status mark_live(cst_context *ctx, const cst_function *f, bool **out) {
  cst_value top = cst_graph_size(f->graph);
  bool *live = *out = cst_alloc(ctx, (size_t)top + 1);
  if (!live) return CST_ENOMEM;
  for (uint32_t i = 0; i < f->n_out; i++) live[f->outputs[i]] = true;
  for (cst_value v = top; v >= 1; v--) {
    const cst_node *q = node_at(f->graph, v);
    for (uint32_t i = 0; live[v] && i < q->n_in; i++) live[q->in[i]] = true;
  }
  return CST_OK;
}

static bool is_control(const cst_node *q) {
  return strcmp(q->op->name, "control") == 0 || strcmp(q->op->name, "control_scatter") == 0;
}

/* What stands for the times of a control: a capture, or a constant. */
static cst_status find_source(const cst_field *f, const cst_node *q, cst_knots *k) {
  const cst_function *fn = f->f;
  const cst_node *times = node_at(fn->graph, q->in[1]);
  for (uint32_t c = 0; c < f->n_captures; c++)
    if (fn->inputs[1 + f->n_parts + c] == q->in[1]) return k->capture = c, CST_OK;
  if (strcmp(times->op->name, "constant") == 0)
    return k->constant = (const cst_tensor *)times->attrs->object, CST_OK;
  return cst_fail(f->ctx, CST_EUNSUPPORTED,
                  "the knots of a control are computed inside the field (%s:%d), so the solve cannot know where to stop: "
                  "compute them outside of it", q->source ? q->source : "?", q->line);
}

static cst_status add(cst_solve_plan *p, const cst_node *q) {
  const cst_type *times = type_at(p->field->f->graph, q->in[1]);
  cst_knots k = {.kind = (int)q->attrs->i[0], .row = times->space == CST_ROW, .n = (size_t)times->dim[times->rank - 1]};
  CST_TRY(find_source(p->field, q, &k));
  for (uint32_t i = 0; i < p->n_knots; i++)
    if (p->knots[i].kind == k.kind && p->knots[i].capture == k.capture && p->knots[i].constant == k.constant) return CST_OK;
  CST_TRY(cst_grow(p->ctx, &p->knots, &p->knots_capacity, p->n_knots + 1, sizeof *p->knots));
  p->knots[p->n_knots++] = k;
  return CST_OK;
}

cst_status cst_knots_find(cst_solve_plan *p) {
  const cst_function *f = p->field->f;
  bool *live;
  CST_TRY(mark_live(p->ctx, f, &live));
  cst_status st = CST_OK;
  for (cst_value v = 1; st == CST_OK && v <= cst_graph_size(f->graph); v++) {
    const cst_node *q = node_at(f->graph, v);
    if (live[v] && is_control(q) && q->in[0] == f->inputs[0]) st = add(p, q);
  }
  cst_free(p->ctx, live);
  return st;
}

/* ---- in a run ---------------------------------------------------------------------------------------- */

static bool breaks_at(const cst_knots *k, size_t i) {
  if (k->kind == CST_CONTROL_LINEAR) return k->n > 1;
  return k->kind == CST_CONTROL_CONSTANT ? i > 0 : k->n > 1 && (i == 0 || i == k->n - 1);
}

static cst_status collect(cst_solve_state *s, const cst_knots *k, const double *times) {
  double a = s->times[0], b = s->times[s->n_times - 1], low = a < b ? a : b, high = a < b ? b : a;
  CST_TRY(cst_grow(s->ctx, &s->breaks, &s->breaks_capacity, s->n_breaks + k->n, sizeof *s->breaks));
  for (size_t i = 0; i < k->n; i++)
    if (breaks_at(k, i) && times[i] >= low && times[i] <= high) s->breaks[s->n_breaks++] = times[i];
  return CST_OK;
}

static int compare(const void *a, const void *b) {
  const double *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

static void sort(cst_solve_state *s) {
  size_t n = 0;
  if (s->n_breaks > 1) qsort(s->breaks, s->n_breaks, sizeof *s->breaks, compare);
  for (size_t i = 0; i < s->n_breaks; i++)
    if (n == 0 || s->breaks[i] != s->breaks[n - 1]) s->breaks[n++] = s->breaks[i];
  s->n_breaks = n;
}

cst_status cst_knots_merge(cst_solve_state *s, size_t first, size_t rows) {
  const cst_solve_plan *p = s->plan;
  s->n_breaks = 0;
  for (uint32_t i = 0; i < p->n_knots; i++) {
    const cst_knots *k = &p->knots[i];
    const double *times = k->constant ? k->constant->data : s->capture[k->capture];
    for (size_t r = 0; r < (k->row ? rows : 1); r++) CST_TRY(collect(s, k, times + (k->row ? (first + r) * k->n : 0)));
  }
  sort(s);
  return CST_OK;
}
