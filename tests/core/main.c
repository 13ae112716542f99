/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Runs the test suites: all of them, or those named as arguments. Each suite is one function
 *
 *   int cst_suite_NAME(void);     adds its CUnit suites; 0, or not 0 when that failed
 *
 * in test_NAME.c; the list of tests/meson.build arrives here as CST_SUITES, X(base) X(tensor) ...
 * The last line is "N passed, N failed", counting tests; the exit status is 1 when one failed.
 */
#include <CUnit/CUnit.h>
#include <CUnit/TestRun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DECLARE(name) int cst_suite_##name(void);
#define X(name) DECLARE(name)
CST_SUITES
#undef X

static const struct { const char *name; int (*add)(void); } suites[] = {
#define X(name) {#name, cst_suite_##name},
    CST_SUITES
#undef X
};
enum { N_SUITES = sizeof suites / sizeof *suites };

static void suite_broken(const CU_pSuite suite) {
  printf("%s: the suite's initialisation failed\n", suite->pName);
}

static void test_done(const CU_pTest test, const CU_pSuite suite,
                      const CU_pFailureRecord failures) {
  for (const CU_FailureRecord *f = failures; f; f = f->pNext)
    printf("%s:%u: %s/%s: %s\n", f->strFileName, f->uiLineNumber, suite->pName, test->pName,
           f->strCondition);
  fflush(stdout); /* a crash of the next test leaves this one's report */
}

static int chosen(const char *name, int argc, char **argv) {
  int yes = argc < 2;
  for (int i = 1; i < argc; i++) yes |= strcmp(argv[i], name) == 0;
  return yes;
}

static int known(const char *name) {
  for (size_t i = 0; i < N_SUITES; i++)
    if (strcmp(suites[i].name, name) == 0) return 1;
  fprintf(stderr, "no suite '%s'\n", name);
  return 0;
}

/* Adds the suites asked for; how many could not be added. */
static unsigned add_suites(int argc, char **argv) {
  unsigned broken = 0;
  for (int i = 1; i < argc; i++) broken += !known(argv[i]);
  for (size_t i = 0; i < N_SUITES; i++)
    if (chosen(suites[i].name, argc, argv) && suites[i].add() != 0) {
      printf("%s: the suite could not be added\n", suites[i].name);
      broken++;
    }
  return broken;
}

int main(int argc, char **argv) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 1;
  CU_set_test_complete_handler(test_done);
  CU_set_suite_init_failure_handler(suite_broken);
  unsigned passed = 0, failed = add_suites(argc, argv);
  for (CU_pSuite s = CU_get_registry()->pSuite; s; s = s->pNext) {
    CU_run_suite(s);
    unsigned run = CU_get_number_of_tests_run(), bad = CU_get_number_of_tests_failed();
    bad += CU_get_number_of_suites_failed();
    printf("%-24s %4u tests, %u failed\n", s->pName, run, bad);
    passed += run > bad ? run - bad : 0, failed += bad;
  }
  CU_cleanup_registry();
  printf("%u passed, %u failed\n", passed, failed);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
