/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Plugin reversible: steppers for gradients that go back from the end of a solve.
 */
#include "reversible.h"

static cst_status init(const cst_host *host) {
  const cst_solver_type *const types[] = {&rev_alf, &rev_heun, &rev_rk3, &rev_rk4, &rev_dopri5};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) CST_TRY(host->register_solver(host, types[i]));
  return CST_OK;
}

CST_PLUGIN {
  .abi_version = CST_ABI,
  .struct_size = sizeof(cst_plugin),
  .name = "reversible",
  .version = "0.1.0",
  .license = "GPL-3.0-or-later",
  .init = init,
};
