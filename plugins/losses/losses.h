/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the losses share.
 */
#pragma once
#include <costate/plugin.h>

/* Whether `target` fits `prediction`: equal shapes, or the inner axes of one end with those of the
 * other (a target that all rows share, a scalar). Broadcasting any further hides mistakes: [B]
 * minus [B, 1] would be [B, B]. On misfit the graph fails with both shapes. */
bool loss_fits(cst_graph *g, const char *loss, cst_value prediction, cst_value target);
/* prediction - target after that check; CST_NONE on misfit. */
cst_value loss_residual(cst_graph *g, const char *loss, cst_value prediction, cst_value target);
/* -log softmax(z) over one axis (a bit), and what class indices mean as probabilities [.., classes]. */
cst_value loss_surprise(cst_graph *g, cst_value z, uint64_t axis);
cst_value loss_one_hot(cst_graph *g, cst_value index, int64_t classes);
/* Sums over all axes but the first `keep`, an option (LOSS_KEEP): one value a row. */
cst_value loss_sum_rows(cst_graph *g, const cst_options *o, cst_value each);
/* "[B, 10, 2]": the shape in words. */
const char *loss_shape(const cst_type *t, char *text, size_t size);

#define LOSS_KEEP                                                                          \
  {"keep", CST_INTEGER, .number = 1, .range = {0, CST_MAX_RANK},                           \
   .help = "leading axes that stay, all others are summed: 1 leaves a value a row, 2 one a row and sample"}

extern const cst_loss_type loss_mae, loss_mse, loss_huber, loss_cross_entropy, loss_gaussian_nll,
    loss_gaussian_nll_fixed, loss_gaussian_log_likelihood, loss_bernoulli_log_likelihood,
    loss_categorical_log_likelihood, loss_kl_standard_normal, loss_log_mean_exp;
