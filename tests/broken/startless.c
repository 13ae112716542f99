/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A solver that carries a vector from step to step and does not say what it is at the start.
 */
#include "costate/plugin.h"

static cst_status create(const cst_solver_config *c, void **state) {
  return c->host->fail(c->host, CST_EINTERNAL, "this is never called, nor is %p", (void *)state);
}

static void destroy(const cst_host *host, void *state) { (void)host, (void)state; }
static cst_status step(void *state, cst_step *s) { return (void)state, (void)s, CST_EINTERNAL; }

static const cst_solver_type solver = {
    .struct_size = sizeof solver, .name = "memory", .order = 2, .traits = CST_FSAL, .create = create,
    .destroy = destroy, .step = step, .carry = 1};

static cst_status init(const cst_host *host) { return host->register_solver(host, &solver); }

CST_PLUGIN{.abi_version = CST_ABI, .struct_size = sizeof(cst_plugin), .name = "startless",
           .version = "1.0", .license = "GPL-3.0-or-later", .init = init};
