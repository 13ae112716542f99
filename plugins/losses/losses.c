/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * losses: scalar measures of how far a prediction is from its target, means over all elements; and the
 * parts of evidence bounds, sums by row: log-likelihoods, a divergence, log mean exp.
 */
#include "losses.h"

static cst_status init(const cst_host *host) {
  const cst_loss_type *const all[] = {&loss_mae,          &loss_mse,
                                      &loss_huber,        &loss_cross_entropy,
                                      &loss_gaussian_nll, &loss_gaussian_nll_fixed,
                                      &loss_gaussian_log_likelihood, &loss_bernoulli_log_likelihood,
                                      &loss_categorical_log_likelihood, &loss_kl_standard_normal,
                                      &loss_log_mean_exp};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) CST_TRY(host->register_loss(host, all[i]));
  return CST_OK;
}

CST_PLUGIN{.abi_version = CST_ABI,
           .struct_size = sizeof(cst_plugin),
           .name = "losses",
           .version = "1.0",
           .license = "GPL-3.0-or-later",
           .init = init};
