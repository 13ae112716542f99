/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Element-wise ops. Each row names its kernel and its partial derivatives; pullback and tangent
 * follow from these alone:  x_bar = sum_to(y_bar * dy/dx),  y_dot = sum of dy/dx * x_dot.
 */
#include "autodiff/graph_internal.h"
#include "tensor/kernels.h"

/* dy/dx_i as a value; `in` the operands, y the result. */
typedef cst_value partial_fn(cst_graph *g, int i, const cst_value *in, cst_value y);

#define PARTIAL(name) static cst_value d_##name(cst_graph *g, int i, const cst_value *in, cst_value y)
#define UNUSED (void)g, (void)i, (void)in, (void)y
#define C(x) cst_scalar(g, x)

PARTIAL(neg) { UNUSED; return C(-1); }
PARTIAL(abs) { UNUSED; return cst_sign(g, in[0]); }
PARTIAL(recip) { UNUSED; return cst_neg(g, cst_square(g, y)); }
PARTIAL(square) { UNUSED; return cst_mul(g, C(2), in[0]); }
PARTIAL(cube) { UNUSED; return cst_mul(g, C(3), cst_square(g, in[0])); }
PARTIAL(sqrt) { UNUSED; return cst_div(g, C(0.5), y); }
PARTIAL(exp) { UNUSED; return y; }
PARTIAL(expm1) { UNUSED; return cst_add(g, y, C(1)); }
PARTIAL(log) { UNUSED; return cst_recip(g, in[0]); }
PARTIAL(log1p) { UNUSED; return cst_recip(g, cst_add(g, in[0], C(1))); }
PARTIAL(sin) { UNUSED; return cst_cos(g, in[0]); }
PARTIAL(cos) { UNUSED; return cst_neg(g, cst_sin(g, in[0])); }
PARTIAL(tan) { UNUSED; return cst_add(g, cst_square(g, y), C(1)); }
PARTIAL(tanh) { UNUSED; return cst_sub(g, C(1), cst_square(g, y)); }
PARTIAL(sigmoid) { UNUSED; return cst_mul(g, y, cst_sub(g, C(1), y)); }
PARTIAL(softplus) { UNUSED; return cst_sigmoid(g, in[0]); }
PARTIAL(relu) { UNUSED; return cst_heaviside(g, in[0]); }
PARTIAL(elu) { UNUSED; return cst_where(g, cst_heaviside(g, in[0]), C(1), cst_add(g, y, C(1))); }
PARTIAL(erf) {
  UNUSED; /* 2/sqrt(pi) exp(-x^2) */
  return cst_mul(g, C(1.1283791670955125739), cst_exp(g, cst_neg(g, cst_square(g, in[0]))));
}
PARTIAL(atan) { UNUSED; return cst_recip(g, cst_add(g, cst_square(g, in[0]), C(1))); }
PARTIAL(add) { UNUSED; return C(1); }
PARTIAL(sub) { UNUSED; return C(i == 0 ? 1 : -1); }
PARTIAL(mul) { UNUSED; return in[1 - i]; }
PARTIAL(div) {
  UNUSED;
  return i == 0 ? cst_recip(g, in[1]) : cst_neg(g, cst_div(g, y, in[1]));
}
PARTIAL(pow) {
  UNUSED;
  if (i == 0) return cst_mul(g, in[1], cst_pow(g, in[0], cst_sub(g, in[1], C(1))));
  return cst_mul(g, y, cst_log(g, in[0]));
}
/* Ties share the derivative, so that max(x, x) = x has derivative 1. */
static cst_value pick(cst_graph *g, cst_value larger, cst_value smaller) {
  return cst_add(g, cst_lt(g, smaller, larger),
                 cst_mul(g, C(0.5), cst_eq(g, smaller, larger)));
}
PARTIAL(max) { UNUSED; return pick(g, in[i], in[1 - i]); }
PARTIAL(min) { UNUSED; return pick(g, in[1 - i], in[i]); }

typedef struct row {
  cst_op op;
  partial_fn *partial;
} row;

static const row *row_of(const char *name);

static cst_value times(cst_graph *g, cst_value bar, cst_value d) {
  if (cst_op_is(g, d, "scalar")) {
    double x = node_at(g, d)->attrs->x[0];
    if (x == 1) return bar;
    if (x == -1) return cst_neg(g, bar);
  }
  return cst_mul(g, bar, d);
}

/* where(c, a, b): the branch not taken gets an exact zero, whatever it holds. */
static cst_value where_part(cst_graph *g, int i, cst_value c, cst_value bar) {
  if (i == 0) return CST_NONE;
  cst_value zero = C(0);
  return i == 1 ? cst_where(g, c, bar, zero) : cst_where(g, c, zero, bar);
}

static cst_status map_vjp(cst_graph *g, const char *name, const cst_value *in, size_t n,
                          cst_value y, cst_value y_bar, const bool *want, cst_value *in_bar) {
  const row *r = row_of(name);
  for (size_t i = 0; i < n; i++) {
    if (!want[i]) continue;
    cst_value bar = r->op.map - 1 == CST_MAP_where
                        ? where_part(g, (int)i, in[0], y_bar)
                        : times(g, y_bar, r->partial(g, (int)i, in, y));
    in_bar[i] = bar ? cst_sum_to(g, bar, in[i]) : CST_NONE;
  }
  return g->status;
}

/* The tangent of an operand, lined up as the operand is in y: next to fewer operands, one that is not of
 * rows might line up otherwise. */
static cst_value tangent_in(cst_graph *g, cst_value dot, cst_value y) {
  bool same = type_at(g, dot)->space == CST_ROW || type_at(g, y)->space != CST_ROW || type_at(g, dot)->rank == 0;
  return same ? dot : cst_broadcast_like(g, dot, y);
}

static cst_status map_jvp(cst_graph *g, const char *name, const cst_value *in, size_t n,
                          cst_value y, const cst_value *in_dot, cst_value *out_dot) {
  const row *r = row_of(name);
  cst_value sum = CST_NONE;
  for (size_t i = 0; i < n; i++) {
    if (!in_dot[i]) continue;
    cst_value dot = tangent_in(g, in_dot[i], y);
    cst_value d = r->op.map - 1 == CST_MAP_where ? where_part(g, (int)i, in[0], dot)
                                                 : times(g, dot, r->partial(g, (int)i, in, y));
    sum = add_values(g, sum, d);
  }
  if (sum && !cst_type_equal(type_at(g, sum), type_at(g, y))) sum = cst_broadcast_like(g, sum, y);
  *out_dot = sum;
  return g->status;
}

/* The rules are given the op's name through one small function per row. */
#define RULES(name)                                                                               \
  static cst_status name##_vjp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,   \
                               const cst_value *out, const cst_value *bar, const bool *want,      \
                               cst_value *in_bar) {                                               \
    (void)a;                                                                                      \
    return map_vjp(g, #name, in, n, out[0], bar[0], want, in_bar);                                \
  }                                                                                               \
  static cst_status name##_jvp(cst_graph *g, const cst_attrs *a, const cst_value *in, size_t n,   \
                               const cst_value *out, const cst_value *dot, cst_value *out_dot) {  \
    (void)a;                                                                                      \
    return map_jvp(g, #name, in, n, out[0], dot, out_dot);                                        \
  }

#define SMOOTH(X)                                                                                  \
  X(neg, 1, 0, 1) X(abs, 1, 0, 0) X(recip, 1, 0, 0) X(square, 1, 0, 0) X(cube, 1, 0, 0)            \
  X(sqrt, 1, 0, 0)                                                                                \
  X(exp, 1, 0, 0) X(expm1, 1, 0, 0) X(log, 1, 0, 0) X(log1p, 1, 0, 0) X(sin, 1, 0, 0)              \
  X(cos, 1, 0, 0) X(tan, 1, 0, 0) X(tanh, 1, 0, 0) X(sigmoid, 1, 0, 0) X(softplus, 1, 0, 0)        \
  X(relu, 1, 0, 0) X(elu, 1, 0, 0) X(erf, 1, 0, 0) X(atan, 1, 0, 0)                                \
  X(add, 2, CST_OP_COMMUTATIVE | CST_OP_JOINT, 3) X(sub, 2, CST_OP_JOINT, 3)                       \
  X(mul, 2, CST_OP_COMMUTATIVE, 3) X(div, 2, 0, 1) X(pow, 2, 0, 0) X(max, 2, 0, 0) X(min, 2, 0, 0)

#define RULES_OF(name, n, flags, linear) RULES(name)
SMOOTH(RULES_OF)
RULES(where)

#define SMOOTH_ROW(nm, n, fl, lin)                                                              \
  {{.struct_size = sizeof(cst_op), .name = #nm, .n_in_min = n, .n_in_max = n,                    \
    .flags = CST_OP_ELEMENTWISE | (fl), .linear = lin, .map = CST_MAP_##nm + 1, .vjp = nm##_vjp, \
    .jvp = nm##_jvp}, d_##nm},
#define CONSTANT_ROW(nm, n, kernel)                                                             \
  {{.struct_size = sizeof(cst_op), .name = #nm, .n_in_min = n, .n_in_max = n,                    \
    .flags = CST_OP_ELEMENTWISE | CST_OP_CONSTANT, .map = CST_MAP_##kernel + 1}, NULL},

static const row table[] = {
  SMOOTH(SMOOTH_ROW)
  CONSTANT_ROW(sign, 1, sign) CONSTANT_ROW(floor, 1, floor) CONSTANT_ROW(heaviside, 1, step)
  CONSTANT_ROW(isfinite, 1, isfinite) CONSTANT_ROW(lt, 2, lt) CONSTANT_ROW(le, 2, le)
  CONSTANT_ROW(eq, 2, eq) CONSTANT_ROW(ne, 2, ne)
  {{.struct_size = sizeof(cst_op), .name = "where", .n_in_min = 3, .n_in_max = 3,
    .flags = CST_OP_ELEMENTWISE | CST_OP_JOINT, .linear = 6, .map = CST_MAP_where + 1,
    .vjp = where_vjp, .jvp = where_jvp}, NULL},
};

static const row *row_of(const char *name) {
  size_t i = 0;
  while (strcmp(table[i].op.name, name) != 0) i++;
  return &table[i];
}

cst_status cst_register_elementwise(const cst_host *h) {
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) CST_TRY(h->register_op(h, &table[i].op));
  return CST_OK;
}
