/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sundials: CVODE and ARKODE, the multistep and the diagonally implicit Runge-Kutta methods of
 * SUNDIALS, for stiff problems and for smooth ones at tight tolerances.
 */
#include "sundials.h"

#define LINEAR                                                                                              \
  {"linear", CST_STRING, .string = "auto", .choices = "auto|dense|banded|krylov",                           \
   .help = "linear systems of Newton's method; auto: banded when the Jacobian's band is narrow, else dense; " \
           "krylov: GMRES, which forms no matrix"},                                                         \
  {"lower", CST_INTEGER, .number = -1, .range = {-1, 1e9},                                                  \
   .help = "diagonals of the Jacobian below the main one; -1: what the field says"},                        \
  {"upper", CST_INTEGER, .number = -1, .range = {-1, 1e9},                                                  \
   .help = "diagonals of the Jacobian above the main one; -1: what the field says"},                        \
  {"krylov_dimension", CST_INTEGER, .number = 30, .range = {1, 10000}, .help = "largest Krylov space"},     \
  {"max_inner", CST_INTEGER, .number = 10000, .range = {1, 1e9},                                            \
   .help = "most steps of its own within one step of fixed size"}

#define CALLS                                                                                     \
  .create = sun_create, .destroy = sun_destroy, .reset = sun_reset, .step = sun_step, .dense = sun_dense, \
  .remark = sun_remark

enum { TRAITS = CST_ADAPTIVE | CST_IMPLICIT | CST_SINGLE | CST_F64_ONLY | CST_SELF_CONTROLLED };

/* order is the highest in use; the first steps are of order 1. */
static const cst_solver_type cvode_bdf = {
  .struct_size = sizeof cvode_bdf, .name = "cvode_bdf",
  .help = "CVODE: backward differentiation, orders 1 to 5, Newton; the first choice for stiff problems",
  .options = CST_OPTIONS(LINEAR, {"max_order", CST_INTEGER, .number = 5, .range = {1, 5}, .help = "highest order"}),
  .method = &sun_cvode_bdf, .order = 5, .error_order = 1, .dense_order = 5, .traits = TRAITS | CST_MULTISTEP, CALLS,
};

static const cst_solver_type cvode_adams = {
  .struct_size = sizeof cvode_adams, .name = "cvode_adams",
  .help = "CVODE: Adams-Moulton, orders 1 to 12; for problems that are not stiff, with few evaluations",
  .options = CST_OPTIONS(LINEAR, {"max_order", CST_INTEGER, .number = 12, .range = {1, 12}, .help = "highest order"},
                         {"corrector", CST_STRING, .string = "fixed_point", .choices = "fixed_point|newton",
                          .help = "how the implicit equations are solved"}),
  .method = &sun_cvode_adams, .order = 12, .error_order = 1, .dense_order = 12, .traits = TRAITS | CST_MULTISTEP, CALLS,
};

/* order is that of the default. */
static const cst_solver_type ark_dirk = {
  .struct_size = sizeof ark_dirk, .name = "ark_dirk",
  .help = "ARKODE: diagonally implicit Runge-Kutta; for stiff problems with oscillations or many jumps",
  .options = CST_OPTIONS(LINEAR, {"order", CST_INTEGER, .number = 5, .range = {2, 5},
                                  .help = "order of the method; 2 only for coarse tolerances"}),
  .method = &sun_ark_dirk, .order = 5, .error_order = 4, .dense_order = 5, .traits = TRAITS, CALLS,
};

static cst_status init(const cst_host *host) {
  CST_TRY(host->register_solver(host, &cvode_bdf));
  CST_TRY(host->register_solver(host, &cvode_adams));
  return host->register_solver(host, &ark_dirk);
}

CST_PLUGIN{.abi_version = CST_ABI,
           .struct_size = sizeof(cst_plugin),
           .name = "sundials",
           .version = "1.0",
           .license = "GPL-3.0-or-later",
           .init = init};
