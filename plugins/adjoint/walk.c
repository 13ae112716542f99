/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The walk back through the steps that were taken: their exact derivative. `discrete` has the steps from what
 * they recorded, `reversible` from undoing them.
 *
 * A solve is the composition of steps (y_n, f_n) -> (y_{n+1}, f_{n+1}) with outputs
 * o = D(x; t_n, h_n, y_n, f_n, ...) inside them, f_n = f(t_n, y_n). Walking backwards with the
 * cotangents yb of y_{n+1} and fb of f_{n+1}:
 *
 *   1. for every output in the step: yb, fb and the cotangents at n receive D' of g_i;
 *   2. where the driver evaluated f_{n+1} itself, yb += fb^T df/dy through its residual;
 *   3. the stepper pulls (yb, fb) back through the step to (y_n, f_n);
 *   4. where the driver evaluated f_n for this step alone, its cotangent goes through its residual,
 *      otherwise it is the fb of the step before.
 *
 * Where a solver carries vectors behind f, f_n is the whole block, and so is fb; what the solver made of
 * (y_n, f(t_n, y_n)) where it began has its transpose before f's in 4.
 *
 * Times. Step sizes are constants of the derivative, except those cut to end at times[c]: with the
 * steps between counted from the last such time (or the start) a,
 *
 *     t_n = times[a] + constants,     h = times[c] - t_n  for the cut step,
 *
 * so the t cotangents of all steps since go to times[a], and h_bar of the cut step to times[c] with
 * plus and times[a] with minus. An output at x = (times[i] - t_n)/h adds x_bar/h to times[i],
 * -x_bar/h to t_n and -x x_bar/h to h. An output at the end of a step is y_{n+1}; when the step
 * was not cut to its time, that time moves it along f(t_{n+1}, y_{n+1}). Breaks of the field (see
 * cst_integration) are such times too, but nothing moves them: what would go there is dropped.
 */
#include "adjoint.h"

/* One pullback under way. */
typedef struct walk {
  const adjoint_walk *d;
  const cst_solve_pullback *p;
  cst_taped_step step;
  cst_step_vjp v;
  void *y1_bar, *f1_bar; /* yb, fb of the text */
  bool live;             /* fb is not zero */
  double t_bar, h_bar;   /* since the last time a step was cut to; of the present step */
} walk;

static void zero(const walk *w, void *v) { memset(v, 0, w->p->rhs->n * w->d->size); }
static void zero_block(const walk *w, void *v) { memset(v, 0, w->d->vectors_of_f * w->p->rhs->n * w->d->size); }

static void add(const walk *w, const void *v, void *to) {
  w->d->host->combine(w->p->rhs->dtype, w->p->rhs->n, to, 1, (const double[]){1}, &v, to);
}

/* lambda^T df/dy at a residual is added to `to`. */
static cst_status pull(walk *w, double t, const void *residual, const void *lambda, void *to) {
  cst_rhs *f = w->p->rhs;
  return f->pullback(f, &t, residual, lambda, to, w->v.t_bar);
}

/* Whether the step was cut, to a time or to a break. */
static bool cut(const cst_taped_step *s) { return s->clip != SIZE_MAX || s->at_break; }

/* An output at the end of a step is y1. Where its time is not what the step was cut to, it would
 * move along f(t1, y1). */
static cst_status end(walk *w, size_t i) {
  cst_rhs *f = w->p->rhs;
  const void *f1 = w->step.f1 ? w->step.f1 : w->d->slope;
  add(w, w->d->out_bar, w->y1_bar);
  if (i == w->step.clip || !w->p->times_bar) return CST_OK;
  if (!w->step.f1) CST_TRY(f->eval(f, &w->step.t1_field, w->step.y1, w->d->slope));
  double along = w->d->host->dot(f->dtype, f->n, f1, w->d->out_bar);
  w->p->times_bar[i] += along;
  w->t_bar -= along;
  w->h_bar -= along;
  return CST_OK;
}

/* Through the stepper's dense output, or the driver's. */
static cst_status interpolation(walk *w, double x, double *x_bar) {
  const cst_solve_pullback *p = w->p;
  bool fsal = p->solver->traits & CST_FSAL;
  w->live |= fsal || !CST_HAS(p->solver, dense_vjp);
  if (CST_HAS(p->solver, dense_vjp))
    return p->solver->dense_vjp(p->solver_state, &w->v, x, w->d->out_bar, w->y1_bar,
                                fsal ? w->f1_bar : NULL, x_bar);
  adjoint_hermite_vjp(w->d->host, &w->step, &w->v, x, w->d->out_bar, w->y1_bar, w->f1_bar, x_bar);
  return CST_OK;
}

/* Step 1 for the output i. */
static cst_status output(walk *w, size_t i) {
  const cst_solve_pullback *p = w->p;
  double x = (p->times[i] - w->step.t) / w->step.h, x_bar = 0;
  if (!p->value_bar(p->self, i, w->d->out_bar)) return CST_OK;
  if (p->times[i] == w->step.t1) return end(w, i);
  CST_TRY(interpolation(w, x, p->times_bar ? &x_bar : NULL));
  if (!p->times_bar) return CST_OK;
  p->times_bar[i] += x_bar / w->step.h;
  w->t_bar -= x_bar / w->step.h;
  w->h_bar -= x * x_bar / w->step.h;
  return CST_OK;
}

/* The cut step ends a stretch of the time line: what was gathered since belongs to its end. */
static void land(walk *w) {
  if (!w->p->times_bar || !cut(&w->step)) return;
  if (w->step.clip != SIZE_MAX) w->p->times_bar[w->step.clip] += w->t_bar;
  w->t_bar = 0;
}

static void begin(walk *w) {
  const cst_taped_step *s = &w->step;
  bool timed = w->p->times_bar != NULL;
  zero(w, w->v.y_bar);
  zero_block(w, w->v.f0_bar);
  w->h_bar = 0;
  w->v.t = s->t_field, w->v.h = s->h, w->v.t1 = s->t1_field;
  w->v.record = s->record, w->v.y = s->y, w->v.y1 = s->y1, w->v.f0 = s->f0, w->v.f1 = s->f1;
  w->v.f0_residual = s->f0_residual;
  w->v.t_bar = timed ? &w->t_bar : NULL;
  w->v.h_bar = timed && cut(s) ? &w->h_bar : NULL;
}

/* Step 4 where the driver evaluated f0. */
static cst_status beginning(walk *w) {
  const cst_solver_type *s = w->p->solver;
  if (CST_HAS(s, start_vjp)) CST_TRY(s->start_vjp(w->p->solver_state, w->p->rhs, w->v.f0_bar, w->v.y_bar));
  return pull(w, w->step.t_field, w->step.f0_residual, w->v.f0_bar, w->v.y_bar);
}

/* Steps 2 to 4. */
static cst_status through(walk *w) {
  const cst_taped_step *s = &w->step;
  if (s->f1_own && w->live) {
    CST_TRY(pull(w, s->t1_field, s->f1_residual, w->f1_bar, w->y1_bar));
    w->live = false;
  }
  w->v.y1_bar = w->y1_bar;
  w->v.f1_bar = w->live ? w->f1_bar : NULL;
  CST_TRY(w->p->solver->vjp(w->p->solver_state, &w->v));
  return s->f0_own ? beginning(w) : CST_OK;
}

/* What was at the start of this step is at the end of the one before. */
static void shift(walk *w) {
  void *y = w->y1_bar, *f = w->f1_bar;
  w->y1_bar = w->v.y_bar, w->v.y_bar = y;
  w->f1_bar = w->v.f0_bar, w->v.f0_bar = f;
  w->live = !w->step.f0_own;
  if (w->step.f0_own) zero_block(w, w->f1_bar);
}

static cst_status back(walk *w, size_t n) {
  const cst_solve_pullback *p = w->p;
  CST_TRY(p->redo(p->integrator, p->rhs, n, &w->step));
  land(w);
  begin(w);
  for (size_t i = w->step.first_output + w->step.n_outputs; i-- > w->step.first_output;)
    CST_TRY(output(w, i));
  CST_TRY(through(w));
  if (p->times_bar && cut(&w->step)) {
    if (w->step.clip != SIZE_MAX) p->times_bar[w->step.clip] += w->h_bar;
    w->t_bar -= w->h_bar;
  } else if (p->times_bar) {
    w->h_bar = 0; /* a constant */
  }
  shift(w);
  return CST_OK;
}

/* f at the start, whose value i has; with no step it is asked for here. NULL: not defined. */
static cst_status first_slope(walk *w, size_t i, const void **f0) {
  const cst_solve_pullback *p = w->p;
  if (p->n_steps) return *f0 = w->step.f0, CST_OK;
  p->value(p->self, i, w->d->f_bar[1]);
  cst_status st = p->rhs->eval(p->rhs, &p->times[0], w->d->f_bar[1], w->d->slope);
  *f0 = st == CST_OK ? w->d->slope : NULL;
  return st == CST_RETRY ? CST_OK : st;
}

/* The outputs before any step: times[0] and those that repeat it, which would move along f0. */
static cst_status start(walk *w) {
  const cst_solve_pullback *p = w->p;
  size_t n = p->n_steps ? w->step.first_output : p->n_times; /* the walk ended at step 0 */
  for (size_t i = 0; i < n; i++) {
    if (!p->value_bar(p->self, i, w->d->out_bar)) continue;
    add(w, w->d->out_bar, w->y1_bar);
    const void *f0 = NULL;
    if (i > 0 && p->times_bar) CST_TRY(first_slope(w, i, &f0));
    if (!f0) continue;
    double along = w->d->host->dot(p->rhs->dtype, p->rhs->n, f0, w->d->out_bar);
    p->times_bar[i] += along;
    w->t_bar -= along;
  }
  if (p->times_bar) p->times_bar[0] += w->t_bar;
  if (p->y0_bar) add(w, w->y1_bar, p->y0_bar);
  return CST_OK;
}

cst_status adjoint_walk_back(const adjoint_walk *d, const cst_solve_pullback *p, const void **y0) {
  uint64_t before = p->rhs->evaluations + p->rhs->pullbacks;
  walk w = {.d = d, .p = p, .y1_bar = d->y_bar[0], .f1_bar = d->f_bar[0]};
  w.v = (cst_step_vjp){.struct_size = sizeof w.v, .rhs = p->rhs, .y_bar = d->y_bar[1],
                       .f0_bar = d->f_bar[1]};
  zero(&w, w.y1_bar);
  zero_block(&w, w.f1_bar);
  for (size_t n = p->n_steps; n-- > 0;) CST_TRY(back(&w, n));
  if (y0) *y0 = p->n_steps ? w.step.y : NULL;
  CST_TRY(start(&w));
  if (p->stats) p->stats->evaluations += p->rhs->evaluations + p->rhs->pullbacks - before;
  return CST_OK;
}

cst_status adjoint_walk_accepts(const cst_host *host, const char *gradient, const cst_solver_type *s) {
  if (!CST_HAS(s, vjp))
    return host->fail(host, CST_EUNSUPPORTED,
                      "gradient '%s' needs the derivative of a step, which solver '%s' does not give; use %s",
                      gradient, s->name, adjoint_needs_jacobian(s)
                      ? "gradient = \"interpolating\", or trbdf2, kencarp4 or kencarp5, which do"
                      : "gradient = \"interpolating\" or \"backsolve\"");
  if (CST_HAS(s, dense) && !CST_HAS(s, dense_vjp))
    return host->fail(host, CST_EUNSUPPORTED,
                      "solver '%s' does not give the derivative of its dense output: use gradient = \"interpolating\"",
                      s->name);
  return CST_OK;
}

cst_status adjoint_walk_new(const cst_gradient_config *c, void **state) {
  const cst_solver_type *s = c->forward->solver;
  size_t size = cst_dtype_size((cst_dtype)c->forward->dtype), of_f = 1 + (CST_HAS(s, carry) ? s->carry : 0);
  size_t bytes = (c->forward->n * size + 127) & ~(size_t)63;
  size_t f_bytes = (of_f * c->forward->n * size + 127) & ~(size_t)63;
  adjoint_walk *d = c->host->alloc(c->host, sizeof *d);
  if (!d) return CST_ENOMEM;
  *d = (adjoint_walk){.host = c->host, .solver_options = c->forward->solver_options, .size = size, .vectors_of_f = of_f,
                      .vectors = c->host->alloc(c->host, 4 * bytes + 2 * f_bytes)};
  if (!d->vectors) {
    c->host->free(c->host, d);
    return CST_ENOMEM;
  }
  d->y_bar[0] = d->vectors, d->y_bar[1] = d->vectors + bytes;
  d->out_bar = d->vectors + 2 * bytes, d->slope = d->vectors + 3 * bytes;
  d->f_bar[0] = d->vectors + 4 * bytes, d->f_bar[1] = d->vectors + 4 * bytes + f_bytes;
  *state = d;
  return CST_OK;
}

void adjoint_walk_free(const cst_host *host, void *state) {
  adjoint_walk *d = state;
  host->free(host, d->vectors);
  host->free(host, d);
}
