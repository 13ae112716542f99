/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers one name twice and does not look at the status.
 */
#include "costate/plugin.h"

static cst_value build(cst_graph *g, const cst_options *o, const cst_value *in) {
  (void)o;
  return cst_mean(g, in[0]);
}

static const cst_loss_type loss = {
    .struct_size = sizeof loss, .name = "twice", .n_in = 2, .build = build};

static cst_status init(const cst_host *host) {
  host->register_loss(host, &loss);
  host->register_loss(host, &loss);
  return CST_OK;
}

CST_PLUGIN{.abi_version = CST_ABI, .struct_size = sizeof(cst_plugin), .name = "duplicate_type",
           .version = "1.0", .license = "GPL-3.0-or-later", .init = init};
