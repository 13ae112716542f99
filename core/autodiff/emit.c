/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Instructions: one a node, or one a chain of element-wise nodes.
 */
#include "autodiff/compile_internal.h"

static size_t chain_members(const compiler *c, cst_value root, cst_value *nodes) {
  size_t n = 0;
  for (cst_value v = 1; v <= root; v++)
    if (c->need[v] && is_elementwise(node_at(c->g, v)) && c->group[v] == root) nodes[n++] = v;
  return n;
}

static cst_compiled *new_instruction(compiler *c, cst_value node, uint32_t n_in, uint32_t n_out) {
  cst_compiled *k = &c->p->code[c->n_code++];
  k->node = node;
  k->first_slot = c->n_slots;
  k->q.n_in = n_in, k->q.n_out = n_out;
  k->q.host = cst_host_of(c->ctx);
  c->n_slots += n_in + n_out;
  return k;
}

static void set_operand(compiler *c, uint32_t slot, cst_value v, cst_value *slot_value) {
  c->p->operand[slot] = cst_operand_of(type_at(c->g, v));
  c->p->operand[slot].read = c->need[v];
  slot_value[slot] = v;
}

static cst_status no_kernel(const compiler *c, const cst_op *op, uint8_t dtype) {
  return cst_fail(c->ctx, CST_EUNSUPPORTED, "'%s' does not compute in %s", op->name, dtype == CST_F32 ? "f32" : "f64");
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
  for (size_t i = 0; i < n; i++)
    if (!chain->step[i].map) {
      cst_free(c->ctx, chain);
      return no_kernel(c, node_at(c->g, nodes[i])->op, type_at(c->g, root)->dtype);
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

static cst_status emit_node(compiler *c, const cst_node *q, cst_value *slot_value) {
  cst_compiled *k = new_instruction(c, q->first, q->n_in, q->n_out);
  uint8_t d = q->type[0].dtype == CST_F32 || q->type[0].dtype == CST_F64 ? q->type[0].dtype : c->g->real;
  if (!q->op->kernel[d == CST_F64]) return no_kernel(c, q->op, d);
  k->op = q->op;
  k->q.kernel = q->op->kernel[d == CST_F64];
  k->q.attrs = q->attrs;
  for (uint32_t i = 0; i < q->n_in; i++) set_operand(c, k->first_slot + i, q->in[i], slot_value);
  for (uint32_t i = 0; i < q->n_out; i++)
    set_operand(c, k->first_slot + q->n_in + i, q->first + i, slot_value);
  return CST_OK;
}

cst_status cst_emit_all(compiler *c, cst_value *slot_value) {
  for (cst_value v = 1; v <= c->top; v++) {
    const cst_node *q = node_at(c->g, v);
    if (q->first != v || !cst_node_runs(c, q) || is_source(q) || is_input(q)) continue;
    if (!c->p->mixes && cst_node_mixes(c->g, q)) c->p->mixes = v;
    if (!c->p->meets && cst_node_meets(c->g, q)) c->p->meets = v;
    if (is_alias(q)) continue;
    if (!is_elementwise(q)) CST_TRY(emit_node(c, q, slot_value));
    else if (c->group[v] == v) CST_TRY(emit_chain(c, v, slot_value));
  }
  return CST_OK;
}

/* A copy (or sum) into an output that its producer cannot write itself. */
cst_status cst_add_into(const cst_call *call) {
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

void cst_emit_copies(compiler *c, cst_value *slot_value) {
  for (size_t i = 0; i < c->n_copies; i++) {
    cst_compiled *k = new_instruction(c, c->copies[i].v, 1, 1);
    k->q.kernel = cst_add_into;
    k->op = node_at(c->g, c->copies[i].v)->op;
    k->q.attrs = node_at(c->g, c->copies[i].v)->attrs;
    k->add = accumulates(c, c->copies[i].output);
    set_operand(c, k->first_slot, c->copies[i].v, slot_value);
    set_operand(c, k->first_slot + 1, c->copies[i].v, slot_value);
    c->p->home[k->first_slot + 1] = (cst_home){HOME_OUTPUT, c->copies[i].output, 0};
  }
}
