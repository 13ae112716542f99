/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A plugin whose name is no name.
 */
#include "costate/plugin.h"

static cst_status init(const cst_host *host) {
  (void)host;
  return CST_OK;
}

CST_PLUGIN{.abi_version = CST_ABI, .struct_size = sizeof(cst_plugin), .name = "Bad.Name",
           .version = "1.0", .license = "GPL-3.0-or-later", .init = init};
