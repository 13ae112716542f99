/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * optimizers: update rules of first order, with PyTorch's formulas and defaults. The rules and
 * their sources stand in rules.inc.
 */
#include <costate/plugin.h>
#include <math.h>

#define REAL float
#define SQRT sqrtf
#define FN(name) name##_f32
#include "rules.inc"
#undef REAL
#undef SQRT
#undef FN
#define REAL double
#define SQRT sqrt
#define FN(name) name##_f64
#include "rules.inc"

#define UPDATE(name)                                                    \
  static void name##_update(const cst_options *o, const cst_update *u) { \
    if (u->dtype == CST_F32) name##_f32(o, u);                          \
    else name##_f64(o, u);                                              \
  }
UPDATE(sgd)
UPDATE(adam)
UPDATE(adamw)
UPDATE(adamax)
UPDATE(rmsprop)

/* Below 1, so that 1 - beta^t is never zero. */
#define BELOW_ONE {0, 1 - 1e-12}

#define LR(x)                                                              \
  {"lr", CST_NUMBER, .number = x, .range = {0, 1e300}, .help = "learning rate"}
#define WEIGHT_DECAY(x, text)                                              \
  {"weight_decay", CST_NUMBER, .number = x, .range = {0, 1e300}, .help = text}
#define COUPLED "factor of theta that is added to the gradient"
#define EPS                                                                \
  {"eps", CST_NUMBER, .number = 1e-8, .range = {0, 1e300}, .help = "added to the denominator"}
#define BETAS                                                              \
  {"beta1", CST_NUMBER, .number = 0.9, .range = BELOW_ONE,                 \
   .help = "memory of the mean of gradients"},                             \
  {"beta2", CST_NUMBER, .number = 0.999, .range = BELOW_ONE,               \
   .help = "memory of their size"}
#define MOMENTUM(text)                                                     \
  {"momentum", CST_NUMBER, .number = 0, .range = {0, 1}, .help = text}

static const cst_optimizer_type types[] = {
    {.struct_size = sizeof *types, .name = "sgd", .slots = 1, .update = sgd_update,
     .help = "stochastic gradient descent, with momentum",
     .options = CST_OPTIONS(LR(1e-3), MOMENTUM("memory of past gradients"),
                            {"nesterov", CST_BOOLEAN, .help = "looks ahead along the momentum"},
                            WEIGHT_DECAY(0, COUPLED))},
    {.struct_size = sizeof *types, .name = "adam", .slots = 2, .update = adam_update,
     .help = "adaptive moments (Kingma and Ba 2015)",
     .options = CST_OPTIONS(LR(1e-3), BETAS, EPS, WEIGHT_DECAY(0, COUPLED))},
    {.struct_size = sizeof *types, .name = "adamw", .slots = 2, .update = adamw_update,
     .help = "adam with decoupled weight decay (Loshchilov and Hutter 2019)",
     .options = CST_OPTIONS(LR(1e-3), BETAS, EPS,
                            WEIGHT_DECAY(1e-2, "theta shrinks by lr times this at each update"))},
    {.struct_size = sizeof *types, .name = "adamax", .slots = 2, .update = adamax_update,
     .help = "adam by the largest gradient seen (Kingma and Ba 2015)",
     .options = CST_OPTIONS(LR(2e-3), BETAS, EPS, WEIGHT_DECAY(0, COUPLED))},
    {.struct_size = sizeof *types, .name = "rmsprop", .slots = 3, .update = rmsprop_update,
     .help = "gradient over its running root mean square (Tieleman and Hinton 2012)",
     .options = CST_OPTIONS(LR(1e-2),
                            {"alpha", CST_NUMBER, .number = 0.99, .range = {0, 1},
                             .help = "memory of squared gradients"},
                            EPS, MOMENTUM("memory of past updates"),
                            {"centered", CST_BOOLEAN, .help = "divides by the standard deviation"},
                            WEIGHT_DECAY(0, COUPLED))},
};

static cst_status init(const cst_host *host) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    CST_TRY(host->register_optimizer(host, &types[i]));
  return CST_OK;
}

CST_PLUGIN{.abi_version = CST_ABI,
           .struct_size = sizeof(cst_plugin),
           .name = "optimizers",
           .version = "1.0",
           .license = "GPL-3.0-or-later",
           .init = init};
