/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Controls: a function of time given by its values at knots, and its derivatives in time.
 *
 *     control (t, times [K], values [K, ..]) = sum_k w_k(t) values_k
 *     control_scatter (t, times, x [..])     = the array [K, ..] of w_k(t) x
 *
 * w_k are the `order`-th derivatives in t of the weights of a kind of interpolation: on the interval
 * i with length h, s = (t - t_i)/h, r = h / length of the interval before (its first interval: linear),
 *
 *     constant   w_i = 1, right-continuous: the value of the last knot at or before t
 *     linear     w_i = 1 - s, w_{i+1} = s
 *     hermite    w_{i-1} = -r b, w_i = 1 - a + r b, w_{i+1} = a,  a = 2 s^2 - s^3, b = s - 2 s^2 + s^3
 *
 * The last is the cubic Hermite spline with backward differences (Morrill, Kidger, Yang, Lyons,
 * "Neural Controlled Differential Equations for Online Prediction Tasks", 2021): its slope at a knot is
 * that of the chord to the knot before, so that a value bends nothing that lies before its interval.
 * Before the first knot and after the last u stays what it is there.
 *
 * Both are linear in their last input, each is the other's transpose, and the derivative of both in t is
 * the next order: derivatives nest. Knot times are constants of every derivative.
 */
#include <string.h>

#include "autodiff/graph_internal.h"

/* ---- weights ------------------------------------------------------------------------------------- */

enum { TAPS = 3 };
typedef struct taps {
  size_t n, first; /* knots first .. first + n - 1 */
  double w[TAPS];
} taps;

/* The last knot at or before t; n when t lies before all. */
static size_t interval(const double *times, size_t n, double t) {
  size_t low = 0, high = n; /* times[low - 1] <= t < times[high] */
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    if (times[mid] <= t) low = mid + 1;
    else high = mid;
  }
  return low ? low - 1 : n;
}

/* The order-th derivative of a polynomial of degree at most 3, c_0 + c_1 s + .., at s. */
static double polynomial(const double *c, int order, double s) {
  double y = 0;
  for (int k = 3; k >= order; k--) {
    double factor = 1;
    for (int j = 0; j < order; j++) factor *= k - j;
    y = y * s + factor * c[k];
  }
  return y;
}

static taps linear(size_t i, double h, int order, double s) {
  if (order == 0) return (taps){2, i, {1 - s, s, 0}};
  return order == 1 ? (taps){2, i, {-1 / h, 1 / h, 0}} : (taps){0};
}

static taps hermite(size_t i, double h, double r, int order, double s) {
  static const double a[4] = {0, 0, 2, -1}, b[4] = {0, 1, -2, 1};
  double scale = 1, one = order == 0;
  for (int j = 0; j < order; j++) scale /= h;
  double wa = polynomial(a, order, s) * scale, wb = r * polynomial(b, order, s) * scale;
  return order > 3 ? (taps){0} : (taps){3, i - 1, {-wb, one - wa + wb, wa}};
}

static taps weights(int64_t kind, int order, const double *times, size_t n, double t) {
  size_t i = interval(times, n, t);
  bool outside = i >= n - 1; /* also before the first knot */
  if (outside || kind == CST_CONTROL_CONSTANT)
    return (taps){order == 0, i == n ? 0 : i, {1, 0, 0}};
  double h = times[i + 1] - times[i], s = (t - times[i]) / h;
  double before = i > 0 ? times[i] - times[i - 1] : 0;
  bool bent = kind == CST_CONTROL_HERMITE && before > 0;
  return bent ? hermite(i, h, h / before, order, s) : linear(i, h, order, s);
}

/* ---- types ------------------------------------------------------------------------------------------ */

/* An axis of points leads the result where t is a vector, or where anything is of rows. */
static cst_status check(const cst_host *h, const cst_attrs *a, const cst_type *in) {
  const cst_type *t = &in[0], *times = &in[1];
  char x[64], y[64];
  bool rows = times->space == CST_ROW;
  if (a->i[0] < 0 || a->i[0] > CST_CONTROL_HERMITE || a->i[1] < 0)
    return h->fail(h, CST_EINVAL, "no such kind or derivative of a control");
  if (t->dtype != CST_F64 || t->rank > 1 || t->space == CST_PARTIAL)
    return h->fail(h, CST_ESHAPE, "a control is asked for an f64 time or a vector of times, got %s",
                   cst_type_format(t, x, sizeof x));
  if (times->dtype != CST_F64 || times->space == CST_PARTIAL || times->rank != 1 + rows || times->dim[rows] < 1)
    return h->fail(h, CST_ESHAPE, "knots of a control are a vector of at least one f64, or one a row; got %s",
                   cst_type_format(times, x, sizeof x));
  if (rows && t->space != CST_ROW && t->rank > 0)
    return h->fail(h, CST_ESHAPE, "times %s of a control whose knots are %s: of rows only one time is asked",
                   cst_type_format(t, x, sizeof x), cst_type_format(times, y, sizeof y));
  return CST_OK;
}

static bool is_row(const cst_type *t) { return t->space == CST_ROW; }
static int64_t knots(const cst_type *times) { return times->dim[times->rank - 1]; }

/* attributes: kind, order */
static cst_status control_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                                cst_type *out, size_t *n_out) {
  (void)n, (void)n_out;
  const cst_type *t = &in[0], *times = &in[1], *values = &in[2];
  char x[64], y[64];
  CST_TRY(check(h, a, in));
  int axis = is_row(values);
  bool points = is_row(t) || is_row(times) || axis || t->rank;
  if (values->rank <= axis || values->dim[axis] != knots(times) || (values->dtype != CST_F32 && values->dtype != CST_F64))
    return h->fail(h, CST_ESHAPE, "a control of %lld knots has values %s: that axis has another length",
                   (long long)knots(times), cst_type_format(values, x, sizeof x));
  if (axis && t->rank && !is_row(t))
    return h->fail(h, CST_ESHAPE, "times %s of a control whose values are %s: of rows only one time is asked",
                   cst_type_format(t, x, sizeof x), cst_type_format(values, y, sizeof y));
  *out = (cst_type){.dtype = values->dtype, .space = values->space};
  if (points) out->dim[out->rank++] = is_row(t) || !is_row(times) ? t->rank ? t->dim[0] : values->dim[0] : times->dim[0];
  for (int i = axis + 1; i < values->rank; i++) out->dim[out->rank++] = values->dim[i];
  if (is_row(t) || is_row(times)) out->space = CST_ROW;
  return CST_OK;
}

/* attributes: kind, order, whether the result has knots of its own for every row */
static cst_status control_scatter_infer(const cst_host *h, const cst_attrs *a, const cst_type *in, size_t n,
                                        cst_type *out, size_t *n_out) {
  (void)n, (void)n_out;
  const cst_type *t = &in[0], *times = &in[1], *x = &in[2];
  CST_TRY(check(h, a, in));
  bool points = x->space == CST_ROW || t->rank;
  bool vector = t->rank && !is_row(t); /* one value a time */
  if (x->rank < points || (a->i[2] && !is_row(x)) || x->rank + !points > CST_MAX_RANK ||
      ((is_row(t) || is_row(times)) && !is_row(x)) || (vector && (is_row(x) || x->dim[0] != t->dim[0])))
    return h->fail(h, CST_ESHAPE, "what is spread over the knots of a control has another shape than its value");
  *out = (cst_type){.dtype = x->dtype, .space = x->space};
  if (a->i[2]) out->dim[out->rank++] = x->dim[0];
  else if (is_row(x)) out->space = CST_PARTIAL;
  out->dim[out->rank++] = knots(times);
  for (int i = points; i < x->rank; i++) out->dim[out->rank++] = x->dim[i];
  return CST_OK;
}

/* ---- kernels ------------------------------------------------------------------------------------------ */

/* Points and how far apart what belongs to them lies; 0: the same for all. Scalars of one value. */
typedef struct layout {
  size_t points, t, times, n_knots, inner, by_knot;
} layout;

/* `by_knot`: the operand that has an axis of knots. */
static layout layout_of(const cst_call *c, int value, int by_knot) {
  const cst_operand *o = c->q->operand;
  const cst_type *t = &o[0].type, *times = &o[1].type, *v = &o[value].type;
  layout l = {.points = 1, .n_knots = (size_t)knots(times)};
  bool row = is_row(v), points = row || t->rank;
  if (row) l.points = c->rows;
  else if (t->rank) l.points = (size_t)t->dim[0];
  l.inner = 1;
  for (int i = points; i < v->rank; i++) l.inner *= (size_t)v->dim[i];
  l.t = t->rank ? 1 : 0;
  l.times = is_row(times) ? l.n_knots : 0;
  l.by_knot = is_row(&o[by_knot].type) ? l.n_knots * l.inner : 0;
  return l;
}

static taps taps_of(const cst_call *c, const layout *l, size_t point) {
  const cst_attrs *a = c->q->attrs;
  return weights(a->i[0], (int)a->i[1], (const double *)c->p[1] + point * l->times, l->n_knots,
                 ((const double *)c->p[0])[point * l->t]);
}

#define KERNELS(T, suffix)                                                                        \
  static cst_status control_run_##suffix(const cst_call *c) {                                     \
    layout l = layout_of(c, 3, 2);                                                                \
    taps w = {0};                                                                                 \
    for (size_t p = 0; p < l.points; p++) {                                                       \
      const T *values = (const T *)c->p[2] + p * l.by_knot;                                       \
      T *out = (T *)c->p[3] + p * l.inner;                                                        \
      if (p == 0 || l.t || l.times) w = taps_of(c, &l, p);                                        \
      for (size_t i = 0; i < l.inner; i++) {                                                      \
        T sum = 0;                                                                                \
        for (size_t k = 0; k < w.n; k++) sum += (T)w.w[k] * values[(w.first + k) * l.inner + i];  \
        out[i] = sum;                                                                             \
      }                                                                                           \
    }                                                                                             \
    return CST_OK;                                                                                \
  }                                                                                               \
  static cst_status control_scatter_run_##suffix(const cst_call *c) {                             \
    layout l = layout_of(c, 2, 3);                                                                \
    taps w = {0};                                                                                 \
    size_t arrays = l.by_knot ? l.points : 1;                                                     \
    if (!(c->add & 1)) memset(c->p[3], 0, arrays * l.n_knots * l.inner * sizeof(T));              \
    for (size_t p = 0; p < l.points; p++) {                                                       \
      const T *x = (const T *)c->p[2] + p * l.inner;                                              \
      T *out = (T *)c->p[3] + p * l.by_knot;                                                      \
      if (p == 0 || l.t || l.times) w = taps_of(c, &l, p);                                        \
      for (size_t k = 0; k < w.n; k++)                                                            \
        for (size_t i = 0; i < l.inner; i++) out[(w.first + k) * l.inner + i] += (T)w.w[k] * x[i]; \
    }                                                                                             \
    return CST_OK;                                                                                \
  }
KERNELS(float, f32)
KERNELS(double, f64)

/* ---- derivatives --------------------------------------------------------------------------------------- */

/* The derivative of a node's value in t: the same node, one order higher. CST_NONE: it is zero. */
static cst_value slope(cst_graph *g, const char *op, const cst_attrs *a, const cst_value *in, cst_value x) {
  if (a->i[1] + 1 > (a->i[0] == CST_CONTROL_HERMITE ? 3 : a->i[0])) return CST_NONE;
  cst_attrs at = *a;
  at.i[1]++;
  return g->host->node(g, op, (cst_value[]){in[0], in[1], x}, 3, &at);
}

/* x times dt, which has one number for all points or one a point. */
static cst_value times_dt(cst_graph *g, cst_value x, cst_value dt) {
  const cst_type *type = type_at(g, x), *t = type_at(g, dt);
  int64_t dim[CST_MAX_RANK] = {t->dim[0], 1, 1, 1, 1, 1, 1, 1};
  int rank = type->rank;
  bool vector = t->rank == 1;
  if (t->dtype != type->dtype) dt = cst_cast(g, dt, (cst_dtype)type->dtype);
  return cst_mul(g, x, vector && rank > 1 ? cst_reshape(g, dt, rank, dim) : dt);
}

/* What a product of two values as large as the control's is summed to for t. */
static cst_value sum_points(cst_graph *g, cst_value a, cst_value b, cst_value t) {
  return cst_sum(g, cst_mul(g, a, b), type_at(g, t)->rank ? ~(uint64_t)1 : ~(uint64_t)0, false);
}

static cst_value control(cst_graph *g, const cst_attrs *a, const cst_value *in, cst_value values) {
  cst_attrs at = {.n_ints = 2, .i = {a->i[0], a->i[1]}};
  return g->host->node(g, "control", (cst_value[]){in[0], in[1], values}, 3, &at);
}

static cst_value scatter(cst_graph *g, const cst_attrs *a, const cst_value *in, cst_value x, bool row) {
  cst_attrs at = {.n_ints = 3, .i = {a->i[0], a->i[1], row}};
  return g->host->node(g, "control_scatter", (cst_value[]){in[0], in[1], x}, 3, &at);
}

static cst_status control_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                              const cst_value *out, const cst_value *bar, const bool *want, cst_value *in_bar) {
  (void)n, (void)out;
  cst_value du = want[0] ? slope(g, "control", a, in, in[2]) : CST_NONE;
  if (du) in_bar[0] = sum_points(g, bar[0], du, in[0]);
  if (want[2]) in_bar[2] = scatter(g, a, in, bar[0], is_row(type_at(g, in[2])));
  return g->status;
}

static cst_status control_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                              const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)n, (void)out;
  cst_value du = dot[0] ? slope(g, "control", a, in, in[2]) : CST_NONE;
  if (du) du = times_dt(g, du, dot[0]);
  *out_dot = add_values(g, dot[2] ? control(g, a, in, dot[2]) : CST_NONE, du);
  return g->status;
}

static cst_status control_scatter_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                                      const cst_value *out, const cst_value *bar, const bool *want,
                                      cst_value *in_bar) {
  (void)n, (void)out;
  cst_attrs at = {.n_ints = 2, .i = {a->i[0], a->i[1]}};
  cst_value du = want[0] ? slope(g, "control", &at, in, bar[0]) : CST_NONE;
  if (du) in_bar[0] = sum_points(g, derivative_like(g, du, in[2]), in[2], in[0]);
  if (want[2]) in_bar[2] = control(g, a, in, bar[0]);
  return g->status;
}

static cst_status control_scatter_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,
                                      const cst_value *out, const cst_value *dot, cst_value *out_dot) {
  (void)n, (void)out;
  cst_value moved = dot[0] ? slope(g, "control_scatter", a, in, times_dt(g, in[2], dot[0])) : CST_NONE;
  *out_dot = add_values(g, dot[2] ? scatter(g, a, in, dot[2], a->i[2]) : CST_NONE, moved);
  return g->status;
}

#define ROW(nm, ...)                                                                              \
  {.struct_size = sizeof(cst_op), .name = #nm, .n_in_min = 3, .n_in_max = 3, .linear = 4,          \
   .infer = nm##_infer, .kernel = {nm##_run_f32, nm##_run_f64}, .vjp = nm##_vjp, .jvp = nm##_jvp, __VA_ARGS__}
static const cst_op table[] = {ROW(control, .accumulates = 0), ROW(control_scatter, .accumulates = 1)};

cst_status cst_register_controls(const cst_host *h) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) CST_TRY(h->register_op(h, &table[i]));
  return CST_OK;
}
