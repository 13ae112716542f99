/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "adjoint.h"

#include <math.h>

double adjoint_side(const cst_solve_pullback *p, size_t k) {
  double t = p->times[k], from = p->times[0], to = p->times[p->n_times - 1];
  bool left = t == from ? to < t : from < t; /* of t, the way the solve looks at it */
  for (size_t i = 0; left && CST_HAS(p, breaks) && i < p->n_breaks; i++)
    if (p->breaks[i] == t) return nextafter(t, -HUGE_VAL);
  return t;
}
