/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Nets of the plugin nn that depend on time: the order of their parameters, which others read the flat vector by;
 * a net against loops by hand in f32 and f64; misuse. Their values by formula are in tests/lua/timed_spec.lua.
 */
#include "nn.h"

#define SIZES LIST(2, 3, 1)
#define COUNT(nm, x) {.name = nm, .kind = CST_INTEGER, .integer = x}

/* "NAME d d .." of every parameter, with blanks and a ';' between. */
static void layout_is(const char *name, const cst_given *given, size_t n, const char *expected) {
  char text[400] = "";
  net m;
  size_t at = 0;
  CU_ASSERT_EQUAL_FATAL(declare(name, CST_F64, given, n, &m), CST_OK);
  for (size_t i = 0; i < m.layout.n; i++) {
    const cst_parameter *p = &m.layout.parameter[i];
    CU_ASSERT_EQUAL(p->offset, at);
    at += cst_type_count(&p->type);
    strcat(strcat(text, i ? "; " : ""), p->name);
    for (int k = 0; k < p->type.rank; k++) sprintf(text + strlen(text), " %d", (int)p->type.dim[k]);
  }
  CU_ASSERT_EQUAL(m.layout.count, at);
  CU_ASSERT_STRING_EQUAL(text, expected);
  drop(&m);
}

static void nets_declare_their_parameters_in_order(void) {
  static const struct { const char *name, *plain, *full; } nets[] = {
      {"nn.ignore", "0.weight 2 3; 0.bias 3; 1.weight 3 1; 1.bias 1",
       "0.weight 2 3; 0.bias 3; 0.shift 2 3; 1.weight 3 1; 1.bias 1; 1.shift 2 1"},
      {"nn.concat", "0.weight 2 3; 0.bias 3; 0.shift 1 3; 1.weight 3 1; 1.bias 1; 1.shift 1 1",
       "embed.weight 1 4; embed.bias 4; 0.weight 2 3; 0.bias 3; 0.shift 6 3; 1.weight 3 1; 1.bias 1; 1.shift 6 1"},
      {"nn.squash", "0.weight 2 3; 0.bias 3; 0.gate 1 3; 0.gate_bias 3; 1.weight 3 1; 1.bias 1; 1.gate 1 1; "
       "1.gate_bias 1",
       "embed.weight 1 4; embed.bias 4; 0.weight 2 3; 0.bias 3; 0.gate 6 3; 0.gate_bias 3; 1.weight 3 1; 1.bias 1; "
       "1.gate 6 1; 1.gate_bias 1"},
      {"nn.concatsquash", "0.weight 2 3; 0.bias 3; 0.gate 1 3; 0.gate_bias 3; 0.shift 1 3; 1.weight 3 1; 1.bias 1; "
       "1.gate 1 1; 1.gate_bias 1; 1.shift 1 1",
       "embed.weight 1 4; embed.bias 4; 0.weight 2 3; 0.bias 3; 0.gate 6 3; 0.gate_bias 3; 0.shift 6 3; 1.weight 3 1; "
       "1.bias 1; 1.gate 6 1; 1.gate_bias 1; 1.shift 6 1"},
      {"nn.blend", "0.weight 2 3; 0.bias 3; 0.slope 1 2 3; 0.bias_slope 1 3; 1.weight 3 1; 1.bias 1; 1.slope 1 3 1; "
       "1.bias_slope 1 1",
       "embed.weight 1 4; embed.bias 4; 0.weight 2 3; 0.bias 3; 0.slope 6 2 3; 0.bias_slope 6 3; 1.weight 3 1; 1.bias 1; "
       "1.slope 6 3 1; 1.bias_slope 6 1"},
      {"nn.hyper", "hyper.0.weight 1 32; hyper.0.bias 32; hyper.1.weight 32 32; hyper.1.bias 32; 0.weight 2 3; 0.bias 3; "
       "0.slope 32 2 3; 0.bias_slope 32 3; 1.weight 3 1; 1.bias 1; 1.slope 32 3 1; 1.bias_slope 32 1",
       "embed.weight 1 4; embed.bias 4; hyper.0.weight 6 32; hyper.0.bias 32; hyper.1.weight 32 32; hyper.1.bias 32; "
       "0.weight 2 3; 0.bias 3; 0.slope 32 2 3; 0.bias_slope 32 3; 1.weight 3 1; 1.bias 1; 1.slope 32 3 1; "
       "1.bias_slope 32 1"},
  };
  const cst_given given[] = {SIZES, TEXT("embedding", "learned"), COUNT("features", 4), COUNT("context", 2)};
  for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
    layout_is(nets[i].name, given, 1, nets[i].plain);
    layout_is(nets[i].name, given, 4, nets[i].full);
  }
}

/* The net of 2 rows of `width` values at the shared f64 time t. Inputs: t, x, then the parameters. */
static cst_status build(const net *m, cst_dtype real, int64_t width, cst_graph **g, cst_value *in, cst_value *out) {
  const cst_type t = {.dtype = CST_F64}, x = {.dtype = (uint8_t)real, .space = CST_ROW, .rank = 2, .dim = {2, width}};
  CST_TRY(cst_graph_new(ctx, real, 2, g));
  in[0] = cst_graph_input(*g, &t, "t");
  in[1] = cst_graph_input(*g, &x, "x");
  for (size_t i = 0; i < m->layout.n; i++)
    in[i + 2] = cst_graph_input(*g, &m->layout.parameter[i].type, m->layout.parameter[i].name);
  *out = ((const cst_model_type *)m->entry->type)->build(*g, m->options, in + 2, in, 2);
  return (*g)->status;
}

static cst_status forward(const net *m, cst_dtype real, double t, const void *x, const void *theta, void *y) {
  cst_graph *g = NULL;
  cst_function *f = NULL;
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  cst_value in[14], out;
  const void *data[14] = {&t, x};
  for (size_t i = 0; i < m->layout.n; i++)
    data[i + 2] = (const char *)theta + m->layout.parameter[i].offset * cst_dtype_size(real);
  cst_status st = build(m, real, 2, &g, in, &out);
  if (st == CST_OK) st = cst_function_new(g, in, m->layout.n + 2, &out, 1, &f);
  if (st == CST_OK) st = cst_program_new(f, NULL, &p);
  if (st == CST_OK) st = cst_workspace_new(p, &w);
  if (st == CST_OK) st = cst_program_run(w, 2, data, &y);
  cst_workspace_free(w);
  cst_program_release(p);
  cst_object_release(f);
  cst_graph_release(g);
  return st;
}

static const double x22[] = {0.5, -1.2, 0.3, 0.9};
static const double theta[] = {0.3, -0.7, 1.1, 0.4, 0.9, -0.2, 0.15, -0.25, 0.35, /* 2x3, 3 */
                               0.8, -0.4, 0.6, 0.1, -0.3, 0.5, -0.9, 0.7, 0.2,    /* gate 1x3, 3, shift 1x3 */
                               -0.5, 0.6, 1.3, -0.8,                              /* 3x1, 1 */
                               0.45, -0.15, 0.65};                                /* 1x1, 1, 1x1 */

/* Layer of k -> n of one row, p its parameters in order; returns what follows them. */
static const double *layer(double t, const double *x, int k, const double *p, int n, double *y) {
  const double *b = p + k * n, *gate = b + n, *gate_bias = gate + n, *shift = gate_bias + n;
  for (int j = 0; j < n; j++) {
    double z = b[j];
    for (int i = 0; i < k; i++) z += x[i] * p[i * n + j];
    y[j] = z / (1 + exp(-(t * gate[j] + gate_bias[j]))) + t * shift[j];
  }
  return shift + n;
}

static void concatsquash_computes_in_both_types(void) {
  const cst_given given[] = {SIZES};
  const double t = 0.7;
  enum { N = sizeof theta / sizeof *theta };
  double expected[2], y[2];
  float theta_f[N], x_f[4], y_f[2];
  for (int i = 0; i < N; i++) theta_f[i] = (float)theta[i];
  for (int i = 0; i < 4; i++) x_f[i] = (float)x22[i];
  for (int r = 0; r < 2; r++) {
    double h[3];
    const double *p = layer(t, x22 + 2 * r, 2, theta, 3, h);
    for (int j = 0; j < 3; j++) h[j] = tanh(h[j]);
    layer(t, h, 3, p, 1, &expected[r]);
  }
  net m;
  CU_ASSERT_EQUAL_FATAL(declare("nn.concatsquash", CST_F64, given, 1, &m), CST_OK);
  CU_ASSERT_EQUAL_FATAL(m.layout.count, N);
  CU_ASSERT_EQUAL(forward(&m, CST_F64, t, x22, theta, y), CST_OK);
  drop(&m);
  CU_ASSERT_EQUAL_FATAL(declare("nn.concatsquash", CST_F32, given, 1, &m), CST_OK);
  CU_ASSERT_EQUAL(forward(&m, CST_F32, t, x_f, theta_f, y_f), CST_OK);
  drop(&m);
  for (int r = 0; r < 2; r++) {
    CU_ASSERT_DOUBLE_EQUAL(y[r], expected[r], 1e-14);
    CU_ASSERT_DOUBLE_EQUAL(y_f[r], expected[r], 1e-6);
  }
}

static void fan_in_uniform_starts_as_it_says(void) {
  const cst_given given[] = {SIZES, TEXT("init", "fan_in_uniform"), COUNT("context", 3)};
  static const double fan[] = {2, 2, 4, 4, 4, 3, 3, 4, 4, 4};
  net m;
  CU_ASSERT_EQUAL_FATAL(declare("nn.concatsquash", CST_F64, given, 3, &m), CST_OK);
  CU_ASSERT_EQUAL_FATAL(m.layout.n, sizeof fan / sizeof *fan);
  for (size_t i = 0; i < m.layout.n; i++) {
    CU_ASSERT_EQUAL(m.layout.parameter[i].init, CST_INIT_UNIFORM);
    CU_ASSERT_DOUBLE_EQUAL(m.layout.parameter[i].scale, 1 / sqrt(fan[i]), 1e-15);
  }
  drop(&m);
}

static void wrong_options_are_refused(void) {
  const cst_given wave[] = {SIZES, TEXT("embedding", "fourier"), COUNT("features", 5)};
  const cst_given hyper[] = {SIZES, {.name = "hyper", .kind = CST_LIST, .list = (const double[]){0}, .n_list = 1}};
  refuses("nn.blend", NULL, 0, "sizes");
  refuses("nn.blend", wave, 3, "embedding 'fourier' makes a sine and a cosine of each frequency, so 'features' must");
  refuses("nn.hyper", hyper, 2, "hidden width 1 must be a positive whole number, got 0");
}

static void a_build_of_wrong_inputs_is_refused(void) {
  const cst_given given[] = {SIZES, COUNT("context", 2)};
  cst_value in[14], out;
  for (size_t n = 1; n <= 2; n++) { /* without a context: a wrong width; with one: that it lacks */
    net m;
    cst_graph *g = NULL;
    CU_ASSERT_EQUAL_FATAL(declare("nn.squash", CST_F64, given, n, &m), CST_OK);
    CU_ASSERT_EQUAL(build(&m, CST_F64, 3, &g, in, &out), n == 1 ? CST_ESHAPE : CST_EINVAL);
    CU_ASSERT_EQUAL(out, CST_NONE);
    CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), n == 1 ? "squash expects 2 values a row, got 3"
                                                           : "squash has a context of 2 values a row and got none"));
    cst_graph_release(g);
    drop(&m);
  }
}

static CU_TestInfo tests[] = {
    {"nets declare their parameters in order", nets_declare_their_parameters_in_order},
    {"concatsquash computes in both types", concatsquash_computes_in_both_types},
    {"fan_in_uniform starts as it says", fan_in_uniform_starts_as_it_says},
    {"wrong options are refused", wrong_options_are_refused},
    {"a build of wrong inputs is refused", a_build_of_wrong_inputs_is_refused},
    CU_TEST_INFO_NULL,
};

int cst_suite_nn_timed(void);
int cst_suite_nn_timed(void) {
  CU_SuiteInfo info[] = {{"nn_timed", open_nn, close_nn, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
