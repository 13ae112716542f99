/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Plugin gsl: all steppers of the GNU Scientific Library (gsl_odeiv2).
 */
#include "stepper.h"

static cst_status add(const cst_host *host, const cst_solver_type *types) {
  for (; types->name; types++) CST_TRY(host->register_solver(host, types));
  return CST_OK;
}

static cst_status init(const cst_host *host) {
  CST_TRY(add(host, explicit_types));
  CST_TRY(add(host, implicit_types));
  return add(host, multistep_types);
}

CST_PLUGIN{.abi_version = CST_ABI,
           .struct_size = sizeof(cst_plugin),
           .name = "gsl",
           .version = "1.1",
           .license = "GPL-3.0-or-later",
           .init = init};
