/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "adjoint.h"

static cst_status init(const cst_host *host) {
  CST_TRY(host->register_gradient(host, &adjoint_discrete));
  CST_TRY(host->register_gradient(host, &adjoint_reversible));
  return host->register_gradient(host, &adjoint_backsolve);
}

CST_PLUGIN {
  .abi_version = CST_ABI,
  .struct_size = sizeof(cst_plugin),
  .name = "adjoint",
  .version = "0.1.0",
  .license = "GPL-3.0-or-later",
  .init = init,
};
