/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * linalg: differentiable linear algebra (see linalg.h).
 */
#include "linalg.h"

static cst_status init(const cst_host *host) {
  const cst_op *const all[] = {
      &linalg_solve,        &linalg_solve_lower,  &linalg_cholesky, &linalg_solve_banded,
      &linalg_banded_times, &linalg_banded_outer, &linalg_solve_tridiagonal,
      &linalg_lstsq,        &linalg_normal_solve,
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) CST_TRY(host->register_op(host, all[i]));
  return CST_OK;
}

CST_PLUGIN{.abi_version = CST_ABI,
           .struct_size = sizeof(cst_plugin),
           .name = "linalg",
           .version = "1.0",
           .license = "GPL-3.0-or-later",
           .init = init};
