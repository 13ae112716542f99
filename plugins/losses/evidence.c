/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What else a bound on the evidence is made of.
 *
 *   kl_standard_normal(mu, sigma)  KL(N(mu, diag sigma^2) || N(0, I)) = sum (mu^2 + sigma^2 - 1) / 2 - log sigma
 *                                  by row (D. P. Kingma, M. Welling, "Auto-encoding variational Bayes", 2014)
 *   log_mean_exp(x)                log(1/K sum_k exp x_k) over one axis: of K log weights, the bound of
 *                                  Y. Burda, R. Grosse, R. Salakhutdinov, "Importance weighted autoencoders", 2016
 */
#include "losses.h"

cst_value loss_sum_rows(cst_graph *g, const cst_options *o, cst_value each) {
  if (!each) return CST_NONE;
  int64_t keep = cst_option_integer(o, "keep"), rank = cst_type_of(g, each)->rank;
  uint64_t all = ((uint64_t)1 << rank) - 1, kept = ((uint64_t)1 << keep) - 1;
  return all & ~kept ? cst_sum(g, each, all & ~kept, false) : each;
}

static cst_value kl_build(cst_graph *g, const cst_options *o, const cst_value *in) {
  if (!loss_fits(g, "kl_standard_normal (sigma)", in[0], in[1])) return CST_NONE;
  cst_value squares = cst_add(g, cst_square(g, in[0]), cst_square(g, in[1]));
  cst_value half = cst_scale(g, cst_sub(g, squares, cst_scalar(g, 1)), 0.5);
  return loss_sum_rows(g, o, cst_sub(g, half, cst_log(g, in[1])));
}

/* The largest of each sum is taken out first. It cancels, so its derivative need not be followed; an
 * infinite one stays in, so that weights that are all zero have the logarithm -inf. */
static cst_value log_mean_exp_build(cst_graph *g, const cst_options *o, const cst_value *in) {
  if (!in[0]) return CST_NONE;
  const cst_type *t = cst_type_of(g, in[0]);
  int64_t axis = cst_option_integer(o, "axis");
  if (axis > t->rank || (axis == 1 && t->space == CST_ROW) || t->dim[axis - 1] < 1) {
    char text[96];
    return g->host->graph_fail(g, CST_ESHAPE, "log_mean_exp along axis %lld of %s: give the axis of the samples",
                               (long long)axis, loss_shape(t, text, sizeof text));
  }
  uint64_t bit = (uint64_t)1 << (axis - 1);
  double n = (double)t->dim[axis - 1];
  cst_value top = cst_detach(g, cst_amax(g, in[0], bit, true));
  top = cst_where(g, cst_isfinite(g, top), top, cst_zeros_like(g, top));
  cst_value sum = cst_sum(g, cst_exp(g, cst_sub(g, in[0], top)), bit, false);
  return cst_add(g, cst_log(g, cst_scale(g, sum, 1 / n)), cst_sum(g, top, bit, false));
}

const cst_loss_type loss_kl_standard_normal = {
    .struct_size = sizeof loss_kl_standard_normal, .name = "kl_standard_normal", .n_in = 2, .build = kl_build,
    .options = CST_OPTIONS(LOSS_KEEP),
    .help = "KL divergence by row of a diagonal normal, (mean, standard deviation), from N(0, I)"};

const cst_loss_type loss_log_mean_exp = {
    .struct_size = sizeof loss_log_mean_exp, .name = "log_mean_exp", .n_in = 1, .build = log_mean_exp_build,
    .options = CST_OPTIONS({"axis", CST_INTEGER, .number = 2, .range = {1, CST_MAX_RANK},
                            .help = "axis of the samples, from 1: it vanishes"}),
    .help = "logarithm of the mean of exp x over one axis: the bound of K log weights (IWAE)"};
