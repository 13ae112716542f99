/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Batching as a graph transform: what depends on xs is computed for k values of xs at a time, in values with one
 * more axis; what does not is computed once and shared. So k tangents share one primal (cst_graph_jvps): a
 * Jacobian [B, M, N] is one pass of its field and one pass of tangents [B, N, ..].
 *
 * The axis stands behind the batch axis of a ROW value, in front of any other. A stacked value may be without the
 * batch axis of the value it belongs to, where all rows have the same: unit vectors do, and so do their images
 * under a weight.
 */
#include "autodiff/graph_internal.h"
#include "costate/plugin.h"

enum { MAX_OUT = 256 }; /* outputs of a node */

typedef struct batching {
  cst_graph *g;
  int64_t k;
  cst_value *with; /* by value: the same with the axis, CST_NONE: it has none */
  bool *need;      /* by value: reaches ys other than through one of xs */
} batching;

static bool is_row(const cst_type *t) { return t->space == CST_ROW; }
static int inner_rank(const cst_type *t) { return t->rank - is_row(t); }

/* ---- for the rules of ops --------------------------------------------------------------------------- */

cst_type cst_stacked_type(const cst_type *like, int64_t k) {
  cst_type t = *like;
  int at = is_row(like);
  for (int i = t.rank; i > at; i--) t.dim[i] = t.dim[i - 1];
  t.dim[at] = k;
  t.rank++;
  return t;
}

int cst_stacked_axis(const cst_graph *g, cst_value stacked, const cst_type *like, int64_t axis) {
  int i = (int)(axis < 0 ? axis + like->rank : axis), row = is_row(like), has = is_row(type_at(g, stacked));
  if (i < row) return has ? 0 : -1;
  return i - row + 1 + has;
}

static cst_value with_axes(cst_graph *g, cst_value v, int at, int n) {
  const cst_type *t = type_at(g, v);
  int64_t dim[CST_MAX_RANK];
  if (n <= 0) return v;
  if (t->rank + n > CST_MAX_RANK) return cst_graph_fail(g, CST_ESHAPE, "a batch of values of %d axes", t->rank);
  for (int i = 0; i < t->rank + n; i++) dim[i] = i < at ? t->dim[i] : i < at + n ? 1 : t->dim[i - n];
  return cst_reshape(g, v, t->rank + n, dim);
}

cst_value cst_stacked_full(cst_graph *g, cst_value v, cst_value stacked, int64_t k) {
  const cst_type *like = type_at(g, v);
  if (like->rank == CST_MAX_RANK) return cst_graph_fail(g, CST_ESHAPE, "a batch of values of %d axes", like->rank);
  cst_type t = cst_stacked_type(like, k);
  if (!stacked) stacked = with_axes(g, v, is_row(like), 1);
  if (!stacked || cst_type_equal(type_at(g, stacked), &t)) return stacked;
  cst_attrs at = {.n_ints = (uint8_t)(2 + t.rank), .i = {t.rank, t.space}};
  for (int i = 0; i < t.rank; i++) at.i[2 + i] = t.dim[i];
  return cst_node1(g, "broadcast", stacked, &at);
}

/* ---- element-wise ops ---------------------------------------------------------------------------------- */

/* A stacked operand, its own inner axes lined up from the right with the `inner` axes of the result. */
static cst_value line_up_stacked(cst_graph *g, cst_value v, int inner) {
  int before = 1 + is_row(type_at(g, v));
  return with_axes(g, v, before, inner - (type_at(g, v)->rank - before));
}

/* An operand without the axis. */
static cst_value line_up_plain(cst_graph *g, cst_value v, int inner) {
  const cst_type *t = type_at(g, v);
  return is_row(t) ? with_axes(g, v, 1, 1 + inner - inner_rank(t)) : v;
}

/* A value that is not of rows meets rows with all of its axes: it is aligned with the batch by its length. */
static bool by_length(const cst_type *t, const cst_type *out) { return is_row(out) && !is_row(t) && t->rank == out->rank; }

cst_status cst_batch_broadcast(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n, const cst_value *stacked,
                               int64_t k, const cst_value *out, cst_value *out_stacked) {
  (void)a, (void)n;
  const cst_type *to = type_at(g, out[0]);
  if (by_length(type_at(g, in[0]), to)) return CST_EUNSUPPORTED;
  cst_value v = line_up_stacked(g, stacked[0], inner_rank(to));
  *out_stacked = v ? cst_stacked_full(g, out[0], v, k) : CST_NONE;
  return g->status;
}

static cst_status batch_elementwise(const batching *b, const cst_node *q, cst_value *out) {
  cst_value in[3];
  const cst_type *to = &q->type[0];
  for (uint32_t i = 0; i < q->n_in; i++)
    if (q->n_in > 3 || by_length(type_at(b->g, q->in[i]), to)) return CST_EUNSUPPORTED;
  for (uint32_t i = 0; i < q->n_in; i++) {
    cst_value v = b->with[q->in[i]];
    in[i] = v ? line_up_stacked(b->g, v, inner_rank(to)) : line_up_plain(b->g, q->in[i], inner_rank(to));
  }
  *out = cst_graph_apply(b->g, q->op, in, q->n_in, q->attrs);
  return b->g->status;
}

/* ---- the walk -------------------------------------------------------------------------------------------- */

static cst_status through_expansion(const batching *b, const cst_node *q, cst_value *out) {
  cst_value plain[8] = {CST_NONE}, wanted[8] = {CST_NONE}, in[8];
  if (q->n_out > 8 || q->n_in > 8) return CST_EUNSUPPORTED;
  CST_TRY(q->op->expand(b->g, q->attrs, q->in, q->n_in, plain));
  for (uint32_t i = 0; i < q->n_out; i++) wanted[i] = b->need[q->first + i] ? plain[i] : CST_NONE;
  uint32_t n = 0;
  cst_value xs[8];
  for (uint32_t i = 0; i < q->n_in; i++)
    if (b->with[q->in[i]]) xs[n] = q->in[i], in[n++] = b->with[q->in[i]];
  return cst_graph_batch(b->g, b->k, xs, in, n, wanted, q->n_out, out);
}

static cst_status batch_node(const batching *b, const cst_node *q) {
  cst_value stacked[64], plain[MAX_OUT], out[MAX_OUT] = {CST_NONE};
  cst_status st = CST_EUNSUPPORTED;
  if (q->n_in > 64 || q->n_out > MAX_OUT) return st;
  for (uint32_t i = 0; i < q->n_in; i++) stacked[i] = b->with[q->in[i]];
  for (uint32_t i = 0; i < q->n_out; i++) plain[i] = q->first + i;
  if (q->op->flags & CST_OP_ELEMENTWISE) st = batch_elementwise(b, q, out);
  else if (CST_HAS(q->op, batch)) st = q->op->batch(b->g, q->attrs, q->in, q->n_in, stacked, b->k, plain, out);
  else if (q->op->expand) st = through_expansion(b, q, out);
  for (uint32_t i = 0; i < q->n_out; i++) b->with[q->first + i] = out[i];
  return b->g->status != CST_OK ? b->g->status : st;
}

static bool depends(const batching *b, const cst_node *q) {
  for (uint32_t i = 0; i < q->n_in; i++)
    if (b->with[q->in[i]]) return true;
  return false;
}

static void mark_needed(const batching *b, const cst_value *ys, size_t n_y, cst_value top) {
  for (size_t i = 0; i < n_y; i++)
    if (ys[i]) b->need[ys[i]] = true;
  for (cst_value v = top; v >= 1; v--) {
    const cst_node *q = node_at(b->g, v);
    if (!b->need[v] || b->with[v]) continue; /* xs stand for themselves */
    for (uint32_t i = 0; i < q->n_in; i++) b->need[q->in[i]] = true;
  }
}

static bool runs(const batching *b, const cst_node *q) {
  for (uint32_t i = 0; i < q->n_out; i++)
    if (b->need[q->first + i] && !b->with[q->first + i]) return depends(b, q);
  return false;
}

static cst_status walk(const batching *b, cst_value top) {
  for (cst_value v = 1; v <= top; v++) {
    const cst_node *q = node_at(b->g, v);
    if (q->first != v || q->n_in == 0 || !runs(b, q)) continue;
    cst_graph_line(b->g, q->source, q->line);
    cst_status st = batch_node(b, q);
    if (st == CST_EUNSUPPORTED && b->g->status == CST_OK)
      cst_fail(impl(b->g)->ctx, st, "'%s' has no batch rule for these operands", q->op->name);
    CST_TRY(st);
  }
  return b->g->status;
}

cst_status cst_graph_batch(cst_graph *g, int64_t k, const cst_value *xs, const cst_value *x_stacked, size_t n_x,
                           const cst_value *ys, size_t n_y, cst_value *y_stacked) {
  if (g->status != CST_OK) return g->status;
  cst_value top = impl(g)->n_values;
  cst_context *ctx = impl(g)->ctx;
  size_t n = (size_t)top + 1;
  batching b = {.g = g, .k = k, .with = cst_alloc(ctx, n * (sizeof *b.with + sizeof *b.need))};
  if (!b.with) return cst_graph_fail(g, CST_ENOMEM, "out of memory for a batch of values"), CST_ENOMEM;
  b.need = (bool *)(b.with + n);
  const char *source = impl(g)->source;
  int line = impl(g)->line;
  for (size_t i = 0; i < n_x; i++)
    if (xs[i]) b.with[xs[i]] = x_stacked[i];
  mark_needed(&b, ys, n_y, top);
  cst_status st = walk(&b, top);
  for (size_t i = 0; i < n_y; i++) y_stacked[i] = st == CST_OK && ys[i] ? b.with[ys[i]] : CST_NONE;
  impl(g)->source = source, impl(g)->line = line;
  cst_free(ctx, b.with);
  return st;
}

/* ---- tangents ---------------------------------------------------------------------------------------------- */

/* One tangent goes along inputs that nothing binds; then k of them take their place, and they are dead code. */
cst_status cst_graph_jvps(cst_graph *g, int64_t k, const cst_value *xs, const cst_value *x_dots, size_t n_x,
                          const cst_value *ys, size_t n_y, cst_value *y_dots) {
  if (g->status != CST_OK) return g->status;
  cst_context *ctx = impl(g)->ctx;
  cst_value *one = cst_alloc(ctx, (n_x + n_y + 1) * sizeof *one), *dot = one + n_x;
  if (!one) return cst_graph_fail(g, CST_ENOMEM, "out of memory for tangents"), CST_ENOMEM;
  for (size_t i = 0; i < n_x; i++) one[i] = xs[i] && x_dots[i] ? cst_graph_input(g, type_at(g, xs[i]), "tangent") : CST_NONE;
  cst_status st = cst_graph_jvp(g, xs, one, n_x, ys, n_y, dot);
  if (st == CST_OK) st = cst_graph_batch(g, k, one, x_dots, n_x, dot, n_y, y_dots);
  for (size_t i = 0; i < n_y && st == CST_OK; i++)
    if (y_dots[i]) y_dots[i] = cst_stacked_full(g, ys[i], y_dots[i], k);
  cst_free(ctx, one);
  return st != CST_OK ? st : g->status;
}
