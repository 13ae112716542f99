/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A tableau is right when its order conditions hold (Butcher; Hairer, Norsett, Wanner I, II.2):
 * for every rooted tree of at most p nodes
 *
 *     sum_i b_i Phi_i(tree) = 1 / gamma(tree),   Phi_i([t1 .. tk]) = prod_m sum_j a_ij Phi_j(tm).
 *
 * Dense output b_i(theta) must give theta^nodes / gamma(tree) instead. All sums are in long double.
 */
#include "ode/tableau.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "costate/plugin.h"
#include "ode/trees.h"

enum { MAX_STAGES = 64, MAX_DEGREE = 16 };

/* Stages that only the dense output has. */
static int dense_stages(const cst_tableau *t) { return CST_HAS(t, dense_stages) ? t->dense_stages : 0; }

/* ---- Phi ------------------------------------------------------------------------------------------ */

typedef struct analysis {
  cst_context *ctx;
  const cst_tableau *t;
  int all; /* stages, those of the dense output last */
  int n_trees;
  cst_tree tree[CST_TREES];
  long double *phi, *a_phi; /* n_trees x all: Phi, and sum_j a_ij Phi_j */
} analysis;

/* Row i of a, which has i numbers. */
static const double *row_of(const cst_tableau *t, int i) {
  int extra = i - t->stages;
  if (extra < 0) return t->a + i * (i - 1) / 2;
  return t->a_dense + extra * t->stages + extra * (extra - 1) / 2;
}

static void analyse_tree(analysis *x, int k) {
  const cst_tree *tree = &x->tree[k];
  long double *phi = x->phi + k * x->all, *a_phi = x->a_phi + k * x->all;
  const long double *base = x->phi + tree->base * x->all, *child = x->a_phi + tree->child * x->all;
  for (int i = 0; i < x->all; i++) phi[i] = k ? base[i] * child[i] : 1;
  for (int i = 1; i < x->all; i++) {
    const double *a = row_of(x->t, i);
    for (int j = 0; j < i; j++)
      if (a[j] != 0) a_phi[i] += (long double)a[j] * phi[j];
  }
}

static cst_status analyse(analysis *x) {
  const cst_tableau *t = x->t;
  int order = t->order;
  if (t->e && t->error_order > order) order = t->error_order;
  if (t->p && t->dense_order > order) order = t->dense_order;
  x->all = t->stages + dense_stages(t);
  x->n_trees = cst_trees_list(order, x->tree);
  size_t n = (size_t)(x->n_trees * x->all);
  x->phi = cst_alloc(x->ctx, 2 * n * sizeof *x->phi);
  if (!x->phi) return CST_ENOMEM;
  x->a_phi = x->phi + n;
  for (int k = 0; k < x->n_trees; k++) analyse_tree(x, k);
  return CST_OK;
}

/* ---- conditions ------------------------------------------------------------------------------------ */

/* Which weights are looked at, and where: theta = 1 for the step itself. */
typedef struct weights {
  const char *what;
  long double b[MAX_STAGES], theta;
  int order;
  double tolerance;
} weights;

static cst_status violated(const analysis *x, const weights *w, int k, long double error) {
  char left[128], at[64] = "", right[32];
  int nodes = x->tree[k].nodes, gamma = x->tree[k].gamma;
  cst_tree_text(x->tree, k, left, sizeof left);
  if (w->theta != 1) cst_format_text(at, sizeof at, " at theta = %g", (double)w->theta);
  if (w->theta == 1) cst_format_text(right, sizeof right, gamma == 1 ? "1" : "1/%d", gamma);
  else if (nodes == 1) cst_format_text(right, sizeof right, "theta");
  else cst_format_text(right, sizeof right, "theta^%d/%d", nodes, gamma);
  return cst_fail(x->ctx, CST_EPLUGIN,
                  "tableau '%s' is not of order %d%s: the condition sum %s = %s of order %d%s is "
                  "off by %.3g",
                  x->t->name, w->order, w->what, left, right, nodes, at, (double)error);
}

static cst_status check_weights(const analysis *x, const weights *w) {
  for (int k = 0; k < x->n_trees && x->tree[k].nodes <= w->order; k++) {
    const long double *phi = x->phi + k * x->all;
    long double sum = 0, size = 1, right = powl(w->theta, x->tree[k].nodes) / x->tree[k].gamma;
    for (int i = 0; i < x->all; i++) {
      sum += w->b[i] * phi[i];
      size += fabsl(w->b[i] * phi[i]);
    }
    if (!(fabsl(sum - right) <= (long double)w->tolerance * size))
      return violated(x, w, k, sum - right);
  }
  return CST_OK;
}

static cst_status check_solution(const analysis *x) {
  weights w = {.what = "", .theta = 1, .order = x->t->order, .tolerance = 1e-11};
  for (int i = 0; i < x->t->stages; i++) w.b[i] = (long double)x->t->b[i];
  return check_weights(x, &w);
}

/* b - e is of this order, and e is an estimate at all. `name` is that of e. */
static cst_status check_estimate(const analysis *x, const double *e, int order, const char *name) {
  const cst_tableau *t = x->t;
  char what[48];
  weights w = {.what = what, .theta = 1, .order = order, .tolerance = 1e-11};
  long double sum = 0;
  bool zero = true;
  cst_format_text(what, sizeof what, " in its error estimate (b - %s)", name);
  for (int i = 0; i < t->stages; i++) {
    w.b[i] = (long double)t->b[i] - (long double)e[i];
    sum += (long double)e[i];
    zero = zero && e[i] == 0;
  }
  if (zero) return cst_fail(x->ctx, CST_EPLUGIN, "tableau '%s' has an %s of zeros only", t->name, name);
  if (!(fabsl(sum) <= 1e-11L))
    return cst_fail(x->ctx, CST_EPLUGIN, "tableau '%s': the sum of %s is %.3g, not 0", t->name, name,
                    (double)sum);
  return check_weights(x, &w);
}

static cst_status check_estimates(const analysis *x) {
  const cst_tableau *t = x->t;
  bool low = CST_HAS(t, e_low);
  if (low && (!CST_HAS(t, error_order_low) || !t->e || t->error_order_low < 1 ||
              t->error_order_low >= t->error_order))
    return cst_fail(x->ctx, CST_EPLUGIN,
                    "tableau '%s' has e_low, which needs an e and an error_order_low from 1 to below "
                    "error_order", t->name);
  if (!t->e) return CST_OK;
  if (t->error_order < 1)
    return cst_fail(x->ctx, CST_EPLUGIN, "tableau '%s' has e, which needs an error_order", t->name);
  CST_TRY(check_estimate(x, t->e, t->error_order, "e"));
  return low ? check_estimate(x, t->e_low, t->error_order_low, "e_low") : CST_OK;
}

static void dense_weights(const analysis *x, weights *w) {
  const cst_tableau *t = x->t;
  for (int i = 0; i < x->all; i++) {
    long double sum = 0;
    for (int j = t->dense_degree; j-- > 0;)
      sum = (sum + (long double)t->p[i * t->dense_degree + j]) * w->theta;
    w->b[i] = sum;
  }
}

static cst_status check_dense(const analysis *x) {
  static const long double theta[] = {0.1L, 0.25L, 0.5L, 0.75L, 0.9L};
  const cst_tableau *t = x->t;
  weights w = {.what = " in its dense output", .theta = 1, .order = t->dense_order,
               .tolerance = 1e-9};
  dense_weights(x, &w);
  for (int i = 0; i < x->all; i++) {
    double b = i < t->stages ? t->b[i] : 0;
    if (!(fabsl(w.b[i] - (long double)b) <= 1e-9L))
      return cst_fail(x->ctx, CST_EPLUGIN,
                      "tableau '%s': row %d of p sums to %.17g at theta = 1, but b is %.17g",
                      t->name, i + 1, (double)w.b[i], b);
  }
  for (size_t k = 0; k < sizeof theta / sizeof *theta; k++) {
    w.theta = theta[k];
    dense_weights(x, &w);
    CST_TRY(check_weights(x, &w));
  }
  return CST_OK;
}

/* ---- form -------------------------------------------------------------------------------------------- */

static bool all_finite(const double *x, int n) {
  for (int i = 0; i < n; i++)
    if (!isfinite(x[i])) return false;
  return true;
}

static bool coefficients_finite(const cst_tableau *t) {
  int s = t->stages, extra = dense_stages(t);
  return all_finite(t->b, s) && all_finite(t->a, s * (s - 1) / 2) && (!t->e || all_finite(t->e, s)) &&
         (!CST_HAS(t, e_low) || all_finite(t->e_low, s)) &&
         all_finite(t->a_dense, extra * s + extra * (extra - 1) / 2);
}

static cst_status check_form_dense(cst_context *ctx, const cst_tableau *t) {
  int extra = dense_stages(t);
  if (extra < 0 || t->stages + extra > MAX_STAGES || (extra > 0 && (!t->a_dense || !t->p)))
    return cst_fail(ctx, CST_EPLUGIN,
                    "tableau '%s' has dense_stages %d, which needs a_dense, p and at most %d stages in all",
                    t->name, extra, MAX_STAGES);
  if (t->p && (t->dense_degree < 1 || t->dense_degree > MAX_DEGREE || t->dense_order < 1))
    return cst_fail(ctx, CST_EPLUGIN,
                    "tableau '%s' has p, which needs a dense_degree of 1 .. %d and a dense_order",
                    t->name, MAX_DEGREE);
  return CST_OK;
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
  CST_TRY(check_form_dense(ctx, t));
  if (!coefficients_finite(t))
    return cst_fail(ctx, CST_EPLUGIN, "tableau '%s' has a coefficient that is not finite", t->name);
  return CST_OK;
}

static cst_status check_conditions(const analysis *x) {
  CST_TRY(check_solution(x));
  CST_TRY(check_estimates(x));
  return x->t->p ? check_dense(x) : CST_OK;
}

cst_status cst_tableau_check(cst_context *ctx, const cst_tableau *t) {
  CST_TRY(check_form(ctx, t));
  analysis x = {.ctx = ctx, .t = t};
  CST_TRY(analyse(&x));
  cst_status st = check_conditions(&x);
  cst_free(ctx, x.phi);
  return st;
}

bool cst_tableau_is_fsal(const cst_tableau *t) {
  int last = t->stages - 1;
  if (last < 1 || t->b[last] != 0) return false;
  for (int j = 0; j < last; j++)
    if (row_of(t, last)[j] != t->b[j]) return false;
  return true;
}
