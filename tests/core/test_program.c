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
  CU_ASSERT_FATAL(cst_field_rhs_new(field, NULL, NULL, 15, &r) == CST_OK);
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
  CU_ASSERT_STRING_EQUAL(cst_graph_info(g, cube).op, "mul");
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
  CU_ASSERT(cst_program_find_nonfinite(w, 0, (const void *[]){x}, text, sizeof text));
  CU_ASSERT_STRING_EQUAL(text, "'log' at demo.lua:4");
  x[0] = INFINITY;
  CU_ASSERT(cst_program_find_nonfinite(w, 0, (const void *[]){x}, text, sizeof text));
  CU_ASSERT_STRING_EQUAL(text, "the input 'x'");
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
      {"draws depend on keys alone", draws_depend_on_keys_alone},
  };
  CU_pSuite s = CU_add_suite("program", NULL, NULL);
  for (size_t i = 0; s && i < sizeof tests / sizeof *tests; i++)
    if (!CU_add_test(s, tests[i].pName, tests[i].pTestFunc)) return 1;
  return s ? 0 : 1;
}
