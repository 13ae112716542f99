/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Status codes. One list names every outcome together with the advice that goes with it;
 * cst_fail() adds what happened and where.
 */
#pragma once

#define CST_STATUS_LIST(X)                                                                          \
  X(OK, "ok", "success")                                                                            \
  X(RETRY, "retry", "the step was too large: the driver may shrink it and try again")               \
  X(ENOMEM, "no_memory", "out of memory: reduce the batch or the number of stored steps")           \
  X(EINVAL, "invalid", "an argument is outside what is allowed")                                    \
  X(ESHAPE, "shape", "the shapes do not fit together")                                              \
  X(EDTYPE, "dtype", "the element types do not fit together")                                       \
  X(ENOTFOUND, "not_found", "nothing of that name exists: see `costate plugins`")                   \
  X(EEXISTS, "exists", "the name is taken")                                                         \
  X(EIO, "io", "a file could not be read or written")                                               \
  X(EPLUGIN, "plugin", "the plugin was refused")                                                    \
  X(EUNSUPPORTED, "unsupported", "this combination is not available")                               \
  X(EMAXSTEPS, "max_steps", "the maximum number of steps was reached: raise max_steps or loosen rtol") \
  X(ESTEPMIN, "step_min", "the step size fell below the resolution of t: the problem may be stiff or singular here; try an implicit solver or looser tolerances") \
  X(ENONFINITE, "nonfinite", "a value stopped being finite: lower the learning rate, scale the inputs, or use f64") \
  X(ECALLBACK, "callback", "a callback raised an error")                                            \
  X(EBREAK, "break", "stopped on request")                                                          \
  X(EBUSY, "busy", "the object is in use")                                                          \
  X(ESINGULAR, "singular", "a linear system has no unique solution")                                \
  X(ENOCONVERGENCE, "no_convergence", "an iteration did not come close enough to a solution")       \
  X(ELOST, "lost", "rounding errors grew until nothing was left of the result")                        \
  X(EINTERNAL, "internal", "this is a bug in Costate: please report it")

typedef enum cst_status {
#define CST_STATUS_ENUM(code, name, advice) CST_##code,
  CST_STATUS_LIST(CST_STATUS_ENUM)
#undef CST_STATUS_ENUM
  CST_STATUS_COUNT
} cst_status;

/* Returns from the calling function when E fails. The callee has already said why. */
#define CST_TRY(e)                       \
  do {                                   \
    cst_status cst_try_ = (e);           \
    if (cst_try_ != CST_OK) return cst_try_; \
  } while (0)
