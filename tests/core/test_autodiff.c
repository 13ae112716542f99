/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Every registered op: tangent and cotangent against finite differences and each other, and the same
 * once more for its pullback (second derivatives). The registry is the list.
 */
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>

#include "costate/registry.h"
#include "evaluate.h"
#include "samples.h"

/* x -> y with random x; buffers hold numbers of every value. */
typedef struct problem {
  cst_context *ctx;
  cst_graph *g;
  const sample *s;
  cst_value x[MAX_VALUES], y[MAX_VALUES];
  size_t n_x, n_y;
  void *at[MAX_VALUES];
} problem;

static size_t count(const problem *p, cst_value v) { return cst_type_count(cst_type_of(p->g, v)); }
static bool real(const problem *p, cst_value v) { return cst_type_of(p->g, v)->dtype == CST_F64; }
static bool knots(const problem *p, size_t i) { return p->s->knots >> i & 1; }
static bool moves(const problem *p, size_t i) { return real(p, p->x[i]) && !knots(p, i); }

static double *numbers(size_t n) { return calloc(n + 1, sizeof(double)); }

static void fill(const problem *p, cst_value v, void *to, cst_rng *r, double from, double upto) {
  for (size_t i = 0; i < count(p, v); i++) {
    if (real(p, v)) ((double *)to)[i] = random_number(r, from, upto);
    else ((int64_t *)to)[i] = (int64_t)(i * 2 % 4);
  }
}

/* 0, 1.1, 2.4, .. along the last axis. */
static void fill_knots(const problem *p, cst_value v, double *to) {
  const cst_type *t = cst_type_of(p->g, v);
  size_t n = (size_t)t->dim[t->rank - 1];
  for (size_t i = 0; i < count(p, v); i++) to[i] = (double)(i % n) * (1 + 0.1 * (double)(i % n)) + 0.01 * (double)(i / n);
}

/* Values of `out` at the problem's x, moved by h along dx (NULL: not moved). Fresh memory. */
static bool at_point(problem *p, const cst_value *extra, void *const *extra_at, size_t n_extra,
                     double h, void *const *dx, const cst_value *out, size_t n_out, double **result) {
  const void *in[3 * MAX_VALUES];
  void *moved[MAX_VALUES];
  cst_value inputs[3 * MAX_VALUES];
  for (size_t i = 0; i < p->n_x; i++) {
    size_t n = count(p, p->x[i]);
    moved[i] = numbers(n);
    memcpy(moved[i], p->at[i], n * sizeof(double));
    for (size_t k = 0; dx && moves(p, i) && k < n; k++) ((double *)moved[i])[k] += h * ((double *)dx[i])[k];
    in[i] = moved[i], inputs[i] = p->x[i];
  }
  for (size_t i = 0; i < n_extra; i++) in[p->n_x + i] = extra_at[i], inputs[p->n_x + i] = extra[i];
  for (size_t i = 0; i < n_out; i++) result[i] = numbers(count(p, out[i]));
  cst_status st = evaluate(p->g, inputs, p->n_x + n_extra, out, n_out, in, (void *const *)result);
  if (st != CST_OK) fprintf(stderr, "%s: %s\n", p->s->op, cst_message(p->ctx));
  for (size_t i = 0; i < p->n_x; i++) free(moved[i]);
  return st == CST_OK;
}

/* Largest |J dx - (y(x + h dx) - y(x - h dx)) / 2h| relative to the larger of both. */
static double against_differences(problem *p, const cst_value *extra, void *const *extra_at, size_t n_extra,
                                  void *const *dx, const cst_value *out, size_t n_out, double *const *tangent) {
  double *up[MAX_VALUES], *down[MAX_VALUES], worst = 0;
  const double h = 1e-6;
  if (!at_point(p, extra, extra_at, n_extra, h, dx, out, n_out, up)) return INFINITY;
  if (!at_point(p, extra, extra_at, n_extra, -h, dx, out, n_out, down)) return INFINITY;
  for (size_t i = 0; i < n_out; i++) {
    for (size_t k = 0; real(p, out[i]) && k < count(p, out[i]); k++) {
      double fd = (up[i][k] - down[i][k]) / (2 * h), t = tangent[i] ? tangent[i][k] : 0;
      double error = fabs(fd - t) / (1 + fabs(fd));
      if (!(error <= worst)) worst = error;
    }
    free(up[i]), free(down[i]);
  }
  return worst;
}

static void fill_diagonal(const problem *p, cst_value v, double *to) {
  const cst_type *t = cst_type_of(p->g, v);
  size_t m = (size_t)t->dim[t->rank - 2], n = (size_t)t->dim[t->rank - 1];
  for (size_t i = 0; i < count(p, v); i++)
    if (i / n % m == i % n) to[i] += 5;
}

static bool build(problem *p, cst_rng *r) {
  const sample *s = p->s;
  if (cst_graph_new(p->ctx, CST_F64, ROWS, &p->g) != CST_OK) return false;
  for (size_t i = 0; i < s->n_in; i++) p->x[i] = cst_graph_input(p->g, &s->in[i], "x");
  p->n_x = s->n_in;
  cst_value y = p->g->host->node(p->g, s->op, p->x, s->n_in, &s->attrs);
  p->n_y = strcmp(s->op, "dense_back") == 0 ? 3 : 1; /* the fourth is scratch */
  for (size_t i = 0; i < p->n_y; i++) p->y[i] = y + (cst_value)i;
  for (size_t i = 0; i < p->n_x; i++) {
    p->at[i] = numbers(count(p, p->x[i]));
    if (knots(p, i)) fill_knots(p, p->x[i], p->at[i]);
    else fill(p, p->x[i], p->at[i], r, s->from, s->to);
    if (s->solvable >> i & 1) fill_diagonal(p, p->x[i], p->at[i]);
  }
  return y != CST_NONE;
}

static double dot(const problem *p, cst_value v, const double *a, const double *b) {
  double s = 0;
  for (size_t i = 0; a && b && i < count(p, v); i++) s += a[i] * b[i];
  return s;
}

typedef struct directions {
  void *dx[MAX_VALUES], *ybar[MAX_VALUES];
  cst_value dot[MAX_VALUES], bar[MAX_VALUES]; /* inputs that carry them */
} directions;

static void choose(problem *p, directions *d, cst_rng *r) {
  for (size_t i = 0; i < p->n_x; i++) {
    cst_type t = *cst_type_of(p->g, p->x[i]);
    d->dx[i] = numbers(cst_type_count(&t));
    if (moves(p, i)) fill(p, p->x[i], d->dx[i], r, -1, 1);
    d->dot[i] = moves(p, i) ? cst_graph_input(p->g, &t, "dx") : CST_NONE;
  }
  for (size_t i = 0; i < p->n_y; i++) {
    cst_type t = *cst_type_of(p->g, p->y[i]);
    if (t.space == CST_PARTIAL) t.space = CST_SHARED;
    d->ybar[i] = numbers(cst_type_count(&t));
    fill(p, p->y[i], d->ybar[i], r, -1, 1);
    d->bar[i] = cst_graph_input(p->g, &t, "ybar");
  }
}

/* The derivative of the pullback, (x, ybar) -> xbar, along dx. */
static void check_second(problem *p, directions *d, const cst_value *xbar) {
  cst_value out[MAX_VALUES], dots[MAX_VALUES], extra[2 * MAX_VALUES];
  void *extra_at[2 * MAX_VALUES];
  size_t n = 0, n_extra = 0;
  double *tangent[MAX_VALUES] = {0}, *ignored[MAX_VALUES];
  for (size_t i = 0; i < p->n_x; i++)
    if (xbar[i]) out[n++] = xbar[i];
  for (size_t i = 0; i < p->n_y; i++) extra[n_extra] = d->bar[i], extra_at[n_extra++] = d->ybar[i];
  size_t only_bars = n_extra;
  for (size_t i = 0; i < p->n_x; i++)
    if (d->dot[i]) extra[n_extra] = d->dot[i], extra_at[n_extra++] = d->dx[i];
  cst_status st = cst_graph_jvp(p->g, p->x, d->dot, p->n_x, out, n, dots);
  CHECK(st == CST_OK, "%s: tangent of the pullback: %s", p->s->op, cst_message(p->ctx));
  if (st != CST_OK) return;
  for (size_t i = 0; i < n; i++)
    if (dots[i] && at_point(p, extra, extra_at, n_extra, 0, NULL, &dots[i], 1, ignored)) tangent[i] = ignored[0];
  double error = against_differences(p, extra, extra_at, only_bars, d->dx, out, n, tangent);
  CHECK(error < 2e-8, "%s: second derivative off by %.2g", p->s->op, error);
  for (size_t i = 0; i < n; i++) free(tangent[i]);
}

static void check_sample(cst_context *ctx, const sample *s, cst_rng *r) {
  problem p = {.ctx = ctx, .s = s};
  directions d = {0};
  cst_value ydot[MAX_VALUES] = {0}, xbar[MAX_VALUES] = {0};
  double *tangent[MAX_VALUES] = {0}, *bar[MAX_VALUES] = {0}, *one[1];
  bool built = build(&p, r);
  CHECK(built, "%s: %s", s->op, cst_message(ctx));
  if (!built) return;
  choose(&p, &d, r);
  CHECK(cst_graph_jvp(p.g, p.x, d.dot, p.n_x, p.y, p.n_y, ydot) == CST_OK, "%s: jvp: %s", s->op, cst_message(ctx));
  CHECK(cst_graph_vjp(p.g, p.y, d.bar, p.n_y, p.x, p.n_x, xbar) == CST_OK, "%s: vjp: %s", s->op, cst_message(ctx));
  if (p.g->status != CST_OK) return;
  cst_value extra[2 * MAX_VALUES];
  void *extra_at[2 * MAX_VALUES];
  size_t n = 0;
  for (size_t i = 0; i < p.n_x; i++)
    if (d.dot[i]) extra[n] = d.dot[i], extra_at[n++] = d.dx[i];
  for (size_t i = 0; i < p.n_y; i++) extra[n] = d.bar[i], extra_at[n++] = d.ybar[i];
  double forward = 0, reverse = 0;
  for (size_t i = 0; i < p.n_y; i++)
    if (ydot[i] && at_point(&p, extra, extra_at, n, 0, NULL, &ydot[i], 1, one)) {
      tangent[i] = one[0];
      forward += dot(&p, p.y[i], one[0], d.ybar[i]);
    }
  for (size_t i = 0; i < p.n_x; i++) {
    CHECK(!xbar[i] || count(&p, xbar[i]) == count(&p, p.x[i]), "%s: cotangent %zu has another shape", s->op, i);
    if (xbar[i] && at_point(&p, extra, extra_at, n, 0, NULL, &xbar[i], 1, one)) {
      bar[i] = one[0];
      reverse += dot(&p, p.x[i], one[0], d.dx[i]);
    }
  }
  double error = against_differences(&p, NULL, NULL, 0, d.dx, p.y, p.n_y, tangent);
  bool flat = !ydot[0] && !xbar[0]; /* derivative zero by definition: nothing to compare for detach */
  CHECK(error < 2e-8 || (flat && strcmp(s->op, "detach") == 0), "%s: tangent off by %.2g", s->op, error);
  CHECK(fabs(forward - reverse) < 1e-12 * (1 + fabs(forward)), "%s: <ybar, J dx> = %.17g, <J'ybar, dx> = %.17g",
        s->op, forward, reverse);
  if (!flat) check_second(&p, &d, xbar);
  for (size_t i = 0; i < MAX_VALUES; i++)
    free(tangent[i]), free(bar[i]), free(p.at[i]), free(d.dx[i]), free(d.ybar[i]);
  cst_graph_release(p.g);
}

static bool has_sample(const char *op) {
  bool found = false;
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) found |= strcmp(samples[i].op, op) == 0;
  for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) found |= strcmp(elsewhere[i], op) == 0;
  return found;
}

static void every_op_has_a_sample(void) {
  cst_context *ctx = cst_context_new(NULL);
#ifdef CST_TEST_GSL
  CHECK(cst_plugin_load(ctx, "linalg") == CST_OK, "%s", cst_message(ctx));
#endif
  for (size_t i = 0; i < cst_entry_count(ctx, CST_KIND_OP); i++) {
    const char *name = cst_entry_at(ctx, CST_KIND_OP, i)->name;
    CHECK(has_sample(name), "op '%s' has no sample in samples.h", name);
  }
  cst_context_free(ctx);
}

static void every_op_differentiates(void) {
  cst_context *ctx = cst_context_new(NULL);
  cst_rng r = {1, 2, 0};
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) check_sample(ctx, &samples[i], &r);
  cst_context_free(ctx);
}

int cst_suite_autodiff(void);
int cst_suite_autodiff(void) {
  CU_pSuite s = CU_add_suite("autodiff", NULL, NULL);
  return s && CU_add_test(s, "every op has a sample", every_op_has_a_sample) &&
         CU_add_test(s, "every op differentiates, twice", every_op_differentiates) ? 0 : 1;
}
