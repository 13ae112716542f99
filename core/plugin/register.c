/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The register_* slots of the host: check, then enter; and tableaus, which the engine turns into
 * solvers.
 */
#include <string.h>

#include "ode/tableau.h"
#include "plugin/plugin_internal.h"

/* A failure stays with the module: its init cannot succeed any more, even if it looks away. */
static cst_status finish(cst_module *m, cst_status st) {
  if (st != CST_OK && m->failed == CST_OK) m->failed = st;
  return st;
}

static cst_status loading(const cst_host *h, cst_module **m) {
  *m = h->ctx->registry->loading;
  if (*m) return CST_OK;
  return cst_fail(h->ctx, CST_EPLUGIN, "types are registered from a plugin's init only");
}

/* Types of all kinds but ops begin alike: struct_size, name, help, options (see validate.c). */
static cst_status enter(const cst_host *h, cst_kind kind, const void *type) {
  cst_module *m;
  CST_TRY(loading(h, &m));
  cst_status st = cst_type_check(h->ctx, kind, type, strcmp(m->descriptor->name, "core") == 0);
  if (st != CST_OK) return finish(m, st);
  const cst_loss_type *head = type;
  bool op = kind == CST_KIND_OP;
  return finish(m, cst_registry_add(h->ctx, kind, head->name, op ? NULL : head->help,
                                    op ? NULL : head->options, type, NULL));
}

static cst_status register_op(const cst_host *h, const cst_op *t) {
  return enter(h, CST_KIND_OP, t);
}

#define REGISTER(thing, KIND)                                                          \
  static cst_status register_##thing(const cst_host *h, const cst_##thing##_type *t) { \
    return enter(h, CST_KIND_##KIND, t);                                               \
  }
REGISTER(solver, SOLVER)
REGISTER(controller, CONTROLLER)
REGISTER(gradient, GRADIENT)
REGISTER(model, MODEL)
REGISTER(loss, LOSS)
REGISTER(optimizer, OPTIMIZER)
REGISTER(dataset, DATASET)
REGISTER(exporter, EXPORTER)
REGISTER(communicator, COMMUNICATOR)
#undef REGISTER

/* ---- tableaus -------------------------------------------------------------------------------------- */

static cst_status register_tableau_engine(const cst_host *h, const cst_solver_type *prototype) {
  cst_module *m;
  CST_TRY(loading(h, &m));
  cst_registry *r = h->ctx->registry;
  if (r->engine)
    return finish(m, cst_fail(h->ctx, CST_EEXISTS, "%s has registered a tableau engine already",
                              r->engine_module->path));
  if (!prototype) return finish(m, cst_type_check(h->ctx, CST_KIND_SOLVER, NULL, false));
  /* The order is the tableau's: the prototype is checked as if it had one. */
  cst_solver_type t = {0};
  memcpy(&t, prototype, prototype->struct_size < sizeof t ? prototype->struct_size : sizeof t);
  t.order = 1;
  t.traits &= ~(uint32_t)CST_ADAPTIVE;
  cst_status st = cst_type_check(h->ctx, CST_KIND_SOLVER, &t, false);
  if (st != CST_OK) return finish(m, st);
  r->engine = prototype;
  r->engine_module = m;
  return CST_OK;
}

static cst_status need_engine(cst_context *ctx, const char *plugin) {
  if (ctx->registry->engine) return CST_OK;
  if (strcmp(plugin, "rk") == 0)
    return cst_fail(ctx, CST_EPLUGIN, "the tableau engine must be registered before any tableau");
  cst_status st = cst_plugin_load(ctx, "rk");
  if (st != CST_OK)
    return cst_fail_note(ctx, st, "tableaus need plugin 'rk', which turns them into solvers");
  if (ctx->registry->engine) return CST_OK;
  return cst_fail(ctx, CST_EPLUGIN, "plugin 'rk' has registered no tableau engine");
}

cst_status cst_tableau_ready(cst_context *ctx, const char *plugin, const cst_tableau *t) {
  CST_TRY(cst_tableau_check(ctx, t));
  return need_engine(ctx, plugin);
}

void cst_tableau_solver(const cst_context *ctx, const cst_tableau *t, cst_solver_type *s) {
  const cst_solver_type *prototype = ctx->registry->engine;
  size_t known = prototype->struct_size < sizeof *s ? prototype->struct_size : sizeof *s;
  memcpy(s, prototype, known);
  s->struct_size = sizeof *s;
  s->name = t->name;
  s->help = t->help;
  s->method = t;
  s->order = t->order;
  s->error_order = t->e ? t->error_order : 0;
  if (CST_HAS(t, e_low)) s->error_order = 2 * t->error_order - t->error_order_low;
  s->dense_order = t->p ? t->dense_order : 3;
  if (!t->p) s->dense = NULL, s->dense_vjp = NULL; /* the driver interpolates by cubic Hermite */
  s->traits &= ~(uint32_t)(CST_ADAPTIVE | CST_FSAL);
  if (t->e) s->traits |= CST_ADAPTIVE;
  if (cst_tableau_is_fsal(t)) s->traits |= CST_FSAL;
}

static cst_status add_tableau(const cst_host *h, cst_module *m, const cst_tableau *t) {
  cst_context *ctx = h->ctx;
  CST_TRY(cst_tableau_ready(ctx, m->descriptor->name, t));
  cst_solver_type *s = cst_alloc(ctx, sizeof *s);
  if (!s) return CST_ENOMEM;
  cst_tableau_solver(ctx, t, s);
  return cst_registry_add(ctx, CST_KIND_SOLVER, s->name, s->help, s->options, s, s);
}

static cst_status register_tableau(const cst_host *h, const cst_tableau *t) {
  cst_module *m;
  CST_TRY(loading(h, &m));
  return finish(m, add_tableau(h, m, t));
}

void cst_host_registration(cst_host *h) {
  h->register_op = register_op;
  h->register_solver = register_solver;
  h->register_tableau = register_tableau;
  h->register_controller = register_controller;
  h->register_gradient = register_gradient;
  h->register_model = register_model;
  h->register_loss = register_loss;
  h->register_optimizer = register_optimizer;
  h->register_dataset = register_dataset;
  h->register_exporter = register_exporter;
  h->register_communicator = register_communicator;
  h->register_tableau_engine = register_tableau_engine;
}
