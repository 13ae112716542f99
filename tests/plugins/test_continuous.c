/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The gradients along a stored forward solution, interpolating and quadrature, with every registered
 * solver, against `discrete` at a tolerance near round-off (test_adjoint.c compares that with complex
 * steps).
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gradients.h"

int cst_suite_continuous(void);

static cst_context *ctx;
static const char *const methods[2] = {"adjoint.interpolating", "adjoint.quadrature"};
static const double STEP = 0.005; /* of solvers without error control */

static int open(void) { return (ctx = gradient_context()) ? 0 : 1; }
static int close(void) {
  cst_context_free(ctx);
  return 0;
}

static const cst_gradient_type *method_type(const char *name) {
  const cst_entry *e = cst_find(ctx, CST_KIND_GRADIENT, name);
  return e ? e->type : NULL;
}

/* ---- a case ------------------------------------------------------------------------------------ */

typedef struct test_case {
  field_fn *field;
  const double *start, *times;
  size_t rows, n;
  const double *theta; /* MAX_THETA of them; NULL: the problem's */
} test_case;

static const double robertson_times[4] = {0, 0.4, 4, 40}, robertson_start[3] = {1, 0, 0};

static test_case case_of(field_fn *field, size_t rows, bool back) {
  return field == field_robertson
             ? (test_case){field, robertson_start, robertson_times, 1, 4, NULL}
             : (test_case){field, gradient_start, back ? gradient_back : gradient_forth, rows, back ? 6 : 9, NULL};
}

static void case_new(const test_case *c, taped *t, const char *solver, cst_dtype d) {
  taped_new(t, ctx, c->rows, c->field, d, solver, false, 0);
  if (c->theta) memcpy(t->p.theta, c->theta, sizeof t->p.theta);
}

/* With a tolerance near round-off, and outputs at ends of steps, which are as exact; but an output where the
 * field jumps moves along its value after the jump. */
static void exact(const test_case *c, gradient *g) {
  taped t;
  bool stiff = c->field == field_robertson;
  case_new(c, &t, stiff ? "kencarp5" : "dop853", CST_F64);
  t.config.rtol = stiff ? 1e-10 : 1e-13, t.config.atol = stiff ? 1e-14 : 1e-13;
  CU_ASSERT_EQUAL(taped_solve(&t, c->start, c->times, c->n, c->field != field_stepped), CST_OK);
  method_of(&t, "adjoint.discrete", g, NULL);
  taped_free(&t);
}

typedef struct setting {
  const char *solver, *method;
  const cst_options *options;
  cst_dtype dtype;
  double tol, small; /* rtol; atol in parts of it */
} setting;

/* How far the gradient of a setting is off; HUGE_VAL: it failed. */
static double error_of(const test_case *c, setting s, const gradient *truth) {
  const cst_gradient_type *m = method_type(s.method);
  taped t;
  gradient found;
  case_new(c, &t, s.solver, s.dtype);
  taped_follow(&t, 0);
  t.config.rtol = s.tol, t.config.atol = s.tol * s.small;
  if (t.config.step > 0) t.config.step = STEP;
  CU_ASSERT_EQUAL_FATAL(taped_solve(&t, c->start, c->times, c->n, false), CST_OK);
  void *state = method_new(&t, m, s.options);
  cst_status st = method_run(&t, m, state, &found, NULL);
  m->destroy(cst_host_of(ctx), state);
  taped_free(&t);
  return st == CST_OK ? gradient_distance(&found, truth) : HUGE_VAL;
}

/* With tolerances of local errors, h^(q+1) ~ tol, a method of order p is off by h^p, and its dense output of
 * degree d by h^(d+1). A multistep method estimates the error of order p itself. With fixed steps only h counts. */
static double bound(const cst_solver_type *t, double tol) {
  double dense = t->dense ? t->dense_order : 3, order = fmin(t->order, dense + 1);
  if (!(t->traits & CST_ADAPTIVE)) return 30 * pow(STEP, order);
  double rate = order / (t->traits & CST_MULTISTEP ? order + 1 : t->error_order + 1);
  return rate < 1 ? 60 * pow(tol, rate) : 200 * tol;
}

static void within(const test_case *c, setting s, const gradient *truth) {
  const cst_solver_type *t = ode_solver(ctx, s.solver);
  double d = error_of(c, s, truth), most = bound(t, s.tol);
  if (!(d < most)) printf("%s, %s, %zu rows, tol %g: %g > %g\n", s.solver, s.method, c->rows, s.tol, d, most);
  CU_ASSERT(d < most && d > 0);
}

static bool usable(const cst_solver_type *t) { return !(t->traits & CST_STOCHASTIC); }

#define EACH_SOLVER(e, t)                                                               \
  for (size_t i_ = 0; i_ < cst_entry_count(ctx, CST_KIND_SOLVER); i_++)                 \
    for (const cst_entry *e = cst_entry_at(ctx, CST_KIND_SOLVER, i_); e; e = NULL)      \
      for (const cst_solver_type *t = e->type; t && usable(t); t = NULL)

/* ---- with every solver --------------------------------------------------------------------------- */

/* Both directions, with and without jumps of the field, repeated outputs, quadrature parts. */
static void test_every_solver(void) {
  size_t n = 0;
  for (int k = 0; k < 8; k++) {
    size_t rows = 1 + (k > 3);
    test_case c = case_of(k & 1 ? field_stepped : field_lotka, rows, k & 2);
    gradient truth;
    exact(&c, &truth);
    EACH_SOLVER(e, t)
      for (int m = 0; m < 2 && !(rows > 1 && t->traits & CST_SINGLE); m++, n++)
        within(&c, (setting){e->name, methods[m], NULL, CST_F64, 1e-6, 1}, &truth);
  }
  CU_ASSERT(n >= 8 * 2 * 16);
}

/* Of first order, steps for 1e-10 are too many. */
static void test_convergence(void) {
  for (int k = 0; k < 2; k++) {
    test_case c = case_of(k ? field_stepped : field_lotka, 1, k);
    gradient truth;
    exact(&c, &truth);
    EACH_SOLVER(e, t)
      for (int m = 0; m < 2 && t->traits & CST_ADAPTIVE && t->order > 2; m++)
        for (double tol = 1e-4; tol > 1e-11; tol /= 100)
          within(&c, (setting){e->name, methods[m], NULL, CST_F64, tol, 1}, &truth);
  }
}

static void test_single_precision(void) {
  test_case c = case_of(field_lotka, 2, false);
  gradient truth;
  exact(&c, &truth);
  const char *solvers[] = {"dopri5", "bosh3", "dop853", "kencarp4"};
  for (int i = 0; i < 4; i++)
    for (int m = 0; m < 2; m++) {
      double d = error_of(&c, (setting){solvers[i], methods[m], NULL, CST_F32, 1e-5, 1}, &truth);
      CU_ASSERT(d < 1e-3 && d > 0);
    }
}

/* ---- stiff fields ---------------------------------------------------------------------------------- */

/* Robertson's reaction cannot be followed backwards. */
static void test_stiff(void) {
  test_case c = case_of(field_robertson, 1, false);
  gradient truth;
  size_t n = 0;
  exact(&c, &truth);
  EACH_SOLVER(e, t)
    for (int m = 0; m < 2 && t->traits & CST_IMPLICIT && !strstr(e->name, "adams"); m++, n++)
      within(&c, (setting){e->name, methods[m], NULL, CST_F64, 1e-6, 1e-4}, &truth);
  CU_ASSERT(n >= 10);
  double d = error_of(&c, (setting){"dopri5", "adjoint.backsolve", NULL, CST_F64, 1e-6, 1e-4}, &truth);
  CU_ASSERT(d > 1);
}

/* ---- the solver backwards ---------------------------------------------------------------------------- */

static cst_options *options_of(const cst_gradient_type *m, const char *name, cst_option_kind kind, double value,
                               const char *string) {
  cst_options *o = NULL;
  cst_given given = {.name = name, .kind = kind, .number = value, .string = string};
  CU_ASSERT_EQUAL_FATAL(cst_options_new(ctx, m->name, m->options, &given, 1, &o), CST_OK);
  return o;
}

/* Any one, whatever solves forwards. */
static void test_solver_option(void) {
  for (int stiff = 0; stiff < 2; stiff++) {
    test_case c = case_of(stiff ? field_robertson : field_lotka, 1, false);
    gradient truth;
    exact(&c, &truth);
    EACH_SOLVER(e, t)
      for (int m = 0; m < 2 && t->traits & CST_ADAPTIVE; m++) {
        if (stiff && (!(t->traits & CST_IMPLICIT) || strstr(e->name, "adams"))) continue;
        cst_options *o = options_of(method_type(methods[m]), "solver", CST_STRING, 0, e->name);
        setting s = {stiff ? "kvaerno3" : "tsit5", methods[m], o, CST_F64, 1e-6, stiff ? 1e-4 : 1};
        double d = error_of(&c, s, &truth), most = bound(t, 1e-6);
        if (!(d < most)) printf("%s backwards, %s: %g > %g\n", e->name, methods[m], d, most);
        CU_ASSERT(d < most && d > 0);
        cst_options_free(ctx, o);
      }
  }
}

static void refused(const char *method, const char *solver, const char *why) {
  const cst_gradient_type *m = method_type(method);
  cst_options *o = options_of(m, "solver", CST_STRING, 0, solver);
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

static void test_refusals(void) {
  for (int m = 0; m < 2; m++) {
    refused(methods[m], "dopri6", "did you mean");
    refused(methods[m], "rk4", "step");
  }
  const char *others[] = {"adjoint.discrete", "adjoint.backsolve"};
  const cst_host *host = cst_host_of(ctx);
  size_t n = 0;
  for (int m = 0; m < 2; m++) EACH_SOLVER(e, t) {
      if (method_type(others[m])->accepts(host, t) == CST_OK) continue;
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
  for (int m = 0; m < 2; m++) {
    const cst_gradient_type *type = method_type(methods[m]);
    cst_options *o = options_of(type, "solver", CST_STRING, 0, "probing.probe");
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
  CU_ASSERT(probed > 20);
  cst_context_free(ctx);
  ctx = outer;
}

/* ---- the rest ------------------------------------------------------------------------------------------ */

/* Times that are all the same: nothing moves. */
static void test_no_steps(void) {
  const double times[2] = {3, 3};
  for (int m = 0; m < 2; m++) {
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

/* Along a linear field lambda knows nothing of the forcing, whose share only G sees: there it has to count. */
static void test_seminorm(void) {
  static const double times[3] = {0, 4, 8}, theta[MAX_THETA] = {0.01, 1, 20};
  const test_case c = {field_forced, gradient_start, times, 1, 3, theta};
  gradient truth;
  exact(&c, &truth);
  cst_options *o = options_of(method_type(methods[0]), "seminorm", CST_BOOLEAN, 1, NULL);
  double without = error_of(&c, (setting){"dopri5", methods[0], o, CST_F64, 1e-7, 1}, &truth);
  double with = error_of(&c, (setting){"dopri5", methods[0], NULL, CST_F64, 1e-7, 1}, &truth);
  double rules = error_of(&c, (setting){"dopri5", methods[1], NULL, CST_F64, 1e-7, 1}, &truth);
  CU_ASSERT(with < 200e-7 && rules < 200e-7 && without > 1e-3 && isfinite(without));
  cst_options_free(ctx, o);
}

/* The second run of everything allocates nothing, and gives the same bits. */
static void test_again(void) {
  const char *solvers[] = {"dopri5", "kencarp5", "rk4"};
  for (int i = 0; i < 6; i++) {
    const cst_gradient_type *m = method_type(methods[i % 2]);
    taped t;
    gradient first, second;
    cst_solve_stats stats = {0};
    taped_new(&t, ctx, 2, field_lotka, CST_F64, solvers[i / 2], false, 0);
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

/* The forward solution fits the budget, lambda behind it does not. */
static void test_budget(void) {
  const cst_gradient_type *m = method_type(methods[1]);
  const double times[2] = {0, 20};
  taped t;
  gradient g;
  taped_new(&t, ctx, 2, field_lotka, CST_F64, "dopri5", false, 0);
  taped_follow(&t, 0);
  CU_ASSERT_EQUAL(taped_solve(&t, gradient_start, times, 2, false), CST_OK);
  size_t bytes = cst_trajectory_bytes(t.trajectory);
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

int cst_suite_continuous(void) {
  static CU_TestInfo tests[] = {{"every solver", test_every_solver},
                                {"convergence with the tolerance", test_convergence},
                                {"single precision", test_single_precision},
                                {"a stiff field", test_stiff},
                                {"a solver of its own backwards", test_solver_option},
                                {"what is refused, and the way out", test_refusals},
                                {"derivatives of the adjoint equation", test_equation},
                                {"no steps at all", test_no_steps},
                                {"seminorm", test_seminorm},
                                {"a second run", test_again},
                                {"a small memory budget", test_budget},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"continuous", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
