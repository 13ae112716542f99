/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Data sets: end points of the trajectories against tests/data/trajectories.txt, noise, and what
 * csv reads, skips and refuses.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "costate/registry.h"

static cst_context *ctx;

static int open_datasets(void) {
  ctx = cst_context_new(NULL);
  return !ctx || cst_plugin_load(ctx, "datasets") != CST_OK;
}
static int close_datasets(void) {
  cst_context_free(ctx);
  return 0;
}

static cst_status build(const char *name, const cst_given *given, size_t n, uint64_t seed,
                        cst_dataset *d) {
  *d = (cst_dataset){0};
  const cst_entry *e = cst_find(ctx, CST_KIND_DATASET, name);
  cst_options *o = NULL;
  if (!e) return cst_last_status(ctx);
  CST_TRY(cst_options_new(ctx, name, e->options, given, n, &o));
  cst_status st = cst_dataset_build(ctx, e, o, seed, d);
  cst_options_free(ctx, o);
  return st;
}

static const cst_tensor *tensor(const cst_dataset *d, const char *name) {
  for (size_t i = 0; i < d->n; i++)
    if (strcmp(d->name[i], name) == 0) return d->tensor[i];
  return NULL;
}

/* ---- trajectories ---- */

static void check_end(const char *name, double t1, const double *end, size_t dim) {
  char full[80];
  snprintf(full, sizeof full, "datasets.%s", name);
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(build(full, NULL, 0, 0, &d), CST_OK);
  const cst_tensor *t = tensor(&d, "t"), *y = tensor(&d, "y");
  CU_ASSERT_EQUAL_FATAL(y->count, t->count * dim);
  CU_ASSERT_EQUAL(cst_tensor_get(t, 0), 0);
  CU_ASSERT_EQUAL(cst_tensor_get(t, t->count - 1), t1);
  for (size_t i = 0; i < dim; i++)
    CU_ASSERT_DOUBLE_EQUAL(cst_tensor_get(y, y->count - dim + i), end[i], 2e-11);
  cst_dataset_free(ctx, &d);
}

static void trajectories_end_where_they_should(void) {
  char path[512], line[256], name[64];
  const char *data = getenv("COSTATE_TEST_DATA");
  CU_ASSERT_PTR_NOT_NULL_FATAL(data);
  snprintf(path, sizeof path, "%s/trajectories.txt", data);
  FILE *f = fopen(path, "r");
  CU_ASSERT_PTR_NOT_NULL_FATAL(f);
  int checked = 0;
  while (fgets(line, sizeof line, f)) {
    double t1, end[3];
    int n = sscanf(line, "%63[a-z_] %lf %lf %lf %lf", name, &t1, &end[0], &end[1], &end[2]);
    if (n < 4) continue;
    check_end(name, t1, end, (size_t)n - 2);
    checked++;
  }
  fclose(f);
  CU_ASSERT_EQUAL(checked, 3);
}

static void options_of_trajectories_count(void) {
  const cst_given given[] = {
      {.name = "points", .kind = CST_INTEGER, .integer = 3},
      {.name = "t1", .kind = CST_NUMBER, .number = 1},
      {.name = "y0", .kind = CST_LIST, .list = (const double[]){2, 0.5}, .n_list = 2},
      {.name = "beta", .kind = CST_NUMBER, .number = 0},
      {.name = "alpha", .kind = CST_NUMBER, .number = 0.7}};
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(build("datasets.lotka_volterra", given, 5, 0, &d), CST_OK);
  CU_ASSERT_EQUAL(cst_tensor_get(tensor(&d, "t"), 1), 0.5);
  CU_ASSERT_DOUBLE_EQUAL(cst_tensor_get(tensor(&d, "y"), 4), 2 * exp(0.7), 1e-14); /* prey alone */
  cst_dataset_free(ctx, &d);
  CU_ASSERT_EQUAL(build("datasets.lorenz", given, 3, 0, &d), CST_EINVAL);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "y0 needs 3 values, got 2"));
  cst_dataset_free(ctx, &d);
}

static void noise_is_normal_and_repeatable(void) {
  const cst_given given[] = {{.name = "noise", .kind = CST_NUMBER, .number = 0.2}};
  cst_dataset clean, a, b, c;
  CU_ASSERT_EQUAL_FATAL(build("datasets.cubic_spiral", NULL, 0, 0, &clean), CST_OK);
  CU_ASSERT_EQUAL_FATAL(build("datasets.cubic_spiral", given, 1, 7, &a), CST_OK);
  CU_ASSERT_EQUAL_FATAL(build("datasets.cubic_spiral", given, 1, 7, &b), CST_OK);
  CU_ASSERT_EQUAL_FATAL(build("datasets.cubic_spiral", given, 1, 8, &c), CST_OK);
  const cst_tensor *y = tensor(&clean, "y"), *ya = tensor(&a, "y");
  double mean = 0, square = 0, n = (double)y->count;
  for (size_t i = 0; i < y->count; i++) {
    double z = cst_tensor_get(ya, i) - cst_tensor_get(y, i);
    mean += z / n, square += z * z / n;
  }
  CU_ASSERT_DOUBLE_EQUAL(mean, 0, 4 * 0.2 / sqrt(n));
  CU_ASSERT_DOUBLE_EQUAL(sqrt(square), 0.2, 0.015);
  CU_ASSERT_EQUAL(memcmp(ya->data, tensor(&b, "y")->data, ya->count * 8), 0);
  CU_ASSERT_NOT_EQUAL(memcmp(ya->data, tensor(&c, "y")->data, ya->count * 8), 0);
  cst_dataset_free(ctx, &clean), cst_dataset_free(ctx, &a), cst_dataset_free(ctx, &b),
      cst_dataset_free(ctx, &c);
}

static void a_trajectory_that_blows_up_is_an_error(void) {
  const cst_given given[] = {{.name = "beta", .kind = CST_NUMBER, .number = -5},
                             {.name = "t1", .kind = CST_NUMBER, .number = 100}};
  cst_dataset d;
  CU_ASSERT_NOT_EQUAL(build("datasets.lotka_volterra", given, 2, 0, &d), CST_OK);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "cannot be followed beyond t ="));
  cst_dataset_free(ctx, &d);
}

/* ---- csv ---- */

/* The data set of a file with these bytes; option texts may be NULL. */
static cst_status csv(const char *bytes, size_t size, const char *time, const char *columns,
                      const char *missing, cst_dataset *d) {
  char path[] = "/tmp/costate-csv-XXXXXX";
  int fd = mkstemp(path);
  CU_ASSERT_FATAL(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
  close(fd);
  cst_given given[4] = {{.name = "path", .kind = CST_STRING, .string = path}};
  size_t n = 1;
  if (time) given[n++] = (cst_given){.name = "time", .kind = CST_STRING, .string = time};
  if (columns) given[n++] = (cst_given){.name = "columns", .kind = CST_STRING, .string = columns};
  if (missing) given[n++] = (cst_given){.name = "missing", .kind = CST_STRING, .string = missing};
  cst_status st = build("datasets.csv", given, n, 0, d);
  unlink(path);
  return st;
}

static void csv_reads(void) {
  static const char text[] =
      "\xEF\xBB\xBF# a comment, first\r\n\r\nyear, \"hare\" ,\"all \"\"lynx\"\", seen\"\r\n"
      "1900, 30.0 ,4e-1\r\n# between\r\n1901,\"-47.2\",+.5";
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(csv(text, sizeof text - 1, "year", NULL, NULL, &d), CST_OK);
  const cst_tensor *y = tensor(&d, "y");
  static const double expected[] = {30, 0.4, -47.2, 0.5};
  CU_ASSERT_EQUAL_FATAL(y->count, 4);
  for (size_t i = 0; i < 4; i++) CU_ASSERT_EQUAL(cst_tensor_get(y, i), expected[i]);
  CU_ASSERT_EQUAL(cst_tensor_get(tensor(&d, "t"), 1), 1901);
  CU_ASSERT_PTR_NOT_NULL_FATAL(tensor(&d, "hare"));
  CU_ASSERT_EQUAL(cst_tensor_get(tensor(&d, "hare"), 1), -47.2);
  CU_ASSERT_PTR_NULL(tensor(&d, "mask"));
  cst_dataset_free(ctx, &d);
}

static void csv_marks_what_is_missing(void) {
  static const char text[] = "a,b,c\n1,NA,x\n,4,y\n";
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(csv(text, sizeof text - 1, NULL, "b, a", "NA,", &d), CST_OK);
  static const double mask[] = {0, 1, 1, 0};
  for (size_t i = 0; i < 4; i++) {
    CU_ASSERT_EQUAL(cst_tensor_get(tensor(&d, "mask"), i), mask[i]);
    CU_ASSERT_EQUAL(isnan(cst_tensor_get(tensor(&d, "y"), i)) != 0, mask[i] == 0);
  }
  cst_dataset_free(ctx, &d);
}

static void csv_refuses(void) {
  static const struct {
    const char *text;
    size_t size;
    const char *time, *columns, *message;
  } cases[] = {
#define CASE(s, time, columns, message) {s, sizeof s - 1, time, columns, message}
      CASE("", NULL, NULL, ": the file is empty"),
      CASE("# nothing\n", NULL, NULL, ": the file is empty"),
      CASE("a,b\n", NULL, NULL, ":1: no data follow the header"),
      CASE("a,b\n1,2\n3\n", NULL, NULL, ":3: 1 field, but the header names 2 columns"),
      CASE("a,b\n1,2,3\n", NULL, NULL, ":2: 3 fields, but the header names 2 columns"),
      CASE("a,b\n1,2\n3,x\n", NULL, NULL, ":3: column 'b': 'x' is not a number"),
      CASE("a,b\n1,\n", NULL, NULL, ":2: column 'b': an empty field is not a number"),
      CASE("a\nnan\n", NULL, NULL, ":2: column 'a': 'nan' is not a number"),
      CASE("a\n0x10\n", NULL, NULL, ":2: column 'a': '0x10' is not a number"),
      CASE("a\n1e999\n", NULL, NULL, ":2: column 'a': '1e999' is not a number"),
      CASE("a,b\n1,2\n", "year", NULL, "has no column 'year'; its columns are a, b"),
      CASE("a,b\n1,2\n", NULL, "b,z", "has no column 'z'; its columns are a, b"),
      CASE("\"a \"\"b\"\", c\",d\n1,2\n", NULL, "z", "its columns are a \"b\", c, d"),
      CASE("a\n1\n", "a", NULL, "has only the time column"),
      CASE("a,b\n1,\"2\n3,4\n", NULL, NULL, ":2: a quote is opened but not closed"),
      CASE("a,b\n1,\"2\"3\n", NULL, NULL, ":2: text follows a closing quote"),
      CASE("a\n1\0\n", NULL, NULL, ":2: not a text file: a zero byte"),
#undef CASE
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    cst_dataset d;
    CU_ASSERT_NOT_EQUAL(
        csv(cases[i].text, cases[i].size, cases[i].time, cases[i].columns, NULL, &d), CST_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), cases[i].message));
    cst_dataset_free(ctx, &d);
  }
}

static void csv_names_a_file_that_is_not_there(void) {
  const cst_given given[] = {{.name = "path", .kind = CST_STRING, .string = "/nowhere/x.csv"}};
  cst_dataset d;
  CU_ASSERT_EQUAL(build("datasets.csv", given, 1, 0, &d), CST_EIO);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "/nowhere/x.csv: "));
  cst_dataset_free(ctx, &d);
}

static CU_TestInfo tests[] = {
    {"trajectories end where they should", trajectories_end_where_they_should},
    {"options of trajectories count", options_of_trajectories_count},
    {"noise is normal and repeatable", noise_is_normal_and_repeatable},
    {"a trajectory that blows up is an error", a_trajectory_that_blows_up_is_an_error},
    {"csv reads", csv_reads},
    {"csv marks what is missing", csv_marks_what_is_missing},
    {"csv refuses", csv_refuses},
    {"csv names a file that is not there", csv_names_a_file_that_is_not_there},
    CU_TEST_INFO_NULL,
};

int cst_suite_datasets(void);
int cst_suite_datasets(void) {
  CU_SuiteInfo info[] = {{"datasets", open_datasets, close_datasets, NULL, NULL, tests},
                         CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
