/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Losses: closed forms, derivatives of everything registered, stability, misfits.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <string.h>

#include "costate/graph.h"
#include "costate/registry.h"

static cst_context *ctx;

static int open_losses(void) {
  ctx = cst_context_new(NULL);
  return !ctx || cst_plugin_load(ctx, "losses") != CST_OK;
}
static int close_losses(void) {
  cst_context_free(ctx);
  return 0;
}

/* What a loss is computed of: up to three arguments of shape [4, 3], the first of which moves. */
typedef struct problem {
  const char *name;
  cst_given given[1];
  size_t n_given;
  cst_type type[3];
  const void *data[3];
} problem;

static const cst_type rows43 = {.dtype = CST_F64, .space = CST_ROW, .rank = 2, .dim = {4, 3}};
static const double a43[12] = {0.5, -1.25, 2, 0.1, 0.2, -0.3, 1, 3, -2, 0.75, -0.6, 0.05};
static const double b43[12] = {0.25, 1, 0.5, 0.2, 0.9, 0.4, 0.3, 0.8, 0.1, 0.7, 0.35, 0.15};
static const double c43[12] = {1, 0.5, -1, 0.3, 2, -0.2, 0.6, 1.5, -0.4, 0, 0.45, 0.9};

static problem of(const char *name) {
  return (problem){.name = name, .type = {rows43, rows43, rows43}, .data = {a43, b43, c43}};
}

static cst_status build(const problem *p, cst_graph *g, cst_value *in, size_t *n, cst_value *out) {
  const cst_entry *e = cst_find(ctx, CST_KIND_LOSS, p->name);
  if (!e) return cst_last_status(ctx);
  const cst_loss_type *loss = e->type;
  cst_options *o = NULL;
  CST_TRY(cst_options_new(ctx, p->name, loss->options, p->given, p->n_given, &o));
  *n = loss->n_in - loss->n_optional;
  for (size_t i = 0; i < loss->n_in; i++) in[i] = CST_NONE;
  for (size_t i = 0; i < *n; i++) in[i] = cst_graph_input(g, &p->type[i], NULL);
  *out = loss->build(g, o, in);
  cst_options_free(ctx, o);
  return g->status;
}

static cst_status run(cst_graph *g, const problem *p, cst_value *in, size_t n, cst_value *outs,
                      size_t n_out, void *const *results) {
  cst_function *f = NULL;
  cst_program *program = NULL;
  cst_workspace *w = NULL;
  cst_status st = cst_function_new(g, in, n, outs, n_out, &f);
  if (st == CST_OK) st = cst_program_new(f, NULL, &program);
  if (st == CST_OK) st = cst_workspace_new(program, &w);
  if (st == CST_OK) st = cst_program_run(w, 4, p->data, results);
  cst_workspace_free(w);
  cst_program_release(program);
  cst_object_release(f);
  return st;
}

/* The loss, or the sum of one that is by row, and its derivative by the first argument unless NULL. */
static cst_status value(const problem *p, double *loss, double *derivative) {
  cst_graph *g = NULL;
  cst_value in[4] = {0}, out[2] = {0};
  size_t n = 0;
  CST_TRY(cst_graph_new(ctx, CST_F64, 4, &g));
  cst_status st = build(p, g, in, &n, &out[0]);
  if (st == CST_OK && cst_type_of(g, out[0])->rank > 1) st = CST_ESHAPE;
  if (st == CST_OK) out[0] = cst_sum(g, out[0], ~(uint64_t)0, false);
  cst_value one = cst_scalar(g, 1);
  if (st == CST_OK && derivative) st = cst_graph_vjp(g, out, &one, 1, in, 1, &out[1]);
  void *results[2] = {loss, derivative};
  if (st == CST_OK) st = run(g, p, in, n, out, derivative ? 2 : 1, results);
  cst_graph_release(g);
  return st;
}

static double loss_of(problem p) {
  double x = (double)NAN;
  CU_ASSERT_EQUAL(value(&p, &x, NULL), CST_OK);
  return x;
}

static void losses_have_closed_forms(void) {
  double mae = 0, mse = 0, huber = 0, nll = 0, fixed = 0, ce = 0;
  for (int i = 0; i < 12; i++) {
    double r = a43[i] - b43[i], s = fabs(r), d = a43[i] - c43[i];
    mae += s / 12, mse += r * r / 12;
    huber += (s <= 0.5 ? r * r / 2 : 0.5 * (s - 0.25)) / 12;
    nll += (log(2 * acos(-1.0)) + b43[i] + d * d / exp(b43[i])) / 24;
    fixed += (log(2 * acos(-1.0)) / 2 + log(0.3) + r * r / (2 * 0.09)) / 12;
  }
  for (int i = 0; i < 4; i++) {
    double sum = 0;
    for (int c = 0; c < 3; c++) sum += exp(a43[3 * i + c]);
    for (int c = 0; c < 3; c++) ce += b43[3 * i + c] * (log(sum) - a43[3 * i + c]) / 4;
  }
  problem h = of("losses.huber"), f = of("losses.gaussian_nll_fixed");
  h.given[0] = (cst_given){.name = "delta", .kind = CST_NUMBER, .number = 0.5}, h.n_given = 1;
  f.given[0] = (cst_given){.name = "std", .kind = CST_NUMBER, .number = 0.3}, f.n_given = 1;
  CU_ASSERT_DOUBLE_EQUAL(loss_of(of("losses.mae")), mae, 1e-14);
  CU_ASSERT_DOUBLE_EQUAL(loss_of(of("losses.mse")), mse, 1e-14);
  CU_ASSERT_DOUBLE_EQUAL(loss_of(h), huber, 1e-14);
  CU_ASSERT_DOUBLE_EQUAL(loss_of(of("losses.gaussian_nll")), nll, 1e-14);
  CU_ASSERT_DOUBLE_EQUAL(loss_of(f), fixed, 1e-13);
  CU_ASSERT_DOUBLE_EQUAL(loss_of(of("losses.cross_entropy")), ce, 1e-14);
}

/* Every loss that is registered, by central differences. */
static void losses_have_derivatives(void) {
  size_t n = cst_entry_count(ctx, CST_KIND_LOSS);
  CU_ASSERT(n >= 11);
  for (size_t k = 0; k < n; k++) {
    problem p = of(cst_entry_at(ctx, CST_KIND_LOSS, k)->name);
    double loss, derivative[12], x[12], up, down;
    memcpy(x, a43, sizeof x);
    p.data[0] = x;
    CU_ASSERT_EQUAL_FATAL(value(&p, &loss, derivative), CST_OK);
    for (int i = 0; i < 12; i++) {
      x[i] = a43[i] + 1e-5;
      CU_ASSERT_EQUAL(value(&p, &up, NULL), CST_OK);
      x[i] = a43[i] - 1e-5;
      CU_ASSERT_EQUAL(value(&p, &down, NULL), CST_OK);
      x[i] = a43[i];
      CU_ASSERT_DOUBLE_EQUAL(derivative[i], (up - down) / 2e-5, 1e-8);
    }
  }
}

static void cross_entropy_is_stable(void) {
  static const double large[12] = {1000, 0, -1000, 1e6, 1e6, 1e6, -1e5, -1e5, -1e5, 0, 0, 0};
  static const double hot[12] = {1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1};
  problem p = of("losses.cross_entropy");
  p.data[0] = large, p.data[1] = hot;
  double loss, derivative[12];
  CU_ASSERT_EQUAL(value(&p, &loss, derivative), CST_OK);
  CU_ASSERT_DOUBLE_EQUAL(loss, 3 * log(3) / 4, 1e-13);
  CU_ASSERT_DOUBLE_EQUAL(derivative[0], 0, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(derivative[3], (1 / 3. - 1) / 4, 1e-15);
}

static void cross_entropy_takes_indices(void) {
  static const double hot[12] = {0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0};
  static const int64_t index[4] = {1, 2, 0, 1};
  problem p = of("losses.cross_entropy"), q = p;
  p.data[1] = hot;
  q.type[1] = (cst_type){.dtype = CST_I64, .space = CST_ROW, .rank = 1, .dim = {4}};
  q.data[1] = index;
  CU_ASSERT_EQUAL(loss_of(p), loss_of(q));
}

static void a_shared_target_serves_all_rows(void) {
  problem p = of("losses.mse");
  p.type[1] = (cst_type){.dtype = CST_F64, .rank = 1, .dim = {3}};
  double expected = 0;
  for (int i = 0; i < 12; i++) expected += (a43[i] - b43[i % 3]) * (a43[i] - b43[i % 3]) / 12;
  CU_ASSERT_DOUBLE_EQUAL(loss_of(p), expected, 1e-14);
}

static void misfits_are_named(void) {
  problem p = of("losses.mae");
  p.type[1].dim[1] = 1; /* would broadcast: refused */
  double x;
  CU_ASSERT_EQUAL(value(&p, &x, NULL), CST_ESHAPE);
  CU_ASSERT_PTR_NOT_NULL(
      strstr(cst_message(ctx), "the target [B, 1] does not fit the prediction [B, 3]"));
}

static CU_TestInfo tests[] = {
    {"losses have closed forms", losses_have_closed_forms},
    {"losses have derivatives", losses_have_derivatives},
    {"cross_entropy is stable", cross_entropy_is_stable},
    {"cross_entropy takes indices", cross_entropy_takes_indices},
    {"a shared target serves all rows", a_shared_target_serves_all_rows},
    {"misfits are named", misfits_are_named},
    CU_TEST_INFO_NULL,
};

int cst_suite_losses(void);
int cst_suite_losses(void) {
  CU_SuiteInfo info[] = {{"losses", open_losses, close_losses, NULL, NULL, tests},
                         CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
