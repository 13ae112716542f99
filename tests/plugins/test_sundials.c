/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Solvers of the plugin sundials through the driver: accuracy against closed forms and reference
 * values, arrival, dense output, restarts, failures that explain themselves.
 */
#include <CUnit/CUnit.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"

int cst_suite_sundials(void);

static cst_context *ctx;

static int open_all(void) { return (ctx = ode_context_with("sundials")) ? 0 : 1; }
static int close_all(void) {
  cst_context_free(ctx);
  return 0;
}

/* Every solver of the plugin, ark_dirk by its orders. */
static const struct { const char *name; int64_t order; bool stiff; } solvers[] = {
    {"sundials.cvode_bdf", 0, true}, {"sundials.cvode_adams", 0, false}, {"sundials.ark_dirk", 2, true},
    {"sundials.ark_dirk", 3, true}, {"sundials.ark_dirk", 4, true}, {"sundials.ark_dirk", 5, true}};
enum { SOLVERS = sizeof solvers / sizeof *solvers };

/* A solve with options of the solver; `kind` is an index into solvers. */
typedef struct setup {
  problem p;
  solve s;
  cst_integrator_config c;
  cst_options *o;
} setup;

static void setup_init(setup *x, int kind, field_fn *field, size_t d, size_t q) {
  problem_init(&x->p, field, CST_F64, 1, d, q);
  x->c = ode_config(ctx, solvers[kind].name, &x->p);
  x->o = NULL;
}
static void setup_open(setup *x, int kind, const cst_given *more, size_t n) {
  cst_given given[5] = {{.name = "order", .kind = CST_INTEGER, .integer = solvers[kind].order}};
  size_t first = solvers[kind].order > 0;
  for (size_t i = 0; i < n; i++) given[first + i] = more[i];
  CU_ASSERT_EQUAL(cst_options_new(ctx, solvers[kind].name, x->c.solver->options, given, first + n, &x->o), CST_OK);
  x->c.solver_options = x->o;
  solve_init(&x->s, ctx, &x->c, &x->p);
  CU_ASSERT_PTR_NOT_NULL_FATAL(x->s.integrator);
}
static void setup_close(setup *x) {
  solve_free(&x->s, ctx);
  cst_options_free(ctx, x->o);
}
static bool says(const char *text) { return strstr(cst_message(ctx), text) != NULL; }

static double exact(size_t k, double t) { return k == 0 ? cos(1.5 * t) : -sin(1.5 * t); }
static double error_at(const solve *s, size_t i, double t) {
  return fmax(fabs(s->value[i][0] - exact(0, t)), fabs(s->value[i][1] - exact(1, t)));
}

/* The registry has them, and no more: a solver that is added is to be tested. */
static void every_solver_is_tested(void) {
  size_t seen = 0;
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_SOLVER); i++) {
    const cst_entry *e = cst_entry_at(ctx, CST_KIND_SOLVER, i);
    if (strcmp(e->plugin, "sundials") != 0) continue;
    const cst_solver_type *t = e->type;
    CU_ASSERT_EQUAL(t->traits & ~(uint32_t)CST_MULTISTEP,
                    CST_ADAPTIVE | CST_IMPLICIT | CST_SINGLE | CST_F64_ONLY | CST_SELF_CONTROLLED);
    seen++;
  }
  CU_ASSERT_EQUAL(seen, 3);
}

/* The error of y' = J y over a turn and a half follows the tolerance, forwards and backwards. */
static void error_follows_the_tolerance(void) {
  for (int k = 0; k < SOLVERS; k++)
    for (int back = 0; back < 2; back++) {
      double before = 1;
      for (double tol = 1e-3; tol > 1e-9; tol /= 100) {
        setup x;
        setup_init(&x, k, field_rotation, 2, 0);
        x.c.rtol = x.c.atol = tol;
        setup_open(&x, k, NULL, 0);
        const double t1 = back ? -6 : 6, times[2] = {0, t1};
        CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0}, times, 2), CST_OK);
        double error = error_at(&x.s, 1, t1);
        CU_ASSERT(error < 400 * tol && error > 1e-3 * tol && error < before);
        CU_ASSERT(x.s.stats.rejected == 0 && x.s.stats.accepted > 5);
        before = error;
        setup_close(&x);
      }
    }
}

/* ---- stiff problems ------------------------------------------------------------------------------- */

static void robertson(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)t, (void)theta, (void)dq;
  number a = 0.04 * y[0], b = 1e4 * y[1] * y[2], c = 3e7 * y[1] * y[1];
  dy[0] = b - a, dy[1] = a - b - c, dy[2] = c;
}
/* End values printed by the Test Set for Initial Value Problem Solvers (F. Mazzia, C. Magherini, release
 * 2.4, 2008), problems rober, vdpol (in the time of y'' = mu (1 - y^2) y' - y), orego and hires; also Hairer,
 * Wanner, Solving Ordinary Differential Equations II, IV.10. `small`: size below which a component counts as 0. */
static const struct stiff { field_fn *field; size_t d; double t1, small, y0[8], y1[8]; } stiff[] = {
    {robertson, 3, 1e11, 1e-8, {1, 0, 0}, {0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050}},
    {field_van_der_pol, 2, 2000, 1e-3, {2, 0}, {1.706167732170483, -0.8928097010247975e-3}},
    {field_oregonator, 3, 360, 1e-3, {1, 2, 3}, {0.1000814870318523e1, 0.1228178521549917e4, 0.1320554942846706e3}},
    {field_hires, 8, 321.8122, 1e-3, {1, 0, 0, 0, 0, 0, 0, 0.0057},
     {0.7371312573325668e-3, 0.1442485726316185e-3, 0.5888729740967575e-4, 0.1175651343283149e-2,
      0.2386356198831331e-2, 0.6238968252742796e-2, 0.2849998395185769e-2, 0.2850001604814231e-2}}};

static double stiff_error(const struct stiff *w, const solve *s) {
  double worst = 0;
  for (size_t i = 0; i < w->d; i++) worst = fmax(worst, fabs(s->y[i] - w->y1[i]) / (w->small + fabs(w->y1[i])));
  return worst;
}

/* Bounds on errors and steps are some three times what was measured. */
static void stiff_problems(void) {
  for (int k = 0; k < SOLVERS; k++)
    for (size_t i = 0; solvers[k].stiff && i < sizeof stiff / sizeof *stiff; i++)
      for (double rtol = 1e-4; rtol > 1e-8; rtol /= 1000) {
        setup x;
        setup_init(&x, k, stiff[i].field, stiff[i].d, 0);
        x.c.rtol = rtol, x.c.atol = rtol * stiff[i].small;
        setup_open(&x, k, NULL, 0);
        CU_ASSERT_EQUAL(solve_run(&x.s, stiff[i].y0, (double[]){0, stiff[i].t1}, 2), CST_OK);
        CU_ASSERT(stiff_error(&stiff[i], &x.s) < (solvers[k].order == 2 ? 4000 : 300) * rtol);
        CU_ASSERT(x.s.stats.accepted < (solvers[k].order == 2 ? 60000 : rtol > 1e-5 ? 4000 : 15000));
        CU_ASSERT(x.p.low >= 0 && x.p.high <= stiff[i].t1);
        setup_close(&x);
      }
}

/* The Brusselator with diffusion (Hairer, Wanner II, IV.10, BRUSS) on 10 cells, u and v side by side:
 * couplings reach two to either side. */
enum { CELLS = 10 };
static void brusselator(number t, const number *y, const number *theta, number *dy, number *dq) {
  (void)t, (void)theta, (void)dq;
  const double alpha = 0.02 * (CELLS + 1) * (CELLS + 1);
  for (int i = 0; i < CELLS; i++) {
    number u = y[2 * i], v = y[2 * i + 1];
    number ul = i ? y[2 * i - 2] : 1, vl = i ? y[2 * i - 1] : 3;
    number ur = i + 1 < CELLS ? y[2 * i + 2] : 1, vr = i + 1 < CELLS ? y[2 * i + 3] : 3;
    dy[2 * i] = 1 + u * u * v - 4 * u + alpha * (ul - 2 * u + ur);
    dy[2 * i + 1] = 3 * u - u * u * v + alpha * (vl - 2 * v + vr);
  }
}

/* One answer whatever solves the linear systems, and the band saves evaluations (complex steps count
 * one a column in `jacobian`, one a call in `jvp`). */
static void linear_solvers_agree(void) {
  const char *linear[4] = {"dense", "banded", "krylov", "auto"};
  for (int k = 0; k < SOLVERS; k++) {
    double end[4][2 * CELLS], y0[2 * CELLS];
    uint64_t evaluations[4];
    if (!solvers[k].stiff || solvers[k].order == 2) continue;
    for (int i = 0; i < CELLS; i++)
      y0[2 * i] = 1 + sin(2 * 3.14159265358979 * (i + 1) / (CELLS + 1)), y0[2 * i + 1] = 3;
    for (int l = 0; l < 4; l++) {
      setup x;
      setup_init(&x, k, brusselator, 2 * CELLS, 0);
      if (l % 2) x.p.rhs.lower = x.p.rhs.upper = 2;
      x.c.rtol = x.c.atol = 1e-7;
      setup_open(&x, k, (cst_given[]){{.name = "linear", .kind = CST_STRING, .string = linear[l]}}, 1);
      CU_ASSERT_EQUAL(solve_run(&x.s, y0, (double[]){0, 10}, 2), CST_OK);
      memcpy(end[l], x.s.y, sizeof end[l]);
      evaluations[l] = x.s.stats.evaluations;
      for (int i = 0; i < 2 * CELLS; i++) CU_ASSERT_DOUBLE_EQUAL(end[l][i], end[0][i], 2e-5);
      setup_close(&x);
    }
    CU_ASSERT(memcmp(end[1], end[3], sizeof end[1]) == 0);
    CU_ASSERT(evaluations[1] < evaluations[0]);
  }
}

/* ---- times ------------------------------------------------------------------------------------------- */

static void arrival(void) {
  const double grids[][5] = {{0, 0.1, 0.7, 0.7, 3}, {3, 3, 2.2, 1, -1}, {-2, -2, -2, -2, -2},
                             {1e6, 1e6 + 1e-3, 1e6 + 1, 1e6 + 1, 1e6 + 2},
                             {1, 1 + DBL_EPSILON, 1 + 1e-15, 1 + 1e-13, 2}};
  for (int k = 0; k < SOLVERS; k++)
    for (size_t g = 0; g < 5; g++)
      for (int stops = 0; stops < 2; stops++) {
        setup x;
        setup_init(&x, k, field_rotation, 2, 0);
        setup_open(&x, k, NULL, 0);
        const double *t = grids[g], low = fmin(t[0], t[4]), high = fmax(t[0], t[4]);
        x.s.run.stops = stops;
        CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0}, t, 5), CST_OK);
        CU_ASSERT_EQUAL(x.s.given, 5);
        for (size_t i = 0; i < 5; i++) CU_ASSERT(error_at(&x.s, i, t[i] - t[0]) < 3e-4);
        CU_ASSERT(x.s.y[0] == x.s.value[4][0] && x.s.stats.t == t[4]);
        CU_ASSERT(low == high ? x.s.stats.evaluations == 0 : x.p.low >= low && x.p.high <= high);
        setup_close(&x);
      }
}

enum { INSIDE = 41 };

static cst_status compare_slope(void *arg, size_t i, void *y, bool *jumped) {
  setup *x = arg;
  const double *v = y, *slope = x->s.run.slope;
  (void)jumped;
  if (i == 0 || i == INSIDE - 1) return CST_OK;
  CU_ASSERT_DOUBLE_EQUAL(slope[0], 1.5 * v[1], 2e-4);
  CU_ASSERT_DOUBLE_EQUAL(slope[1], -1.5 * v[0], 2e-4);
  x->s.given++;
  return CST_OK;
}

/* Values inside steps are as good as those at their ends, their slopes are the field's, and they do not
 * change the steps; CVODE's cost no evaluation. */
static void values_inside_steps(void) {
  double times[INSIDE];
  for (int i = 0; i < INSIDE; i++) times[i] = 0.15 * i;
  for (int k = 0; k < SOLVERS; k++) {
    setup x;
    double end, slope[2];
    setup_init(&x, k, field_rotation, 2, 0);
    setup_open(&x, k, NULL, 0);
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0}, (double[]){0, 6}, 2), CST_OK);
    uint64_t steps = x.s.stats.accepted, evaluations = x.s.stats.evaluations;
    double arrival_error = error_at(&x.s, 1, 6);
    end = x.s.y[0];
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0}, times, INSIDE), CST_OK);
    CU_ASSERT(x.s.y[0] == end && x.s.stats.accepted == steps);
    CU_ASSERT((k < 2) == (x.s.stats.evaluations == evaluations));
    for (size_t i = 1; i < INSIDE; i++) CU_ASSERT(error_at(&x.s, i, times[i]) < 2 * arrival_error + 2e-5);
    x.s.run.slope = slope, x.s.run.at = compare_slope, x.s.run.arg = &x;
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0}, times, INSIDE), CST_OK);
    CU_ASSERT_EQUAL(x.s.given, INSIDE - 2);
    setup_close(&x);
  }
}

static cst_status jump(void *arg, size_t i, void *y, bool *jumped) {
  (void)arg;
  if (i == 2) ((double *)y)[0] += 1, *jumped = true;
  return CST_OK;
}

/* y' = -y, +1 at t = 1: history from before the jump would show. */
static void jumps(void) {
  const double times[5] = {0, 0.5, 1, 1, 2};
  for (int k = 0; k < SOLVERS; k++) {
    setup x;
    setup_init(&x, k, field_forced, 1, 0);
    x.p.theta[0] = 1, x.p.theta[1] = 0;
    setup_open(&x, k, NULL, 0);
    x.s.run.stops = true, x.s.run.at = jump;
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1}, times, 5), CST_OK);
    CU_ASSERT_DOUBLE_EQUAL(x.s.y[0], (exp(-1) + 1) * exp(-1), 2e-5);
    setup_close(&x);
  }
}

/* Steps of a fixed size are steps of the driver, each as accurate as the tolerances ask; a schedule is
 * followed. */
static void fixed_steps_and_replay(void) {
  const double times[4] = {0, 0.13, 2.02, 3};
  for (int k = 0; k < SOLVERS; k++) {
    setup x;
    setup_init(&x, k, field_rotation, 2, 0);
    x.c.step = 0.5;
    setup_open(&x, k, NULL, 0);
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0}, times, 4), CST_OK);
    CU_ASSERT_EQUAL(x.s.stats.accepted, 6);
    for (size_t i = 1; i < 4; i++) CU_ASSERT(error_at(&x.s, i, times[i]) < 3e-4);
    setup_close(&x);
    setup_init(&x, k, field_rotation, 2, 0);
    setup_open(&x, k, NULL, 0);
    x.s.run.schedule = &x.s.schedule;
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0}, times, 4), CST_OK);
    uint64_t steps = x.s.stats.accepted;
    CU_ASSERT_EQUAL(x.s.schedule.n, steps);
    x.s.run.replay = true;
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0}, times, 4), CST_OK);
    CU_ASSERT_EQUAL(x.s.stats.accepted, steps);
    for (size_t i = 1; i < 4; i++) CU_ASSERT(error_at(&x.s, i, times[i]) < 3e-4);
    setup_close(&x);
  }
}

/* ---- states ------------------------------------------------------------------------------------------ */

/* Quadrature parts, with their own weight in the norm or none, and a field that has no derivatives. */
static void parts(void) {
  for (int k = 0; k < SOLVERS; k++)
    for (int bare = 0; bare < 2; bare++)
      for (int krylov = 0; krylov < 2; krylov++) {
        setup x;
        uint64_t steps[2];
        for (int free = 0; free < 2; free++) {
          setup_init(&x, k, field_fast, 1, 1);
          if (bare) x.p.rhs.jvp = NULL, x.p.rhs.jacobian = NULL;
          x.p.part[1].flags |= free ? CST_PART_UNCONTROLLED : 0u;
          const cst_given linear = {.name = "linear", .kind = CST_STRING, .string = krylov ? "krylov" : "auto"};
          setup_open(&x, k, &linear, 1);
          CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0}, (double[]){0, 10}, 2), CST_OK);
          const double a = 1e-3, q = (20 - exp(-10 * a) * (a * sin(200) + 20 * cos(200))) / (a * a + 400);
          CU_ASSERT_DOUBLE_EQUAL(x.s.y[0], exp(-10 * a), 1e-4);
          if (!free) CU_ASSERT_DOUBLE_EQUAL(x.s.y[1], q, 1e-4);
          steps[free] = x.s.stats.accepted;
          setup_close(&x);
        }
        CU_ASSERT(krylov && k != 1 ? 2 * steps[1] > steps[0] : 4 * steps[1] < steps[0]);
      }
}

/* One integrator for states of several sizes, as a gradient method may have it. */
static void layouts_change(void) {
  for (int k = 0; k < SOLVERS; k++) {
    setup x;
    problem small;
    setup_init(&x, k, field_pair, 3, 1);
    setup_open(&x, k, NULL, 0);
    problem_init(&small, field_rotation, CST_F64, 1, 2, 0);
    problem *each[3] = {&x.p, &small, &x.p};
    for (int i = 0; i < 3; i++) {
      x.s.p = each[i], x.s.run.rhs = &each[i]->rhs;
      CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0, 1, 0}, (double[]){0, 2}, 2), CST_OK);
      CU_ASSERT(error_at(&x.s, 1, 2) < 3e-4);
    }
    setup_close(&x);
  }
}

static void nothing_is_left_behind(void) {
  size_t live = cst_memory_of(ctx).live_blocks;
  for (int k = 0; k < SOLVERS; k++) {
    const double times[3] = {0, 0.37, 4};
    setup x;
    setup_init(&x, k, field_lotka, 2, 1);
    setup_open(&x, k, NULL, 0);
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 1, 0}, times, 3), CST_OK);
    uint64_t before = cst_memory_of(ctx).allocations;
    double first = x.s.y[0];
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 1, 0}, times, 3), CST_OK);
    CU_ASSERT(cst_memory_of(ctx).allocations == before && x.s.y[0] == first);
    setup_close(&x);
  }
  CU_ASSERT_EQUAL(cst_memory_of(ctx).live_blocks, live);
}

/* ---- failures ------------------------------------------------------------------------------------------ */

/* Adams on a stiff problem: no hang, the number of steps, and what to try instead. */
static void unsuited(void) {
  for (int newton = 0; newton < 2; newton++) {
    setup x;
    setup_init(&x, 1, robertson, 3, 0);
    x.c.max_steps = 20000;
    const char *how = newton ? "newton" : "fixed_point";
    const cst_given corrector = {.name = "corrector", .kind = CST_STRING, .string = how};
    setup_open(&x, 1, &corrector, 1);
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0, 0}, (double[]){0, 1e11}, 2), CST_EMAXSTEPS);
    CU_ASSERT(x.s.stats.accepted == 20000 && x.s.stats.evaluations < 400000);
    CU_ASSERT(says("solve stopped at t = ") && says("max_steps"));
    CU_ASSERT(says("of order ") && says("try sundials.cvode_bdf"));
    setup_close(&x);
    setup_init(&x, 1, robertson, 3, 0);
    x.c.step = 1e10;
    setup_open(&x, 1, (cst_given[]){{.name = "max_inner", .kind = CST_INTEGER, .integer = 500}}, 1);
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0, 0}, (double[]){0, 1e11}, 2), CST_EMAXSTEPS);
    CU_ASSERT(says("max_inner = 500 steps do not reach the end") && says("try sundials.cvode_bdf"));
    setup_close(&x);
  }
}

static void not_finite(void) {
  const double bad[3] = {-1, 1, 2.5};
  for (int k = 0; k < SOLVERS; k++)
    for (int i = 0; i < 3; i++)
      for (int fixed = 0; fixed < 2; fixed++) {
        setup x;
        setup_init(&x, k, field_rotation, 2, 0);
        x.p.bad_after = bad[i], x.c.step = fixed ? 0.125 : 0;
        setup_open(&x, k, NULL, 0);
        CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0}, (double[]){0, 3}, 2), CST_ENONFINITE);
        CU_ASSERT(isfinite(x.s.y[0]) && x.s.stats.evaluations < 10000 && x.s.stats.t <= fmax(0, bad[i]));
        CU_ASSERT(x.s.stats.t > bad[i] - 0.2 && says("not finite") && says("worst component y[1]"));
        char where[40];
        snprintf(where, sizeof where, "not finite at t = %g,", bad[i]); /* found to 9 digits */
        CU_ASSERT(i == 0 || says(where));
        setup_close(&x);
      }
}

/* A field that answers with a status of its own from a time on, in evaluations or in Jacobians only. */
static struct { cst_status (*eval)(cst_rhs *, const double *, const void *, void *);
                cst_status (*jacobian)(cst_rhs *, const double *, const void *, void *, void *);
                cst_status answer; double from; } stubborn;
static cst_status stubborn_eval(cst_rhs *f, const double *t, const void *y, void *dy) {
  if (*t <= stubborn.from) return stubborn.eval(f, t, y, dy);
  return stubborn.answer == CST_RETRY ? CST_RETRY : cst_fail(ctx, stubborn.answer, "the cat is on the keyboard");
}
static cst_status stubborn_jacobian(cst_rhs *f, const double *t, const void *y, void *jac, void *dfdt) {
  if (*t <= stubborn.from) return stubborn.jacobian(f, t, y, jac, dfdt);
  return stubborn.answer == CST_RETRY ? CST_RETRY : cst_fail(ctx, stubborn.answer, "the cat is on the keyboard");
}

static void field_fails(void) {
  const cst_status answer[3] = {CST_ECALLBACK, CST_EBREAK, CST_RETRY};
  for (int k = 0; k < SOLVERS; k++)
    for (int a = 0; a < 3; a++)
      for (int jacobian = 0; jacobian < 2; jacobian++) {
        setup x;
        if (jacobian && k == 1) continue; /* by fixed points: asks for none */
        setup_init(&x, k, field_rotation, 2, 0);
        stubborn.eval = x.p.rhs.eval, stubborn.jacobian = x.p.rhs.jacobian;
        stubborn.answer = answer[a], stubborn.from = 1;
        if (jacobian) x.p.rhs.jacobian = stubborn_jacobian;
        else x.p.rhs.eval = stubborn_eval;
        setup_open(&x, k, NULL, 0);
        cst_status st = solve_run(&x.s, (double[]){1, 0}, (double[]){0, 1e3}, 2);
        CU_ASSERT_EQUAL(st, answer[a] == CST_RETRY ? CST_ESTEPMIN : answer[a]);
        const char *undefined = jacobian ? "the Jacobian is not defined at t = " : "the field is not defined at t = 1,";
        CU_ASSERT(says(answer[a] == CST_RETRY ? undefined : "the cat is on the keyboard"));
        CU_ASSERT(says("solve at t = ") && (jacobian || x.s.stats.t <= 1) && isfinite(x.s.y[0]));
        setup_close(&x);
      }
}

static void blow_up(void) {
  for (int k = 0; k < SOLVERS; k++) {
    setup x;
    setup_init(&x, k, field_blow_up, 1, 0);
    setup_open(&x, k, NULL, 0);
    cst_status st = solve_run(&x.s, (double[]){1}, (double[]){0, 2}, 2);
    CU_ASSERT(st == CST_ESTEPMIN || st == CST_ENONFINITE);
    CU_ASSERT(says("solve at t = 1.0000") || says("solve at t = 0.9999"));
    CU_ASSERT(says("worst component y[1]") && says("however small the step") && x.s.y[0] > 1e4);
    setup_close(&x);
  }
}

/* Whatever allocation of ours fails, the solve says so and nothing is left behind. */
typedef struct scarce { long left; } scarce;
static void *scarce_resize(void *user, void *ptr, size_t old_size, size_t new_size) {
  scarce *s = user;
  (void)old_size;
  if (new_size == 0) {
    free(ptr);
    return NULL;
  }
  return s->left-- > 0 ? realloc(ptr, new_size) : NULL;
}

static cst_status scarce_solve(cst_context *own, problem *p, int kind) {
  cst_integrator_config c = ode_config(own, solvers[kind].name, p);
  cst_integrator *i;
  double y[4] = {1, 0, 1, 0};
  CST_TRY(cst_integrator_new(cst_host_of(own), &c, &i));
  const double times[3] = {0, 0.01, 1};
  cst_integration run = {.struct_size = sizeof run, .rhs = &p->rhs, .times = times, .n_times = 3, .y = y};
  cst_status st = cst_integrate(i, &run);
  cst_integrator_free(i);
  return st;
}

static void memory_is_scarce(void) {
  for (int k = 0; k < SOLVERS; k++) {
    scarce s = {.left = LONG_MAX};
    problem p;
    cst_context *own = cst_context_new(&(cst_allocator){scarce_resize, &s});
    problem_init(&p, field_pair, CST_F64, 1, 3, 1);
    CU_ASSERT_EQUAL_FATAL(cst_plugin_load(own, "sundials"), CST_OK);
    cst_status st = CST_ENOMEM;
    long n = 0;
    for (size_t live = cst_memory_of(own).live_blocks; st != CST_OK; n++) {
      s.left = n;
      st = scarce_solve(own, &p, k);
      CU_ASSERT(st == CST_OK || st == CST_ENOMEM);
      CU_ASSERT_EQUAL(cst_memory_of(own).live_blocks, live);
    }
    CU_ASSERT(n > 9);
    s.left = LONG_MAX;
    cst_context_free(own);
  }
}

static void refusals(void) {
  for (int k = 0; k < SOLVERS; k++) {
    setup x;
    cst_integrator *none;
    setup_init(&x, k, field_rotation, 2, 0);
    x.c.dtype = CST_F32;
    CU_ASSERT_EQUAL(cst_integrator_new(cst_host_of(ctx), &x.c, &none), CST_EUNSUPPORTED);
    CU_ASSERT(says("computes in f64 only"));
    x.c.dtype = CST_F64, x.c.rtol = 1e-6, x.c.atol = 0;
    setup_open(&x, k, NULL, 0);
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0}, (double[]){0, 2}, 2), CST_EINVAL);
    CU_ASSERT(says("y[2] is 0 and so is its tolerance: give an atol above 0"));
    setup_close(&x);
    setup_init(&x, k, field_rotation, 2, 0);
    x.c.rtol = x.c.atol = 1e-19;
    setup_open(&x, k, NULL, 0);
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0}, (double[]){0, 2}, 2), CST_ESTEPMIN);
    CU_ASSERT(says("the tolerances ask for more digits than f64 has"));
    setup_close(&x);
    if (!solvers[k].stiff) continue;
    setup_init(&x, k, field_rotation, 2, 0);
    setup_open(&x, k, (cst_given[]){{.name = "linear", .kind = CST_STRING, .string = "banded"}}, 1);
    CU_ASSERT_EQUAL(solve_run(&x.s, (double[]){1, 0}, (double[]){0, 2}, 2), CST_EUNSUPPORTED);
    CU_ASSERT(says("give lower and upper"));
    setup_close(&x);
  }
}

static CU_TestInfo tests[] = {{"every solver is tested", every_solver_is_tested},
                              {"the error follows the tolerance", error_follows_the_tolerance},
                              {"stiff problems", stiff_problems},
                              {"linear solvers agree", linear_solvers_agree},
                              {"exact arrival, nothing outside the span", arrival},
                              {"values inside steps", values_inside_steps},
                              {"jumps", jumps},
                              {"fixed steps, replay", fixed_steps_and_replay},
                              {"parts, fields without derivatives", parts},
                              {"layouts change", layouts_change},
                              {"nothing is left behind", nothing_is_left_behind},
                              {"an unsuited solver", unsuited},
                              {"values that are not finite", not_finite},
                              {"a field that fails", field_fails},
                              {"blow-up", blow_up},
                              {"memory is scarce", memory_is_scarce},
                              {"what is refused", refusals},
                              CU_TEST_INFO_NULL};

int cst_suite_sundials(void) {
  CU_SuiteInfo info[] = {{"sundials", open_all, close_all, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
  return CU_register_suites(info) != CUE_SUCCESS;
}
