/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * gru_d: the gated recurrent unit with decay, for series with gaps (Z. Che, S. Purushotham, K. Cho, D. Sontag,
 * Y. Liu, "Recurrent neural networks for multivariate time series with missing values", Scientific Reports 8,
 * 2018, equations 10 to 16). Of every channel the mask m, the value x where m = 1, the value seen last x', the
 * time d since then and the mean over the data, xm, are given.
 *
 *   decay      gx = exp(-relu(wx d + bx)), each channel by its own,  gh = exp(-relu(d Wh + bh))
 *   inputs     xi = m x + (1 - m)(gx x' + (1 - gx) xm)               k = gh h
 *   gates      r, z = s([xi, m] W + k U + b)                         n = tanh([xi, m] W + (r k) U + b)
 *   h' = (1 - z) k + z n
 *
 * z opens here where in `gru` it keeps, and r comes before its product: both as in the paper. W is [2 inputs,
 * 3 units], the upper half of x, the lower of the mask; U is [units, 2 units] and, of n, [units, units].
 */
#include "cells.h"

enum { H, X, MASK, LAST, SINCE, MEAN, N_IN };

static cst_status declare(const cst_host *host, const cst_options *o, cst_model_spec *m) {
  int64_t inputs = cst_option_integer(o, "inputs"), units = cst_option_integer(o, "units");
  double a = nn_cell_scale(o);
  CST_TRY(host->parameter(m, "decay_x.weight", 1, &inputs, CST_INIT_UNIFORM, a));
  CST_TRY(nn_uniform(host, m, "decay_x.", NN_BIAS, inputs, inputs, a));
  CST_TRY(nn_uniform(host, m, "decay_h.", NN_WEIGHT | NN_BIAS, inputs, units, a));
  CST_TRY(nn_uniform(host, m, "x.", NN_WEIGHT | NN_BIAS, 2 * inputs, 3 * units, a));
  CST_TRY(nn_uniform(host, m, "h.", NN_WEIGHT, units, 2 * units, a));
  return nn_uniform(host, m, "n.", NN_WEIGHT, units, units, a);
}

enum { WX, BX, WH, BH, W, B, U, UN };

static bool fits(cst_graph *g, const cst_options *o, const cst_value *in, size_t n_in) {
  static const char *const name[] = {"a state", "an input", "a mask", "last values", "times since", "means"};
  if (n_in != N_IN) {
    g->host->graph_fail(g, CST_EINVAL, "gru_d takes %d values, got %zu", N_IN, n_in);
    return false;
  }
  for (int i = 0; i < N_IN; i++)
    if (!nn_check_width(g, "gru_d", name[i], in[i], cst_option_integer(o, i == H ? "units" : "inputs"))) return false;
  return true;
}

/* exp(-relu(v)): in (0, 1], and 1 where v <= 0 */
static cst_value decay(cst_graph *g, cst_value v) { return cst_exp(g, cst_neg(g, cst_relu(g, v))); }

/* What is not observed fades from the value seen last to the mean. */
static cst_value impute(cst_graph *g, const cst_value *p, const cst_value *in) {
  cst_value gx = decay(g, cst_add(g, cst_mul(g, in[SINCE], p[WX]), p[BX]));
  cst_value guess = nn_mix(g, in[MEAN], in[LAST], gx);
  return cst_where(g, in[MASK], in[X], guess);
}

static cst_value build(cst_graph *g, const cst_options *o, const cst_value *p, const cst_value *in, size_t n_in) {
  if (!fits(g, o, in, n_in)) return CST_NONE;
  cst_value k = cst_mul(g, in[H], decay(g, cst_dense(g, in[SINCE], p[WH], p[BH], CST_NO_ACT)));
  cst_value both[2] = {impute(g, p, in), in[MASK]};
  cst_value a = cst_dense(g, cst_concat(g, both, 2, -1), p[W], p[B], CST_NO_ACT), b = cst_matmul(g, k, p[U], false);
  cst_value r = cst_sigmoid(g, cst_add(g, nn_part(g, a, 0, 3), nn_part(g, b, 0, 2)));
  cst_value z = cst_sigmoid(g, cst_add(g, nn_part(g, a, 1, 3), nn_part(g, b, 1, 2)));
  cst_value n = cst_tanh(g, cst_add(g, nn_part(g, a, 2, 3), cst_matmul(g, cst_mul(g, r, k), p[UN], false)));
  return nn_mix(g, k, n, z);
}

const cst_model_type nn_gru_d = {
    .struct_size = sizeof nn_gru_d, .name = "gru_d", .declare = declare, .build = build,
    .help = "GRU with decay: cell(h, { x =, mask =, last =, since =, mean = }) gives the next h",
    .signature = "h, {x, mask, last, since, mean} -> h", .options = CST_OPTIONS(NN_CELL_OPTIONS)};
