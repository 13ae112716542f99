/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Scan: a body applied along an axis, its carry handed from one entry to the next.
 *
 * Inputs   carry (n_carry), xs (n_xs), captures (the rest)
 * Outputs  last carry (n_carry), stacks of what the body yields (n_ys), stacks of the carry before
 *          each entry (n_carry): the pullback needs these and nothing else
 *
 * Pullback: a scan the other way, over (stacked carries, xs, cotangents of the stacks), that carries
 * the cotangent of the carry and the sums for the captures. Tangent: a scan of the body's tangent.
 * Both are ordinary scans, so derivatives nest.
 */
#include <string.h>

#include "autodiff/graph_internal.h"
#include "autodiff/strided.h"

enum { N_CARRY, N_XS, AXIS, REVERSE, LENGTH, N_INTS, MOST = 128 };

static const cst_function *body_of(const cst_attrs *a) { return (const cst_function *)a->object; }
static size_t n_ys_of(const cst_attrs *a) { return body_of(a)->n_out - (size_t)a->i[N_CARRY]; }

/* The type of a stack of `entry`: `length` inserted at `axis`. */
static cst_type stacked(const cst_type *entry, int axis, int64_t length) {
  cst_type t = *entry;
  t.rank++;
  for (int i = t.rank - 1; i > axis; i--) t.dim[i] = t.dim[i - 1];
  t.dim[axis] = length;
  if (axis == 0 && t.space == CST_ROW) t.space = CST_SHARED;
  return t;
}

static cst_type entry_of(const cst_type *stack, int axis) {
  cst_type t = *stack;
  for (int i = axis; i + 1 < t.rank; i++) t.dim[i] = t.dim[i + 1];
  t.dim[--t.rank] = 0;
  return t;
}

static cst_status scan_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                             cst_type *out, size_t *n_out) {
  const cst_function *f = body_of(a);
  size_t n_carry = (size_t)a->i[N_CARRY], n_ys = n_ys_of(a), at = 0;
  int axis = (int)a->i[AXIS];
  char x[64], y[64];
  if (n != f->n_in) return h->fail(h, CST_EINVAL, "the body takes %u values, not %zu", f->n_in, n);
  for (size_t i = 0; i < n; i++) {
    cst_type t = in[i];
    const cst_type *want = type_at(f->graph, f->inputs[i]);
    if (i >= n_carry && i < n_carry + (size_t)a->i[N_XS]) t = entry_of(&in[i], axis);
    if (t.rank != want->rank || t.dtype != want->dtype || memcmp(t.dim, want->dim, sizeof t.dim) != 0)
      return h->fail(h, CST_ESHAPE, "input %zu is %s where the body takes %s", i + 1,
                     cst_type_format(&t, x, sizeof x), cst_type_format(want, y, sizeof y));
  }
  for (size_t i = 0; i < n_carry; i++) {
    const cst_type *from = type_at(f->graph, f->inputs[i]), *to = type_at(f->graph, f->outputs[i]);
    bool same = from->rank == to->rank && memcmp(from->dim, to->dim, sizeof from->dim) == 0;
    if (!same)
      return h->fail(h, CST_ESHAPE, "carry %zu enters the body as %s and leaves it as %s", i + 1,
                     cst_type_format(from, x, sizeof x), cst_type_format(to, y, sizeof y));
    out[at++] = *from;
  }
  for (size_t i = 0; i < n_ys; i++)
    out[at++] = stacked(type_at(f->graph, f->outputs[n_carry + i]), axis, a->i[LENGTH]);
  for (size_t i = 0; i < n_carry; i++) out[at++] = stacked(&in[i], axis, a->i[LENGTH]);
  *n_out = at;
  return CST_OK;
}

/* ---- running ------------------------------------------------------------------------------------------ */

typedef struct scan_state {
  cst_program *program;
  cst_workspace *workspace;
  unsigned char *memory; /* two sets of carries, one entry of every x and y */
  void *carry[2][MOST], *x[MOST], *y[MOST];
  size_t carry_bytes[MOST];
} scan_state;

static void scan_state_free(cst_context *ctx, void *state) {
  scan_state *s = state;
  cst_workspace_free(s->workspace);
  cst_program_release(s->program);
  cst_free(ctx, s->memory);
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

static cst_status carve_all(cst_context *ctx, scan_state *s, const cst_attrs *a) {
  const cst_function *f = body_of(a);
  size_t n_carry = (size_t)a->i[N_CARRY], n_xs = (size_t)a->i[N_XS], size = 0;
  for (size_t i = 0; i < n_carry + n_xs; i++) size += bytes_of(f, f->inputs[i]) * (i < n_carry ? 2 : 1);
  for (size_t i = n_carry; i < f->n_out; i++) size += bytes_of(f, f->outputs[i]);
  unsigned char *at = s->memory = cst_alloc(ctx, size + 1);
  if (!at) return CST_ENOMEM;
  for (size_t i = 0; i < n_carry; i++) {
    s->carry_bytes[i] = bytes_of(f, f->inputs[i]);
    s->carry[0][i] = carve(&at, s->carry_bytes[i]);
    s->carry[1][i] = carve(&at, s->carry_bytes[i]);
  }
  for (size_t i = 0; i < n_xs; i++) s->x[i] = carve(&at, bytes_of(f, f->inputs[n_carry + i]));
  for (size_t i = n_carry; i < f->n_out; i++) s->y[i - n_carry] = carve(&at, bytes_of(f, f->outputs[i]));
  return CST_OK;
}

static cst_status scan_state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state) {
  (void)rows;
  if (body_of(q->attrs)->n_in > MOST || body_of(q->attrs)->n_out > MOST)
    return cst_fail(ctx, CST_EUNSUPPORTED, "a scan over more than %d values", MOST);
  scan_state *s = *state = cst_alloc(ctx, sizeof *s);
  if (!s) return CST_ENOMEM;
  cst_function *f = (cst_function *)q->attrs->object;
  CST_TRY(cst_program_new(f, NULL, &s->program));
  CST_TRY(cst_workspace_new(s->program, &s->workspace));
  return carve_all(ctx, s, q->attrs);
}

/* Moves entry `e` of a stack: out of it (to a contiguous entry) or into it. */
static void move_entry(const cst_operand *stack, size_t rows, int axis, int64_t e, void *data, void *entry, bool into) {
  int64_t now[CST_MAX_RANK], stride[CST_MAX_RANK], dim[CST_MAX_RANK], s[CST_MAX_RANK], d[CST_MAX_RANK];
  const cst_type *t = &stack->type;
  size_t size = cst_dtype_size(t->dtype);
  int rank = 0;
  cst_shape_now(t, rows, now);
  cst_strides(t->rank, now, stride);
  for (int i = 0; i < t->rank; i++)
    if (i != axis) dim[rank] = now[i], s[rank++] = stride[i];
  cst_strides(rank, dim, d);
  char *at = (char *)data + (size_t)(e * stride[axis]) * size;
  if (into) cst_copy_strided(size, rank, dim, entry, d, at, s);
  else cst_copy_strided(size, rank, dim, at, s, entry, d);
}

typedef struct scan_frame {
  const cst_call *c;
  scan_state *s;
  size_t n_carry, n_xs, n_ys;
  int axis;
  const void *in[MOST];
  void *out[MOST];
} scan_frame;

static void stack_out(const scan_frame *f, size_t output, int64_t e, void *entry) {
  const cst_call *c = f->c;
  if (c->p[c->q->n_in + output])
    move_entry(&c->q->operand[c->q->n_in + output], c->rows, f->axis, e, c->p[c->q->n_in + output], entry, true);
}

static cst_status one_entry(scan_frame *f, int64_t e, int now) {
  scan_state *s = f->s;
  for (size_t i = 0; i < f->n_carry; i++) {
    f->in[i] = s->carry[now][i], f->out[i] = s->carry[!now][i];
    stack_out(f, f->n_carry + f->n_ys + i, e, s->carry[now][i]);
  }
  for (size_t i = 0; i < f->n_xs; i++) {
    uint32_t k = (uint32_t)(f->n_carry + i);
    move_entry(&f->c->q->operand[k], f->c->rows, f->axis, e, f->c->p[k], s->x[i], false);
    f->in[k] = s->x[i];
  }
  for (size_t i = 0; i < f->n_ys; i++) f->out[f->n_carry + i] = f->c->p[f->c->q->n_in + f->n_carry + i] ? s->y[i] : NULL;
  CST_TRY(cst_program_run(s->workspace, f->c->rows, f->in, f->out));
  for (size_t i = 0; i < f->n_ys; i++) stack_out(f, f->n_carry + i, e, s->y[i]);
  return CST_OK;
}

/* The inner run sees the outer keys of random draws; its counters are added to the outer ones. */
static void enter(const scan_frame *f) {
  cst_run *inner = cst_workspace_run(f->s->workspace), *outer = f->c->run;
  inner->seed = outer->seed, inner->row0 = outer->row0, inner->replay = outer->replay;
  inner->nfe_forward = inner->nfe_backward = inner->steps_accepted = inner->steps_rejected = 0;
}
static void leave(const scan_frame *f) {
  const cst_run *inner = cst_workspace_run(f->s->workspace);
  cst_run *outer = f->c->run;
  outer->nfe_forward += inner->nfe_forward, outer->nfe_backward += inner->nfe_backward;
  outer->steps_accepted += inner->steps_accepted, outer->steps_rejected += inner->steps_rejected;
}

static size_t bytes_now(const cst_call *c, uint32_t i) {
  const cst_operand *o = &c->q->operand[i];
  return (o->type.space == CST_ROW ? c->rows * o->inner : o->inner) * cst_dtype_size(o->type.dtype);
}

static cst_status scan_run(const cst_call *c) {
  const cst_attrs *a = c->q->attrs;
  scan_frame f = {.c = c, .s = c->state, .n_carry = (size_t)a->i[N_CARRY], .n_xs = (size_t)a->i[N_XS],
                  .n_ys = n_ys_of(a), .axis = (int)a->i[AXIS]};
  int64_t length = a->i[LENGTH];
  int now = 0;
  enter(&f);
  for (size_t i = 0; i < f.n_carry; i++) memcpy(f.s->carry[0][i], c->p[i], bytes_now(c, (uint32_t)i));
  for (size_t i = f.n_carry + f.n_xs; i < c->q->n_in; i++) f.in[i] = c->p[i];
  for (int64_t k = 0; k < length; k++, now = !now) {
    int64_t e = a->i[REVERSE] ? length - 1 - k : k;
    cst_workspace_run(f.s->workspace)->step = c->run->step * 0x9E3779B97F4A7C15u + (uint64_t)e;
    CST_TRY(one_entry(&f, e, now));
  }
  for (size_t i = 0; i < f.n_carry; i++)
    if (c->p[c->q->n_in + i]) memcpy(c->p[c->q->n_in + i], f.s->carry[now][i], bytes_now(c, (uint32_t)i));
  leave(&f);
  return CST_OK;
}

/* ---- building ----------------------------------------------------------------------------------------- */

cst_value cst_graph_scan(cst_graph *g, cst_function *body, const cst_value *carry, size_t n_carry,
                         const cst_value *xs, size_t n_xs, const cst_value *captures,
                         size_t n_captures, int axis, bool reverse) {
  cst_value in[MOST];
  if (g->status != CST_OK) return CST_NONE;
  if (n_carry + n_xs + n_captures > MOST || body->n_out > MOST)
    return cst_graph_fail(g, CST_EUNSUPPORTED, "a scan over more than %d values", MOST);
  if (n_xs == 0) return cst_graph_fail(g, CST_EINVAL, "a scan needs a sequence to go along");
  for (size_t i = 0; i < n_carry; i++) in[i] = carry[i];
  for (size_t i = 0; i < n_xs; i++) in[n_carry + i] = xs[i];
  for (size_t i = 0; i < n_captures; i++) in[n_carry + n_xs + i] = captures[i];
  const cst_type *x = cst_graph_type(g, xs[0]);
  if (axis < 0 || axis >= x->rank) return cst_graph_fail(g, CST_ESHAPE, "a scan along axis %d", axis);
  int64_t length = x->dim[axis];
  for (size_t i = 1; i < n_xs; i++)
    if (cst_graph_type(g, xs[i])->rank <= axis || cst_graph_type(g, xs[i])->dim[axis] != length)
      return cst_graph_fail(g, CST_ESHAPE, "the sequences of a scan differ in length");
  cst_attrs a = {.n_ints = N_INTS, .i = {(int64_t)n_carry, (int64_t)n_xs, axis, reverse, length},
                 .object = &body->object};
  return g->host->node(g, "scan", in, n_carry + n_xs + n_captures, &a);
}

/* ---- pullback -------------------------------------------------------------------------------------------- */

/* The body of the pullback. Carry: cotangents of the carry, then sums for the captures; xs: carries,
 * xs, cotangents of the ys and of the stacked carries that have one; captures as they are. */
typedef struct back_body {
  cst_graph *g;
  const cst_function *f;
  const cst_attrs *a;
  size_t n_carry, n_xs, n_ys, n_caps;
  const bool *has_y_bar, *has_stack_bar, *want;
  cst_value input[MOST * 3], output[MOST * 2];
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
  cst_value carry_bar[MOST], sum[MOST], arg[MOST], y_bar[MOST], stack_bar[MOST], res[MOST], bar[MOST], out_bar[MOST];
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

static cst_value zeros(cst_graph *g, cst_value like) {
  return cst_broadcast_like(g, cst_cast(g, cst_scalar(g, 0), (cst_dtype)type_at(g, like)->dtype), like);
}

static cst_status scan_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                           const cst_value *out, const cst_value *bar, const bool *want,
                           cst_value *in_bar) {
  size_t n_carry = (size_t)a->i[N_CARRY], n_xs = (size_t)a->i[N_XS], n_ys = n_ys_of(a);
  size_t n_caps = n - n_carry - n_xs, nc = 0, nx = 0;
  bool has[MOST], has_stack[MOST];
  cst_value carry[MOST], xs[MOST];
  for (size_t i = 0; i < n_ys; i++) has[i] = bar[n_carry + i] != CST_NONE;
  for (size_t i = 0; i < n_carry; i++) has_stack[i] = bar[n_carry + n_ys + i] != CST_NONE;
  back_body b = {.f = body_of(a), .a = a, .n_carry = n_carry, .n_xs = n_xs, .n_ys = n_ys,
                 .n_caps = n_caps, .has_y_bar = has, .has_stack_bar = has_stack, .want = want};
  cst_function *f = NULL;
  cst_status st = back_function(&b, g, &f);
  if (st != CST_OK) return g->status = st;
  for (size_t i = 0; i < n_carry; i++) carry[nc++] = bar[i] ? bar[i] : zeros(g, in[i]);
  for (size_t i = 0; i < n_caps; i++) {
    cst_value c = in[n_carry + n_xs + i];
    if (want[n_carry + n_xs + i] && real(type_at(g, c))) carry[nc++] = zeros(g, c);
  }
  for (size_t i = 0; i < n_carry; i++) xs[nx++] = out[n_carry + n_ys + i];
  for (size_t i = 0; i < n_xs; i++) xs[nx++] = in[n_carry + i];
  for (size_t i = 0; i < n_ys; i++)
    if (has[i]) xs[nx++] = bar[n_carry + i];
  for (size_t i = 0; i < n_carry; i++)
    if (has_stack[i]) xs[nx++] = bar[n_carry + n_ys + i];
  cst_value v = cst_graph_scan(g, f, carry, nc, xs, nx, in + n_carry + n_xs, n_caps, (int)a->i[AXIS], !a->i[REVERSE]);
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
  const cst_function *f = body_of(a);
  size_t n_carry = (size_t)a->i[N_CARRY], n_xs = (size_t)a->i[N_XS], n_in = 0, n_out = 0;
  cst_value input[2 * MOST], output[2 * MOST], arg[MOST], dot[MOST] = {CST_NONE}, res[MOST], res_dot[MOST];
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

static cst_status scan_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                           const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)out;
  size_t n_carry = (size_t)a->i[N_CARRY], n_xs = (size_t)a->i[N_XS], n_ys = n_ys_of(a), nx = 0, np = 0;
  bool has[MOST];
  cst_value carry[2 * MOST], xs[2 * MOST], caps[2 * MOST];
  if (2 * n > MOST) return cst_graph_fail(g, CST_EUNSUPPORTED, "a scan with too many values for a tangent"), g->status;
  for (size_t i = 0; i < n; i++) has[i] = i < n_carry || dot[i];
  cst_function *f = NULL;
  cst_status st = tangent_function(g, a, has, &f);
  if (st != CST_OK) return g->status = st;
  for (size_t i = 0; i < n_carry; i++) {
    carry[i] = in[i];
    carry[n_carry + i] = dot[i] ? dot[i] : zeros(g, in[i]);
  }
  for (size_t i = n_carry; i < n_carry + n_xs; i++) xs[nx++] = in[i];
  for (size_t i = n_carry; i < n_carry + n_xs; i++)
    if (has[i]) xs[nx++] = dot[i];
  for (size_t i = n_carry + n_xs; i < n; i++) caps[np++] = in[i];
  for (size_t i = n_carry + n_xs; i < n; i++)
    if (has[i]) caps[np++] = dot[i];
  cst_value v = cst_graph_scan(g, f, carry, 2 * n_carry, xs, nx, caps, np, (int)a->i[AXIS], a->i[REVERSE] != 0);
  cst_object_release(f);
  if (!v) return g->status;
  for (size_t i = 0; i < n_carry; i++) {
    out_dot[i] = v + (cst_value)(n_carry + i);
    out_dot[n_carry + n_ys + i] = v + (cst_value)(2 * n_carry + 2 * n_ys + n_carry + i);
  }
  for (size_t i = 0; i < n_ys; i++) out_dot[n_carry + i] = v + (cst_value)(2 * n_carry + n_ys + i);
  return g->status;
}

static const cst_op scan = {
  .struct_size = sizeof(cst_op), .name = "scan", .n_in_min = 1, .n_in_max = MOST, .infer = scan_infer,
  .kernel = {scan_run, scan_run}, .vjp = scan_vjp, .jvp = scan_jvp,
  .state_new = scan_state_new, .state_free = scan_state_free,
};

cst_status cst_register_scan(const cst_host *h) { return h->register_op(h, &scan); }
