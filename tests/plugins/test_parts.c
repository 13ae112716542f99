/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The small parts when memory runs out: data sets, a model, a loss, an optimizer's options, a GSL
 * stepper and a linear system are made under an allocator that fails at its k-th request, for every k, and then
 * from the k-th on. Whatever failed says so and leaves nothing behind.
 */
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "costate/graph.h"
#include "costate/registry.h"

typedef struct failing {
  long left;    /* requests until the one that fails */
  bool forever; /* whether all later ones fail too */
  long live;    /* blocks not yet freed */
} failing;

static void *resize(void *user, void *old, size_t old_size, size_t size) {
  (void)old_size;
  failing *f = user;
  if (size == 0) {
    f->live -= old != NULL;
    free(old);
    return NULL;
  }
  if (f->left-- == 0 || (f->forever && f->left < 0)) return NULL;
  void *p = realloc(old, size);
  f->live += p && !old;
  return p;
}

static cst_status dataset(cst_context *ctx, const char *name, const cst_given *given, size_t n) {
  const cst_entry *e = cst_find(ctx, CST_KIND_DATASET, name);
  cst_options *o = NULL;
  cst_dataset d = {0};
  if (!e) return cst_last_status(ctx);
  CST_TRY(cst_options_new(ctx, name, e->options, given, n, &o));
  cst_status st = cst_dataset_build(ctx, e, o, 1, &d);
  cst_dataset_free(ctx, &d);
  cst_options_free(ctx, o);
  return st;
}

/* What is read in long format, and a set that is made. */
static cst_status two_series(cst_context *ctx) {
  char path[512];
  snprintf(path, sizeof path, "%s/small_long.csv", getenv("COSTATE_TEST_DATA"));
  const cst_given table[] = {{.name = "path", .kind = CST_STRING, .string = path},
                             {.name = "id", .kind = CST_STRING, .string = "id"},
                             {.name = "time", .kind = CST_STRING, .string = "t"},
                             {.name = "columns", .kind = CST_STRING, .string = "a,b"},
                             {.name = "statics", .kind = CST_STRING, .string = "sex"},
                             {.name = "label", .kind = CST_STRING, .string = "died"}};
  const cst_given few[] = {{.name = "series", .kind = CST_INTEGER, .integer = 2}};
  CST_TRY(dataset(ctx, "datasets.long", table, 6));
  return dataset(ctx, "datasets.poisson_sampled", few, 1);
}

static cst_status two_datasets(cst_context *ctx) {
  char path[512];
  snprintf(path, sizeof path, "%s/small.csv", getenv("COSTATE_TEST_DATA"));
  const cst_given csv[] = {{.name = "path", .kind = CST_STRING, .string = path},
                           {.name = "time", .kind = CST_STRING, .string = "t"},
                           {.name = "missing", .kind = CST_STRING, .string = "NA"}};
  const cst_given few[] = {{.name = "points", .kind = CST_INTEGER, .integer = 3}};
  CST_TRY(dataset(ctx, "datasets.csv", csv, 3));
  return dataset(ctx, "datasets.lotka_volterra", few, 1);
}

/* mse(mlp(x), x) as a graph. Inputs without names: a name lost for want of memory is no failure. */
static cst_status trace(cst_context *ctx, const cst_entry *model, const cst_options *o,
                        const cst_layout *layout) {
  const cst_type row = {.dtype = CST_F64, .space = CST_ROW, .rank = 2, .dim = {4, 2}};
  const cst_entry *loss = cst_find(ctx, CST_KIND_LOSS, "losses.mse");
  cst_graph *g = NULL;
  if (!loss) return cst_last_status(ctx);
  CST_TRY(cst_graph_new(ctx, CST_F64, 4, &g));
  cst_value x = cst_graph_input(g, &row, NULL), params[4] = {0};
  for (size_t i = 0; i < layout->n; i++)
    params[i] = cst_graph_input(g, &layout->parameter[i].type, NULL);
  cst_value both[2] = {((const cst_model_type *)model->type)->build(g, o, params, &x, 1), x};
  ((const cst_loss_type *)loss->type)->build(g, NULL, both);
  cst_status st = g->status;
  cst_graph_release(g);
  return st;
}

static cst_status model_and_loss(cst_context *ctx) {
  const cst_given sizes[] = {
      {.name = "sizes", .kind = CST_LIST, .list = (const double[]){2, 3, 2}, .n_list = 3},
      {.name = "activation", .kind = CST_STRING, .string = "gelu"}};
  const cst_entry *e = cst_find(ctx, CST_KIND_MODEL, "nn.mlp");
  cst_options *o = NULL;
  cst_layout layout = {0};
  if (!e) return cst_last_status(ctx);
  CST_TRY(cst_options_new(ctx, "nn.mlp", e->options, sizes, 2, &o));
  cst_status st = cst_model_declare(ctx, e, o, CST_F64, &layout);
  if (st == CST_OK) st = trace(ctx, e, o, &layout);
  cst_layout_free(ctx, &layout);
  cst_options_free(ctx, o);
  return st;
}

static cst_status optimizer(cst_context *ctx) {
  const cst_entry *e = cst_find(ctx, CST_KIND_OPTIMIZER, "optimizers.adam");
  cst_options *o = NULL;
  if (!e) return cst_last_status(ctx);
  CST_TRY(cst_options_new(ctx, e->name, e->options, NULL, 0, &o));
  cst_options_free(ctx, o);
  return CST_OK;
}

static cst_status stepper(cst_context *ctx) {
#ifdef CST_TEST_GSL
  const cst_entry *e = cst_find(ctx, CST_KIND_SOLVER, "gsl.rk8pd");
  if (!e) return cst_last_status(ctx);
  const cst_solver_type *type = e->type;
  cst_solver_config c = {.struct_size = sizeof c, .host = cst_host_of(ctx), .type = type,
                         .dtype = CST_F64, .rows = 1, .n = 2, .n_stage = 2};
  void *state = NULL;
  CST_TRY(type->create(&c, &state));
  type->destroy(c.host, state);
#else
  (void)ctx;
#endif
  return CST_OK;
}

/* A workspace for x = A^-1 b. */
static cst_status linear_system(cst_context *ctx) {
  cst_status st = CST_OK;
#ifdef CST_TEST_GSL
  const cst_type a = {.dtype = CST_F64, .rank = 2, .dim = {3, 3}}, b = {.dtype = CST_F64, .rank = 1, .dim = {3}};
  const cst_attrs at = {.n_ints = 1};
  cst_graph *g = NULL;
  cst_function *f = NULL;
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  CST_TRY(cst_graph_new(ctx, CST_F64, 0, &g));
  cst_value in[2] = {cst_graph_input(g, &a, NULL), cst_graph_input(g, &b, NULL)};
  cst_value x = cst_node2(g, "linalg.solve", in[0], in[1], &at);
  st = cst_function_new(g, in, 2, &x, 1, &f);
  if (st == CST_OK) st = cst_program_new(f, NULL, &p);
  if (st == CST_OK) st = cst_workspace_new(p, &w);
  cst_workspace_free(w);
  cst_program_release(p);
  cst_object_release(f);
  cst_graph_release(g);
#else
  (void)ctx;
#endif
  return st;
}

static cst_status scenario(failing *f) {
  const cst_allocator allocator = {resize, f};
  cst_context *ctx = cst_context_new(&allocator);
  if (!ctx) return CST_ENOMEM;
  cst_status st = two_datasets(ctx);
  if (st == CST_OK) st = two_series(ctx);
  if (st == CST_OK) st = model_and_loss(ctx);
  if (st == CST_OK) st = optimizer(ctx);
  if (st == CST_OK) st = stepper(ctx);
  if (st == CST_OK) st = linear_system(ctx);
  cst_context_free(ctx);
  return st;
}

static void sweep(bool forever) {
  for (long k = 0; k < 100000; k++) {
    failing f = {.left = k, .forever = forever};
    cst_status st = scenario(&f);
    CU_ASSERT_EQUAL(f.live, 0);
    if (f.left >= 0) { /* nothing failed: every request has had its turn */
      CU_ASSERT_EQUAL(st, CST_OK);
      CU_ASSERT(k > 10);
      return;
    }
    CU_ASSERT_EQUAL(st, CST_ENOMEM);
  }
  CU_FAIL("no end");
}

static void one_request_fails(void) { sweep(false); }
static void all_later_requests_fail(void) { sweep(true); }

static CU_TestInfo tests[] = {
    {"one request fails", one_request_fails},
    {"all later requests fail", all_later_requests_fail},
    CU_TEST_INFO_NULL,
};

int cst_suite_parts(void);
int cst_suite_parts(void) {
  CU_SuiteInfo info[] = {{"parts", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
