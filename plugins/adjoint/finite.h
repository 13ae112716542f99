/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Differences of a solve that is followed again: what finite.c and finite_times.c share.
 */
#pragma once
#include "sweep.h"

/* dF = F(h) - F(-h) over 2, or one-sided (-3 F(0) + 4 F(h) - F(2h)) over 2: of second order both. */
typedef struct finite_stencil {
  int n;
  double at[3], weight[3];
} finite_stencil;
extern const finite_stencil finite_central, finite_one_sided;

/* The increment of a scalar that is x, relative to `size`. */
double finite_increment(const adjoint_sweep *s, double x, double size);
/* finite_times.c: times_bar. */
cst_status finite_times(adjoint_sweep *s);
/* finite_solution.c: the same for a solver that decides more than its steps. */
cst_status finite_times_of_solution(adjoint_sweep *s);
