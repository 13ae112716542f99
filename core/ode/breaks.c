/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Breaks of a run: times at which the field jumps or bends. A method is of its order only where the
 * field is smooth, so steps end there (Hairer, Norsett, Wanner, Solving Ordinary Differential Equations
 * I, II.6). At a break b the field has two values. It is continuous from the right, so a step that lies
 * to the left of b, whichever way it goes, asks for the number before b instead; the step's size and
 * its place are those of b itself.
 */
#include <math.h>

#include "ode/integrate_internal.h"

void cst_breaks_enter(cst_integrator *i) {
  cst_progress *r = &i->run;
  double low = fmin(r->start, r->finish), high = fmax(r->start, r->finish);
  size_t n = CST_HAS(r->in, breaks) ? r->in->n_breaks : 0, first = 0;
  while (first < n && r->in->breaks[first] < low) first++;
  while (n > first && r->in->breaks[n - 1] > high) n--;
  r->breaks = n > first ? r->in->breaks + first : NULL;
  r->n_breaks = n - first, r->passed = 0;
  cst_breaks_pass(r);
  r->t_field = cst_breaks_side(r, r->t, r->finish);
}

/* The k-th break in the direction of the run. */
static double in_order(const cst_progress *r, size_t k) {
  return r->breaks[r->finish < r->start ? r->n_breaks - 1 - k : k];
}

double cst_breaks_next(const cst_progress *r, double otherwise) {
  return r->passed < r->n_breaks ? in_order(r, r->passed) : otherwise;
}

bool cst_breaks_among(const double *breaks, size_t n, double t) {
  size_t low = 0, high = n;
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    if (breaks[mid] < t) low = mid + 1;
    else high = mid;
  }
  return low < n && breaks[low] == t;
}

bool cst_breaks_has(const cst_progress *r, double t) { return cst_breaks_among(r->breaks, r->n_breaks, t); }

double cst_breaks_side(const cst_progress *r, double t, double from) {
  return from < t && cst_breaks_has(r, t) ? nextafter(t, -HUGE_VAL) : t;
}

void cst_breaks_pass(cst_progress *r) {
  bool down = r->finish < r->start;
  while (r->passed < r->n_breaks && (down ? in_order(r, r->passed) >= r->t : in_order(r, r->passed) <= r->t)) r->passed++;
}
