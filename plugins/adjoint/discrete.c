/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * discrete: the exact derivative of the steps that were taken, from what they recorded.
 */
#include "adjoint.h"

static cst_status accepts(const cst_host *host, const cst_solver_type *s) {
  return adjoint_walk_accepts(host, "discrete", s);
}

static cst_status pullback(void *state, const cst_solve_pullback *p) { return adjoint_walk_back(state, p, NULL); }

const cst_gradient_type adjoint_discrete = {
  .struct_size = sizeof adjoint_discrete,
  .name = "discrete",
  .help = "the exact derivative of the steps taken, from what they recorded",
  .needs = CST_NEEDS_TAPE,
  .accepts = accepts,
  .create = adjoint_walk_new,
  .destroy = adjoint_walk_free,
  .pullback = pullback,
  .traits = CST_EXACT,
};
