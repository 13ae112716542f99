/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A descriptor too short to hold an init, which must never run.
 */
#include "costate/plugin.h"

static cst_status init(const cst_host *host) {
  (void)host;
  __builtin_trap();
}

CST_PLUGIN{.abi_version = CST_ABI, .struct_size = 8, .name = "small_struct", .version = "1.0",
           .license = "GPL-3.0-or-later", .init = init};
