/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Explicit Runge-Kutta methods as data. A method is one row of this file: `a` is the strictly lower
 * triangle row by row, `e` is b - b_hat (stored, since the difference would cancel), `p` the
 * weights of the dense output. All are checked against their order conditions on registration.
 */
#include "rk.h"

#define TABLE(...) ((const double[]){__VA_ARGS__})

static const cst_tableau euler = {
  .struct_size = sizeof euler, .name = "euler", .help = "explicit Euler: a residual network",
  .order = 1, .stages = 1,
  .a = TABLE(0), /* none */
  .b = TABLE(1),
  .p = TABLE(1), .dense_degree = 1, .dense_order = 1,
};

static const cst_tableau midpoint = {
  .struct_size = sizeof midpoint, .name = "midpoint", .help = "explicit midpoint rule",
  .order = 2, .stages = 2,
  .a = TABLE(1 / 2.),
  .b = TABLE(0, 1),
  .p = TABLE(1, -1,
             0, 1),
  .dense_degree = 2, .dense_order = 2,
};

static const cst_tableau heun = {
  .struct_size = sizeof heun, .name = "heun", .help = "Heun's method with Euler inside: order 2(1)",
  .order = 2, .stages = 2,
  .a = TABLE(1),
  .b = TABLE(1 / 2., 1 / 2.),
  .e = TABLE(-1 / 2., 1 / 2.), .error_order = 1,
  .p = TABLE(1, -1 / 2.,
             0, 1 / 2.),
  .dense_degree = 2, .dense_order = 2,
};

static const cst_tableau rk4 = {
  .struct_size = sizeof rk4, .name = "rk4", .help = "the classical method of order 4",
  .order = 4, .stages = 4,
  .a = TABLE(1 / 2.,
             0, 1 / 2.,
             0, 0, 1),
  .b = TABLE(1 / 6., 1 / 3., 1 / 3., 1 / 6.),
  .p = TABLE(1, -3 / 2., 2 / 3.,
             0, 1, -2 / 3.,
             0, 1, -2 / 3.,
             0, -1 / 2., 2 / 3.),
  .dense_degree = 3, .dense_order = 3,
};

/* P. Bogacki, L. F. Shampine, A 3(2) pair of Runge-Kutta formulas, 1989. The dense output
 * is the cubic Hermite polynomial. */
static const cst_tableau bosh3 = {
  .struct_size = sizeof bosh3, .name = "bosh3", .help = "Bogacki-Shampine 3(2)",
  .order = 3, .stages = 4,
  .a = TABLE(1 / 2.,
             0, 3 / 4.,
             2 / 9., 1 / 3., 4 / 9.),
  .b = TABLE(2 / 9., 1 / 3., 4 / 9., 0),
  .e = TABLE(-5 / 72., 1 / 12., 1 / 9., -1 / 8.), .error_order = 2,
  .p = TABLE(1, -4 / 3., 5 / 9.,
             0, 1, -2 / 3.,
             0, 4 / 3., -8 / 9.,
             0, -1, 1),
  .dense_degree = 3, .dense_order = 3,
};

/* J. R. Dormand, P. J. Prince, 1980; dense output of order 4 by Shampine, as in Hairer's code. */
static const cst_tableau dopri5 = {
  .struct_size = sizeof dopri5, .name = "dopri5", .help = "Dormand-Prince 5(4): the usual choice",
  .order = 5, .stages = 7,
  .a = TABLE(1 / 5.,
             3 / 40., 9 / 40.,
             44 / 45., -56 / 15., 32 / 9.,
             19372 / 6561., -25360 / 2187., 64448 / 6561., -212 / 729.,
             9017 / 3168., -355 / 33., 46732 / 5247., 49 / 176., -5103 / 18656.,
             35 / 384., 0, 500 / 1113., 125 / 192., -2187 / 6784., 11 / 84.),
  .b = TABLE(35 / 384., 0, 500 / 1113., 125 / 192., -2187 / 6784., 11 / 84., 0),
  .e = TABLE(71 / 57600., 0, -71 / 16695., 71 / 1920., -17253 / 339200., 22 / 525., -1 / 40.),
  .error_order = 4,
  .p = TABLE(
    1, -8048581381 / 2820520608., 8663915743 / 2820520608., -12715105075 / 11282082432.,
    0, 0, 0, 0,
    0, 131558114200 / 32700410799., -68118460800 / 10900136933., 87487479700 / 32700410799.,
    0, -1754552775 / 470086768., 14199869525 / 1410260304., -10690763975 / 1880347072.,
    0, 127303824393 / 49829197408., -318862633887 / 49829197408., 701980252875 / 199316789632.,
    0, -282668133 / 205662961., 2019193451 / 616988883., -1453857185 / 822651844.,
    0, 40617522 / 29380423., -110615467 / 29380423., 69997945 / 29380423.),
  .dense_degree = 4, .dense_order = 4,
};

/* Ch. Tsitouras, Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying
 * assumption, 2011. The dense output is his, multiplied out. */
static const cst_tableau tsit5 = {
  .struct_size = sizeof tsit5, .name = "tsit5", .help = "Tsitouras 5(4): a little more accurate",
  .order = 5, .stages = 7,
  .a = TABLE(0.161,
             -0.008480655492356989, 0.335480655492357,
             2.8971530571054935, -6.359448489975075, 4.3622954328695815,
             5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525,
             5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401,
             -0.028269050394068383,
             0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081,
             2.324710524099774),
  .b = TABLE(0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081,
             2.324710524099774, 0),
  .e = TABLE(-0.00178001105222577714, -0.0008164344596567469, 0.007880878010261995,
             -0.1447110071732629, 0.5823571654525552, -0.45808210592918697, 0.015151515151515152),
  .error_order = 4,
  .p = TABLE(
    1, -2.7637061972748258, 2.9132554618219126, -1.0530884977290216,
    0, 0.1317, -0.2234, 0.1017,
    0, 3.9302962368947516, -5.9410338721315048, 2.4906272856512528,
    0, -12.411077166933676, 30.338188630282321, -16.548102889244902,
    0, 37.509313416511041, -88.178904894766404, 47.379521962819283,
    0, -27.896526289197286, 65.091894674793664, -34.870657861496611,
    0, 1.5, -4, 2.5),
  .dense_degree = 4, .dense_order = 4,
};

const cst_tableau *const rk_tableaus[] = {&euler,  &midpoint, &heun,  &rk4,
                                          &bosh3, &dopri5,   &tsit5, NULL};
