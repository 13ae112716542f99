/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One integration memory with its vectors and linear solver, made for one layout of the state, and
 * how it gets from a time to another. Its history goes on only from exactly where it ended.
 */

#include "sundials.h"

/* Bandwidths as an option says, or the field. */
static size_t bandwidth(int64_t option, size_t field) { return option >= 0 ? (size_t)option : field; }

bool sun_engine_fits(const engine *e, const cst_rhs *f) {
  return e->n == f->n && e->n_stage == f->n_stage && e->field_lower == f->lower && e->field_upper == f->upper &&
         e->has_jvp == (f->jvp != NULL) && e->has_jacobian == (f->jacobian != NULL);
}

void sun_engine_free(engine *e) {
  if (!e) return;
  const cst_host *host = e->of->host;
  if (e->memory) e->of->method->free(e);
  sun_linear_free(e);
  if (e->y) N_VDestroy(e->y);
  if (e->out) N_VDestroy(e->out);
  if (e->context) SUNContext_Free(&e->context);
  host->free(host, e);
}

static cst_status make(engine *e) {
  const cst_host *host = e->of->host;
  if (SUNContext_Create(NULL, &e->context) != 0) e->context = NULL;
  if (e->context) e->y = N_VNew_Serial((sunindextype)e->n, e->context);
  if (e->context) e->out = N_VNewEmpty_Serial((sunindextype)e->n, e->context);
  if (!e->y || !e->out)
    return host->fail(host, CST_ENOMEM, "sundials.%s: no memory for a state of %zu numbers", e->of->type->name, e->n);
  N_VConst(0, e->y);
  CST_TRY(sun_linear_new(e));
  int flag = e->of->method->make(e, 0);
  return flag ? sun_failure(e, flag) : CST_OK;
}

cst_status sun_engine_new(stepper *s, const cst_rhs *f, engine **out) {
  engine *e = s->host->alloc(s->host, sizeof *e);
  if (!e) return s->host->fail(s->host, CST_ENOMEM, "sundials.%s: no memory", s->type->name);
  *e = (engine){.of = s, .n = f->n, .n_stage = f->n_stage, .has_jvp = f->jvp != NULL,
                .has_jacobian = f->jacobian != NULL, .field_lower = f->lower, .field_upper = f->upper,
                .lower = bandwidth(s->lower, f->lower), .upper = bandwidth(s->upper, f->upper),
                .no_weight = SIZE_MAX};
  cst_status st = make(e);
  if (st == CST_OK) *out = e;
  else sun_engine_free(e);
  return st;
}

/* ---- getting on ------------------------------------------------------------------------------------ */

static void enter(engine *e, const cst_step *in, double t1) {
  e->rhs = in->rhs, e->rtol = in->rtol, e->atol = in->atol;
  e->controlled = in->controlled, e->n_controlled = in->n_controlled;
  e->start = *in->t, e->end = t1;
  e->status = e->trouble = CST_OK;
  e->no_weight = SIZE_MAX;
  e->text[0] = 0;
}

static bool goes_on(const engine *e, const cst_step *in, double direction) {
  return e->valid && e->rhs == in->rhs && e->t == *in->t && e->direction == direction &&
         memcmp(sun_data(e->y), in->y, e->n * sizeof(double)) == 0;
}

/* Over a few units of the last place SUNDIALS refuses to begin; there one explicit step is exact. */
static cst_status creep(engine *e, const cst_step *in, double t1) {
  double *y = sun_data(e->y), h = t1 - *in->t;
  N_VSetArrayPointer_Serial((double *)in->y1, e->out);
  memcpy(y, in->y, e->n * sizeof *y);
  int flag = sun_field(*in->t, e->y, e->out, e);
  if (flag) return sun_failure(e, flag);
  N_VLinearSum(1, e->y, h, e->out, e->y);
  return CST_OK;
}

static cst_status advance(engine *e, double t1, bool whole, double *end) {
  const stepper *s = e->of;
  for (int steps = 0; steps < s->most_inner; steps++) {
    e->trouble = CST_OK;
    int flag = s->method->advance(e, t1, end);
    if (flag) return sun_failure(e, flag);
    if ((*end - e->t) * e->direction <= 0) return sun_failure(e, SUN_STANDS_STILL);
    if ((t1 - *end) * e->direction < 0) *end = t1;
    e->t = *end;
    if (!whole || *end == t1) return CST_OK;
  }
  char remark[300];
  sun_remark(e->of, remark, sizeof remark);
  return s->host->fail(s->host, CST_EMAXSTEPS,
                       "max_inner = %d steps do not reach the end of one fixed step, only t = %.9g; %s",
                       s->most_inner, e->t, remark);
}

cst_status sun_engine_go(engine *e, const cst_step *in, double t1, bool whole, double first_h, double *end) {
  double t = *in->t, direction = t1 < t ? -1 : 1;
  bool on = goes_on(e, in, direction);
  enter(e, in, t1);
  e->valid = false, e->t = t, e->direction = direction, *end = t1;
  if (!on && fabs(t1 - t) <= 100 * DBL_EPSILON * fmax(fabs(t), fabs(t1))) return creep(e, in, t1);
  if (!on) {
    memcpy(sun_data(e->y), in->y, e->n * sizeof(double));
    int flag = e->of->method->restart(e, t, first_h);
    if (flag) return sun_failure(e, flag);
  }
  CST_TRY(advance(e, t1, whole, end));
  e->valid = true;
  return CST_OK;
}
