/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Options: every way to give them wrongly has its message.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "costate/registry.h"

int cst_suite_options(void);

static cst_context *ctx;

static int begin(void) { return (ctx = cst_context_new(NULL)) ? 0 : 1; }
static int end(void) {
  cst_context_free(ctx);
  return 0;
}

static const cst_option *schema(void) {
  static const cst_option options[] = {
      {"rtol", CST_NUMBER, .number = 1e-6, .range = {0, 1}, .help = "relative tolerance"},
      {"atol", CST_NUMBER, .number = 1e-9, .help = "absolute tolerance"},
      {"step", CST_NUMBER, .range = {0, 1e308}, .unit = "s"},
      {"order", CST_INTEGER, .number = 4, .range = {1, 5}},
      {"strict", CST_BOOLEAN, .number = 1},
      {"activation", CST_STRING, .string = "tanh", .choices = "tanh|relu|none"},
      {"file", CST_STRING, .help = "what to read"},
      {"sizes", CST_LIST, .required = true, .range = {1, 1e6}, .help = "widths of the layers"},
      {.kind = CST_OPTION_END}};
  return options;
}

static const double two[] = {2, 50};
#define SIZES {.name = "sizes", .kind = CST_LIST, .list = two, .n_list = 2}

static void refuse_all(const cst_given *given, size_t n, const char *message) {
  cst_options *o;
  size_t live = cst_memory_of(ctx).live_blocks;
  CU_ASSERT_EQUAL(cst_options_new(ctx, "solver 'dopri5'", schema(), given, n, &o), CST_EINVAL);
  CU_ASSERT_PTR_NULL(o);
  CU_ASSERT_STRING_EQUAL(cst_message(ctx), message);
  if (strcmp(cst_message(ctx), message) != 0) printf("got: %s\n", cst_message(ctx));
  CU_ASSERT_EQUAL(cst_memory_of(ctx).live_blocks, live);
}

static void refuse(cst_given wrong, const char *message) {
  cst_given given[] = {SIZES, wrong};
  refuse_all(given, 2, message);
}

static void test_defaults(void) {
  cst_given given[] = {SIZES};
  cst_options *o;
  CU_ASSERT_FATAL(cst_options_new(ctx, "x", schema(), given, 1, &o) == CST_OK);
  CU_ASSERT_EQUAL(cst_option_number(o, "rtol"), 1e-6);
  CU_ASSERT_FALSE(cst_option_get(o, "rtol")->given);
  CU_ASSERT_EQUAL(cst_option_integer(o, "order"), 4);
  CU_ASSERT_TRUE(cst_option_boolean(o, "strict"));
  CU_ASSERT_STRING_EQUAL(cst_option_string(o, "activation"), "tanh");
  CU_ASSERT_STRING_EQUAL(cst_option_string(o, "file"), "");
  CU_ASSERT_TRUE(cst_option_get(o, "sizes")->given);
  CU_ASSERT_EQUAL(cst_option_get(o, "sizes")->n_list, 2);
  CU_ASSERT_EQUAL(cst_option_get(o, "sizes")->list[1], 50);
  CU_ASSERT_PTR_NOT_EQUAL(cst_option_get(o, "sizes")->list, two);
  CU_ASSERT_EQUAL(cst_option_number(o, "no such thing"), 0);
  cst_options_free(ctx, o);
}

static void test_values_are_copied(void) {
  char word[] = "relu";
  cst_given given[] = {SIZES,
                       {.name = "activation", .kind = CST_STRING, .string = word},
                       {.name = "order", .kind = CST_NUMBER, .number = 2},
                       {.name = "atol", .kind = CST_INTEGER, .integer = 3},
                       {.name = "strict", .kind = CST_BOOLEAN, .number = 0}};
  cst_options *o;
  CU_ASSERT_FATAL(cst_options_new(ctx, "x", schema(), given, 5, &o) == CST_OK);
  word[0] = '?';
  CU_ASSERT_STRING_EQUAL(cst_option_string(o, "activation"), "relu");
  CU_ASSERT_EQUAL(cst_option_integer(o, "order"), 2);
  CU_ASSERT_EQUAL(cst_option_number(o, "atol"), 3);
  CU_ASSERT_FALSE(cst_option_boolean(o, "strict"));
  cst_options_free(ctx, o);
}

static void test_unknown(void) {
  refuse((cst_given){.name = "rtoll", .kind = CST_NUMBER, .number = 1},
         "unknown option 'rtoll' of solver 'dopri5': did you mean 'rtol'?");
  refuse((cst_given){.name = "momentum", .kind = CST_NUMBER},
         "unknown option 'momentum' of solver 'dopri5': it has rtol, atol, step, order, strict, "
         "activation, file, sizes");
  cst_options *o;
  cst_given given = {.name = "x", .kind = CST_NUMBER};
  CU_ASSERT_EQUAL(cst_options_new(ctx, "solver 'euler'", NULL, &given, 1, &o), CST_EINVAL);
  CU_ASSERT_STRING_EQUAL(cst_message(ctx), "unknown option 'x' of solver 'euler': it has none");
  CU_ASSERT_EQUAL(cst_options_new(ctx, "solver 'euler'", NULL, NULL, 0, &o), CST_OK);
  CU_ASSERT_EQUAL(cst_option_number(o, "x"), 0);
  cst_options_free(ctx, o);
}

static void test_ranges(void) {
  refuse((cst_given){.name = "rtol", .kind = CST_NUMBER, .number = -1},
         "option 'rtol' of solver 'dopri5' must be between 0 and 1, not -1");
  refuse((cst_given){.name = "order", .kind = CST_INTEGER, .integer = 6},
         "option 'order' of solver 'dopri5' must be between 1 and 5, not 6");
  refuse((cst_given){.name = "step", .kind = CST_NUMBER, .number = -0.5},
         "option 'step' of solver 'dopri5' must be between 0 and 1e+308 s, not -0.5");
  refuse((cst_given){.name = "atol", .kind = CST_NUMBER, .number = (double)NAN},
         "option 'atol' of solver 'dopri5' is NaN");
  static const double bad[] = {2, 0};
  cst_given list = {.name = "sizes", .kind = CST_LIST, .list = bad, .n_list = 2};
  refuse_all(&list, 1,
             "number 2 of a list: option 'sizes' of solver 'dopri5' must be between 1 and 1000000, "
             "not 0");
}

static void test_kinds(void) {
  refuse((cst_given){.name = "rtol", .kind = CST_STRING, .string = "small"},
         "option 'rtol' of solver 'dopri5' must be a number, not 'small'");
  refuse((cst_given){.name = "order", .kind = CST_NUMBER, .number = 2.5},
         "option 'order' of solver 'dopri5' must be an integer, not 2.5");
  refuse((cst_given){.name = "order", .kind = CST_NUMBER, .number = 1e300},
         "option 'order' of solver 'dopri5' must be an integer, not 1e+300");
  refuse((cst_given){.name = "strict", .kind = CST_NUMBER, .number = 1},
         "option 'strict' of solver 'dopri5' must be true or false, not 1");
  refuse((cst_given){.name = "file", .kind = CST_BOOLEAN, .number = 1},
         "option 'file' of solver 'dopri5' must be a string, not true");
  refuse((cst_given){.name = "file", .kind = CST_LIST, .list = two, .n_list = 2},
         "option 'file' of solver 'dopri5' must be a string, not a list of 2");
}

static void test_choices_required_twice(void) {
  refuse((cst_given){.name = "activation", .kind = CST_STRING, .string = "tahn"},
         "option 'activation' of solver 'dopri5' must be one of tanh, relu, none, not 'tahn': did "
         "you mean 'tanh'?");
  refuse((cst_given)SIZES, "option 'sizes' of solver 'dopri5' is given twice");
  refuse_all(NULL, 0, "option 'sizes' of solver 'dopri5' is required: widths of the layers");
}

static void test_suggest(void) {
  static const char *const name[] = {"euler", "midpoint", "dopri5", "tsit5", "rk4"};
  CU_ASSERT_STRING_EQUAL(cst_suggest("dopri", name, 5), "dopri5");
  CU_ASSERT_STRING_EQUAL(cst_suggest("Dopri8", name, 5), "dopri5");
  CU_ASSERT_STRING_EQUAL(cst_suggest("tist5", name, 5), "tsit5");
  CU_ASSERT_STRING_EQUAL(cst_suggest("rk5", name, 5), "rk4");
  CU_ASSERT_PTR_NULL(cst_suggest("rosenbrock", name, 5));
  CU_ASSERT_PTR_NULL(cst_suggest("", name, 5));
  CU_ASSERT_PTR_NULL(cst_suggest("euler", name, 0));
  char long_word[500];
  memset(long_word, 'a', sizeof long_word - 1);
  long_word[sizeof long_word - 1] = 0;
  CU_ASSERT_PTR_NULL(cst_suggest(long_word, name, 5));
}

int cst_suite_options(void) {
  CU_pSuite s = CU_add_suite("options", begin, end);
  if (!s) return 1;
  CU_ADD_TEST(s, test_defaults);
  CU_ADD_TEST(s, test_values_are_copied);
  CU_ADD_TEST(s, test_unknown);
  CU_ADD_TEST(s, test_ranges);
  CU_ADD_TEST(s, test_kinds);
  CU_ADD_TEST(s, test_choices_required_twice);
  CU_ADD_TEST(s, test_suggest);
  return 0;
}
