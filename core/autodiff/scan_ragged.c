/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Scans along rows of different lengths. Rows are put in order, the longest first (equal ones as they stand), so
 * that the rows under way at an entry, whose lengths reach beyond it, are the first n of them: the body runs on n
 * rows, and entries that no row has are passed over. Forwards n falls, and a row that leaves has its carry put
 * into the result; in reverse n grows, and a row that joins, at its own last entry, brings its carry.
 *
 * Rows stand in order in carries, entries and captures, which are the body's; stacks and results have them in
 * their places. What is not of rows (the sums of a pullback) is carried on as ever. The body keeps rows apart and
 * its kernels give a row the same bits in every place, so that a row comes out the same whoever is beside it.
 */
#include <math.h>
#include <string.h>

#include "autodiff/program_internal.h"
#include "autodiff/scan.h"

/* ---- whether it can be ------------------------------------------------------------------------------------ */

static bool is_row(const cst_graph *g, cst_value v) { return type_at(g, v)->space == CST_ROW; }

bool cst_scan_takes_lengths(const cst_graph *g, const cst_function *body, const cst_value *in, size_t n_carry,
                            cst_value lengths, int axis) {
  const cst_type *l = type_at(g, lengths);
  if (axis != 1 || l->space != CST_ROW || l->rank != 1 || l->dtype != CST_F64) return false;
  for (uint32_t i = 0; i < body->n_in; i++)
    if (is_row(body->graph, body->inputs[i]) != is_row(g, in[i])) return false;
  for (size_t i = 0; i < n_carry; i++)
    if (!is_row(body->graph, body->inputs[i])) return false;
  for (uint32_t i = 0; i < body->n_out; i++)
    if (!is_row(body->graph, body->outputs[i])) return false;
  return cst_graph_first_rows(body->graph);
}

/* ---- the order of rows -------------------------------------------------------------------------------------- */

/* Entries of a row: those at positions below its length. */
static size_t entries(double length, size_t most) {
  return !(length > 0) ? 0 : length >= (double)most ? most : (size_t)ceil(length);
}

/* Counting: first the rows of each length, then those of more, then each row to its place. */
static void put_in_order(const scan_state *s, const double *length, size_t rows, size_t most) {
  size_t *place = s->under_way; /* of the next row of length e */
  memset(place, 0, (most + 1) * sizeof *place);
  for (size_t r = 0; r < rows; r++) place[entries(length[r], most)]++;
  for (size_t e = most + 1, before = 0; e-- > 0;) {
    size_t n = place[e];
    place[e] = before, before += n;
  }
  for (size_t r = 0; r < rows; r++) s->order[place[entries(length[r], most)]++] = r;
  for (size_t e = 0; e < most; e++) place[e] = place[e + 1]; /* the end of those of more than e */
}

/* ---- moving rows ------------------------------------------------------------------------------------------------ */

typedef struct ragged {
  scan_frame f;
  const cst_function *body;
  size_t most;  /* entries of the longest row there may be */
  size_t n;     /* rows under way */
  int now;      /* the set of carries that is valid */
} ragged;

static const cst_type *type_of(const ragged *r, cst_value v) { return type_at(r->body->graph, v); }

static size_t row_bytes(const cst_type *t) { return cst_operand_of(t).inner * cst_dtype_size(t->dtype); }

/* Rows from .. to - 1 in order, between places `step` bytes apart and a dense entry. */
static void collect(const scan_state *s, size_t from, size_t to, size_t bytes, const void *places, size_t step, void *entry) {
  for (size_t k = from; k < to; k++)
    memcpy((char *)entry + k * bytes, (const char *)places + s->order[k] * step, bytes);
}
static void spread(const scan_state *s, size_t from, size_t to, size_t bytes, const void *entry, void *places, size_t step) {
  for (size_t k = from; k < to; k++)
    memcpy((char *)places + s->order[k] * step, (const char *)entry + k * bytes, bytes);
}

/* Carries of rows that join or leave, so that `to` are under way. */
static void change(ragged *r, size_t to) {
  scan_state *s = r->f.s;
  const cst_call *c = r->f.c;
  for (size_t i = 0; i < r->f.n_carry && to != r->n; i++) {
    const cst_type *t = type_of(r, r->body->inputs[i]);
    void *carry = s->carry[r->now][i], *result = c->p[c->q->n_in + i];
    size_t bytes = row_bytes(t);
    if (t->space != CST_ROW) continue;
    if (to > r->n) collect(s, r->n, to, bytes, c->p[i], bytes, carry);
    else if (result) spread(s, to, r->n, bytes, carry, result, bytes);
  }
  r->n = to;
}

/* Rows without entries keep their carry. */
static void pass_by(ragged *r, size_t rows) {
  const cst_call *c = r->f.c;
  size_t first = r->most ? r->f.s->under_way[0] : 0;
  for (size_t i = 0; i < r->f.n_carry; i++) {
    const cst_type *t = type_of(r, r->body->inputs[i]);
    char *result = c->p[c->q->n_in + i];
    size_t bytes = row_bytes(t);
    for (size_t k = first; result && t->space == CST_ROW && k < rows; k++)
      memcpy(result + r->f.s->order[k] * bytes, (const char *)c->p[i] + r->f.s->order[k] * bytes, bytes);
  }
}

/* ---- stacks ------------------------------------------------------------------------------------------------------- */

/* Output `output` of the node, of which `entry` is entry e. */
static void stack_out(const ragged *r, size_t output, const cst_type *t, int64_t e, void *entry) {
  const cst_call *c = r->f.c;
  uint32_t o = c->q->n_in + (uint32_t)output;
  size_t bytes = row_bytes(t);
  if (!c->p[o]) return;
  if (t->space != CST_ROW) cst_scan_move(&c->q->operand[o], c->rows, r->f.axis, e, c->p[o], entry, true);
  else spread(r->f.s, 0, r->n, bytes, entry, (char *)c->p[o] + (size_t)e * bytes, r->most * bytes);
}

/* Zeros where no row is under way: all but the stacks of rows need the whole. */
static void clear_stack(const ragged *r, size_t output, const cst_type *t) {
  const cst_call *c = r->f.c;
  uint32_t o = c->q->n_in + (uint32_t)output;
  size_t bytes = row_bytes(t);
  if (!c->p[o]) return;
  if (t->space != CST_ROW) {
    memset(c->p[o], 0, cst_scan_bytes(c, o));
    return;
  }
  for (size_t e = 0, n = c->rows; e < r->most; e++) { /* rows that end with entry e - 1 */
    size_t left = r->f.s->under_way[e];
    for (; n > left; n--)
      memset((char *)c->p[o] + (r->f.s->order[n - 1] * r->most + e) * bytes, 0, (r->most - e) * bytes);
  }
}

static void clear_stacks(const ragged *r) {
  const scan_frame *f = &r->f;
  for (size_t i = 0; i < f->n_ys; i++) clear_stack(r, f->n_carry + i, type_of(r, r->body->outputs[f->n_carry + i]));
  for (size_t i = 0; i < f->n_carry; i++) clear_stack(r, f->n_carry + f->n_ys + i, type_of(r, r->body->inputs[i]));
}

/* ---- the run -------------------------------------------------------------------------------------------------------- */

static void take_entry(ragged *r, int64_t e) {
  scan_frame *f = &r->f;
  for (size_t i = 0; i < f->n_xs; i++) {
    uint32_t k = (uint32_t)(f->n_carry + i);
    const cst_type *t = type_of(r, r->body->inputs[k]);
    size_t bytes = row_bytes(t);
    f->in[k] = f->s->x[i];
    if (t->space != CST_ROW) cst_scan_move(&f->c->q->operand[k], f->c->rows, f->axis, e, f->c->p[k], f->s->x[i], false);
    else collect(f->s, 0, r->n, bytes, (const char *)f->c->p[k] + (size_t)e * bytes, r->most * bytes, f->s->x[i]);
  }
}

static cst_status one_entry(ragged *r, int64_t e) {
  scan_frame *f = &r->f;
  scan_state *s = f->s;
  for (size_t i = 0; i < f->n_carry; i++) {
    f->in[i] = s->carry[r->now][i], f->out[i] = s->carry[!r->now][i];
    stack_out(r, f->n_carry + f->n_ys + i, type_of(r, r->body->inputs[i]), e, s->carry[r->now][i]);
  }
  take_entry(r, e);
  for (size_t i = 0; i < f->n_ys; i++) f->out[f->n_carry + i] = f->c->p[f->c->q->n_in + f->n_carry + i] ? s->y[i] : NULL;
  CST_TRY(cst_scan_body(f, r->n));
  for (size_t i = 0; i < f->n_ys; i++)
    stack_out(r, f->n_carry + i, type_of(r, r->body->outputs[f->n_carry + i]), e, s->y[i]);
  r->now = !r->now;
  return CST_OK;
}

/* Carries that are not of rows begin here; captures of rows come in order. */
static void begin(ragged *r) {
  scan_frame *f = &r->f;
  const cst_call *c = f->c;
  for (uint32_t i = 0; i < f->n_carry; i++)
    if (type_of(r, r->body->inputs[i])->space != CST_ROW) memcpy(f->s->carry[0][i], c->p[i], cst_scan_bytes(c, i));
  for (uint32_t i = (uint32_t)(f->n_carry + f->n_xs); i < r->body->n_in; i++) {
    size_t bytes = row_bytes(type_of(r, r->body->inputs[i]));
    f->in[i] = f->s->capture[i] ? f->s->capture[i] : c->p[i];
    if (f->s->capture[i]) collect(f->s, 0, c->rows, bytes, c->p[i], bytes, f->s->capture[i]);
  }
}

static void end(ragged *r) {
  const cst_call *c = r->f.c;
  change(r, 0);
  pass_by(r, c->rows);
  for (uint32_t i = 0; i < r->f.n_carry; i++)
    if (c->p[c->q->n_in + i] && type_of(r, r->body->inputs[i])->space != CST_ROW)
      memcpy(c->p[c->q->n_in + i], r->f.s->carry[r->now][i], cst_scan_bytes(c, i));
  cst_scan_leave(&r->f);
}

cst_status cst_scan_run_ragged(const cst_call *c) {
  const cst_attrs *a = c->q->attrs;
  ragged r = {.f = cst_scan_enter(c), .body = scan_body(a), .most = (size_t)a->i[SCAN_LENGTH]};
  put_in_order(r.f.s, c->p[c->q->n_in - 1], c->rows, r.most);
  clear_stacks(&r);
  begin(&r);
  for (size_t k = 0; k < r.most; k++) {
    size_t e = a->i[SCAN_REVERSE] ? r.most - 1 - k : k;
    change(&r, r.f.s->under_way[e]);
    if (r.n == 0) continue;
    cst_scan_key(&r.f, (int64_t)e);
    CST_TRY(one_entry(&r, (int64_t)e));
  }
  end(&r);
  return CST_OK;
}
