/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From a function to a program: prune, split sums that accumulate, group element-wise nodes into
 * chains, give every slot a home, plan the arena. Each pass is a function over one `compiler`.
 */
#include "autodiff/compile_internal.h"

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

/* Whether v is made by something that adds into memory, other than an element-wise chain, which a sum
 * is a part of anyway. */
static bool adds_itself(const compiler *c, cst_value v) {
  const cst_node *q = node_at(c->g, v);
  cst_value output = v - q->first;
  return output < 32 && (q->op->accumulates >> output & 1);
}

/* Whether such a term stands somewhere in the sum v. */
static bool holds_adder(const compiler *c, cst_value v) {
  const cst_node *q = node_at(c->g, v);
  if (adds_itself(c, v)) return true;
  return strcmp(q->op->name, "add") == 0 && c->uses[v] == 1 && (holds_adder(c, q->in[0]) || holds_adder(c, q->in[1]));
}

/* An accumulated output that is a sum with such terms is two accumulated outputs. */
static bool split_one_sum(compiler *c) {
  for (size_t i = 0; i < c->n_part; i++) {
    cst_value v = c->part[i].v;
    const cst_node *q = node_at(c->g, v);
    if (!accumulates(c, c->part[i].output) || strcmp(q->op->name, "add") != 0 || c->uses[v] != 1)
      continue;
    if (!holds_adder(c, v)) continue;
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

bool cst_node_runs(const compiler *c, const cst_node *q) {
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

static const cst_value MIXED = UINT32_MAX; /* read by nodes of several chains, or by others */

/* Groups a node into its readers' chain when all its readers are in one chain of its type. */
static void group_nodes(compiler *c) {
  for (cst_value v = 1; v <= c->top; v++) c->group[v] = CST_NONE;
  for (size_t i = 0; i < c->n_part; i++) c->group[c->part[i].v] = MIXED;
  for (cst_value v = c->top; v >= 1; v--) {
    const cst_node *q = node_at(c->g, v);
    if (q->first != v || !cst_node_runs(c, q)) continue;
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
  cst_place_inputs(c);
  CST_TRY(cst_place_constants(c));
  cst_bind_outputs(c);
  cst_status st = cst_emit_all(c, *slot_value);
  if (st == CST_OK) cst_emit_copies(c, *slot_value);
  p->n_code = c->n_code;
  p->n_slots = c->n_slots;
  CST_TRY(st);
  CST_TRY(cst_place_all(c, *slot_value));
  p->separable = p->mixes == CST_NONE;
  return cst_list_patches(c);
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
  for (uint32_t i = 0; i < f->n_out; i++)
    if (!f->outputs[i]) return cst_fail(ctx, CST_EINVAL, "output %u of a program is no value", i + 1);
  cst_program *p = cst_alloc(ctx, sizeof *p);
  if (!p) return CST_ENOMEM;
  *p = (cst_program){.object = {.refs = 1, .destroy = program_destroy}, .ctx = ctx, .f = cst_object_retain(f),
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

bool cst_program_apart(const cst_program *p, cst_value *meets) {
  if (meets) *meets = p->meets;
  return p->meets == CST_NONE;
}
