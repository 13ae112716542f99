/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * callback: a field that somebody outside of the graph computes.
 *
 *   inputs    t: f64, a scalar or one a row; y (n parts): [rows, ..]
 *   outputs   dy, of the types of y
 *
 * The function is called on the thread that runs the program, with all rows at once; where every row has a time
 * of its own, or is an integration of its own, with one row at a time. So nothing may share its rows among threads,
 * and it counts as mixing them, but whoever asks for rows apart is taken at his word. There is no derivative.
 */
#include "autodiff/program_internal.h"
#include "base/context_internal.h"
#include "ode/plan.h"

enum { MOST_PARTS = 64 };

static bool same_shape(const cst_type *a, const cst_type *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++)
    if (a->dim[i] != b->dim[i]) return false;
  return true;
}

static cst_status infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n, cst_type *out, size_t *n_out) {
  char x[64], y[64];
  if (!a->object) return h->fail(h, CST_EINVAL, "a callback needs its function");
  bool row = in[0].space == CST_ROW;
  for (size_t i = 1; i < n; i++) {
    bool real = in[i].dtype == CST_F32 || in[i].dtype == CST_F64;
    if (!real || in[i].rank < 1 || in[i].space == CST_PARTIAL || in[i].dim[0] != in[1].dim[0])
      return h->fail(h, CST_ESHAPE, "part %zu of the state of a callback is %s: rows of real numbers are needed, as many as "
                     "of the others", i, cst_type_format(&in[i], x, sizeof x));
    row |= in[i].space == CST_ROW;
  }
  cst_type each = {.rank = 1, .dim = {in[1].dim[0]}};
  if (in[0].dtype != CST_F64 || (in[0].rank > 0 && !same_shape(&in[0], &each)))
    return h->fail(h, CST_ESHAPE, "the time of a callback is an f64 scalar or %s, not %s", cst_type_format(&each, y, sizeof y),
                   cst_type_format(&in[0], x, sizeof x));
  for (size_t i = 1; i < n; i++) {
    out[i - 1] = in[i];
    out[i - 1].space = row ? CST_ROW : CST_SHARED;
  }
  *n_out = n - 1;
  return CST_OK;
}

/* Scalars of one row. */
static size_t width(const cst_operand *o) {
  size_t rows = (size_t)o->type.dim[0];
  return o->type.space == CST_ROW ? o->inner : rows ? o->inner / rows : 0;
}

static cst_status call_rows(const cst_call *c, double t, size_t row, size_t rows) {
  cst_type type[MOST_PARTS];
  const void *y[MOST_PARTS];
  void *dy[MOST_PARTS];
  size_t n = c->q->n_out;
  for (size_t i = 0; i < n; i++) {
    const cst_operand *o = &c->q->operand[1 + i];
    size_t before = row * width(o) * cst_dtype_size((cst_dtype)o->type.dtype);
    char *to = c->p[c->q->n_in + i];
    type[i] = o->type;
    type[i].dim[0] = (int64_t)rows;
    y[i] = (const char *)c->p[1 + i] + before;
    dy[i] = to ? to + before : NULL;
  }
  cst_callback *f = (cst_callback *)c->q->attrs->object;
  CST_TRY(f->call(f, t, type, n, y, dy));
  if (cst_last_status(c->run->ctx) != CST_OK) cst_message_clear(c->run->ctx); /* failures that it coped with */
  return CST_OK;
}

static cst_status run(const cst_call *c) {
  const double *t = c->p[0];
  size_t rows = c->q->operand[c->q->n_in].type.space == CST_ROW ? c->rows : (size_t)c->q->operand[1].type.dim[0];
  if (c->q->operand[0].type.rank == 0 && rows) return call_rows(c, *t, 0, rows);
  for (size_t row = 0; row < rows; row++) CST_TRY(call_rows(c, t[row], row, 1));
  return CST_OK;
}

/* ---- what there is not ------------------------------------------------------------------------------------- */

static cst_status refuse(cst_graph *g) {
  const char *source = impl(g)->source;
  cst_graph_fail(g, CST_EUNSUPPORTED, "the callback of %s:%d has no derivative: write it as a field that is traced, field = ..., "
                 "or, for gradients, take differences of solves, gradient = \"finite\"", source ? source : "?", impl(g)->line);
  return g->status;
}

static cst_status vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *bar, const bool *want, cst_value *in_bar) {
  (void)a, (void)in, (void)n, (void)out, (void)bar, (void)want, (void)in_bar;
  return refuse(g);
}

static cst_status jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n, const cst_value *out,
                      const cst_value *dot, cst_value *out_dot) {
  (void)a, (void)in, (void)n, (void)out, (void)dot, (void)out_dot;
  return refuse(g);
}

/* ---- building ------------------------------------------------------------------------------------------------ */

cst_value cst_graph_callback(cst_graph *g, cst_callback *f, cst_value t, const cst_value *y, size_t n) {
  cst_value in[1 + MOST_PARTS];
  if (g->status != CST_OK) return CST_NONE;
  if (n < 1 || n > MOST_PARTS) return cst_graph_fail(g, CST_EUNSUPPORTED, "a callback of more than %d parts", MOST_PARTS);
  in[0] = t;
  for (size_t i = 0; i < n; i++) in[1 + i] = y[i];
  cst_attrs a = {.object = &f->object};
  return g->host->node(g, "callback", in, 1 + n, &a);
}

static bool rows_apart(const cst_attrs *a) { return (void)a, true; }

static bool first_rows(const cst_attrs *a, const cst_type *in, size_t n) {
  (void)a;
  for (size_t i = 1; i < n; i++)
    if (in[i].space != CST_ROW) return false;
  return in[0].rank == 0 || in[0].space == CST_ROW;
}

static const cst_op callback = {
  .struct_size = sizeof(cst_op), .name = "callback", .n_in_min = 2, .n_in_max = 1 + MOST_PARTS, .infer = infer,
  .kernel = {run, run}, .vjp = vjp, .jvp = jvp, .rows_apart = rows_apart, .first_rows = first_rows,
};

cst_status cst_register_callback(const cst_host *h) { return h->register_op(h, &callback); }
