/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Ops without inputs: what a graph starts from. Their derivative is zero; `input` is bound by the
 * program and has no kernel of its own.
 */
#include <string.h>

#include "autodiff/graph_internal.h"
#include "tensor/kernels.h"

/* attributes: serial, dtype, space, rank, unused, dim.. */
static cst_status input_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                              cst_type *out, size_t *n_out) {
  (void)h, (void)in, (void)n, (void)n_out;
  *out = (cst_type){.dtype = (uint8_t)a->i[1], .space = (uint8_t)a->i[2], .rank = (uint8_t)a->i[3]};
  for (int i = 0; i < out->rank; i++) out->dim[i] = a->i[5 + i];
  return CST_OK;
}
static cst_status input_run(const cst_call *c) {
  (void)c;
  return CST_OK;
}

/* attributes: dtype; value */
static cst_status scalar_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                               cst_type *out, size_t *n_out) {
  (void)h, (void)in, (void)n, (void)n_out;
  *out = (cst_type){.dtype = (uint8_t)a->i[0]};
  return CST_OK;
}
static cst_status scalar_run(const cst_call *c) {
  double x = c->q->attrs->x[0];
  if (c->q->operand[0].type.dtype == CST_F32) *(float *)c->p[0] = (float)x;
  else *(double *)c->p[0] = x;
  return CST_OK;
}

/* object: the tensor */
static cst_status constant_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                                 cst_type *out, size_t *n_out) {
  (void)h, (void)in, (void)n, (void)n_out;
  *out = ((const cst_tensor *)a->object)->type;
  out->space = (uint8_t)a->i[0];
  return CST_OK;
}
static cst_status constant_run(const cst_call *c) {
  const cst_tensor *t = (const cst_tensor *)c->q->attrs->object;
  const cst_operand *o = &c->q->operand[0];
  size_t n = o->type.space == CST_ROW ? c->rows * o->inner : o->inner;
  memcpy(c->p[0], t->data, n * cst_dtype_size(o->type.dtype));
  return CST_OK;
}

/* attributes: n, dtype */
static cst_status iota_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                             cst_type *out, size_t *n_out) {
  (void)in, (void)n, (void)n_out;
  if (a->i[0] < 0) return h->fail(h, CST_ESHAPE, "a range of %lld numbers", (long long)a->i[0]);
  *out = (cst_type){.dtype = (uint8_t)a->i[1], .rank = 1, .dim = {a->i[0]}};
  return CST_OK;
}
static cst_status iota_run(const cst_call *c) {
  for (size_t i = 0; i < c->q->operand[0].inner; i++) {
    if (c->q->operand[0].type.dtype == CST_F32) ((float *)c->p[0])[i] = (float)i;
    else ((double *)c->p[0])[i] = (double)i;
  }
  return CST_OK;
}

/* attributes: normal, stream, dtype, space, rank, dim.. */
static cst_status random_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                               cst_type *out, size_t *n_out) {
  (void)h, (void)in, (void)n, (void)n_out;
  *out = (cst_type){.dtype = (uint8_t)a->i[2], .space = (uint8_t)a->i[3], .rank = (uint8_t)a->i[4]};
  for (int i = 0; i < out->rank; i++) out->dim[i] = a->i[5 + i];
  return CST_OK;
}
/* Draw j of row r is element j % 2 of block (step, r, j / 2): chunks and threads change nothing. */
static void draw_row(const cst_call *c, uint64_t row, size_t inner, size_t at) {
  const cst_attrs *a = c->q->attrs;
  uint64_t stream = (uint64_t)a->i[1] ^ c->run->step * 0xD1342543DE82EF95u;
  for (size_t j = 0; j < inner; j += 2) {
    double x[2];
    if (a->i[0]) cst_rng_normal2(c->run->seed, stream, j / 2, row, x);
    else cst_rng_uniform2(c->run->seed, stream, j / 2, row, x);
    for (size_t k = j; k < inner && k < j + 2; k++) {
      if (a->i[2] == CST_F32) ((float *)c->p[0])[at + k] = (float)x[k - j];
      else ((double *)c->p[0])[at + k] = x[k - j];
    }
  }
}
static cst_status random_run(const cst_call *c) {
  const cst_operand *o = &c->q->operand[0];
  bool row = o->type.space == CST_ROW;
  for (size_t r = 0; r < (row ? c->rows : 1); r++)
    draw_row(c, row ? c->run->row0 + r : 0, o->inner, r * o->inner);
  return CST_OK;
}

#define ROW(nm) {.struct_size = sizeof(cst_op), .name = #nm, .flags = CST_OP_CONSTANT, \
                 .infer = nm##_infer, .kernel = {nm##_run, nm##_run}}
static const cst_op table[] = {ROW(input), ROW(scalar), ROW(constant), ROW(iota), ROW(random)};

cst_status cst_register_sources(const cst_host *h) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) CST_TRY(h->register_op(h, &table[i]));
  return CST_OK;
}

cst_value cst_graph_constant(cst_graph *g, cst_tensor *t) {
  cst_attrs a = {.n_ints = 1, .i = {CST_SHARED}, .object = &t->object};
  return cst_graph_node(g, "constant", NULL, 0, &a);
}

cst_value cst_graph_iota(cst_graph *g, int64_t n) {
  cst_attrs a = {.n_ints = 2, .i = {n, g->real}};
  return cst_graph_node(g, "iota", NULL, 0, &a);
}

cst_value cst_graph_random(cst_graph *g, bool normal, uint64_t stream, const cst_type *t) {
  cst_attrs a = {.n_ints = (uint8_t)(5 + t->rank), .i = {normal, (int64_t)stream, t->dtype, t->space, t->rank}};
  for (int i = 0; i < t->rank; i++) a.i[5 + i] = t->dim[i];
  return cst_graph_node(g, "random", NULL, 0, &a);
}
