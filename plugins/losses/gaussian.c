/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Negative log-likelihood of a target x under normal distributions N(mu, sigma^2), each element
 * independent; the mean over all elements of
 *
 *   (log 2 pi + log sigma^2 + (x - mu)^2 / sigma^2) / 2.
 */
#include <math.h>

#include "losses.h"

#define LOG_2PI 1.83787706640934548356

/* in: mu, log sigma^2, x. */
static cst_value gaussian_nll_build(cst_graph *g, const cst_options *o, const cst_value *in) {
  (void)o;
  cst_value r2 = cst_square(g, loss_residual(g, "gaussian_nll", in[0], in[2]));
  if (!r2 || !loss_fits(g, "gaussian_nll (log of the variance)", r2, in[1])) return CST_NONE;
  cst_value scaled = cst_mul(g, r2, cst_exp(g, cst_neg(g, in[1])));
  cst_value twice = cst_add(g, cst_mean(g, cst_add(g, in[1], scaled)), cst_scalar(g, LOG_2PI));
  return cst_scale(g, twice, 0.5);
}

/* in: mu, x; sigma is an option. */
static cst_value gaussian_nll_fixed_build(cst_graph *g, const cst_options *o, const cst_value *in) {
  double std = cst_option_number(o, "std");
  cst_value r2 = cst_square(g, loss_residual(g, "gaussian_nll_fixed", in[0], in[1]));
  cst_value mean = cst_scale(g, cst_mean(g, r2), 0.5 / (std * std));
  return cst_add(g, mean, cst_scalar(g, 0.5 * LOG_2PI + log(std)));
}

const cst_loss_type loss_gaussian_nll = {
    .struct_size = sizeof loss_gaussian_nll, .name = "gaussian_nll", .n_in = 3,
    .build = gaussian_nll_build,
    .help = "negative log-likelihood of (mean, log of the variance, target)"};

const cst_loss_type loss_gaussian_nll_fixed = {
    .struct_size = sizeof loss_gaussian_nll_fixed, .name = "gaussian_nll_fixed", .n_in = 2,
    .build = gaussian_nll_fixed_build,
    .help = "negative log-likelihood of (mean, target) with a known standard deviation",
    .options = CST_OPTIONS({"std", CST_NUMBER, .number = 1, .range = {1e-150, 1e150},
                            .help = "standard deviation of the noise"})};
