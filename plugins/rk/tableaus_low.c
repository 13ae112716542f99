/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Methods of low order. A method is data: `a` is the strictly lower triangle row by row, `e` is
 * b - b_hat (stored, since the difference would cancel), `p` the weights of the dense output. All are
 * checked against their order conditions on registration.
 *
 * Where no source is named for a dense output, its weights are the polynomials of least degree that
 * satisfy the conditions of its order and end in b.
 */
#include "rk.h"

static const cst_tableau euler = {
  .struct_size = sizeof euler, .name = "euler", .help = "explicit Euler: a residual network",
  .order = 1, .stages = 1,
  .a = RK_TABLE(0), /* none */
  .b = RK_TABLE(1),
  .p = RK_TABLE(1), .dense_degree = 1, .dense_order = 1,
};

static const cst_tableau midpoint = {
  .struct_size = sizeof midpoint, .name = "midpoint", .help = "explicit midpoint rule",
  .order = 2, .stages = 2,
  .a = RK_TABLE(1 / 2.),
  .b = RK_TABLE(0, 1),
  .p = RK_TABLE(1, -1,
                0, 1),
  .dense_degree = 2, .dense_order = 2,
};

static const cst_tableau heun = {
  .struct_size = sizeof heun, .name = "heun", .help = "Heun's method with Euler inside: order 2(1)",
  .order = 2, .stages = 2,
  .a = RK_TABLE(1),
  .b = RK_TABLE(1 / 2., 1 / 2.),
  .e = RK_TABLE(-1 / 2., 1 / 2.), .error_order = 1,
  .p = RK_TABLE(1, -1 / 2.,
                0, 1 / 2.),
  .dense_degree = 2, .dense_order = 2,
};

/* A. Ralston, Runge-Kutta methods with minimum error bounds, 1962; Euler's method inside. */
static const cst_tableau ralston = {
  .struct_size = sizeof ralston, .name = "ralston",
  .help = "Ralston's method, the least error bound of order 2, with Euler inside: 2(1)",
  .order = 2, .stages = 2,
  .a = RK_TABLE(2 / 3.),
  .b = RK_TABLE(1 / 4., 3 / 4.),
  .e = RK_TABLE(-3 / 4., 3 / 4.), .error_order = 1,
  .p = RK_TABLE(1, -3 / 4.,
                0, 3 / 4.),
  .dense_degree = 2, .dense_order = 2,
};

static const cst_tableau rk4 = {
  .struct_size = sizeof rk4, .name = "rk4", .help = "the classical method of order 4",
  .order = 4, .stages = 4,
  .a = RK_TABLE(1 / 2.,
                0, 1 / 2.,
                0, 0, 1),
  .b = RK_TABLE(1 / 6., 1 / 3., 1 / 3., 1 / 6.),
  .p = RK_TABLE(1, -3 / 2., 2 / 3.,
                0, 1, -2 / 3.,
                0, 1, -2 / 3.,
                0, -1 / 2., 2 / 3.),
  .dense_degree = 3, .dense_order = 3,
};

/* W. Kutta, Beitrag zur naeherungsweisen Integration totaler Differentialgleichungen, 1901. */
static const cst_tableau rk38 = {
  .struct_size = sizeof rk38, .name = "rk38", .help = "Kutta's 3/8 rule of order 4",
  .order = 4, .stages = 4,
  .a = RK_TABLE(1 / 3.,
                -1 / 3., 1,
                1, -1, 1),
  .b = RK_TABLE(1 / 8., 3 / 8., 3 / 8., 1 / 8.),
  .p = RK_TABLE(1, -15 / 8., 1,
                0, 15 / 8., -3 / 2.,
                0, 3 / 8., 0,
                0, -3 / 8., 1 / 2.),
  .dense_degree = 3, .dense_order = 3,
};

/* P. Bogacki, L. F. Shampine, A 3(2) pair of Runge-Kutta formulas, 1989. The dense output
 * is the cubic Hermite polynomial. */
static const cst_tableau bosh3 = {
  .struct_size = sizeof bosh3, .name = "bosh3", .help = "Bogacki-Shampine 3(2)",
  .order = 3, .stages = 4,
  .a = RK_TABLE(1 / 2.,
                0, 3 / 4.,
                2 / 9., 1 / 3., 4 / 9.),
  .b = RK_TABLE(2 / 9., 1 / 3., 4 / 9., 0),
  .e = RK_TABLE(-5 / 72., 1 / 12., 1 / 9., -1 / 8.), .error_order = 2,
  .p = RK_TABLE(1, -4 / 3., 5 / 9.,
                0, 1, -2 / 3.,
                0, 4 / 3., -8 / 9.,
                0, -1, 1),
  .dense_degree = 3, .dense_order = 3,
};

const cst_tableau *const rk_low_order[] = {&euler, &midpoint, &heun, &ralston, &bosh3, &rk4, &rk38, NULL};
