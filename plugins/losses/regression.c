/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Losses of a residual r = prediction - target: mean over all elements of |r|, of r^2, and of
 * Huber's function (P. J. Huber, "Robust estimation of a location parameter", Ann. Math. Statist.
 * 35, 1964), which is r^2 / 2 up to delta and delta (|r| - delta / 2) beyond.
 */
#include "losses.h"

static cst_value mae_build(cst_graph *g, const cst_options *o, const cst_value *in) {
  (void)o;
  return cst_mean(g, cst_abs(g, loss_residual(g, "mae", in[0], in[1])));
}

static cst_value mse_build(cst_graph *g, const cst_options *o, const cst_value *in) {
  (void)o;
  return cst_mean(g, cst_square(g, loss_residual(g, "mse", in[0], in[1])));
}

/* With q = min(|r|, delta) both branches are q (|r| - q / 2). */
static cst_value huber_build(cst_graph *g, const cst_options *o, const cst_value *in) {
  cst_value a = cst_abs(g, loss_residual(g, "huber", in[0], in[1]));
  cst_value q = cst_min(g, a, cst_scalar(g, cst_option_number(o, "delta")));
  return cst_mean(g, cst_mul(g, q, cst_sub(g, a, cst_scale(g, q, 0.5))));
}

const cst_loss_type loss_mae = {
    .struct_size = sizeof loss_mae, .name = "mae", .n_in = 2, .build = mae_build,
    .help = "mean absolute error of (prediction, target)"};

const cst_loss_type loss_mse = {
    .struct_size = sizeof loss_mse, .name = "mse", .n_in = 2, .build = mse_build,
    .help = "mean squared error of (prediction, target)"};

const cst_loss_type loss_huber = {
    .struct_size = sizeof loss_huber, .name = "huber", .n_in = 2, .build = huber_build,
    .help = "squared near zero, absolute beyond delta, of (prediction, target)",
    .options = CST_OPTIONS({"delta", CST_NUMBER, .number = 1, .range = {1e-300, 1e300},
                            .help = "where the square gives way to the absolute value"})};
