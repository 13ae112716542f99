/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Another file with the name of a plugin that is loaded.
 */
#include "costate/plugin.h"

static cst_status init(const cst_host *host) {
  (void)host;
  __builtin_trap();
}

CST_PLUGIN{.abi_version = CST_ABI, .struct_size = sizeof(cst_plugin), .name = "good",
           .version = "2.0", .license = "GPL-3.0-or-later", .init = init};
