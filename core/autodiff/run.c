/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Running programs: patch the pointers that moved, then one indirect call an instruction.
 */
#include <stdio.h>
#include <string.h>

#include "autodiff/program_internal.h"
#include "base/context_internal.h"

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
  for (uint32_t i = 0; i < p->n_code; i++)
    if (p->code[i].op->state_new && !p->code[i].chain)
      CST_TRY(p->code[i].op->state_new(p->ctx, &p->code[i].q, p->rows, &w->state[i]));
  return CST_OK;
}

cst_status cst_workspace_new(cst_program *p, cst_workspace **out) {
  *out = NULL;
  cst_workspace *w = cst_alloc(p->ctx, sizeof *w);
  if (!w) return CST_ENOMEM;
  w->p = cst_program_retain(p);
  w->run.ctx = p->ctx;
  w->slot = cst_alloc(p->ctx, (p->n_slots + 1) * sizeof *w->slot);
  w->last = cst_alloc(p->ctx, (p->f->n_in + p->f->n_out + 1) * sizeof *w->last);
  w->state = cst_alloc(p->ctx, (p->n_code + 1) * sizeof *w->state);
  w->arena = cst_alloc(p->ctx, p->arena_bytes + 1);
  cst_status st = w->slot && w->last && w->state && w->arena ? CST_OK : CST_ENOMEM;
  for (uint32_t s = 0; st == CST_OK && s < p->n_slots; s++) w->slot[s] = resolve(w, &p->home[s]);
  if (st == CST_OK) st = make_states(w);
  if (st == CST_OK) *out = w;
  else cst_workspace_free(w);
  return st;
}

void cst_workspace_free(cst_workspace *w) {
  if (!w) return;
  cst_program *p = w->p;
  for (uint32_t i = 0; w->state && i < p->n_code; i++)
    if (w->state[i]) p->code[i].op->state_free(p->ctx, w->state[i]);
  cst_free(p->ctx, w->slot);
  cst_free(p->ctx, w->last);
  cst_free(p->ctx, w->state);
  cst_free(p->ctx, w->arena);
  cst_free(p->ctx, w);
  cst_program_release(p);
}

cst_run *cst_workspace_run(cst_workspace *w) { return &w->run; }

size_t cst_workspace_bytes(const cst_workspace *w) {
  return w->p->arena_bytes + w->p->n_slots * sizeof(void *);
}

/* External e moved: inputs first, then outputs. */
static void patch(cst_workspace *w, uint32_t e, void *to) {
  const cst_program *p = w->p;
  w->last[e] = to;
  for (uint32_t i = p->patch_start[e]; i < p->patch_start[e + 1]; i++) {
    uint32_t s = p->patch[i];
    w->slot[s] = to ? to : resolve(w, &p->home[s]);
  }
}

static void bind(cst_workspace *w, const void *const *in, void *const *out) {
  uint32_t n_in = w->p->f->n_in, n_out = w->p->f->n_out;
  for (uint32_t i = 0; i < n_in; i++)
    if (w->last[i] != in[i]) patch(w, i, (void *)(uintptr_t)in[i]);
  for (uint32_t i = 0; i < n_out; i++)
    if (w->last[n_in + i] != out[i]) patch(w, n_in + i, out[i]);
}

/* Instruction i; `call` has rows and run. */
static inline cst_status execute(cst_workspace *w, uint32_t i, cst_call *call) {
  cst_compiled *k = &w->p->code[i];
  void *const *p = &w->slot[k->first_slot];
  if (k->q.n_out == 1 && !p[k->q.n_in] && !w->state[i]) return CST_OK; /* an output nobody wants */
  call->q = &k->q, call->p = p, call->add = k->add, call->state = w->state[i];
  cst_profile *profile = w->p->ctx->profile;
  return profile ? cst_profile_kernel(profile, w->p, k, call) : k->q.kernel(call);
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

cst_status cst_program_run(cst_workspace *w, size_t rows, const void *const *in, void *const *out) {
  if (rows != w->p->rows || w->p->rows != (size_t)w->p->f->graph->rows) CST_TRY(check_rows(w, rows));
  bind(w, in, out);
  cst_call call = {.rows = rows, .run = &w->run};
  for (uint32_t i = 0, n = w->p->n_code; i < n; i++) CST_TRY(execute(w, i, &call));
  return CST_OK;
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

static bool blame_inputs(const cst_workspace *w, size_t rows, const void *const *in, char *text, size_t size) {
  const cst_function *f = w->p->f;
  for (uint32_t i = 0; i < f->n_in; i++) {
    const cst_type *t = type_at(f->graph, f->inputs[i]);
    cst_operand o = cst_operand_of(t);
    if (finite(&o, rows, in[i])) continue;
    const char *name = node_at(f->graph, f->inputs[i])->name;
    char shape[64];
    if (name) snprintf(text, size, "the input '%s'", name);
    else snprintf(text, size, "a captured value (a parameter or a constant) of shape %s", cst_type_format(t, shape, sizeof shape));
    return true;
  }
  return false;
}

bool cst_program_find_nonfinite(cst_workspace *w, size_t rows, const void *const *in, char *text, size_t size) {
  if (blame_inputs(w, rows, in, text, size)) return true;
  for (uint32_t i = 0; i < w->p->n_code; i++) {
    const cst_compiled *k = &w->p->code[i];
    void *const *p = &w->slot[k->first_slot];
    if (execute(w, i, &(cst_call){.rows = rows, .run = &w->run}) != CST_OK) return false;
    bool fine = true;
    for (uint32_t o = 0; o < k->q.n_out; o++)
      fine &= finite(&k->q.operand[k->q.n_in + o], rows, p[k->q.n_in + o]);
    if (fine) continue;
    cst_call call = {.q = &k->q, .p = p, .rows = rows};
    cst_value who = k->chain ? cst_chain_blame(&call) : k->node;
    describe(w->p->f->graph, who ? who : k->node, text, size);
    return true;
  }
  return false;
}
