/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The solver as the driver sees it: one step of SUNDIALS' own a call, under its own error control;
 * or as many as lead to t1 where the driver insists on it (fixed steps, replay).
 */
#include "sundials.h"

static sun_linear linear_of(const char *name) {
  static const char *const names[] = {[SUN_DENSE] = "dense", [SUN_BANDED] = "banded", [SUN_KRYLOV] = "krylov"};
  for (sun_linear l = SUN_DENSE; l <= SUN_KRYLOV; l++)
    if (strcmp(name, names[l]) == 0) return l;
  return SUN_AUTO;
}

/* Options that a type does not have read as 0 or "". */
static void read_options(stepper *s, const cst_options *o) {
  int64_t order = cst_option_integer(o, "order");
  s->order = (int)(order ? order : cst_option_integer(o, "max_order"));
  s->linear = linear_of(cst_option_string(o, "linear"));
  s->fixed_point = strcmp(cst_option_string(o, "corrector"), "fixed_point") == 0;
  s->lower = cst_option_integer(o, "lower"), s->upper = cst_option_integer(o, "upper");
  s->krylov = (int)cst_option_integer(o, "krylov_dimension");
  s->most_inner = (int)cst_option_integer(o, "max_inner");
}

cst_status sun_create(const cst_solver_config *c, void **state) {
  const cst_host *host = c->host;
  if (c->dtype != CST_F64)
    return host->fail(host, CST_EUNSUPPORTED,
                      "sundials.%s computes in f64 only: set dtype f64, or choose a solver of rk", c->type->name);
  stepper *s = host->alloc(host, sizeof *s);
  if (!s) return host->fail(host, CST_ENOMEM, "sundials.%s: no memory", c->type->name);
  *s = (stepper){.host = host, .type = c->type, .method = c->type->method};
  read_options(s, c->options);
  *state = s;
  return CST_OK;
}

void sun_destroy(const cst_host *host, void *state) {
  stepper *s = state;
  if (!s) return;
  sun_engine_free(s->main);
  sun_engine_free(s->aside);
  host->free(host, s);
}

cst_status sun_reset(void *state) {
  stepper *s = state;
  if (s->main) s->main->valid = false;
  return CST_OK;
}

/* An engine for this layout of the state, the one there is or a new one. */
static cst_status ready(stepper *s, const cst_rhs *f, engine **e) {
  if (f->rows > 1)
    return s->host->fail(s->host, CST_EUNSUPPORTED, "sundials.%s takes one row at a time", s->type->name);
  if (*e && sun_engine_fits(*e, f)) return CST_OK;
  sun_engine_free(*e);
  *e = NULL;
  return sun_engine_new(s, f, e);
}

cst_status sun_step(void *state, cst_step *in) {
  stepper *s = state;
  double end, *reached = CST_HAS(in, reached) ? in->reached : NULL;
  CST_TRY(ready(s, in->rhs, &s->main));
  CST_TRY(sun_engine_go(s->main, in, *in->t1, !reached, 0, &end));
  memcpy(in->y1, sun_data(s->main->y), in->rhs->n * sizeof(double));
  if (reached) *reached = end;
  if (in->error_sum) *in->error_sum = 0;
  else if (in->error) memset(in->error, 0, in->rhs->n * sizeof(double));
  return CST_OK;
}

/* A shorter step from the same start, under the same tolerances. */
static cst_status shorter(stepper *s, const cst_step *in, double t, double *y, double *slope) {
  double end;
  CST_TRY(ready(s, in->rhs, &s->aside));
  s->aside->valid = false;
  if (t == *in->t) memcpy(y, in->y, in->rhs->n * sizeof *y);
  else {
    cst_step part = *in;
    part.y1 = y;
    CST_TRY(sun_engine_go(s->aside, &part, t, true, t - *in->t, &end));
    memcpy(y, sun_data(s->aside->y), in->rhs->n * sizeof *y);
  }
  return slope ? in->rhs->eval(in->rhs, &t, y, slope) : CST_OK;
}

static int inside(engine *e, double t, int derivative, double *out) {
  N_VSetArrayPointer_Serial(out, e->out);
  return e->of->method->inside(e, t, derivative, e->out);
}

cst_status sun_dense(void *state, const cst_step *in, double theta, void *y, void *slope) {
  stepper *s = state;
  engine *e = s->main;
  double t = *in->t + theta * *in->h;
  bool known = s->method->inside && e && e->valid && e->t == *in->t1 && inside(e, t, 0, y) == 0 &&
               (!slope || inside(e, t, 1, slope) == 0);
  if (!known) CST_TRY(shorter(s, in, t, y, slope));
  for (size_t i = 0; slope && i < in->rhs->n; i++) ((double *)slope)[i] *= *in->h;
  return CST_OK;
}
