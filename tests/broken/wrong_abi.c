/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Built for another plugin interface; its init must never run.
 */
#include "costate/plugin.h"

static cst_status init(const cst_host *host) {
  (void)host;
  __builtin_trap();
}

CST_PLUGIN{.abi_version = CST_ABI + 41, .struct_size = sizeof(cst_plugin), .name = "wrong_abi",
           .version = "1.0", .license = "GPL-3.0-or-later", .init = init};
