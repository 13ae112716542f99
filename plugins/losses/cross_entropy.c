/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cross_entropy of (logits z [.., C], target): the mean over samples of
 *
 *   -sum_c p_c log softmax(z)_c  =  sum_c p_c (log sum_j exp z_j - z_c),
 *
 * p given as probabilities [.., C] or as i64 class indices [..]. The largest logit is
 * subtracted first; it cancels, so its derivative need not be followed.
 */
#include "losses.h"

/* -log softmax(z) over the last axis: with d = z - max z, log sum exp d - d. */
cst_value loss_surprise(cst_graph *g, cst_value z, uint64_t axis) {
  cst_value d = cst_sub(g, z, cst_detach(g, cst_amax(g, z, axis, true)));
  return cst_sub(g, cst_log(g, cst_sum(g, cst_exp(g, d), axis, true)), d);
}

/* Class indices [..] as probabilities [.., C]: compared with 0, 1, .. C-1. */
cst_value loss_one_hot(cst_graph *g, cst_value index, int64_t classes) {
  if (!index) return CST_NONE;
  cst_type t = *cst_type_of(g, index);
  if (t.rank == CST_MAX_RANK)
    return g->host->graph_fail(g, CST_ESHAPE, "class indices have too many axes");
  cst_attrs at = {.n_ints = 2, .i = {classes, g->real}};
  cst_value range = g->host->node(g, "iota", NULL, 0, &at);
  t.dim[t.rank] = 1;
  cst_value column = cst_reshape(g, cst_cast(g, index, (cst_dtype)g->real), t.rank + 1, t.dim);
  return cst_eq(g, column, range);
}

static cst_value cross_entropy_build(cst_graph *g, const cst_options *o, const cst_value *in) {
  (void)o;
  if (!in[0] || !in[1]) return CST_NONE;
  cst_type z = *cst_type_of(g, in[0]);
  int inner = z.rank - (z.space == CST_ROW);
  if (inner < 1 || z.dim[z.rank - 1] < 1)
    return g->host->graph_fail(g, CST_ESHAPE, "cross_entropy needs logits [.., C] with C classes");
  int64_t classes = z.dim[z.rank - 1];
  cst_value p = in[1];
  if (cst_type_of(g, p)->dtype == CST_I64) p = loss_one_hot(g, p, classes);
  if (!loss_fits(g, "cross_entropy", in[0], p)) return CST_NONE;
  cst_value each = cst_mul(g, p, loss_surprise(g, in[0], (uint64_t)1 << (z.rank - 1)));
  return cst_scale(g, cst_mean(g, each), (double)classes);
}

const cst_loss_type loss_cross_entropy = {
    .struct_size = sizeof loss_cross_entropy, .name = "cross_entropy", .n_in = 2,
    .build = cross_entropy_build,
    .help = "of (logits, target): target is probabilities of the same shape or i64 class indices"};
