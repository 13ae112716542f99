/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the suites of reversible solvers begin with: a context of their own each, and every such solver of it.
 */
#pragma once
#include "gradients.h"

static cst_context *ctx;

static inline int open(void) { return (ctx = ode_context()) ? 0 : 1; }
static inline int close(void) {
  cst_context_free(ctx);
  return 0;
}

#define EVERY_SOLVER(t) SOLVERS_THAT(ctx, is_reversible, t)
