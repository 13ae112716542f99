/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Tables in long format: what becomes of them, what is refused and in which words, and damaged
 * ones.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "costate/rng.h"
#include "sets.h"

static const cst_given columns[] = {TEXT("id", "id"), TEXT("time", "t"), TEXT("columns", "a, b"),
                                    TEXT("missing", "NA,,999")};
static const cst_given channels[] = {TEXT("id", "id"), TEXT("time", "t"), TEXT("channel", "c"),
                                     TEXT("value", "x")};

static cst_status wide(const char *text, cst_dataset *d) {
  return set_read("datasets.long", text, strlen(text), columns, 4, d);
}
static cst_status narrow(const char *text, cst_dataset *d) {
  return set_read("datasets.long", text, strlen(text), channels, 4, d);
}

static void a_column_a_channel(void) {
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(wide("id,t,a,b\n7,2,1,NA\n3,1,999,5\n7,0.5,nan,4\n7,1,,NaN\n", &d), CST_OK);
  EXPECT(&d, "t", 0.5, 2, 1, 1); /* sorted; time 1 of row 7 shows nothing; row 3 padded */
  EXPECT(&d, "y", 0, 4, 1, 0, 0, 5, 0, 0);
  EXPECT(&d, "mask", 0, 1, 1, 0, 0, 1, 0, 0);
  EXPECT(&d, "lengths", 2, 1);
  EXPECT(&d, "id", 7, 3);
  EXPECT(&d, "dropped", 0);
  WORDS(&d, "channels", "a", "b");
  CU_ASSERT_EQUAL(set_tensor(&d, "t")->type.space, CST_ROW);
  cst_dataset_free(set_ctx, &d);
}

static void a_record_an_observation(void) {
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(
      narrow("id,t,c,x\nu,1,hr,60\nu,0,bp,120\nw,3,hr,70\nu,1,bp,110\nv,9,hr,NA\n", &d), CST_OK);
  EXPECT(&d, "t", 0, 1, 3, 3);
  EXPECT(&d, "y", 0, 120, 60, 110, 70, 0, 0, 0);
  EXPECT(&d, "mask", 0, 1, 1, 1, 1, 0, 0, 0);
  EXPECT(&d, "id", 1, 2); /* words for ids: numbered */
  WORDS(&d, "ids", "u", "w");
  EXPECT(&d, "dropped", 1); /* v */
  WORDS(&d, "channels", "hr", "bp");
  cst_dataset_free(set_ctx, &d);
}

static void channels_are_chosen_and_ordered(void) {
  static const char text[] = "id,t,c,x\n1,1,hr,60\n1,0,bp,120\n1,2,temp,37\n2,0,temp,36\n";
  const cst_given given[] = {channels[0],
                             channels[1],
                             channels[2],
                             channels[3],
                             TEXT("channels", "bp, hr"),
                             NUMBER("time_scale", 0.5)};
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(set_read("datasets.long", text, sizeof text - 1, given, 6, &d), CST_OK);
  WORDS(&d, "channels", "bp", "hr");
  EXPECT(&d, "t", 0, 0.5);
  EXPECT(&d, "y", 120, 0, 0, 60);
  EXPECT(&d, "dropped", 1);
  cst_dataset_free(set_ctx, &d);
}

static void rows_have_statics_and_labels(void) {
  static const char text[] =
      "id,t,a,b,sex,age,end\n01,0,1,2,m,50,home\n1,0,1,2,f,40.5,died\n01,1,1,2,m,50,home\n";
  const cst_given given[] = {columns[0], columns[1], columns[2], TEXT("statics", "age,sex"),
                             TEXT("label", "end")};
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(set_read("datasets.long", text, sizeof text - 1, given, 5, &d), CST_OK);
  EXPECT(&d, "statics", 50, 1, 40.5, 0);
  WORDS(&d, "static_names", "age", "sex");
  WORDS(&d, "levels.sex", "f", "m");
  EXPECT(&d, "label", 1, 0);
  WORDS(&d, "classes", "died", "home");
  CU_ASSERT_EQUAL(set_tensor(&d, "label")->type.dtype, CST_I64);
  EXPECT(&d, "id", 1, 2); /* "01" and "1" are two */
  cst_dataset_free(set_ctx, &d);
}

static void long_reads_gzip(void) {
  char path[] = "/tmp/costate-series-XXXXXX";
  close(mkstemp(path));
  gzFile f = gzopen(path, "wb");
  static const char text[] = "id,t,a,b\n1,0,1,2\n1,1,3,4\n";
  CU_ASSERT_EQUAL_FATAL(gzwrite(f, text, sizeof text - 1), (int)sizeof text - 1);
  gzclose(f);
  cst_given given[5] = {TEXT("path", path)};
  memcpy(given + 1, columns, sizeof columns);
  cst_dataset d;
  CU_ASSERT_EQUAL_FATAL(set_build("datasets.long", given, 5, 0, &d), CST_OK);
  EXPECT(&d, "y", 1, 2, 3, 4);
  cst_dataset_free(set_ctx, &d);
  CU_ASSERT_EQUAL(truncate(path, 30), 0);
  CU_ASSERT_EQUAL(set_build("datasets.long", given, 5, 0, &d), CST_EIO);
  set_expect_message("damaged gzip file");
  unlink(path);
}

static void long_refuses(void) {
  static const struct {
    cst_status (*read)(const char *text, cst_dataset *d);
    const char *text, *message;
  } cases[] = {
      {wide, "id,t,a,b\n1,0,1,2\n1,0,NA,3\n",
       ":3: channel 'b' of '1' at time 0 was given already in line 2"},
      {narrow, "id,t,c,x\n1,0,hr,2\n1,1,hr,2\n1,0,hr,2\n",
       ":4: channel 'hr' of '1' at time 0 was given already in line 2"},
      {wide, "id,t,a,b\n1,0,1,NA\n1,1,1,NA\n", "channel 'b' is never observed"},
      {wide, "id,t,a,b\n1,0,NA,NA\n", "no observation is left"},
      {wide, "id,t,a,b\n1,0,x,2\n", ":2: column 'a': 'x' is not a number (option missing lists"},
      {wide, "id,t,a,b\n1,inf,1,2\n", ":2: column 't': 'inf' is not a number"},
      {wide, "id,t,a,b\n1,,1,2\n", ":2: column 't': an empty field is not a number"},
      {wide, "id,t,a,b\n1,nan,1,2\n", ":2: column 't': 'nan' is not a number"},
      {wide, "id,t,a,b\n,0,1,2\n", ":2: column 'id' is empty: whose observation is this?"},
      {narrow, "id,t,c,x\n1,0,,2\n", ":2: column 'c' is empty: which channel is this?"},
      {wide, "id,time,a,b\n1,0,1,2\n", "has no column 't'; its columns are id, time, a, b"},
      {wide, "id,t,a,c\n1,0,1,2\n", "has no column 'b'; its columns are id, t, a, c"},
      {wide, "id,t,a,b\n", "no data follow the header"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    cst_dataset d;
    CU_ASSERT_NOT_EQUAL(cases[i].read(cases[i].text, &d), CST_OK);
    set_expect_message(cases[i].message);
    cst_dataset_free(set_ctx, &d);
  }
}

static void long_refuses_options(void) {
  static const char text[] = "id,t,c,x,s,w\n1,0,hr,2,5,\n2,0,hr,NA,5,1\n1,1,hr,3,6,1\n";
  static const struct {
    cst_given given[4];
    size_t n;
    const char *message;
  } cases[] = {
      {{TEXT("value", "x"), TEXT("columns", "x")}, 2, "either value = \"a column\" or columns"},
      {{TEXT("channel", "c")}, 1, "either value = \"a column\" or columns"},
      {{TEXT("columns", "x"), TEXT("channel", "c")}, 2, "channel needs value"},
      {{TEXT("value", "x"), TEXT("channels", "hr")}, 2, "channels chooses among the entries"},
      {{TEXT("value", "x"), TEXT("channel", "c"), TEXT("channels", "hr,bp")},
       3,
       "channel 'bp' is never observed: no record of column 'c' has it"},
      {{TEXT("columns", "x, x")}, 1, "columns names 'x' twice"},
      {{TEXT("value", "x"), TEXT("empty", "error")}, 2, "'2' has no observation: empty = \"drop\""},
      {{TEXT("value", "x"), TEXT("statics", "s")}, 2, ":4: 's' of '1' was '5' and is '6'"},
      {{TEXT("value", "x"), TEXT("label", "w")}, 2, ":2: 'w' of '1' is missing"},
      {{TEXT("value", "x"), TEXT("statics", "z")}, 2, "has no column 'z'"},
      {{TEXT("value", "x"), TEXT("separator", "tab")}, 2, "the separator must be one character"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    cst_given given[6] = {columns[0], columns[1]};
    cst_dataset d;
    memcpy(given + 2, cases[i].given, cases[i].n * sizeof *given);
    CU_ASSERT_NOT_EQUAL(set_read("datasets.long", text, sizeof text - 1, given, 2 + cases[i].n, &d),
                        CST_OK);
    set_expect_message(cases[i].message);
    cst_dataset_free(set_ctx, &d);
  }
}

/* A good table with one or two other bytes, or cut short: it is read or refused, with a reason. */
static void damaged_tables_are_read_or_refused(void) {
  static const char good[] = "id,t,a,b\n7,2,1,NA\n3,1,999,5\n7,0.5,\"1\",4\n8,1e2,,-4.5\n3,0,2,2\n";
  static const char odd[] = "\n,\"#;0 9.eN-\r\xff";
  size_t n = sizeof good - 1, live = cst_memory_of(set_ctx).live_blocks, fine = 0;
  for (uint64_t k = 0; k < 500; k++) {
    cst_rng r = {.seed = 5, .stream = cst_rng_stream("damage"), .counter = k << 8};
    char text[sizeof good];
    memcpy(text, good, sizeof good);
    for (uint64_t i = cst_rng_below(&r, 2); i < 2; i++)
      text[cst_rng_below(&r, n)] = odd[cst_rng_below(&r, sizeof odd)];
    size_t size = cst_rng_below(&r, 3) ? n : (size_t)cst_rng_below(&r, n);
    cst_dataset d;
    if (set_read("datasets.long", text, size, columns, 4, &d) == CST_OK)
      set_check(&d), fine++;
    else
      CU_ASSERT(strlen(cst_message(set_ctx)) > 10);
    cst_dataset_free(set_ctx, &d);
  }
  CU_ASSERT(fine > 20 && fine < 480);
  CU_ASSERT(cst_memory_of(set_ctx).live_blocks <= live + 1); /* the last message */
}

static CU_TestInfo tests[] = {
    {"a column a channel", a_column_a_channel},
    {"a record an observation", a_record_an_observation},
    {"channels are chosen and ordered", channels_are_chosen_and_ordered},
    {"rows have statics and labels", rows_have_statics_and_labels},
    {"long reads gzip", long_reads_gzip},
    {"long refuses", long_refuses},
    {"long refuses options", long_refuses_options},
    {"damaged tables are read or refused", damaged_tables_are_read_or_refused},
    CU_TEST_INFO_NULL,
};

int cst_suite_long(void);
int cst_suite_long(void) {
  CU_SuiteInfo info[] = {{"long", set_open, set_close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
