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
/* "[B, 10, 2]": the shape in words. */
const char *loss_shape(const cst_type *t, char *text, size_t size);

extern const cst_loss_type loss_mae, loss_mse, loss_huber, loss_cross_entropy, loss_gaussian_nll,
    loss_gaussian_nll_fixed;
