/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mlp: dense layers one after another. Layer i maps sizes[i] values to sizes[i+1]; all but the last
 * end with `activation`, the last with `final`.
 */
#include "layer.h"

#include <stdio.h>

static cst_status mlp_declare(const cst_host *host, const cst_options *o, cst_model_spec *m) {
  const cst_option_value *sizes = cst_option_get(o, "sizes");
  CST_TRY(nn_check_sizes(host, "mlp", sizes));
  for (size_t i = 0; i + 1 < sizes->n_list; i++) {
    char prefix[32];
    snprintf(prefix, sizeof prefix, "%zu.", i);
    CST_TRY(
        nn_layer_declare(host, o, m, prefix, (int64_t)sizes->list[i], (int64_t)sizes->list[i + 1]));
  }
  return CST_OK;
}

static cst_value mlp_build(cst_graph *g, const cst_options *o, const cst_value *params,
                           const cst_value *in, size_t n_in) {
  const cst_option_value *sizes = cst_option_get(o, "sizes");
  const nn_activation *hidden = nn_activation_find(cst_option_string(o, "activation"));
  const nn_activation *final = nn_activation_find(cst_option_string(o, "final"));
  if (!nn_check_input(g, "mlp", in, n_in, (int64_t)sizes->list[0])) return CST_NONE;
  cst_value x = in[0];
  for (size_t i = 0; i + 1 < sizes->n_list; i++)
    x = nn_layer_build(g, o, &params, x, i + 2 < sizes->n_list ? hidden : final);
  return x;
}

const cst_model_type nn_mlp = {
    .struct_size = sizeof nn_mlp,
    .name = "mlp",
    .help = "multilayer perceptron: dense layers one after another",
    .options = CST_OPTIONS(
        {"sizes", CST_LIST, .required = true, .help = "values a row: in, hidden .., out"},
        {"activation", CST_STRING, .string = "tanh", .choices = NN_ACTIVATIONS,
         .help = "after every layer but the last"},
        {"final", CST_STRING, .string = "none", .choices = NN_ACTIVATIONS,
         .help = "after the last layer"},
        NN_LAYER_OPTIONS),
    .declare = mlp_declare,
    .build = mlp_build,
};
