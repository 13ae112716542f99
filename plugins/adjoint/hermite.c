/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *     out = (1 - v) y + v y1 + h p f0 + h q f1,
 *     v = x^2 (3 - 2x),   p = x (1-x)^2,   q = -x^2 (1-x)
 *
 * out is linear in the four vectors, so each receives its weight times out_bar. The derivative with
 * respect to x replaces the weights by their derivatives, that with respect to h by (0, 0, p, q).
 */
#include "adjoint.h"

static void add(const cst_host *host, const cst_rhs *f, double c, const void *v, void *to) {
  host->combine(f->dtype, f->n, to, 1, &c, &v, to);
}

void adjoint_hermite_vjp(const cst_host *host, const cst_taped_step *s, const cst_step_vjp *v,
                         double x, const void *out_bar, void *y1_bar, void *f1_bar, double *x_bar) {
  const cst_rhs *f = v->rhs;
  double w = x * x * (3 - 2 * x), p = x * (1 - x) * (1 - x), q = -x * x * (1 - x), h = s->h;
  add(host, f, 1 - w, out_bar, v->y_bar);
  add(host, f, w, out_bar, y1_bar);
  add(host, f, h * p, out_bar, v->f0_bar);
  add(host, f, h * q, out_bar, f1_bar);
  if (!x_bar && !v->h_bar) return;
  double f0 = host->dot(f->dtype, f->n, s->f0, out_bar), f1 = host->dot(f->dtype, f->n, s->f1, out_bar);
  double y0 = host->dot(f->dtype, f->n, s->y, out_bar), y1 = host->dot(f->dtype, f->n, s->y1, out_bar);
  if (v->h_bar) *v->h_bar += p * f0 + q * f1;
  if (x_bar)
    *x_bar += 6 * x * (1 - x) * (y1 - y0) +
              h * ((1 - x) * (1 - 3 * x) * f0 - x * (2 - 3 * x) * f1);
}
