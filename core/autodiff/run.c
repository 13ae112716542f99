/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Running programs: patch the pointers that moved, then one indirect call an instruction. While a program
 * runs, subnormal numbers count as zero (base/float_mode.h).
 */
#include <stdio.h>
#include <string.h>

#include "autodiff/compile_internal.h"
#include "base/context_internal.h"
#include "base/float_mode.h"

static void *resolve(const cst_workspace *w, const cst_home *h) {
  switch (h->kind) {
    case HOME_ARENA: return w->arena + h->offset;
    case HOME_CONSTANT: return w->p->constants + h->offset;
    case HOME_OUTPUT: return h->offset ? w->arena + h->offset - 1 : NULL;
    default: return NULL;
  }
}

static cst_status make_states(cst_workspace *w) {
  const cst_program *p = w->p;
  for (uint32_t i = 0; i < p->n_code; i++) {
    const cst_compiled *k = &p->code[i];
    if (k->op->state_new && !k->chain && k->q.kernel != cst_add_into) /* a copy is none of its node */
      CST_TRY(k->op->state_new(p->ctx, &k->q, p->rows, &w->state[i]));
  }
  return CST_OK;
}

static void make_calls(cst_workspace *w) {
  for (uint32_t i = 0; i < w->p->n_code; i++) {
    const cst_compiled *k = &w->p->code[i];
    w->call[i] = (cst_call){.q = &k->q, .p = &w->slot[k->first_slot], .add = k->add, .state = w->state[i],
                            .run = &w->run};
  }
}

cst_status cst_workspace_new(cst_program *p, cst_workspace **out) {
  *out = NULL;
  cst_workspace *w = cst_alloc(p->ctx, sizeof *w);
  if (!w) return CST_ENOMEM;
  w->p = cst_program_retain(p);
  w->run.ctx = p->ctx;
  w->slot = cst_alloc(p->ctx, (p->n_slots + 1) * sizeof *w->slot);
  w->bound = cst_alloc(p->ctx, (p->f->n_in + p->f->n_out + 1) * sizeof *w->bound);
  w->call = cst_alloc(p->ctx, (p->n_code + 1) * sizeof *w->call);
  w->state = cst_alloc(p->ctx, (p->n_code + 1) * sizeof *w->state);
  w->arena = cst_alloc(p->ctx, p->arena_bytes + 1);
  cst_status st = w->slot && w->bound && w->call && w->state && w->arena ? CST_OK : CST_ENOMEM;
  for (uint32_t s = 0; st == CST_OK && s < p->n_slots; s++) w->slot[s] = resolve(w, &p->home[s]);
  if (st == CST_OK) st = make_states(w);
  if (st == CST_OK) make_calls(w), *out = w;
  else cst_workspace_free(w);
  return st;
}

void cst_workspace_free(cst_workspace *w) {
  if (!w) return;
  cst_program *p = w->p;
  for (uint32_t i = 0; w->state && i < p->n_code; i++)
    if (w->state[i]) p->code[i].op->state_free(p->ctx, w->state[i]);
  cst_free(p->ctx, w->slot);
  cst_free(p->ctx, w->bound);
  cst_free(p->ctx, w->call);
  cst_free(p->ctx, w->state);
  cst_free(p->ctx, w->arena);
  cst_free(p->ctx, w);
  cst_program_release(p);
}

cst_run *cst_workspace_run(cst_workspace *w) { return &w->run; }

size_t cst_workspace_bytes(const cst_workspace *w) {
  return w->p->arena_bytes + w->p->n_slots * sizeof(void *);
}

void cst_workspace_move(cst_workspace *w, uint32_t e, const void *to) {
  const cst_program *p = w->p;
  w->bound[e] = to;
  for (uint32_t i = p->patch_start[e]; i < p->patch_start[e + 1]; i++) {
    uint32_t s = p->patch[i];
    w->slot[s] = to ? (void *)(uintptr_t)to : resolve(w, &p->home[s]);
  }
}

/* Whether the instruction's output is one that nobody wants. */
static inline bool idle(const cst_call *c) {
  return c->q->n_out == 1 && !c->p[c->q->n_in] && !c->state;
}

static cst_status run_code(cst_workspace *w, size_t rows) {
  for (cst_call *c = w->call, *end = c + w->p->n_code; c < end; c++) {
    if (idle(c)) continue;
    c->rows = rows;
    CST_TRY(c->q->kernel(c));
  }
  return CST_OK;
}

static cst_status run_profiled(cst_workspace *w, size_t rows) {
  for (uint32_t i = 0; i < w->p->n_code; i++) {
    cst_call *c = &w->call[i];
    if (idle(c)) continue;
    c->rows = rows;
    CST_TRY(cst_profile_kernel(w->p->ctx->profile, w->p, &w->p->code[i], c));
  }
  return CST_OK;
}

static cst_status check_rows(const cst_workspace *w, size_t rows) {
  const cst_program *p = w->p;
  if (rows <= p->rows && p->separable) return CST_OK;
  if (rows > p->rows)
    return cst_fail(p->ctx, CST_ESHAPE, "%zu rows in a program for at most %zu", rows, p->rows);
  cst_value_info q = cst_graph_info(p->f->graph, p->mixes);
  return cst_fail(p->ctx, CST_ESHAPE, "%zu of %zu rows: '%s' (%s:%d) mixes rows, so the batch must be full",
                  rows, p->rows, q.op, q.source ? q.source : "?", q.line);
}

cst_status cst_workspace_execute(cst_workspace *w, size_t rows) {
  const cst_program *p = w->p;
  if (rows != p->rows || p->rows != (size_t)p->f->graph->rows) CST_TRY(check_rows(w, rows));
  return cst_workspace_execute_first(w, rows);
}

cst_status cst_workspace_execute_first(cst_workspace *w, size_t rows) {
  const cst_program *p = w->p;
  cst_float_mode outer = cst_float_mode_enter();
  cst_status st = p->ctx->profile ? run_profiled(w, rows) : run_code(w, rows);
  cst_float_mode_leave(outer);
  return st;
}

cst_status cst_program_run(cst_workspace *w, size_t rows, const void *const *in, void *const *out) {
  uint32_t n_in = w->p->f->n_in, n_out = w->p->f->n_out;
  for (uint32_t i = 0; i < n_in; i++) cst_workspace_put(w, i, in[i]);
  for (uint32_t i = 0; i < n_out; i++) cst_workspace_put(w, n_in + i, out[i]);
  return cst_workspace_execute(w, rows);
}

/* ---- where a value stopped being finite --------------------------------------------------------------- */

static bool finite(const cst_operand *o, size_t rows, const void *data) {
  if (!data || (o->type.dtype != CST_F32 && o->type.dtype != CST_F64)) return true;
  size_t n = o->type.space == CST_ROW ? rows * o->inner : o->inner;
  return cst_kernels_get()->all_finite[o->type.dtype == CST_F64](n, data);
}

static void describe(const cst_graph *g, cst_value v, char *text, size_t size) {
  cst_value_info q = cst_graph_info(g, v);
  if (q.source && q.line) snprintf(text, size, "'%s' at %s:%d", q.op, q.source, q.line);
  else snprintf(text, size, "'%s'", q.op);
}

static bool blame_inputs(const cst_workspace *w, size_t rows, char *text, size_t size) {
  const cst_function *f = w->p->f;
  for (uint32_t i = 0; i < f->n_in; i++) {
    const cst_type *t = type_at(f->graph, f->inputs[i]);
    cst_operand o = cst_operand_of(t);
    if (finite(&o, rows, w->bound[i])) continue;
    const char *name = node_at(f->graph, f->inputs[i])->name;
    char shape[64];
    if (name) snprintf(text, size, "the input '%s'", name);
    else snprintf(text, size, "a captured value (a parameter or a constant) of shape %s", cst_type_format(t, shape, sizeof shape));
    return true;
  }
  return false;
}

bool cst_program_find_nonfinite(cst_workspace *w, size_t rows, char *text, size_t size) {
  if (blame_inputs(w, rows, text, size)) return true;
  for (uint32_t i = 0; i < w->p->n_code; i++) {
    const cst_compiled *k = &w->p->code[i];
    cst_call *c = &w->call[i];
    void *const *p = c->p;
    c->rows = rows;
    if (!idle(c) && k->q.kernel(c) != CST_OK) return false;
    bool fine = true;
    for (uint32_t o = 0; o < k->q.n_out; o++)
      fine &= finite(&k->q.operand[k->q.n_in + o], rows, p[k->q.n_in + o]);
    if (fine) continue;
    cst_value who = k->chain ? cst_chain_blame(c) : k->node;
    describe(w->p->f->graph, who ? who : k->node, text, size);
    return true;
  }
  return false;
}
