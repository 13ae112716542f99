/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Forward derivatives of a field, and a field of one row at a time.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <string.h>

#include "costate/build.h"
#include "costate/context.h"
#include "ode/field.h"

int cst_suite_field(void);

enum { ROWS = 3, D = 2, E = 1 }; /* parts u [rows, D] and v [rows, E] */

static cst_type rows_of(int64_t n) { return (cst_type){.dtype = CST_F64, .space = CST_ROW, .rank = 2, .dim = {ROWS, n}}; }

/* du = sin(u) v a t, dv = u0 u1 + c v^2 t^2, with a [2] shared and c a number a row. */
static cst_function *function(cst_context *ctx, bool coupled) {
  cst_graph *g;
  cst_function *f = NULL;
  cst_type t = {.dtype = CST_F64}, a = {.dtype = CST_F64, .rank = 1, .dim = {D}}, u = rows_of(D), v = rows_of(E), c = rows_of(1);
  cst_graph_new(ctx, CST_F64, ROWS, &g);
  cst_value in[5] = {cst_graph_input(g, &t, "t"), cst_graph_input(g, &u, "u"), cst_graph_input(g, &v, "v"),
                     cst_graph_input(g, &a, "a"), cst_graph_input(g, &c, "c")};
  cst_value du = cst_mul(g, cst_mul(g, cst_mul(g, cst_sin(g, in[1]), in[2]), in[3]), in[0]);
  cst_value product = cst_mul(g, cst_slice(g, in[1], 1, 0, 1, 1), cst_slice(g, in[1], 1, 1, 2, 1));
  cst_value dv = cst_add(g, product, cst_mul(g, cst_mul(g, in[4], cst_square(g, in[2])), cst_square(g, in[0])));
  cst_graph_line(g, "demo.lua", 9);
  if (coupled) dv = cst_add(g, dv, cst_mean(g, in[1]));
  cst_value out[2] = {du, dv};
  CU_ASSERT_FATAL(cst_function_new(g, in, 5, out, 2, &f) == CST_OK);
  cst_graph_release(g);
  return f;
}

static const double a[D] = {0.7, -1.3}, c[ROWS] = {0.4, -0.2, 1.1}, t = 0.8;
static const double y[ROWS * (D + E)] = {0.3, 1.2, -0.5, 0.9, 2.0, -1.4, /* u */ 0.6, -0.7, 1.5 /* v */};

/* J of one row by hand: columns u0, u1, v. */
static void by_hand(size_t r, double J[3][3], double dfdt[3]) {
  const double *u = y + r * D;
  double v = y[ROWS * D + r];
  memset(J, 0, 9 * sizeof(double));
  for (int i = 0; i < 2; i++) {
    J[i][i] = cos(u[i]) * v * a[i] * t;
    J[i][2] = sin(u[i]) * a[i] * t;
    dfdt[i] = sin(u[i]) * v * a[i];
  }
  J[2][0] = u[1], J[2][1] = u[0], J[2][2] = 2 * c[r] * v * t * t;
  dfdt[2] = 2 * c[r] * v * v * t;
}

typedef struct setting {
  cst_context *ctx;
  cst_function *f;
  cst_field *field;
  cst_field_rhs *r;
  cst_rhs *base;
} setting;

static setting open_field(size_t rows, bool coupled) {
  setting s = {.ctx = cst_context_new(NULL)};
  const cst_run run = {.ctx = s.ctx};
  s.f = function(s.ctx, coupled);
  CU_ASSERT_FATAL(cst_field_new(s.ctx, s.f, 2, &s.field) == CST_OK);
  uint32_t all = 1u << FIELD_EVAL | 1u << FIELD_KEEP | 1u << FIELD_PULL | 1u << FIELD_JOINT | 1u << FIELD_JVP;
  CU_ASSERT_FATAL(cst_field_rhs_new(s.field, rows, NULL, NULL, all, &s.r) == CST_OK);
  s.base = cst_field_rhs_base(s.r);
  cst_field_rhs_bind(s.r, (const void *[]){a, c}, &run);
  return s;
}

static void close_field(setting *s) {
  cst_field_rhs_free(s->r), cst_object_release(s->field), cst_object_release(s->f);
  cst_context_free(s->ctx);
}

static void jacobians_of_rows(void) {
  setting s = open_field(ROWS, false);
  double J[ROWS][3][3], dfdt[ROWS][3], want[3][3], want_t[3];
  CU_ASSERT(s.base->jacobian(s.base, &t, y, J, dfdt) == CST_OK);
  for (size_t r = 0; r < ROWS; r++) {
    by_hand(r, want, want_t);
    for (int i = 0; i < 3; i++) {
      CU_ASSERT_DOUBLE_EQUAL(dfdt[r][i], want_t[i], 1e-14);
      for (int j = 0; j < 3; j++) CU_ASSERT_DOUBLE_EQUAL(J[r][i][j], want[i][j], 1e-14);
    }
  }
  close_field(&s);
}

/* As many columns at a time as the band lets be told apart. */
static void a_band_takes_fewer_columns(void) {
  setting s = open_field(ROWS, false);
  double J[ROWS][3][3];
  s.base->lower = s.base->upper = 0;
  s.base->evaluations = 0;
  CU_ASSERT(s.base->jacobian(s.base, &t, y, J, NULL) == CST_OK);
  CU_ASSERT_EQUAL(s.base->evaluations, 1);
  CU_ASSERT_EQUAL(J[0][0][1], 0);
  s.base->lower = 2, s.base->upper = 1;
  CU_ASSERT(s.base->jacobian(s.base, &t, y, J, NULL) == CST_OK);
  CU_ASSERT_EQUAL(s.base->evaluations, 4);
  close_field(&s);
}

static void coupled_rows_have_no_blocks(void) {
  setting s = open_field(ROWS, true);
  double J[ROWS][3][3];
  CU_ASSERT(s.base->jacobian(s.base, &t, y, J, NULL) == CST_EUNSUPPORTED);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(s.ctx), "demo.lua:9"));
  close_field(&s);
}

/* One row at a time: the bits of the batch, cotangents of row captures at their row, of shared ones summed. */
static void rows_one_by_one(void) {
  setting all = open_field(ROWS, false), one = open_field(1, false);
  double dy[ROWS * 3], lambda[ROWS * 3], y_bar[ROWS * 3] = {0}, bars[2][D + ROWS] = {{0}}, t_bar[2] = {0};
  void *residual = cst_alloc(all.ctx, all.base->residual_bytes);
  for (size_t i = 0; i < ROWS * 3; i++) lambda[i] = 0.1 * (double)i - 0.3;
  cst_field_rhs_bind_bars(all.r, (void *[]){bars[0], bars[0] + D});
  cst_field_rhs_bind_bars(one.r, (void *[]){bars[1], bars[1] + D});
  CU_ASSERT(all.base->eval_keep(all.base, &t, y, dy, residual) == CST_OK);
  CU_ASSERT(all.base->pullback(all.base, &t, residual, lambda, y_bar, &t_bar[0]) == CST_OK);
  for (size_t r = 0; r < ROWS; r++) {
    double v[3] = {y[r * D], y[r * D + 1], y[ROWS * D + r]}, d[3], bar[3] = {0};
    double l[3] = {lambda[r * D], lambda[r * D + 1], lambda[ROWS * D + r]};
    cst_field_rhs_select(one.r, r);
    CU_ASSERT(one.base->eval_keep(one.base, &t, v, d, residual) == CST_OK);
    CU_ASSERT(d[0] == dy[r * D] && d[1] == dy[r * D + 1] && d[2] == dy[ROWS * D + r]);
    CU_ASSERT(one.base->pullback(one.base, &t, residual, l, bar, &t_bar[1]) == CST_OK);
    CU_ASSERT(bar[0] == y_bar[r * D] && bar[2] == y_bar[ROWS * D + r]);
  }
  for (size_t i = 0; i < D + ROWS; i++) CU_ASSERT_DOUBLE_EQUAL(bars[0][i], bars[1][i], 1e-14);
  CU_ASSERT_DOUBLE_EQUAL(t_bar[0], t_bar[1], 1e-14);
  cst_free(all.ctx, residual);
  close_field(&all), close_field(&one);
}

int cst_suite_field(void) {
  CU_pSuite s = CU_add_suite("field", NULL, NULL);
  if (!s) return -1;
  bool ok = CU_add_test(s, "Jacobians of rows", jacobians_of_rows) &&
            CU_add_test(s, "a band takes fewer columns", a_band_takes_fewer_columns) &&
            CU_add_test(s, "coupled rows have no blocks", coupled_rows_have_no_blocks) &&
            CU_add_test(s, "rows one by one", rows_one_by_one);
  return ok ? 0 : -1;
}
