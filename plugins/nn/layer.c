/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One dense layer: activations, checks, parameters, nodes.
 */
#include "layer.h"

#include <math.h>
#include <stdio.h>

static cst_value silu(cst_graph *g, cst_value x) { return cst_mul(g, x, cst_sigmoid(g, x)); }

/* x Phi(x), Phi the distribution function of the standard normal. */
static cst_value gelu(cst_graph *g, cst_value x) {
  cst_value half = cst_scale(g, x, 0.5), e = cst_erf(g, cst_scale(g, x, sqrt(0.5)));
  return cst_add(g, half, cst_mul(g, half, e));
}

static const nn_activation activations[] = {
    {"none", CST_NO_ACT, NULL},        {"tanh", CST_TANH, cst_tanh},
    {"sigmoid", CST_SIGMOID, cst_sigmoid}, {"relu", CST_RELU, cst_relu},
    {"softplus", CST_SOFTPLUS, cst_softplus}, {"elu", CST_ELU, cst_elu},
    {"silu", -1, silu},                {"gelu", -1, gelu},
    {"sin", -1, cst_sin},              {"cos", -1, cst_cos},
    {"square", -1, cst_square},
};

const nn_activation *nn_activation_find(const char *name) {
  for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
    if (strcmp(activations[i].name, name) == 0) return &activations[i];
  return &activations[0];
}

cst_init nn_init_find(const char *name) {
  static const struct { const char *name; cst_init init; } inits[] = {
      {"glorot", CST_INIT_GLOROT}, {"he", CST_INIT_HE}, {"lecun", CST_INIT_LECUN},
      {"normal", CST_INIT_NORMAL}, {"uniform", CST_INIT_UNIFORM},
      {"orthogonal", CST_INIT_ORTHOGONAL}};
  for (size_t i = 0; i < sizeof inits / sizeof *inits; i++)
    if (strcmp(inits[i].name, name) == 0) return inits[i].init;
  return CST_INIT_ZERO;
}

bool nn_starts_by_fan_in(const cst_options *o) { return strcmp(cst_option_string(o, "init"), "fan_in_uniform") == 0; }

cst_status nn_check_whole(const cst_host *host, const char *model, const char *what, const cst_option_value *list) {
  for (size_t i = 0; i < list->n_list; i++) {
    double s = list->list[i];
    if (!(s >= 1 && s <= 0x1p31) || s != floor(s))
      return host->fail(host, CST_EINVAL, "%s: %s %zu must be a positive whole number, got %g", model, what, i + 1, s);
  }
  return CST_OK;
}

cst_status nn_check_sizes(const cst_host *host, const char *model, const cst_option_value *sizes) {
  if (sizes->n_list < 2)
    return host->fail(host, CST_EINVAL, "%s needs at least two sizes, such as {2, 50, 2}; got %zu",
                      model, sizes->n_list);
  return nn_check_whole(host, model, "size", sizes);
}

bool nn_check_input(cst_graph *g, const char *model, const cst_value *in, size_t n_in,
                    int64_t width) {
  if (n_in != 1) {
    g->host->graph_fail(g, CST_EINVAL, "%s expects one input, got %zu", model, n_in);
    return false;
  }
  return nn_check_width(g, model, NULL, in[0], width);
}

bool nn_check_width(cst_graph *g, const char *model, const char *what, cst_value v, int64_t width) {
  if (!v) return false; /* an earlier failure, already reported */
  const cst_type *t = cst_type_of(g, v);
  int inner = t->rank - (t->space == CST_ROW);
  if (inner > 0 && t->dim[t->rank - 1] == width) return true;
  char got[32] = "a scalar";
  if (inner > 0) snprintf(got, sizeof got, "%lld", (long long)t->dim[t->rank - 1]);
  g->host->graph_fail(g, CST_ESHAPE, "%s expects %s%s%lld value%s a row, got %s", model, what ? what : "",
                      what ? " of " : "", (long long)width, width == 1 ? "" : "s", got);
  return false;
}

cst_status nn_uniform(const cst_host *host, cst_model_spec *m, const char *prefix, int what, int64_t in, int64_t out,
                      double a) {
  char name[64];
  const int64_t dim[2] = {in, out};
  snprintf(name, sizeof name, "%sweight", prefix);
  if (what & NN_WEIGHT) CST_TRY(host->parameter(m, name, 2, dim, CST_INIT_UNIFORM, a));
  snprintf(name, sizeof name, "%sbias", prefix);
  return what & NN_BIAS ? host->parameter(m, name, 1, dim + 1, CST_INIT_UNIFORM, a) : CST_OK;
}

cst_status nn_layer_declare(const cst_host *host, const cst_options *o, cst_model_spec *m,
                            const char *prefix, int64_t in, int64_t out) {
  char name[48];
  bool bias = cst_option_boolean(o, "bias");
  double scale = cst_option_number(o, "scale");
  if (nn_starts_by_fan_in(o))
    return nn_uniform(host, m, prefix, bias ? NN_WEIGHT | NN_BIAS : NN_WEIGHT, in, out, scale / sqrt((double)in));
  snprintf(name, sizeof name, "%sweight", prefix);
  CST_TRY(host->parameter(m, name, 2, (const int64_t[]){in, out}, nn_init_find(cst_option_string(o, "init")), scale));
  if (!bias) return CST_OK;
  snprintf(name, sizeof name, "%sbias", prefix);
  return host->parameter(m, name, 1, &out, CST_INIT_ZERO, 0);
}

cst_value nn_layer_build(cst_graph *g, const cst_options *o, const cst_value **params, cst_value x,
                         const nn_activation *f) {
  cst_value w = *(*params)++;
  if (!cst_option_boolean(o, "bias")) {
    cst_value z = cst_matmul(g, x, w, false);
    return f->apply ? f->apply(g, z) : z;
  }
  cst_value b = *(*params)++;
  if (f->act >= 0) return cst_dense(g, x, w, b, f->act);
  return f->apply(g, cst_dense(g, x, w, b, CST_NO_ACT));
}
