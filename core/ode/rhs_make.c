/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Making a rhs: where parts, residuals and cotangents lie, and a workspace a worker.
 */
#include "ode/rhs_internal.h"

static bool quadrature(const uint32_t *flags, uint32_t p) { return flags && (flags[p] & CST_PART_QUADRATURE); }

/* State parts stand in the field's order, quadrature parts after the others. */
static void order_parts(cst_field_rhs *r, const uint32_t *flags, const char *const *names) {
  const cst_field *f = r->field;
  size_t k = 0, all = f->rows;
  for (int pass = 0; pass < 2; pass++)
    for (uint32_t p = 0; p < f->n_parts; p++) {
      if (quadrature(flags, p) != (pass == 1)) continue;
      size_t n = all ? cst_type_count(cst_field_part(f, p)) / all : 0;
      r->part_n[p] = n, r->part_place[p] = k;
      r->part[k++] = (cst_part){.name = names ? names[p] : NULL, .flags = flags ? flags[p] : 0, .n = n};
    }
  r->base.parts = r->part;
  r->base.n_parts = f->n_parts;
}

static void lay_out_parts(cst_field_rhs *r) {
  size_t at = 0;
  r->base.n_stage = 0;
  for (size_t k = 0; k < r->base.n_parts; k++) {
    r->part[k].offset = at;
    at += r->part[k].n * r->base.rows;
    if (!(r->part[k].flags & CST_PART_QUADRATURE)) r->base.n_stage = at;
  }
  r->base.n = at;
  for (uint32_t p = 0; p < r->field->n_parts; p++) r->part_offset[p] = r->part[r->part_place[p]].offset;
}

static void lay_out_residuals(cst_field_rhs *r) {
  size_t at = 0;
  for (uint32_t i = 0; i < r->n_residuals; i++) {
    const cst_operand *o = &r->field->residual[i];
    r->residual_offset[i] = at;
    size_t bytes = o->inner * cst_dtype_size(o->type.dtype);
    r->residual_step[i] = o->type.space == CST_ROW ? bytes : 0;
    at += ((r->residual_step[i] ? r->base.rows : 1) * bytes + 63) & ~(size_t)63;
  }
  r->base.residual_bytes = at ? at : 64;
}

static cst_status lay_out_bars(cst_field_rhs *r) {
  const cst_field *f = r->field;
  size_t at = 0;
  for (uint32_t c = 0; c < f->n_captures; c++) {
    const cst_type *t = cst_field_capture(f, c);
    cst_operand o = cst_operand_of(t);
    r->capture_step[c] = t->space == CST_ROW ? o.inner * cst_dtype_size(t->dtype) : 0;
    r->row_captures |= r->capture_step[c] > 0;
    bool shared = f->has_capture_bar && f->has_capture_bar[c] && t->space != CST_ROW;
    r->partial_offset[c] = shared ? at : SIZE_MAX;
    if (shared) at += (r->capture_n[c] + 15) & ~(size_t)15;
  }
  r->bar_scalars = at;
  if (r->n_groups == 1) return CST_OK;
  r->partial = cst_alloc(f->ctx, GROUPS * (at * rhs_element(r) + sizeof(double)));
  r->messages = cst_alloc(f->ctx, GROUPS * sizeof *r->messages);
  return r->partial && r->messages ? CST_OK : CST_ENOMEM;
}

static void count_captures(cst_field_rhs *r) {
  r->base.n_captures = 0;
  for (uint32_t c = 0; c < r->field->n_captures; c++) {
    const cst_type *t = cst_field_capture(r->field, c);
    cst_operand o = cst_operand_of(t);
    r->capture_n[c] = t->space == CST_ROW ? o.inner * r->base.rows : o.inner;
    if (t->dtype == r->base.dtype) r->base.n_captures += r->capture_n[c];
  }
}

/* Whatever depends on the number of rows. */
static void lay_out(cst_field_rhs *r) {
  lay_out_parts(r);
  lay_out_residuals(r);
  count_captures(r);
  r->n_chunks = r->chunk ? (r->base.rows + r->chunk - 1) / r->chunk : 1;
  if (r->n_chunks == 0) r->n_chunks = 1;
  r->n_groups = r->n_chunks < GROUPS ? r->n_chunks : GROUPS;
}

void cst_field_rhs_resize(cst_field_rhs *r, size_t rows) {
  if (rows == r->base.rows) return;
  r->base.rows = rows;
  lay_out(r);
}

static cst_status make_workers(cst_field_rhs *r) {
  const cst_field *f = r->field;
  r->n_workers = r->n_groups > 1 ? cst_threads(f->ctx) : 1;
  r->worker = cst_alloc(f->ctx, r->n_workers * sizeof *r->worker);
  if (!r->worker) return CST_ENOMEM;
  for (unsigned i = 0; i < r->n_workers; i++)
    for (int k = 0; k < FIELD_PROGRAMS; k++)
      if (r->programs >> k & 1) CST_TRY(cst_workspace_new(f->program[k], &r->worker[i].workspace[k]));
  return CST_OK;
}

static cst_status make(cst_field_rhs *r, const uint32_t *flags, const char *const *names) {
  cst_field *f = r->field;
  r->part = cst_alloc(f->ctx, (f->n_parts + 1) * (sizeof *r->part + 3 * sizeof *r->part_offset));
  r->capture = cst_alloc(f->ctx, (f->n_captures + 1) * (2 * sizeof *r->capture + 3 * sizeof *r->partial_offset));
  if (!r->part || !r->capture) return CST_ENOMEM;
  r->part_offset = (size_t *)(void *)(r->part + f->n_parts + 1);
  r->part_n = r->part_offset + f->n_parts + 1, r->part_place = r->part_n + f->n_parts + 1;
  r->bar = (void **)(r->capture + f->n_captures + 1);
  r->partial_offset = (size_t *)(void *)(r->bar + f->n_captures + 1);
  r->capture_n = r->partial_offset + f->n_captures + 1;
  r->capture_step = r->capture_n + f->n_captures + 1;
  for (int k = 0; k < FIELD_PROGRAMS; k++)
    if (r->programs >> k & 1) CST_TRY(cst_field_compile(f, (cst_field_program)k));
  r->residual_offset = cst_alloc(f->ctx, (f->n_residuals + 1) * 2 * sizeof *r->residual_offset);
  if (!r->residual_offset) return CST_ENOMEM;
  r->n_residuals = f->n_residuals;
  r->residual_step = r->residual_offset + f->n_residuals + 1;
  r->chunk = f->chunk;
  order_parts(r, flags, names);
  lay_out(r);
  r->most = r->base.n;
  CST_TRY(lay_out_bars(r));
  return make_workers(r);
}

cst_status cst_field_rhs_new(cst_field *f, size_t rows, const uint32_t *flags, const char *const *names,
                             uint32_t programs, cst_field_rhs **out) {
  *out = NULL;
  cst_field_rhs *r = cst_alloc(f->ctx, sizeof *r);
  if (!r) return CST_ENOMEM;
  r->field = cst_object_retain(f);
  r->differences = f->callback && (programs >> FIELD_JVP & 1);
  r->programs = r->differences ? programs & ~(1u << FIELD_JVP) : programs;
  r->base = (cst_rhs){.struct_size = sizeof r->base, .dtype = f->f->graph->real, .rows = rows, .self = r,
                      .lower = SIZE_MAX, .upper = SIZE_MAX};
  cst_field_rhs_functions(r);
  cst_status st = make(r, flags, names);
  if (st == CST_OK) *out = r;
  else cst_field_rhs_free(r);
  return st;
}

void cst_field_rhs_free(cst_field_rhs *r) {
  if (!r) return;
  cst_field *f = r->field;
  for (unsigned i = 0; r->worker && i < r->n_workers; i++)
    for (int k = 0; k < FIELD_PROGRAMS; k++) cst_workspace_free(r->worker[i].workspace[k]);
  cst_free(f->ctx, r->worker);
  cst_free(f->ctx, r->part);
  cst_free(f->ctx, r->capture);
  cst_free(f->ctx, r->residual_offset);
  cst_free(f->ctx, r->partial);
  cst_free(f->ctx, r->messages);
  cst_free(f->ctx, r->tangent);
  cst_free(f->ctx, r->moved);
  cst_free(f->ctx, r);
  cst_object_release(f);
}
