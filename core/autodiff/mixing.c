/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Row separability: chunks of rows may run apart when no node lets one row's result depend on
 * another row, and no sum over rows is used before it is complete. A node that takes all rows at once may
 * yet keep their results apart (cst_op.rows_apart): it mixes, but rows do not meet in it. And one that mixes may
 * yet do for the first rows alone what it does for all (cst_op.first_rows), as bodies of ragged scans do.
 */
#include <string.h>

#include "autodiff/program_internal.h"
#include "autodiff/scan.h"

/* A SHARED operand lined up with the batch by its length: it only fits a full batch. */
static bool aligned_by_length(const cst_graph *g, const cst_node *q) {
  int64_t stride[CST_MAX_RANK];
  if (q->type[0].space != CST_ROW) return false;
  bool element_wise = (q->op->flags & CST_OP_ELEMENTWISE) || strcmp(q->op->name, "broadcast") == 0;
  bool same_batch = strcmp(q->op->name, "bmm") == 0 || strcmp(q->op->name, "concat") == 0;
  bool cotangent = strcmp(q->op->name, "dense_back") == 0; /* as its fourth operand */
  for (uint32_t i = 0; i < q->n_in; i++) {
    const cst_type *t = type_at(g, q->in[i]);
    if (t->space == CST_ROW) continue;
    if (same_batch || (cotangent && i == 3)) return true;
    if (element_wise && cst_broadcast_strides(&q->type[0], t, stride) && stride[0] != 0) return true;
  }
  return false;
}

typedef bool node_test(const cst_graph *g, const cst_node *q);

static bool is_scan(const cst_node *q) { return strcmp(q->op->name, "scan") == 0; }

/* Whether the body of a scan takes for rows what is the same for all. */
static bool takes_for_rows(const cst_graph *g, const cst_node *q) {
  const cst_function *f = scan_body(q->attrs);
  for (uint32_t i = 0; i < f->n_in; i++)
    if (type_at(f->graph, f->inputs[i])->space == CST_ROW && type_at(g, q->in[i])->space != CST_ROW) return true;
  return false;
}

/* A scan mixes rows where its body does. */
static bool body_mixes(const cst_node *q, node_test *mixes) {
  if (!is_scan(q)) return false;
  const cst_function *f = scan_body(q->attrs);
  for (cst_value v = 1; v <= cst_graph_size(f->graph); v++)
    if (node_at(f->graph, v)->first == v && mixes(f->graph, node_at(f->graph, v))) return true;
  return false;
}

/* A record of rows is not of rows: a solve takes one step for all of them. */
static bool mixes_itself(const cst_graph *g, const cst_node *q) {
  bool row = false, partial = false;
  for (uint32_t i = 0; i < q->n_in; i++) {
    row |= type_at(g, q->in[i])->space == CST_ROW;
    partial |= type_at(g, q->in[i])->space == CST_PARTIAL;
  }
  for (uint32_t i = 0; i < q->n_out; i++) {
    if (partial && q->type[i].space != CST_PARTIAL) return true;
    if (row && q->type[i].space == CST_SHARED) return true;
  }
  if (strcmp(q->op->name, "callback") == 0) return true; /* it is one call */
  return aligned_by_length(g, q) || (is_scan(q) && takes_for_rows(g, q));
}

bool cst_node_mixes(const cst_graph *g, const cst_node *q) {
  return mixes_itself(g, q) || body_mixes(q, cst_node_mixes);
}

bool cst_node_meets(const cst_graph *g, const cst_node *q) {
  bool apart = CST_HAS(q->op, rows_apart) && q->op->rows_apart(q->attrs);
  return (!apart && mixes_itself(g, q)) || body_mixes(q, cst_node_meets);
}

/* Draws go by the place of a row. */
static bool draws(const cst_node *q) { return strcmp(q->op->name, "random") == 0 && q->type[0].space == CST_ROW; }

static bool node_first_rows(const cst_graph *g, const cst_node *q) {
  cst_type in[SCAN_MOST];
  if (draws(q) || (is_scan(q) && !cst_graph_first_rows(scan_body(q->attrs)->graph))) return false;
  if (!CST_HAS(q->op, first_rows) || q->n_in > SCAN_MOST) return !mixes_itself(g, q);
  for (uint32_t i = 0; i < q->n_in; i++) in[i] = *type_at(g, q->in[i]);
  return q->op->first_rows(q->attrs, in, q->n_in);
}

bool cst_graph_first_rows(const cst_graph *g) {
  for (cst_value v = 1; v <= cst_graph_size(g); v++)
    if (node_at(g, v)->first == v && !node_first_rows(g, node_at(g, v))) return false;
  return true;
}
