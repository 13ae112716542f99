/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Optimizers: the first steps by hand, and descent to the minimum of a quadratic, in f32 and f64.
 */
#include <CUnit/CUnit.h>
#include <math.h>

#include "costate/registry.h"

static cst_context *ctx;

static int open_optimizers(void) {
  ctx = cst_context_new(NULL);
  return !ctx || cst_plugin_load(ctx, "optimizers") != CST_OK;
}
static int close_optimizers(void) {
  cst_context_free(ctx);
  return 0;
}

/* theta of three parameters after steps along the gradient theta - 3; NaN when something fails. */
typedef struct descent {
  const char *name;
  cst_dtype dtype;
  double rate, start;
  int steps;
  cst_given given[4];
  size_t n_given;
} descent;

static void gradient(cst_dtype dtype, const double *theta64, const float *theta32, double *g64,
                     float *g32) {
  for (int i = 0; i < 3; i++)
    if (dtype == CST_F32) g32[i] = theta32[i] - 3;
    else g64[i] = theta64[i] - 3;
}

static double descend(const descent *d) {
  double theta64[3], g64[3], slot64[4][3] = {{0}};
  float theta32[3], g32[3], slot32[4][3] = {{0}};
  const cst_entry *e = cst_find(ctx, CST_KIND_OPTIMIZER, d->name);
  cst_options *o = NULL;
  if (!e || cst_options_new(ctx, d->name, e->options, d->given, d->n_given, &o) != CST_OK)
    return (double)NAN;
  for (int i = 0; i < 3; i++) theta64[i] = d->start, theta32[i] = (float)d->start;
  bool single = d->dtype == CST_F32;
  for (int k = 1; k <= d->steps; k++) {
    gradient(d->dtype, theta64, theta32, g64, g32);
    cst_update u = {.struct_size = sizeof u,
                    .dtype = (uint8_t)d->dtype,
                    .n = 3,
                    .count = (uint64_t)k,
                    .rate = d->rate,
                    .theta = single ? (void *)theta32 : theta64,
                    .gradient = single ? (void *)g32 : g64};
    for (int s = 0; s < 4; s++) u.slot[s] = single ? (void *)slot32[s] : slot64[s];
    ((const cst_optimizer_type *)e->type)->update(o, &u);
  }
  cst_options_free(ctx, o);
  return single ? (double)theta32[2] : theta64[2];
}

static void check(descent d, double expected) {
  d.dtype = CST_F64;
  CU_ASSERT_DOUBLE_EQUAL(descend(&d), expected, 1e-13);
  d.dtype = CST_F32;
  CU_ASSERT_DOUBLE_EQUAL(descend(&d), expected, 2e-6);
}

#define NUMBER(nm, x) {.name = nm, .kind = CST_NUMBER, .number = x}
#define YES(nm) {.name = nm, .kind = CST_BOOLEAN, .number = 1}

/* From 1 the gradients are -2, then by the formulas in plugins/optimizers/rules.inc. */
static void sgd_steps(void) {
  check((descent){.name = "optimizers.sgd", .rate = 0.1, .start = 1, .steps = 2}, 1.38);
  /* b = -2, theta 1.2; b = -1.8 - 1.8 */
  check((descent){.name = "optimizers.sgd", .rate = 0.1, .start = 1, .steps = 2,
                  .given = {NUMBER("momentum", 0.9)}, .n_given = 1}, 1.56);
  /* theta = 1 + 0.1 (2 + 1.8) */
  check((descent){.name = "optimizers.sgd", .rate = 0.1, .start = 1, .steps = 1,
                  .given = {NUMBER("momentum", 0.9), YES("nesterov")}, .n_given = 2}, 1.38);
  /* g = -2 + 0.5 */
  check((descent){.name = "optimizers.sgd", .rate = 0.1, .start = 1, .steps = 1,
                  .given = {NUMBER("weight_decay", 0.5)}, .n_given = 1}, 1.15);
}

static void adam_steps(void) {
  double first = 1 + 0.1 * 2 / (2 + 1e-8), g = first - 3;
  double m = (0.9 * 0.1 * -2 + 0.1 * g) / (1 - 0.81);
  double v = (0.999 * 0.001 * 4 + 0.001 * g * g) / (1 - 0.998001);
  double second = first - 0.1 * m / (sqrt(v) + 1e-8);
  check((descent){.name = "optimizers.adam", .rate = 0.1, .start = 1, .steps = 1}, first);
  check((descent){.name = "optimizers.adam", .rate = 0.1, .start = 1, .steps = 2}, second);
  check((descent){.name = "optimizers.adamw",
                  .rate = 0.1,
                  .start = 1,
                  .steps = 1,
                  .given = {NUMBER("weight_decay", 0.5)},
                  .n_given = 1},
        0.95 + 0.1 * 2 / (2 + 1e-8));
}

static void adamax_steps(void) {
  double first = 1 + 0.1 * 2 / (2 + 1e-8), g = first - 3;
  double m = 0.9 * 0.1 * -2 + 0.1 * g, s = fmax(0.999 * (2 + 1e-8), -g + 1e-8);
  check((descent){.name = "optimizers.adamax", .rate = 0.1, .start = 1, .steps = 1}, first);
  check((descent){.name = "optimizers.adamax", .rate = 0.1, .start = 1, .steps = 2},
        first - 0.1 * m / (1 - 0.81) / s);
}

static void rmsprop_steps(void) {
  double first = 1 + 0.01 * 2 / (sqrt(0.04) + 1e-8), g = first - 3;
  double v = 0.99 * 0.04 + 0.01 * g * g;
  check((descent){.name = "optimizers.rmsprop", .rate = 0.01, .start = 1, .steps = 1}, first);
  check((descent){.name = "optimizers.rmsprop", .rate = 0.01, .start = 1, .steps = 2},
        first - 0.01 * g / (sqrt(v) + 1e-8));
  check((descent){.name = "optimizers.rmsprop", .rate = 0.01, .start = 1, .steps = 1,
                  .given = {YES("centered")}, .n_given = 1},
        1 + 0.01 * 2 / (sqrt(0.04 - 0.0004) + 1e-8));
}

/* Everything registered finds the minimum at 3, in both types. */
static void all_descend(void) {
  size_t n = cst_entry_count(ctx, CST_KIND_OPTIMIZER);
  CU_ASSERT(n >= 5);
  for (size_t i = 0; i < n; i++) {
    descent d = {.name = cst_entry_at(ctx, CST_KIND_OPTIMIZER, i)->name, .rate = 0.01, .start = 1,
                 .steps = 3000, .given = {NUMBER("weight_decay", 0)}, .n_given = 1};
    d.dtype = CST_F64;
    CU_ASSERT_DOUBLE_EQUAL(descend(&d), 3, 0.011);
    d.dtype = CST_F32;
    CU_ASSERT_DOUBLE_EQUAL(descend(&d), 3, 0.011);
  }
}

/* A gradient that is not finite shows in theta: nothing hides it. */
static void nan_is_not_hidden(void) {
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_OPTIMIZER); i++) {
    descent d = {.name = cst_entry_at(ctx, CST_KIND_OPTIMIZER, i)->name,
                 .dtype = CST_F64,
                 .rate = 0.01,
                 .start = (double)NAN,
                 .steps = 2};
    CU_ASSERT(isnan(descend(&d)));
  }
}

static CU_TestInfo tests[] = {
    {"sgd, first steps", sgd_steps},         {"adam, first steps", adam_steps},
    {"adamax, first steps", adamax_steps},   {"rmsprop, first steps", rmsprop_steps},
    {"all descend", all_descend},            {"NaN is not hidden", nan_is_not_hidden},
    CU_TEST_INFO_NULL,
};

int cst_suite_optimizers(void);
int cst_suite_optimizers(void) {
  CU_SuiteInfo info[] = {{"optimizers", open_optimizers, close_optimizers, NULL, NULL, tests},
                         CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
