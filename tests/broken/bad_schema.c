/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An option whose default lies outside its own range.
 */
#include "costate/plugin.h"

static double factor(const cst_options *o, const cst_controller_state *c, int error_order) {
  (void)o, (void)c, (void)error_order;
  return 1;
}

static const cst_controller_type controller = {
    .struct_size = sizeof controller, .name = "odd", .factor = factor,
    .options = CST_OPTIONS({"safety", CST_NUMBER, .number = 2, .range = {0, 1}})};

static cst_status init(const cst_host *host) { return host->register_controller(host, &controller); }

CST_PLUGIN{.abi_version = CST_ABI, .struct_size = sizeof(cst_plugin), .name = "bad_schema",
           .version = "1.0", .license = "GPL-3.0-or-later", .init = init};
