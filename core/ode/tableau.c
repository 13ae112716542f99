/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A tableau is right when its order conditions hold (Butcher; Hairer, Norsett, Wanner I, II.2):
 * for every rooted tree of at most p nodes
 *
 *     sum_i b_i Phi_i(tree) = 1 / gamma(tree),   Phi_i([t1 .. tk]) = prod_m sum_j a_ij Phi_j(tm),
 *     gamma([t1 .. tk]) = nodes * prod_m gamma(tm).
 *
 * Dense output b_i(theta) must give theta^nodes / gamma(tree) instead. All sums are in long double.
 */
#include "ode/tableau.h"

#include <math.h>
#include <string.h>

#include "base/text.h"

enum { MAX_STAGES = 64, MAX_DEGREE = 16, MAX_ORDER = 5, N_TREES = 17 };

/* Trees by number, children before parents. `text` is the condition's left side in vector notation:
 * (a c) is the vector sum_j a_ij c_j. */
typedef struct tree {
  const char *text;
  int n_children, child[4];
} tree;

static const tree trees[N_TREES] = {
    {"b", 0, {0}},
    {"b c", 1, {0}},
    {"b c^2", 2, {0, 0}},
    {"b (a c)", 1, {1}},
    {"b c^3", 3, {0, 0, 0}},
    {"b c (a c)", 2, {0, 1}},
    {"b (a c^2)", 1, {2}},
    {"b (a a c)", 1, {3}},
    {"b c^4", 4, {0, 0, 0, 0}},
    {"b c^2 (a c)", 3, {0, 0, 1}},
    {"b c (a c^2)", 2, {0, 2}},
    {"b c (a a c)", 2, {0, 3}},
    {"b (a c)^2", 2, {1, 1}},
    {"b (a c^3)", 1, {4}},
    {"b (a (c (a c)))", 1, {5}},
    {"b (a a c^2)", 1, {6}},
    {"b (a a a c)", 1, {7}},
};

typedef struct analysis {
  int stages;
  long double phi[N_TREES][MAX_STAGES];
  int nodes[N_TREES], gamma[N_TREES];
} analysis;

static const double *row_of(const cst_tableau *t, int i) { return t->a + i * (i - 1) / 2; }

static void analyse_tree(const cst_tableau *t, analysis *x, int k) {
  x->nodes[k] = 1;
  x->gamma[k] = 1;
  for (int i = 0; i < t->stages; i++) x->phi[k][i] = 1;
  for (int m = 0; m < trees[k].n_children; m++) {
    int c = trees[k].child[m];
    x->nodes[k] += x->nodes[c];
    x->gamma[k] *= x->gamma[c];
    for (int i = 0; i < t->stages; i++) {
      long double sum = 0;
      for (int j = 0; j < i; j++) sum += (long double)row_of(t, i)[j] * x->phi[c][j];
      x->phi[k][i] *= sum;
    }
  }
  x->gamma[k] *= x->nodes[k];
}

/* Which weights are looked at, and where: theta = 1 for the step itself. */
typedef struct weights {
  const char *what;
  long double b[MAX_STAGES], theta;
  int order;
  double tolerance;
} weights;

static cst_status violated(cst_context *ctx, const cst_tableau *t, const weights *w, const tree *k,
                           int nodes, int gamma, long double error) {
  char at[64] = "", right[32];
  if (w->theta != 1) cst_format_text(at, sizeof at, " at theta = %g", (double)w->theta);
  if (w->theta == 1) cst_format_text(right, sizeof right, gamma == 1 ? "1" : "1/%d", gamma);
  else cst_format_text(right, sizeof right, "theta^%d/%d", nodes, gamma);
  return cst_fail(ctx, CST_EPLUGIN,
                  "tableau '%s' is not of order %d%s: the condition sum %s = %s of order %d%s is "
                  "off by %.3g",
                  t->name, w->order, w->what, k->text, right, nodes, at, (double)error);
}

static cst_status check_weights(cst_context *ctx, const cst_tableau *t, const analysis *x,
                                const weights *w) {
  for (int k = 0; k < N_TREES && x->nodes[k] <= w->order; k++) {
    long double sum = 0, size = 1, right = powl(w->theta, x->nodes[k]) / x->gamma[k];
    for (int i = 0; i < t->stages; i++) {
      sum += w->b[i] * x->phi[k][i];
      size += fabsl(w->b[i] * x->phi[k][i]);
    }
    if (!(fabsl(sum - right) <= (long double)w->tolerance * size))
      return violated(ctx, t, w, &trees[k], x->nodes[k], x->gamma[k], sum - right);
  }
  return CST_OK;
}

static cst_status check_estimate(cst_context *ctx, const cst_tableau *t, const analysis *x) {
  weights w = {.what = " in its error estimate (b - e)", .theta = 1, .order = t->error_order,
               .tolerance = 1e-11};
  if (t->error_order < 1)
    return cst_fail(ctx, CST_EPLUGIN, "tableau '%s' has e, which needs an error_order", t->name);
  long double sum = 0;
  bool zero = true;
  for (int i = 0; i < t->stages; i++) {
    w.b[i] = (long double)t->b[i] - (long double)t->e[i];
    sum += (long double)t->e[i];
    zero = zero && t->e[i] == 0;
  }
  if (zero) return cst_fail(ctx, CST_EPLUGIN, "tableau '%s' has an e of zeros only", t->name);
  if (!(fabsl(sum) <= 1e-11L))
    return cst_fail(ctx, CST_EPLUGIN, "tableau '%s': the sum of e is %.3g, not 0", t->name,
                    (double)sum);
  return check_weights(ctx, t, x, &w);
}

static void dense_weights(const cst_tableau *t, weights *w) {
  for (int i = 0; i < t->stages; i++) {
    long double sum = 0;
    for (int j = t->dense_degree; j-- > 0;)
      sum = (sum + (long double)t->p[i * t->dense_degree + j]) * w->theta;
    w->b[i] = sum;
  }
}

static cst_status check_dense(cst_context *ctx, const cst_tableau *t, const analysis *x) {
  static const long double theta[] = {0.25L, 0.5L, 0.75L};
  weights w = {.what = " in its dense output", .theta = 1, .order = t->dense_order,
               .tolerance = 1e-9};
  if (t->dense_degree < 1 || t->dense_degree > MAX_DEGREE || t->dense_order < 1)
    return cst_fail(ctx, CST_EPLUGIN,
                    "tableau '%s' has p, which needs a dense_degree of 1 .. %d and a dense_order",
                    t->name, MAX_DEGREE);
  dense_weights(t, &w);
  for (int i = 0; i < t->stages; i++)
    if (!(fabsl(w.b[i] - (long double)t->b[i]) <= 1e-9L))
      return cst_fail(ctx, CST_EPLUGIN,
                      "tableau '%s': row %d of p sums to %.17g at theta = 1, but b is %.17g",
                      t->name, i + 1, (double)w.b[i], t->b[i]);
  for (size_t k = 0; k < sizeof theta / sizeof *theta; k++) {
    w.theta = theta[k];
    dense_weights(t, &w);
    CST_TRY(check_weights(ctx, t, x, &w));
  }
  return CST_OK;
}

static bool all_finite(const double *x, int n) {
  for (int i = 0; i < n; i++)
    if (!isfinite(x[i])) return false;
  return true;
}

static cst_status check_form(cst_context *ctx, const cst_tableau *t) {
  size_t least = offsetof(cst_tableau, dense_order) + sizeof t->dense_order; /* that of ABI 1 */
  if (!t || t->struct_size < least || !t->name)
    return cst_fail(ctx, CST_EPLUGIN, "a tableau has struct_size %u, but the least is %zu",
                    t ? t->struct_size : 0, least);
  size_t n = strspn(t->name, "abcdefghijklmnopqrstuvwxyz0123456789_");
  if (n == 0 || n > 63 || t->name[n])
    return cst_fail(ctx, CST_EPLUGIN, "a tableau has the name '%.80s': names are [a-z0-9_]+",
                    t->name);
  if (t->stages < 1 || t->stages > MAX_STAGES || t->order < 1)
    return cst_fail(ctx, CST_EPLUGIN, "tableau '%s' needs 1 to %d stages and an order of at least 1",
                    t->name, MAX_STAGES);
  if (!t->b || (!t->a && t->stages > 1))
    return cst_fail(ctx, CST_EPLUGIN, "tableau '%s' lacks %s", t->name, t->b ? "a" : "b");
  if (!all_finite(t->b, t->stages) || !all_finite(t->a, t->stages * (t->stages - 1) / 2) ||
      (t->e && !all_finite(t->e, t->stages)))
    return cst_fail(ctx, CST_EPLUGIN, "tableau '%s' has a coefficient that is not finite", t->name);
  return CST_OK;
}

cst_status cst_tableau_check(cst_context *ctx, const cst_tableau *t) {
  CST_TRY(check_form(ctx, t));
  analysis x = {.stages = t->stages};
  for (int k = 0; k < N_TREES; k++) analyse_tree(t, &x, k);
  weights w = {.what = "", .theta = 1, .order = t->order, .tolerance = 1e-11};
  for (int i = 0; i < t->stages; i++) w.b[i] = (long double)t->b[i];
  CST_TRY(check_weights(ctx, t, &x, &w));
  if (t->e) CST_TRY(check_estimate(ctx, t, &x));
  if (t->p) CST_TRY(check_dense(ctx, t, &x));
  return CST_OK;
}

bool cst_tableau_is_fsal(const cst_tableau *t) {
  int last = t->stages - 1;
  if (last < 1 || t->b[last] != 0) return false;
  for (int j = 0; j < last; j++)
    if (row_of(t, last)[j] != t->b[j]) return false;
  return true;
}
