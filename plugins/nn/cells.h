/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What recurrent cells share. A cell maps a state h [.., units] and an input x [.., inputs] to the next
 * state; gates that read the same value are one product: W [inputs, gates * units].
 */
#pragma once
#include "layer.h"

#define NN_CELL_OPTIONS                                                                                   \
  {"inputs", CST_INTEGER, .required = true, .range = {1, 0x1p31}, .help = "values of x a row"},           \
  {"units", CST_INTEGER, .required = true, .range = {1, 0x1p31}, .help = "values of the state a row"}

/* 1 / sqrt(units): how recurrent layers start. */
double nn_cell_scale(const cst_options *o);
/* Values `k` of `n` equal parts of the last axis. */
cst_value nn_part(cst_graph *g, cst_value v, int k, int n);
/* u + w (v - u) */
cst_value nn_mix(cst_graph *g, cst_value u, cst_value v, cst_value w);

extern const cst_model_type nn_rnn, nn_gru, nn_lstm, nn_gru_d;
