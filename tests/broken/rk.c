/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A tableau engine that never steps, so that registration is tested without the real one.
 */
#include "costate/plugin.h"

static cst_status create(const cst_solver_config *c, void **state) {
  *state = c->host->alloc(c->host, 1);
  return *state ? CST_OK : CST_ENOMEM;
}
static void destroy(const cst_host *host, void *state) { host->free(host, state); }
static cst_status step(void *state, cst_step *s) {
  (void)state, (void)s;
  return CST_EUNSUPPORTED;
}

static const cst_solver_type engine = {.struct_size = sizeof engine, .name = "engine",
                                       .create = create, .destroy = destroy, .step = step};

static const cst_tableau euler = {
    .struct_size = sizeof euler, .name = "euler", .order = 1, .stages = 1,
    .b = (const double[]){1}};

static const cst_tableau bosh3 = {
    .struct_size = sizeof bosh3, .name = "bosh3", .order = 3, .stages = 4,
    .a = (const double[]){1 / 2., 0, 3 / 4., 2 / 9., 1 / 3., 4 / 9.},
    .b = (const double[]){2 / 9., 1 / 3., 4 / 9., 0},
    .e = (const double[]){-5 / 72., 1 / 12., 1 / 9., -1 / 8.},
    .error_order = 2};

static cst_status init(const cst_host *host) {
  CST_TRY(host->register_tableau_engine(host, &engine));
  CST_TRY(host->register_tableau(host, &euler));
  return host->register_tableau(host, &bosh3);
}

CST_PLUGIN{.abi_version = CST_ABI, .struct_size = sizeof(cst_plugin), .name = "rk",
           .version = "test", .license = "GPL-3.0-or-later", .init = init};
