/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A field as a stepper sees it. Rows run in chunks, chunks in groups: a group is one task, its chunks
 * follow one another, and the sums of groups for shared captures are folded in a fixed tree. Neither
 * chunks nor groups depend on the number of threads.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ode/rhs_internal.h"

/* One call of a rhs function, as the tasks see it. */
typedef struct job {
  cst_field_rhs *r;
  cst_field_program which;
  const double *t;
  const void *y, *residual_in, *lambda;
  void *dy, *residual_out, *y_bar;
  double *t_bar;
  const void *y_dot;   /* JVP */
  const double *t_dot;
  void *dy_dot;
  bool want_bars;
  cst_status status[GROUPS];
} job;

static void *moved(const void *p, size_t bytes) { return p ? (char *)(uintptr_t)p + bytes : NULL; }

static void *part_at(const cst_field_rhs *r, const void *vector, uint32_t p, size_t row) {
  return moved(vector, (r->part_offset[p] + row * r->part_n[p]) * rhs_element(r));
}

/* Externals of a program, in the order of derive.c: the functions below put theirs from number `e` on and
 * return the next. */
static size_t put_parts(const cst_field_rhs *r, cst_workspace *w, size_t e, const void *vector, size_t row) {
  for (uint32_t p = 0; p < r->field->n_parts; p++) cst_workspace_put(w, e++, part_at(r, vector, p, row));
  return e;
}

static size_t put_captures(const cst_field_rhs *r, cst_workspace *w, size_t e, size_t row) {
  for (uint32_t c = 0; c < r->field->n_captures; c++)
    cst_workspace_put(w, e++, moved(r->capture[c], row * r->capture_step[c]));
  return e;
}

/* Where captures begin among the inputs of a program. */
static size_t capture_place(const cst_field *f, cst_field_program which) {
  return 1 + (which == FIELD_PULL ? f->n_residuals : f->n_parts);
}

static size_t put_residuals(const cst_field_rhs *r, cst_workspace *w, size_t e, const void *residual, size_t row) {
  for (uint32_t i = 0; i < r->field->n_residuals; i++)
    cst_workspace_put(w, e++, moved(residual, r->residual_offset[i] + row * r->residual_step[i]));
  return e;
}

/* What is not of rows is written by the first chunk alone. */
static void put_new_residuals(const cst_field_rhs *r, cst_workspace *w, size_t e, void *residual, size_t row) {
  for (uint32_t i = 0; i < r->field->n_residuals; i++) {
    bool once = row > 0 && !r->residual_step[i];
    cst_workspace_put(w, e++, once ? NULL : moved(residual, r->residual_offset[i] + row * r->residual_step[i]));
  }
}

static void put_capture_bars(const cst_field_rhs *r, cst_workspace *w, size_t e, bool want, size_t group, size_t row) {
  const cst_field *f = r->field;
  for (uint32_t c = 0; c < f->n_captures; c++) {
    if (!f->has_capture_bar[c]) continue;
    void *to = want ? r->bar[c] : NULL;
    if (to && r->capture_step[c]) to = moved(to, row * r->capture_step[c]);
    else if (to && r->n_groups > 1)
      to = r->partial + (group * r->bar_scalars + r->partial_offset[c]) * rhs_element(r);
    cst_workspace_put(w, e++, to);
  }
}

/* Cotangent outputs that exist. */
static void put_bars(const job *j, cst_workspace *w, size_t e, size_t group, size_t row) {
  const cst_field_rhs *r = j->r;
  const cst_field *f = r->field;
  for (uint32_t p = 0; p < f->n_parts; p++)
    if (f->has_y_bar[p]) cst_workspace_put(w, e++, part_at(r, j->y_bar, p, row));
  double *t_partial = (double *)(void *)(r->partial + GROUPS * r->bar_scalars * rhs_element(r));
  if (f->has_t_bar) cst_workspace_put(w, e++, !j->t_bar ? NULL : r->n_groups > 1 ? &t_partial[group] : j->t_bar);
  if (r->n_chunks > 1 || j->which != FIELD_PULL) put_capture_bars(r, w, e, j->want_bars, group, row);
}

static bool has_bars(cst_field_program which) { return which == FIELD_PULL || which == FIELD_JOINT; }

static void put_externals(const job *j, cst_workspace *w, size_t group, size_t row) {
  const cst_field_rhs *r = j->r;
  size_t captures = capture_place(r->field, j->which), e = captures + r->field->n_captures;
  cst_workspace_put(w, 0, j->t);
  if (j->which == FIELD_PULL) put_residuals(r, w, 1, j->residual_in, row);
  else put_parts(r, w, 1, j->y, row);
  if (r->row_captures && r->n_chunks > 1) put_captures(r, w, captures, row);
  if (has_bars(j->which)) e = put_parts(r, w, e, j->lambda, row);
  if (j->which == FIELD_JVP) {
    e = put_parts(r, w, e, j->y_dot, row);
    cst_workspace_put(w, e++, j->t_dot);
  }
  if (j->which != FIELD_PULL) e = put_parts(r, w, e, j->dy, row);
  if (j->which == FIELD_KEEP) put_new_residuals(r, w, e, j->residual_out, row);
  if (j->which == FIELD_JVP) put_parts(r, w, e, j->dy_dot, row);
  if (has_bars(j->which)) put_bars(j, w, e, group, row);
}

static void run_group(void *arg, size_t group, unsigned id) {
  job *j = arg;
  cst_field_rhs *r = j->r;
  cst_workspace *w = r->worker[id].workspace[j->which];
  size_t first = group * r->n_chunks / r->n_groups, last = (group + 1) * r->n_chunks / r->n_groups;
  size_t chunk = r->chunk, rows = r->base.rows;
  char *told = r->messages[group], *before = cst_message_divert(told);
  told[0] = 0;
  j->status[group] = CST_OK;
  for (size_t c = first; c < last && j->status[group] == CST_OK; c++) {
    size_t row = c * chunk, n = rows - row < chunk ? rows - row : chunk;
    put_externals(j, w, group, row);
    w->run.row0 = row;
    j->status[group] = cst_workspace_execute(w, n);
  }
  cst_message_divert(before);
}

/* All rows are one chunk. A pullback may mix them, but in sums, which do not miss rows that are not there. */
static cst_status run_whole(job *j) {
  cst_workspace *w = j->r->worker[0].workspace[j->which];
  put_externals(j, w, 0, 0);
  return cst_workspace_execute_first(w, j->r->base.rows);
}

static void add(const cst_field_rhs *r, size_t n, const void *x, void *y) {
  const double one = 1;
  cst_kernels_get()->combine[r->base.dtype == CST_F64](n, y, 1, &one, &x, y);
}

/* Partial sums of groups: ((0+1)+(2+3))+((4+5)+(6+7)), then into place. */
static void fold(const job *j) {
  const cst_field_rhs *r = j->r;
  size_t n = r->bar_scalars, size = rhs_element(r);
  double *t = (double *)(void *)(r->partial + GROUPS * n * size);
  for (size_t step = 1; step < r->n_groups; step *= 2)
    for (size_t g = 0; g + step < r->n_groups; g += 2 * step) {
      add(r, n, r->partial + (g + step) * n * size, r->partial + g * n * size);
      t[g] += t[g + step];
    }
  if (j->t_bar) *j->t_bar += t[0];
  for (uint32_t c = 0; j->want_bars && c < r->field->n_captures; c++)
    if (r->partial_offset[c] != SIZE_MAX && r->bar[c])
      add(r, r->capture_n[c], r->partial + r->partial_offset[c] * size, r->bar[c]);
}

static cst_status run_job(job *j) {
  cst_field_rhs *r = j->r;
  if (r->n_chunks == 1) return run_whole(j);
  bool bars = has_bars(j->which);
  if (bars) memset(r->partial, 0, GROUPS * (r->bar_scalars * rhs_element(r) + sizeof(double)));
  cst_parallel(r->field->ctx, r->n_groups, run_group, j);
  for (size_t g = 0; g < r->n_groups; g++)
    if (j->status[g] != CST_OK) return cst_fail(r->field->ctx, j->status[g], "%s", r->messages[g]);
  if (bars) fold(j);
  return CST_OK;
}

/* Where an equation inside the field has no solution the field is not defined: a smaller step may help, and the message
 * stays for who gives up (explain.c). */
static cst_status run_field(job *j) {
  cst_status st = run_job(j);
  return st == CST_ESINGULAR || st == CST_ENOCONVERGENCE ? CST_RETRY : st;
}

/* ---- the functions of cst_rhs ------------------------------------------------------------------------- */

static cst_status rhs_eval(cst_rhs *f, const double *t, const void *y, void *dy) {
  job j = {.r = f->self, .which = FIELD_EVAL, .t = t, .y = y, .dy = dy};
  f->evaluations++;
  return run_field(&j);
}

static cst_status rhs_eval_keep(cst_rhs *f, const double *t, const void *y, void *dy, void *residual) {
  if (!residual) return rhs_eval(f, t, y, dy);
  job j = {.r = f->self, .which = FIELD_KEEP, .t = t, .y = y, .dy = dy, .residual_out = residual};
  f->evaluations++;
  return run_field(&j);
}

static cst_status rhs_pullback(cst_rhs *f, const double *t, const void *residual, const void *lambda,
                               void *y_bar, double *t_bar) {
  job j = {.r = f->self, .which = FIELD_PULL, .t = t, .residual_in = residual, .lambda = lambda,
           .y_bar = y_bar, .t_bar = t_bar, .want_bars = true};
  f->pullbacks++;
  return run_job(&j);
}

static cst_status rhs_vector_jacobian(cst_rhs *f, const double *t, const void *y, const void *lambda,
                                      void *dy, void *y_bar, double *t_bar, void *capture_bar) {
  cst_field_rhs *r = f->self;
  const cst_field *field = r->field;
  job j = {.r = r, .which = FIELD_JOINT, .t = t, .y = y, .lambda = lambda, .dy = dy, .y_bar = y_bar,
           .t_bar = t_bar, .want_bars = capture_bar != NULL};
  size_t at = 0, size = rhs_element(r);
  if (capture_bar) memset(capture_bar, 0, f->n_captures * size);
  if (t_bar) *t_bar = 0;
  for (uint32_t c = 0; c < field->n_captures; c++) {
    const cst_type *type = cst_field_capture(field, c);
    r->bar[c] = capture_bar && type->dtype == f->dtype ? (char *)capture_bar + at * size : NULL;
    if (type->dtype == f->dtype) at += r->capture_n[c];
  }
  for (uint32_t p = 0; y_bar && p < field->n_parts; p++) /* y_bar ends with the parts the field reads */
    if (!field->has_y_bar[p] && r->part_offset[p] < f->n_stage)
      memset(part_at(r, y_bar, p, 0), 0, f->rows * r->part_n[p] * size);
  f->evaluations++, f->pullbacks++;
  return run_field(&j);
}

static cst_status rhs_jvp(cst_rhs *f, const double *t, const void *y, const void *y_dot, double t_dot, void *dy,
                          void *dy_dot) {
  job j = {.r = f->self, .which = FIELD_JVP, .t = t, .y = y, .dy = dy, .y_dot = y_dot, .t_dot = &t_dot,
           .dy_dot = dy_dot};
  f->evaluations++;
  return run_field(&j);
}

static const char *rhs_name_of(cst_rhs *f, size_t component, char *text, size_t size) {
  for (size_t p = 0; p < f->n_parts; p++) {
    const cst_part *part = &f->parts[p];
    if (component < part->offset || component >= part->offset + part->n * f->rows) continue;
    size_t i = component - part->offset;
    const char *name = part->name ? part->name : "y";
    if (f->rows > 1) snprintf(text, size, "%s[%zu] of row %zu", name, i % part->n + 1, i / part->n + 1);
    else snprintf(text, size, "%s[%zu]", name, i + 1);
    return text;
  }
  snprintf(text, size, "component %zu", component + 1);
  return text;
}

void cst_field_rhs_functions(cst_field_rhs *r) {
  r->base.name_of = rhs_name_of;
  r->base.eval = rhs_eval;
  if (r->programs >> FIELD_KEEP & 1) r->base.eval_keep = rhs_eval_keep;
  if (r->programs >> FIELD_PULL & 1) r->base.pullback = rhs_pullback;
  if (r->programs >> FIELD_JOINT & 1) r->base.vector_jacobian = rhs_vector_jacobian;
  if (r->programs >> FIELD_JVP & 1) r->base.jvp = rhs_jvp, r->base.jacobian = cst_field_rhs_jacobian;
  if (r->differences) r->base.jvp = cst_field_rhs_jvp_by_difference, r->base.jacobian = cst_field_rhs_jacobian;
}

cst_rhs *cst_field_rhs_base(cst_field_rhs *r) { return &r->base; }

void cst_field_rhs_bind(cst_field_rhs *r, const void *const *capture, const cst_run *run) {
  for (uint32_t c = 0; c < r->field->n_captures; c++) r->capture[c] = capture[c];
  for (unsigned i = 0; i < r->n_workers; i++)
    for (int k = 0; k < FIELD_PROGRAMS; k++) {
      cst_workspace *w = r->worker[i].workspace[k];
      if (!w) continue;
      put_captures(r, w, capture_place(r->field, (cst_field_program)k), r->row0);
      w->run.seed = run->seed, w->run.step = run->step, w->run.replay = run->replay;
    }
}

static void put_standing_bars(cst_field_rhs *r) {
  const cst_field *f = r->field;
  cst_workspace *w = r->worker[0].workspace[FIELD_PULL];
  if (r->n_chunks != 1 || !w) return;
  size_t first = capture_place(f, FIELD_PULL) + f->n_captures + f->n_parts + f->has_t_bar;
  for (uint32_t p = 0; p < f->n_parts; p++) first += f->has_y_bar[p];
  put_capture_bars(r, w, first, true, 0, r->row0);
}

void cst_field_rhs_bind_bars(cst_field_rhs *r, void *const *capture_bar) {
  for (uint32_t c = 0; c < r->field->n_captures; c++) r->bar[c] = capture_bar[c];
  put_standing_bars(r);
}

void cst_field_rhs_select(cst_field_rhs *r, size_t row) {
  r->row0 = row;
  for (int k = 0; k < FIELD_PROGRAMS; k++) {
    cst_workspace *w = r->worker[0].workspace[k];
    if (!w) continue;
    w->run.row0 = row;
    if (r->row_captures) put_captures(r, w, capture_place(r->field, (cst_field_program)k), row);
  }
  if (r->row_captures) put_standing_bars(r);
}

size_t cst_field_rhs_capture_count(const cst_field_rhs *r, uint32_t c) { return r->capture_n[c]; }

static bool nonfinite_at(cst_field_rhs *r, double t, const void *y, void *dy, char *text, size_t size) {
  cst_workspace *w = r->worker[0].workspace[FIELD_EVAL];
  size_t chunk = r->chunk ? r->chunk : r->base.rows;
  for (size_t row = 0; w && row < r->base.rows; row += chunk) {
    job j = {.r = r, .which = FIELD_EVAL, .t = &t, .y = y, .dy = dy};
    put_externals(&j, w, 0, row);
    size_t n = r->base.rows - row < chunk ? r->base.rows - row : chunk;
    if (cst_program_find_nonfinite(w, n, text, size)) return true;
  }
  return false;
}

bool cst_field_rhs_find_nonfinite(cst_field_rhs *r, double t, double end, double h, void *y, char *text, size_t size) {
  void *dy = cst_alloc(r->field->ctx, (r->base.n + 1) * rhs_element(r));
  if (!dy) return false;
  bool found = nonfinite_at(r, t, y, dy, text, size);
  for (int tries = 0; !found && tries < 18; tries++, h *= 8) { /* h shrank before the solve gave up */
    const void *k = dy;
    cst_kernels_get()->combine[r->base.dtype == CST_F64](r->base.n_stage, y, 1, &h, &k, y);
    t = fabs(h) < fabs(end - t) ? t + h : end;
    found = nonfinite_at(r, t, y, dy, text, size);
  }
  cst_free(r->field->ctx, dy);
  return found;
}
