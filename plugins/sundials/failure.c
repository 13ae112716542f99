/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From a flag of CVODE or ARKODE, which are the same numbers where both have it, to a status and a
 * message; the driver puts time, step and size before it.
 */
#include <cvode/cvode.h>
#include <stdio.h>

#include "sundials.h"

static const char *name_component(const engine *e, size_t k, char *text, size_t size) {
  const cst_rhs *f = e->rhs;
  if (f->name_of && f->name_of(e->rhs, k, text, size)) return text;
  for (size_t p = 0; p < f->n_parts; p++) {
    const cst_part *part = &f->parts[p];
    if (k < part->offset || k >= part->offset + part->n) continue;
    snprintf(text, size, "%s[%zu]", part->name ? part->name : "y", k - part->offset + 1);
    return text;
  }
  snprintf(text, size, "y[%zu]", k + 1);
  return text;
}

/* The component with the largest error of the last attempt relative to its tolerance. */
static size_t worst(engine *e) {
  N_Vector error = N_VClone(e->y), weight = N_VClone(e->y);
  size_t at = 0;
  if (error && weight && e->of->method->errors(e, error, weight) == 0) {
    N_VProd(error, weight, error);
    for (size_t i = 1; i < e->n; i++)
      if (!(fabs(sun_data(error)[i]) <= fabs(sun_data(error)[at]))) at = i;
  }
  if (error) N_VDestroy(error);
  if (weight) N_VDestroy(weight);
  return at;
}

/* The field was not defined, or not finite, in every attempt down to the smallest. */
static cst_status blame_field(engine *e) {
  const cst_host *host = e->of->host;
  char name[96];
  if (e->trouble == CST_RETRY)
    return host->fail(host, CST_ESTEPMIN,
                      "sundials.%s: %s is not defined at t = %.9g, and no smaller step avoids it",
                      e->of->type->name, e->trouble_of, e->trouble_t);
  return host->fail(host, CST_ENONFINITE,
                    "sundials.%s: %s is not finite at t = %.9g, and no smaller step avoids it; worst component %s",
                    e->of->type->name, e->trouble_of, e->trouble_t,
                    name_component(e, e->trouble_at, name, sizeof name));
}

static cst_status blame_tolerance(engine *e, int flag) {
  const cst_host *host = e->of->host;
  char name[96];
  if (e->no_weight != SIZE_MAX)
    return host->fail(host, CST_EINVAL, "sundials.%s: %s is 0 and so is its tolerance: give an atol above 0",
                      e->of->type->name, name_component(e, e->no_weight, name, sizeof name));
  return host->fail(host, CST_ESTEPMIN, "sundials.%s: the tolerances ask for more digits than f64 has (%s)",
                    e->of->type->name, flag == CV_TOO_MUCH_ACC ? "rtol is too small" : e->text);
}

static cst_status blame_step(engine *e, const char *what) {
  char remark[300], name[96];
  sun_remark(e->of, remark, sizeof remark);
  return e->of->host->fail(e->of->host, CST_ESTEPMIN, "%s however small the step; worst component %s; %s", what,
                           name_component(e, worst(e), name, sizeof name), remark);
}

cst_status sun_failure(engine *e, int flag) {
  const cst_host *host = e->of->host;
  bool implicit = flag <= CV_CONV_FAILURE && flag >= CV_UNREC_RHSFUNC_ERR;
  if (e->status != CST_OK) return e->status; /* whoever failed has said why */
  if (e->no_weight != SIZE_MAX || flag == CV_TOO_MUCH_ACC) return blame_tolerance(e, flag);
  if (flag != CV_ERR_FAILURE && e->trouble != CST_OK) return blame_field(e);
  if (flag == CV_ERR_FAILURE || flag == SUN_STANDS_STILL) return blame_step(e, "the error stays above the tolerance");
  if (implicit) return blame_step(e, "the implicit equations cannot be solved");
  if (flag == CV_MEM_FAIL) return host->fail(host, CST_ENOMEM, "sundials.%s: no memory", e->of->type->name);
  return host->fail(host, CST_EINTERNAL, "sundials.%s: flag %d: %s", e->of->type->name, flag, e->text);
}

void sun_remark(void *state, char *text, size_t size) {
  stepper *s = state;
  sun_counts c = {0};
  text[0] = 0;
  if (!s->main || !s->main->memory) return;
  s->method->counts(s->main, &c);
  snprintf(text, size,
           "sundials.%s since its last start: %ld steps, the last of order %d and size %.3g, %ld error test failures, "
           "%ld convergence failures: %s",
           s->type->name, c.steps, c.order, c.last_h, c.error_failures, c.convergence_failures, s->method->hint);
}
