/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The methods as data: the strictly lower triangle of a row by row, gamma behind every row but the
 * first, b the last row, e = b - b_hat (stored, since the difference would cancel). All are stiffly
 * accurate and L-stable with stages of order 2; the tests check that and the order conditions.
 */
#include "esdirk.h"

#define TABLE(...) ((const double[]){__VA_ARGS__})

/* M. E. Hosea, L. F. Shampine, Analysis and implementation of TR-BDF2, Appl. Numer. Math. 20, 1996:
 * gamma = 1 - sqrt(2)/2, w = sqrt(2)/4; b_hat = ((1 - w)/3, (3w + 1)/3, gamma/3) is of order 3. */
const esdirk_tableau esdirk_trbdf2 = {
  .stages = 3, .gamma = 0.292893218813452476,
  .a = TABLE(0.292893218813452476,
             0.353553390593273762, 0.353553390593273762),
  .e = TABLE(0.138071187457698350, -1 / 3., 0.195262145875634984),
};

/* A. Kvaerno, Singly diagonally implicit Runge-Kutta methods with an explicit first stage, BIT 44,
 * 2004: method 3/2, whose coefficients are functions of the root gamma of 6 x^3 - 18 x^2 + 9 x - 1,
 *
 *   a_2 = ((-4 g^2 + 6 g - 1)/(4 g), (1 - 2 g)/(4 g)),
 *   a_3 = ((6 g - 1)/(12 g), -1/((24 g - 12) g), (-6 g^2 + 6 g - 1)/(6 g - 3)),
 *
 * and method 5/4. The b_hat of both is the row before the last. Stage 2 of the second lies at 1.23 h:
 * it asks for the field beyond the step. */
const esdirk_tableau esdirk_kvaerno3 = {
  .stages = 4, .gamma = 0.435866521508458999,
  .a = TABLE(0.435866521508458999,
             0.490563388421780571, 0.073570090069760430,
             0.308809969976746523, 1.490563388421780571, -1.235239879906986093),
  .e = TABLE(-0.181753418445034047, 1.416993298352020141, -1.671106401415445093, 0.435866521508458999),
};

const esdirk_tableau esdirk_kvaerno5 = {
  .stages = 7, .gamma = 0.26,
  .a = TABLE(0.26,
             0.13, 0.84033320996790809,
             0.22371961478320505, 0.47675532319799699, -0.06470895363112615,
             0.16648564323248321, 0.10450018841591720, 0.03631482272098715, -0.13090704451073998,
             0.13855640231268224, 0, -0.04245337201752043, 0.02446657898003141,
             0.61943039072480676,
             0.13659751177640291, 0, -0.05496908796538376, -0.04118626728321046,
             0.62993304899016403, 0.06962479448202728),
  .e = TABLE(-0.00195889053627933, 0, -0.01251571594786335, -0.06565284626324187,
             0.01050265826535727, -0.19037520551797272, 0.26),
};

/* C. A. Kennedy, M. H. Carpenter, Additive Runge-Kutta schemes for convection-diffusion-reaction
 * equations, Appl. Numer. Math. 44, 2003: the implicit halves of ARK4(3)6L[2]SA and ARK5(4)8L[2]SA. */
const esdirk_tableau esdirk_kencarp4 = {
  .stages = 6, .gamma = 0.25,
  .a = TABLE(1 / 4.,
             8611 / 62500., -1743 / 31250.,
             5012029 / 34652500., -654441 / 2922500., 174375 / 388108.,
             15267082809 / 155376265600., -71443401 / 120774400., 730878875 / 902184768.,
             2285395 / 8070912.,
             82889 / 524892., 0, 15625 / 83664., 69875 / 102672., -2260 / 8211.),
  .e = TABLE(0.0032044943984591762, 0, -0.0024462511366794577, -0.02148007591958727,
             0.043946868068572426, -0.02322503541076487),
};

const esdirk_tableau esdirk_kencarp5 = {
  .stages = 8, .gamma = 41 / 200.,
  .a = TABLE(41 / 200.,
             41 / 400., -567603406766 / 11931857230679.,
             683785636431 / 9252920307686., 0, -110385047103 / 1367015193373.,
             3016520224154 / 10081342136671., 0, 30586259806659 / 12414158314087.,
             -22760509404356 / 11113319521817.,
             218866479029 / 1489978393911., 0, 638256894668 / 5436446318841.,
             -1179710474555 / 5321154724896., -60928119172 / 8023461067671.,
             1020004230633 / 5715676835656., 0, 25762820946817 / 25263940353407.,
             -2161375909145 / 9755907335909., -211217309593 / 5846859502534.,
             -4269925059573 / 7827059040749.,
             -872700587467 / 9133579230613., 0, 0, 22348218063261 / 9555858737531.,
             -1143369518992 / 8141816002931., -39379526789629 / 19018526304540.,
             32727382324388 / 42900044865799.),
  .e = TABLE(0.004028378053609986, 0, 0, -0.06847007623452846, 0.019716427003038314,
             0.07364888848796769, -0.01669037539981169, -0.012233241910275841),
};
