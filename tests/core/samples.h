/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One or more samples of every op: types of its inputs, attributes, and a range of inputs in which
 * it is smooth. An op without a sample fails the suite; those of plugins are found by the plugin's name.
 */
#pragma once
#include "costate/build.h"

typedef struct sample {
  const char *op;
  double from, to;
  cst_attrs attrs;
  size_t n_in;
  cst_type in[4];
  unsigned knots; /* bit i: input i increases along its last axis, and nothing is differentiated by it */
  unsigned solvable; /* bit i: 5 is added along the diagonal of input i, a matrix */
} sample;

#define S(...) {.dtype = CST_F64, .rank = sizeof((int64_t[]){__VA_ARGS__}) / 8, .dim = {__VA_ARGS__}}
#define SCALAR {.dtype = CST_F64}
#define ROWS 5
#define R(...) {.dtype = CST_F64, .space = CST_ROW, .rank = 1 + sizeof((int64_t[]){__VA_ARGS__}) / 8, .dim = {ROWS, __VA_ARGS__}}
#define COLUMN {.dtype = CST_F64, .space = CST_ROW, .rank = 1, .dim = {ROWS}}
#define INTS(n) {.dtype = CST_I64, .rank = 1, .dim = {n}}
#define UNARY(nm, a, b) {.op = nm, .from = a, .to = b, .n_in = 1, .in = {R(3)}}
#define BINARY(nm, a, b)                                                        \
  {.op = nm, .from = a, .to = b, .n_in = 2, .in = {R(3), R(3)}},                 \
  {.op = nm, .from = a, .to = b, .n_in = 2, .in = {R(3), S(3)}},                 \
  {.op = nm, .from = a, .to = b, .n_in = 2, .in = {COLUMN, R(3)}},               \
  {.op = nm, .from = a, .to = b, .n_in = 2, .in = {S(4, 1, 2), S(3, 1)}},        \
  {.op = nm, .from = a, .to = b, .n_in = 2, .in = {SCALAR, R(2, 3)}}
#define A1(a) {.n_ints = 1, .i = {a}}
#define A2(a, b) {.n_ints = 2, .i = {a, b}}
#define CONTROL(kind, order, t, times, values)                                   \
  {.op = "control", .from = 0.1, .to = 3.9, .attrs = A2(kind, order), .n_in = 3, .in = {t, times, values}, .knots = 2}
#define SPREAD(kind, order, row, t, times, x)                                    \
  {.op = "control_scatter", .from = 0.1, .to = 3.9, .attrs = {.n_ints = 3, .i = {kind, order, row}}, .n_in = 3, \
   .in = {t, times, x}, .knots = 2}
#define LINALG(nm, at, a, b)                                                      \
  {.op = "linalg." nm, .from = -1, .to = 1, .attrs = at, .n_in = 2, .in = {a, b}, .solvable = 1}
#define TRIDIAGONAL(a, b, c, d)                                                  \
  {.op = "linalg.solve_tridiagonal", .from = 2, .to = 3, .n_in = 4, .in = {a, b, c, d}}
#define BANDED(nm, lower, upper, transposed, a, b)                               \
  {.op = "linalg." nm, .from = 1, .to = 2, .attrs = {.n_ints = 3, .i = {lower, upper, transposed}}, .n_in = 2, .in = {a, b}}
#define RIDGE(x0) {.n_reals = 1, .x = {x0}}
#define A4(a, b, c, d) {.n_ints = 4, .i = {a, b, c, d}}

static const sample samples[] = {
  UNARY("neg", -2, 2), UNARY("abs", 0.1, 2), UNARY("abs", -2, -0.1), UNARY("sign", 0.1, 2), UNARY("floor", 0.1, 0.9),
  UNARY("recip", 0.5, 2), UNARY("square", -2, 2), UNARY("cube", -2, 2), UNARY("sqrt", 0.5, 2), UNARY("exp", -2, 2), UNARY("expm1", -2, 2),
  UNARY("log", 0.5, 2), UNARY("log1p", -0.5, 2), UNARY("sin", -4, 4), UNARY("cos", -4, 4), UNARY("tan", -1, 1),
  UNARY("tanh", -2, 2), UNARY("sigmoid", -3, 3), UNARY("softplus", -3, 3), UNARY("relu", 0.1, 2), UNARY("relu", -2, -0.1),
  UNARY("elu", 0.1, 2), UNARY("elu", -2, -0.1), UNARY("erf", -2, 2), UNARY("atan", -2, 2), UNARY("heaviside", 0.1, 2),
  UNARY("isfinite", -2, 2), UNARY("detach", -2, 2),
  BINARY("add", -2, 2), BINARY("sub", -2, 2), BINARY("mul", -2, 2), BINARY("div", 0.5, 2), BINARY("pow", 0.5, 2),
  BINARY("max", -2, 2), BINARY("min", -2, 2), BINARY("lt", -2, 2), BINARY("le", -2, 2), BINARY("eq", -2, 2),
  BINARY("ne", -2, 2),
  {.op = "where", .from = 0.2, .to = 2, .n_in = 3, .in = {R(3), R(3), S(3)}},
  {.op = "matmul", .from = -1, .to = 1, .attrs = A1(0), .n_in = 2, .in = {R(3), S(3, 4)}},
  {.op = "matmul", .from = -1, .to = 1, .attrs = A1(1), .n_in = 2, .in = {R(2, 3), S(4, 3)}},
  {.op = "outer", .from = -1, .to = 1, .n_in = 2, .in = {R(3), R(4)}},
  {.op = "outer", .from = -1, .to = 1, .n_in = 2, .in = {S(2, 3), S(2, 1)}},
  {.op = "bmm", .from = -1, .to = 1, .attrs = A2(0, 0), .n_in = 2, .in = {R(2, 3), R(3, 4)}},
  {.op = "bmm", .from = -1, .to = 1, .attrs = A2(1, 0), .n_in = 2, .in = {R(3, 2), R(3, 4)}},
  {.op = "bmm", .from = -1, .to = 1, .attrs = A2(0, 1), .n_in = 2, .in = {R(2, 3), R(4, 3)}},
  {.op = "bmm", .from = -1, .to = 1, .attrs = A2(1, 1), .n_in = 2, .in = {R(3, 2), R(4, 3)}},
  {.op = "dense", .from = -1, .to = 1, .attrs = A1(CST_NO_ACT), .n_in = 3, .in = {R(3), S(3, 4), S(4)}},
  {.op = "dense", .from = -1, .to = 1, .attrs = A1(CST_TANH), .n_in = 3, .in = {R(3), S(3, 4), S(4)}},
  {.op = "dense", .from = -1, .to = 1, .attrs = A1(CST_SIGMOID), .n_in = 3, .in = {R(2, 3), S(3, 4), S(4)}},
  {.op = "dense", .from = 0.1, .to = 1, .attrs = A1(CST_RELU), .n_in = 3, .in = {R(3), S(3, 4), S(4)}},
  {.op = "dense", .from = -1, .to = 1, .attrs = A1(CST_SOFTPLUS), .n_in = 3, .in = {S(2, 3), S(3, 4), S(4)}},
  {.op = "dense", .from = 0.1, .to = 1, .attrs = A1(CST_ELU), .n_in = 3, .in = {R(3), S(3, 4), S(4)}},
  {.op = "dense", .from = -1, .to = -0.1, .attrs = A1(CST_ELU), .n_in = 3, .in = {R(1), S(1, 4), S(4)}},
  {.op = "dense_back", .from = 0.1, .to = 0.9, .attrs = A1(CST_TANH), .n_in = 4, .in = {R(3), S(3, 4), R(4), R(4)}},
  {.op = "dense_back", .from = 0.1, .to = 0.9, .attrs = A1(CST_NO_ACT), .n_in = 4, .in = {R(2, 3), S(3, 2), R(2, 2), R(2, 2)}},
  {.op = "sum", .from = -1, .to = 1, .attrs = A2(1, 0), .n_in = 1, .in = {R(3, 2)}},
  {.op = "sum", .from = -1, .to = 1, .attrs = A2(2, 1), .n_in = 1, .in = {R(3, 2)}},
  {.op = "sum", .from = -1, .to = 1, .attrs = A2(5, 0), .n_in = 1, .in = {R(3, 2)}},
  {.op = "sum", .from = -1, .to = 1, .attrs = A2(-1, 0), .n_in = 1, .in = {S(3, 2)}},
  {.op = "amax", .from = -1, .to = 1, .attrs = A2(2, 0), .n_in = 1, .in = {R(3, 2)}},
  {.op = "amax", .from = -1, .to = 1, .attrs = A2(-1, 0), .n_in = 1, .in = {S(3, 2)}},
  {.op = "broadcast", .from = -1, .to = 1, .attrs = {.n_ints = 5, .i = {3, CST_ROW, ROWS, 2, 3}}, .n_in = 1, .in = {S(3)}},
  {.op = "broadcast", .from = -1, .to = 1, .attrs = {.n_ints = 4, .i = {2, CST_ROW, ROWS, 3}}, .n_in = 1, .in = {COLUMN}},
  {.op = "sum_to", .from = -1, .to = 1, .attrs = {.n_ints = 3, .i = {1, CST_SHARED, 3}}, .n_in = 1, .in = {R(2, 3)}},
  {.op = "reshape", .from = -1, .to = 1, .attrs = A2(-1, 6), .n_in = 1, .in = {R(2, 3)}},
  {.op = "reshape", .from = -1, .to = 1, .attrs = {.n_ints = 3, .i = {2, 3, 1}}, .n_in = 1, .in = {S(6)}},
  {.op = "transpose", .from = -1, .to = 1, .attrs = {.n_ints = 3, .i = {0, 2, 1}}, .n_in = 1, .in = {R(2, 3)}},
  {.op = "transpose", .from = -1, .to = 1, .attrs = {.n_ints = 3, .i = {2, 0, 1}}, .n_in = 1, .in = {S(4, 2, 3)}},
  {.op = "slice", .from = -1, .to = 1, .attrs = A4(1, 1, 5, 2), .n_in = 1, .in = {R(6, 2)}},
  {.op = "slice", .from = -1, .to = 1, .attrs = A4(0, 0, 2, 1), .n_in = 1, .in = {S(3)}},
  {.op = "pad", .from = -1, .to = 1, .attrs = A4(1, 1, 2, 2), .n_in = 1, .in = {R(3, 2)}},
  {.op = "concat", .from = -1, .to = 1, .attrs = A1(1), .n_in = 3, .in = {R(3), R(1), R(2)}},
  {.op = "concat", .from = -1, .to = 1, .attrs = A1(0), .n_in = 2, .in = {S(3, 2), S(1, 2)}},
  {.op = "cast", .from = -1, .to = 1, .attrs = A1(CST_F64), .n_in = 1, .in = {R(3)}},
  {.op = "gather", .from = -1, .to = 1, .attrs = A1(1), .n_in = 2, .in = {R(4, 2), INTS(3)}},
  {.op = "gather", .from = -1, .to = 1, .attrs = A1(0), .n_in = 2, .in = {S(4), INTS(6)}},
  {.op = "scatter", .from = -1, .to = 1, .attrs = {.n_ints = 3, .i = {1, 5, 0}}, .n_in = 2, .in = {R(3, 2), INTS(3)}},
  CONTROL(CST_CONTROL_CONSTANT, 0, SCALAR, S(5), S(5, 2)), CONTROL(CST_CONTROL_CONSTANT, 0, COLUMN, R(5), R(5)),
  CONTROL(CST_CONTROL_LINEAR, 0, SCALAR, S(5), S(5)), CONTROL(CST_CONTROL_LINEAR, 0, SCALAR, R(5), R(5, 2, 3)),
  CONTROL(CST_CONTROL_LINEAR, 0, COLUMN, S(5), S(5, 2)), CONTROL(CST_CONTROL_LINEAR, 1, S(4), S(5), S(5, 2)),
  CONTROL(CST_CONTROL_HERMITE, 0, SCALAR, S(5), R(5, 2)), CONTROL(CST_CONTROL_HERMITE, 0, COLUMN, R(5), S(5)),
  CONTROL(CST_CONTROL_HERMITE, 1, COLUMN, S(5), R(5, 2)), CONTROL(CST_CONTROL_HERMITE, 2, S(6), S(5), S(5)),
  CONTROL(CST_CONTROL_HERMITE, 0, SCALAR, S(1), S(1, 2)), CONTROL(CST_CONTROL_HERMITE, 0, SCALAR, S(2), S(2)),
  SPREAD(CST_CONTROL_CONSTANT, 0, 0, SCALAR, S(5), S(2)), SPREAD(CST_CONTROL_LINEAR, 0, 1, COLUMN, S(5), R(2)),
  SPREAD(CST_CONTROL_LINEAR, 0, 0, S(4), S(5), S(4, 2)), SPREAD(CST_CONTROL_HERMITE, 0, 1, SCALAR, R(5), R(2, 3)),
  SPREAD(CST_CONTROL_HERMITE, 0, 0, COLUMN, R(5), COLUMN), SPREAD(CST_CONTROL_HERMITE, 1, 0, COLUMN, S(5), R(2)),
#ifdef CST_TEST_GSL
  LINALG("solve", A1(0), S(3, 3), S(3)), LINALG("solve", A1(1), S(3, 3), S(3, 2)), LINALG("solve", A1(0), R(3, 3), R(3)),
  LINALG("solve", A1(1), R(3, 3), R(3, 2)), LINALG("solve", A1(0), S(3, 3), R(3)), LINALG("solve", A1(1), S(3, 3), R(3, 2)),
  LINALG("solve", A1(0), R(3, 3), S(3)), LINALG("solve", A1(1), R(3, 3), S(3, 2)),
  LINALG("solve_lower", A1(0), S(3, 3), S(3, 2)), LINALG("solve_lower", A1(1), R(3, 3), R(3)),
  LINALG("solve_lower", A1(1), S(3, 3), R(3)), LINALG("solve_lower", A1(0), R(3, 3), S(3)),
  {.op = "linalg.cholesky", .from = -1, .to = 1, .n_in = 1, .in = {S(4, 4)}, .solvable = 1},
  {.op = "linalg.cholesky", .from = -1, .to = 1, .n_in = 1, .in = {R(3, 3)}, .solvable = 1},
  BANDED("solve_banded", 2, 1, 0, S(4, 6), S(6)), BANDED("solve_banded", 1, 2, 1, S(4, 6), R(6, 2)),
  BANDED("solve_banded", 1, 0, 0, R(2, 4), R(4)), BANDED("solve_banded", 0, 2, 1, R(3, 4), S(4, 2)),
  BANDED("solve_banded", 0, 0, 0, S(1, 3), R(3)), BANDED("banded_times", 2, 1, 0, S(4, 6), R(6)),
  BANDED("banded_times", 1, 2, 1, R(4, 6), S(6, 2)), BANDED("banded_outer", 2, 1, 0, R(5), S(5)),
  BANDED("banded_outer", 0, 2, 0, S(5, 2), S(5, 2)), TRIDIAGONAL(S(4), S(5), S(4), S(5)), TRIDIAGONAL(S(0), S(1), S(0), R(1)),
  TRIDIAGONAL(R(4), S(5), S(4), S(5, 2)), TRIDIAGONAL(S(4), R(5), R(4), R(5)), TRIDIAGONAL(S(4), S(5), S(4), R(5, 2)),
  LINALG("lstsq", RIDGE(0), S(5, 3), S(5)), LINALG("lstsq", RIDGE(0.5), S(2, 3), S(2, 2)), LINALG("lstsq", RIDGE(0), R(4, 3), R(4)),
  LINALG("lstsq", RIDGE(0.5), S(5, 3), R(5)), LINALG("lstsq", RIDGE(0), R(4, 3), S(4, 2)), LINALG("lstsq", RIDGE(0), S(4, 3), R(4, 2)),
  LINALG("normal_solve", RIDGE(0), S(5, 3), S(3)), LINALG("normal_solve", RIDGE(0.5), R(2, 3), S(3, 2)),
  LINALG("normal_solve", RIDGE(0), S(5, 3), R(3)),
#endif
};

/* Ops that have their own tests instead: they need an object or have no inputs. */
static const char *const elsewhere[] = {"input", "scalar", "constant", "iota", "random", "scan", "solve", "solve_back",
  "locate", "implicit", "callback"};
