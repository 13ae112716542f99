/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which stepper solves the equation of lambda. The forward one knows how stiff the field is, and that of
 * lambda is as stiff. But one that keeps a structure (symplectic, reversible) finds none here; and a stepper
 * of one row at a time is made for small states, not for a gradient of thousands of parameters beside
 * lambda (GSL factorises a matrix as large as both). Neither is asked for unless by name.
 *
 * Where lambda stands alone and is interpolated (quadrature), the dense output decides. That of a multistep
 * method is the polynomial it steps with, and it stays; that of other steppers of one row are shorter steps,
 * between which a polynomial misses what they leap over: bsimp's gradient of Robertson's reaction was off by
 * 3e-4 at a tolerance of 1e-7. The cubic of kencarp4 is as exact as its steps, that of kencarp5 is not.
 */
#include "continuous.h"

static const cst_solver_type *named(const cst_host *host, const char *name) {
  const cst_solver_type *s = host->find_solver(host, name);
  if (!s || !(s->traits & CST_STOCHASTIC)) return s;
  host->fail(host, CST_EUNSUPPORTED, "solver '%s' is for stochastic equations; that of the adjoint is not one", name);
  return NULL;
}

const cst_solver_type *continuous_solver(const cst_host *host, const char *name, const cst_solver_type *forward,
                                         bool theta) {
  uint32_t traits = forward->traits;
  bool single = traits & CST_SINGLE && (theta || !(traits & CST_MULTISTEP));
  if (name[0]) return named(host, name);
  if (!single && !(traits & (CST_SYMPLECTIC | CST_REVERSIBLE))) return forward;
  const char *better = !(traits & CST_IMPLICIT) ? "dopri5" : theta ? "kencarp5" : "kencarp4";
  const cst_solver_type *s = host->find_solver(host, better);
  return s ? s : forward;
}

cst_status continuous_accepts(const cst_host *host, const cst_solver_type *s) {
  if (!(s->traits & CST_STOCHASTIC)) return CST_OK;
  return host->fail(host, CST_EUNSUPPORTED,
                    "the adjoint equation is not that of the stochastic solver '%s': use gradient = \"discrete\"",
                    s->name);
}
