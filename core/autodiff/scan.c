/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Scans at run time (see scan.h): the body is one program; entries are copied out of and into stacks.
 */
#include "autodiff/scan.h"

#include <string.h>

#include "autodiff/program_internal.h"
#include "autodiff/strided.h"

/* Where the scanned axis stands in a value of so many axes, itself included: entries of few axes get
 * it last. */
static int axis_in(int rank, int axis) { return axis < rank ? axis : rank - 1; }

/* The type of a stack of `entry`: `length` inserted at `axis`. */
static cst_type stacked(const cst_type *entry, int axis, int64_t length) {
  cst_type t = *entry;
  axis = axis_in(t.rank + 1, axis);
  t.rank++;
  for (int i = t.rank - 1; i > axis; i--) t.dim[i] = t.dim[i - 1];
  t.dim[axis] = length;
  if (axis == 0 && t.space == CST_ROW) t.space = CST_SHARED;
  return t;
}

static cst_type entry_of(const cst_type *stack, int axis) {
  cst_type t = *stack;
  for (int i = axis_in(t.rank, axis); i + 1 < t.rank; i++) t.dim[i] = t.dim[i + 1];
  t.dim[--t.rank] = 0;
  return t;
}

/* Checks of what the body gives: carries of the types they came with, nothing of all axes there are. */
static cst_status check_body(const cst_host *h, const cst_function *f, size_t n_carry) {
  static const char *const dtype[] = {"f32", "f64", "i64", "a record"};
  char x[64], y[64];
  for (size_t i = 0; i < f->n_out; i++) {
    const cst_type *to = type_at(f->graph, f->outputs[i]), *from = i < n_carry ? type_at(f->graph, f->inputs[i]) : to;
    bool same = from->rank == to->rank && memcmp(from->dim, to->dim, sizeof from->dim) == 0;
    if (!same)
      return h->fail(h, CST_ESHAPE, "carry %zu enters the body as %s and leaves it as %s", i + 1,
                     cst_type_format(from, x, sizeof x), cst_type_format(to, y, sizeof y));
    if (from->dtype != to->dtype)
      return h->fail(h, CST_EDTYPE, "carry %zu enters the body as %s and leaves it as %s: convert it", i + 1,
                     dtype[from->dtype], dtype[to->dtype]);
    if (to->rank == CST_MAX_RANK)
      return h->fail(h, CST_ESHAPE, "%s cannot be stacked: it has %d axes", cst_type_format(to, x, sizeof x), CST_MAX_RANK);
  }
  return CST_OK;
}

static cst_status scan_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                             cst_type *out, size_t *n_out) {
  const cst_function *f = scan_body(a);
  size_t n_carry = (size_t)a->i[SCAN_N_CARRY], n_ys = scan_n_ys(a), at = 0;
  int axis = (int)a->i[SCAN_AXIS];
  char x[64], y[64];
  if (n != f->n_in + (size_t)a->i[SCAN_RAGGED])
    return h->fail(h, CST_EINVAL, "the body takes %u values, not %zu", f->n_in, n);
  for (size_t i = 0; i < f->n_in; i++) {
    cst_type t = in[i];
    const cst_type *want = type_at(f->graph, f->inputs[i]);
    if (i >= n_carry && i < n_carry + (size_t)a->i[SCAN_N_XS]) t = entry_of(&in[i], axis);
    if (t.rank != want->rank || t.dtype != want->dtype || memcmp(t.dim, want->dim, sizeof t.dim) != 0)
      return h->fail(h, CST_ESHAPE, "input %zu is %s where the body takes %s", i + 1,
                     cst_type_format(&t, x, sizeof x), cst_type_format(want, y, sizeof y));
  }
  CST_TRY(check_body(h, f, n_carry));
  for (size_t i = 0; i < n_carry; i++) out[at++] = *type_at(f->graph, f->inputs[i]);
  for (size_t i = 0; i < n_ys; i++)
    out[at++] = stacked(type_at(f->graph, f->outputs[n_carry + i]), axis, a->i[SCAN_LENGTH]);
  for (size_t i = 0; i < n_carry; i++) out[at++] = stacked(&in[i], axis, a->i[SCAN_LENGTH]);
  *n_out = at;
  return CST_OK;
}

/* ---- running ------------------------------------------------------------------------------------------ */

static void scan_state_free(cst_context *ctx, void *state) {
  scan_state *s = state;
  cst_workspace_free(s->workspace);
  cst_program_release(s->program);
  cst_free(ctx, s->memory);
  cst_free(ctx, s->order);
  cst_free(ctx, s);
}

static size_t bytes_of(const cst_function *f, cst_value v) {
  const cst_type *t = type_at(f->graph, v);
  return (cst_type_count(t) * cst_dtype_size(t->dtype) + 63) & ~(size_t)63;
}

static void *carve(unsigned char **at, size_t bytes) {
  void *p = *at;
  *at += bytes;
  return p;
}

/* Whether input i of the body is put in the order of rows first. */
static bool ordered(const cst_attrs *a, size_t i) {
  return a->i[SCAN_RAGGED] && type_at(scan_body(a)->graph, scan_body(a)->inputs[i])->space == CST_ROW;
}

static cst_status carve_all(cst_context *ctx, scan_state *s, const cst_attrs *a) {
  const cst_function *f = scan_body(a);
  size_t n_carry = (size_t)a->i[SCAN_N_CARRY], n_xs = (size_t)a->i[SCAN_N_XS], size = 0;
  for (size_t i = 0; i < n_carry + n_xs; i++) size += bytes_of(f, f->inputs[i]) * (i < n_carry ? 2 : 1);
  for (size_t i = n_carry; i < f->n_out; i++) size += bytes_of(f, f->outputs[i]);
  for (size_t i = n_carry + n_xs; i < f->n_in; i++) size += ordered(a, i) ? bytes_of(f, f->inputs[i]) : 0;
  unsigned char *at = s->memory = cst_alloc(ctx, size + 1);
  if (!at) return CST_ENOMEM;
  for (size_t i = 0; i < n_carry; i++) {
    s->carry[0][i] = carve(&at, bytes_of(f, f->inputs[i]));
    s->carry[1][i] = carve(&at, bytes_of(f, f->inputs[i]));
  }
  for (size_t i = 0; i < n_xs; i++) s->x[i] = carve(&at, bytes_of(f, f->inputs[n_carry + i]));
  for (size_t i = n_carry; i < f->n_out; i++) s->y[i - n_carry] = carve(&at, bytes_of(f, f->outputs[i]));
  for (size_t i = n_carry + n_xs; i < f->n_in; i++)
    if (ordered(a, i)) s->capture[i] = carve(&at, bytes_of(f, f->inputs[i]));
  return CST_OK;
}

static cst_status scan_state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state) {
  if (scan_body(q->attrs)->n_in > SCAN_MOST || scan_body(q->attrs)->n_out > SCAN_MOST)
    return cst_fail(ctx, CST_EUNSUPPORTED, "a scan over more than %d values", SCAN_MOST);
  scan_state *s = *state = cst_alloc(ctx, sizeof *s);
  if (!s) return CST_ENOMEM;
  cst_function *f = (cst_function *)q->attrs->object;
  CST_TRY(cst_program_new(f, NULL, &s->program));
  CST_TRY(cst_workspace_new(s->program, &s->workspace));
  if (q->attrs->i[SCAN_RAGGED]) {
    s->order = cst_alloc(ctx, (rows + (size_t)q->attrs->i[SCAN_LENGTH] + 1) * sizeof *s->order);
    if (!s->order) return CST_ENOMEM;
    s->under_way = s->order + rows;
  }
  return carve_all(ctx, s, q->attrs);
}

void cst_scan_move(const cst_operand *stack, size_t rows, int axis, int64_t e, void *data, void *entry, bool into) {
  int64_t now[CST_MAX_RANK], stride[CST_MAX_RANK], dim[CST_MAX_RANK], s[CST_MAX_RANK], d[CST_MAX_RANK];
  const cst_type *t = &stack->type;
  size_t size = cst_dtype_size(t->dtype);
  int rank = 0;
  axis = axis_in(t->rank, axis);
  cst_shape_now(t, rows, now);
  cst_strides(t->rank, now, stride);
  for (int i = 0; i < t->rank; i++)
    if (i != axis) dim[rank] = now[i], s[rank++] = stride[i];
  cst_strides(rank, dim, d);
  char *at = (char *)data + (size_t)(e * stride[axis]) * size;
  if (into) cst_copy_strided(size, rank, dim, entry, d, at, s);
  else cst_copy_strided(size, rank, dim, at, s, entry, d);
}

cst_status cst_scan_body(const scan_frame *f, size_t rows) {
  const cst_function *body = scan_body(f->c->q->attrs);
  cst_workspace *w = f->s->workspace;
  for (uint32_t i = 0; i < body->n_in; i++) cst_workspace_put(w, i, f->in[i]);
  for (uint32_t i = 0; i < body->n_out; i++) cst_workspace_put(w, body->n_in + i, f->out[i]);
  cst_workspace_run(w)->scan_rows += rows;
  return cst_workspace_execute_first(w, rows);
}

static void stack_out(const scan_frame *f, size_t output, int64_t e, void *entry) {
  const cst_call *c = f->c;
  if (c->p[c->q->n_in + output])
    cst_scan_move(&c->q->operand[c->q->n_in + output], c->rows, f->axis, e, c->p[c->q->n_in + output], entry, true);
}

static cst_status one_entry(scan_frame *f, int64_t e, int now) {
  scan_state *s = f->s;
  for (size_t i = 0; i < f->n_carry; i++) {
    f->in[i] = s->carry[now][i], f->out[i] = s->carry[!now][i];
    stack_out(f, f->n_carry + f->n_ys + i, e, s->carry[now][i]);
  }
  for (size_t i = 0; i < f->n_xs; i++) {
    uint32_t k = (uint32_t)(f->n_carry + i);
    cst_scan_move(&f->c->q->operand[k], f->c->rows, f->axis, e, f->c->p[k], s->x[i], false);
    f->in[k] = s->x[i];
  }
  for (size_t i = 0; i < f->n_ys; i++) f->out[f->n_carry + i] = f->c->p[f->c->q->n_in + f->n_carry + i] ? s->y[i] : NULL;
  CST_TRY(cst_scan_body(f, f->rows));
  for (size_t i = 0; i < f->n_ys; i++) stack_out(f, f->n_carry + i, e, s->y[i]);
  return CST_OK;
}

/* The inner run sees the outer keys of random draws; its counters are added to the outer ones. It does not
 * replay: a solve of the body has kept the steps of one pass only, the last. */
scan_frame cst_scan_enter(const cst_call *c) {
  const cst_attrs *a = c->q->attrs;
  scan_frame f = {.c = c, .s = c->state, .n_carry = (size_t)a->i[SCAN_N_CARRY], .n_xs = (size_t)a->i[SCAN_N_XS],
                  .n_ys = scan_n_ys(a), .rows = scan_body(a)->graph->rows ? c->rows : 0, .axis = (int)a->i[SCAN_AXIS]};
  cst_run *inner = cst_workspace_run(f.s->workspace);
  inner->seed = c->run->seed, inner->row0 = c->run->row0;
  inner->nfe_forward = inner->nfe_backward = inner->steps_accepted = inner->steps_rejected = inner->scan_rows = 0;
  return f;
}

void cst_scan_leave(const scan_frame *f) {
  const cst_run *inner = cst_workspace_run(f->s->workspace);
  cst_run *outer = f->c->run;
  outer->nfe_forward += inner->nfe_forward, outer->nfe_backward += inner->nfe_backward;
  outer->steps_accepted += inner->steps_accepted, outer->steps_rejected += inner->steps_rejected;
  outer->scan_rows += inner->scan_rows;
}

void cst_scan_key(const scan_frame *f, int64_t e) {
  cst_workspace_run(f->s->workspace)->step = f->c->run->step * 0x9E3779B97F4A7C15u + (uint64_t)e;
}

size_t cst_scan_bytes(const cst_call *c, uint32_t i) {
  const cst_operand *o = &c->q->operand[i];
  return (o->type.space == CST_ROW ? c->rows * o->inner : o->inner) * cst_dtype_size(o->type.dtype);
}

static cst_status scan_run(const cst_call *c) {
  const cst_attrs *a = c->q->attrs;
  if (a->i[SCAN_RAGGED]) return cst_scan_run_ragged(c);
  scan_frame f = cst_scan_enter(c);
  int64_t length = a->i[SCAN_LENGTH];
  int now = 0;
  for (size_t i = 0; i < f.n_carry; i++) memcpy(f.s->carry[0][i], c->p[i], cst_scan_bytes(c, (uint32_t)i));
  for (size_t i = f.n_carry + f.n_xs; i < c->q->n_in; i++) f.in[i] = c->p[i];
  for (int64_t k = 0; k < length; k++, now = !now) {
    int64_t e = a->i[SCAN_REVERSE] ? length - 1 - k : k;
    cst_scan_key(&f, e);
    CST_TRY(one_entry(&f, e, now));
  }
  for (size_t i = 0; i < f.n_carry; i++)
    if (c->p[c->q->n_in + i]) memcpy(c->p[c->q->n_in + i], f.s->carry[now][i], cst_scan_bytes(c, (uint32_t)i));
  cst_scan_leave(&f);
  return CST_OK;
}

/* ---- building ----------------------------------------------------------------------------------------- */

cst_value cst_scan_node(cst_graph *g, cst_function *body, const cst_value *carry, size_t n_carry, const cst_value *xs,
                        size_t n_xs, const cst_value *captures, size_t n_captures, int axis, bool reverse,
                        cst_value lengths) {
  cst_value in[SCAN_MOST];
  bool ragged = lengths != CST_NONE;
  if (g->status != CST_OK) return CST_NONE;
  if (n_carry + n_xs + n_captures + ragged > SCAN_MOST || body->n_out > SCAN_MOST)
    return cst_graph_fail(g, CST_EUNSUPPORTED, "a scan over more than %d values", SCAN_MOST);
  if (n_xs == 0) return cst_graph_fail(g, CST_EINVAL, "a scan needs a sequence to go along");
  for (size_t i = 0; i < n_carry; i++) in[i] = carry[i];
  for (size_t i = 0; i < n_xs; i++) in[n_carry + i] = xs[i];
  for (size_t i = 0; i < n_captures; i++) in[n_carry + n_xs + i] = captures[i];
  if (ragged) in[n_carry + n_xs + n_captures] = lengths;
  const cst_type *x = cst_graph_type(g, xs[0]);
  bool few = x->rank > 0 && x->space != CST_ROW; /* stacks of entries with few axes have it last */
  if (axis < 0 || (axis >= x->rank && !few)) return cst_graph_fail(g, CST_ESHAPE, "a scan along axis %d", axis);
  int64_t length = x->dim[axis_in(x->rank, axis)];
  for (size_t i = 1; i < n_xs; i++) {
    const cst_type *t = cst_graph_type(g, xs[i]);
    bool has = t->rank > axis || (t->rank > 0 && t->space != CST_ROW);
    if (!has || t->dim[axis_in(t->rank, axis)] != length)
      return cst_graph_fail(g, CST_ESHAPE, "the sequences of a scan differ in length");
  }
  cst_attrs a = {.n_ints = SCAN_INTS, .i = {(int64_t)n_carry, (int64_t)n_xs, axis, reverse, length, ragged},
                 .object = &body->object};
  return g->host->node(g, "scan", in, n_carry + n_xs + n_captures + ragged, &a);
}

cst_value cst_graph_scan(cst_graph *g, cst_function *body, const cst_value *carry, size_t n_carry,
                         const cst_value *xs, size_t n_xs, const cst_value *captures,
                         size_t n_captures, int axis, bool reverse) {
  return cst_scan_node(g, body, carry, n_carry, xs, n_xs, captures, n_captures, axis, reverse, CST_NONE);
}

cst_value cst_graph_scan_ragged(cst_graph *g, cst_function *body, const cst_value *carry, size_t n_carry,
                                const cst_value *xs, size_t n_xs, const cst_value *captures, size_t n_captures,
                                cst_value lengths, bool reverse) {
  return cst_scan_node(g, body, carry, n_carry, xs, n_xs, captures, n_captures, 1, reverse, lengths);
}

cst_workspace *cst_scan_workspace(void *state) { return ((scan_state *)state)->workspace; }

static const cst_op scan = {
  .struct_size = sizeof(cst_op), .name = "scan", .n_in_min = 1, .n_in_max = SCAN_MOST, .infer = scan_infer,
  .kernel = {scan_run, scan_run}, .vjp = cst_scan_vjp, .jvp = cst_scan_jvp,
  .state_new = scan_state_new, .state_free = scan_state_free,
};

cst_status cst_register_scan(const cst_host *h) { return h->register_op(h, &scan); }
