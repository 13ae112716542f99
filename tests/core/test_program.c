/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What compiled programs promise: rows do not see each other, chunks and threads change no bit, sums
 * accumulate where asked, fusion changes nothing, errors name the line.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>

#include "costate/solve.h"
#include "evaluate.h"
#include "ode/field.h"

enum { MOST = 5003, K = 6, H = 9 };

static cst_type vec(int64_t n) { return (cst_type){.dtype = CST_F32, .rank = 1, .dim = {n}}; }
static cst_type mat(int64_t m, int64_t n) { return (cst_type){.dtype = CST_F32, .rank = 2, .dim = {m, n}}; }
static cst_type rows_of(int64_t rows, int64_t n) {
  return (cst_type){.dtype = CST_F32, .space = CST_ROW, .rank = 2, .dim = {rows, n}};
}

/* y -> tanh(y W + b) V * column 0 of y + sin(y column 1), a mix of layers, chains and slices. */
static cst_function *layers(cst_context *ctx, int64_t rows) {
  cst_graph *g;
  cst_function *f = NULL;
  cst_type y = rows_of(rows, K), w = mat(K, H), b = vec(H), v = mat(H, K), t = {.dtype = CST_F64};
  cst_graph_new(ctx, CST_F32, rows, &g);
  cst_value in[5] = {cst_graph_input(g, &t, "t"), cst_graph_input(g, &y, "y"), cst_graph_input(g, &w, "w"),
                     cst_graph_input(g, &b, "b"), cst_graph_input(g, &v, "v")};
  cst_value h = cst_dense(g, in[1], in[2], in[3], CST_TANH);
  cst_value o = cst_mul(g, cst_matmul(g, h, in[4], false), cst_slice(g, in[1], 1, 0, 1, 1));
  o = cst_add(g, o, cst_sin(g, cst_slice(g, in[1], 1, 1, 2, 1)));
  cst_function_new(g, in, 5, &o, 1, &f);
  cst_graph_release(g);
  return f;
}

static float *random_floats(size_t n, uint64_t stream) {
  cst_rng r = {1, stream, 0};
  float *x = calloc(n + 16, sizeof *x);
  for (size_t i = 0; i < n; i++) x[i] = (float)random_number(&r, -1, 1);
  return x;
}

typedef struct data {
  double t;
  float *y, *w, *b, *v;
} data;
static data make_data(void) {
  return (data){0.5, random_floats(MOST * K, 1), random_floats(K * H, 2), random_floats(H, 3), random_floats(H * K, 4)};
}
static void free_data(data *d) { free(d->y), free(d->w), free(d->b), free(d->v); }

static void fewer_rows_same_bits(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_function *f = layers(ctx, 37);
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  data d = make_data();
  float whole[37 * K], part[37 * K];
  const void *in[5] = {&d.t, d.y, d.w, d.b, d.v};
  CU_ASSERT_FATAL(cst_program_new(f, NULL, &p) == CST_OK && cst_workspace_new(p, &w) == CST_OK);
  CU_ASSERT(cst_program_separable(p, NULL));
  CU_ASSERT(cst_program_run(w, 37, in, (void *[]){whole}) == CST_OK);
  for (size_t n = 0; n <= 37; n++) {
    memset(part, 0x55, sizeof part);
    CU_ASSERT(cst_program_run(w, n, in, (void *[]){part}) == CST_OK);
    CU_ASSERT(memcmp(whole, part, n * K * sizeof *part) == 0);
  }
  CU_ASSERT(cst_program_run(w, 38, in, (void *[]){part}) == CST_ESHAPE);
  cst_workspace_free(w), cst_program_release(p), cst_object_release(f), free_data(&d);
  CU_ASSERT_EQUAL(cst_memory_of(ctx).live_blocks > 0, 1); /* the registry */
  cst_context_free(ctx);
}

static void coupled_rows_are_refused_by_name(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_function *f;
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  cst_type y = rows_of(4, 2);
  float in[8] = {1, 2, 3, 4, 5, 6, 7, 8}, out[8];
  cst_value mixes;
  cst_graph_new(ctx, CST_F32, 4, &g);
  cst_value x = cst_graph_input(g, &y, "y");
  cst_graph_line(g, "demo.lua", 7);
  cst_value o = cst_sub(g, x, cst_scale(g, cst_sum(g, x, 1, true), 0.25)); /* minus the batch mean */
  cst_function_new(g, &x, 1, &o, 1, &f);
  CU_ASSERT_FATAL(cst_program_new(f, NULL, &p) == CST_OK && cst_workspace_new(p, &w) == CST_OK);
  CU_ASSERT(!cst_program_separable(p, &mixes));
  CU_ASSERT(cst_program_run(w, 4, (const void *[]){in}, (void *[]){out}) == CST_OK);
  CU_ASSERT_EQUAL(out[0], -3.0f);
  CU_ASSERT(cst_program_run(w, 3, (const void *[]){in}, (void *[]){out}) == CST_ESHAPE);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "demo.lua:7"));
  cst_workspace_free(w), cst_program_release(p), cst_object_release(f), cst_graph_release(g);
  cst_context_free(ctx);
}

/* One evaluation and one pullback of the field with a given number of threads. */
static void field_with_threads(unsigned threads, const data *d, float *dy, float *y_bar, float *gw, double *t_bar) {
  cst_context *ctx = cst_context_new(NULL);
  cst_set_threads(ctx, threads);
  cst_function *f = layers(ctx, MOST);
  cst_field *field;
  cst_field_rhs *r;
  CU_ASSERT_FATAL(cst_field_new(ctx, f, 1, &field) == CST_OK);
  CU_ASSERT_FATAL(cst_field_rhs_new(field, field->rows, NULL, NULL, 15, &r) == CST_OK);
  CU_ASSERT(field->chunk < MOST);
  cst_rhs *base = cst_field_rhs_base(r);
  cst_run run = {.ctx = ctx};
  cst_field_rhs_bind(r, (const void *[]){d->w, d->b, d->v}, &run);
  cst_field_rhs_bind_bars(r, (void *[]){gw, NULL, NULL});
  void *residual = cst_alloc(ctx, base->residual_bytes);
  CU_ASSERT(base->eval_keep(base, &d->t, d->y, dy, residual) == CST_OK);
  CU_ASSERT(base->pullback(base, &d->t, residual, d->y, y_bar, t_bar) == CST_OK);
  cst_free(ctx, residual);
  cst_field_rhs_free(r), cst_object_release(field), cst_object_release(f);
  cst_context_free(ctx);
}

static void threads_and_chunks_same_bits(void) {
  data d = make_data();
  float *dy[3], *y_bar[3], gw[3][K * H];
  for (unsigned k = 0; k < 3; k++) {
    double t_bar = 0;
    dy[k] = calloc(MOST * K, sizeof(float)), y_bar[k] = calloc(MOST * K, sizeof(float));
    memset(gw[k], 0, sizeof gw[k]);
    field_with_threads(1u << k, &d, dy[k], y_bar[k], gw[k], &t_bar);
  }
  for (int k = 1; k < 3; k++) {
    CU_ASSERT(memcmp(dy[0], dy[k], MOST * K * sizeof(float)) == 0);
    CU_ASSERT(memcmp(y_bar[0], y_bar[k], MOST * K * sizeof(float)) == 0);
    CU_ASSERT(memcmp(gw[0], gw[k], sizeof gw[0]) == 0);
  }
  /* A chunked evaluation gives the bits of one whole program. */
  cst_context *ctx = cst_context_new(NULL);
  cst_function *f = layers(ctx, MOST);
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  float *whole = calloc(MOST * K, sizeof(float));
  CU_ASSERT_FATAL(cst_program_new(f, NULL, &p) == CST_OK && cst_workspace_new(p, &w) == CST_OK);
  CU_ASSERT(cst_program_run(w, MOST, (const void *[]){&d.t, d.y, d.w, d.b, d.v}, (void *[]){whole}) == CST_OK);
  CU_ASSERT(memcmp(whole, dy[0], MOST * K * sizeof(float)) == 0);
  cst_workspace_free(w), cst_program_release(p), cst_object_release(f), cst_context_free(ctx);
  for (int k = 0; k < 3; k++) free(dy[k]), free(y_bar[k]);
  free(whole), free_data(&d);
}

static void outputs_accumulate(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_function *f;
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  cst_type a = {.dtype = CST_F64, .rank = 2, .dim = {3, 2}};
  double x[6] = {1, 2, 3, 4, 5, 6}, z[6] = {1, 1, 2, 2, 3, 3}, sum[4] = {100, 100, 100, 100}, other[4];
  cst_graph_new(ctx, CST_F64, 0, &g);
  cst_value in[2] = {cst_graph_input(g, &a, "x"), cst_graph_input(g, &a, "z")};
  cst_value s = cst_add(g, cst_outer(g, in[0], in[1]), cst_outer(g, in[1], in[0]));
  cst_value out[2] = {s, cst_scale(g, s, 2)};
  cst_function_new(g, in, 2, out, 2, &f);
  CU_ASSERT_FATAL(cst_program_new(f, (bool[]){true, false}, &p) == CST_OK && cst_workspace_new(p, &w) == CST_OK);
  for (int k = 1; k <= 2; k++) {
    CU_ASSERT(cst_program_run(w, 0, (const void *[]){x, z}, (void *[]){sum, other}) == CST_OK);
    CU_ASSERT_EQUAL(sum[0], 100 + k * 2 * (1 + 6 + 15));
    CU_ASSERT_EQUAL(other[0], 2 * 2 * (1 + 6 + 15));
  }
  CU_ASSERT(cst_program_run(w, 0, (const void *[]){x, z}, (void *[]){NULL, other}) == CST_OK);
  CU_ASSERT_EQUAL(other[3], 2 * 2 * (2 + 8 + 18));
  cst_workspace_free(w), cst_program_release(p), cst_object_release(f), cst_graph_release(g);
  cst_context_free(ctx);
}

static void equal_nodes_are_one(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_type t = vec(3);
  cst_graph_new(ctx, CST_F32, 0, &g);
  cst_value x = cst_graph_input(g, &t, "x"), y = cst_graph_input(g, &t, "y");
  CU_ASSERT_EQUAL(cst_add(g, x, y), cst_add(g, y, x));
  CU_ASSERT_NOT_EQUAL(cst_sub(g, x, y), cst_sub(g, y, x));
  CU_ASSERT_EQUAL(cst_mul(g, x, cst_scalar(g, 1)), x);
  CU_ASSERT_STRING_EQUAL(cst_graph_info(g, cst_add(g, cst_scalar(g, 2), cst_scalar(g, 3))).op, "scalar");
  cst_value cube = cst_pow(g, x, cst_scalar(g, 3));
  CU_ASSERT_STRING_EQUAL(cst_graph_info(g, cube).op, "cube");
  cst_graph_release(g);
  cst_context_free(ctx);
}

static void misfits_name_line_and_shapes(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_type a = vec(3), b = vec(4);
  cst_graph_new(ctx, CST_F32, 0, &g);
  cst_value x = cst_graph_input(g, &a, "x"), y = cst_graph_input(g, &b, "y");
  cst_graph_line(g, "demo.lua", 12);
  CU_ASSERT_EQUAL(cst_tanh(g, cst_add(g, x, y)), CST_NONE);
  CU_ASSERT_EQUAL(g->status, CST_ESHAPE);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "demo.lua:12"));
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "[3]"));
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "[4]"));
  cst_graph_release(g);
  cst_context_free(ctx);
}

static void the_birth_of_a_nan_is_found(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_function *f;
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  cst_type t = {.dtype = CST_F64, .rank = 1, .dim = {3}};
  double x[3] = {1, -1, 2}, out[3];
  char text[128] = "";
  cst_graph_new(ctx, CST_F64, 0, &g);
  cst_value v = cst_graph_input(g, &t, "x");
  cst_graph_line(g, "demo.lua", 3);
  cst_value square = cst_square(g, v);
  cst_graph_line(g, "demo.lua", 4);
  cst_value bad = cst_log(g, v);
  cst_graph_line(g, "demo.lua", 5);
  cst_value o = cst_exp(g, cst_add(g, bad, square));
  cst_function_new(g, &v, 1, &o, 1, &f);
  CU_ASSERT_FATAL(cst_program_new(f, NULL, &p) == CST_OK && cst_workspace_new(p, &w) == CST_OK);
  CU_ASSERT(cst_program_run(w, 0, (const void *[]){x}, (void *[]){out}) == CST_OK);
  CU_ASSERT(isnan(out[1]));
  CU_ASSERT(cst_program_find_nonfinite(w, 0, text, sizeof text));
  CU_ASSERT_STRING_EQUAL(text, "'log' at demo.lua:4");
  x[0] = INFINITY;
  CU_ASSERT(cst_program_find_nonfinite(w, 0, text, sizeof text));
  CU_ASSERT_STRING_EQUAL(text, "the input 'x'");
  cst_workspace_free(w), cst_program_release(p), cst_object_release(f), cst_graph_release(g);
  cst_context_free(ctx);
}

/* What makes subnormal results costs hundreds of cycles each, so they count as zero; only inside a run. */
static void subnormals_count_as_zero(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_function *f;
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  cst_type t = vec(6);
  float x[6] = {0x1p-100f, 0x1p-140f, -0.0f, INFINITY, NAN, 3}, y[6] = {0x1p-40f, 1, 1, 1, 1, 0x1p-126f}, out[6];
  cst_graph_new(ctx, CST_F32, 0, &g);
  cst_value in[2] = {cst_graph_input(g, &t, "x"), cst_graph_input(g, &t, "y")};
  cst_value o = cst_mul(g, in[0], in[1]);
  cst_function_new(g, in, 2, &o, 1, &f);
  CU_ASSERT_FATAL(cst_program_new(f, NULL, &p) == CST_OK && cst_workspace_new(p, &w) == CST_OK);
  CU_ASSERT(cst_program_run(w, 0, (const void *[]){x, y}, (void *[]){out}) == CST_OK);
#ifdef __SSE2__
  CU_ASSERT(out[0] == 0 && out[1] == 0);
#endif
  CU_ASSERT(out[2] == 0 && signbit(out[2]) && isinf(out[3]) && isnan(out[4]) && out[5] == 3 * 0x1p-126f);
  volatile float tiny = 0x1p-100f;
  CU_ASSERT(tiny * 0x1p-40f == 0x1p-140f); /* the caller's arithmetic is as it was */
  cst_workspace_free(w), cst_program_release(p), cst_object_release(f), cst_graph_release(g);
  cst_context_free(ctx);
}

static void draws_depend_on_keys_alone(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_function *f;
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  cst_type t = {.dtype = CST_F64, .space = CST_ROW, .rank = 2, .dim = {8, 3}};
  double a[24], b[24], part[24];
  cst_graph_new(ctx, CST_F64, 8, &g);
  cst_value v = cst_graph_random(g, true, 42, &t);
  cst_function_new(g, NULL, 0, &v, 1, &f);
  CU_ASSERT_FATAL(cst_program_new(f, NULL, &p) == CST_OK && cst_workspace_new(p, &w) == CST_OK);
  cst_run *run = cst_workspace_run(w);
  run->seed = 7, run->step = 1;
  CU_ASSERT(cst_program_run(w, 8, NULL, (void *[]){a}) == CST_OK);
  run->row0 = 5; /* the last three rows as a chunk of their own */
  CU_ASSERT(cst_program_run(w, 3, NULL, (void *[]){part}) == CST_OK);
  CU_ASSERT(memcmp(a + 15, part, 9 * sizeof *part) == 0);
  run->row0 = 0, run->step = 2;
  CU_ASSERT(cst_program_run(w, 8, NULL, (void *[]){b}) == CST_OK);
  CU_ASSERT(memcmp(a, b, sizeof a) != 0);
  cst_workspace_free(w), cst_program_release(p), cst_object_release(f), cst_graph_release(g);
  cst_context_free(ctx);
}

/* Runs a program of f64 matrices with every output accumulating. */
static cst_status accumulate_into(cst_graph *g, const cst_value *in, size_t n_in, const cst_value *out, size_t n_out,
                                  const void *const *at, void *const *to) {
  const bool add[4] = {true, true, true, true};
  cst_function *f = NULL;
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  cst_status st = cst_function_new(g, in, n_in, out, n_out, &f);
  if (st == CST_OK) st = cst_program_new(f, add, &p);
  if (st == CST_OK) st = cst_workspace_new(p, &w);
  if (st == CST_OK) st = cst_program_run(w, (size_t)g->rows, at, to);
  cst_workspace_free(w), cst_program_release(p), cst_object_release(f);
  return st;
}

static void one_value_accumulates_twice(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_type a = {.dtype = CST_F64, .rank = 2, .dim = {2, 2}};
  double x[4] = {1, 0, 0, 1}, z[4] = {1, 2, 3, 4}, first[4] = {100, 100, 100, 100}, second[4] = {1000, 1000, 1000, 1000};
  cst_graph_new(ctx, CST_F64, 0, &g);
  cst_value in[2] = {cst_graph_input(g, &a, "x"), cst_graph_input(g, &a, "z")}, o = cst_outer(g, in[0], in[1]);
  const void *const at[2] = {x, z};
  CU_ASSERT(accumulate_into(g, in, 2, (cst_value[]){o, o}, 2, at, (void *[]){first, second}) == CST_OK);
  CU_ASSERT(first[3] == 104 && second[3] == 1004);
  o = cst_add(g, o, o);
  CU_ASSERT(accumulate_into(g, in, 2, &o, 1, at, (void *[]){first}) == CST_OK);
  CU_ASSERT(first[3] == 112);
  cst_graph_release(g), cst_context_free(ctx);
}

/* Whether a program of one value keeps rows apart. */
static bool separable(cst_graph *g, const cst_value *in, size_t n_in, cst_value out) {
  cst_function *f = NULL;
  cst_program *p = NULL;
  bool apart = cst_function_new(g, in, n_in, &out, 1, &f) == CST_OK && cst_program_new(f, NULL, &p) == CST_OK &&
               cst_program_separable(p, NULL);
  cst_program_release(p), cst_object_release(f);
  return apart;
}

static void what_mixes_rows(void) {
  enum { N = 3 };
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_type rows = {CST_F64, CST_ROW, 2, {N, N}}, row = {CST_F64, CST_ROW, 1, {N}}, table = {CST_F64, 0, 2, {2, 2}};
  cst_type index = {CST_I64, CST_ROW, 1, {N}};
  cst_graph_new(ctx, CST_F64, N, &g);
  cst_value in[4] = {cst_graph_input(g, &rows, "y"), cst_graph_input(g, &row, "x"), cst_graph_input(g, &table, "table"),
                     cst_graph_input(g, &index, "index")};
  const double y[N * N] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, x[N] = {1, 3, 4}, of[4] = {1, 2, 3, 4};
  const int64_t i[N] = {1, 0, 1};
  const void *const at[4] = {y, x, of, i};
  double out[N * N];
  /* a reshape that drops the batch: its sum is over all rows */
  cst_value sum = cst_sum(g, cst_reshape(g, in[0], 1, (int64_t[]){-1}), 1, false);
  CU_ASSERT(!separable(g, in, 4, cst_mul(g, in[0], sum)));
  CU_ASSERT(separable(g, in, 4, cst_reshape(g, in[0], 3, (int64_t[]){N, 1, -1})));
  /* rows over a sum of rows are rows */
  cst_value share = cst_mul(g, cst_div(g, in[1], cst_sum(g, in[1], 1, false)), in[0]);
  CU_ASSERT(evaluate(g, in, 4, &share, 1, at, (void *[]){out}) == CST_OK);
  CU_ASSERT(out[0] == 0.125 && out[1] == 0.125 && out[N] == 0.375 && out[2 * N] == 0.5);
  /* an index that has rows */
  cst_value picked = cst_gather(g, in[2], in[3], 0);
  CU_ASSERT(evaluate(g, in, 4, &picked, 1, at, (void *[]){out}) == CST_OK);
  CU_ASSERT(out[0] == 3 && out[1] == 4 && out[2] == 1 && out[3] == 2 && out[4] == 3 && out[5] == 4);
  CU_ASSERT(!separable(g, in, 4, picked));
  cst_graph_release(g), cst_context_free(ctx);
}

/* A cotangent is rows where its value is, even when the two met by their lengths alone. */
static void cotangents_are_of_their_values(void) {
  enum { N = 5 };
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_type a = {CST_F64, 0, 1, {N}}, b = {CST_F64, 0, 1, {3}}, y = {CST_F64, CST_ROW, 2, {N, 3}}, c = {CST_F64, CST_ROW, 1, {N}};
  cst_graph_new(ctx, CST_F64, N, &g);
  cst_value in[4] = {cst_graph_input(g, &a, "a"), cst_graph_input(g, &b, "b"), cst_graph_input(g, &y, "y"),
                     cst_graph_input(g, &c, "c")}, one = cst_scalar(g, 1), bar[4];
  cst_value z = cst_sin(g, cst_mul(g, cst_outer(g, in[0], in[1]), in[2]));
  z = cst_where(g, cst_lt(g, in[3], one), z, cst_scale(g, z, 2));
  cst_value loss = cst_sum(g, cst_square(g, cst_reshape(g, z, 1, (int64_t[]){-1})), 1, false);
  CU_ASSERT(cst_graph_vjp(g, &loss, &one, 1, in, 3, bar) == CST_OK);
  for (int i = 0; i < 3; i++) CU_ASSERT_EQUAL(cst_type_of(g, bar[i])->space == CST_ROW, i == 2);
  cst_graph_release(g);
  /* what has no inner axes is no operand of a product */
  cst_graph_new(ctx, CST_F64, N, &g);
  CU_ASSERT_EQUAL(cst_outer(g, cst_graph_input(g, &b, "b"), cst_graph_input(g, &c, "c")), CST_NONE);
  cst_graph_release(g);
  cst_graph_new(ctx, CST_F64, N, &g);
  cst_type m = {CST_F64, 0, 2, {3, N}};
  CU_ASSERT_EQUAL(cst_bmm(g, cst_graph_input(g, &m, "m"), cst_graph_input(g, &y, "y"), false, false), CST_NONE);
  cst_graph_release(g), cst_context_free(ctx);
}

/* dy = sin(y) min(c, 1/2): its pullback couples the rows, it does not. */
static cst_function *clipped(cst_context *ctx, int64_t rows) {
  cst_graph *g;
  cst_function *f = NULL;
  cst_type t = {.dtype = CST_F64}, y = rows_of(rows, K), c = vec(K);
  cst_graph_new(ctx, CST_F32, rows, &g);
  cst_value in[3] = {cst_graph_input(g, &t, "t"), cst_graph_input(g, &y, "y"), cst_graph_input(g, &c, "c")};
  cst_value half = cst_scalar(g, 0.5), small = cst_where(g, cst_lt(g, in[2], half), in[2], half);
  cst_value dy = cst_mul(g, cst_sin(g, in[1]), small);
  cst_function_new(g, in, 3, &dy, 1, &f);
  cst_graph_release(g);
  return f;
}

/* Programs of whole batches take the place of those of chunks, whatever was made of these before. */
static void a_pullback_that_couples(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_function *f = clipped(ctx, MOST);
  cst_field *field;
  cst_field_rhs *early, *late;
  CU_ASSERT_FATAL(cst_field_new(ctx, f, 1, &field) == CST_OK);
  CU_ASSERT_FATAL(cst_field_rhs_new(field, field->rows, NULL, NULL, 1, &early) == CST_OK);
  CU_ASSERT(field->chunk < MOST);
  CU_ASSERT_FATAL(cst_field_rhs_new(field, field->rows, NULL, NULL, 15, &late) == CST_OK);
  float *y = random_floats(MOST * K, 1), *dy[2] = {random_floats(MOST * K, 2), random_floats(MOST * K, 3)};
  float *y_bar = calloc(MOST * K, sizeof *y_bar), c[K] = {0.1f, 0.2f, 0.3f, 0.6f, 0.7f, 0.8f}, c_bar[K] = {0};
  double t = 0, want = 0;
  const cst_run run = {.ctx = ctx};
  cst_field_rhs_bind(early, (const void *[]){c}, &run), cst_field_rhs_bind(late, (const void *[]){c}, &run);
  cst_field_rhs_bind_bars(late, (void *[]){c_bar});
  cst_rhs *a = cst_field_rhs_base(early), *b = cst_field_rhs_base(late);
  void *residual = cst_alloc(ctx, b->residual_bytes);
  CU_ASSERT(a->eval(a, &t, y, dy[0]) == CST_OK);
  CU_ASSERT(b->eval_keep(b, &t, y, dy[1], residual) == CST_OK);
  CU_ASSERT(memcmp(dy[0], dy[1], MOST * K * sizeof *y) == 0);
  CU_ASSERT(b->pullback(b, &t, residual, y, y_bar, NULL) == CST_OK);
  for (size_t i = 0; i < MOST * K; i += K) want += (double)y[i] * sin((double)y[i]);
  CU_ASSERT(fabs((double)c_bar[0] - want) < 1e-4 * want);
  CU_ASSERT_EQUAL(c_bar[4], 0);
  cst_free(ctx, residual), free(y), free(dy[0]), free(dy[1]), free(y_bar);
  cst_field_rhs_free(early), cst_field_rhs_free(late), cst_object_release(field), cst_object_release(f);
  cst_context_free(ctx);
}

/* A batch of no rows has programs like any other, and each of them once. */
static void a_field_of_no_rows(void) {
  cst_context *ctx = cst_context_new(NULL);
  size_t before = 0;
  for (int k = 0; k < 2; k++) { /* the first time loads what stays */
    cst_function *f = clipped(ctx, 0);
    cst_field *field;
    cst_field_rhs *r;
    CU_ASSERT_FATAL(cst_field_new(ctx, f, 1, &field) == CST_OK);
    CU_ASSERT_FATAL(cst_field_rhs_new(field, field->rows, NULL, NULL, 15, &r) == CST_OK);
    cst_field_rhs_free(r), cst_object_release(field), cst_object_release(f);
    if (k == 0) before = cst_memory_of(ctx).live_blocks;
  }
  CU_ASSERT_EQUAL(before, cst_memory_of(ctx).live_blocks);
  cst_context_free(ctx);
}

/* The time is f64 in an f32 graph, and so is its derivative: dy = y t^2. */
static void derivatives_have_the_type_of_their_values(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_type t = {.dtype = CST_F64}, y = rows_of(2, 1);
  cst_graph_new(ctx, CST_F32, 2, &g);
  cst_value in[2] = {cst_graph_input(g, &t, "t"), cst_graph_input(g, &y, "y")}, bar, dot;
  cst_value square = cst_square(g, in[0]), dy = cst_mul(g, in[1], square), one = cst_scalar(g, 1);
  double at = 3, t_bar = 0;
  float of[2] = {1, 2};
  CU_ASSERT(cst_graph_vjp(g, &dy, &in[1], 1, in, 1, &bar) == CST_OK);
  CU_ASSERT_EQUAL(cst_type_of(g, bar)->dtype, CST_F64);
  CU_ASSERT(evaluate(g, in, 2, &bar, 1, (const void *[]){&at, of}, (void *[]){&t_bar}) == CST_OK);
  CU_ASSERT_EQUAL(t_bar, (1 + 4) * 2 * 3);
  CU_ASSERT(cst_graph_jvp(g, in, &one, 1, &square, 1, &dot) == CST_OK);
  CU_ASSERT_EQUAL(cst_type_of(g, dot)->dtype, CST_F64);
  CU_ASSERT_EQUAL(cst_type_of(g, cst_zeros_like(g, in[0]))->dtype, CST_F64);
  cst_graph_release(g), cst_context_free(ctx);
}

/* The cotangent of a layer may be its own value: then the two operands of its pullback are one. */
static void a_value_given_twice_counts_once(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_type x = {CST_F64, 0, 2, {1, 1}}, b = {CST_F64, 0, 1, {1}};
  cst_graph_new(ctx, CST_F64, 0, &g);
  cst_value in[3] = {cst_graph_input(g, &x, "x"), cst_graph_input(g, &x, "w"), cst_graph_input(g, &b, "b")};
  cst_value y = cst_dense(g, in[0], in[1], in[2], CST_TANH), bar, bar2;
  CU_ASSERT(cst_graph_vjp(g, &y, &y, 1, in, 1, &bar) == CST_OK);
  cst_value one = cst_broadcast_like(g, cst_scalar(g, 1), bar);
  CU_ASSERT(cst_graph_vjp(g, &bar, &one, 1, in, 1, &bar2) == CST_OK);
  double at[3] = {0.3, 0.7, 0.1}, v = tanh(at[0] * at[1] + at[2]), got;
  CU_ASSERT(evaluate(g, in, 3, &bar2, 1, (const void *[]){&at[0], &at[1], &at[2]}, (void *[]){&got}) == CST_OK);
  CU_ASSERT(fabs(got - (1 - 3 * v * v) * (1 - v * v) * at[1] * at[1]) < 1e-14);
  cst_graph_release(g), cst_context_free(ctx);
}

static void the_longest_chain(void) {
  enum { STEPS = 16, N = 2 * STEPS + 1 };
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_type t = {CST_F64, 0, 1, {5}};
  cst_value in[N];
  double x[N][5] = {{0}}, out[5];
  const void *at[N];
  cst_graph_new(ctx, CST_F64, 0, &g);
  for (int i = 0; i < N; i++) in[i] = cst_graph_input(g, &t, "x"), at[i] = x[i], x[i][0] = i % 2 ? i : 0;
  x[N - 1][0] = 7;
  cst_value o = in[N - 1];
  for (int i = 0; i < STEPS; i++) o = cst_where(g, in[2 * i], in[2 * i + 1], o);
  CU_ASSERT(evaluate(g, in, N, &o, 1, at, (void *[]){out}) == CST_OK);
  CU_ASSERT_EQUAL(out[0], 7);
  cst_graph_release(g), cst_context_free(ctx);
}

typedef cst_value maker(cst_graph *g, cst_value x, cst_value none);
static cst_value long_range(cst_graph *g, cst_value x, cst_value none) {
  return (void)x, (void)none, cst_graph_iota(g, INT64_MAX);
}
static cst_value wide_nothing(cst_graph *g, cst_value x, cst_value none) {
  return (void)x, cst_reshape(g, none, 2, (int64_t[]){(int64_t)1 << 32, (int64_t)1 << 32});
}
static cst_value nine_axes(cst_graph *g, cst_value x, cst_value none) {
  (void)none;
  return cst_node1(g, "reshape", x, &(cst_attrs){.n_ints = 9, .i = {4, 1, 1, 1, 1, 1, 1, 1, 1}});
}
static cst_value far_padding(cst_graph *g, cst_value x, cst_value none) {
  return (void)none, cst_pad(g, x, 0, INT64_MAX, INT64_MAX, 1);
}
static cst_value far_steps(cst_graph *g, cst_value x, cst_value none) {
  return (void)none, cst_pad(g, x, 0, 0, 0, INT64_MAX);
}
static cst_value wide_copies(cst_graph *g, cst_value x, cst_value none) {
  const cst_attrs at = {.n_ints = 4, .i = {2, 0, (int64_t)1 << 32, (int64_t)1 << 32}};
  return (void)x, (void)none, cst_node1(g, "broadcast", cst_scalar(g, 1), &at);
}
static cst_value entry_of_nothing(cst_graph *g, cst_value x, cst_value none) {
  return cst_gather(g, none, cst_cast(g, x, CST_I64), 0);
}
static cst_value product_of_nothing(cst_graph *g, cst_value x, cst_value none) {
  cst_value wide = cst_reshape(g, none, 2, (int64_t[]){0, (int64_t)1 << 40});
  return (void)x, cst_outer(g, wide, wide);
}

static void shapes_that_do_not_exist_are_refused(void) {
  maker *const makers[] = {long_range, wide_nothing, nine_axes, far_padding, far_steps, wide_copies, entry_of_nothing,
                           product_of_nothing};
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_type four = {CST_F64, 0, 1, {4}}, empty = {CST_F64, 0, 1, {0}};
  for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
    cst_graph_new(ctx, CST_F64, 0, &g);
    CU_ASSERT_EQUAL(makers[i](g, cst_graph_input(g, &four, "x"), cst_graph_input(g, &empty, "none")), CST_NONE);
    CU_ASSERT_EQUAL(g->status, CST_ESHAPE);
    cst_graph_release(g);
  }
  cst_graph_new(ctx, CST_F64, 0, &g);
  cst_value x = cst_graph_input(g, &four, "x"), first = cst_slice(g, x, 0, 1, 4, INT64_MAX);
  double in[4] = {1, 2, 3, 4}, out = 0;
  CU_ASSERT(evaluate(g, &x, 1, &first, 1, (const void *[]){in}, (void *[]){&out}) == CST_OK);
  CU_ASSERT_EQUAL(out, 2);
  cst_graph_release(g), cst_context_free(ctx);
}

static void integers_are_summed_as_numbers(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_graph *g;
  cst_type t = {CST_I64, 0, 2, {2, 2}};
  const int64_t x[4] = {1, 2, 3, 4};
  double sum = 0, most = 0, product[4] = {0};
  cst_graph_new(ctx, CST_F64, 0, &g);
  cst_value v = cst_graph_input(g, &t, "x");
  cst_value out[3] = {cst_sum(g, v, 3, false), cst_amax(g, v, 3, false), cst_matmul(g, v, v, false)};
  CU_ASSERT(evaluate(g, &v, 1, out, 3, (const void *[]){x}, (void *[]){&sum, &most, product}) == CST_OK);
  CU_ASSERT(sum == 10 && most == 4 && product[3] == 22);
  cst_graph_release(g), cst_context_free(ctx);
}

int cst_suite_program(void);
int cst_suite_program(void) {
  static const CU_TestInfo tests[] = {
      {"fewer rows, same bits", fewer_rows_same_bits},
      {"coupled rows are refused by name", coupled_rows_are_refused_by_name},
      {"threads and chunks, same bits", threads_and_chunks_same_bits},
      {"outputs accumulate", outputs_accumulate},
      {"equal nodes are one", equal_nodes_are_one},
      {"misfits name line and shapes", misfits_name_line_and_shapes},
      {"the birth of a NaN is found", the_birth_of_a_nan_is_found},
      {"subnormals count as zero", subnormals_count_as_zero},
      {"draws depend on keys alone", draws_depend_on_keys_alone},
      {"one value accumulates twice", one_value_accumulates_twice},
      {"what mixes rows", what_mixes_rows},
      {"cotangents are of their values", cotangents_are_of_their_values},
      {"a pullback that couples", a_pullback_that_couples},
      {"a field of no rows", a_field_of_no_rows},
      {"derivatives have the type of their values", derivatives_have_the_type_of_their_values},
      {"a value given twice counts once", a_value_given_twice_counts_once},
      {"the longest chain", the_longest_chain},
      {"shapes that do not exist are refused", shapes_that_do_not_exist_are_refused},
      {"integers are summed as numbers", integers_are_summed_as_numbers},
  };
  CU_pSuite s = CU_add_suite("program", NULL, NULL);
  for (size_t i = 0; s && i < sizeof tests / sizeof *tests; i++)
    if (!CU_add_test(s, tests[i].pName, tests[i].pTestFunc)) return 1;
  return s ? 0 : 1;
}
