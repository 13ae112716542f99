/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Homes: inputs and outputs are the caller's memory, constants are computed once, everything else has
 * a place in the arena for as long as it lives.
 */
#include "autodiff/compile_internal.h"

/* Outputs made of a storage. */
static uint32_t parts(const compiler *c, cst_value rep) {
  uint32_t n = 0;
  for (size_t i = 0; i < c->n_part; i++) n += c->rep[c->part[i].v] == rep;
  return n;
}

/* Readers of a storage beyond the outputs made of it. */
static uint32_t readers(const compiler *c, cst_value rep) {
  uint32_t n = 0;
  for (cst_value v = rep; v <= c->top; v++)
    if (c->need[v] && c->rep[v] == rep) n += c->uses[v];
  for (cst_value v = rep + 1; v <= c->top; v++) /* an alias reads nothing */
    if (c->need[v] && c->rep[v] == rep && is_alias(node_at(c->g, v))) n--;
  return n - parts(c, rep);
}

/* Whether the producer may add into the one output that is made of it: whoever else read the storage
 * would find the sum there. */
static bool can_add(const compiler *c, cst_value rep) {
  const cst_node *q = node_at(c->g, rep);
  cst_value output = rep - q->first;
  bool can = is_elementwise(q) || (output < 32 && (q->op->accumulates >> output & 1));
  return can && parts(c, rep) == 1 && readers(c, rep) == 0;
}

void cst_bind_outputs(compiler *c) {
  for (size_t i = 0; i < c->n_part; i++) {
    cst_value r = c->rep[c->part[i].v];
    uint32_t o = c->part[i].output;
    const cst_node *q = node_at(c->g, r);
    bool made = !is_source(q) && !is_input(q) && c->home[r].kind == HOME_NONE;
    bool direct = made && (!accumulates(c, o) || can_add(c, r));
    if (direct) {
      c->home[r] = (cst_home){HOME_OUTPUT, o, 0};
      c->add_output[r] = accumulates(c, o);
    } else {
      c->copies[c->n_copies++] = c->part[i];
    }
  }
}

static cst_status evaluate_constant(compiler *c, cst_value v, void *data) {
  const cst_node *q = node_at(c->g, v);
  cst_operand o = cst_operand_of(&q->type[0]);
  cst_instruction i = {.attrs = q->attrs, .operand = &o, .n_out = 1};
  return q->op->kernel[1](&(cst_call){.q = &i, .p = &data, .rows = c->p->rows});
}

static size_t bytes_of(const compiler *c, cst_value v) {
  cst_operand o = cst_operand_of(type_at(c->g, v));
  size_t n = o.type.space == CST_ROW ? c->p->rows * o.inner : o.inner;
  return (n * cst_dtype_size(o.type.dtype) + 63) & ~(size_t)63;
}

cst_status cst_place_constants(compiler *c) {
  size_t size = 0;
  for (cst_value v = 1; v <= c->top; v++)
    if (c->need[v] && is_source(node_at(c->g, v))) {
      c->home[v] = (cst_home){HOME_CONSTANT, 0, size};
      size += bytes_of(c, v);
    }
  c->p->constant_bytes = size;
  c->p->constants = cst_alloc(c->ctx, size + 1);
  if (!c->p->constants) return CST_ENOMEM;
  for (cst_value v = 1; v <= c->top; v++)
    if (c->home[v].kind == HOME_CONSTANT)
      CST_TRY(evaluate_constant(c, v, c->p->constants + c->home[v].offset));
  return CST_OK;
}

void cst_place_inputs(compiler *c) {
  for (uint32_t i = 0; i < c->f->n_in; i++)
    c->home[c->f->inputs[i]] = (cst_home){HOME_INPUT, i, 0};
}

static void find_lives(compiler *c, const cst_value *slot_value) {
  for (uint32_t k = 0; k < c->n_code; k++) {
    const cst_compiled *q = &c->p->code[k];
    for (uint32_t i = 0; i < q->q.n_in + q->q.n_out; i++) {
      cst_value r = c->rep[slot_value[q->first_slot + i]];
      if (i >= q->q.n_in && !c->born[r]) c->born[r] = k + 1;
      c->dies[r] = k + 1;
    }
  }
}

/* Homes in the arena: everything made that is not an output, and fallbacks for outputs that others
 * read, should the caller not want them. */
static cst_status place_in_arena(compiler *c) {
  size_t n = 0, most = (size_t)c->top + 1;
  cst_life *life = cst_alloc(c->ctx, most * (sizeof *life + 2 * sizeof(uint32_t)));
  if (!life) return CST_ENOMEM;
  uint32_t *who = (uint32_t *)(life + most), *scratch = who + most;
  for (uint32_t k = 1; k <= c->n_code; k++)
    for (uint32_t i = 0; i < c->p->code[k - 1].q.n_out; i++) {
      const cst_compiled *q = &c->p->code[k - 1];
      cst_value r = c->rep[q->chain ? q->node : q->node + i];
      if (q->q.kernel == cst_add_into || c->born[r] != k) continue;
      bool output = c->home[r].kind == HOME_OUTPUT;
      if ((output && (c->add_output[r] || c->dies[r] == k)))
        continue;
      if (!c->need[r] && !q->chain && q->op->accumulates == 0 && c->dies[r] == k && q->q.n_out > 1 &&
          !c->uses[r])
        continue; /* one of several outputs that nobody reads */
      who[n] = r;
      life[n++] = (cst_life){bytes_of(c, r), k, c->dies[r], 0};
    }
  c->p->arena_bytes = cst_plan_arena(life, n, scratch);
  for (size_t i = 0; i < n; i++) {
    cst_home *h = &c->home[who[i]];
    if (h->kind == HOME_OUTPUT) h->offset = life[i].offset + 1;
    else *h = (cst_home){HOME_ARENA, 0, life[i].offset};
  }
  cst_free(c->ctx, life);
  return CST_OK;
}

static void set_homes(compiler *c, const cst_value *slot_value) {
  for (uint32_t k = 0; k < c->n_code; k++) {
    cst_compiled *q = &c->p->code[k];
    q->q.operand = &c->p->operand[q->first_slot];
    for (uint32_t i = 0; i < q->q.n_in + q->q.n_out; i++) {
      cst_home *h = &c->p->home[q->first_slot + i];
      if (h->kind == HOME_OUTPUT) continue; /* of a copy */
      *h = c->home[c->rep[slot_value[q->first_slot + i]]];
      if (i >= q->q.n_in && h->kind == HOME_OUTPUT && c->add_output[c->rep[slot_value[q->first_slot + i]]])
        q->add |= 1u << (i - q->q.n_in);
    }
  }
}

cst_status cst_list_patches(compiler *c) {
  cst_program *p = c->p;
  uint32_t n = c->f->n_in + c->f->n_out, at = 0;
  p->patch = cst_alloc(c->ctx, (c->n_slots + 1) * sizeof *p->patch);
  p->patch_start = cst_alloc(c->ctx, (n + 1) * sizeof *p->patch_start);
  if (!p->patch || !p->patch_start) return CST_ENOMEM;
  for (uint32_t e = 0; e < n; e++) {
    bool in = e < c->f->n_in;
    uint32_t index = in ? e : e - c->f->n_in;
    p->patch_start[e] = at;
    for (uint32_t s = 0; s < c->n_slots; s++)
      if (p->home[s].kind == (in ? HOME_INPUT : HOME_OUTPUT) && p->home[s].index == index)
        p->patch[at++] = s;
  }
  p->patch_start[n] = at;
  return CST_OK;
}

cst_status cst_place_all(compiler *c, const cst_value *slot_value) {
  find_lives(c, slot_value);
  CST_TRY(place_in_arena(c));
  set_homes(c, slot_value);
  return CST_OK;
}
