/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Batch rules: every registered op with k values of one operand, or of all, is what it is with each of them alone;
 * stacked operands with the batch axis and without it. And k tangents at a time are k tangents.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>

#include "costate/registry.h"
#include "evaluate.h"
#include "samples.h"

enum { K = 3, MANY = 4096 };

/* Ops that need not go with one more axis: functional or numeric inner loops, for which callers use a scan. */
static const char *const without[] = {"outer", "control", "control_scatter"};
/* What operand i of these is fixed: weights, indices and the batch itself. */
typedef struct exception { const char *op; unsigned operands; } exception;
static const exception fixed[] = {{"matmul", 2}, {"dense", 6}, {"dense_back", 2}, {"gather", 2}, {"scatter", 2}, {"bmm", 0}};

static bool listed(const char *op) {
  for (size_t i = 0; i < sizeof without / sizeof *without; i++)
    if (strcmp(without[i], op) == 0) return true;
  return strncmp(op, "linalg.", 7) == 0;
}

static unsigned fixed_operands(const char *op) {
  for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
    if (strcmp(fixed[i].op, op) == 0) return fixed[i].operands;
  return 0;
}

typedef struct problem {
  cst_graph *g;
  const sample *s;
  cst_value x[4], stacked[4], y[4], result[4];
  size_t n_y;
  double *at[4], *stacked_at[4];
} problem;

static size_t size(const problem *p, cst_value v) { return cst_type_count(cst_type_of(p->g, v)); }

/* The type with one more axis; `rows` says whether it keeps the batch axis. */
static cst_type with_axis(const cst_type *t, bool rows) {
  cst_type s = {.dtype = t->dtype, .space = rows ? t->space : CST_SHARED};
  bool batch = t->space == CST_ROW;
  if (batch && rows) s.dim[s.rank++] = t->dim[0];
  s.dim[s.rank++] = K;
  for (int i = batch; i < t->rank; i++) s.dim[s.rank++] = t->dim[i];
  return s;
}

/* Value k of a stacked operand, as an operand of type t. */
static void take(const cst_type *t, const cst_type *stacked, const double *from, size_t k, double *to) {
  size_t rows = t->space == CST_ROW ? (size_t)t->dim[0] : 1, inner = cst_type_count(t) / (rows ? rows : 1);
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < inner; i++)
      to[r * inner + i] = from[((stacked->space == CST_ROW ? r : 0) * K + k) * inner + i];
}

static bool is_real(const sample *s, size_t i) { return s->in[i].dtype == CST_F64 && !(s->knots >> i & 1); }

static bool build(problem *p, cst_context *ctx, unsigned which, bool rows, cst_rng *r) {
  const sample *s = p->s;
  if (cst_graph_new(ctx, CST_F64, ROWS, &p->g) != CST_OK) return false;
  for (size_t i = 0; i < s->n_in; i++) p->x[i] = cst_graph_input(p->g, &s->in[i], "x");
  cst_value y = p->g->host->node(p->g, s->op, p->x, s->n_in, &s->attrs);
  p->n_y = strcmp(s->op, "dense_back") == 0 ? 3 : 1;
  for (size_t i = 0; i < p->n_y; i++) p->y[i] = y + (cst_value)i;
  for (size_t i = 0; i < s->n_in; i++) {
    p->at[i] = calloc(MANY, sizeof(double)), p->stacked_at[i] = calloc(MANY, sizeof(double));
    for (size_t e = 0; e < size(p, p->x[i]); e++) {
      if (s->in[i].dtype == CST_F64) p->at[i][e] = random_number(r, s->from, s->to);
      else ((int64_t *)p->at[i])[e] = (int64_t)(e * 2 % 4);
    }
    if (!(which >> i & 1)) continue;
    cst_type t = with_axis(&s->in[i], rows);
    p->stacked[i] = cst_graph_input(p->g, &t, "stacked");
    for (size_t e = 0; e < cst_type_count(&t); e++) p->stacked_at[i][e] = random_number(r, s->from, s->to);
  }
  return y != CST_NONE;
}

/* Largest difference between value k of each result and the op at value k of the operands. */
static double difference(problem *p, size_t k, const cst_value *ys, const cst_value *results, double *const *got, size_t n) {
  double worst = 0, *in[4], *alone = calloc(MANY, sizeof(double)), *of_k = calloc(MANY, sizeof(double));
  for (size_t i = 0; i < p->s->n_in; i++) {
    in[i] = p->at[i];
    if (!p->stacked[i]) continue;
    in[i] = calloc(MANY, sizeof(double));
    take(&p->s->in[i], cst_type_of(p->g, p->stacked[i]), p->stacked_at[i], k, in[i]);
  }
  for (size_t j = 0; j < n; j++) {
    if (!results[j]) continue;
    cst_status st = evaluate(p->g, p->x, p->s->n_in, &ys[j], 1, (const void *const *)in, (void *const[]){alone});
    take(cst_type_of(p->g, ys[j]), cst_type_of(p->g, results[j]), got[j], k, of_k);
    for (size_t e = 0; e < size(p, ys[j]); e++) {
      double d = st == CST_OK ? fabs(alone[e] - of_k[e]) / (1 + fabs(alone[e])) : INFINITY;
      if (!(d <= worst)) worst = d;
    }
  }
  for (size_t i = 0; i < p->s->n_in; i++)
    if (p->stacked[i]) free(in[i]);
  free(alone), free(of_k);
  return worst;
}

static double compare(problem *p) {
  double worst = 0, *got[4] = {0};
  for (size_t j = 0; j < p->n_y; j++) {
    got[j] = calloc(MANY, sizeof(double));
    if (!p->result[j]) continue;
    cst_value inputs[8];
    const void *in[8];
    size_t n = 0;
    for (size_t i = 0; i < p->s->n_in; i++) inputs[n] = p->x[i], in[n++] = p->at[i];
    for (size_t i = 0; i < p->s->n_in; i++)
      if (p->stacked[i]) inputs[n] = p->stacked[i], in[n++] = p->stacked_at[i];
    if (evaluate(p->g, inputs, n, &p->result[j], 1, in, (void *const[]){got[j]}) != CST_OK) worst = INFINITY;
  }
  for (size_t k = 0; k < K; k++) {
    double d = difference(p, k, p->y, p->result, got, p->n_y);
    if (!(d <= worst)) worst = d;
  }
  for (size_t j = 0; j < p->n_y; j++) free(got[j]);
  return worst;
}

/* Whether an axis that the op goes along is the batch, or a value lies across it: then a batch rule may refuse. */
static bool across_rows(const problem *p) {
  bool row = false, rows_lost = false, other = false;
  for (size_t i = 0; i < p->s->n_in; i++) {
    row |= p->s->in[i].space == CST_ROW;
    other |= p->s->in[i].space != CST_ROW && p->s->in[i].rank > 1;
  }
  for (size_t j = 0; j < p->n_y; j++) rows_lost |= cst_type_of(p->g, p->y[j])->space != CST_ROW;
  return row && (rows_lost || other);
}

static void check(cst_context *ctx, const sample *s, unsigned which, bool rows, cst_rng *r, unsigned *checked) {
  problem p = {.s = s};
  bool built = build(&p, ctx, which, rows, r);
  CHECK(built, "%s: %s", s->op, cst_message(ctx));
  cst_value xs[4], with[4];
  size_t n = 0;
  for (size_t i = 0; i < s->n_in; i++)
    if (p.stacked[i]) xs[n] = p.x[i], with[n++] = p.stacked[i];
  cst_status st = cst_graph_batch(p.g, K, xs, with, n, p.y, p.n_y, p.result);
  bool may_refuse = listed(s->op) || (fixed_operands(s->op) & which) || across_rows(&p);
  CHECK(p.g->status == CST_OK, "%s: the graph is broken: %s", s->op, cst_message(ctx));
  CHECK(st == CST_OK || (st == CST_EUNSUPPORTED && may_refuse), "%s, operands %u: %s", s->op, which, cst_message(ctx));
  if (st == CST_OK && p.g->status == CST_OK) {
    double error = compare(&p);
    CHECK(error < 1e-14, "%s, operands %u, %s: off by %.2g", s->op, which, rows ? "rows" : "one for all rows", error);
    ++*checked;
  }
  for (size_t i = 0; i < s->n_in; i++) free(p.at[i]), free(p.stacked_at[i]);
  cst_graph_release(p.g);
}

static void every_op_goes_with_one_more_axis(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_rng r = {1, 2, 0};
  unsigned checked = 0;
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
    unsigned all = 0;
    for (size_t k = 0; k < samples[i].n_in; k++) all |= is_real(&samples[i], k) ? 1u << k : 0;
    for (unsigned which = 1; which <= all; which++) {
      if ((which & all) != which) continue;
      check(ctx, &samples[i], which, true, &r, &checked);
      check(ctx, &samples[i], which, false, &r, &checked);
    }
  }
  CHECK(checked > 300, "only %u cases went", checked);
  cst_context_free(ctx);
}

/* tanh(x W) with tangents e_1 .. e_3: rows of W^T diag(1 - y^2), the Jacobian. */
static void tangents_at_a_time_make_a_jacobian(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g = NULL;
  cst_rng r = {3, 4, 0};
  CU_ASSERT_FATAL(cst_graph_new(ctx, CST_F64, ROWS, &g) == CST_OK);
  const cst_type type[] = {R(K), S(K, 2), S(K, K)};
  cst_value in[3], dots;
  double x[ROWS * K], w[K * 2], unit[K * K] = {0}, jacobian[ROWS * K * 2];
  for (int i = 0; i < 3; i++) in[i] = cst_graph_input(g, &type[i], "x");
  for (size_t i = 0; i < ROWS * K; i++) x[i] = random_number(&r, -1, 1);
  for (size_t i = 0; i < K * 2; i++) w[i] = random_number(&r, -1, 1);
  for (size_t i = 0; i < K; i++) unit[i * K + i] = 1;
  cst_value y = cst_tanh(g, cst_matmul(g, in[0], in[1], false));
  CHECK(cst_graph_jvps(g, K, &in[0], &in[2], 1, &y, 1, &dots) == CST_OK, "%s", cst_message(ctx));
  CHECK(evaluate(g, in, 3, &dots, 1, (const void *const[]){x, w, unit}, (void *const[]){jacobian}) == CST_OK, "%s", cst_message(ctx));
  for (size_t b = 0; b < ROWS; b++)
    for (size_t j = 0; j < K; j++)
      for (size_t m = 0; m < 2; m++) {
        double z = 0;
        for (size_t i = 0; i < K; i++) z += x[b * K + i] * w[i * 2 + m];
        double expected = w[j * 2 + m] * (1 - tanh(z) * tanh(z)), got = jacobian[(b * K + j) * 2 + m];
        CHECK(fabs(got - expected) < 1e-14, "row %zu: %.17g is not %.17g", b, got, expected);
      }
  cst_graph_release(g);
  cst_context_free(ctx);
}

/* ---- an op of a plugin that was built before batch rules ------------------------------------------------------ */

static cst_status double_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n, cst_type *out, size_t *n_out) {
  (void)h, (void)a, (void)n;
  *out = in[0], *n_out = 1;
  return CST_OK;
}
static cst_status double_run(const cst_call *c) {
  (void)c;
  return CST_OK;
}
static cst_status never_asked(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n, const cst_value *stacked,
                              int64_t k, const cst_value *out, cst_value *out_stacked) {
  (void)g, (void)a, (void)in, (void)n, (void)stacked, (void)k, (void)out, (void)out_stacked;
  CHECK(false, "%s", "what lies behind an older, shorter op was called");
  return CST_EUNSUPPORTED;
}
static const cst_op older = {.struct_size = offsetof(cst_op, batch), .name = "older", .n_in_min = 1, .n_in_max = 1,
                             .infer = double_infer, .kernel = {double_run, double_run}, .batch = never_asked};
static cst_status register_older(const cst_host *h) { return h->register_op(h, &older); }

static void an_op_without_the_slot_has_no_rule(void) {
  static const cst_plugin plugin = {.abi_version = CST_ABI, .struct_size = sizeof plugin, .name = "elder", .version = "1",
                                    .license = "GPL-3.0-or-later", .init = register_older};
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g = NULL;
  CU_ASSERT_FATAL(cst_plugin_add(ctx, &plugin, "(test)") == CST_OK && cst_graph_new(ctx, CST_F64, ROWS, &g) == CST_OK);
  const cst_type type[] = {R(K), R(2, K)};
  cst_value x = cst_graph_input(g, &type[0], "x"), with = cst_graph_input(g, &type[1], "stacked"), result;
  cst_value y = g->host->node(g, "elder.older", &x, 1, NULL);
  CU_ASSERT_FATAL(y != CST_NONE);
  CHECK(cst_graph_batch(g, 2, &x, &with, 1, &y, 1, &result) == CST_EUNSUPPORTED, "%s", cst_message(ctx));
  CHECK(g->status == CST_OK && result == CST_NONE, "%s", "the graph is broken");
  cst_graph_release(g);
  cst_context_free(ctx);
}

/* ---- memory that runs out ------------------------------------------------------------------------------------- */

typedef struct scarce { long left; bool for_ever; size_t live; } scarce;

static void *scarce_resize(void *user, void *ptr, size_t old_size, size_t new_size) {
  scarce *s = user;
  (void)old_size;
  if (!new_size) {
    s->live -= ptr != NULL;
    free(ptr);
    return NULL;
  }
  if (s->left-- <= 0 && (s->for_ever || s->left >= -2)) return NULL;
  s->live += ptr == NULL;
  return realloc(ptr, new_size);
}

/* Three tangents of every op in turn, and of a chain of them all the way through an expansion. */
static cst_status tangents_of(cst_context *ctx, const sample *s) {
  cst_graph *g = NULL;
  cst_value x[4], dots[4] = {CST_NONE}, y_dots[4];
  CST_TRY(cst_graph_new(ctx, CST_F64, ROWS, &g));
  for (size_t i = 0; i < s->n_in; i++) {
    x[i] = cst_graph_input(g, &s->in[i], "x");
    cst_type t = with_axis(&s->in[i], true);
    if (is_real(s, i)) dots[i] = cst_graph_input(g, &t, "tangent");
  }
  cst_value y = g->host->node(g, s->op, x, s->n_in, &s->attrs);
  cst_status st = g->status;
  if (st == CST_OK) st = cst_graph_jvps(g, K, x, dots, s->n_in, &y, 1, y_dots);
  if (st == CST_EUNSUPPORTED && g->status == CST_OK) st = CST_OK;
  cst_graph_release(g);
  return st;
}

static void sweep(const sample *s, bool for_ever) {
  cst_status st = CST_ENOMEM;
  for (long k = 0; st == CST_ENOMEM && k < 3000; k++) {
    scarce memory = {.left = k, .for_ever = for_ever};
    cst_context *ctx = cst_context_new(&(cst_allocator){scarce_resize, &memory});
    if (!ctx) continue;
    st = tangents_of(ctx, s);
    CHECK(st == CST_OK || st == CST_ENOMEM, "%s: %s", s->op, cst_message(ctx));
    cst_context_free(ctx);
    CHECK(memory.live == 0, "%s: %zu blocks are left", s->op, memory.live);
  }
  CHECK(st == CST_OK, "%s never went", s->op);
}

static void tangents_when_memory_runs_out(void) {
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
    sweep(&samples[i], true);
    sweep(&samples[i], false);
  }
}

int cst_suite_batch(void);
int cst_suite_batch(void) {
  CU_pSuite s = CU_add_suite("batch", NULL, NULL);
  return s && CU_add_test(s, "every op goes with one more axis", every_op_goes_with_one_more_axis) &&
         CU_add_test(s, "k tangents make a Jacobian", tangents_at_a_time_make_a_jacobian) &&
         CU_add_test(s, "an op without the slot has no rule", an_op_without_the_slot_has_no_rule) &&
         CU_add_test(s, "tangents when memory runs out", tangents_when_memory_runs_out) ? 0 : 1;
}
