/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Forward mode of a field: the program JVP, and the Jacobian made of its columns.
 */
#include <string.h>

#include "ode/rhs_internal.h"

/* Inputs of the field and their tangents; only y and t move. */
typedef struct forward {
  cst_graph *g;
  cst_value *in, *dot, *dy; /* dy: n_parts values, then their tangents */
  cst_value *arguments;     /* of the function: in, y_dot.., t_dot */
} forward;

static cst_status build(const cst_field *f, forward *w) {
  const cst_function *from = f->f;
  for (uint32_t i = 0; i < from->n_in; i++) {
    const cst_node *q = node_at(from->graph, from->inputs[i]);
    w->arguments[i] = w->in[i] = cst_graph_input(w->g, &q->type[0], q->name);
  }
  for (uint32_t p = 0; p < f->n_parts; p++)
    w->arguments[from->n_in + p] = w->dot[1 + p] = cst_graph_input(w->g, type_at(w->g, w->in[1 + p]), "tangent");
  w->arguments[from->n_in + f->n_parts] = w->dot[0] = cst_graph_input(w->g, type_at(w->g, w->in[0]), "tangent of t");
  CST_TRY(cst_function_call(w->g, from, w->in, w->dy));
  CST_TRY(cst_graph_jvp(w->g, w->in, w->dot, 1 + f->n_parts, w->dy, f->n_parts, w->dy + f->n_parts));
  for (uint32_t p = 0; p < f->n_parts; p++)
    w->dy[f->n_parts + p] = value_or_zero(w->g, w->dy[f->n_parts + p], w->dy[p]);
  return w->g->status;
}

/* (t, y.., captures.., y_dot.., t_dot) -> dy.., dy_dot.. */
cst_status cst_field_derive_forward(cst_field *f) {
  if (f->derived[FIELD_JVP]) return CST_OK;
  size_t n_in = f->f->n_in, n_arguments = n_in + f->n_parts + 1;
  forward w = {0};
  CST_TRY(cst_graph_new(f->ctx, (cst_dtype)f->f->graph->real, f->f->graph->rows, &w.g));
  w.in = cst_alloc(f->ctx, (2 * n_in + 2 * (size_t)f->n_parts + n_arguments) * sizeof *w.in);
  cst_status st = w.in ? CST_OK : CST_ENOMEM;
  if (st == CST_OK) {
    w.dot = w.in + n_in, w.dy = w.dot + n_in, w.arguments = w.dy + 2 * (size_t)f->n_parts;
    st = build(f, &w);
  }
  if (st == CST_OK) st = cst_function_new(w.g, w.arguments, n_arguments, w.dy, 2 * (size_t)f->n_parts, &f->derived[FIELD_JVP]);
  cst_free(f->ctx, w.in);
  cst_graph_release(w.g);
  return st;
}

/* ---- the Jacobian ------------------------------------------------------------------------------------- */

/* Vectors of a Jacobian under way. Columns are scalars of one row, through the stage parts in order. */
typedef struct columns {
  const cst_rhs *f;
  size_t size, width;          /* of a scalar; columns */
  unsigned char *y_dot, *dy, *dy_dot;
} columns;

static void put_number(const columns *c, void *vector, size_t at, double x) {
  if (c->size == sizeof(double)) ((double *)vector)[at] = x;
  else ((float *)vector)[at] = (float)x;
}

/* The part that holds scalar d of a row, and which of its scalars that is. */
static const cst_part *part_of(const cst_rhs *f, size_t d, size_t *k) {
  const cst_part *part = f->parts;
  for (; d >= part->n; part++) d -= part->n;
  *k = d;
  return part;
}

/* y_dot = the sum of unit vectors first, first + stride, .., in every row. */
static void seed(const columns *c, size_t first, size_t stride) {
  memset(c->y_dot, 0, c->f->n_stage * c->size);
  for (size_t d = first; d < c->width; d += stride) {
    size_t k;
    const cst_part *part = part_of(c->f, d, &k);
    for (size_t row = 0; row < c->f->rows; row++) put_number(c, c->y_dot, part->offset + row * part->n + k, 1);
  }
}

/* Scalar i of the tangent of every row goes to jac[row, i, d]. */
static void take(const columns *c, size_t i, size_t d, void *jac) {
  size_t k;
  const cst_part *part = part_of(c->f, i, &k);
  for (size_t row = 0; row < c->f->rows; row++)
    memcpy((char *)jac + ((row * c->width + i) * c->width + d) * c->size,
           c->dy_dot + (part->offset + row * part->n + k) * c->size, c->size);
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Columns first, first + stride, .. do not meet within the band. */
static void take_group(const columns *c, size_t first, size_t stride, void *jac) {
  for (size_t d = first; d < c->width; d += stride) {
    size_t from = d - least(d, c->f->upper), to = c->width - 1 - d < c->f->lower ? c->width - 1 : d + c->f->lower;
    for (size_t i = from; i <= to; i++) take(c, i, d, jac);
  }
}

static cst_status make_vectors(cst_field_rhs *r, columns *c) {
  size_t bytes = ((r->most + 1) * c->size + 63) & ~(size_t)63;
  if (!r->tangent && !(r->tangent = cst_alloc(r->field->ctx, 3 * bytes))) return CST_ENOMEM;
  c->y_dot = r->tangent, c->dy = c->y_dot + bytes, c->dy_dot = c->dy + bytes;
  return CST_OK;
}

static cst_status refuse_coupled(const cst_field_rhs *r) {
  cst_value mixes;
  if (r->base.rows <= 1 || r->differences || cst_program_separable(r->field->program[FIELD_JVP], &mixes)) return CST_OK;
  cst_value_info q = cst_graph_info(r->field->derived[FIELD_JVP]->graph, mixes);
  return cst_fail(r->field->ctx, CST_EUNSUPPORTED,
                  "a Jacobian of each row of a field whose rows depend on each other: '%s' (%s:%d) mixes them",
                  q.op, q.source ? q.source : "?", q.line);
}

/* The tangent along y_dot and t_dot. */
static cst_status column(cst_rhs *f, const double *t, const void *y, const columns *c, double t_dot) {
  const cst_field_rhs *r = f->self;
  if (r->differences) return cst_field_rhs_difference(f, *t, y, c->y_dot, t_dot, c->dy, c->dy_dot);
  return f->jvp(f, t, y, c->y_dot, t_dot, c->dy, c->dy_dot);
}

cst_status cst_field_rhs_jacobian(cst_rhs *f, const double *t, const void *y, void *jac, void *dfdt) {
  cst_field_rhs *r = f->self;
  columns c = {.f = f, .size = rhs_element(r), .width = f->rows ? f->n_stage / f->rows : 0};
  size_t band = f->lower >= c.width || f->upper >= c.width ? c.width : f->lower + f->upper + 1;
  size_t stride = least(band, c.width);
  CST_TRY(refuse_coupled(r));
  CST_TRY(make_vectors(r, &c));
  if (r->differences) CST_TRY(f->eval(f, t, y, c.dy)); /* once for all columns */
  if (jac && stride < c.width) memset(jac, 0, f->rows * c.width * c.width * c.size);
  for (size_t first = 0; jac && first < stride; first++) {
    seed(&c, first, stride);
    CST_TRY(column(f, t, y, &c, 0));
    take_group(&c, first, stride, jac);
  }
  if (!dfdt) return CST_OK;
  memset(c.y_dot, 0, f->n_stage * c.size);
  CST_TRY(column(f, t, y, &c, 1));
  for (size_t i = 0; i < c.width; i++) {
    size_t k;
    const cst_part *part = part_of(f, i, &k);
    for (size_t row = 0; row < f->rows; row++)
      memcpy((char *)dfdt + (row * c.width + i) * c.size, c.dy_dot + (part->offset + row * part->n + k) * c.size, c.size);
  }
  return CST_OK;
}
