/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Short names of what is used most. The table is fixed: a script means the same next year.
 */
#include <string.h>

#include "plugin/plugin_internal.h"

typedef struct alias {
  cst_kind kind;
  const char *name, *full;
} alias;

#define IN(kind, plugin, thing) {CST_KIND_##kind, thing, plugin "." thing}
static const alias aliases[] = {
    IN(SOLVER, "rk", "euler"),
    IN(SOLVER, "rk", "midpoint"),
    IN(SOLVER, "rk", "heun"),
    IN(SOLVER, "rk", "ralston"),
    IN(SOLVER, "rk", "rk4"),
    IN(SOLVER, "rk", "rk38"),
    IN(SOLVER, "rk", "bosh3"),
    IN(SOLVER, "rk", "dopri5"),
    IN(SOLVER, "rk", "tsit5"),
    IN(SOLVER, "rk", "fehlberg45"),
    IN(SOLVER, "rk", "cashkarp45"),
    IN(SOLVER, "rk", "dop853"),
    IN(SOLVER, "esdirk", "trbdf2"),
    IN(SOLVER, "esdirk", "kvaerno3"),
    IN(SOLVER, "esdirk", "kvaerno5"),
    IN(SOLVER, "esdirk", "kencarp4"),
    IN(SOLVER, "esdirk", "kencarp5"),
    IN(CONTROLLER, "core", "i"),
    IN(CONTROLLER, "core", "pi"),
    IN(CONTROLLER, "core", "pid"),
    IN(GRADIENT, "adjoint", "discrete"),
    IN(GRADIENT, "adjoint", "backsolve"),
    IN(GRADIENT, "adjoint", "reversible"),
    IN(GRADIENT, "adjoint", "interpolating"),
    IN(GRADIENT, "adjoint", "forward"),
    IN(GRADIENT, "adjoint", "finite"),
    IN(GRADIENT, "gauss", "quadrature"),
    IN(MODEL, "nn", "linear"),
    IN(MODEL, "nn", "mlp"),
    IN(LOSS, "losses", "mae"),
    IN(LOSS, "losses", "mse"),
    IN(LOSS, "losses", "huber"),
    IN(LOSS, "losses", "cross_entropy"),
    IN(LOSS, "losses", "gaussian_nll"),
    IN(OPTIMIZER, "optimizers", "sgd"),
    IN(OPTIMIZER, "optimizers", "adam"),
    IN(OPTIMIZER, "optimizers", "adamw"),
    IN(OPTIMIZER, "optimizers", "adamax"),
    IN(OPTIMIZER, "optimizers", "rmsprop"),
    IN(DATASET, "datasets", "cubic_spiral"),
    IN(DATASET, "datasets", "lotka_volterra"),
    IN(DATASET, "datasets", "lorenz"),
    IN(DATASET, "datasets", "csv"),
};
#undef IN

enum { N_ALIASES = sizeof aliases / sizeof *aliases };

const char *cst_alias_of(cst_kind kind, const char *name) {
  for (size_t i = 0; i < N_ALIASES; i++)
    if (aliases[i].kind == kind && strcmp(aliases[i].name, name) == 0) return aliases[i].full;
  return NULL;
}

const char *cst_alias_at(cst_kind kind, size_t i) {
  for (size_t k = 0; k < N_ALIASES; k++)
    if (aliases[k].kind == kind && i-- == 0) return aliases[k].name;
  return NULL;
}
