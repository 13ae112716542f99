/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Functions and programs as text: what `cs.explain` prints.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "autodiff/program_internal.h"

typedef struct writer {
  char *text;
  size_t size, used;
} writer;

__attribute__((format(printf, 2, 3))) static void put(writer *w, const char *format, ...) {
  va_list args;
  va_start(args, format);
  size_t room = w->used < w->size ? w->size - w->used : 0;
  int n = vsnprintf(room ? w->text + w->used : NULL, room, format, args);
  va_end(args);
  if (n > 0) w->used += (size_t)n;
}

static const char *space_name(uint8_t s) {
  return s == CST_ROW ? "row" : s == CST_PARTIAL ? "partial" : "shared";
}

static void put_type(writer *w, const cst_type *t) {
  static const char *const dtype[] = {"f32", "f64", "i64", "record"};
  char shape[64];
  put(w, "%s %s %s", dtype[t->dtype], cst_type_format(t, shape, sizeof shape), space_name(t->space));
}

size_t cst_function_format(const cst_function *f, char *text, size_t size) {
  writer w = {text, size, 0};
  if (size) text[0] = 0;
  for (cst_value v = 1; v <= cst_graph_size(f->graph); v++) {
    const cst_node *q = node_at(f->graph, v);
    if (q->first != v) continue;
    put(&w, "%%%u = %s", v, q->op->name);
    if (q->name) put(&w, " '%s'", q->name);
    if (strcmp(q->op->name, "scalar") == 0) put(&w, " %g", q->attrs->x[0]);
    for (uint32_t i = 0; i < q->n_in; i++) put(&w, "%s%%%u", i ? ", " : " ", q->in[i]);
    put(&w, "  : ");
    for (uint32_t i = 0; i < q->n_out; i++) {
      if (i) put(&w, ", ");
      put_type(&w, &q->type[i]);
    }
    if (q->source && q->line) put(&w, "  (%s:%d)", q->source, q->line);
    put(&w, "\n");
  }
  put(&w, "return");
  for (uint32_t i = 0; i < f->n_out; i++) put(&w, "%s%%%u", i ? ", " : " ", f->outputs[i]);
  put(&w, "\n");
  return w.used;
}

static void put_chain(writer *w, const cst_program *p, const cst_chain *c) {
  put(w, "chain(");
  for (int i = 0; i < c->n_steps; i++)
    put(w, "%s%s", i ? " " : "", node_at(p->f->graph, c->step[i].node)->op->name);
  put(w, ")");
}

static void put_instruction(writer *w, const cst_program *p, const cst_compiled *k) {
  if (k->chain) put_chain(w, p, k->chain);
  else put(w, "%s", k->op->name);
  put(w, " -> ");
  put_type(w, &k->q.operand[k->q.n_in].type);
  if (k->add) put(w, ", accumulates");
  const cst_node *q = node_at(p->f->graph, k->node);
  if (q->source && q->line) put(w, "  (%s:%d)", q->source, q->line);
}

void cst_instruction_format(const cst_program *p, const cst_compiled *k, char *text, size_t size) {
  writer w = {text, size, 0};
  put_instruction(&w, p, k);
}

size_t cst_program_format(const cst_program *p, char *text, size_t size) {
  writer w = {text, size, 0};
  if (size) text[0] = 0;
  put(&w, "%u instructions (%u nodes fused), buffers %zu bytes, constants %zu bytes, %s\n", p->n_code,
      p->n_fused, p->arena_bytes, p->constant_bytes,
      p->separable ? "rows are separate" : "rows are coupled");
  for (uint32_t i = 0; i < p->n_code; i++) {
    put(&w, "%3u  ", i + 1);
    put_instruction(&w, p, &p->code[i]);
    put(&w, "\n");
  }
  return w.used;
}
