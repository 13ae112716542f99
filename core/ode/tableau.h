/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Checks of an explicit Runge-Kutta method given as data.
 */
#pragma once
#include "costate/context.h"
#include "costate/ode.h"

/* The order conditions of all rooted trees up to order 8: of b up to `order`, of b_hat = b - e up to
 * error_order, of the dense output at several theta up to dense_order; sum of e = 0; the dense
 * output ends in b. The message names the condition that fails and by how much. */
cst_status cst_tableau_check(cst_context *ctx, const cst_tableau *t);
/* The last stage is f(t + h, y1): the last row of a equals b. */
bool cst_tableau_is_fsal(const cst_tableau *t);
