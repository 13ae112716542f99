/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Tensors: shapes, views, elements, text.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "costate/context.h"
#include "costate/tensor.h"

int cst_suite_tensor(void);

static cst_context *ctx;
static size_t live;

/* Sanitizers end the program at a request that malloc would only refuse. */
static void *modest_resize(void *user, void *ptr, size_t old_size, size_t new_size) {
  (void)user, (void)old_size;
  if (new_size > (size_t)1 << 38) return NULL;
  if (new_size) return realloc(ptr, new_size);
  free(ptr);
  return NULL;
}

static int begin(void) {
  ctx = cst_context_new(&(cst_allocator){modest_resize, NULL});
  if (!ctx) return 1;
  live = cst_memory_of(ctx).live_blocks;
  return 0;
}

static int end(void) {
  bool clean = cst_memory_of(ctx).live_blocks == live;
  cst_context_free(ctx);
  return clean ? 0 : 1;
}

#define SHAPE(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__}

static cst_tensor *make(cst_dtype dtype, int rank, const int64_t *dim, const double *x) {
  cst_tensor *t;
  CU_ASSERT_FATAL(cst_tensor_new(ctx, dtype, rank, dim, &t) == CST_OK);
  for (size_t i = 0; i < t->count; i++) cst_tensor_set(t, i, x ? x[i] : (double)i);
  return t;
}

static void test_shapes(void) {
  size_t n;
  CU_ASSERT_EQUAL(cst_shape_count(ctx, 0, NULL, 8, &n), CST_OK);
  CU_ASSERT_EQUAL(n, 1);
  CU_ASSERT_EQUAL(cst_shape_count(ctx, SHAPE(2, 3, 4), 8, &n), CST_OK);
  CU_ASSERT_EQUAL(n, 24);
  CU_ASSERT_EQUAL(cst_shape_count(ctx, SHAPE(2, 0, 4), 8, &n), CST_OK);
  CU_ASSERT_EQUAL(n, 0);
  CU_ASSERT_EQUAL(cst_shape_count(ctx, SHAPE(2, -1), 8, &n), CST_ESHAPE);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "-1"));
  CU_ASSERT_EQUAL(cst_shape_count(ctx, 9, (int64_t[9]){0}, 8, &n), CST_ESHAPE);
  CU_ASSERT_EQUAL(cst_shape_count(ctx, -1, NULL, 8, &n), CST_ESHAPE);
  CU_ASSERT_EQUAL(cst_shape_count(ctx, SHAPE(INT64_MAX, 2), 8, &n), CST_ESHAPE);
  CU_ASSERT_EQUAL(cst_shape_count(ctx, SHAPE(1LL << 31, 1LL << 31), 8, &n), CST_ESHAPE);
  CU_ASSERT_EQUAL(cst_shape_count(ctx, SHAPE(1LL << 32, 1LL << 32), 1, &n), CST_ESHAPE);
  CU_ASSERT_EQUAL(cst_shape_count(ctx, SHAPE(0, 1LL << 62, 1LL << 62), 8, &n), CST_ESHAPE);
  cst_tensor *t;
  CU_ASSERT_EQUAL(cst_tensor_new(ctx, CST_F64, SHAPE(1LL << 58), &t), CST_ENOMEM);
  CU_ASSERT_PTR_NULL(t);
  CU_ASSERT_EQUAL(cst_tensor_new(ctx, CST_OPAQUE, SHAPE(1), &t), CST_EDTYPE);
}

static void test_elements(void) {
  for (int d = CST_F32; d <= CST_I64; d++) {
    cst_tensor *t = make((cst_dtype)d, SHAPE(3, 5), NULL);
    CU_ASSERT_EQUAL((uintptr_t)t->data % 64, 0);
    CU_ASSERT_EQUAL(t->count, 15);
    for (size_t i = 0; i < 15; i++) CU_ASSERT_EQUAL(cst_tensor_get(t, i), (double)i);
    cst_tensor_release(t);
  }
  cst_tensor *t = make(CST_I64, SHAPE(1), NULL);
  cst_tensor_set(t, 0, 1e300);
  CU_ASSERT_EQUAL(((int64_t *)t->data)[0], INT64_MAX);
  cst_tensor_set(t, 0, (double)NAN);
  CU_ASSERT_EQUAL(((int64_t *)t->data)[0], 0);
  cst_tensor_release(t);
}

static void test_views(void) {
  cst_tensor *t = make(CST_F32, SHAPE(4, 3), NULL), *v, *w, *bad;
  CU_ASSERT_EQUAL(cst_tensor_view(t, 3, SHAPE(3, 3), &v), CST_OK);
  CU_ASSERT_EQUAL(cst_tensor_view(v, 3, SHAPE(2), &w), CST_OK);
  CU_ASSERT_EQUAL(cst_tensor_get(w, 1), 7);
  cst_tensor_set(w, 0, -1);
  CU_ASSERT_EQUAL(cst_tensor_get(t, 6), -1);
  CU_ASSERT_EQUAL(cst_tensor_view(t, 10, SHAPE(3), &bad), CST_ESHAPE);
  CU_ASSERT_EQUAL(cst_tensor_view(t, SIZE_MAX, SHAPE(1), &bad), CST_ESHAPE);
  CU_ASSERT_EQUAL(cst_tensor_view(t, 12, SHAPE(0), &bad), CST_OK);
  cst_tensor_release(bad);
  cst_tensor_release(t); /* the views keep the storage */
  cst_tensor_release(v);
  CU_ASSERT_EQUAL(cst_tensor_get(w, 1), 7);
  cst_tensor_release(w);
}

static void expect_text(cst_tensor *t, const char *expected) {
  char text[2000], part[10];
  size_t n = cst_tensor_format(t, text, sizeof text);
  CU_ASSERT_EQUAL(n, strlen(text));
  CU_ASSERT_STRING_EQUAL(text, expected);
  if (strcmp(text, expected) != 0) printf("got:\n%s\n", text);
  CU_ASSERT_EQUAL(cst_tensor_format(t, part, sizeof part), n);
  CU_ASSERT_EQUAL(strlen(part), n < 9 ? n : 9);
  CU_ASSERT_EQUAL(cst_tensor_format(t, NULL, 0), n);
  cst_tensor_release(t);
}

static void test_text(void) {
  expect_text(make(CST_F64, 0, NULL, (double[]){0.5}), "f64 [] 0.5");
  expect_text(make(CST_I64, 0, NULL, (double[]){-3}), "i64 [] -3");
  expect_text(make(CST_F32, SHAPE(0, 2), NULL), "f32 [0, 2] (empty)");
  expect_text(make(CST_F64, SHAPE(3), (double[]){1, 2, 3}), "f64 [3]\n  1.0  2.0  3.0");
  expect_text(make(CST_F64, SHAPE(2, 2), (double[]){1, 2.5, -3.25, 100}),
              "f64 [2, 2]\n    1.00    2.50\n   -3.25  100.00");
  expect_text(make(CST_F32, SHAPE(2), (double[]){1.0 / 3, 12.5}), "f32 [2]\n   0.33333  12.50000");
  expect_text(make(CST_F64, SHAPE(2), (double[]){1e-12, 3}), "f64 [2]\n  1.0000e-12  3.0000e+00");
  expect_text(make(CST_F64, SHAPE(2), (double[]){(double)NAN, -(double)INFINITY}),
              "f64 [2]\n   nan  -inf");
  expect_text(make(CST_I64, SHAPE(2, 3), NULL), "i64 [2, 3]\n  0  1  2\n  3  4  5");
  expect_text(make(CST_I64, SHAPE(12), NULL), "i64 [12]\n   0   1   2   3  ...   8   9  10  11");
  expect_text(make(CST_I64, SHAPE(11, 1), NULL),
              "i64 [11, 1]\n   0\n   1\n   2\n   3\n  ...\n   7\n   8\n   9\n  10");
  expect_text(make(CST_I64, SHAPE(2, 1, 2), NULL),
              "i64 [2, 1, 2]\n[0, :, :]\n  0  1\n[1, :, :]\n  2  3");
  expect_text(make(CST_I64, SHAPE(5, 1, 1), NULL),
              "i64 [5, 1, 1]\n[0, :, :]\n  0\n[1, :, :]\n  1\n...\n[3, :, :]\n  3\n[4, :, :]\n  4");
}

static void test_type_text(void) {
  char text[64];
  cst_type t = {.dtype = CST_F64, .space = CST_ROW, .rank = 2, .dim = {20, 2}};
  CU_ASSERT_STRING_EQUAL(cst_type_format(&t, text, sizeof text), "[B, 2]");
  t.space = CST_SHARED;
  CU_ASSERT_STRING_EQUAL(cst_type_format(&t, text, sizeof text), "[20, 2]");
  CU_ASSERT_STRING_EQUAL(cst_type_format(&t, text, 4), "[20");
  t.rank = 0;
  CU_ASSERT_STRING_EQUAL(cst_type_format(&t, text, sizeof text), "[]");
}

int cst_suite_tensor(void) {
  CU_pSuite s = CU_add_suite("tensor", begin, end);
  if (!s) return 1;
  CU_ADD_TEST(s, test_shapes);
  CU_ADD_TEST(s, test_elements);
  CU_ADD_TEST(s, test_views);
  CU_ADD_TEST(s, test_text);
  CU_ADD_TEST(s, test_type_text);
  return 0;
}
