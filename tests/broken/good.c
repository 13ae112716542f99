/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A good plugin, built from this one file and the headers alone: a loss and a Runge-Kutta method.
 */
#include "costate/plugin.h"

static cst_value distance(cst_graph *g, const cst_options *o, const cst_value *in) {
  cst_value d = cst_sub(g, in[0], in[1]);
  return cst_scale(g, cst_mean(g, cst_square(g, d)), cst_option_number(o, "weight"));
}

static const cst_loss_type loss = {
    .struct_size = sizeof loss,
    .name = "distance",
    .help = "weighted squared distance",
    .options = CST_OPTIONS({"weight", CST_NUMBER, .number = 1, .range = {0, 1e6},
                            .help = "factor of the loss"}),
    .n_in = 2,
    .build = distance,
};

static const cst_tableau ralston = {
    .struct_size = sizeof ralston,
    .name = "two_thirds",
    .help = "Ralston's method of order 2 with Euler's as estimate",
    .order = 2,
    .stages = 2,
    .a = (const double[]){2 / 3.},
    .b = (const double[]){1 / 4., 3 / 4.},
    .e = (const double[]){-3 / 4., 3 / 4.},
    .error_order = 1,
};

static cst_status init(const cst_host *host) {
  CST_TRY(host->register_loss(host, &loss));
  return host->register_tableau(host, &ralston);
}

CST_PLUGIN{.abi_version = CST_ABI, .struct_size = sizeof(cst_plugin), .name = "good",
           .version = "1.0", .license = "GPL-3.0-or-later", .init = init};
