/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "autodiff/graph_internal.h"

cst_status cst_register_core_ops(const cst_host *h) {
  CST_TRY(cst_register_sources(h));
  CST_TRY(cst_register_elementwise(h));
  CST_TRY(cst_register_linear(h));
  CST_TRY(cst_register_reductions(h));
  CST_TRY(cst_register_shapes(h));
  CST_TRY(cst_register_axes(h));
  CST_TRY(cst_register_indexing(h));
  CST_TRY(cst_register_controls(h));
  CST_TRY(cst_register_scan(h));
  return cst_register_implicit(h);
}
