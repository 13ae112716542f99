/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One dense layer, act(x W + b), shared by the models of this plugin.
 */
#pragma once
#include <costate/plugin.h>

/* Everything a user may choose; the same list serves help, validation and lookup. */
#define NN_ACTIVATIONS "none|tanh|sigmoid|relu|softplus|elu|silu|gelu|sin|cos|square"
#define NN_INITS "glorot|he|lecun|normal|uniform|orthogonal|zero|fan_in_uniform"

/* The options that every dense model has. */
#define NN_LAYER_OPTIONS                                                                      \
  {"init", CST_STRING, .string = "glorot", .choices = NN_INITS,                               \
   .help = "how weights start; biases at zero, or as weights with fan_in_uniform"},           \
  {"scale", CST_NUMBER, .number = 1,                                                          \
   .help = "normal: standard deviation; uniform: half-width; others: factor"},                \
  {"bias", CST_BOOLEAN, .number = 1, .help = "whether layers add a bias"}

typedef struct nn_activation {
  const char *name;
  int act; /* code of the op `dense`, or -1: the op below follows a dense without activation */
  cst_value (*apply)(cst_graph *g, cst_value x);
} nn_activation;

/* The activation of that name; schemas admit only names in the table. */
const nn_activation *nn_activation_find(const char *name);
/* The method of starting that option `init` names. */
cst_init nn_init_find(const char *name);
/* Whether option `init` is fan_in_uniform: weights and biases uniform on +-1/sqrt(in), as PyTorch starts layers. */
bool nn_starts_by_fan_in(const cst_options *o);

/* Whether `sizes` holds at least two positive whole numbers; says what is wrong if not. */
cst_status nn_check_sizes(const cst_host *host, const char *model, const cst_option_value *sizes);
/* Whether every number of a list is positive and whole; `what` names one in the message. */
cst_status nn_check_whole(const cst_host *host, const char *model, const char *what, const cst_option_value *list);
/* Whether there is one input whose rows end with an axis of `width` entries. */
bool nn_check_input(cst_graph *g, const char *model, const cst_value *in, size_t n_in,
                    int64_t width);

/* The same of one of the inputs of a model: `what` is "a state", "an input" .. in the message. */
bool nn_check_width(cst_graph *g, const char *model, const char *what, cst_value v, int64_t width);

/* W [in, out] and, with a bias, b [out], named PREFIXweight and PREFIXbias. */
cst_status nn_layer_declare(const cst_host *host, const cst_options *o, cst_model_spec *m,
                            const char *prefix, int64_t in, int64_t out);
/* Declares PREFIXweight [in, out] and PREFIXbias [out], or one of them, uniform on (-a, a). */
enum { NN_WEIGHT = 1, NN_BIAS = 2 };
cst_status nn_uniform(const cst_host *host, cst_model_spec *m, const char *prefix, int what, int64_t in, int64_t out,
                      double a);
/* act(x W + b). *params is advanced past what the layer declared. */
cst_value nn_layer_build(cst_graph *g, const cst_options *o, const cst_value **params, cst_value x,
                         const nn_activation *f);

extern const cst_model_type nn_linear, nn_mlp;
