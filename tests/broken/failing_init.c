/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Fails after it has registered something, which must be taken back.
 */
#include "costate/plugin.h"

static cst_value build(cst_graph *g, const cst_options *o, const cst_value *in) {
  (void)o;
  return cst_mean(g, in[0]);
}

static const cst_loss_type loss = {
    .struct_size = sizeof loss, .name = "half_way", .n_in = 2, .build = build};

static cst_status init(const cst_host *host) {
  CST_TRY(host->register_loss(host, &loss));
  return host->fail(host, CST_EUNSUPPORTED, "the moon is in the wrong %s", "quarter");
}

CST_PLUGIN{.abi_version = CST_ABI, .struct_size = sizeof(cst_plugin), .name = "failing_init",
           .version = "1.0", .license = "GPL-3.0-or-later", .init = init};
