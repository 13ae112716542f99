/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the kernels of all systems share: memory, f64 copies of rows, the loop over rows.
 */
#include "linalg.h"

#include <stdio.h>
#include <string.h>

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

cst_status linalg_state_new(const cst_instruction *q, size_t a, size_t more, size_t pivots, void **state) {
  const cst_type *b = &q->operand[q->n_in - 1].type, *x = &q->operand[q->n_in].type;
  work w = {.host = q->host, .m = (size_t)linalg_dim(b, 0), .n = (size_t)linalg_dim(x, 0)};
  w.k = linalg_rank(b) == 2 ? (size_t)linalg_dim(b, 1) : 1;
  size_t columns = larger(w.m, w.n) * w.k;
  size_t bytes = sizeof w + (a + columns + more) * sizeof(double) + pivots * sizeof(size_t);
  work *s = *state = w.host->alloc(w.host, bytes + 64);
  if (!s) return w.host->fail(w.host, CST_ENOMEM, "no memory to solve a linear system of %zu unknowns", w.n);
  *s = w;
  s->a = (double *)(s + 1);
  s->x = s->a + a;
  s->more = s->x + columns;
  s->pivot = (size_t *)(s->more + more);
  return CST_OK;
}

void linalg_state_free(cst_context *ctx, void *state) {
  (void)ctx;
  const cst_host *h = ((work *)state)->host;
  h->free(h, state);
}

static size_t offset(const cst_operand *o, size_t r) { return linalg_of_rows(&o->type) ? r * o->inner : 0; }

void linalg_load(const cst_call *c, uint32_t i, size_t r, double *to) {
  const cst_operand *o = &c->q->operand[i];
  size_t at = offset(o, r);
  if (o->type.dtype == CST_F64) {
    memcpy(to, (const double *)c->p[i] + at, o->inner * sizeof *to);
    return;
  }
  const float *from = (const float *)c->p[i] + at;
  for (size_t k = 0; k < o->inner; k++) to[k] = (double)from[k];
}

void linalg_store(const cst_call *c, uint32_t i, size_t r, const double *from) {
  const cst_operand *o = &c->q->operand[i];
  size_t at = offset(o, r);
  if (o->type.dtype == CST_F64) {
    memcpy((double *)c->p[i] + at, from, o->inner * sizeof *from);
    return;
  }
  float *to = (float *)c->p[i] + at;
  for (size_t k = 0; k < o->inner; k++) to[k] = (float)from[k];
}

/* All inputs but b, which is the last; a matrix alone is the only one. */
static bool matrix_of_rows(const cst_call *c) {
  for (uint32_t i = 0; i == 0 || i + 1 < c->q->n_in; i++)
    if (linalg_of_rows(&c->q->operand[i].type)) return true;
  return false;
}

cst_status linalg_run(const cst_call *c, linalg_factor_fn *factor, linalg_apply_fn *apply) {
  uint32_t b = c->q->n_in - 1, x = c->q->n_in;
  work *w = c->state;
  bool each = matrix_of_rows(c);
  size_t rows = linalg_of_rows(&c->q->operand[x].type) ? c->rows : 1;
  if (!c->p[x]) return CST_OK;
  for (size_t r = 0; r < rows; r++) {
    if (each || r == 0) CST_TRY(factor(c, r));
    linalg_load(c, b, r, w->x);
    apply(c);
    linalg_store(c, x, r, w->x);
  }
  return CST_OK;
}

const char *linalg_row_text(const cst_call *c, size_t row, char *text, size_t size) {
  text[0] = 0;
  if (matrix_of_rows(c)) snprintf(text, size, " of row %zu", c->run->row0 + row + 1);
  return text;
}

cst_status linalg_singular(const cst_call *c, const char *op, const char *advice, size_t row, size_t j, size_t n,
                           double pivot) {
  const cst_host *h = c->q->host;
  char text[32];
  return h->fail(h, CST_ESINGULAR,
                 "%s: the matrix%s is singular: pivot %zu of %zu is %.2g, no more than rounding, so column %zu "
                 "depends on those before it. %s",
                 op, linalg_row_text(c, row, text, sizeof text), j + 1, n, pivot, j + 1, advice);
}
