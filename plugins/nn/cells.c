/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Recurrent cells. With a = x Wx + bx and b = h Wh + bh, cut in as many parts as there are gates:
 *
 *   rnn    h' = tanh(a + b), or relu
 *   gru    r = s(a1 + b1)  z = s(a2 + b2)  n = tanh(a3 + r b3)       h' = (1 - z) n + z h
 *   lstm   i = s(a1 + b1)  f = s(a2 + b2)  g = tanh(a3 + b3)  o = s(a4 + b4)
 *          c' = f c + i g                                            h' = o tanh(c')
 *
 * s is the logistic function. These are the RNNCell, GRUCell and LSTMCell of PyTorch, gates in its order, so
 * weights can be carried over: Wx is its weight_ih transposed. Sources: J. L. Elman, Cognitive Science 14
 * (1990); K. Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014), with the reset
 * gate after the product; S. Hochreiter, J. Schmidhuber, Neural Computation 9 (1997), with the forget gate of
 * F. A. Gers et al. (2000). All parameters start uniform on (-1/sqrt(units), 1/sqrt(units)).
 */
#include "cells.h"

#include <math.h>

double nn_cell_scale(const cst_options *o) { return 1 / sqrt((double)cst_option_integer(o, "units")); }

cst_value nn_part(cst_graph *g, cst_value v, int k, int n) {
  if (!v) return CST_NONE;
  const cst_type *t = cst_type_of(g, v);
  int64_t size = t->dim[t->rank - 1] / n;
  return cst_slice(g, v, t->rank - 1, k * size, (k + 1) * size, 1);
}

cst_value nn_mix(cst_graph *g, cst_value u, cst_value v, cst_value w) {
  return cst_add(g, u, cst_mul(g, w, cst_sub(g, v, u)));
}

/* ---- the two products ---------------------------------------------------------------------------------- */

static cst_status declare(const cst_host *host, const cst_options *o, cst_model_spec *m, int gates) {
  int64_t inputs = cst_option_integer(o, "inputs"), units = cst_option_integer(o, "units");
  CST_TRY(nn_uniform(host, m, "x.", NN_WEIGHT | NN_BIAS, inputs, gates * units, nn_cell_scale(o)));
  return nn_uniform(host, m, "h.", NN_WEIGHT | NN_BIAS, units, gates * units, nn_cell_scale(o));
}

typedef struct pair {
  cst_value a, b; /* of x, of h */
} pair;

static pair products(cst_graph *g, const cst_value *p, cst_value h, cst_value x) {
  return (pair){cst_dense(g, x, p[0], p[1], CST_NO_ACT), cst_dense(g, h, p[2], p[3], CST_NO_ACT)};
}

/* Whether h, and c if there is one, and x have the widths of the cell. */
static bool fits(cst_graph *g, const cst_options *o, const char *cell, const cst_value *in, size_t n_in, size_t n) {
  if (n_in != n) {
    g->host->graph_fail(g, CST_EINVAL, "%s takes a state and an input, %zu values; got %zu", cell, n, n_in);
    return false;
  }
  for (size_t i = 0; i + 1 < n; i++)
    if (!nn_check_width(g, cell, "a state", in[i], cst_option_integer(o, "units"))) return false;
  return nn_check_width(g, cell, "an input", in[n - 1], cst_option_integer(o, "inputs"));
}

/* ---- rnn ------------------------------------------------------------------------------------------------- */

static cst_status rnn_declare(const cst_host *host, const cst_options *o, cst_model_spec *m) {
  return declare(host, o, m, 1);
}

static cst_value rnn_build(cst_graph *g, const cst_options *o, const cst_value *params, const cst_value *in,
                           size_t n_in) {
  if (!fits(g, o, "rnn", in, n_in, 2)) return CST_NONE;
  pair p = products(g, params, in[0], in[1]);
  return nn_activation_find(cst_option_string(o, "activation"))->apply(g, cst_add(g, p.a, p.b));
}

const cst_model_type nn_rnn = {
    .struct_size = sizeof nn_rnn, .name = "rnn", .declare = rnn_declare, .build = rnn_build,
    .help = "recurrent cell: h' = tanh(x Wx + h Wh + b)", .signature = "h, x -> h",
    .options = CST_OPTIONS(NN_CELL_OPTIONS, {"activation", CST_STRING, .string = "tanh", .choices = "tanh|relu",
                                             .help = "what makes the state"})};

/* ---- gru ------------------------------------------------------------------------------------------------- */

static cst_status gru_declare(const cst_host *host, const cst_options *o, cst_model_spec *m) {
  return declare(host, o, m, 3);
}

static cst_value gru_build(cst_graph *g, const cst_options *o, const cst_value *params, const cst_value *in,
                           size_t n_in) {
  if (!fits(g, o, "gru", in, n_in, 2)) return CST_NONE;
  pair p = products(g, params, in[0], in[1]);
  cst_value r = cst_sigmoid(g, cst_add(g, nn_part(g, p.a, 0, 3), nn_part(g, p.b, 0, 3)));
  cst_value z = cst_sigmoid(g, cst_add(g, nn_part(g, p.a, 1, 3), nn_part(g, p.b, 1, 3)));
  cst_value n = cst_tanh(g, cst_add(g, nn_part(g, p.a, 2, 3), cst_mul(g, r, nn_part(g, p.b, 2, 3))));
  return nn_mix(g, n, in[0], z);
}

const cst_model_type nn_gru = {
    .struct_size = sizeof nn_gru, .name = "gru", .declare = gru_declare, .build = gru_build,
    .help = "gated recurrent unit: cell(h, x) gives the next h", .signature = "h, x -> h",
    .options = CST_OPTIONS(NN_CELL_OPTIONS)};

/* ---- lstm ------------------------------------------------------------------------------------------------ */

static cst_status lstm_declare(const cst_host *host, const cst_options *o, cst_model_spec *m) {
  return declare(host, o, m, 4);
}

static void lstm_build_all(cst_graph *g, const cst_options *o, const cst_value *params, const cst_value *in,
                           size_t n_in, cst_value *out) {
  if (!fits(g, o, "lstm", in, n_in, 3)) return;
  pair p = products(g, params, in[0], in[2]);
  cst_value v = cst_add(g, p.a, p.b);
  cst_value i = cst_sigmoid(g, nn_part(g, v, 0, 4)), f = cst_sigmoid(g, nn_part(g, v, 1, 4));
  cst_value next = cst_tanh(g, nn_part(g, v, 2, 4)), o4 = cst_sigmoid(g, nn_part(g, v, 3, 4));
  out[1] = cst_add(g, cst_mul(g, f, in[1]), cst_mul(g, i, next));
  out[0] = cst_mul(g, o4, cst_tanh(g, out[1]));
}

static cst_value lstm_build(cst_graph *g, const cst_options *o, const cst_value *params, const cst_value *in,
                            size_t n_in) {
  cst_value out[2] = {CST_NONE};
  lstm_build_all(g, o, params, in, n_in, out);
  return out[0];
}

const cst_model_type nn_lstm = {
    .struct_size = sizeof nn_lstm, .name = "lstm", .declare = lstm_declare, .build = lstm_build,
    .help = "long short-term memory: cell({ h =, c = }, x) gives the next { h =, c = }",
    .signature = "{h, c}, x -> {h, c}", .n_out = 2, .build_all = lstm_build_all,
    .options = CST_OPTIONS(NN_CELL_OPTIONS)};
