/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * nn: neural networks as models.
 */
#include "layer.h"

static cst_status init(const cst_host *host) {
  CST_TRY(host->register_model(host, &nn_linear));
  return host->register_model(host, &nn_mlp);
}

CST_PLUGIN{.abi_version = CST_ABI,
           .struct_size = sizeof(cst_plugin),
           .name = "nn",
           .version = "1.0",
           .license = "GPL-3.0-or-later",
           .init = init};
