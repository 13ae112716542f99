/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * nn: neural networks as models.
 */
#include "cells.h"
#include "timed.h"

static cst_status init(const cst_host *host) {
  const cst_model_type *const all[] = {&nn_linear, &nn_mlp, &nn_rnn, &nn_gru, &nn_lstm, &nn_gru_d};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) CST_TRY(host->register_model(host, all[i]));
  for (size_t i = 0; i < nn_timed_count; i++) CST_TRY(host->register_model(host, &nn_timed[i]));
  return CST_OK;
}

CST_PLUGIN{.abi_version = CST_ABI,
           .struct_size = sizeof(cst_plugin),
           .name = "nn",
           .version = "1.0",
           .license = "GPL-3.0-or-later",
           .init = init};
