/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Band matrices, one row of `bands` a diagonal, the lowest first: with p = lower + upper + 1 rows,
 *
 *   bands[r, i] = A[i, i + r - lower]                  r = 0 .. p - 1
 *
 * so column i of `bands` is equation i, and entries that would fall outside A are not read. For
 * lower = upper = 1 the rows are the subdiagonal (from its second entry on), the diagonal and the
 * superdiagonal. Three ops, whose derivatives are made of each other:
 *
 *   solve_banded(bands, b)    x = A^-1 b        b_bar = A^-T x_bar          bands_bar = -outer(b_bar, x)
 *   banded_times(bands, x)    y = A x           x_bar = A^T y_bar           bands_bar = outer(y_bar, x)
 *   banded_outer(u, v)        [r, i] = u_i v_{i + r - lower}                (the bands of u v^T)
 *                                               u_bar = bar v, v_bar = bar^T u, where bar is bands itself
 *
 * Attributes lower, upper and, of the first two, transposed: A^T for A, which swaps the operands of
 * outer.
 */
#include "linalg.h"

enum { LOWER, UPPER, TRANSPOSED };

static size_t lower_of(const cst_attrs *at) { return (size_t)at->i[LOWER]; }
static size_t upper_of(const cst_attrs *at) { return (size_t)at->i[UPPER]; }

static cst_status check_widths(const cst_host *h, const cst_attrs *at, int64_t n) {
  int64_t lower = at->i[LOWER], upper = at->i[UPPER];
  if (n > 0 && lower >= 0 && upper >= 0 && lower <= n && upper <= n) return CST_OK;
  return h->fail(h, CST_ESHAPE, "a band matrix of %lld equations has from 0 to %lld diagonals on either side, got lower = "
                 "%lld, upper = %lld", (long long)n, (long long)n, (long long)lower, (long long)upper);
}

static cst_status infer(const cst_host *h, const cst_attrs *at, const cst_type *in, size_t n, cst_type *x, size_t *n_out) {
  (void)n, (void)n_out;
  char text[64];
  int64_t equations = linalg_rank(&in[0]) == 2 ? linalg_dim(&in[0], 1) : 0;
  if (linalg_rank(&in[0]) != 2)
    return h->fail(h, CST_ESHAPE, "bands are [lower + upper + 1, n], one row a diagonal, or a batch of them (cs.rows), got %s",
                   linalg_format(&in[0], text, sizeof text));
  CST_TRY(check_widths(h, at, equations));
  if (linalg_dim(&in[0], 0) != at->i[LOWER] + at->i[UPPER] + 1)
    return h->fail(h, CST_ESHAPE, "lower = %lld and upper = %lld need %lld rows of bands, got %s", (long long)at->i[LOWER],
                   (long long)at->i[UPPER], (long long)(at->i[LOWER] + at->i[UPPER] + 1),
                   linalg_format(&in[0], text, sizeof text));
  return linalg_infer(h, in, equations, equations, x);
}

/* ---- solve_banded ------------------------------------------------------------------------------------- */

static cst_status solve_state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state) {
  (void)ctx, (void)rows;
  const cst_type *bands = &q->operand[0].type;
  size_t n = (size_t)linalg_dim(bands, 1), p = (size_t)linalg_dim(bands, 0);
  return linalg_state_new(q, n * 2 * p, n * p + n, n, state); /* 2 p >= 2 lower + upper + 1 */
}

/* Rows of A, or of A^T: entry (i, j) of A^T is entry (j, i) of A. */
static void arrange(const cst_attrs *at, size_t n, const double *bands, double *w) {
  bool t = at->i[TRANSPOSED] != 0;
  size_t lower = t ? upper_of(at) : lower_of(at), upper = t ? lower_of(at) : upper_of(at);
  size_t p = lower + upper + 1, width = p + lower;
  for (size_t i = 0; i < n; i++)
    for (size_t s = 0; s < width; s++) {
      bool inside = s < p && i + s >= lower && i + s - lower < n;
      size_t from = t ? (p - 1 - s) * n + i + s - lower : s * n + i;
      w[i * width + s] = inside ? bands[from] : 0;
    }
}

static cst_status factor(const cst_call *c, size_t row) {
  work *w = c->state;
  const cst_attrs *at = c->q->attrs;
  bool t = at->i[TRANSPOSED] != 0;
  double *size = w->more, *bands = w->more + w->n;
  linalg_load(c, 0, row, bands);
  arrange(at, w->n, bands, w->a);
  size_t lower = t ? upper_of(at) : lower_of(at), upper = t ? lower_of(at) : upper_of(at);
  size_t j = linalg_band_lu(w->a, w->n, lower, upper, w->pivot, size);
  if (j == w->n) return CST_OK;
  return linalg_singular(c, "linalg.solve_banded", LINALG_TRY, row, j, w->n, w->a[j * (2 * lower + upper + 1) + lower]);
}
static void apply(const cst_call *c) {
  work *w = c->state;
  const cst_attrs *at = c->q->attrs;
  bool t = at->i[TRANSPOSED] != 0;
  linalg_band_solve(w->a, w->n, t ? upper_of(at) : lower_of(at), t ? lower_of(at) : upper_of(at), w->pivot, w->x, w->k);
}
static cst_status solve_run(const cst_call *c) { return linalg_run(c, factor, apply); }

/* ---- banded_times --------------------------------------------------------------------------------------- */

static cst_status times_state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state) {
  (void)ctx, (void)rows;
  const cst_type *bands = &q->operand[0].type, *x = &q->operand[1].type;
  size_t n = (size_t)linalg_dim(bands, 1), p = (size_t)linalg_dim(bands, 0);
  size_t k = linalg_rank(x) == 2 ? (size_t)linalg_dim(x, 1) : 1;
  return linalg_state_new(q, n * p, n * k, 0, state);
}

static cst_status load_bands(const cst_call *c, size_t row) {
  linalg_load(c, 0, row, ((work *)c->state)->a);
  return CST_OK;
}

static void times(const cst_call *c) {
  work *w = c->state;
  const cst_attrs *at = c->q->attrs;
  size_t lower = lower_of(at), p = lower + upper_of(at) + 1, k = w->k;
  for (size_t i = 0; i < w->n * k; i++) w->more[i] = w->x[i], w->x[i] = 0;
  for (size_t r = 0; r < p; r++)
    for (size_t i = 0; i < w->n; i++) {
      size_t j = i + r - lower;
      if (i + r < lower || j >= w->n) continue;
      size_t to = at->i[TRANSPOSED] ? j : i, from = at->i[TRANSPOSED] ? i : j;
      for (size_t q = 0; q < k; q++) w->x[to * k + q] += w->a[r * w->n + i] * w->more[from * k + q];
    }
}
static cst_status times_run(const cst_call *c) { return linalg_run(c, load_bands, times); }

/* ---- banded_outer ----------------------------------------------------------------------------------------- */

static cst_status outer_infer(const cst_host *h, const cst_attrs *at, const cst_type *in, size_t n, cst_type *out,
                              size_t *n_out) {
  (void)n, (void)n_out;
  const cst_type *u = &in[0], *v = &in[1], *batch = linalg_of_rows(u) ? u : linalg_of_rows(v) ? v : NULL;
  char s[64], t[64];
  int rank = linalg_rank(u);
  CST_TRY(linalg_same_dtype(h, in, 2));
  bool fits = rank == linalg_rank(v) && (rank == 1 || rank == 2) && linalg_dim(u, 0) == linalg_dim(v, 0) &&
              linalg_dim(u, rank - 1) == linalg_dim(v, rank - 1);
  if (!fits)
    return h->fail(h, CST_ESHAPE, "the bands of u v^T need vectors, or columns, of equal length, got %s and %s",
                   linalg_format(u, s, sizeof s), linalg_format(v, t, sizeof t));
  CST_TRY(check_widths(h, at, linalg_dim(u, 0)));
  bool partial = (u->space == CST_PARTIAL) != (v->space == CST_PARTIAL);
  *out = (cst_type){.dtype = u->dtype, .rank = (uint8_t)(2 + (batch != NULL))};
  out->space = batch ? CST_ROW : partial ? CST_PARTIAL : CST_SHARED;
  if (batch) out->dim[0] = batch->dim[0];
  out->dim[out->rank - 2] = at->i[LOWER] + at->i[UPPER] + 1;
  out->dim[out->rank - 1] = linalg_dim(u, 0);
  return CST_OK;
}

/* The result takes the place of x, which is u at first; v stands in `a`. */
static cst_status outer_state_new(cst_context *ctx, const cst_instruction *q, size_t rows, void **state) {
  (void)ctx, (void)rows;
  const cst_operand *u = &q->operand[0], *v = &q->operand[1], *out = &q->operand[2];
  return linalg_state_new(q, v->inner, u->inner + out->inner, 0, state);
}

static cst_status outer_run(const cst_call *c) {
  work *w = c->state;
  const cst_attrs *at = c->q->attrs;
  size_t lower = lower_of(at), p = lower + upper_of(at) + 1, n = w->m, k = w->k;
  size_t rows = linalg_of_rows(&c->q->operand[2].type) ? c->rows : 1;
  double *u = w->more, *bands = w->more + n * k;
  for (size_t row = 0; c->p[2] && row < rows; row++) {
    linalg_load(c, 0, row, u);
    linalg_load(c, 1, row, w->a);
    for (size_t r = 0; r < p; r++)
      for (size_t i = 0; i < n; i++) {
        double sum = 0;
        bool inside = i + r >= lower && i + r - lower < n;
        for (size_t q = 0; inside && q < k; q++) sum += u[i * k + q] * w->a[(i + r - lower) * k + q];
        bands[r * n + i] = sum;
      }
    linalg_store(c, 2, row, bands);
  }
  return CST_OK;
}

/* ---- rules --------------------------------------------------------------------------------------------------- */

static cst_value node(cst_graph *g, const char *op, const cst_attrs *like, cst_value a, cst_value b, bool transposed) {
  cst_attrs at = {.n_ints = 3, .i = {like->i[LOWER], like->i[UPPER], transposed}};
  return a && b ? cst_node2(g, op, a, b, &at) : CST_NONE;
}
#define SOLVE "linalg.solve_banded"
#define TIMES "linalg.banded_times"
#define OUTER "linalg.banded_outer"

static cst_status solve_vjp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                            const cst_value *bar, const bool *want, cst_value *in_bar) {
  (void)n;
  bool t = at->i[TRANSPOSED] != 0;
  cst_value b_bar = node(g, SOLVE, at, in[0], bar[0], !t);
  cst_value u = t ? out[0] : b_bar, v = t ? b_bar : out[0];
  if (want[0]) in_bar[0] = cst_neg(g, linalg_reduce(g, node(g, OUTER, at, u, v, false), in[0]));
  if (want[1]) in_bar[1] = linalg_reduce(g, b_bar, in[1]);
  return g->status;
}
static cst_status solve_jvp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                            const cst_value *dot, cst_value *out_dot) {
  (void)n;
  bool t = at->i[TRANSPOSED] != 0;
  cst_value moved = node(g, TIMES, at, dot[0], out[0], t);
  *out_dot = node(g, SOLVE, at, in[0], linalg_sub(g, dot[1], moved), t);
  return g->status;
}

static cst_status times_vjp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                            const cst_value *bar, const bool *want, cst_value *in_bar) {
  (void)n, (void)out;
  bool t = at->i[TRANSPOSED] != 0;
  cst_value u = t ? in[1] : bar[0], v = t ? bar[0] : in[1];
  if (want[0]) in_bar[0] = linalg_reduce(g, node(g, OUTER, at, u, v, false), in[0]);
  if (want[1]) in_bar[1] = linalg_reduce(g, node(g, TIMES, at, in[0], bar[0], !t), in[1]);
  return g->status;
}
static cst_status times_jvp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                            const cst_value *dot, cst_value *out_dot) {
  (void)n, (void)out;
  bool t = at->i[TRANSPOSED] != 0;
  *out_dot = linalg_add(g, node(g, TIMES, at, dot[0], in[1], t), node(g, TIMES, at, in[0], dot[1], t));
  return g->status;
}

static cst_status outer_vjp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                            const cst_value *bar, const bool *want, cst_value *in_bar) {
  (void)n, (void)out;
  if (want[0]) in_bar[0] = linalg_reduce(g, node(g, TIMES, at, bar[0], in[1], false), in[0]);
  if (want[1]) in_bar[1] = linalg_reduce(g, node(g, TIMES, at, bar[0], in[0], true), in[1]);
  return g->status;
}
static cst_status outer_jvp(cst_graph *g, const cst_attrs *at, const cst_value *in, size_t n, const cst_value *out,
                            const cst_value *dot, cst_value *out_dot) {
  (void)n, (void)out;
  *out_dot = linalg_add(g, node(g, OUTER, at, dot[0], in[1], false), node(g, OUTER, at, in[0], dot[1], false));
  return g->status;
}

#define OP(nm, infers, nm_, lin)                                                                            \
  {.struct_size = sizeof(cst_op), .name = nm, .n_in_min = 2, .n_in_max = 2, .flags = CST_OP_REAL,            \
   .linear = lin, .infer = infers, .kernel = {nm_##_run, nm_##_run}, .vjp = nm_##_vjp, .jvp = nm_##_jvp,     \
   .state_new = nm_##_state_new, .state_free = linalg_state_free}
const cst_op linalg_solve_banded = OP("solve_banded", infer, solve, 2);
const cst_op linalg_banded_times = OP("banded_times", infer, times, 3);
const cst_op linalg_banded_outer = OP("banded_outer", outer_infer, outer, 3);
