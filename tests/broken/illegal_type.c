/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A model that cannot be built: the required slot is missing.
 */
#include "costate/plugin.h"

static cst_status declare(const cst_host *host, const cst_options *o, cst_model_spec *m) {
  (void)host, (void)o, (void)m;
  return CST_OK;
}

static const cst_model_type model = {
    .struct_size = sizeof model, .name = "hollow", .declare = declare};

static cst_status init(const cst_host *host) { return host->register_model(host, &model); }

CST_PLUGIN{.abi_version = CST_ABI, .struct_size = sizeof(cst_plugin), .name = "illegal_type",
           .version = "1.0", .license = "GPL-3.0-or-later", .init = init};
