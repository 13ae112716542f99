/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Pairs of order 5(4).
 *
 * Neither Fehlberg nor Cash and Karp gave a dense output, and without f at the end of the step none of
 * order 4 exists on their stages. It is therefore their last stage (first of the next step), and `p` is
 * the one continuously differentiable family of degree 4 that the conditions of order 4 leave; its
 * free number is the round one next to the least error of order 5, squared over the trees and theta.
 */
#include "rk.h"

/* J. R. Dormand, P. J. Prince, 1980; dense output of order 4 by Shampine, as in Hairer's code. */
static const cst_tableau dopri5 = {
  .struct_size = sizeof dopri5, .name = "dopri5", .help = "Dormand-Prince 5(4): the usual choice",
  .order = 5, .stages = 7,
  .a = RK_TABLE(1 / 5.,
                3 / 40., 9 / 40.,
                44 / 45., -56 / 15., 32 / 9.,
                19372 / 6561., -25360 / 2187., 64448 / 6561., -212 / 729.,
                9017 / 3168., -355 / 33., 46732 / 5247., 49 / 176., -5103 / 18656.,
                35 / 384., 0, 500 / 1113., 125 / 192., -2187 / 6784., 11 / 84.),
  .b = RK_TABLE(35 / 384., 0, 500 / 1113., 125 / 192., -2187 / 6784., 11 / 84., 0),
  .e = RK_TABLE(71 / 57600., 0, -71 / 16695., 71 / 1920., -17253 / 339200., 22 / 525., -1 / 40.),
  .error_order = 4,
  .p = RK_TABLE(
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
  .a = RK_TABLE(0.161,
                -0.008480655492356989, 0.335480655492357,
                2.8971530571054935, -6.359448489975075, 4.3622954328695815,
                5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525,
                5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401,
                -0.028269050394068383,
                0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081,
                2.324710524099774),
  .b = RK_TABLE(0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081,
                2.324710524099774, 0),
  .e = RK_TABLE(-0.00178001105222577714, -0.0008164344596567469, 0.007880878010261995,
                -0.1447110071732629, 0.5823571654525552, -0.45808210592918697, 0.015151515151515152),
  .error_order = 4,
  .p = RK_TABLE(
    1, -2.7637061972748258, 2.9132554618219126, -1.0530884977290216,
    0, 0.1317, -0.2234, 0.1017,
    0, 3.9302962368947516, -5.9410338721315048, 2.4906272856512528,
    0, -12.411077166933676, 30.338188630282321, -16.548102889244902,
    0, 37.509313416511041, -88.178904894766404, 47.379521962819283,
    0, -27.896526289197286, 65.091894674793664, -34.870657861496611,
    0, 1.5, -4, 2.5),
  .dense_degree = 4, .dense_order = 4,
};

/* E. Fehlberg, Low-order classical Runge-Kutta formulas with stepsize control, 1969. The solution of
 * order 5 is the one that goes on. */
static const cst_tableau fehlberg45 = {
  .struct_size = sizeof fehlberg45, .name = "fehlberg45", .help = "Fehlberg 4(5), continued in order 5",
  .order = 5, .stages = 7,
  .a = RK_TABLE(1 / 4.,
                3 / 32., 9 / 32.,
                1932 / 2197., -7200 / 2197., 7296 / 2197.,
                439 / 216., -8, 3680 / 513., -845 / 4104.,
                -8 / 27., 2, -3544 / 2565., 1859 / 4104., -11 / 40.,
                16 / 135., 0, 6656 / 12825., 28561 / 56430., -9 / 50., 2 / 55.),
  .b = RK_TABLE(16 / 135., 0, 6656 / 12825., 28561 / 56430., -9 / 50., 2 / 55., 0),
  .e = RK_TABLE(1 / 360., 0, -128 / 4275., -2197 / 75240., 1 / 50., 2 / 55., 0), .error_order = 4,
  .p = RK_TABLE(1, -7201 / 2880., 10691 / 4320., -493 / 576.,
                0, 0, 0, 0,
                0, 21136 / 4275., -100192 / 12825., 2896 / 855.,
                0, -2106923 / 601920., 8148673 / 902880., -54925 / 10944.,
                0, 479 / 400., -623 / 200., 139 / 80.,
                0, -361 / 220., 377 / 110., -7 / 4.,
                0, 3 / 2., -4, 5 / 2.),
  .dense_degree = 4, .dense_order = 4,
};

/* J. R. Cash, A. H. Karp, A variable order Runge-Kutta method for initial value problems with rapidly
 * varying right-hand sides, 1990. */
static const cst_tableau cashkarp45 = {
  .struct_size = sizeof cashkarp45, .name = "cashkarp45", .help = "Cash-Karp 5(4)",
  .order = 5, .stages = 7,
  .a = RK_TABLE(1 / 5.,
                3 / 40., 9 / 40.,
                3 / 10., -9 / 10., 6 / 5.,
                -11 / 54., 5 / 2., -70 / 27., 35 / 27.,
                1631 / 55296., 175 / 512., 575 / 13824., 44275 / 110592., 253 / 4096.,
                37 / 378., 0, 250 / 621., 125 / 594., 0, 512 / 1771.),
  .b = RK_TABLE(37 / 378., 0, 250 / 621., 125 / 594., 0, 512 / 1771., 0),
  .e = RK_TABLE(-277 / 64512., 0, 6925 / 370944., -6925 / 202752., -277 / 14336., 277 / 7084., 0),
  .error_order = 4,
  .p = RK_TABLE(1, -87443 / 32256., 136121 / 48384., -1543 / 1536.,
                0, 0, 0, 0,
                0, 650075 / 185472., -1502225 / 278208., 6175 / 2688.,
                0, 21925 / 101376., 62225 / 152064., -425 / 1024.,
                0, 877 / 7168., -877 / 3584., 877 / 7168.,
                0, -9325 / 3542., 11373 / 1771., -7 / 2.,
                0, 3 / 2., -4, 5 / 2.),
  .dense_degree = 4, .dense_order = 4,
};

const cst_tableau *const rk_order_five[] = {&dopri5, &tsit5, &fehlberg45, &cashkarp45, NULL};
