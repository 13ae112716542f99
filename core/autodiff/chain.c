/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "autodiff/chain.h"

#include <string.h>

/* Axes lo to hi of an operand vary, but for some neighbouring ones between, along which it is repeated. */
static bool reads_lines(const cst_type *out, const int64_t *stride, int lo, int hi, cst_chain_reading *how) {
  size_t run = 1, gap = 1;
  int i = hi;
  while (i > lo && (stride[i] || out->dim[i] == 1)) run *= (size_t)out->dim[i--];
  while (i > lo && (!stride[i] || out->dim[i] == 1)) gap *= (size_t)out->dim[i--];
  for (int k = 0; k <= i; k++)
    if (!stride[k] && (out->dim[k] != 1 || (k == 0 && out->space == CST_ROW))) return false;
  for (int k = hi + 1; k < out->rank; k++)
    if (out->dim[k] != 1) return false;
  *how = (cst_chain_reading){.div = 1, .run = run, .gap = gap};
  return true;
}

bool cst_chain_reads(const cst_type *out, const cst_type *t, cst_chain_reading *how) {
  int64_t stride[CST_MAX_RANK];
  if (!cst_broadcast_strides(out, t, stride)) return false;
  int lo = -1, hi = -1;
  for (int i = 0; i < out->rank; i++)
    if (stride[i]) lo = lo < 0 ? i : lo, hi = i;
  *how = (cst_chain_reading){.div = 1, .mod = 1, .gap = 1};
  if (lo < 0) return true;
  for (int i = lo; i <= hi; i++) {
    if (!stride[i] && out->dim[i] != 1) return reads_lines(out, stride, lo, hi, how);
    how->mod *= (size_t)out->dim[i];
  }
  for (int i = hi + 1; i < out->rank; i++) how->div *= (size_t)out->dim[i];
  if (lo == 0) how->mod = 0;
  for (int i = 0; i < lo; i++)
    if (out->dim[i] != 1 || (i == 0 && out->space == CST_ROW)) return true;
  how->mod = 0; /* nothing varies before the operand's first axis */
  return true;
}

static int operand_of(cst_chain *c, cst_value v, const cst_chain_reading *how) {
  for (int i = 0; i < c->n_operands; i++)
    if (c->operand[i].value == v && memcmp(&c->operand[i].how, how, sizeof *how) == 0) return i;
  if (c->n_operands == CHAIN_OPERANDS) return -1;
  c->operand[c->n_operands] = (cst_chain_operand){v, *how};
  return c->n_operands++;
}

static cst_map_fn *map_of(const cst_op *op, uint8_t dtype) {
  int p = dtype == CST_F64;
  return op->map ? cst_kernels_get()->map[p][op->map - 1] : op->map_fn[p];
}

/* The last step of the chain that reads what step i makes. */
static size_t last_reader(const cst_graph *g, const cst_value *nodes, size_t n, size_t i) {
  size_t last = i;
  for (size_t j = i + 1; j < n; j++)
    for (uint32_t k = 0; k < node_at(g, nodes[j])->n_in; k++)
      if (node_at(g, nodes[j])->in[k] == nodes[i]) last = j;
  return last;
}

static int free_register(const size_t *busy_until, size_t step) {
  int r = 0;
  while (busy_until[r] >= step + 1) r++; /* one past its last reader, see below */
  return r;
}

static int member(const cst_value *nodes, size_t n, cst_value v) {
  for (size_t i = 0; i < n; i++)
    if (nodes[i] == v) return (int)i;
  return -1;
}

static bool in_place(const cst_chain_operand *o) { return o->how.div == 1 && o->how.mod == 0 && o->how.gap == 1; }

static bool is_plain(const cst_chain *c) {
  if (c->n_steps != 1 || c->n_operands != c->step[0].n_in) return false;
  for (int i = 0; i < c->n_operands; i++)
    if (c->step[0].in[i] != i || !in_place(&c->operand[i])) return false;
  return true;
}

bool cst_chain_build(const cst_graph *g, const cst_value *nodes, size_t n, const cst_value *rep,
                     cst_chain *c) {
  const cst_type *type = type_at(g, nodes[n - 1]);
  size_t busy_until[CHAIN_STEPS + 1] = {0};
  memset(c, 0, sizeof *c);
  c->dtype = type->dtype;
  c->n_steps = (uint16_t)n;
  for (size_t i = 0; i < n; i++) {
    const cst_node *q = node_at(g, nodes[i]);
    cst_chain_step *s = &c->step[i];
    *s = (cst_chain_step){.map = map_of(q->op, type->dtype), .node = nodes[i], .n_in = (uint8_t)q->n_in, .out = -1};
    for (uint32_t k = 0; k < q->n_in; k++) {
      int m = member(nodes, i, q->in[k]);
      cst_chain_reading how;
      if (m >= 0) {
        s->in[k] = (int16_t)~c->step[m].out;
        continue;
      }
      if (!cst_chain_reads(type, type_at(g, q->in[k]), &how)) return false;
      int at = operand_of(c, rep[q->in[k]], &how);
      if (at < 0) return false;
      s->in[k] = (int16_t)at;
    }
    if (i + 1 == n) break;
    int r = free_register(busy_until, i);
    busy_until[r] = last_reader(g, nodes, n, i) + 1;
    s->out = (int16_t)r;
    if (r + 1 > c->n_registers) c->n_registers = (uint16_t)(r + 1);
  }
  c->plain = is_plain(c);
  return true;
}

typedef union block {
  float f[CHAIN_BLOCK];
  double d[CHAIN_BLOCK];
} block;

static void fill(uint8_t dtype, const void *from, size_t at, block *to, size_t first, size_t n) {
  if (dtype == CST_F32)
    for (size_t i = 0; i < n; i++) to->f[first + i] = ((const float *)from)[at];
  else
    for (size_t i = 0; i < n; i++) to->d[first + i] = ((const double *)from)[at];
}

static void copy(uint8_t dtype, const void *from, size_t at, block *to, size_t first, size_t n) {
  size_t size = cst_dtype_size((cst_dtype)dtype);
  memcpy((char *)to + first * size, (const char *)from + at * size, n * size);
}

/* Elements e .. e+n of an operand whose lines repeat. */
static void gather_lines(const cst_chain_reading *o, const void *base, uint8_t dtype, size_t e, size_t n, block *to) {
  size_t line = e / o->run, r = e % o->run;
  for (size_t i = 0, run; i < n; i += run, r = 0, line++) {
    run = o->run - r < n - i ? o->run - r : n - i;
    copy(dtype, base, line / o->gap * o->run + r, to, i, run);
  }
}

/* Elements e .. e+n of a vector that wraps: what is there is copied once more, twice as much each time. */
static void gather_wrapped(const cst_chain_reading *o, const void *base, uint8_t dtype, size_t e, size_t n, block *to) {
  size_t m = e % o->mod, first = o->mod - m, done = o->mod < n ? o->mod : n;
  copy(dtype, base, m, to, 0, first < done ? first : done);
  if (first < done) copy(dtype, base, 0, to, first, done - first);
  for (size_t more; done < n; done += more) {
    more = done < n - done ? done : n - done;
    copy(dtype, to, 0, to, done, more);
  }
}

/* The same of single elements that each stand `div` times. */
static void gather_repeated(const cst_chain_reading *o, const void *base, uint8_t dtype, size_t e, size_t n, block *to) {
  size_t m = o->mod ? e / o->div % o->mod : e / o->div, r = e % o->div;
  for (size_t i = 0, run; i < n; i += run, r = 0) {
    run = o->mod == 1 ? n : o->div - r;
    if (run > n - i) run = n - i;
    fill(dtype, base, m, to, i, run);
    if (++m == o->mod) m = 0;
  }
}

static void gather(const cst_chain_reading *o, const void *base, uint8_t dtype, size_t e, size_t n, block *to) {
  bool single = o->div > 1 || o->mod == 1;
  (o->gap > 1 ? gather_lines : single ? gather_repeated : gather_wrapped)(o, base, dtype, e, n, to);
}

/* Whether every block has the same elements: then they are gathered once. */
static bool same_in_every_block(const cst_chain_reading *o) {
  return o->mod == 1 || (o->gap == 1 && o->div == 1 && o->mod != 0 && CHAIN_BLOCK % o->mod == 0);
}

typedef struct frame {
  const cst_chain *c;
  const cst_call *call;
  block buffer[CHAIN_OPERANDS]; /* of operands that are not read in place */
  block reg[CHAIN_STEPS];
  block sum; /* of a chain that adds to its result: what is added */
  const void *at[CHAIN_OPERANDS];
} frame;

static void load_operands(frame *f, size_t e, size_t n) {
  size_t size = cst_dtype_size(f->c->dtype);
  for (int k = 0; k < f->c->n_operands; k++) {
    const cst_chain_operand *o = &f->c->operand[k];
    if (in_place(o)) {
      f->at[k] = (const char *)f->call->p[k] + e * size;
    } else {
      if (e == 0 || !same_in_every_block(&o->how)) gather(&o->how, f->call->p[k], f->c->dtype, e, n, &f->buffer[k]);
      f->at[k] = &f->buffer[k];
    }
  }
}

static void *run_step(frame *f, const cst_chain_step *s, void *result, size_t n) {
  const void *in[3];
  for (int k = 0; k < s->n_in; k++)
    in[k] = s->in[k] >= 0 ? f->at[s->in[k]] : (const void *)&f->reg[~s->in[k]];
  void *out = s->out < 0 ? result : &f->reg[s->out];
  s->map(in, out, n);
  return out;
}

static size_t elements(const cst_call *c) {
  const cst_operand *o = &c->q->operand[c->q->n_in];
  return o->type.space == CST_ROW ? c->rows * o->inner : o->inner;
}

cst_status cst_chain_run(const cst_call *call) {
  const cst_chain *c = call->q->plan;
  size_t n = elements(call), size = cst_dtype_size(c->dtype);
  if (c->plain && !call->add) { /* no blocks: the operands are in order, all of them */
    c->step[0].map((const void *const *)call->p, call->p[c->n_operands], n);
    return CST_OK;
  }
  frame f;
  f.c = c, f.call = call;
  for (size_t e = 0; e < n; e += CHAIN_BLOCK) {
    size_t m = n - e < CHAIN_BLOCK ? n - e : CHAIN_BLOCK;
    char *out = (char *)call->p[c->n_operands] + e * size;
    load_operands(&f, e, m);
    for (int i = 0; i < c->n_steps; i++) run_step(&f, &c->step[i], call->add ? (void *)&f.sum : out, m);
    if (call->add)
      cst_kernels_get()->map[c->dtype == CST_F64][CST_MAP_add]((const void *const[]){out, &f.sum}, out, m);
  }
  return CST_OK;
}

cst_value cst_chain_blame(const cst_call *call) {
  const cst_chain *c = call->q->plan;
  size_t n = elements(call), size = cst_dtype_size(c->dtype);
  const cst_kernels *kn = cst_kernels_get();
  frame f;
  f.c = c, f.call = call;
  for (size_t e = 0; e < n; e += CHAIN_BLOCK) {
    size_t m = n - e < CHAIN_BLOCK ? n - e : CHAIN_BLOCK;
    load_operands(&f, e, m);
    for (int i = 0; i < c->n_steps; i++) {
      void *out = run_step(&f, &c->step[i], (char *)call->p[c->n_operands] + e * size, m);
      if (!kn->all_finite[c->dtype == CST_F64](m, out)) return c->step[i].node;
    }
  }
  return CST_NONE;
}
