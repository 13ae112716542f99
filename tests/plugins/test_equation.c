/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The gradients along a stored forward solution, apart from how exact they are: the equation they hand to
 * solvers, what they refuse, their memory.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gradients.h"

int cst_suite_equation(void);

static cst_context *ctx;
static const char *const methods[2] = {"adjoint.interpolating", "gauss.quadrature"};
static int n_methods; /* without GSL there is one */

static int open(void) {
  if (!(ctx = gradient_context())) return 1;
  n_methods = method_type(ctx, methods[1]) ? 2 : 1;
  return 0;
}
static int close(void) {
  cst_context_free(ctx);
  return 0;
}

/* ---- what is refused, and the way out ------------------------------------------------------------------ */

static void refused(const char *method, const char *solver, const char *why) {
  const cst_gradient_type *m = method_type(ctx, method);
  cst_options *o = options_of(ctx, m, "solver", CST_STRING, 0, solver);
  void *state;
  taped t;
  taped_new(&t, ctx, 2, field_lotka, CST_F64, "tsit5", false, 0);
  cst_gradient_config c = {.struct_size = sizeof c, .host = cst_host_of(ctx), .options = o, .forward = &t.config,
                           .n_captures_scalars = 4};
  CU_ASSERT_NOT_EQUAL(m->create(&c, &state), CST_OK);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), why));
  taped_free(&t);
  cst_options_free(ctx, o);
}

static bool any(const cst_entry *e) { return e->type != NULL; }

static void test_refusals(void) {
  for (int m = 0; m < n_methods; m++) {
    refused(methods[m], "dopri6", "did you mean");
    refused(methods[m], "rk4", "step");
  }
  const char *others[] = {"adjoint.discrete", "adjoint.backsolve"};
  const cst_host *host = cst_host_of(ctx);
  size_t n = 0;
  for (int m = 0; m < 2; m++) SOLVERS_THAT(ctx, any, t) {
      if (method_type(ctx, others[m])->accepts(host, t) == CST_OK) continue;
      CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "gradient = \"interpolating\""));
      n++;
    }
  CU_ASSERT(n >= 5);
}

/* ---- the equation as an implicit solver sees it -------------------------------------------------------- */

/* Euler's method that compares what it is given of the equation with difference quotients, which in lambda are
 * exact: it is linear in it. */
static size_t probed;

static void close_to(double a, double b, double tolerance) {
  if (!(fabs(a - b) <= tolerance * (1 + fabs(b)))) printf("%.15g is not %.15g\n", a, b);
  CU_ASSERT(fabs(a - b) <= tolerance * (1 + fabs(b)));
}

static void probe_lambda(cst_rhs *f, double t, const double *y) {
  double jac[MAX_N * MAX_D], moved[MAX_N], slope[2 * MAX_N], tangent[2 * MAX_N], v[2 * MAX_N] = {0}, again[2 * MAX_N];
  size_t d = f->n_stage / f->rows;
  CU_ASSERT_EQUAL(f->jacobian(f, &t, y, jac, NULL), CST_OK);
  CU_ASSERT_EQUAL(f->eval(f, &t, y, slope), CST_OK);
  for (size_t j = 0; j < f->n_stage; j++, v[j - 1] = 0) {
    memcpy(moved, y, f->n_stage * sizeof *moved);
    moved[j] += 1, v[j] = 1;
    CU_ASSERT_EQUAL(f->eval(f, &t, moved, again), CST_OK);
    CU_ASSERT_EQUAL(f->jvp(f, &t, y, v, 0, NULL, tangent), CST_OK);
    for (size_t i = 0; i < f->n; i++) close_to(tangent[i], again[i] - slope[i], 1e-12);
    for (size_t i = 0, row = j / d; i < d; i++) close_to(jac[(row * d + i) * d + j % d], tangent[row * d + i], 1e-12);
  }
}

static void probe_time(cst_rhs *f, double t, const double *y) {
  double dfdt[MAX_N], zero[MAX_N] = {0}, tangent[2 * MAX_N], slope[2][2 * MAX_N], times[2] = {t - 1e-6, t + 1e-6};
  CU_ASSERT_EQUAL(f->jacobian(f, &t, y, NULL, dfdt), CST_OK);
  CU_ASSERT_EQUAL(f->jvp(f, &t, y, zero, 1, NULL, tangent), CST_OK);
  for (int i = 0; i < 2; i++) CU_ASSERT_EQUAL(f->eval(f, &times[i], y, slope[i]), CST_OK);
  for (size_t i = 0; i < f->n; i++) {
    close_to(tangent[i], (slope[1][i] - slope[0][i]) / 2e-6, 1e-4);
    if (i < f->n_stage) close_to(dfdt[i], tangent[i], 1e-14);
  }
}

static cst_status probe_create(const cst_solver_config *c, void **state) {
  static int nothing;
  (void)c;
  *state = &nothing;
  return CST_OK;
}
static void probe_destroy(const cst_host *host, void *state) { (void)host, (void)state; }

static cst_status probe_step(void *state, cst_step *s) {
  (void)state;
  const double *y = s->y, *slope = s->f0, middle = *s->t + 0.4 * *s->h;
  probe_lambda(s->rhs, middle, y);
  probe_time(s->rhs, middle, y);
  for (size_t i = 0; i < s->rhs->n; i++) ((double *)s->y1)[i] = y[i] + *s->h * slope[i];
  probed++;
  return CST_OK;
}

static const cst_solver_type probe = {.struct_size = sizeof probe, .name = "probe", .help = "compares", .order = 1,
                                      .traits = CST_IMPLICIT, .create = probe_create, .destroy = probe_destroy,
                                      .step = probe_step};

static cst_status probe_init(const cst_host *host) { return host->register_solver(host, &probe); }
static const cst_plugin probe_plugin = {.abi_version = CST_ABI, .struct_size = sizeof probe_plugin, .name = "probing",
                                        .version = "1", .license = "GPL-3.0-or-later", .init = probe_init};

static void test_equation(void) {
  cst_context *outer = ctx;
  ctx = gradient_context();
  CU_ASSERT_EQUAL_FATAL(cst_plugin_add(ctx, &probe_plugin, "(test)"), CST_OK);
  probed = 0;
  for (int m = 0; m < n_methods; m++) {
    const cst_gradient_type *type = method_type(ctx, methods[m]);
    cst_options *o = options_of(ctx, type, "solver", CST_STRING, 0, "probing.probe");
    taped t;
    gradient g;
    taped_new(&t, ctx, 2, field_lotka, CST_F64, "rk4", false, 0);
    taped_follow(&t, 0);
    CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, gradient_forth, 9, false), CST_OK);
    void *state = method_new(&t, type, o);
    CU_ASSERT_EQUAL(method_run(&t, type, state, &g, NULL), CST_OK);
    type->destroy(cst_host_of(ctx), state);
    taped_free(&t);
    cst_options_free(ctx, o);
  }
  CU_ASSERT(probed > (size_t)(10 * n_methods));
  cst_context_free(ctx);
  ctx = outer;
}

/* ---- the rest ------------------------------------------------------------------------------------------ */

/* Times that are all the same: nothing moves. */
static void test_no_steps(void) {
  const double times[2] = {3, 3};
  for (int m = 0; m < n_methods; m++) {
    taped t;
    gradient g;
    taped_new(&t, ctx, 2, field_lotka, CST_F64, "dopri5", false, 0);
    taped_follow(&t, 0);
    CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, times, 2, false), CST_OK);
    method_of(&t, methods[m], &g, NULL);
    for (size_t k = 0; k < 6; k++) CU_ASSERT_DOUBLE_EQUAL(g.y0[k], gradient_weight(0, k) + gradient_weight(1, k), 1e-15);
    CU_ASSERT(g.theta[0] == 0);
    taped_free(&t);
  }
}

/* The second run of everything allocates nothing, and gives the same bits. */
static void test_again(void) {
  const char *solvers[] = {"dopri5", "kencarp5", "rk4"};
  for (int i = 0; i < 3 * n_methods; i++) {
    const cst_gradient_type *m = method_type(ctx, methods[i % n_methods]);
    taped t;
    gradient first, second;
    cst_solve_stats stats = {0};
    taped_new(&t, ctx, 2, field_lotka, CST_F64, solvers[i / n_methods], false, 0);
    taped_follow(&t, 0);
    CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, gradient_forth, 9, false), CST_OK);
    void *state = method_new(&t, m, NULL);
    CU_ASSERT_EQUAL(method_run(&t, m, state, &first, &stats), CST_OK);
    CU_ASSERT(stats.evaluations > 0 && stats.accepted > 0);
    uint64_t before = cst_memory_of(ctx).allocations;
    CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, gradient_forth, 9, false), CST_OK);
    CU_ASSERT_EQUAL(method_run(&t, m, state, &second, &stats), CST_OK);
    CU_ASSERT_EQUAL(cst_memory_of(ctx).allocations, before);
    CU_ASSERT_EQUAL(memcmp(&first, &second, sizeof first), 0);
    m->destroy(cst_host_of(ctx), state);
    taped_free(&t);
  }
}

/* The forward solution fits the budget, lambda behind it does not. With enough, the peak counts both. */
static void test_budget(void) {
  const cst_gradient_type *m = method_type(ctx, methods[1]);
  if (!m) return;
  const double times[2] = {0, 20};
  taped t;
  gradient g;
  taped_new(&t, ctx, 2, field_lotka, CST_F64, "dopri5", false, 0);
  taped_follow(&t, 0);
  CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, times, 2, false), CST_OK);
  size_t bytes = cst_trajectory_bytes(t.trajectory);
  method_of(&t, methods[1], &g, NULL);
  CU_ASSERT(cst_trajectory_peak(t.trajectory) > 3 * bytes / 2 && cst_trajectory_bytes(t.trajectory) == bytes);
  taped_free(&t);
  taped_new(&t, ctx, 2, field_lotka, CST_F64, "dopri5", false, 0);
  taped_follow(&t, bytes + bytes / 4);
  CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, times, 2, false), CST_OK);
  void *state = method_new(&t, m, NULL);
  CU_ASSERT_EQUAL(method_run(&t, m, state, &g, NULL), CST_ENOMEM);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "gradient = \"discrete\""));
  CU_ASSERT(cst_trajectory_bytes(t.trajectory) <= bytes + bytes / 4);
  m->destroy(cst_host_of(ctx), state);
  taped_free(&t);
}

/* ---- out of memory ------------------------------------------------------------------------------------- */

static long requests, fail_at; /* 0: never */

static void *allocate(void *user, void *ptr, size_t old, size_t size) {
  (void)user, (void)old;
  if (size == 0) {
    free(ptr);
    return NULL;
  }
  return ++requests == fail_at ? NULL : realloc(ptr, size);
}

static cst_status everything(cst_context *c, const char *method, const char *solver) {
  taped t = {.ctx = c, .field = field_lotka};
  gradient g;
  problem_init(&t.p, field_lotka, CST_F64, 2, 2, 1);
  t.config = ode_config(c, solver, &t.p);
  t.type = *t.config.solver;
  cst_status st = cst_trajectory_new(c, 0, &t.trajectory);
  if (st == CST_OK) solve_init(&t.s, c, &t.config, &t.p);
  if (st == CST_OK && !t.s.integrator) st = CST_ENOMEM;
  if (st == CST_OK) st = taped_solve(&t, gradient_start, gradient_forth, 9, false);
  if (st == CST_OK) st = method_pull(&t, method, &g, NULL);
  taped_free(&t);
  return st;
}

/* Whichever request fails, it is told and nothing stays behind. */
static void test_memory(void) {
  const cst_allocator a = {.resize = allocate};
  const char *solvers[2] = {"tsit5", "kencarp4"};
  fail_at = 0;
  cst_context *c = cst_context_new(&a);
  const char *plugins[] = {"rk", "esdirk", "adjoint", "gauss"};
  for (int i = 0; i < 2 + n_methods; i++) CU_ASSERT_EQUAL_FATAL(cst_plugin_load(c, plugins[i]), CST_OK);
  for (int i = 0; i < 2 * n_methods; i++) {
    size_t before = cst_memory_of(c).live_blocks;
    cst_status st = CST_ENOMEM;
    long k = 0;
    while (st == CST_ENOMEM && k < 1000) {
      fail_at = requests + ++k;
      st = everything(c, methods[i % n_methods], solvers[i / n_methods]);
      fail_at = 0;
      CU_ASSERT_EQUAL(cst_memory_of(c).live_blocks, before);
    }
    CU_ASSERT(st == CST_OK && k > 20);
  }
  cst_context_free(c);
}

int cst_suite_equation(void) {
  static CU_TestInfo tests[] = {{"what is refused, and the way out", test_refusals},
                                {"derivatives of the adjoint equation", test_equation},
                                {"no steps at all", test_no_steps},
                                {"a second run", test_again},
                                {"a small memory budget", test_budget},
                                {"out of memory", test_memory},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"equation", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
