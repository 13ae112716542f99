/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ode/field.h"

#include <string.h>

static void field_destroy(cst_object *o) {
  cst_field *f = (cst_field *)o;
  for (int i = 0; i < FIELD_PROGRAMS; i++) {
    cst_program_release(f->program[i]);
    cst_object_release(f->derived[i]);
  }
  cst_object_release(f->f);
  cst_free(f->ctx, f->residual);
  cst_free(f->ctx, f->has_y_bar);
  cst_free(f->ctx, f);
}

enum { MOST_PARTS = 64 }; /* bits of a mask: see solve_back.c */

static cst_status check_parts(cst_context *ctx, const cst_function *f, uint32_t n_parts) {
  char x[64], y[64];
  if (f->n_in < 1 + n_parts || f->n_out != n_parts)
    return cst_fail(ctx, CST_EINVAL, "a field of %u parts must return %u derivatives, got %u", n_parts, n_parts, f->n_out);
  if (n_parts > MOST_PARTS) return cst_fail(ctx, CST_EUNSUPPORTED, "a state of more than %d parts", MOST_PARTS);
  const cst_type *t = type_at(f->graph, f->inputs[0]);
  if (t->rank != 0 || t->dtype != CST_F64) return cst_fail(ctx, CST_EDTYPE, "the time of a field is an f64 scalar");
  for (uint32_t p = 0; p < n_parts; p++) {
    const cst_type *s = type_at(f->graph, f->inputs[1 + p]), *d = type_at(f->graph, f->outputs[p]);
    if (!cst_type_equal(s, d))
      return cst_fail(ctx, CST_ESHAPE, "part %u of the state is %s, its derivative %s%s", p + 1,
                      cst_type_format(s, x, sizeof x), cst_type_format(d, y, sizeof y),
                      s->space == CST_ROW && d->space != CST_ROW ? " and does not depend on the rows: add 0*y" : "");
    if (s->space != CST_ROW || s->dtype != f->graph->real)
      return cst_fail(ctx, CST_EDTYPE, "part %u of the state must be rows of the field's float type", p + 1);
  }
  return CST_OK;
}

/* Whether all derivatives are what one callback gives. */
static bool is_callback(const cst_function *f) {
  const cst_node *q = node_at(f->graph, f->outputs[0]);
  for (uint32_t i = 1; i < f->n_out; i++)
    if (node_at(f->graph, f->outputs[i]) != q) return false;
  return strcmp(q->op->name, "callback") == 0;
}

cst_status cst_field_new(cst_context *ctx, cst_function *f, uint32_t n_parts, cst_field **out) {
  *out = NULL;
  CST_TRY(check_parts(ctx, f, n_parts));
  cst_field *x = cst_alloc(ctx, sizeof *x);
  if (!x) return CST_ENOMEM;
  *x = (cst_field){.object = {.refs = 1, .destroy = field_destroy}, .ctx = ctx, .f = cst_object_retain(f), .n_parts = n_parts,
                   .n_captures = f->n_in - 1 - n_parts, .rows = (size_t)f->graph->rows, .callback = is_callback(f)};
  x->derived[FIELD_EVAL] = cst_object_retain(f);
  *out = x;
  return CST_OK;
}

/* Chunks that keep one program's buffers within a second-level cache, and small enough for a batch of
 * a thousand to be shared by threads; a multiple of 32 rows, so that it does not depend on the number
 * of rows in the batch. */
static size_t chunk_rows(const cst_program *p, size_t rows) {
  enum { CACHE = 384 * 1024, LEAST = 64, MOST = 256 };
  if (!p->separable || rows <= LEAST) return rows;
  size_t chunk = CACHE / (p->arena_bytes / rows + 1) / 32 * 32;
  chunk = chunk < LEAST ? LEAST : chunk > MOST ? MOST : chunk;
  return chunk < rows ? chunk : rows;
}

static cst_status compile(cst_field *f, cst_field_program which, size_t rows) {
  const cst_function *d = f->derived[which];
  bool few[64] = {false}, *add = d->n_out > 64 ? cst_alloc(f->ctx, d->n_out) : few;
  if (!add) return CST_ENOMEM;
  uint32_t first = which == FIELD_PULL ? 0 : f->n_parts; /* the bars; y_bar is written by JOINT */
  if (which == FIELD_JOINT)
    for (uint32_t p = 0; p < f->n_parts; p++) first += f->has_y_bar[p];
  for (uint32_t o = first; o < d->n_out && (which == FIELD_PULL || which == FIELD_JOINT); o++) add[o] = true;
  cst_status st = cst_program_new_for(f->derived[which], add, rows, &f->program[which]);
  if (add != few) cst_free(f->ctx, add);
  return st;
}

/* Chunks are chosen by the buffers of f itself. */
static cst_status choose_chunk(cst_field *f) {
  CST_TRY(compile(f, FIELD_EVAL, f->rows));
  f->chunk = chunk_rows(f->program[FIELD_EVAL], f->rows);
  if (f->chunk == f->rows) return CST_OK;
  cst_program_release(f->program[FIELD_EVAL]);
  f->program[FIELD_EVAL] = NULL;
  return compile(f, FIELD_EVAL, f->chunk);
}

/* A pullback couples what the field does not: all programs there are run on whole batches. */
static cst_status compile_whole(cst_field *f) {
  f->chunk = f->rows;
  for (int i = 0; i < FIELD_PROGRAMS; i++) {
    if (!f->program[i]) continue;
    cst_program_release(f->program[i]);
    f->program[i] = NULL;
    CST_TRY(compile(f, (cst_field_program)i, f->rows));
  }
  return CST_OK;
}

cst_status cst_field_compile(cst_field *f, cst_field_program which) {
  if (f->program[which]) return CST_OK;
  if (which == FIELD_JVP) CST_TRY(cst_field_derive_forward(f));
  else if (which != FIELD_EVAL) CST_TRY(cst_field_derive(f));
  if (!f->chunk && !f->program[FIELD_EVAL]) CST_TRY(choose_chunk(f));
  if (f->program[which]) return CST_OK;
  CST_TRY(compile(f, which, f->chunk));
  bool couples = f->chunk < f->rows && !cst_program_separable(f->program[which], NULL);
  return couples ? compile_whole(f) : CST_OK;
}
