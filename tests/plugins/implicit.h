/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One step of a method of plugin esdirk in complex numbers, for derivatives by the complex step.
 */
#pragma once
#include "../../plugins/esdirk/esdirk.h"
#include "problem.h"

/* Slopes k[1 ..] and y1 from y and k[0] = f(t, y). Quadrature parts stand behind. */
void implicit_step(const problem *p, const esdirk_tableau *tab, number t, number h, const number *y,
                   const number *theta, number (*k)[MAX_N], number *y1);
