/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The methods that are coupled. Rows of `a` one after another; the last number of `e` and the last row of `p`
 * belong to f(t1, y1).
 */
#include "couple.h"

#define TABLE(...) ((const double[]){__VA_ARGS__})

/* P. Bogacki, L. F. Shampine, 1989, whose fourth stage is f(t1, y1). */
static const rev_method bosh3 = {
  .stages = 3,
  .a = TABLE(1 / 2.,
             0, 3 / 4.),
  .b = TABLE(2 / 9., 1 / 3., 4 / 9.), .c = TABLE(0, 1 / 2., 3 / 4.),
  .e = TABLE(-5 / 72., 1 / 12., 1 / 9., -1 / 8.),
};

/* W. Kutta, 1901: the classical method. */
static const rev_method rk4 = {
  .stages = 4,
  .a = TABLE(1 / 2.,
             0, 1 / 2.,
             0, 0, 1),
  .b = TABLE(1 / 6., 1 / 3., 1 / 3., 1 / 6.), .c = TABLE(0, 1 / 2., 1 / 2., 1),
};

/* J. R. Dormand, P. J. Prince, 1980; dense output of order 4 by Shampine. */
static const rev_method dopri5 = {
  .stages = 6,
  .a = TABLE(1 / 5.,
             3 / 40., 9 / 40.,
             44 / 45., -56 / 15., 32 / 9.,
             19372 / 6561., -25360 / 2187., 64448 / 6561., -212 / 729.,
             9017 / 3168., -355 / 33., 46732 / 5247., 49 / 176., -5103 / 18656.),
  .b = TABLE(35 / 384., 0, 500 / 1113., 125 / 192., -2187 / 6784., 11 / 84.),
  .c = TABLE(0, 1 / 5., 3 / 10., 4 / 5., 8 / 9., 1),
  .e = TABLE(71 / 57600., 0, -71 / 16695., 71 / 1920., -17253 / 339200., 22 / 525., -1 / 40.),
  .p = TABLE(1, -8048581381 / 2820520608., 8663915743 / 2820520608., -12715105075 / 11282082432.,
             0, 0, 0, 0,
             0, 131558114200 / 32700410799., -68118460800 / 10900136933., 87487479700 / 32700410799.,
             0, -1754552775 / 470086768., 14199869525 / 1410260304., -10690763975 / 1880347072.,
             0, 127303824393 / 49829197408., -318862633887 / 49829197408., 701980252875 / 199316789632.,
             0, -282668133 / 205662961., 2019193451 / 616988883., -1453857185 / 822651844.,
             0, 40617522 / 29380423., -110615467 / 29380423., 69997945 / 29380423.),
  .degree = 4,
};

static const cst_option coupling[] = {
  {"coupling", CST_NUMBER, .number = 0.999, .range = {0, 1},
   .help = "above 0; the way back magnifies rounding by 1/coupling a step: nearer 1 for long solves; 0.9 is more "
           "accurate on the way there, where the field damps or tolerances are tight, for a few hundred steps"},
  {.kind = CST_OPTION_END}};

#define COUPLED(m, label, text)                                                                        \
  .struct_size = sizeof(cst_solver_type), .name = label, .help = text, .options = coupling, .method = &m, \
  .create = couple_create, .destroy = rev_destroy, .step = couple_step, .vjp = couple_vjp,             \
  .reverse = couple_reverse, .carry = 1, .start = rev_start_copy, .start_vjp = rev_start_copy_vjp

const cst_solver_type rev_rk3 = {
  COUPLED(bosh3, "rk3", "two coupled Bogacki-Shampine methods: order 3(2), reversible; for fields that hardly damp"),
  .order = 3, .error_order = 2, .dense_order = 3, .traits = CST_ADAPTIVE | CST_FSAL | CST_REVERSIBLE,
};

const cst_solver_type rev_rk4 = {
  COUPLED(rk4, "rk4", "two coupled classical methods: order 4, fixed steps, reversible; for fields that hardly damp"),
  .order = 4, .dense_order = 3, .traits = CST_FSAL | CST_REVERSIBLE,
};

const cst_solver_type rev_dopri5 = {
  COUPLED(dopri5, "dopri5", "two coupled Dormand-Prince methods: order 5(4), reversible; for fields that hardly damp"),
  .order = 5, .error_order = 4, .dense_order = 4, .traits = CST_ADAPTIVE | CST_FSAL | CST_REVERSIBLE,
  .dense = couple_dense, .dense_vjp = couple_dense_vjp,
};
