/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Models of the plugin nn: layout, values against loops by hand, misuse.
 */
#include "nn.h"

/* The model of 2 rows with `width` values each. Inputs of the function: x, then the parameters. */
static cst_status build(const net *m, int64_t width, cst_graph **g, cst_value *in, cst_value *out) {
  const cst_type x = {.dtype = CST_F64, .space = CST_ROW, .rank = 2, .dim = {2, width}};
  CST_TRY(cst_graph_new(ctx, CST_F64, 2, g));
  in[0] = cst_graph_input(*g, &x, "x");
  for (size_t i = 0; i < m->layout.n; i++)
    in[i + 1] = cst_graph_input(*g, &m->layout.parameter[i].type, m->layout.parameter[i].name);
  *out = ((const cst_model_type *)m->entry->type)->build(*g, m->options, in + 1, in, 1);
  return (*g)->status;
}

static cst_status forward(const net *m, int64_t width, const double *x, const double *theta,
                          double *y) {
  cst_graph *g = NULL;
  cst_function *f = NULL;
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  cst_value in[9], out;
  const void *data[9] = {x};
  for (size_t i = 0; i < m->layout.n; i++) data[i + 1] = theta + m->layout.parameter[i].offset;
  void *result = y;
  cst_status st = build(m, width, &g, in, &out);
  if (st == CST_OK) st = cst_function_new(g, in, m->layout.n + 1, &out, 1, &f);
  if (st == CST_OK) st = cst_program_new(f, NULL, &p);
  if (st == CST_OK) st = cst_workspace_new(p, &w);
  if (st == CST_OK) st = cst_program_run(w, 2, data, &result);
  cst_workspace_free(w);
  cst_program_release(p);
  cst_object_release(f);
  cst_graph_release(g);
  return st;
}

static void mlp_declares_its_parameters(void) {
  const cst_given given[] = {LIST(2, 5, 3), {.name = "scale", .kind = CST_NUMBER, .number = 0.1}};
  net m;
  CU_ASSERT_EQUAL_FATAL(declare("nn.mlp", CST_F64, given, 2, &m), CST_OK);
  static const char *const name[] = {"0.weight", "0.bias", "1.weight", "1.bias"};
  static const int64_t dim[][2] = {{2, 5}, {5, 0}, {5, 3}, {3, 0}};
  CU_ASSERT_EQUAL_FATAL(m.layout.n, 4);
  CU_ASSERT_EQUAL(m.layout.count, 10 + 5 + 15 + 3);
  for (size_t i = 0; i < 4; i++) {
    const cst_parameter *p = &m.layout.parameter[i];
    CU_ASSERT_STRING_EQUAL(p->name, name[i]);
    CU_ASSERT_EQUAL(memcmp(p->type.dim, dim[i], sizeof dim[i]), 0);
    CU_ASSERT_EQUAL(p->init, i % 2 ? CST_INIT_ZERO : CST_INIT_GLOROT);
    if (i % 2 == 0) CU_ASSERT_EQUAL(p->scale, 0.1);
  }
  drop(&m);
}

static double apply(const char *f, double x) {
  if (strcmp(f, "tanh") == 0) return tanh(x);
  if (strcmp(f, "sigmoid") == 0) return 1 / (1 + exp(-x));
  if (strcmp(f, "relu") == 0) return x > 0 ? x : 0;
  if (strcmp(f, "softplus") == 0) return log1p(exp(x));
  if (strcmp(f, "elu") == 0) return x > 0 ? x : expm1(x);
  if (strcmp(f, "silu") == 0) return x / (1 + exp(-x));
  if (strcmp(f, "gelu") == 0) return x / 2 * (1 + erf(x * sqrt(0.5)));
  if (strcmp(f, "sin") == 0) return sin(x);
  if (strcmp(f, "cos") == 0) return cos(x);
  return strcmp(f, "square") == 0 ? x * x : x;
}

/* y [2, n] = f(x [2, k] w + b). */
static void layer(const char *f, const double *x, size_t k, const double *w, const double *b,
                  size_t n, double *y) {
  for (size_t r = 0; r < 2; r++)
    for (size_t j = 0; j < n; j++) {
      double z = b ? b[j] : 0;
      for (size_t i = 0; i < k; i++) z += x[r * k + i] * w[i * n + j];
      y[r * n + j] = apply(f, z);
    }
}

static const char *const activations[] = {"none", "tanh", "sigmoid", "relu", "softplus", "elu",
                                          "silu", "gelu", "sin", "cos", "square"};
static const double x22[] = {0.5, -1.2, 0.3, 0.9};
static const double theta[] = {0.3, -0.7, 1.1, 0.4, 0.9, -0.2, 0.15, -0.25, 0.35, /* 2x3, 3 */
                               -0.5, 0.6, 1.3, -0.8, 0.2, 0.7, 0.05, -0.45};      /* 3x2, 2 */

static void mlp_computes(void) {
  for (size_t a = 0; a < sizeof activations / sizeof *activations; a++) {
    const char *hidden = activations[a],
               *final = activations[sizeof activations / sizeof *activations - 1 - a];
    const cst_given given[] = {LIST(2, 3, 2), TEXT("activation", hidden), TEXT("final", final)};
    double h[6], expected[4], y[4];
    layer(hidden, x22, 2, theta, theta + 6, 3, h);
    layer(final, h, 3, theta + 9, theta + 15, 2, expected);
    net m;
    CU_ASSERT_EQUAL_FATAL(declare("nn.mlp", CST_F64, given, 3, &m), CST_OK);
    CU_ASSERT_EQUAL(forward(&m, 2, x22, theta, y), CST_OK);
    for (int i = 0; i < 4; i++) CU_ASSERT_DOUBLE_EQUAL(y[i], expected[i], 1e-14);
    drop(&m);
  }
}

static void linear_computes(void) {
  for (int bias = 0; bias < 2; bias++) {
    const cst_given given[] = {LIST(2, 3), TEXT("activation", "tanh"),
                               {.name = "bias", .kind = CST_BOOLEAN, .number = bias}};
    double expected[6], y[6];
    layer("tanh", x22, 2, theta, bias ? theta + 6 : NULL, 3, expected);
    net m;
    CU_ASSERT_EQUAL_FATAL(declare("nn.linear", CST_F64, given, 3, &m), CST_OK);
    CU_ASSERT_EQUAL(m.layout.n, bias ? 2 : 1);
    CU_ASSERT_STRING_EQUAL(m.layout.parameter[0].name, "weight");
    CU_ASSERT_EQUAL(forward(&m, 2, x22, theta, y), CST_OK);
    for (int i = 0; i < 6; i++) CU_ASSERT_DOUBLE_EQUAL(y[i], expected[i], 1e-14);
    drop(&m);
  }
}

static void wrong_sizes_are_refused(void) {
  refuses("nn.mlp", NULL, 0, "sizes");
  refuses("nn.mlp", (const cst_given[]){LIST(2)}, 1, "mlp needs at least two sizes");
  refuses("nn.mlp", (const cst_given[]){LIST(2, 0, 2)}, 1,
          "size 2 must be a positive whole number, got 0");
  refuses("nn.mlp", (const cst_given[]){LIST(2, 3, 2.5)}, 1,
          "size 3 must be a positive whole number, got 2.5");
  refuses("nn.linear", (const cst_given[]){LIST(2, 3, 2)}, 1, "linear takes two sizes");
  refuses("nn.mlp", (const cst_given[]){LIST(2, 2), TEXT("activation", "tahn")}, 2, "tanh");
}

static void a_wrong_width_is_refused(void) {
  const cst_given given[] = {LIST(2, 3, 2)};
  net m;
  cst_graph *g = NULL;
  cst_value in[9], out;
  CU_ASSERT_EQUAL_FATAL(declare("nn.mlp", CST_F64, given, 1, &m), CST_OK);
  CU_ASSERT_EQUAL(build(&m, 3, &g, in, &out), CST_ESHAPE);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "mlp expects 2 values a row, got 3"));
  cst_graph_release(g);
  drop(&m);
}

static CU_TestInfo tests[] = {
    {"mlp declares its parameters", mlp_declares_its_parameters},
    {"mlp computes", mlp_computes},
    {"linear computes", linear_computes},
    {"wrong sizes are refused", wrong_sizes_are_refused},
    {"a wrong width is refused", a_wrong_width_is_refused},
    CU_TEST_INFO_NULL,
};

int cst_suite_nn(void);
int cst_suite_nn(void) {
  CU_SuiteInfo info[] = {{"nn", open_nn, close_nn, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
