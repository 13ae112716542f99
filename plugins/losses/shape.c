/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which targets fit a prediction.
 */
#include <stdio.h>

#include "losses.h"

const char *loss_shape(const cst_type *t, char *text, size_t size) {
  size_t at = (size_t)snprintf(text, size, "[");
  for (int i = 0; i < t->rank && at < size; i++) {
    const char *comma = i ? ", " : "";
    int n = t->space == CST_ROW && i == 0
                ? snprintf(text + at, size - at, "B")
                : snprintf(text + at, size - at, "%s%lld", comma, (long long)t->dim[i]);
    at += (size_t)n;
  }
  if (at < size) snprintf(text + at, size - at, "]");
  return text;
}

static bool same_shape(const cst_type *a, const cst_type *b) {
  return a->rank == b->rank && memcmp(a->dim, b->dim, sizeof a->dim) == 0;
}

/* Whether the inner axes of the longer shape end with those of the shorter. */
static bool ends_with(const cst_type *a, const cst_type *b) {
  int inner_a = a->rank - (a->space == CST_ROW), inner_b = b->rank - (b->space == CST_ROW);
  int n = inner_a < inner_b ? inner_a : inner_b;
  for (int i = 1; i <= n; i++)
    if (a->dim[a->rank - i] != b->dim[b->rank - i]) return false;
  return true;
}

bool loss_fits(cst_graph *g, const char *loss, cst_value prediction, cst_value target) {
  if (!prediction || !target) return false; /* an earlier failure, already reported */
  cst_type p = *cst_type_of(g, prediction), t = *cst_type_of(g, target);
  if (same_shape(&p, &t) || ends_with(&p, &t)) return true;
  char p_text[96], t_text[96];
  g->host->graph_fail(g, CST_ESHAPE, "%s: the target %s does not fit the prediction %s", loss,
                      loss_shape(&t, t_text, sizeof t_text), loss_shape(&p, p_text, sizeof p_text));
  return false;
}

cst_value loss_residual(cst_graph *g, const char *loss, cst_value prediction, cst_value target) {
  return loss_fits(g, loss, prediction, target) ? cst_sub(g, prediction, target) : CST_NONE;
}
