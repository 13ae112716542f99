/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Scans: against a loop by hand, forward and backward in direction, their derivatives of first and
 * second order, and a solve inside a scan inside a loss.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>

#include "costate/solve.h"
#include "evaluate.h"

enum { T = 5, B = 3, H = 2 };

/* body: (h, x, w) -> (tanh(h w + x), sum of squares of h) with h, x [B, H]. */
static cst_function *body(cst_context *ctx) {
  cst_graph *g;
  cst_function *f = NULL;
  cst_type h = {CST_F64, CST_SHARED, 2, {B, H}}, w = {CST_F64, CST_SHARED, 2, {H, H}};
  cst_graph_new(ctx, CST_F64, 0, &g);
  cst_value in[3] = {cst_graph_input(g, &h, "h"), cst_graph_input(g, &h, "x"), cst_graph_input(g, &w, "w")};
  cst_value out[2];
  out[0] = cst_tanh(g, cst_add(g, cst_matmul(g, in[0], in[2], false), in[1]));
  out[1] = cst_sum(g, cst_square(g, in[0]), 2, false);
  cst_function_new(g, in, 3, out, 2, &f);
  cst_graph_release(g);
  return f;
}

typedef struct setup {
  cst_context *ctx;
  cst_graph *g;
  cst_value in[3], loss;
  double *at[3];
  size_t n[3];
} setup;

static void prepare(setup *s, bool reverse) {
  const cst_type type[3] = {{CST_F64, 0, 2, {B, H}}, {CST_F64, 0, 3, {B, T, H}}, {CST_F64, 0, 2, {H, H}}};
  cst_rng r = {1, 9, 0};
  s->ctx = cst_context_new(NULL);
  cst_graph_new(s->ctx, CST_F64, 0, &s->g);
  for (int i = 0; i < 3; i++) {
    s->in[i] = cst_graph_input(s->g, &type[i], "x");
    s->n[i] = cst_type_count(&type[i]);
    s->at[i] = calloc(s->n[i], sizeof(double));
    for (size_t k = 0; k < s->n[i]; k++) s->at[i][k] = random_number(&r, -1, 1);
  }
  cst_function *f = body(s->ctx);
  cst_value v = cst_graph_scan(s->g, f, s->in, 1, s->in + 1, 1, s->in + 2, 1, 1, reverse);
  cst_object_release(f);
  cst_value all = cst_sum(s->g, cst_mul(s->g, cst_graph_iota(s->g, T), v + 1), ~(uint64_t)0, false);
  s->loss = cst_add(s->g, cst_sum(s->g, cst_sin(s->g, v), ~(uint64_t)0, false), all);
  if (!s->loss) fprintf(stderr, "%s\n", cst_message(s->ctx));
}

static void release(setup *s) {
  for (int i = 0; i < 3; i++) free(s->at[i]);
  cst_graph_release(s->g);
  cst_context_free(s->ctx);
}

static double by_hand(const setup *s, bool reverse) {
  double h[B][H], loss = 0;
  memcpy(h, s->at[0], sizeof h);
  for (int k = 0; k < T; k++) {
    int t = reverse ? T - 1 - k : k;
    for (int b = 0; b < B; b++) {
      double next[H], q = 0;
      for (int j = 0; j < H; j++) {
        double z = s->at[1][(b * T + t) * H + j];
        for (int i = 0; i < H; i++) z += h[b][i] * s->at[2][i * H + j];
        next[j] = tanh(z);
        q += h[b][j] * h[b][j];
      }
      loss += t * q;
      memcpy(h[b], next, sizeof next);
    }
  }
  for (int b = 0; b < B; b++)
    for (int j = 0; j < H; j++) loss += sin(h[b][j]);
  return loss;
}

static double value_of(setup *s, cst_value out, const cst_value *extra, const void *const *extra_at, size_t n) {
  cst_value inputs[8];
  const void *in[8];
  double x = NAN;
  for (int i = 0; i < 3; i++) inputs[i] = s->in[i], in[i] = s->at[i];
  for (size_t i = 0; i < n; i++) inputs[3 + i] = extra[i], in[3 + i] = extra_at[i];
  if (evaluate(s->g, inputs, 3 + n, &out, 1, in, (void *[]){&x}) != CST_OK)
    fprintf(stderr, "%s\n", cst_message(s->ctx));
  return x;
}

static void scan_is_a_loop(void) {
  for (int reverse = 0; reverse < 2; reverse++) {
    setup s;
    prepare(&s, reverse);
    CU_ASSERT(fabs(value_of(&s, s.loss, NULL, NULL, 0) - by_hand(&s, reverse)) < 1e-13);
    release(&s);
  }
}

/* <grad, d> as a value; differentiated once more along d. */
static void derivatives(bool reverse) {
  setup s;
  prepare(&s, reverse);
  cst_rng r = {2, 9, 0};
  for (int i = 0; i < 3; i++) {
    cst_type t = *cst_type_of(s.g, s.in[i]);
    cst_value d = cst_graph_input(s.g, &t, "d"), one = cst_scalar(s.g, 1), bar, first, second, rr, bar2, dots[3] = {0};
    double *dx = calloc(s.n[i], sizeof(double)), *keep = calloc(s.n[i], sizeof(double));
    for (size_t k = 0; k < s.n[i]; k++) dx[k] = random_number(&r, -1, 1), keep[k] = s.at[i][k];
    CU_ASSERT(cst_graph_vjp(s.g, &s.loss, &one, 1, &s.in[i], 1, &bar) == CST_OK);
    dots[i] = d;
    CU_ASSERT(cst_graph_jvp(s.g, s.in, dots, 3, &s.loss, 1, &first) == CST_OK);
    cst_value along = cst_sum(s.g, cst_mul(s.g, bar, d), ~(uint64_t)0, false);
    CU_ASSERT(cst_graph_jvp(s.g, s.in, dots, 3, &along, 1, &second) == CST_OK); /* forward over reverse */
    CU_ASSERT(cst_graph_vjp(s.g, &first, &one, 1, &s.in[i], 1, &rr) == CST_OK);  /* reverse over forward */
    CU_ASSERT(cst_graph_vjp(s.g, &along, &one, 1, &s.in[i], 1, &bar2) == CST_OK); /* reverse over reverse */
    if (s.g->status != CST_OK) fprintf(stderr, "%s\n", cst_message(s.ctx));
    rr = cst_sum(s.g, cst_mul(s.g, rr, d), ~(uint64_t)0, false);
    bar2 = cst_sum(s.g, cst_mul(s.g, bar2, d), ~(uint64_t)0, false);
    const void *at = dx;
    double g = value_of(&s, along, &d, &at, 1), f = value_of(&s, first, &d, &at, 1);
    double h2 = value_of(&s, second, &d, &at, 1), h3 = value_of(&s, rr, &d, &at, 1), h4 = value_of(&s, bar2, &d, &at, 1);
    double value[2], slope[2], h = 1e-5;
    for (int k = 0; k < 2; k++) {
      for (size_t j = 0; j < s.n[i]; j++) s.at[i][j] = keep[j] + (k ? -h : h) * dx[j];
      value[k] = by_hand(&s, reverse);
      slope[k] = value_of(&s, along, &d, &at, 1);
    }
    memcpy(s.at[i], keep, s.n[i] * sizeof *keep);
    CU_ASSERT(fabs(g - (value[0] - value[1]) / (2 * h)) < 1e-7 * (1 + fabs(g)));
    CU_ASSERT(fabs(g - f) < 1e-12 * (1 + fabs(g)));
    CU_ASSERT(fabs(h2 - (slope[0] - slope[1]) / (2 * h)) < 1e-7 * (1 + fabs(h2)));
    CU_ASSERT(fabs(h3 - h2) < 1e-11 * (1 + fabs(h2)));
    CU_ASSERT(fabs(h4 - h2) < 1e-11 * (1 + fabs(h2)));
    free(dx), free(keep);
  }
  release(&s);
}
static void scan_differentiates_twice(void) { derivatives(false), derivatives(true); }

/* ---- a solve in a scan in a loss ------------------------------------------------------------------------- */

/* field: dy = tanh(y a) */
static cst_solve_plan *plan(cst_context *ctx) {
  cst_graph *g;
  cst_function *f = NULL;
  cst_solve_plan *p = NULL;
  cst_type t = {.dtype = CST_F64}, y = {CST_F64, CST_ROW, 2, {B, H}}, a = {CST_F64, 0, 2, {H, H}};
  cst_solve_options o;
  cst_solve_defaults(&o);
  cst_graph_new(ctx, CST_F64, B, &g);
  cst_value in[3] = {cst_graph_input(g, &t, "t"), cst_graph_input(g, &y, "y"), cst_graph_input(g, &a, "a")};
  cst_value dy = cst_tanh(g, cst_matmul(g, in[1], in[2], false));
  cst_function_new(g, in, 3, &dy, 1, &f);
  if (cst_solve_plan_new(ctx, f, 1, NULL, NULL, &o, &p) != CST_OK) fprintf(stderr, "%s\n", cst_message(ctx));
  cst_object_release(f);
  cst_graph_release(g);
  return p;
}

/* (h, x, a) -> h' = solve from h + x over [0, 0.3]; times are a constant of the body. */
static cst_function *solving_body(cst_context *ctx) {
  cst_graph *g;
  cst_function *f = NULL;
  cst_solve_plan *p = plan(ctx);
  cst_tensor *times;
  cst_type h = {CST_F64, CST_SHARED, 2, {B, H}}, a = {CST_F64, 0, 2, {H, H}};
  cst_tensor_new(ctx, CST_F64, 1, (int64_t[]){2}, &times);
  cst_tensor_set(times, 1, 0.3);
  cst_graph_new(ctx, CST_F64, B, &g);
  cst_value in[3] = {cst_graph_input(g, &h, "h"), cst_graph_input(g, &h, "x"), cst_graph_input(g, &a, "a")};
  cst_value y0 = cst_add(g, in[0], in[1]);
  cst_value v = cst_graph_solve(g, p, &y0, cst_graph_constant(g, times), &in[2]);
  cst_value last = cst_reshape(g, cst_slice(g, v, 1, 1, 2, 1), 2, (int64_t[]){B, H});
  cst_function_new(g, in, 3, &last, 1, &f);
  if (!f) fprintf(stderr, "%s\n", cst_message(ctx));
  cst_tensor_release(times);
  cst_object_release(p);
  cst_graph_release(g);
  return f;
}

static void a_field_in_a_scan_in_a_loss(void) {
  setup s;
  prepare(&s, false);
  cst_graph_release(s.g);
  cst_graph_new(s.ctx, CST_F64, B, &s.g);
  const cst_type type[3] = {{CST_F64, 0, 2, {B, H}}, {CST_F64, 0, 3, {B, T, H}}, {CST_F64, 0, 2, {H, H}}};
  for (int i = 0; i < 3; i++) s.in[i] = cst_graph_input(s.g, &type[i], "x");
  cst_function *f = solving_body(s.ctx);
  cst_value v = cst_graph_scan(s.g, f, s.in, 1, s.in + 1, 1, s.in + 2, 1, 1, false);
  cst_object_release(f);
  s.loss = cst_sum(s.g, cst_square(s.g, v), ~(uint64_t)0, false);
  cst_value d = cst_graph_input(s.g, &type[2], "d"), dots[3] = {0, 0, d}, one = cst_scalar(s.g, 1), bar, first, hv;
  double dx[H * H] = {0.3, -0.7, 0.2, 0.5}, keep[H * H], value[2], slope[2], h = 1e-5;
  const void *at = dx;
  CU_ASSERT(cst_graph_vjp(s.g, &s.loss, &one, 1, &s.in[2], 1, &bar) == CST_OK);
  CU_ASSERT(cst_graph_jvp(s.g, s.in, dots, 3, &s.loss, 1, &first) == CST_OK);
  CU_ASSERT(cst_graph_vjp(s.g, &first, &one, 1, &s.in[2], 1, &hv) == CST_OK);
  if (s.g->status != CST_OK) fprintf(stderr, "%s\n", cst_message(s.ctx));
  cst_value along = cst_sum(s.g, cst_mul(s.g, bar, d), ~(uint64_t)0, false);
  cst_value twice = cst_sum(s.g, cst_mul(s.g, hv, d), ~(uint64_t)0, false);
  double g = value_of(&s, along, &d, &at, 1), g2 = value_of(&s, first, &d, &at, 1), c = value_of(&s, twice, &d, &at, 1);
  memcpy(keep, s.at[2], sizeof keep);
  for (int k = 0; k < 2; k++) {
    for (int j = 0; j < H * H; j++) s.at[2][j] = keep[j] + (k ? -h : h) * dx[j];
    value[k] = value_of(&s, s.loss, NULL, NULL, 0);
    slope[k] = value_of(&s, along, &d, &at, 1);
  }
  CU_ASSERT(fabs(g - g2) < 1e-12 * (1 + fabs(g)));
  CU_ASSERT(fabs(g - (value[0] - value[1]) / (2 * h)) < 1e-5 * (1 + fabs(g)));
  CU_ASSERT(fabs(c - (slope[0] - slope[1]) / (2 * h)) < 1e-4 * (1 + fabs(c)));
  release(&s);
}

/* ---- bodies of other shapes ------------------------------------------------------------------------------- */

/* (carry, x, w) -> (carry w + sum of x, sin(carry)), with a carry of rank 0 and x [2]. */
static cst_function *scalar_body(cst_context *ctx) {
  cst_graph *g;
  cst_function *f = NULL;
  cst_type c = {.dtype = CST_F64}, x = {CST_F64, 0, 1, {2}};
  cst_graph_new(ctx, CST_F64, 0, &g);
  cst_value in[3] = {cst_graph_input(g, &c, "c"), cst_graph_input(g, &x, "x"), cst_graph_input(g, &c, "w")};
  cst_value out[2] = {cst_add(g, cst_mul(g, in[0], in[2]), cst_sum(g, in[1], 1, false)), cst_sin(g, in[0])};
  cst_function_new(g, in, 3, out, 2, &f);
  cst_graph_release(g);
  return f;
}

/* Scalars along the second axis of the sequence: their stacks have one axis. */
static void scalars_are_carried_along_any_axis(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_type c = {.dtype = CST_F64}, x = {CST_F64, 0, 2, {2, T}};
  cst_function *f = scalar_body(ctx);
  cst_graph_new(ctx, CST_F64, 0, &g);
  cst_value in[3] = {cst_graph_input(g, &c, "c"), cst_graph_input(g, &x, "x"), cst_graph_input(g, &c, "w")}, out[3];
  cst_value v = cst_graph_scan(g, f, in, 1, in + 1, 1, in + 2, 1, 1, false), one = cst_scalar(g, 1);
  CU_ASSERT(cst_type_of(g, v + 1)->rank == 1 && cst_type_of(g, v + 1)->dim[0] == T);
  cst_value loss = cst_add(g, v, cst_sum(g, v + 1, 1, false));
  CU_ASSERT(cst_graph_vjp(g, &loss, &one, 1, in, 3, out) == CST_OK);
  double at[2] = {0.4, 0.8}, xs[2 * T], up, down, h = 1e-6, c_bar, w_bar, x_bar[2 * T];
  const void *const of[3] = {&at[0], xs, &at[1]};
  for (int i = 0; i < 2 * T; i++) xs[i] = 0.1 * i;
  CU_ASSERT(evaluate(g, in, 3, out, 3, of, (void *[]){&c_bar, x_bar, &w_bar}) == CST_OK);
  double *const move[3] = {&at[0], &xs[T + 1], &at[1]}, bar[3] = {c_bar, x_bar[T + 1], w_bar};
  for (int i = 0; i < 3; i++) {
    double keep = *move[i];
    *move[i] = keep + h, evaluate(g, in, 3, &loss, 1, of, (void *[]){&up});
    *move[i] = keep - h, evaluate(g, in, 3, &loss, 1, of, (void *[]){&down});
    *move[i] = keep;
    CU_ASSERT(fabs(bar[i] - (up - down) / (2 * h)) < 1e-7);
  }
  cst_object_release(f), cst_graph_release(g), cst_context_free(ctx);
}

/* The status of a scan in an f32 graph over x [5] of f32 whose body takes `carry` and returns x. */
static cst_status scan_of(cst_type carry, bool same) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g, *b;
  cst_function *f = NULL;
  cst_type x = {.dtype = CST_F32}, xs = {CST_F32, 0, 1, {5}};
  cst_graph_new(ctx, CST_F32, 0, &b);
  cst_value in[2] = {cst_graph_input(b, &carry, "c"), cst_graph_input(b, &x, "x")};
  cst_function_new(b, in, 2, &in[same ? 0 : 1], 1, &f);
  cst_graph_new(ctx, CST_F32, 0, &g);
  cst_value c = cst_graph_input(g, &carry, "c"), s = cst_graph_input(g, &xs, "x");
  cst_graph_scan(g, f, &c, 1, &s, 1, NULL, 0, 0, false);
  cst_status st = g->status;
  cst_object_release(f), cst_graph_release(b), cst_graph_release(g), cst_context_free(ctx);
  return st;
}

static void bodies_that_do_not_fit_are_refused(void) {
  CU_ASSERT_EQUAL(scan_of((cst_type){.dtype = CST_F32}, false), CST_OK);
  CU_ASSERT_EQUAL(scan_of((cst_type){.dtype = CST_F64}, false), CST_EDTYPE); /* f64 in, f32 out */
  CU_ASSERT_EQUAL(scan_of((cst_type){.dtype = CST_I64}, false), CST_EDTYPE);
  CU_ASSERT_EQUAL(scan_of((cst_type){.dtype = CST_I64}, true), CST_OK);
  CU_ASSERT_EQUAL(scan_of((cst_type){CST_F32, 0, 8, {1, 1, 1, 1, 1, 1, 1, 2}}, true), CST_ESHAPE);
}

/* The pullback of a scan has more sequences than the scan itself. */
static void too_many_values_are_refused(void) {
  enum { N = 60 };
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g, *b;
  cst_function *f = NULL;
  cst_type c = {.dtype = CST_F64}, xs = {CST_F64, 0, 1, {5}};
  cst_value in[N + 1], out[3 * N], bar[3 * N];
  cst_graph_new(ctx, CST_F64, 0, &b);
  for (int i = 0; i <= N; i++) in[i] = cst_graph_input(b, &c, "c");
  for (int i = 0; i < N; i++) out[i] = cst_mul(b, in[i], in[N]), out[N + i] = cst_sin(b, in[i]);
  CU_ASSERT(cst_function_new(b, in, N + 1, out, 2 * N, &f) == CST_OK);
  cst_graph_new(ctx, CST_F64, 0, &g);
  for (int i = 0; i <= N; i++) in[i] = cst_graph_input(g, i < N ? &c : &xs, "c");
  cst_value v = cst_graph_scan(g, f, in, N, in + N, 1, NULL, 0, 0, false);
  for (cst_value i = 0; i < 3 * N; i++) out[i] = v + i, bar[i] = cst_zeros_like(g, out[i]);
  CU_ASSERT(cst_graph_vjp(g, out, bar, 3 * N, in, N + 1, in) == CST_EUNSUPPORTED);
  cst_object_release(f), cst_graph_release(b), cst_graph_release(g), cst_context_free(ctx);
}

int cst_suite_scan(void);
int cst_suite_scan(void) {
  CU_pSuite s = CU_add_suite("scan", NULL, NULL);
  return s && CU_add_test(s, "a scan is a loop", scan_is_a_loop) &&
         CU_add_test(s, "a scan differentiates, twice", scan_differentiates_twice) &&
         CU_add_test(s, "a field in a scan in a loss, twice", a_field_in_a_scan_in_a_loss) &&
         CU_add_test(s, "scalars are carried along any axis", scalars_are_carried_along_any_axis) &&
         CU_add_test(s, "bodies that do not fit are refused", bodies_that_do_not_fit_are_refused) &&
         CU_add_test(s, "too many values are refused", too_many_values_are_refused) ? 0 : 1;
}
