/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Log-likelihoods of what was observed, y, under a prediction: sums over the observed elements of each
 * row, so that a bound on the evidence can be formed by row.
 *
 *   Gaussian     N(y; mu, sigma^2)     -((y - mu)^2 / sigma^2 + log 2 pi) / 2 - log sigma
 *   Bernoulli    from logits z          y z - log(1 + e^z)
 *   categorical  from logits z [.., C]  sum_c p_c log softmax(z)_c,  p probabilities or class indices
 *
 * The mask, 1 where observed and else 0, is the last argument; left out, all is observed. What was not
 * observed may be anything, NaN too: `where` cuts it off before it can meet a product, in the value and
 * in the derivative.
 */
#include <math.h>

#include "losses.h"

#define LOG_2PI 1.83787706640934548356

/* v where observed, else 0. */
static cst_value observed(cst_graph *g, cst_value mask, cst_value v) {
  return mask && v ? cst_where(g, mask, v, cst_zeros_like(g, v)) : v;
}

/* The mask in the graph's float type; false when it does not fit what it masks. */
static bool mask_fits(cst_graph *g, const char *loss, cst_value masked, cst_value *mask) {
  if (!*mask) return masked != CST_NONE;
  if (cst_type_of(g, *mask)->dtype == CST_I64) *mask = cst_cast(g, *mask, (cst_dtype)g->real);
  return loss_fits(g, loss, masked, *mask);
}

static cst_value sum(cst_graph *g, const cst_options *o, cst_value each, cst_value mask) {
  return loss_sum_rows(g, o, mask ? cst_mul(g, each, mask) : each);
}

/* in: mu, sigma, y, mask. */
static cst_value gaussian_build(cst_graph *g, const cst_options *o, const cst_value *in) {
  cst_value mask = in[3], r = loss_residual(g, "gaussian_log_likelihood", in[0], in[2]);
  if (!mask_fits(g, "gaussian_log_likelihood (mask)", r, &mask)) return CST_NONE;
  r = observed(g, mask, r);
  if (!loss_fits(g, "gaussian_log_likelihood (sigma)", r, in[1])) return CST_NONE;
  cst_value half = cst_scale(g, cst_square(g, cst_div(g, r, in[1])), -0.5);
  cst_value rest = cst_add(g, cst_log(g, in[1]), cst_scalar(g, 0.5 * LOG_2PI));
  return sum(g, o, cst_sub(g, half, rest), mask);
}

/* in: logits, y, mask. */
static cst_value bernoulli_build(cst_graph *g, const cst_options *o, const cst_value *in) {
  cst_value y = in[1], mask = in[2];
  if (!loss_fits(g, "bernoulli_log_likelihood", in[0], y)) return CST_NONE;
  if (!mask_fits(g, "bernoulli_log_likelihood (mask)", in[0], &mask)) return CST_NONE;
  if (cst_type_of(g, y)->dtype == CST_I64) y = cst_cast(g, y, (cst_dtype)g->real);
  cst_value product = cst_mul(g, observed(g, mask, y), in[0]);
  return sum(g, o, cst_sub(g, product, cst_softplus(g, in[0])), mask);
}

/* v [..] as [.., 1]; it is of an axis less than some value, so there is room for one. */
static cst_value column(cst_graph *g, cst_value v) {
  if (!v) return CST_NONE;
  cst_type t = *cst_type_of(g, v);
  t.dim[t.rank] = 1;
  return cst_reshape(g, v, t.rank + 1, t.dim);
}

/* in: logits [.., C], classes [..] or probabilities [.., C], mask [..]. */
static cst_value categorical_build(cst_graph *g, const cst_options *o, const cst_value *in) {
  const char *loss = "categorical_log_likelihood";
  if (!in[0] || !in[1]) return CST_NONE;
  cst_type z = *cst_type_of(g, in[0]);
  if (z.rank - (z.space == CST_ROW) < 1 || z.dim[z.rank - 1] < 1)
    return g->host->graph_fail(g, CST_ESHAPE, "%s needs logits [.., C] with C classes", loss);
  cst_value p = in[1], mask = in[2];
  if (cst_type_of(g, p)->dtype == CST_I64) p = loss_one_hot(g, p, z.dim[z.rank - 1]);
  if (!loss_fits(g, loss, in[0], p)) return CST_NONE;
  uint64_t last = (uint64_t)1 << (z.rank - 1);
  if (!mask_fits(g, "categorical_log_likelihood (mask)", cst_amax(g, in[0], last, false), &mask)) return CST_NONE;
  p = observed(g, column(g, mask), p);
  cst_value each = cst_neg(g, cst_sum(g, cst_mul(g, p, loss_surprise(g, in[0], last)), last, false));
  return sum(g, o, each, mask);
}

const cst_loss_type loss_gaussian_log_likelihood = {
    .struct_size = sizeof loss_gaussian_log_likelihood, .name = "gaussian_log_likelihood", .n_in = 4,
    .n_optional = 1, .build = gaussian_build, .options = CST_OPTIONS(LOSS_KEEP),
    .help = "by row, of (mean, standard deviation, target [, mask])"};

const cst_loss_type loss_bernoulli_log_likelihood = {
    .struct_size = sizeof loss_bernoulli_log_likelihood, .name = "bernoulli_log_likelihood", .n_in = 3,
    .n_optional = 1, .build = bernoulli_build, .options = CST_OPTIONS(LOSS_KEEP),
    .help = "by row, of (logits, target [, mask]): target is 0 or 1"};

const cst_loss_type loss_categorical_log_likelihood = {
    .struct_size = sizeof loss_categorical_log_likelihood, .name = "categorical_log_likelihood", .n_in = 3,
    .n_optional = 1, .build = categorical_build, .options = CST_OPTIONS(LOSS_KEEP),
    .help = "by row, of (logits [.., C], target [, mask]): target is class indices or probabilities"};
