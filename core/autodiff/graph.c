/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Making nodes: look the op up, unify element types, simplify, infer, merge with an equal node.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "autodiff/chain.h"
#include "autodiff/graph_internal.h"
#include "costate/registry.h"

enum { SLAB_BYTES = 16384, FIRST_TABLE = 256, MAX_OUT = 256 };

struct cst_slab {
  cst_slab *next;
  size_t used, size;
  unsigned char data[];
};

static void *arena(cst_graph_impl *m, size_t bytes) {
  bytes = (bytes + 15) & ~(size_t)15;
  if (!m->slab || m->slab->used + bytes > m->slab->size) {
    size_t size = bytes > SLAB_BYTES ? bytes : SLAB_BYTES;
    cst_slab *s = cst_alloc(m->ctx, sizeof *s + size);
    if (!s) return NULL;
    s->size = size;
    s->next = m->slab;
    m->slab = s;
  }
  void *p = m->slab->data + m->slab->used;
  m->slab->used += bytes;
  return p;
}

static const void *arena_copy(cst_graph_impl *m, const void *data, size_t bytes) {
  void *p = arena(m, bytes ? bytes : 1);
  if (p && bytes) memcpy(p, data, bytes);
  return p;
}

cst_status cst_graph_new(cst_context *ctx, cst_dtype real, int64_t rows, cst_graph **out) {
  *out = NULL;
  if (real != CST_F32 && real != CST_F64)
    return cst_fail(ctx, CST_EDTYPE, "a graph computes in f32 or f64");
  cst_graph_impl *m = cst_alloc(ctx, sizeof *m);
  if (!m) return CST_ENOMEM;
  m->head = (cst_graph){.host = cst_host_of(ctx), .real = (uint8_t)real, .rows = rows};
  m->ctx = ctx;
  m->refs = 1;
  m->table_size = FIRST_TABLE;
  m->capacity = FIRST_TABLE;
  m->table = cst_alloc(ctx, FIRST_TABLE * sizeof *m->table);
  m->node_of = cst_alloc(ctx, FIRST_TABLE * sizeof *m->node_of);
  if (!m->table || !m->node_of) {
    cst_graph_release(&m->head);
    return CST_ENOMEM;
  }
  *out = &m->head;
  return CST_OK;
}

cst_graph *cst_graph_retain(cst_graph *g) {
  if (g) impl(g)->refs++;
  return g;
}

void cst_graph_release(cst_graph *g) {
  if (!g || --impl(g)->refs) return;
  cst_graph_impl *m = impl(g);
  for (uint32_t i = 0; i < m->n_objects; i++) cst_object_release(m->objects[i]);
  cst_free(m->ctx, m->objects);
  for (struct cst_text *t = m->texts; t;) {
    struct cst_text *next = t->next;
    cst_free(m->ctx, t);
    t = next;
  }
  for (cst_slab *s = m->slab; s;) {
    cst_slab *next = s->next;
    cst_free(m->ctx, s);
    s = next;
  }
  cst_free(m->ctx, m->table);
  cst_free(m->ctx, m->node_of);
  cst_free(m->ctx, m);
}

cst_context *cst_graph_context(const cst_graph *g) { return impl(g)->ctx; }
uint32_t cst_graph_size(const cst_graph *g) { return impl(g)->n_values; }

const cst_type *cst_graph_type(const cst_graph *g, cst_value v) {
  static const cst_type none = {.dtype = CST_F64};
  return v && v <= impl(g)->n_values ? type_at(g, v) : &none;
}

/* The first error stays: it is the cause. */
cst_value cst_graph_fail(cst_graph *g, cst_status st, const char *format, ...) {
  if (g->status != CST_OK) return CST_NONE;
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  g->status = cst_fail(impl(g)->ctx, st, "%s", text);
  return CST_NONE;
}

static const char *intern(cst_graph_impl *m, const char *text) {
  for (struct cst_text *t = m->texts; t; t = t->next)
    if (strcmp(t->text, text) == 0) return t->text;
  struct cst_text *t = cst_alloc(m->ctx, sizeof *t + strlen(text));
  if (!t) return NULL;
  strcpy(t->text, text);
  t->next = m->texts;
  m->texts = t;
  return t->text;
}

void cst_graph_line(cst_graph *g, const char *source, int line) {
  cst_graph_impl *m = impl(g);
  m->line = line;
  if (!source) m->source = NULL;
  else if (!m->source || strcmp(m->source, source) != 0) m->source = intern(m, source);
}

/* ---- merging ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t x) { return (h ^ x) * 0x9E3779B97F4A7C15u ^ (h >> 29); }

static uint64_t hash_node(const cst_op *op, const cst_value *in, size_t n, const cst_attrs *a) {
  uint64_t h = mix(7, (uintptr_t)op);
  for (size_t i = 0; i < n; i++) h = mix(h, in[i]);
  for (int i = 0; i < a->n_ints; i++) h = mix(h, (uint64_t)a->i[i]);
  for (int i = 0; i < a->n_reals; i++) {
    uint64_t bits;
    memcpy(&bits, &a->x[i], sizeof bits);
    h = mix(h, bits);
  }
  return mix(h, (uintptr_t)a->object);
}

static bool same_attrs(const cst_attrs *a, const cst_attrs *b) {
  return a->n_ints == b->n_ints && a->n_reals == b->n_reals && a->object == b->object &&
         memcmp(a->i, b->i, a->n_ints * sizeof *a->i) == 0 &&
         memcmp(a->x, b->x, a->n_reals * sizeof *a->x) == 0;
}

/* The slot of the table that holds an equal node or is free for it. */
static cst_node **find_slot(cst_graph_impl *m, uint64_t h, const cst_op *op,
                                  const cst_value *in, size_t n, const cst_attrs *a) {
  for (uint64_t i = h;; i++) {
    cst_node **s = &m->table[i & (m->table_size - 1)];
    if (!*s) return s;
    if ((*s)->hash == h && (*s)->op == op && (*s)->n_in == n && same_attrs((*s)->attrs, a) &&
        (n == 0 || memcmp((*s)->in, in, n * sizeof *in) == 0))
      return s;
  }
}

static bool grow_table(cst_graph_impl *m) {
  uint32_t size = m->table_size * 2;
  cst_node **table = cst_alloc(m->ctx, size * sizeof *table);
  if (!table) return false;
  for (uint32_t i = 0; i < m->table_size; i++) {
    if (!m->table[i]) continue;
    uint64_t k = m->table[i]->hash;
    while (table[k & (size - 1)]) k++;
    table[k & (size - 1)] = m->table[i];
  }
  cst_free(m->ctx, m->table);
  m->table = table;
  m->table_size = size;
  return true;
}

static bool grow_values(cst_graph_impl *m, uint32_t n_out) {
  if (m->n_values + n_out < m->capacity) return true;
  uint32_t capacity = m->capacity * 2 + n_out;
  void *p = cst_realloc(m->ctx, m->node_of, capacity * sizeof *m->node_of);
  if (!p) return false;
  m->node_of = p;
  m->capacity = capacity;
  return true;
}

static bool retain_object(cst_graph_impl *m, cst_object *o) {
  if (!o) return true;
  if (m->n_objects == m->objects_capacity) {
    uint32_t capacity = m->objects_capacity * 2 + 8;
    void *p = cst_realloc(m->ctx, m->objects, capacity * sizeof *m->objects);
    if (!p) return false;
    m->objects = p;
    m->objects_capacity = capacity;
  }
  m->objects[m->n_objects++] = cst_object_retain(o);
  return true;
}

static cst_node *append(cst_graph_impl *m, const cst_op *op, const cst_value *in, size_t n,
                              const cst_attrs *a, const cst_type *type, size_t n_out) {
  cst_node *q = arena(m, sizeof *q);
  const cst_attrs *attrs = arena_copy(m, a, sizeof *a);
  const cst_value *inputs = arena_copy(m, in, n * sizeof *in);
  const cst_type *types = arena_copy(m, type, n_out * sizeof *type);
  if (!q || !attrs || !inputs || !types || !grow_values(m, (uint32_t)n_out) ||
      !retain_object(m, a->object))
    return NULL;
  *q = (cst_node){.op = op, .attrs = attrs, .in = inputs, .type = types, .n_in = (uint32_t)n,
                        .n_out = (uint32_t)n_out, .first = m->n_values + 1, .source = m->source,
                        .line = m->line};
  for (size_t i = 0; i < n_out; i++) m->node_of[++m->n_values] = q;
  return q;
}

/* ---- making a node ------------------------------------------------------------------------------ */

const cst_op *cst_op_find(cst_graph *g, const char *name) {
  const cst_entry *e = cst_find(impl(g)->ctx, CST_KIND_OP, name);
  if (e) return e->type;
  if (g->status == CST_OK) g->status = cst_last_status(impl(g)->ctx);
  return NULL;
}

bool cst_op_is(const cst_graph *g, cst_value v, const char *name) {
  return v && strcmp(node_at(g, v)->op->name, name) == 0;
}

static cst_status infer(cst_graph *g, const cst_op *op, const cst_value *in, size_t n,
                        const cst_attrs *a, cst_type *out, size_t *n_out) {
  cst_type few[8], *type = few;
  if (n > 8 && !(type = cst_alloc(impl(g)->ctx, n * sizeof *type))) return CST_ENOMEM;
  for (size_t i = 0; i < n; i++) type[i] = *type_at(g, in[i]);
  cst_status st;
  *n_out = 1;
  if (op->infer) st = op->infer(g->host, a, type, n, out, n_out);
  else st = cst_broadcast_types(g->host, op, type, n, out);
  if (type != few) cst_free(impl(g)->ctx, type);
  return st;
}

/* No value may have more elements than memory: then no product of its dimensions overflows. And the
 * batch of rows is that of the graph. */
static cst_status check_sizes(cst_graph *g, const cst_type *type, size_t n) {
  size_t count;
  char text[64];
  for (size_t i = 0; i < n; i++) {
    CST_TRY(cst_shape_count(impl(g)->ctx, type[i].rank, type[i].dim, 8, &count));
    if (type[i].space == CST_ROW && (type[i].rank < 1 || type[i].dim[0] != g->rows))
      return cst_fail(impl(g)->ctx, CST_ESHAPE, "%s is not a batch of %lld rows",
                      cst_type_format(&type[i], text, sizeof text), (long long)g->rows);
  }
  return CST_OK;
}

static void blame_line(cst_graph *g, const cst_op *op) {
  cst_graph_impl *m = impl(g);
  if (m->source && m->line)
    cst_fail_note(m->ctx, g->status, "%s:%d: in '%s'", m->source, m->line, op->name);
  else
    cst_fail_note(m->ctx, g->status, "in '%s'", op->name);
}

cst_value cst_graph_emit(cst_graph *g, const cst_op *op, const cst_value *in, size_t n,
                         const cst_attrs *a) {
  cst_graph_impl *m = impl(g);
  if (m->n_nodes * 2 >= m->table_size && !grow_table(m)) return cst_graph_fail(g, CST_ENOMEM, "out of memory while building a graph");
  uint64_t h = hash_node(op, in, n, a);
  cst_node **slot = find_slot(m, h, op, in, n, a);
  if (*slot) return (*slot)->first;
  cst_type type[MAX_OUT];
  size_t n_out = 0;
  memset(type, 0, sizeof type[0] * 4);
  g->status = infer(g, op, in, n, a, type, &n_out);
  if (g->status == CST_OK) g->status = check_sizes(g, type, n_out);
  if (g->status != CST_OK) {
    blame_line(g, op);
    return CST_NONE;
  }
  cst_node *q = append(m, op, in, n, a, type, n_out);
  if (!q) return cst_graph_fail(g, CST_ENOMEM, "out of memory while building a graph");
  q->hash = h;
  *slot = q;
  m->n_nodes++;
  return q->first;
}

/* Element-wise operands of different types are cast to the graph's float type, integers always. */
static void unify(cst_graph *g, const cst_op *op, cst_value *in, size_t n) {
  if (!(op->flags & CST_OP_ELEMENTWISE)) {
    for (size_t i = 0; i < n; i++)
      if (type_at(g, in[i])->dtype == CST_I64) in[i] = cst_cast(g, in[i], g->real);
    return;
  }
  bool differ = false;
  for (size_t i = 0; i < n; i++) {
    uint8_t d = type_at(g, in[i])->dtype;
    differ |= d != type_at(g, in[0])->dtype || d == CST_I64;
  }
  for (size_t i = 0; differ && i < n; i++)
    if (type_at(g, in[i])->dtype != g->real) in[i] = cst_cast(g, in[i], g->real);
}

/* Operands that a chain cannot read by repeating and wrapping are broadcast by a node of their own. */
static void spread(cst_graph *g, const cst_op *op, cst_value *in, size_t n) {
  cst_type type[3] = {{0}}, out;
  cst_chain_reading how;
  for (size_t i = 0; i < n; i++) {
    if (!in[i]) return;
    type[i] = *type_at(g, in[i]);
  }
  if (cst_broadcast_types(g->host, op, type, n, &out) != CST_OK) return; /* infer says why */
  for (size_t i = 0; i < n; i++) {
    if (cst_chain_reads(&out, &type[i], &how)) continue;
    cst_attrs at = {.n_ints = (uint8_t)(2 + out.rank), .i = {out.rank, out.space}};
    for (int k = 0; k < out.rank; k++) at.i[2 + k] = out.dim[k];
    in[i] = cst_node1(g, "broadcast", in[i], &at);
  }
}

cst_value cst_graph_node(cst_graph *g, const char *name, const cst_value *in, size_t n, const cst_attrs *a) {
  if (g->status != CST_OK) return CST_NONE;
  const cst_op *op = cst_op_find(g, name);
  return op ? cst_graph_apply(g, op, in, n, a) : CST_NONE;
}

cst_value cst_graph_apply(cst_graph *g, const cst_op *op, const cst_value *given, size_t n, const cst_attrs *a) {
  static const cst_attrs none = {0};
  const char *name = op->name;
  if (g->status != CST_OK) return CST_NONE;
  if (n < op->n_in_min || n > op->n_in_max)
    return cst_graph_fail(g, CST_EINVAL, "'%s' takes %u to %u values, got %zu", name, op->n_in_min,
                          op->n_in_max, n);
  for (size_t i = 0; i < n; i++)
    if (!given[i] || given[i] > impl(g)->n_values)
      return cst_graph_fail(g, CST_EINVAL, "input %zu of '%s' is not a value of this graph", i + 1,
                            name);
  cst_value few[3];
  if (op->flags & (CST_OP_ELEMENTWISE | CST_OP_REAL)) {
    if (n > 3) return cst_graph_fail(g, CST_EUNSUPPORTED, "'%s' of more than 3 values", name);
    memcpy(few, given, n * sizeof *few);
    unify(g, op, few, n);
    if (op->flags & CST_OP_ELEMENTWISE) spread(g, op, few, n);
    if ((op->flags & CST_OP_COMMUTATIVE) && few[0] > few[1]) {
      cst_value t = few[0];
      few[0] = few[1], few[1] = t;
    }
    given = few;
    if (g->status != CST_OK) return CST_NONE;
  }
  cst_value v = cst_simplify(g, op, given, n, a ? a : &none);
  return v || g->status != CST_OK ? v : cst_graph_emit(g, op, given, n, a ? a : &none);
}

cst_value_info cst_graph_info(const cst_graph *g, cst_value v) {
  if (!v || v > impl(g)->n_values) return (cst_value_info){.op = "none"};
  const cst_node *q = node_at(g, v);
  return (cst_value_info){.op = q->op->name, .name = q->name, .source = q->source, .line = q->line,
                          .output = v - q->first, .in = q->in, .n_in = q->n_in, .attrs = q->attrs,
                          .type = q->type[v - q->first]};
}

cst_value cst_graph_input(cst_graph *g, const cst_type *type, const char *name) {
  cst_attrs a = {.n_ints = (uint8_t)(5 + type->rank)};
  a.i[0] = impl(g)->n_inputs++;
  a.i[1] = type->dtype, a.i[2] = type->space, a.i[3] = type->rank, a.i[4] = 0;
  for (int i = 0; i < type->rank; i++) a.i[5 + i] = type->dim[i];
  if (type->space == CST_ROW && (type->rank < 1 || type->dim[0] != g->rows))
    return cst_graph_fail(g, CST_ESHAPE, "a batch of %lld rows where the graph has %lld",
                          (long long)(type->rank ? type->dim[0] : 0), (long long)g->rows);
  cst_value v = cst_graph_node(g, "input", NULL, 0, &a);
  if (v && name) impl(g)->node_of[v]->name = intern(impl(g), name);
  return v;
}
