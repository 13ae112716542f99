/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "adjoint.h"

static cst_status init(const cst_host *host) {
  CST_TRY(host->register_gradient(host, &adjoint_discrete));
  CST_TRY(host->register_gradient(host, &adjoint_reversible));
  CST_TRY(host->register_gradient(host, &adjoint_backsolve));
  CST_TRY(host->register_gradient(host, &adjoint_interpolating));
  CST_TRY(host->register_gradient(host, &adjoint_forward));
  return host->register_gradient(host, &adjoint_finite);
}

CST_PLUGIN {
  .abi_version = CST_ABI,
  .struct_size = sizeof(cst_plugin),
  .name = "adjoint",
  .version = "0.1.0",
  .license = "GPL-3.0-or-later",
  .init = init,
};
