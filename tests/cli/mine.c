/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The plugin of the README: a solver and a loss in one file. The tests build it outside the tree, with
 * nothing but the installed headers, and train with it.
 */
#include <costate/plugin.h>

static const cst_tableau heun3 = {
  .struct_size = sizeof heun3, .name = "heun3", .help = "Heun's third-order method", .order = 3, .stages = 3,
  .a = (const double[]){1 / 3., 0, 2 / 3.}, .b = (const double[]){1 / 4., 0, 3 / 4.},
};

static cst_value pinball(cst_graph *g, const cst_options *o, const cst_value *in) {
  cst_value r = cst_sub(g, in[1], in[0]), q = cst_scalar(g, cst_option_number(o, "q"));
  return cst_mean(g, cst_max(g, cst_mul(g, q, r), cst_mul(g, cst_sub(g, q, cst_scalar(g, 1)), r)));
}
static const cst_loss_type loss = {
  .struct_size = sizeof loss, .name = "pinball", .help = "quantile loss", .n_in = 2, .build = pinball,
  .options = CST_OPTIONS({"q", CST_NUMBER, .number = 0.5, .range = {0, 1}, .help = "quantile"}),
};

static cst_status init(const cst_host *h) {
  CST_TRY(h->register_tableau(h, &heun3)); /* order conditions are checked here */
  return h->register_loss(h, &loss);
}
CST_PLUGIN {.abi_version = CST_ABI, .struct_size = sizeof(cst_plugin), .name = "mine", .version = "1.0",
            .license = "GPL-3.0-or-later", .init = init};
