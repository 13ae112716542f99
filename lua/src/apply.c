/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The one path of every operation. While a trace is open the node goes into it; otherwise a graph of
 * this one node is compiled and run, so eager results are traced results by construction. Compiled
 * nodes are kept in a small table, by (op, operand types, attributes).
 */
#include <string.h>

#include "binding.h"

enum { KEEP_ELEMENTS = 1 << 20 }; /* programs on more elements are not kept */

typedef struct operand {
  cst_type type;
  const void *data;
  double number;
} operand;

typedef struct key {
  const char *op; /* a literal of this binding or an interned name: compared by content */
  uint32_t n;
  cst_attrs attrs;
  cst_type type[LCS_MAX_ARGS];
} key;

struct lcs_eager {
  uint64_t hash;
  cst_program *program;
  cst_workspace *workspace;
  cst_type result;
  int64_t rows;
  size_t key_bytes;
  unsigned char key[];
};

/* ---- operands ----------------------------------------------------------------------------------- */

bool lcs_is_operand(lua_State *L, int arg) {
  return lua_type(L, arg) == LUA_TNUMBER || lcs_test_tensor(L, arg) || lcs_test_value(L, arg);
}

cst_type lcs_type_at(lua_State *L, int arg) {
  cst_tensor *t = lcs_test_tensor(L, arg);
  if (t) return t->type;
  lcs_value *x = lcs_test_value(L, arg);
  if (x && x->trace->graph) return *cst_type_of(x->trace->graph, x->v);
  if (lua_type(L, arg) != LUA_TNUMBER) luaL_typeerror(L, arg, "number, tensor or value");
  return (cst_type){.dtype = CST_F64};
}

static operand operand_at(lua_State *L, int arg) {
  operand o = {.type = lcs_type_at(L, arg)};
  cst_tensor *t = lcs_test_tensor(L, arg);
  if (t) o.data = t->data;
  else if (lcs_test_value(L, arg)) lcs_error(L, "this value belongs to a trace that has ended");
  else o.number = lua_tonumber(L, arg);
  return o;
}

/* ---- compiled nodes ----------------------------------------------------------------------------- */

static size_t write_key(unsigned char *out, const char *op, const operand *o, size_t n,
                        const cst_attrs *a, uint8_t real) {
  unsigned char *p = out;
#define PUT(x) (memcpy(p, &(x), sizeof(x)), p += sizeof(x))
  PUT(real), PUT(n);
  for (size_t i = 0; i < n; i++) {
    PUT(o[i].type.dtype), PUT(o[i].type.space), PUT(o[i].type.rank);
    for (int k = 0; k < o[i].type.rank; k++) PUT(o[i].type.dim[k]);
  }
  if (a) {
    PUT(a->n_ints), PUT(a->n_reals);
    for (int i = 0; i < a->n_ints; i++) PUT(a->i[i]);
    for (int i = 0; i < a->n_reals; i++) PUT(a->x[i]);
  }
#undef PUT
  size_t length = strlen(op) + 1;
  memcpy(p, op, length);
  return (size_t)(p - out) + length;
}

static uint64_t hash_bytes(const unsigned char *p, size_t n) {
  uint64_t h = 1469598103934665603u;
  for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 1099511628211u;
  return h ^ h >> 32;
}

static void eager_free(cst_context *ctx, lcs_eager *e) {
  if (!e) return;
  cst_workspace_free(e->workspace);
  cst_program_release(e->program);
  cst_free(ctx, e);
}

static void evict(lcs_state *st, uint64_t hash) {
  lcs_eager **slot = &st->eager[hash % LCS_EAGER_SLOTS];
  eager_free(st->ctx, *slot);
  *slot = NULL;
  st->evictions++;
}

void lcs_eager_clear(lcs_state *st) {
  for (int i = 0; st->ctx && i < LCS_EAGER_SLOTS; i++) {
    eager_free(st->ctx, st->eager[i]);
    st->eager[i] = NULL;
  }
}

/* Times are f64 whatever the graph computes in. */
static bool is_time(const char *op, size_t i) { return i < 2 && strcmp(op, "control") == 0; }

/* Casts what takes part in arithmetic to the graph's float type; indices stay. */
static cst_value as_real(cst_graph *g, cst_value v, const char *op, size_t i) {
  const cst_type *t = cst_type_of(g, v);
  bool real = t->dtype == CST_F32 || t->dtype == CST_F64, time = is_time(op, i);
  cst_dtype want = time ? CST_F64 : (cst_dtype)g->real;
  if (!real || t->dtype == want || strcmp(op, "cast") == 0) return v;
  return t->rank || time || strcmp(op, "concat") == 0 ? cst_cast(g, v, want) : v;
}

static cst_status build(cst_graph *g, const char *op, const operand *o, size_t n,
                        const cst_attrs *attrs, cst_function **f) {
  cst_value in[LCS_MAX_ARGS], arg[LCS_MAX_ARGS];
  for (size_t i = 0; i < n; i++) {
    in[i] = cst_graph_input(g, &o[i].type, NULL);
    arg[i] = as_real(g, in[i], op, i);
  }
  cst_value out = g->host->node(g, op, arg, n, attrs);
  if (!out) return g->status;
  return cst_function_new(g, in, n, &out, 1, f);
}

static cst_status compile(cst_context *ctx, lcs_eager *e, const char *op, const operand *o, size_t n,
                          const cst_attrs *attrs, uint8_t real) {
  cst_graph *g = NULL;
  cst_function *f = NULL;
  CST_TRY(cst_graph_new(ctx, real, e->rows, &g));
  cst_status st = build(g, op, o, n, attrs, &f);
  if (st == CST_OK) {
    e->result = *cst_type_of(g, f->outputs[0]);
    st = cst_program_new(f, NULL, &e->program);
  }
  if (st == CST_OK) st = cst_workspace_new(e->program, &e->workspace);
  cst_object_release(f);
  cst_graph_release(g);
  return st;
}

/* Rows of the operands; what is shared may also be repeated to be a batch. */
static cst_status batch_rows(cst_context *ctx, const char *op, const operand *o, size_t n, const cst_attrs *a,
                             int64_t *rows) {
  *rows = a && a->n_ints > 2 && strcmp(op, "broadcast") == 0 && a->i[1] == CST_ROW ? a->i[2] : 0;
  for (size_t i = 0; i < n; i++) {
    if (o[i].type.space != CST_ROW) continue;
    if (*rows && *rows != o[i].type.dim[0])
      return cst_fail(ctx, CST_ESHAPE, "batches of %lld and %lld rows do not fit together",
                      (long long)*rows, (long long)o[i].type.dim[0]);
    *rows = o[i].type.dim[0];
  }
  return CST_OK;
}

/* The compiled node, from the table or new. Replaces whatever held its slot. */
static cst_status find_eager(lcs_state *st, const char *op, const operand *o, size_t n,
                             const cst_attrs *attrs, uint8_t real, lcs_eager **out) {
  unsigned char bytes[sizeof(key)];
  size_t length = write_key(bytes, op, o, n, attrs, real);
  uint64_t hash = hash_bytes(bytes, length);
  lcs_eager **slot = &st->eager[hash % LCS_EAGER_SLOTS], *e = *slot;
  *out = e;
  if (e && e->hash == hash && e->key_bytes == length && memcmp(e->key, bytes, length) == 0)
    return CST_OK;
  int64_t rows;
  CST_TRY(batch_rows(st->ctx, op, o, n, attrs, &rows));
  if (!(e = cst_alloc(st->ctx, sizeof *e + length))) return CST_ENOMEM;
  e->hash = hash, e->key_bytes = length, e->rows = rows;
  memcpy(e->key, bytes, length);
  cst_status s = compile(st->ctx, e, op, o, n, attrs, real);
  if (s != CST_OK) return eager_free(st->ctx, e), s;
  evict(st, hash);
  *out = *slot = e;
  return CST_OK;
}

/* f32 when every float tensor is, f64 when any is f64; with numbers alone the default type. */
static uint8_t real_of(const char *op, const operand *o, size_t n, uint8_t fallback) {
  bool f32 = false, f64 = false;
  for (size_t i = 0; i < n; i++) {
    f32 |= o[i].type.dtype == CST_F32;
    f64 |= o[i].type.dtype == CST_F64 && o[i].data && !is_time(op, i);
  }
  return f64 ? CST_F64 : f32 ? CST_F32 : fallback;
}

/* Pushes the result's tensor. Making it may run finalisers of the script, and those may evict the
 * node that was found: then it is found again. */
static cst_tensor *prepare(lua_State *L, lcs_state *st, const char *op, const operand *o, size_t n,
                           const cst_attrs *attrs, uint8_t real, lcs_eager **e) {
  lcs_check(L, find_eager(st, op, o, n, attrs, real, e));
  cst_type type = (*e)->result;
  uint64_t evictions = st->evictions;
  cst_tensor *t = lcs_push_tensor(L, &type);
  if (st->evictions != evictions) lcs_check(L, find_eager(st, op, o, n, attrs, real, e));
  return t;
}

static void run_eager(lua_State *L, const char *op, const int *args, size_t n,
                      const cst_attrs *attrs) {
  lcs_state *st = lcs_state_of(L);
  operand o[LCS_MAX_ARGS];
  const void *in[LCS_MAX_ARGS];
  bool numbers = true;
  for (size_t i = 0; i < n; i++) {
    o[i] = operand_at(L, args[i]);
    in[i] = o[i].data ? o[i].data : &o[i].number;
    numbers &= !o[i].data;
  }
  lcs_eager *e;
  uint8_t real = numbers ? CST_F64 : real_of(op, o, n, st->real);
  cst_tensor *t = prepare(L, st, op, o, n, attrs, real, &e);
  void *out = t->data;
  cst_status s = cst_program_run(e->workspace, (size_t)e->rows, in, &out);
  if (s != CST_OK || t->count > KEEP_ELEMENTS) evict(st, e->hash);
  lcs_check(L, s);
  if (!numbers || t->type.rank) return;
  lua_pushnumber(L, cst_tensor_get(t, 0)); /* numbers in, number out */
  lua_remove(L, -2);
}

void lcs_apply(lua_State *L, const char *op, const int *args, size_t n, const cst_attrs *attrs) {
  if (n > LCS_MAX_ARGS) lcs_error(L, "'%s' takes at most %d values", op, LCS_MAX_ARGS);
  bool numbers = n > 0;
  for (size_t i = 0; i < n; i++) numbers &= lua_type(L, args[i]) == LUA_TNUMBER;
  lcs_trace *tr = numbers ? NULL : lcs_current(L);
  if (!tr) {
    run_eager(L, op, args, n, attrs);
    return;
  }
  cst_value v[LCS_MAX_ARGS];
  for (size_t i = 0; i < n; i++) v[i] = as_real(tr->graph, lcs_lift(L, tr, args[i]), op, i);
  lcs_push_value(L, tr->graph->host->node(tr->graph, op, v, n, attrs));
}
