/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Any explicit Runge-Kutta method Psi made reversible (S. McCallum, J. Foster, Efficient, accurate and stable
 * gradients for neural ODEs, 2024). With the increment Psi_h(t, x) = h sum b_i k_i of a step from (t, x),
 * beside y goes z, at first y:
 *
 *     y1 = l y + (1 - l) z + Psi_h(t, z),     z1 = z - Psi_{-h}(t1, y1),
 *
 * l the coupling. y and z stay within O(h^p) of each other, and both have the order p of Psi. Undone:
 *
 *     z = z1 + Psi_{-h}(t1, y1),     y = (y1 - (1 - l) z - Psi_h(t, z))/l.
 *
 * The block carried is [f(t, y), z]. That slope is k_0 of the increment Psi_{-h}(t1, y1), exact and for nothing;
 * the next step does not read it, interpolation does, and the way back begins with it. Estimate and dense output
 * of a pair that ends in f(t1, y1) have that slope for their last.
 *
 * Slopes: k[0 .. s) of Psi_h(t, z), k[s .. 2s) of Psi_{-h}(t1, y1), k[s] being f1. All but that lie one after
 * another, with a record on the tape, in front of the residuals of all 2s.
 */
#pragma once
#include "reversible.h"

typedef struct couple_record {
  unsigned char *k, *residual;
} couple_record;

enum { FORTH, BACK }; /* the two increments */

/* Row i of a. */
static inline const double *couple_row(const rev_method *m, int i) { return m->a + i * (i - 1) / 2; }
/* The time of stage i of an increment, which no rounding leads out of the step. */
static inline double couple_time(const rev_method *m, int side, int i, double t, double h, double t1) {
  double from = side == FORTH ? t : t1, to = side == FORTH ? t1 : t, way = side == FORTH ? h : -h;
  double at = m->c[i] == 0 ? from : m->c[i] == 1 ? to : from + m->c[i] * way;
  return (way < 0 ? at < to : at > to) ? to : at;
}
/* All 2s slopes of a step whose k begin at `kept`. */
static inline void couple_slopes(const rev *r, const unsigned char *kept, const void *f1, const void **k) {
  int s = r->method->stages;
  for (int i = 0; i < 2 * s; i++) k[i] = i == s ? f1 : kept + (size_t)(i - (i > s)) * r->stride;
}

/* What makes y(t + x h) with the slopes k[0 .. s]: w[i] = sum_j p_ij x^(j+1), and its derivative. */
void couple_weights(const rev_method *m, double x, double *w, double *derivative);

cst_status couple_create(const cst_solver_config *c, void **state);
cst_status couple_step(void *state, cst_step *s);
cst_status couple_reverse(void *state, cst_step *s);
cst_status couple_dense(void *state, const cst_step *s, double x, void *y, void *slope);
cst_status couple_vjp(void *state, cst_step_vjp *v);
cst_status couple_dense_vjp(void *state, const cst_step_vjp *v, double x, const void *out_bar, void *y1_bar,
                            void *f1_bar, double *x_bar);
