/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Fails and does not say why.
 */
#include "costate/plugin.h"

static cst_status init(const cst_host *host) {
  (void)host;
  return CST_EUNSUPPORTED;
}

CST_PLUGIN{.abi_version = CST_ABI, .struct_size = sizeof(cst_plugin), .name = "silent_init",
           .version = "1.0", .license = "GPL-3.0-or-later", .init = init};
