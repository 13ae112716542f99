/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Layers under a conditioning vector s [.., S]. A layer is x W + b and what s does to it:
 *
 *   joined     x W + s V + b                                  V shift
 *   squashed   (x W + b) * sigmoid(s G + g)                   G gate, g gate_bias
 *   shifted    (x W + b) * sigmoid(s G + g) + s H             H shift
 *   blended    x (W + sum_j s_j W_j) + b + sum_j s_j b_j      W_j slope[j], b_j bias_slope[j]
 *   generated  the same, of few rows of x under each of many s
 *
 * Where all rows have the same s, what is made of it is a vector or a matrix, made once, and every layer is then one
 * dense layer, the gated ones of weights times their gate. Where s is of rows, `blended` multiplies the products of
 * all s_j and x_i by the slopes in one product, and `generated` makes a matrix a row, which every further line and
 * every derivative by x shares.
 */
#include <math.h>
#include <stdio.h>

#include "timed.h"

typedef struct affine {
  cst_value w, b; /* b may be absent */
} affine;

static cst_value take(const cst_value **p) { return *(*p)++; }

/* W and b, if layers have one. */
static affine take_affine(const cst_options *o, const cst_value **p) {
  affine a = {.w = take(p)};
  if (cst_option_boolean(o, "bias")) a.b = take(p);
  return a;
}

static cst_value apply(cst_graph *g, cst_value x, affine a) {
  return a.b ? cst_dense(g, x, a.w, a.b, CST_NO_ACT) : cst_matmul(g, x, a.w, false);
}

static bool is_vector(cst_graph *g, cst_value s) {
  const cst_type *t = cst_type_of(g, s);
  return t->rank == 1 && t->space != CST_ROW;
}

/* What s is multiplied by starts small, so that a net begins near one that does not see it; `terms` is how many
 * products a sum of it has. */
static cst_status declare_small(const cst_host *host, const cst_options *o, cst_model_spec *m, const char *prefix,
                                const char *word, int rank, const int64_t *dim, double terms) {
  char name[64];
  snprintf(name, sizeof name, "%s%s", prefix, word);
  return host->parameter(m, name, rank, dim, CST_INIT_UNIFORM, (nn_starts_by_fan_in(o) ? 1 : 0.1) / sqrt(terms));
}

/* ---- joined ---------------------------------------------------------------------------------------------- */

static cst_status joined_declare(const cst_host *host, const cst_options *o, cst_model_spec *m, const char *prefix,
                                 int64_t in, int64_t out, int64_t width) {
  CST_TRY(nn_layer_declare(host, o, m, prefix, in, out));
  if (width == 0) return CST_OK;
  return declare_small(host, o, m, prefix, "shift", 2, (const int64_t[]){width, out}, (double)width);
}

static cst_value joined(cst_graph *g, const cst_options *o, const cst_value **p, cst_value x, cst_value s) {
  affine a = take_affine(o, p);
  if (!s) return apply(g, x, a);
  return cst_add(g, cst_matmul(g, x, a.w, false), apply(g, s, (affine){take(p), a.b}));
}

/* ---- squashed, shifted ----------------------------------------------------------------------------------- */

static cst_status squashed_declare(const cst_host *host, const cst_options *o, cst_model_spec *m, const char *prefix,
                                   int64_t in, int64_t out, int64_t width) {
  char name[64];
  bool by_fan_in = nn_starts_by_fan_in(o);
  CST_TRY(nn_layer_declare(host, o, m, prefix, in, out));
  CST_TRY(declare_small(host, o, m, prefix, "gate", 2, (const int64_t[]){width, out}, (double)width));
  snprintf(name, sizeof name, "%sgate_bias", prefix);
  return host->parameter(m, name, 1, &out, by_fan_in ? CST_INIT_UNIFORM : CST_INIT_ZERO, 1 / sqrt((double)width));
}

static cst_value take_gate(cst_graph *g, const cst_value **p, cst_value s) {
  cst_value by_s = take(p), bias = take(p);
  return cst_dense(g, s, by_s, bias, CST_SIGMOID);
}

/* Where all rows have the same s the gate goes into the weights, once for all rows, and what is left is one dense layer. */
static affine scaled(cst_graph *g, affine a, cst_value gate) {
  return (affine){cst_mul(g, a.w, gate), a.b ? cst_mul(g, a.b, gate) : CST_NONE};
}

static cst_value squashed(cst_graph *g, const cst_options *o, const cst_value **p, cst_value x, cst_value s) {
  affine a = take_affine(o, p);
  cst_value gate = take_gate(g, p, s);
  return is_vector(g, s) ? apply(g, x, scaled(g, a, gate)) : cst_mul(g, apply(g, x, a), gate);
}

static cst_status shifted_declare(const cst_host *host, const cst_options *o, cst_model_spec *m, const char *prefix,
                                  int64_t in, int64_t out, int64_t width) {
  CST_TRY(squashed_declare(host, o, m, prefix, in, out, width));
  return declare_small(host, o, m, prefix, "shift", 2, (const int64_t[]){width, out}, (double)width);
}

static cst_value shifted(cst_graph *g, const cst_options *o, const cst_value **p, cst_value x, cst_value s) {
  affine a = take_affine(o, p);
  cst_value gate = take_gate(g, p, s), shift = cst_matmul(g, s, take(p), false);
  if (!is_vector(g, s)) return cst_add(g, cst_mul(g, apply(g, x, a), gate), shift);
  a = scaled(g, a, gate);
  a.b = a.b ? cst_add(g, a.b, shift) : shift;
  return apply(g, x, a);
}

/* ---- blended, generated ---------------------------------------------------------------------------------- */

static cst_status blended_declare(const cst_host *host, const cst_options *o, cst_model_spec *m, const char *prefix,
                                  int64_t in, int64_t out, int64_t width) {
  double n = (double)width;
  CST_TRY(nn_layer_declare(host, o, m, prefix, in, out));
  CST_TRY(declare_small(host, o, m, prefix, "slope", 3, (const int64_t[]){width, in, out}, n * (double)in));
  if (!cst_option_boolean(o, "bias")) return CST_OK;
  return declare_small(host, o, m, prefix, "bias_slope", 2, (const int64_t[]){width, out}, n);
}

/* The last `drop` axes of v as axes of these lengths. */
static cst_value ending(cst_graph *g, cst_value v, int drop, int n, const int64_t *length) {
  if (!v) return CST_NONE;
  const cst_type *t = cst_type_of(g, v);
  int64_t dim[CST_MAX_RANK + 2];
  int rank = t->rank - drop;
  for (int i = 0; i < rank; i++) dim[i] = t->dim[i];
  for (int i = 0; i < n; i++) dim[rank + i] = length[i];
  return cst_reshape(g, v, rank + n, dim);
}

typedef struct blend {
  affine base, slope; /* W [in, out], b [out]; slopes [S, in, out], [S, out] */
  int64_t s, in, out;
} blend;

static blend take_blend(cst_graph *g, const cst_options *o, const cst_value **p) {
  blend l = {.base = take_affine(o, p)};
  l.slope = take_affine(o, p);
  const cst_type *t = cst_type_of(g, l.slope.w);
  l.s = t->dim[0], l.in = t->dim[1], l.out = t->dim[2];
  return l;
}

/* W + sum_j s_j W_j: [in, out], or one a row. */
static cst_value weight_at(cst_graph *g, const blend *l, cst_value s) {
  const int64_t flat = l->in * l->out, square[2] = {l->in, l->out};
  affine a = {ending(g, l->slope.w, 2, 1, &flat), ending(g, l->base.w, 2, 1, &flat)};
  return ending(g, apply(g, s, a), 1, 2, square);
}

/* y + b + sum_j s_j b_j */
static cst_value add_bias(cst_graph *g, const blend *l, cst_value s, cst_value y) {
  return l->base.b ? cst_add(g, y, apply(g, s, (affine){l->slope.b, l->base.b})) : y;
}

/* x W + (s x) [W_1; W_2; ..], of the products of all s_j and x_i */
static cst_value by_products(cst_graph *g, const blend *l, cst_value x, cst_value s) {
  const int64_t column[2] = {l->s, 1}, line[2] = {1, l->in}, all = l->s * l->in, stack[2] = {all, l->out};
  cst_value sx = cst_mul(g, ending(g, s, 1, 2, column), ending(g, x, 1, 2, line));
  cst_value moving = cst_matmul(g, ending(g, sx, 2, 1, &all), ending(g, l->slope.w, 3, 2, stack), false);
  return cst_add(g, cst_matmul(g, x, l->base.w, false), moving);
}

static cst_value blended(cst_graph *g, const cst_options *o, const cst_value **p, cst_value x, cst_value s) {
  blend l = take_blend(g, o, p);
  bool once = is_vector(g, s);
  return add_bias(g, &l, s, once ? cst_matmul(g, x, weight_at(g, &l, s), false) : by_products(g, &l, x, s));
}

/* Each row of x [B, .., in] by its own matrix [B, in, out]. */
static cst_value row_by_row(cst_graph *g, const blend *l, cst_value x, cst_value s) {
  const cst_type like = *cst_type_of(g, x);
  int64_t lines = 1;
  for (int i = 1; i + 1 < like.rank; i++) lines *= like.dim[i];
  cst_value y = cst_bmm(g, cst_reshape(g, x, 3, (const int64_t[]){like.dim[0], lines, l->in}), weight_at(g, l, s), false,
                        false);
  int64_t dim[CST_MAX_RANK];
  for (int i = 0; i < like.rank; i++) dim[i] = i + 1 < like.rank ? like.dim[i] : l->out;
  return cst_reshape(g, y, like.rank, dim);
}

static cst_value generated(cst_graph *g, const cst_options *o, const cst_value **p, cst_value x, cst_value s) {
  const cst_value *rest = *p;
  blend l = take_blend(g, o, &rest);
  const cst_type of_x = *cst_type_of(g, x), of_s = *cst_type_of(g, s);
  if (of_x.space != CST_ROW || of_s.space != CST_ROW || of_s.rank != 2) return blended(g, o, p, x, s);
  *p = rest;
  return add_bias(g, &l, s, row_by_row(g, &l, x, s));
}

const nn_timed_layer nn_joined = {joined_declare, joined}, nn_squashed = {squashed_declare, squashed},
                     nn_shifted = {shifted_declare, shifted}, nn_blended = {blended_declare, blended},
                     nn_generated = {blended_declare, generated};
