/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The life of an integrator: the options checked once, the stepper and all vectors made.
 */
#include <math.h>

#include "ode/integrate_internal.h"

static cst_status check(cst_context *ctx, const cst_integrator_config *c) {
  const cst_solver_type *s = c->solver;
  if (!s || (c->dtype != CST_F32 && c->dtype != CST_F64))
    return cst_fail(ctx, CST_EINVAL, "an integrator needs a solver and a float type");
  if (!(c->step >= 0 && c->first_step >= 0 && c->min_step >= 0 && c->max_step >= 0))
    return cst_fail(ctx, CST_EINVAL, "step sizes are positive (the direction comes from the times)");
  if (c->step == 0 && !(s->traits & CST_ADAPTIVE))
    return cst_fail(ctx, CST_EINVAL,
                    "solver '%s' has fixed steps and no error estimate: give step = ..., the size of "
                    "a step, or choose an adaptive solver", s->name);
  if (c->step == 0 && !(c->rtol >= 0 && c->atol >= 0 && c->rtol + c->atol > 0))
    return cst_fail(ctx, CST_EINVAL, "rtol and atol are at least 0 and not both 0");
  if (c->step == 0 && !c->controller)
    return cst_fail(ctx, CST_EINVAL, "an adaptive solve needs a step-size controller");
  if ((s->traits & CST_SINGLE) && c->rows > 1)
    return cst_fail(ctx, CST_EUNSUPPORTED, "solver '%s' takes one row at a time", s->name);
  return CST_OK;
}

/* The defaults of a schema, for callers that bring no options. */
static cst_status defaults(cst_integrator *i, const cst_option *schema, const cst_options **o) {
  size_t n = 0;
  if (*o || !schema) return CST_OK;
  while (schema[n].kind != CST_OPTION_END) n++;
  cst_options *made = cst_alloc(i->ctx, sizeof *made + (n + 1) * sizeof *made->values);
  if (!made) return CST_ENOMEM;
  *made = (cst_options){schema, (cst_option_value *)(made + 1)};
  for (size_t k = 0; k < n; k++)
    made->values[k] = (cst_option_value){.number = schema[k].number,
                                         .integer = (int64_t)schema[k].number,
                                         .string = schema[k].string};
  *o = made;
  return CST_OK;
}

static cst_status vectors(cst_integrator *i) {
  void **all[] = {&i->f[0], &i->f[1], &i->y[0], &i->y[1], &i->error, &i->output};
  for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
    size_t n = k < 2 ? cst_block(i, i->config.n) : i->config.n;
    *all[k] = cst_alloc(i->ctx, (n + 1) * i->size);
    if (!*all[k]) return CST_ENOMEM;
  }
  return CST_OK;
}

static cst_status make(cst_integrator *i) {
  cst_integrator_config *c = &i->config;
  if (c->controller)
    CST_TRY(defaults(i, c->controller->options, &i->controller_options));
  CST_TRY(defaults(i, c->solver->options, &i->solver_options));
  CST_TRY(vectors(i));
  cst_solver_config s = {.struct_size = sizeof s, .host = i->host, .type = c->solver,
                         .options = i->solver_options, .dtype = c->dtype, .rows = c->rows, .n = c->n,
                         .n_stage = c->n_stage};
  cst_status st = c->solver->create(&s, &i->solver);
  if (st != CST_OK) i->solver = NULL; /* nothing was made: nothing to destroy */
  return st;
}

cst_status cst_integrator_new(const cst_host *host, const cst_integrator_config *config,
                              cst_integrator **out) {
  *out = NULL;
  CST_TRY(check(host->ctx, config));
  cst_integrator *i = cst_alloc(host->ctx, sizeof *i);
  if (!i) return CST_ENOMEM;
  *i = (cst_integrator){.host = host, .ctx = host->ctx, .kernels = cst_kernels_get(),
                        .config = *config, .size = cst_dtype_size((cst_dtype)config->dtype),
                        .controller_options = config->controller_options,
                        .solver_options = config->solver_options};
  /* With atol = 0 too, what is zero and stays zero has no error in the driver's norm. */
  if (config->solver && !(config->solver->traits & CST_SELF_CONTROLLED)) i->config.atol = fmax(config->atol, 1e-150);
  cst_status st = make(i);
  if (st == CST_OK) *out = i;
  else cst_integrator_free(i);
  return st;
}

static void drop_options(cst_integrator *i, const cst_options *o, const cst_options *given) {
  union { const cst_options *in; void *out; } made = {o}; /* ours unless given */
  if (o != given) cst_free(i->ctx, made.out);
}

void cst_integrator_free(cst_integrator *i) {
  if (!i) return;
  if (i->solver) i->config.solver->destroy(i->host, i->solver);
  void *all[] = {i->y[0], i->y[1], i->f[0], i->f[1], i->error,
                 i->output, i->controlled, i->steps, i->event_value, i->event_sign, i->ends.end, i->undone[0],
                 i->undone[1]};
  for (size_t k = 0; k < sizeof all / sizeof *all; k++)
    if (all[k]) cst_free(i->ctx, all[k]);
  cst_schedule_free(i->ctx, &i->own);
  cst_checkpoints_free(&i->checkpoints);
  cst_tape_free(i->scratch);
  drop_options(i, i->controller_options, i->config.controller_options);
  drop_options(i, i->solver_options, i->config.solver_options);
  cst_free(i->ctx, i);
}

const void *cst_integrator_block(const cst_integrator *i, size_t *scalars) {
  *scalars = cst_block(i, i->run.rhs->n);
  return cst_carries(i) ? i->run.f1 : NULL;
}
size_t cst_integrator_block_vectors(const cst_integrator *i) { return cst_block(i, 1); }
void *cst_integrator_solver_state(const cst_integrator *i) { return i->solver; }
