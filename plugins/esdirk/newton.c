/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The equation of a stage, by simplified Newton iteration in its increment z (Hairer, Wanner, Solving
 * Ordinary Differential Equations II, IV.8):
 *
 *     Y = base + z,   (I - c J) d = c f(t, Y) - z,   z += d,   c = h gamma.
 *
 * J is a Jacobian from the beginning of this step, or of one before while the iteration contracts
 * well. The rate r = |d| / |d before| tells when to stop, r/(1-r) |d| <= TOLERATED in units of the
 * tolerance, and when to give up: if it will not get there in MOST iterations.
 *
 * A step that is differentiated is solved to round-off (`polish`): the implicit function theorem,
 * by which vjp works, holds at the solution, not near it. It always has a Jacobian of its own, so that
 * it comes out the same to the bit when it is taken again. So is one of a given size, which has no
 * tolerance. The iteration goes on until |d| is a few ulp of Y or no longer falls; where it falls
 * slowly before that, a Jacobian at Y makes it quadratic.
 */
#include <math.h>

#include "esdirk.h"

enum { MOST = 10, MOST_POLISH = 12, MOST_INSISTED = 25 };
static const double TOLERATED = 0.01, KEEP_BELOW = 0.03, KNOWN = 0.001, TINY = 1e-100;

typedef enum outcome { SOLVED, STALLED, UNDEFINED } outcome;

/* One stage under way. */
typedef struct stage {
  esdirk *e;
  const cst_step *s;
  double t, c;
  void *residual; /* NULL: not wanted */
} stage;

bool esdirk_exact(const cst_step *s) {
  return s->tape || (!s->error && !s->error_sum) || CST_HAS(s, exact);
}

/* ---- the matrix ------------------------------------------------------------------------------ */

static cst_status refresh(esdirk *e, cst_rhs *f, double t, const void *y) {
  e->m.valid = e->m.start = false, e->m.c = 0;
  CST_TRY(f->jacobian(f, &t, y, e->m.jac, NULL));
  e->m.valid = e->m.fresh = true, e->m.t = t;
  e->rate = 1;
  return CST_OK;
}

static cst_status refresh_at_start(esdirk *e, const cst_step *s) {
  CST_TRY(refresh(e, s->rhs, *s->t, s->y));
  e->m.start = true;
  return CST_OK;
}

cst_status esdirk_begin(esdirk *e, const cst_step *s) {
  esdirk_matrix *m = &e->m;
  double c = *s->h * e->gamma;
  bool again = m->valid && m->start && m->t == *s->t; /* after a rejection, say */
  m->fresh = again;
  if (again) e->rate = 1;
  bool earlier = !esdirk_exact(s) && m->valid && e->next == *s->t && e->worst < KEEP_BELOW;
  if (!again && !earlier)
    CST_TRY(refresh_at_start(e, s));
  e->worst = 0;
  if (m->c == c || esdirk_factor(e, s->rhs, c)) return CST_OK;
  if (m->fresh) return CST_RETRY;
  CST_TRY(refresh_at_start(e, s));
  return esdirk_factor(e, s->rhs, c) ? CST_OK : CST_RETRY;
}

/* ---- the iteration --------------------------------------------------------------------------- */

/* y = base + z and slope = f there. */
static cst_status field(const stage *g) {
  const esdirk *e = g->e;
  cst_rhs *f = g->s->rhs;
  const void *z = e->z;
  e->host->combine(e->dtype, f->n_stage, e->base, 1, (const double[]){1}, &z, e->y);
  return g->residual ? f->eval_keep(f, &g->t, e->y, e->slope, g->residual)
                     : f->eval(f, &g->t, e->y, e->slope);
}

/* delta = the correction of z that the field there calls for */
static cst_status correction(const stage *g) {
  const esdirk *e = g->e;
  const void *terms[2] = {e->slope, e->z};
  CST_TRY(field(g));
  e->host->combine(e->dtype, g->s->rhs->n_stage, NULL, 2, (const double[]){g->c, -1}, terms, e->delta);
  esdirk_solve(e, g->s->rhs, false, e->delta);
  return CST_OK;
}

static void apply(const stage *g) {
  const esdirk *e = g->e;
  const void *delta = e->delta;
  e->host->combine(e->dtype, g->s->rhs->n_stage, e->z, 1, (const double[]){1}, &delta, e->z);
}

static double in_tolerances(const stage *g) {
  const cst_step *s = g->s;
  return esdirk_norm(g->e, s->rhs, g->e->delta, s->y, g->e->y, s->rtol, s->atol + TINY);
}
static double in_itself(const stage *g) {
  return esdirk_norm(g->e, g->s->rhs, g->e->delta, g->s->y, g->e->y, 1, TINY);
}

/* Tolerances near the round-off of the float type cannot be met a hundredfold. */
static double tolerated(const stage *g) {
  double least = g->s->rtol > 0 ? 8 * g->e->epsilon / g->s->rtol : 0;
  return fmax(TOLERATED, least);
}

/* To the tolerance. For the first correction the rate of the iteration before stands in, which counts
 * for less each time, or iterations of one correction would never measure it again. */
static cst_status iterate(const stage *g, outcome *o) {
  esdirk *e = g->e;
  double before = 0, enough = tolerated(g), rate = fmax(pow(e->rate, 0.8), KNOWN);
  e->rate = rate;
  for (int m = 0; m < MOST; m++) {
    CST_TRY(correction(g));
    double norm = in_tolerances(g);
    *o = UNDEFINED;
    if (!isfinite(norm)) return CST_OK;
    if (m > 0) rate = before > 0 ? norm / before : 0;
    if (m > 0) e->rate = rate, e->worst = fmax(e->worst, rate);
    apply(g);
    *o = SOLVED;
    if (rate < 1 ? rate / (1 - rate) * norm <= enough : norm <= enough) return CST_OK;
    *o = STALLED;
    if (m > 0 && (rate >= 1 || pow(rate, MOST - 1 - m) / (1 - rate) * norm > enough)) return CST_OK;
    before = norm;
  }
  return CST_OK;
}

/* To round-off. The last correction is not applied: slope and residual are those of z. */
static cst_status polish(const stage *g, outcome *o) {
  esdirk *e = g->e;
  double before = HUGE_VAL;
  bool renewed = false;
  for (int m = 0;; m++) {
    CST_TRY(correction(g));
    double norm = in_itself(g);
    *o = isfinite(norm) ? SOLVED : UNDEFINED;
    if (!isfinite(norm) || norm <= 4 * e->epsilon) return CST_OK;
    if (m == MOST_POLISH || norm > before / 4) {
      if (norm <= 64 * e->epsilon) return CST_OK;
      if (renewed || m == MOST_POLISH) {
        bool small = norm <= sqrt(e->epsilon) || in_tolerances(g) <= tolerated(g);
        *o = small ? SOLVED : STALLED;
        return CST_OK;
      }
      CST_TRY(refresh(e, g->s->rhs, g->t, e->y));
      if (!esdirk_factor(e, g->s->rhs, g->c)) return CST_RETRY;
      renewed = true, before = HUGE_VAL;
      continue;
    }
    apply(g);
    before = norm;
  }
}

/* Newton's method proper, a Jacobian an iteration, to where polish goes on. */
static cst_status insist(const stage *g, outcome *o) {
  esdirk *e = g->e;
  for (int m = 0; m < MOST_INSISTED; m++) {
    CST_TRY(field(g)); /* for y */
    CST_TRY(refresh(e, g->s->rhs, g->t, e->y));
    if (!esdirk_factor(e, g->s->rhs, g->c)) return CST_RETRY;
    CST_TRY(correction(g));
    double norm = in_itself(g);
    *o = UNDEFINED;
    if (!isfinite(norm)) return CST_OK;
    apply(g);
    *o = SOLVED;
    if (norm < 1e-3) return CST_OK;
  }
  *o = STALLED;
  return CST_OK;
}

/* What follows the iteration: round-off, or the field at the solution where its tail is needed. */
static cst_status complete(const stage *g, outcome *o) {
  const cst_rhs *f = g->s->rhs;
  if (esdirk_exact(g->s)) return polish(g, o);
  return f->n > f->n_stage ? field(g) : CST_OK;
}

/* ---- a stage --------------------------------------------------------------------------------- */

static void guess(const stage *g, int i, const void *const *k) {
  const esdirk *e = g->e;
  esdirk_terms sum;
  sum.n = 0;
  for (int j = 0; j < i; j++) esdirk_add(&sum, g->c * e->guess[i][j], k[j]);
  e->host->combine(e->dtype, g->s->rhs->n_stage, NULL, sum.n, sum.c, sum.k, e->z);
}

/* Whether it is the field that is not finite; its stage then goes to e->y, not finite either, so that
 * the driver finds the component. */
static bool field_is_undefined(const stage *g) {
  const esdirk *e = g->e;
  const cst_rhs *f = g->s->rhs;
  const void *slope = e->slope;
  if (isfinite(esdirk_norm(e, f, slope, slope, slope, 0, 1))) return false;
  e->host->combine(e->dtype, f->n_stage, e->y, 1, &g->c, &slope, e->y);
  return true;
}

/* The first values are tried with the matrix at hand, with one of this step and, where the size of the
 * step is given and cannot be reduced, with one an iteration. */
cst_status esdirk_stage(esdirk *e, const cst_step *s, int i, const void *const *k, void *residual,
                        bool *defined) {
  const stage g = {e, s, esdirk_time(e, i, *s->t, *s->h, *s->t1), *s->h * e->gamma, residual};
  const stage plain = {e, s, g.t, g.c, NULL};
  bool given = !s->error && !s->error_sum;
  *defined = true;
  for (int effort = e->m.fresh; effort < 2 + given; effort++) {
    outcome o;
    if (effort == 1 && !e->m.fresh) {
      CST_TRY(refresh_at_start(e, s));
      if (!esdirk_factor(e, s->rhs, g.c)) return CST_RETRY;
    }
    guess(&g, i, k);
    CST_TRY(effort < 2 ? iterate(&plain, &o) : insist(&plain, &o));
    if (o == SOLVED) CST_TRY(complete(&g, &o));
    if (o == SOLVED) return CST_OK;
  }
  *defined = !field_is_undefined(&g);
  return *defined ? CST_RETRY : CST_OK;
}
