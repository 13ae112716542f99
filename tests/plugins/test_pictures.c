/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Pictures and tables of points: what becomes of them, what is refused and in which words, and
 * damaged files.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "costate/rng.h"
#include "sets.h"

/* Two by two pixels of grey 0, 255, 255, 51, as PNG. */
static const unsigned char png[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44,
    0x52, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x02, 0x08, 0x00, 0x00, 0x00, 0x00, 0x57,
    0xdd, 0x52, 0xf8, 0x00, 0x00, 0x00, 0x0e, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x60,
    0xf8, 0xcf, 0xf0, 0xdf, 0x18, 0x00, 0x06, 0x33, 0x02, 0x32, 0x07, 0xf6, 0x6c, 0xb7, 0x00,
    0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

static cst_status image(const char *bytes, size_t size, cst_dataset *d) {
  return set_read("datasets.image", bytes, size, NULL, 0, d);
}

/* All have weights 5, 0 above and 0, 4 below: probabilities 5/9 and 4/9. */
static void check_picture(const char *bytes, size_t size) {
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(image(bytes, size, &d), CST_OK);
  static const double cumulative[] = {5 / 9.0, 5 / 9.0, 5 / 9.0, 1};
  for (size_t i = 0; i < 4; i++)
    CU_ASSERT_DOUBLE_EQUAL(cst_tensor_get(set_tensor(&d, "cumulative"), i), cumulative[i], 1e-15);
  const cst_tensor *cells = set_tensor(&d, "cells");
  CU_ASSERT_EQUAL(cells->type.dim[0], 2);
  CU_ASSERT_DOUBLE_EQUAL(cst_tensor_get(cells, 0), log(5 / 9.0), 1e-15);
  CU_ASSERT_EQUAL(cst_tensor_get(cells, 1), -(double)INFINITY);
  EXPECT(&d, "pixel", 1);
  CU_ASSERT_DOUBLE_EQUAL(cst_tensor_get(set_tensor(&d, "entropy"), 0),
                         -5 / 9.0 * log(5 / 9.0) - 4 / 9.0 * log(4 / 9.0), 1e-15);
  cst_dataset_free(set_ctx, &d);
}

#define PICTURE(s) check_picture(s, sizeof s - 1)

static void every_format_is_read(void) {
  PICTURE("P2\n# drawn by hand\n2 2\n5\n0 5\n5 1\n");
  PICTURE("P2 2#comment\n 2 5\t0 5 5 1");
  PICTURE("P3 2 2 5 0 0 0 5 5 5 5 5 5 1 1 1");
  PICTURE("P5 2 2 5\n\0\5\5\1");
  PICTURE("P5 2 2 1000\n\0\0\3\350\3\350\0\310");
  PICTURE("P6 2 2 5\n\0\0\0\5\5\5\5\5\5\1\1\1");
  PICTURE("P6 2 2 255 \0\0\0\377\377\377\377\377\377\63\63\63# bytes that follow are nobody's");
  cst_dataset d;
  cst_status st = image((const char *)png, sizeof png, &d);
  cst_dataset_free(set_ctx, &d);
  if (st == CST_OK) check_picture((const char *)png, sizeof png);
  else set_expect_message("libpng was not found");
}

static void colours_are_weighed(void) {
  static const char text[] = "P3 3 1 1 0 1 1 1 0 1 1 1 0";
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(image(text, sizeof text - 1, &d), CST_OK);
  static const double up_to[] = {0.2126, 0.2126 + 0.7152, 1};
  for (size_t i = 0; i < 3; i++)
    CU_ASSERT_DOUBLE_EQUAL(cst_tensor_get(set_tensor(&d, "cumulative"), i), up_to[i], 1e-15);
  cst_dataset_free(set_ctx, &d);
}

static void what_is_wrong_is_said(void) {
  static const struct {
    const char *bytes;
    size_t size;
    const char *message;
  } cases[] = {
#define CASE(s, message) {s, sizeof s - 1, message}
      CASE("", "neither PGM or PPM"),
      CASE("P", "neither PGM or PPM"),
      CASE("P4 8 1\n\1", "neither PGM or PPM"),
      CASE("P2", "the file ends where the width should be"),
      CASE("P2 # no end", "the file ends where the width should be"),
      CASE("P2 -2 2 1 1 1", "byte 4 is not that of the width"),
      CASE("P2 2 x", "byte 6 is not that of the height"),
      CASE("P2 2 2 70000 1", "the largest value exceeds 65535"),
      CASE("P2 99999999999999999999 2 5 1", "the width exceeds 2147483647"),
      CASE("P2 2 2 0 0 0 0 0", "the largest value of a sample is 0"),
      CASE("P5 0 2 5 x", "a picture without pixels"),
      CASE("P5 2000000000 2000000000 255 x", "2000000000 x 2000000000 pixels are too many"),
      CASE("P5 4097 4096 255 x", "4097 x 4096 pixels are too many"),
      CASE("P5 4096 4096 255 x", "16777216 bytes more than the header, there are 1"),
      CASE("P6 2 2 256 12345678901234567890123", "24 bytes more than the header, there are 23"),
      CASE("P2 2 2 9 1 2 3", "7 bytes more than the header, there are 5"),
      CASE("P2 2 2 9 1 2 3  ", "the file ends where a sample should be"),
      CASE("P2 2 2 9 1 2 3 10", "a sample exceeds 9"),
      CASE("P2 2 2 9 1 2 3 a", "byte 16 is not that of a sample"),
      CASE("P5 2 2 9 \1\2\3\12", "a sample is 10, but the largest value 9"),
      CASE("P5 2 2 9", "the file ends where a blank before the samples should be"),
      CASE("P5 2 2 9#12345", "byte 9 is not that of a blank before the samples"),
      CASE("P2 2 1 3 3 3", "is white all over: there is nothing to draw"),
#undef CASE
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    cst_dataset d;
    CU_ASSERT_NOT_EQUAL(image(cases[i].bytes, cases[i].size, &d), CST_OK);
    set_expect_message(cases[i].message);
    cst_dataset_free(set_ctx, &d);
  }
}

static void a_file_that_ends_early_is_refused(void) {
  static const char text[] = "P2 2 2 10 1 2 3 4", bytes[] = "P6 2 2 300\n123456789012345678901234";
  for (size_t n = 0; n < sizeof text - 1; n++) {
    cst_dataset d;
    CU_ASSERT_NOT_EQUAL(image(text, n, &d), CST_OK);
    cst_dataset_free(set_ctx, &d);
  }
  for (size_t n = 0; n < sizeof bytes - 1; n++) {
    cst_dataset d;
    CU_ASSERT_NOT_EQUAL(image(bytes, n, &d), CST_OK);
    cst_dataset_free(set_ctx, &d);
  }
  for (size_t n = 0; n < 55; n++) { /* within the pixels */
    cst_dataset d;
    CU_ASSERT_NOT_EQUAL(image((const char *)png, n, &d), CST_OK);
    cst_dataset_free(set_ctx, &d);
  }
}

/* Whatever the bytes are: a density that sums to one, or an error. */
static void damaged_pictures_do_no_harm(void) {
  static const char text[] = "P3 2 2 200\n0 1 2 150 140 130 12 13 14 15 16 17\n";
  cst_rng r = {.seed = 5, .stream = cst_rng_stream("pictures")};
  for (int trial = 0; trial < 1000; trial++) {
    char bytes[sizeof png];
    size_t n = trial % 2 ? sizeof png : sizeof text - 1;
    memcpy(bytes, trial % 2 ? (const char *)png : text, n);
    for (int k = 0; k < 1 + trial % 3; k++)
      bytes[cst_rng_below(&r, n)] = (char)cst_rng_below(&r, 256);
    cst_dataset d;
    if (image(bytes, n, &d) == CST_OK) {
      const cst_tensor *cumulative = set_tensor(&d, "cumulative");
      CU_ASSERT_DOUBLE_EQUAL(cst_tensor_get(cumulative, cumulative->count - 1), 1, 1e-9);
      CU_ASSERT(isfinite(cst_tensor_get(set_tensor(&d, "entropy"), 0)));
    }
    cst_dataset_free(set_ctx, &d);
  }
}

/* ---- tables ---- */

static cst_status points(const char *text, const cst_given *given, size_t n, cst_dataset *d) {
  return set_read("datasets.table", text, strlen(text), given, n, d);
}

static void records_become_points(void) {
  static const cst_given given[] = {TEXT("id", "who"), TEXT("label", "k"), TEXT("missing", "NA,999")};
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(
      points("a,who,b,k\n1,7,2,0\n3,7,NaN,1\n4,9,5,2\n999,9,6,1\n", given, 3, &d), CST_OK);
  EXPECT(&d, "x", 1, 2, 4, 5);
  EXPECT(&d, "id", 7, 9);
  EXPECT(&d, "label", 0, 2);
  EXPECT(&d, "dropped", 2);
  WORDS(&d, "columns", "a", "b");
  WORDS(&d, "ids", "7", "9");
  CU_ASSERT_PTR_NULL(set_words(&d, "classes"));
  CU_ASSERT_EQUAL(set_tensor(&d, "x")->type.space, CST_ROW);
  cst_dataset_free(set_ctx, &d);
}

static void ids_and_labels_may_be_words(void) {
  static const cst_given given[] = {TEXT("id", "who"), TEXT("label", "k"), TEXT("columns", "b,a"),
                                    TEXT("log", "a")};
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(points("a,who,b,k\n1,07,2,no\n1,7,3,yes\n1,07,4,NA\n1,u,5,no\n", given, 4, &d),
                        CST_OK);
  EXPECT(&d, "x", 2, 0, 3, 0, 5, 0);
  EXPECT(&d, "id", 1, 2, 3); /* "07" is not "7" */
  EXPECT(&d, "label", 0, 1, 0);
  WORDS(&d, "classes", "no", "yes");
  WORDS(&d, "columns", "b", "a");
  WORDS(&d, "logs", "a");
  cst_dataset_free(set_ctx, &d);
}

static void tables_are_refused(void) {
  static const struct {
    const char *text, *option, *value, *message;
  } cases[] = {
      {"a,b\n1,2\n-1,3\n", "log", "b,a", ":3: column 'a': -1 has no logarithm"},
      {"a,b\n1,2\n", "log", "c", "has no column 'c'; its columns are a, b"},
      {"a\n1\n", "id", "a", "has no column but id and label"},
      {"a,b\n1,\n,2\n", "missing", "NA,", "every record lacks something"},
      {"a,b\n1,?\n", "missing", "NA", ":2: column 'b': '?' is not a number"},
      {"a,b\n1,2\n", "separator", ";;", "the separator must be one character"},
      {"a,b\n1,2,3\n", "missing", "NA", ":2: 3 fields, but the header names 2 columns"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    cst_dataset d;
    cst_given given = TEXT(cases[i].option, cases[i].value);
    CU_ASSERT_NOT_EQUAL(points(cases[i].text, &given, 1, &d), CST_OK);
    set_expect_message(cases[i].message);
    cst_dataset_free(set_ctx, &d);
  }
}

static CU_TestInfo tests[] = {
    {"every format is read", every_format_is_read},
    {"colours are weighed", colours_are_weighed},
    {"what is wrong is said", what_is_wrong_is_said},
    {"a file that ends early is refused", a_file_that_ends_early_is_refused},
    {"damaged pictures do no harm", damaged_pictures_do_no_harm},
    {"records become points", records_become_points},
    {"ids and labels may be words", ids_and_labels_may_be_words},
    {"tables are refused", tables_are_refused},
    CU_TEST_INFO_NULL,
};

int cst_suite_pictures(void);
int cst_suite_pictures(void) {
  CU_SuiteInfo info[] = {{"pictures", set_open, set_close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
