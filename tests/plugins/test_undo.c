/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The gradient that goes back from the end of a solve, with every reversible solver. Its reference is `discrete`
 * of the same steps, that of `discrete` are differences of order 4.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reversible.h"

int cst_suite_undo(void);

/* ---- gradients ------------------------------------------------------------------------------------------------- */

typedef struct setting {
  field_fn *field;
  const double *times;
  size_t n;
  bool stops, fixed;
} setting;

static void prepare(taped *way, const setting *s, const cst_solver_type *t, cst_dtype d, size_t budget) {
  taped_with(way, ctx, 2, s->field, d, t, budget);
  if (s->fixed) way->config.step = 0.17;
}

static cst_status solve_it(taped *way, const setting *s) {
  return taped_solve(way, gradient_start, s->times, s->n, s->stops);
}

static void gradient_of(const setting *s, const cst_solver_type *t, cst_dtype d, const char *method, gradient *g,
                        double *loss) {
  taped way;
  prepare(&way, s, t, d, 0);
  way.undoable = strcmp(method, "reversible") == 0;
  CU_ASSERT_EQUAL(solve_it(&way, s), CST_OK);
  method_of(&way, method, g, NULL);
  *loss = taped_loss(&way);
  taped_free(&way);
}

/* Calls check for all fields, directions, kinds of steps and outputs in them or at their ends. */
static void every_setting(void (*check)(const setting *s, const cst_solver_type *t)) {
  field_fn *const fields[] = {field_lotka, field_stepped};
  EVERY_SOLVER(t)
    for (int k = 0; k < 16; k++) {
      bool fixed = k & 1;
      setting s = {fields[k >> 1 & 1], k & 4 ? gradient_back : gradient_forth, k & 4 ? 6 : 9, k & 8, fixed};
      if (fixed || t->traits & CST_ADAPTIVE) check(&s, t);
    }
}

static void differ(const char *what, const setting *s, const cst_solver_type *t, double d, double bound) {
  if (!(d < bound))
    printf("%s, %s%s%s%s%s: %g\n", t->name, what, s->field == field_stepped ? ", breaks" : "", s->fixed ? ", fixed" : "",
           s->stops ? ", stops" : "", s->times == gradient_back ? ", backward" : "", d);
  CU_ASSERT(d < bound);
}

static void same_as_discrete(const setting *s, const cst_solver_type *t) {
  gradient exact, found;
  double loss[2];
  gradient_of(s, t, CST_F64, "discrete", &exact, &loss[0]);
  gradient_of(s, t, CST_F64, "reversible", &found, &loss[1]);
  CU_ASSERT_EQUAL(loss[0], loss[1]);
  CU_ASSERT(fabs(exact.theta[1]) > 5e-3 && fabs(exact.times[0]) > 1e-3);
  differ("reversible", s, t, gradient_distance(&found, &exact), 1e-11);
}
static void test_reversible(void) { every_setting(same_as_discrete); }

/* With little memory, steps are taken again from what was carried: the same bits. */
static void same_when_thin(const setting *s, const cst_solver_type *t) {
  gradient g[2];
  size_t budget = 0, n, records = 0;
  for (int thin = 0; thin < 2; thin++) {
    taped way;
    prepare(&way, s, t, CST_F64, budget);
    CU_ASSERT_EQUAL(solve_it(&way, s), CST_OK);
    n = cst_integrator_n_steps(way.s.integrator);
    for (size_t k = 0; thin && k < n; k++) records += cst_integrator_step(way.s.integrator, k).record != NULL;
    method_of(&way, "discrete", &g[thin], NULL);
    budget = 7 * cst_tape_bytes(way.tape) / 10;
    taped_free(&way);
  }
  CU_ASSERT(records > 0 && records < n);
  CU_ASSERT_EQUAL(memcmp(&g[0], &g[1], sizeof *g), 0);
}
static void test_budget(void) { every_setting(same_when_thin); }

/* In single precision: an ulp of 6e-8, twelve steps, and what field and second root magnify. */
static void close_in_single(const setting *s, const cst_solver_type *t) {
  gradient exact, found;
  double loss;
  if (!s->fixed) return; /* other steps would be taken */
  gradient_of(s, t, CST_F64, "discrete", &exact, &loss);
  gradient_of(s, t, CST_F32, "discrete", &found, &loss);
  differ("discrete in f32", s, t, gradient_distance(&found, &exact), 1e-4);
  gradient_of(s, t, CST_F32, "reversible", &found, &loss);
  differ("reversible in f32", s, t, gradient_distance(&found, &exact), 1e-4);
}
static void test_single(void) { every_setting(close_in_single); }

/* Times away from breaks, from each other and from ends of steps, where interpolation bends: each may move. */
static void test_discrete(void) {
  static const double times[6] = {0.05, 0.34, 0.36, 0.95, 1.62, 1.9}, reversed[6] = {0.85, 0.7, 0.62, 0.11, -0.4, -0.8};
  field_fn *const fields[] = {field_lotka, field_stepped};
  EVERY_SOLVER(t)
    for (int k = 0; k < 16; k++) {
      setting s = {fields[k >> 1 & 1], k & 4 ? reversed : times, 6, k & 8, k & 1};
      taped way;
      gradient exact, found;
      if (!s.fixed && !(t->traits & CST_ADAPTIVE)) continue;
      prepare(&way, &s, t, CST_F64, 0);
      way.config.rtol = way.config.atol = 1e-3;
      CU_ASSERT_EQUAL(solve_it(&way, &s), CST_OK);
      method_of(&way, "discrete", &found, NULL);
      taped_differences(&way, gradient_start, &exact);
      if (s.stops) memcpy(exact.times, found.times, sizeof exact.times);
      differ("discrete", &s, t, gradient_distance(&found, &exact), 1e-9);
      taped_free(&way);
    }
}

/* ---- memory, and the end of the way ---------------------------------------------------------------------------- */

static size_t bytes_of(const cst_solver_type *t, double step, bool undoable) {
  taped way;
  gradient g;
  taped_with(&way, ctx, 2, field_lotka, CST_F64, t, 0);
  way.config.step = step, way.undoable = undoable;
  CU_ASSERT_EQUAL(taped_solve(&way, gradient_start, gradient_forth, 9, false), CST_OK);
  method_of(&way, undoable ? "reversible" : "discrete", &g, NULL);
  size_t bytes = undoable ? cst_integrator_undo_bytes(way.s.integrator) : cst_tape_bytes(way.tape);
  taped_free(&way);
  return bytes;
}

static void test_memory(void) {
  EVERY_SOLVER(t) {
    size_t few = bytes_of(t, 0.2, true), many = bytes_of(t, 0.002, true);
    CU_ASSERT(few > 0 && few == many);
    CU_ASSERT(bytes_of(t, 0.002, false) > 20 * many);
  }
}

/* A run like an earlier one allocates nothing, breaks or not. */
static void test_no_allocation(void) {
  EVERY_SOLVER(t) {
    taped way;
    cst_taped_step step;
    taped_with(&way, ctx, 2, field_stepped, CST_F64, t, 0);
    way.undoable = true;
    uint64_t before = 0;
    for (int run = 0; run < 2; run++) {
      CU_ASSERT_EQUAL(taped_solve(&way, gradient_start, gradient_forth, 9, false), CST_OK);
      size_t n = cst_integrator_n_steps(way.s.integrator);
      for (int twice = 0; twice < 2; twice++) /* two pullbacks of one solve */
        for (size_t k = n; k-- > 0;)
          CU_ASSERT_EQUAL(cst_integrator_undo(way.s.integrator, &way.p.rhs, k, &step), CST_OK);
      double y0[MAX_N];
      memcpy(y0, step.y, way.p.rhs.n * sizeof *y0);
      for (size_t k = 0; k < way.p.rhs.n; k++) CU_ASSERT_DOUBLE_EQUAL(y0[k], gradient_start[k], 1e-13);
      if (run) CU_ASSERT_EQUAL(cst_memory_of(ctx).allocations, before);
      before = cst_memory_of(ctx).allocations;
    }
    taped_free(&way);
  }
}

/* Requests until one fails (negative: none does), blocks alive. */
typedef struct meter {
  long left, live;
} meter;

static void *metered(void *user, void *ptr, size_t old_size, size_t new_size) {
  meter *m = user;
  if (new_size == 0) {
    m->live -= ptr != NULL;
    free(ptr);
    return NULL;
  }
  if ((!ptr || new_size > old_size) && m->left >= 0 && m->left-- == 0) return NULL;
  void *p = realloc(ptr, new_size);
  m->live += p && !ptr;
  return p;
}

static cst_status whole_way(cst_context *own, const cst_solver_type *t) {
  taped way;
  gradient g;
  taped_with(&way, own, 2, field_stepped, CST_F64, t, 0);
  way.undoable = true;
  solve_init(&way.s, own, &way.config, &way.p);
  cst_status st = way.tape && way.s.integrator ? CST_OK : CST_ENOMEM;
  if (st == CST_OK) st = taped_solve(&way, gradient_start, gradient_forth, 9, false);
  if (st == CST_OK) st = method_pull(&way, "reversible", &g, NULL);
  taped_free(&way);
  return st;
}

/* Whichever request fails, it is said, and nothing is left behind. */
static void test_out_of_memory(void) {
  meter m = {.left = -1};
  cst_context *own = cst_context_new(&(cst_allocator){metered, &m});
  CU_ASSERT_FATAL(own && cst_plugin_load(own, "rk") == CST_OK && cst_plugin_load(own, "adjoint") == CST_OK);
  CU_ASSERT_EQUAL_FATAL(cst_plugin_load(own, "reversible"), CST_OK);
  SOLVERS_THAT(own, is_reversible, t) {
    long before = m.live, k = 0;
    for (cst_status st = CST_ENOMEM; st != CST_OK; k++) {
      m.left = k;
      st = whole_way(own, t);
      CU_ASSERT_FATAL(st == CST_OK || st == CST_ENOMEM);
      CU_ASSERT_EQUAL(m.live, before);
    }
    m.left = -1;
    CU_ASSERT(k > 10);
  }
  cst_context_free(own);
  CU_ASSERT_EQUAL(m.live, 0);
}

/* Where the way back magnifies rounding beyond use, it is said, with what to do. */
static void test_lost(void) {
  EVERY_SOLVER(t) {
    taped way;
    gradient g;
    if (!t->options) continue;
    bool damping = strcmp(t->options[0].name, "damping") == 0;
    taped_with(&way, ctx, 2, field_lotka, CST_F64, t, 0);
    taped_option(&way, t->options[0].name, damping ? 0.7 : 0.4);
    way.config.step = 0.02, way.undoable = true;
    CU_ASSERT_EQUAL(taped_solve(&way, gradient_start, gradient_forth, 9, false), CST_OK);
    cst_status st = method_pull(&way, "reversible", &g, NULL);
    if (st != CST_ELOST) printf("%s: %s\n", t->name, st == CST_OK ? "not noticed" : cst_message(ctx));
    CU_ASSERT_EQUAL(st, CST_ELOST);
    CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), damping ? "damping nearer 1" : "coupling nearer 1"));
    CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "\"discrete\""));
    taped_free(&way);
  }
}

/* Nothing that could not be undone is accepted. */
static void test_refused(void) {
  const cst_gradient_type *m = cst_find(ctx, CST_KIND_GRADIENT, "reversible")->type;
  EVERY_SOLVER(t) {
    CU_ASSERT_EQUAL(m->accepts(cst_host_of(ctx), t), CST_OK);
    if (!t->options) continue;
    taped way;
    taped_with(&way, ctx, 2, field_lotka, CST_F64, t, 0);
    taped_option(&way, t->options[0].name, t->options[0].range[0]);
    solve_init(&way.s, ctx, &way.config, &way.p);
    CU_ASSERT_PTR_NULL(way.s.integrator);
    CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), t->options[0].name));
    taped_free(&way);
  }
  CU_ASSERT_EQUAL(m->accepts(cst_host_of(ctx), ode_solver(ctx, "dopri5")), CST_EUNSUPPORTED);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "reversible.dopri5"));
  taped way;
  taped_new(&way, ctx, 2, field_lotka, CST_F64, "dopri5", false, 0);
  way.undoable = true;
  CU_ASSERT_EQUAL(taped_solve(&way, gradient_start, gradient_forth, 9, false), CST_EUNSUPPORTED);
  taped_free(&way);
}

static void test_no_steps(void) {
  static const double times[2] = {3, 3};
  EVERY_SOLVER(t) {
    taped way;
    gradient g;
    taped_with(&way, ctx, 2, field_lotka, CST_F64, t, 0);
    way.undoable = true;
    CU_ASSERT_EQUAL(taped_solve(&way, gradient_start, times, 2, false), CST_OK);
    method_of(&way, "reversible", &g, NULL);
    for (size_t k = 0; k < 6; k++)
      CU_ASSERT_DOUBLE_EQUAL(g.y0[k], gradient_weight(0, k) + gradient_weight(1, k), 1e-15);
    taped_free(&way);
  }
}

int cst_suite_undo(void) {
  static CU_TestInfo tests[] = {{"discrete is the derivative of the steps", test_discrete},
                                {"reversible is discrete of the same steps", test_reversible},
                                {"a small memory budget", test_budget},
                                {"single precision", test_single},
                                {"memory does not grow with the steps", test_memory},
                                {"no allocation in a second run", test_no_allocation},
                                {"out of memory", test_out_of_memory},
                                {"a way back that is lost", test_lost},
                                {"refusals", test_refused},
                                {"no steps at all", test_no_steps},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"undo", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
