/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * linear: one dense layer, act(x W + b).
 */
#include "layer.h"

static cst_status linear_declare(const cst_host *host, const cst_options *o, cst_model_spec *m) {
  const cst_option_value *sizes = cst_option_get(o, "sizes");
  CST_TRY(nn_check_sizes(host, "linear", sizes));
  if (sizes->n_list != 2)
    return host->fail(host, CST_EINVAL, "linear takes two sizes, {in, out}; got %zu: use mlp",
                      sizes->n_list);
  return nn_layer_declare(host, o, m, "", (int64_t)sizes->list[0], (int64_t)sizes->list[1]);
}

static cst_value linear_build(cst_graph *g, const cst_options *o, const cst_value *params,
                              const cst_value *in, size_t n_in) {
  const cst_option_value *sizes = cst_option_get(o, "sizes");
  if (!nn_check_input(g, "linear", in, n_in, (int64_t)sizes->list[0])) return CST_NONE;
  return nn_layer_build(g, o, &params, in[0],
                        nn_activation_find(cst_option_string(o, "activation")));
}

const cst_model_type nn_linear = {
    .struct_size = sizeof nn_linear,
    .name = "linear",
    .help = "one dense layer: activation(x W + b)",
    .options = CST_OPTIONS(
        {"sizes", CST_LIST, .required = true, .help = "values a row: in, out"},
        {"activation", CST_STRING, .string = "none", .choices = NN_ACTIVATIONS,
         .help = "what follows x W + b"},
        NN_LAYER_OPTIONS),
    .declare = linear_declare,
    .build = linear_build,
};
