/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From a function to a program: prune, split sums that accumulate, group element-wise nodes into
 * chains, give every slot a home, plan the arena. Each pass is a function over one `compiler`.
 */
#include <string.h>

#include "autodiff/program_internal.h"

typedef struct contribution {
  cst_value v;
  uint32_t output;
} contribution;

typedef struct compiler {
  cst_context *ctx;
  const cst_function *f;
  const cst_graph *g;
  const bool *accumulate;
  cst_program *p;
  cst_value top;
  bool *need;           /* by value: read by something that runs, or an output */
  uint32_t *uses;       /* by value: readers among needed nodes, and outputs */
  cst_value *rep;       /* by value: the value whose storage it shares */
  cst_value *group;     /* by value: the last node of its chain */
  uint32_t *group_size; /* by last node */
  cst_home *home;       /* by value (of rep) */
  uint32_t *born, *dies; /* by value (of rep): instruction numbers */
  uint32_t *add_output; /* by value: output + 1 that the producer adds into */
  contribution *copies; /* outputs to be copied or added at the end */
  size_t n_copies;
  uint32_t n_slots, n_code;
  contribution *part;   /* what outputs are made of */
  size_t n_part;
} compiler;

static bool is_source(const cst_node *q) {
  return q->n_in == 0 && strcmp(q->op->name, "input") != 0 && strcmp(q->op->name, "random") != 0;
}
static bool is_input(const cst_node *q) { return strcmp(q->op->name, "input") == 0; }
static bool is_alias(const cst_node *q) { return q->op->flags & CST_OP_ALIAS; }
static bool is_elementwise(const cst_node *q) { return q->op->flags & CST_OP_ELEMENTWISE; }
static bool accumulates(const compiler *c, uint32_t output) {
  return c->accumulate && c->accumulate[output];
}

/* ---- pass 1: what outputs are made of, and what is needed ------------------------------------------ */

static void count_uses(compiler *c) {
  memset(c->need, 0, (c->top + 1) * sizeof *c->need);
  memset(c->uses, 0, (c->top + 1) * sizeof *c->uses);
  for (size_t i = 0; i < c->n_part; i++) c->need[c->part[i].v] = true, c->uses[c->part[i].v]++;
  for (cst_value v = c->top; v >= 1; v--) {
    const cst_node *q = node_at(c->g, v);
    bool any = false;
    for (uint32_t i = 0; i < q->n_out; i++) any |= c->need[q->first + i];
    if (q->first != v || !any) continue;
    for (uint32_t i = 0; i < q->n_in; i++) c->need[q->in[i]] = true, c->uses[q->in[i]]++;
  }
}

/* An accumulated output that is a sum is two accumulated outputs. */
static bool split_one_sum(compiler *c) {
  for (size_t i = 0; i < c->n_part; i++) {
    cst_value v = c->part[i].v;
    const cst_node *q = node_at(c->g, v);
    if (!accumulates(c, c->part[i].output) || strcmp(q->op->name, "add") != 0 || c->uses[v] != 1)
      continue;
    if (!cst_type_equal(type_at(c->g, q->in[0]), type_at(c->g, v)) ||
        !cst_type_equal(type_at(c->g, q->in[1]), type_at(c->g, v)))
      continue;
    memmove(&c->part[i + 1], &c->part[i], (c->n_part - i) * sizeof *c->part);
    c->n_part++;
    c->part[i].v = q->in[0], c->part[i + 1].v = q->in[1];
    return true;
  }
  return false;
}

static void find_needed(compiler *c) {
  for (uint32_t i = 0; i < c->f->n_out; i++) c->part[c->n_part++] = (contribution){c->f->outputs[i], i};
  do count_uses(c);
  while (c->n_part < (size_t)c->top + c->f->n_out && split_one_sum(c));
}

static bool runs(const compiler *c, const cst_node *q) {
  for (uint32_t i = 0; i < q->n_out; i++)
    if (c->need[q->first + i]) return true;
  return false;
}

/* ---- pass 2: storage shared by reshapes ------------------------------------------------------------ */

static void find_aliases(compiler *c) {
  for (cst_value v = 1; v <= c->top; v++) {
    const cst_node *q = node_at(c->g, v);
    c->rep[v] = is_alias(q) ? c->rep[q->in[0]] : v;
  }
}

/* ---- pass 3: chains ------------------------------------------------------------------------------------ */

enum { MIXED = UINT32_MAX };

/* Groups a node into its readers' chain when all its readers are in one chain of its type. */
static void group_nodes(compiler *c) {
  for (cst_value v = 1; v <= c->top; v++) c->group[v] = CST_NONE;
  for (size_t i = 0; i < c->n_part; i++) c->group[c->part[i].v] = MIXED;
  for (cst_value v = c->top; v >= 1; v--) {
    const cst_node *q = node_at(c->g, v);
    if (q->first != v || !runs(c, q)) continue;
    cst_value root = MIXED;
    if (is_elementwise(q)) {
      root = c->group[v];
      bool joins = root != MIXED && c->group_size[root] < CHAIN_STEPS &&
                   cst_type_equal(type_at(c->g, root), type_at(c->g, v));
      if (!joins) root = v;
      c->group[v] = root;
      c->group_size[root]++;
    }
    for (uint32_t i = 0; i < q->n_in; i++) {
      cst_value *of = &c->group[q->in[i]];
      *of = *of == CST_NONE || *of == root ? root : MIXED;
    }
  }
}

static size_t chain_members(const compiler *c, cst_value root, cst_value *nodes) {
  size_t n = 0;
  for (cst_value v = 1; v <= root; v++)
    if (c->need[v] && is_elementwise(node_at(c->g, v)) && c->group[v] == root) nodes[n++] = v;
  return n;
}

/* ---- pass 4: instructions ------------------------------------------------------------------------------- */

static cst_compiled *new_instruction(compiler *c, cst_value node, uint32_t n_in, uint32_t n_out) {
  cst_compiled *k = &c->p->code[c->n_code++];
  k->node = node;
  k->first_slot = c->n_slots;
  k->q.n_in = n_in, k->q.n_out = n_out;
  c->n_slots += n_in + n_out;
  return k;
}

static void set_operand(compiler *c, uint32_t slot, cst_value v, cst_value *slot_value) {
  c->p->operand[slot] = cst_operand_of(type_at(c->g, v));
  c->p->operand[slot].read = c->need[v];
  slot_value[slot] = v;
}

static cst_status emit_chain(compiler *c, cst_value root, cst_value *slot_value) {
  cst_value nodes[CHAIN_STEPS];
  cst_chain *chain = cst_alloc(c->ctx, sizeof *chain);
  if (!chain) return CST_ENOMEM;
  size_t n = chain_members(c, root, nodes);
  if (!cst_chain_build(c->g, nodes, n, c->rep, chain)) {
    cst_free(c->ctx, chain);
    return cst_fail(c->ctx, CST_EINTERNAL, "an element-wise chain has too many operands");
  }
  cst_compiled *k = new_instruction(c, root, chain->n_operands, 1);
  k->chain = chain;
  k->op = node_at(c->g, root)->op;
  k->q.kernel = cst_chain_run;
  k->q.plan = chain;
  k->q.attrs = node_at(c->g, root)->attrs;
  for (uint32_t i = 0; i < chain->n_operands; i++)
    set_operand(c, k->first_slot + i, chain->operand[i].value, slot_value);
  set_operand(c, k->first_slot + k->q.n_in, root, slot_value);
  c->p->n_fused += (uint32_t)n - 1;
  return CST_OK;
}

static void emit_node(compiler *c, const cst_node *q, cst_value *slot_value) {
  cst_compiled *k = new_instruction(c, q->first, q->n_in, q->n_out);
  uint8_t d = q->type[0].dtype == CST_F32 || q->type[0].dtype == CST_F64 ? q->type[0].dtype : c->g->real;
  k->op = q->op;
  k->q.kernel = q->op->kernel[d == CST_F64];
  k->q.attrs = q->attrs;
  for (uint32_t i = 0; i < q->n_in; i++) set_operand(c, k->first_slot + i, q->in[i], slot_value);
  for (uint32_t i = 0; i < q->n_out; i++)
    set_operand(c, k->first_slot + q->n_in + i, q->first + i, slot_value);
}

static cst_status emit_all(compiler *c, cst_value *slot_value) {
  for (cst_value v = 1; v <= c->top; v++) {
    const cst_node *q = node_at(c->g, v);
    if (q->first != v || !runs(c, q) || is_source(q) || is_input(q) || is_alias(q)) continue;
    if (!c->p->mixes && cst_node_mixes(c->g, q)) c->p->mixes = v;
    if (!is_elementwise(q)) emit_node(c, q, slot_value);
    else if (c->group[v] == v) CST_TRY(emit_chain(c, v, slot_value));
  }
  return CST_OK;
}

/* A copy (or sum) into an output that its producer cannot write itself. */
static cst_status add_into_run(const cst_call *call) {
  const cst_operand *o = &call->q->operand[0];
  size_t n = o->type.space == CST_ROW ? call->rows * o->inner : o->inner;
  if (!call->add) {
    memcpy(call->p[1], call->p[0], n * cst_dtype_size(o->type.dtype));
  } else {
    const double one = 1;
    cst_kernels_get()->combine[o->type.dtype == CST_F64](n, call->p[1], 1, &one,
                                                         (const void *const *)call->p, call->p[1]);
  }
  return CST_OK;
}

static void emit_copies(compiler *c, cst_value *slot_value) {
  for (size_t i = 0; i < c->n_copies; i++) {
    cst_compiled *k = new_instruction(c, c->copies[i].v, 1, 1);
    k->q.kernel = add_into_run;
    k->op = node_at(c->g, c->copies[i].v)->op;
    k->q.attrs = node_at(c->g, c->copies[i].v)->attrs;
    k->add = accumulates(c, c->copies[i].output);
    set_operand(c, k->first_slot, c->copies[i].v, slot_value);
    set_operand(c, k->first_slot + 1, c->copies[i].v, slot_value);
    c->p->home[k->first_slot + 1] = (cst_home){HOME_OUTPUT, c->copies[i].output, 0};
  }
}

/* ---- pass 5: homes ------------------------------------------------------------------------------------------- */

/* Readers of a storage beyond the outputs made of it. */
static uint32_t readers(const compiler *c, cst_value rep) {
  uint32_t n = 0;
  for (cst_value v = rep; v <= c->top; v++)
    if (c->need[v] && c->rep[v] == rep) n += c->uses[v];
  for (cst_value v = rep + 1; v <= c->top; v++) /* an alias reads nothing */
    if (c->need[v] && c->rep[v] == rep && is_alias(node_at(c->g, v))) n--;
  for (size_t i = 0; i < c->n_part; i++) n -= c->rep[c->part[i].v] == rep;
  return n;
}

static bool can_add(const compiler *c, cst_value rep) {
  const cst_node *q = node_at(c->g, rep);
  return !is_elementwise(q) && (q->op->accumulates >> (rep - q->first) & 1);
}

static void bind_outputs(compiler *c) {
  for (size_t i = 0; i < c->n_part; i++) {
    cst_value r = c->rep[c->part[i].v];
    uint32_t o = c->part[i].output;
    const cst_node *q = node_at(c->g, r);
    bool made = !is_source(q) && !is_input(q) && c->home[r].kind == HOME_NONE;
    bool direct = made && (!accumulates(c, o) || (can_add(c, r) && readers(c, r) == 0));
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

static cst_status place_constants(compiler *c) {
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

static void place_inputs(compiler *c) {
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
      if (q->q.kernel == add_into_run || c->born[r] != k) continue;
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

static cst_status list_patches(compiler *c) {
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

/* ---- all passes --------------------------------------------------------------------------------------------- */

static void program_destroy(cst_object *o) {
  cst_program *p = (cst_program *)o;
  for (uint32_t i = 0; p->code && i < p->n_code; i++) cst_free(p->ctx, p->code[i].chain);
  cst_free(p->ctx, p->code);
  cst_free(p->ctx, p->operand);
  cst_free(p->ctx, p->home);
  cst_free(p->ctx, p->patch);
  cst_free(p->ctx, p->patch_start);
  cst_free(p->ctx, p->constants);
  cst_object_release(p->f);
  cst_free(p->ctx, p);
}

static size_t count_slots(const compiler *c) {
  size_t n = 2 * (c->n_part + 1);
  for (cst_value v = 1; v <= c->top; v++) {
    const cst_node *q = node_at(c->g, v);
    if (q->first == v) n += is_elementwise(q) ? q->n_in + 1 : q->n_in + q->n_out;
  }
  return n;
}

static cst_status passes(compiler *c, cst_value **slot_value) {
  cst_program *p = c->p;
  find_needed(c);
  find_aliases(c);
  group_nodes(c);
  size_t slots = count_slots(c);
  p->code = cst_alloc(c->ctx, ((size_t)c->top + c->n_part + 1) * sizeof *p->code);
  p->operand = cst_alloc(c->ctx, slots * sizeof *p->operand);
  p->home = cst_alloc(c->ctx, slots * sizeof *p->home);
  *slot_value = cst_alloc(c->ctx, slots * sizeof **slot_value);
  if (!p->code || !p->operand || !p->home || !*slot_value) return CST_ENOMEM;
  place_inputs(c);
  CST_TRY(place_constants(c));
  bind_outputs(c);
  cst_status st = emit_all(c, *slot_value);
  if (st == CST_OK) emit_copies(c, *slot_value);
  p->n_code = c->n_code;
  p->n_slots = c->n_slots;
  CST_TRY(st);
  find_lives(c, *slot_value);
  CST_TRY(place_in_arena(c));
  set_homes(c, *slot_value);
  p->separable = p->mixes == CST_NONE;
  return list_patches(c);
}

static cst_status new_compiler(compiler *c, cst_function *f) {
  c->f = f, c->g = f->graph, c->ctx = impl(f->graph)->ctx, c->top = impl(f->graph)->n_values;
  size_t n = (size_t)c->top + 1, m = n + f->n_out;
  c->need = cst_alloc(c->ctx, n * sizeof *c->need);
  c->uses = cst_alloc(c->ctx, n * 7 * sizeof *c->uses);
  c->home = cst_alloc(c->ctx, n * sizeof *c->home);
  c->part = cst_alloc(c->ctx, 2 * (m + 1) * sizeof *c->part);
  if (!c->need || !c->uses || !c->home || !c->part)
    return cst_fail(c->ctx, CST_ENOMEM, "out of memory while compiling");
  c->rep = c->uses + n, c->group = c->rep + n, c->group_size = c->group + n;
  c->born = c->group_size + n, c->dies = c->born + n, c->add_output = c->dies + n;
  c->copies = c->part + m + 1;
  return CST_OK;
}

cst_status cst_program_new(cst_function *f, const bool *accumulate, cst_program **out) {
  return cst_program_new_for(f, accumulate, (size_t)f->graph->rows, out);
}

cst_status cst_program_new_for(cst_function *f, const bool *accumulate, size_t rows, cst_program **out) {
  compiler c = {.accumulate = accumulate};
  cst_context *ctx = impl(f->graph)->ctx;
  *out = NULL;
  cst_program *p = cst_alloc(ctx, sizeof *p);
  if (!p) return CST_ENOMEM;
  *p = (cst_program){.object = {1, program_destroy}, .ctx = ctx, .f = cst_object_retain(f),
                     .rows = rows};
  c.p = p;
  cst_value *slot_value = NULL;
  cst_status st = new_compiler(&c, f);
  if (st == CST_OK) st = passes(&c, &slot_value);
  cst_free(ctx, slot_value);
  cst_free(ctx, c.need), cst_free(ctx, c.uses), cst_free(ctx, c.home), cst_free(ctx, c.part);
  if (st == CST_OK) *out = p;
  else cst_object_release(p);
  if (st == CST_ENOMEM) cst_fail(ctx, st, "out of memory while compiling a program");
  return st;
}

cst_program *cst_program_retain(cst_program *p) { return cst_object_retain(p); }
void cst_program_release(cst_program *p) { cst_object_release(p); }

bool cst_program_separable(const cst_program *p, cst_value *mixes) {
  if (mixes) *mixes = p->mixes;
  return p->separable;
}
