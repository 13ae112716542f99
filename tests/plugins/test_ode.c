/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The solve driver: arrival, times, jumps, failures and their messages, replay, memory.
 */
#include <CUnit/CUnit.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "problem.h"

int cst_suite_ode(void);

static cst_context *ctx;

static int open(void) { return (ctx = ode_context()) ? 0 : 1; }
static int close(void) {
  cst_context_free(ctx);
  return 0;
}

/* What y0 = (1, 0) has become after time t under field_rotation with theta0 = 1.5. */
static double exact(size_t k, double t) { return k == 0 ? cos(1.5 * t) : -sin(1.5 * t); }

static double error_at(const solve *s, size_t i, double t) {
  return fmax(fabs(s->value[i][0] - exact(0, t)), fabs(s->value[i][1] - exact(1, t)));
}

static void test_arrival(void) {
  const double grids[][5] = {{0, 0.1, 0.7, 0.7, 3}, {3, 3, 2.2, 1, -1}, {-2, -2, -2, -2, -2},
                             {1e6, 1e6 + 1e-3, 1e6 + 1, 1e6 + 1, 1e6 + 2}};
  problem p;
  solve s;
  problem_init(&p, field_rotation, CST_F64, 1, 2, 0);
  cst_integrator_config c = ode_config(ctx, "dopri5", &p);
  solve_init(&s, ctx, &c, &p);
  for (size_t g = 0; g < 4; g++)
    for (int stops = 0; stops < 2; stops++) {
      const double *t = grids[g], low = fmin(t[0], t[4]), high = fmax(t[0], t[4]);
      s.run.stops = stops;
      CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, t, 5), CST_OK);
      CU_ASSERT_EQUAL(s.given, 5);
      for (size_t i = 0; i < 5; i++) CU_ASSERT(error_at(&s, i, t[i] - t[0]) < 1e-5);
      CU_ASSERT_EQUAL(s.y[0], s.value[4][0]);
      CU_ASSERT(low == high ? s.stats.evaluations == 0 : p.low >= low && p.high <= high);
      CU_ASSERT(s.stats.accepted == 0 || p.high == high || p.low == low);
    }
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, (double[]){4}, 1), CST_OK);
  CU_ASSERT(s.given == 1 && s.stats.evaluations == 0 && s.y[0] == 1);
  solve_free(&s, ctx);
}

static void test_bad_times(void) {
  problem p;
  solve s;
  problem_init(&p, field_rotation, CST_F64, 1, 2, 0);
  cst_integrator_config c = ode_config(ctx, "dopri5", &p);
  solve_init(&s, ctx, &c, &p);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, (double[]){0, 2, 1}, 3), CST_EINVAL);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, (double[]){0, nan(""), 1}, 3), CST_EINVAL);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, (double[]){0, HUGE_VAL}, 2), CST_EINVAL);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, NULL, 0), CST_EINVAL);
  solve_free(&s, ctx);
}

/* The number of evaluations is the method's, not one more. */
static void test_counts(void) {
  problem p;
  solve s;
  problem_init(&p, field_rotation, CST_F64, 1, 2, 0);
  const double t[3] = {0, 0.55, 1};
  const struct { const char *name; uint64_t first, each, extra; } row[] = {
    {"euler", 0, 1, 0}, {"midpoint", 0, 2, 0}, {"rk4", 0, 4, 0}, {"dopri5", 1, 6, 0}, {"bosh3", 1, 3, 0}};
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    cst_integrator_config c = ode_config(ctx, row[i].name, &p);
    c.step = 0.1;
    solve_init(&s, ctx, &c, &p);
    CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, t, 3), CST_OK);
    CU_ASSERT_EQUAL(s.stats.accepted, 10);
    CU_ASSERT_EQUAL(s.stats.evaluations, row[i].first + 10 * row[i].each + row[i].extra);
    solve_free(&s, ctx);
  }
}

static void test_fixed_steps(void) {
  problem p;
  solve s;
  problem_init(&p, field_rotation, CST_F64, 1, 2, 0);
  cst_integrator_config c = ode_config(ctx, "rk4", &p);
  cst_integrator *none;
  CU_ASSERT_EQUAL(cst_integrator_new(cst_host_of(ctx), &c, &none), CST_EINVAL);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "step"));
  c.step = 25.0 / 999;
  solve_init(&s, ctx, &c, &p);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, (double[]){0, 25}, 2), CST_OK);
  CU_ASSERT_EQUAL(s.stats.accepted, 999);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, (double[]){7, 7 - 25.0 / 999 * 10.5}, 2), CST_OK);
  CU_ASSERT_EQUAL(s.stats.accepted, 11);
  solve_free(&s, ctx);
}

static void test_tolerance(void) {
  double before = 1;
  problem p;
  solve s;
  problem_init(&p, field_rotation, CST_F64, 1, 2, 0);
  for (double tol = 1e-4; tol > 1e-11; tol /= 100) {
    cst_integrator_config c = ode_config(ctx, "dopri5", &p);
    c.rtol = c.atol = tol;
    solve_init(&s, ctx, &c, &p);
    CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, (double[]){0, 10}, 2), CST_OK);
    double error = error_at(&s, 1, 10);
    CU_ASSERT(error < 100 * tol && error > tol / 100 && error < before / 20);
    before = error;
    solve_free(&s, ctx);
  }
}

/* Rows, f32 and the quadrature part: rows do not know of each other's number. */
static void test_parts(void) {
  for (cst_dtype d = CST_F32; d <= CST_F64; d++) {
    problem p;
    solve s;
    problem_init(&p, field_pair, d, 3, 3, 1);
    cst_integrator_config c = ode_config(ctx, "tsit5", &p);
    if (d == CST_F32) c.rtol = c.atol = 1e-5;
    solve_init(&s, ctx, &c, &p);
    const double y0[12] = {1, 0, 1, 1, 0, 2, 1, 0, 3, 0, 0, 0}, t[4] = {0, 0.3, 1.1, 2};
    CU_ASSERT_EQUAL(solve_run(&s, y0, t, 4), CST_OK);
    for (size_t i = 0; i < 4; i++)
      for (size_t r = 0; r < 3; r++) {
        double tol = d == CST_F32 ? 2e-4 : 2e-6;
        CU_ASSERT_DOUBLE_EQUAL(s.value[i][3 * r], exact(0, t[i]), tol);
        CU_ASSERT_DOUBLE_EQUAL(s.value[i][3 * r + 2], (double)(r + 1) * exp(-t[i]), tol);
        CU_ASSERT_DOUBLE_EQUAL(s.value[i][9 + r], sin(1.5 * t[i]) / 1.5, tol);
      }
    solve_free(&s, ctx);
  }
}

/* What is not controlled does not choose the steps; what is, does. */
static void test_controlled(void) {
  uint64_t steps[2];
  for (int free = 0; free < 2; free++) {
    problem p;
    solve s;
    problem_init(&p, field_fast, CST_F64, 1, 1, 1);
    p.part[1].flags |= free ? CST_PART_UNCONTROLLED : 0u;
    cst_integrator_config c = ode_config(ctx, "bosh3", &p);
    solve_init(&s, ctx, &c, &p);
    CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, (double[]){0, 10}, 2), CST_OK);
    steps[free] = s.stats.accepted;
    solve_free(&s, ctx);
  }
  CU_ASSERT(10 * steps[1] < steps[0]);
}

static cst_status jump(void *arg, size_t i, void *y, bool *jumped) {
  double *x = y;
  (void)arg;
  if (i == 2) x[0] += 1, *jumped = true;
  return CST_OK;
}

/* y' = -y, +1 at t = 1: y(2) = (e^-1 + 1) e^-1. No new search for a step size at a stop. */
static void test_jump(void) {
  problem p;
  solve s;
  problem_init(&p, field_forced, CST_F64, 1, 1, 0);
  p.theta[0] = 1, p.theta[1] = 0;
  cst_integrator_config c = ode_config(ctx, "dopri5", &p);
  solve_init(&s, ctx, &c, &p);
  const double times[5] = {0, 0.5, 1, 1, 2};
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1}, times, 5), CST_OK);
  uint64_t plain = s.stats.evaluations;
  s.run.stops = true, s.run.at = jump;
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1}, times, 5), CST_OK);
  CU_ASSERT_DOUBLE_EQUAL(s.y[0], (exp(-1) + 1) * exp(-1), 2e-6);
  CU_ASSERT(s.stats.evaluations <= plain + 6 * 6);
  solve_free(&s, ctx);
}

/* y0 of field_stepped (theta0 = 1.5) from x at time a to time b, from break to break. */
static double stepped(double x, double a, double b) {
  while (a != b) {
    size_t k = 0;
    double end = b;
    while (k < N_BREAKS && (a < b ? problem_breaks[k] <= a : problem_breaks[k] < a)) k++;
    if (a < b && k < N_BREAKS) end = fmin(b, problem_breaks[k]);
    if (a > b && k > 0) end = fmax(b, problem_breaks[k - 1]);
    double rest = problem_level(k) / 1.5;
    x = rest + (x - rest) * exp(-1.5 * (end - a));
    a = end;
  }
  return x;
}

static double stepped_error(const char *solver, double step, const double *times, size_t n_breaks, solve *s, problem *p) {
  problem_init(p, field_stepped, CST_F64, 1, 2, 1);
  cst_integrator_config c = ode_config(ctx, solver, p);
  c.step = step;
  solve_init(s, ctx, &c, p);
  s->run.breaks = problem_breaks, s->run.n_breaks = n_breaks, s->run.schedule = &s->schedule;
  CU_ASSERT_EQUAL(solve_run(s, (double[]){1, 0.5, 0}, times, 3), CST_OK);
  return fmax(fabs(s->value[1][0] - stepped(1, times[0], times[1])), fabs(s->y[0] - stepped(1, times[0], times[2])));
}

/* Steps end at every break inside the span, and the field is asked on the side of the step: only then does
 * a method keep its order. Start, an output and the end lie at breaks, too. */
static void test_breaks(void) {
  const double spans[][3] = {{-0.2, 0.9, 1.45}, {-0.7, 0.05, 2}, {2, 0.9, -0.3}, {1.7, 0.3, -1}};
  for (size_t k = 0; k < 4; k++) {
    const double *t = spans[k], low = fmin(t[0], t[2]), high = fmax(t[0], t[2]);
    problem p;
    solve s;
    double coarse = stepped_error("rk4", 0.05, t, N_BREAKS, &s, &p);
    solve_free(&s, ctx);
    double fine = stepped_error("rk4", 0.025, t, N_BREAKS, &s, &p);
    solve_free(&s, ctx);
    CU_ASSERT(coarse / fine > 11 && coarse / fine < 24 && fine < 1e-5);
    CU_ASSERT(stepped_error("rk4", 0.025, t, 0, &s, &p) > 1e3 * fine);
    solve_free(&s, ctx);
    CU_ASSERT(stepped_error("dopri5", 0, t, N_BREAKS, &s, &p) < 2e-6);
    CU_ASSERT(s.stats.rejected <= 4 && p.low >= low - 1e-15 && p.high <= high);
    for (size_t b = 0; b < N_BREAKS; b++) {
      bool met = problem_breaks[b] <= low || problem_breaks[b] >= high;
      for (size_t i = 0; i < s.schedule.n; i++) met |= s.schedule.t[i] == problem_breaks[b];
      CU_ASSERT(met);
    }
    solve_free(&s, ctx);
  }
}

/* A schedule replayed from a start that has moved: steps move with it up to the first break only. */
static void test_replayed_breaks(void) {
  const double t[3] = {-0.7, 0.9, 1.45}, moved[3] = {-0.7 + 1e-3, 0.9, 1.45 - 1e-3};
  problem p;
  solve s;
  double first[3][MAX_N];
  stepped_error("dopri5", 0, t, N_BREAKS, &s, &p);
  memcpy(first, s.value, sizeof first);
  s.run.replay = true;
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0.5, 0}, t, 3), CST_OK);
  CU_ASSERT_EQUAL(memcmp(first, s.value, sizeof first), 0);
  uint64_t steps = s.stats.accepted;
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0.5, 0}, moved, 3), CST_OK);
  CU_ASSERT_EQUAL(s.stats.accepted, steps);
  CU_ASSERT_DOUBLE_EQUAL(s.y[0], stepped(1, moved[0], moved[2]), 2e-6);
  solve_free(&s, ctx);
}

static cst_status stop_here(void *arg, size_t i, void *y, bool *jumped) {
  (void)arg, (void)y, (void)jumped;
  return i == 1 ? CST_EBREAK : CST_OK;
}

static void test_break(void) {
  problem p;
  solve s;
  problem_init(&p, field_rotation, CST_F64, 1, 2, 0);
  cst_integrator_config c = ode_config(ctx, "dopri5", &p);
  solve_init(&s, ctx, &c, &p);
  s.run.at = stop_here;
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, (double[]){0, 1, 9}, 3), CST_EBREAK);
  CU_ASSERT(p.high < 5);
  solve_free(&s, ctx);
}

static cst_status interrupt_at_6(void *arg, size_t i, void *y, bool *jumped) {
  (void)y, (void)jumped;
  *(volatile sig_atomic_t *)arg = i >= 6;
  return CST_OK;
}

/* A flag, as a signal handler sets it: the solve ends between two steps, and the next one runs. */
static void test_interrupt(void) {
  volatile sig_atomic_t flag = 0;
  double times[12];
  problem p;
  solve s;
  for (size_t k = 0; k < 12; k++) times[k] = (double)k;
  problem_init(&p, field_rotation, CST_F64, 1, 2, 0);
  cst_integrator_config c = ode_config(ctx, "dopri5", &p);
  solve_init(&s, ctx, &c, &p);
  s.run.at = interrupt_at_6, s.run.arg = (void *)(uintptr_t)&flag;
  cst_set_stop(ctx, &flag);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, times, 12), CST_EBREAK);
  CU_ASSERT(s.stats.t > 5.5 && s.stats.t < 8);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "interrupted"));
  flag = 0;
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, times, 4), CST_OK);
  cst_set_stop(ctx, NULL);
  solve_free(&s, ctx);
}

static void test_limits(void) {
  problem p;
  solve s;
  problem_init(&p, field_blow_up, CST_F64, 1, 1, 0);
  cst_integrator_config c = ode_config(ctx, "dopri5", &p);
  solve_init(&s, ctx, &c, &p);
  cst_status st = solve_run(&s, (double[]){1}, (double[]){0, 2}, 2);
  CU_ASSERT(st == CST_ESTEPMIN || st == CST_ENONFINITE);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "solve stopped at t = 1"));
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "y[1]"));
  CU_ASSERT(s.y[0] > 1e6); /* the state where it ended */
  solve_free(&s, ctx);
  c.min_step = 1e-3;
  solve_init(&s, ctx, &c, &p);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1}, (double[]){0, 2}, 2), CST_ESTEPMIN);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "worst component y[1]"));
  solve_free(&s, ctx);
  c.min_step = 0, c.max_steps = 7;
  solve_init(&s, ctx, &c, &p);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1}, (double[]){0, 2}, 2), CST_EMAXSTEPS);
  CU_ASSERT_EQUAL(s.stats.accepted + s.stats.rejected, 7);
  solve_free(&s, ctx);
}

static void test_max_step(void) {
  problem p;
  solve s;
  problem_init(&p, field_forced, CST_F64, 1, 1, 0);
  p.theta[0] = 1e-9, p.theta[1] = 0;
  cst_integrator_config c = ode_config(ctx, "dopri5", &p);
  c.max_step = 0.5;
  solve_init(&s, ctx, &c, &p);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1}, (double[]){10, 0}, 2), CST_OK);
  CU_ASSERT(s.stats.accepted >= 20 && s.stats.accepted < 26);
  solve_free(&s, ctx);
}

static void test_not_finite(void) {
  const double bad[3] = {-1, 1, 2.5};
  for (int i = 0; i < 3; i++)
    for (int fixed = 0; fixed < 2; fixed++) {
      problem p;
      solve s;
      problem_init(&p, field_rotation, CST_F64, 1, 2, 0);
      cst_integrator_config c = ode_config(ctx, "dopri5", &p);
      p.bad_after = bad[i];
      c.step = fixed ? 0.125 : 0;
      solve_init(&s, ctx, &c, &p);
      CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 0}, (double[]){0, 3}, 2), CST_ENONFINITE);
      CU_ASSERT(isfinite(s.y[0]) && s.stats.evaluations < 1000);
      CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "solve stopped at t = "));
      solve_free(&s, ctx);
    }
}

static void test_replay(void) {
  const double t[4] = {0, 0.37, 1.9, 4};
  for (int stops = 0; stops < 2; stops++)
    for (int fixed = 0; fixed < 2; fixed++) {
      problem p;
      solve s;
      double first[4][MAX_N];
      problem_init(&p, field_lotka, CST_F64, 2, 2, 1);
      cst_integrator_config c = ode_config(ctx, "dopri5", &p);
      c.step = fixed ? 0.3 : 0;
      solve_init(&s, ctx, &c, &p);
      s.run.schedule = &s.schedule, s.run.stops = stops;
      const double y0[6] = {1, 1, 2, 0.5, 0, 0};
      CU_ASSERT_EQUAL(solve_run(&s, y0, t, 4), CST_OK);
      CU_ASSERT_EQUAL(s.schedule.n, s.stats.accepted);
      memcpy(first, s.value, sizeof first);
      memset(s.value, 0, sizeof s.value);
      s.run.replay = true;
      CU_ASSERT_EQUAL(solve_run(&s, y0, t, 4), CST_OK);
      CU_ASSERT_EQUAL(memcmp(first, s.value, sizeof first), 0);
      CU_ASSERT(s.stats.rejected == 0 && s.schedule.n == s.stats.accepted);
      s.schedule.n--; /* ends early */
      CU_ASSERT_EQUAL(solve_run(&s, y0, (double[]){0, 9, 9, 9}, 4), CST_OK); /* stretched to 9 */
      s.schedule.n = 0;
      CU_ASSERT_EQUAL(solve_run(&s, y0, t, 4), CST_EINVAL);
      solve_free(&s, ctx);
    }
}

/* A second run like the first allocates nothing, with a tape and a schedule. */
static void test_memory(void) {
  const double t[4] = {0, 0.37, 1.9, 4}, y0[6] = {1, 1, 2, 0.5, 0, 0};
  problem p;
  solve s;
  problem_init(&p, field_lotka, CST_F64, 2, 2, 1);
  size_t live = cst_memory_of(ctx).live_blocks;
  cst_integrator_config c = ode_config(ctx, "bosh3", &p);
  cst_tape *tape = cst_tape_new(ctx, 0);
  solve_init(&s, ctx, &c, &p);
  s.run.schedule = &s.schedule, s.run.tape = tape;
  CU_ASSERT_EQUAL(solve_run(&s, y0, t, 4), CST_OK);
  uint64_t before = cst_memory_of(ctx).allocations;
  size_t bytes = cst_tape_bytes(tape), n;
  cst_tape_clear(tape);
  CU_ASSERT_EQUAL(solve_run(&s, y0, t, 4), CST_OK);
  CU_ASSERT_EQUAL(cst_memory_of(ctx).allocations, before);
  CU_ASSERT_EQUAL(cst_tape_bytes(tape), bytes);
  n = cst_integrator_n_steps(s.integrator);
  CU_ASSERT_EQUAL(n, s.stats.accepted);
  cst_taped_step last = cst_integrator_step(s.integrator, n - 1), first = cst_integrator_step(s.integrator, 0);
  CU_ASSERT(last.clip == 3 && last.t1 == 4 && first.f0_own && first.first_output == 1);
  CU_ASSERT(last.first_output + last.n_outputs == 4);
  solve_free(&s, ctx);
  cst_tape_free(tape);
  CU_ASSERT_EQUAL(cst_memory_of(ctx).live_blocks, live);
}

static void test_tape(void) {
  cst_tape *tape = cst_tape_new(ctx, 1 << 20);
  unsigned char *a = cst_tape_push(tape, 100);
  CU_ASSERT(a && (uintptr_t)a % 64 == 0);
  memset(a, 7, 100);
  cst_tape_place mark = cst_tape_mark(tape);
  for (int i = 0; i < 100; i++) {
    unsigned char *b = cst_tape_push(tape, 5000);
    CU_ASSERT(b && (uintptr_t)b % 64 == 0);
    memset(b, 1, 5000);
  }
  CU_ASSERT(a[0] == 7 && a[99] == 7);
  cst_tape_rewind(tape, mark);
  CU_ASSERT_EQUAL(cst_tape_bytes(tape), 128);
  uint64_t before = cst_memory_of(ctx).allocations;
  for (int i = 0; i < 100; i++) CU_ASSERT_PTR_NOT_NULL(cst_tape_push(tape, 5000));
  CU_ASSERT_EQUAL(cst_memory_of(ctx).allocations, before);
  CU_ASSERT_PTR_NULL(cst_tape_push(tape, 1 << 19)); /* records leave a quarter */
  CU_ASSERT(cst_tape_refused(tape));
  CU_ASSERT_PTR_NULL(cst_tape_push(tape, SIZE_MAX - 3));
  size_t held = cst_tape_bytes(tape);
  for (size_t n = 0; cst_tape_push(tape, 64); n++) CU_ASSERT_FATAL(n < 1 << 20);
  CU_ASSERT(cst_tape_bytes(tape) > held && cst_tape_bytes(tape) <= 3 << 18);
  CU_ASSERT_PTR_NOT_NULL(cst_tape_push_reserve(tape, 64));
  cst_tape_clear(tape);
  CU_ASSERT_EQUAL(cst_tape_bytes(tape), 0);
  cst_tape_free(tape);
}

static void test_controllers(void) {
  problem p;
  solve s;
  problem_init(&p, field_lotka, CST_F64, 1, 2, 1);
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_CONTROLLER); i++) {
    cst_integrator_config c = ode_config(ctx, "dopri5", &p);
    c.controller = cst_entry_at(ctx, CST_KIND_CONTROLLER, i)->type;
    solve_init(&s, ctx, &c, &p);
    CU_ASSERT_EQUAL(solve_run(&s, (double[]){1, 1, 0}, (double[]){0, 20}, 2), CST_OK);
    CU_ASSERT(s.stats.rejected * 4 < s.stats.accepted);
    solve_free(&s, ctx);
  }
}

/* A stepper that chooses its own steps: y' = -y by its closed form, a tenth of what is left at most and
 * never more than 1/8, which needs neither f0 nor an estimate. */
static size_t known_f0, without_f0;
static cst_status own_create(const cst_solver_config *c, void **state) {
  (void)c;
  static char nothing;
  *state = &nothing;
  return CST_OK;
}
static void own_destroy(const cst_host *host, void *state) { (void)host, (void)state; }
static cst_status own_step(void *state, cst_step *s) {
  (void)state;
  double end = *s->t1, most = fmin(0.125, 0.1 * fabs(*s->h));
  if (s->reached && fabs(*s->h) > 1e-3) end = *s->reached = *s->t + copysign(most, *s->h);
  ((double *)s->y1)[0] = ((const double *)s->y)[0] * exp(*s->t - end);
  *(s->f0 ? &known_f0 : &without_f0) += 1;
  if (s->error_sum) *s->error_sum = 0;
  return CST_OK;
}
static cst_status own_dense(void *state, const cst_step *s, double theta, void *y, void *slope) {
  (void)state;
  ((double *)y)[0] = ((const double *)s->y)[0] * exp(-theta * *s->h);
  if (slope) ((double *)slope)[0] = -*s->h * ((double *)y)[0];
  return CST_OK;
}
static void own_remark(void *state, char *text, size_t size) {
  (void)state;
  strncpy(text, "it went well so far", size - 1);
}
static cst_status stray_step(void *state, cst_step *s) {
  CST_TRY(own_step(state, s));
  if (s->reached) *s->reached = *s->t;
  return CST_OK;
}

static void test_own_steps(void) {
  cst_solver_type own = {.struct_size = sizeof own, .name = "own", .order = 1, .error_order = 1,
                         .traits = CST_ADAPTIVE | CST_SELF_CONTROLLED, .create = own_create,
                         .destroy = own_destroy, .step = own_step, .dense = own_dense, .remark = own_remark};
  const double t[4] = {0, 0.3, 0.31, 2};
  problem p;
  solve s;
  problem_init(&p, field_rotation, CST_F64, 1, 1, 0);
  cst_integrator_config c = ode_config(ctx, "dopri5", &p);
  c.solver = &own;
  solve_init(&s, ctx, &c, &p);
  s.run.schedule = &s.schedule;
  for (int stops = 0; stops < 2; stops++) {
    known_f0 = without_f0 = 0, s.run.stops = stops;
    CU_ASSERT_EQUAL(solve_run(&s, (double[]){1}, t, 4), CST_OK);
    for (size_t i = 0; i < 4; i++) CU_ASSERT_DOUBLE_EQUAL(s.value[i][0], exp(-t[i]), 1e-14);
    CU_ASSERT(known_f0 == 1 && known_f0 + without_f0 == s.stats.accepted && s.stats.accepted > 16);
    for (size_t k = 0; k < s.schedule.n; k++) CU_ASSERT(s.schedule.h[k] <= 0.125);
    CU_ASSERT(s.stats.evaluations <= 2 && s.stats.rejected == 0);
  }
  s.run.replay = true;
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1}, t, 4), CST_OK);
  CU_ASSERT_DOUBLE_EQUAL(s.y[0], exp(-2), 1e-14);
  solve_free(&s, ctx);
  c.max_steps = 5;
  solve_init(&s, ctx, &c, &p);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1}, t, 4), CST_EMAXSTEPS);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), "max_steps; it went well so far"));
  solve_free(&s, ctx);
  own.step = stray_step;
  solve_init(&s, ctx, &c, &p);
  CU_ASSERT_EQUAL(solve_run(&s, (double[]){1}, t, 4), CST_EPLUGIN);
  solve_free(&s, ctx);
}

int cst_suite_ode(void) {
  static CU_TestInfo tests[] = {{"exact arrival, nothing outside the span", test_arrival},
                                {"times out of order", test_bad_times},
                                {"evaluation counts", test_counts},
                                {"fixed steps", test_fixed_steps},
                                {"error follows the tolerance", test_tolerance},
                                {"rows, parts, element types", test_parts},
                                {"controlled parts", test_controlled},
                                {"jumps at stops", test_jump},
                                {"breaks of the field", test_breaks},
                                {"breaks in a schedule", test_replayed_breaks},
                                {"stopping on request", test_break},
                                {"interrupts", test_interrupt},
                                {"blow-up, min_step, max_steps", test_limits},
                                {"max_step", test_max_step},
                                {"values that are not finite", test_not_finite},
                                {"replay of a schedule", test_replay},
                                {"no allocation in the second run", test_memory},
                                {"tape", test_tape},
                                {"controllers", test_controllers},
                                {"a stepper that chooses its own steps", test_own_steps},
                                CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"ode", open, close, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(suites) != CUE_SUCCESS;
}
