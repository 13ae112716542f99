/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A field and the programs derived from it on demand:
 *   EVAL   (t, y.., captures..)             -> dy..
 *   KEEP   the same                         -> dy.., residuals..
 *   PULL   (t, residuals.., captures.., lambda..) -> y_bar.. , t_bar, capture_bar..   (all accumulate)
 *   JOINT  (t, y.., captures.., lambda..)   -> dy.., y_bar.., t_bar, capture_bar..
 *   JVP    (t, y.., captures.., y_dot.., t_dot) -> dy.., dy_dot..
 * Residuals are the values of EVAL that the pullback reads; whatever else the pullback needs of the
 * forward pass it computes again.
 *
 * Rows of a separable field run in chunks whose size is decided by the programs alone.
 */
#pragma once
#include "autodiff/program_internal.h"
#include "costate/ode.h"

typedef enum cst_field_program { FIELD_EVAL, FIELD_KEEP, FIELD_PULL, FIELD_JOINT, FIELD_JVP, FIELD_PROGRAMS } cst_field_program;

typedef struct cst_field {
  cst_object object;
  cst_context *ctx;
  cst_function *f; /* (t, y.., captures..) -> dy.. */
  uint32_t n_parts, n_captures;
  size_t rows;
  bool callback; /* it is one, see callback.c: without a derivative, and its rows may be taken apart */

  /* derive.c */
  cst_function *derived[FIELD_PROGRAMS];
  cst_operand *residual;
  uint32_t n_residuals;
  bool *has_y_bar;             /* by part */
  bool has_t_bar;
  bool *has_capture_bar;       /* by capture */

  /* field.c */
  cst_program *program[FIELD_PROGRAMS];
  size_t chunk;
} cst_field;

/* Takes its own reference. `n_parts` parts follow t in the function's inputs; the rest are captures. */
cst_status cst_field_new(cst_context *ctx, cst_function *f, uint32_t n_parts, cst_field **out);
/* Derives and compiles a program, once. */
cst_status cst_field_compile(cst_field *f, cst_field_program which);

cst_status cst_field_derive(cst_field *f);         /* derive.c: KEEP, PULL, JOINT */
cst_status cst_field_derive_forward(cst_field *f); /* tangent.c: JVP */

static inline const cst_type *cst_field_part(const cst_field *f, uint32_t p) {
  return type_at(f->f->graph, f->f->inputs[1 + p]);
}
static inline const cst_type *cst_field_capture(const cst_field *f, uint32_t c) {
  return type_at(f->f->graph, f->f->inputs[1 + f->n_parts + c]);
}

/* ---- rhs.c: a field bound to captures, as a stepper sees it ------------------------------------------- */

typedef struct cst_field_rhs cst_field_rhs;

/* `parts` in the field's order with flags; `programs`: bit mask of cst_field_program to make ready. `rows`: all
 * of the field's, or 1: then it is of one row at a time, which cst_field_rhs_select names. */
cst_status cst_field_rhs_new(cst_field *f, size_t rows, const uint32_t *flags, const char *const *names,
                             uint32_t programs, cst_field_rhs **out);
void cst_field_rhs_free(cst_field_rhs *r);
/* From now on it is of this many rows, at most those it was made for: the field's first. Captures and their
 * cotangents are to be bound anew. The field's rows must not depend on each other. */
void cst_field_rhs_resize(cst_field_rhs *r, size_t rows);
cst_rhs *cst_field_rhs_base(cst_field_rhs *r);
/* Captures for the solves to come, in order; elements are read at every evaluation. */
void cst_field_rhs_bind(cst_field_rhs *r, const void *const *capture, const cst_run *run);
/* Of a rhs of one row: captures, their cotangents and random draws are those of this row from now on. After
 * both were bound. */
void cst_field_rhs_select(cst_field_rhs *r, size_t row);
/* Where pullbacks add the cotangents of captures; entries may be NULL. */
void cst_field_rhs_bind_bars(cst_field_rhs *r, void *const *capture_bar);
/* Elements of capture c now. */
size_t cst_field_rhs_capture_count(const cst_field_rhs *r, uint32_t c);
/* Where the field first gives a value that is not finite: at (t, y), or else on the
 * way ahead, in Euler steps of size h and growing, where the steps that failed have looked, but not beyond the time
 * `end`. Overwrites y. */
bool cst_field_rhs_find_nonfinite(cst_field_rhs *r, double t, double end, double h, void *y, char *text, size_t size);
