/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Step-size controllers. With e_0 the error of the last attempt (1 is the tolerance), e_1, e_2 those
 * of the accepted steps before, and q = error_order + 1, the next step is larger by the factor
 *
 *     safety * e_0^(-(i + p + d)/q) * e_1^((p + 2d)/q) * e_2^(-d/q)
 *
 * kept in [min_factor, max_factor]. After a rejection the step does not grow, and a rejected step is
 * shrunk by the i term alone. In the words of control theory: log h is moved by the integral (i),
 * proportional (p) and differential (d) part of -log e.
 */
#include <math.h>

#include "ode/integrate.h"

enum { SAFETY, MIN_FACTOR, MAX_FACTOR, I_TERM, P_TERM, D_TERM };

static double bounded(const cst_option_value *v, const cst_controller_state *c, double factor) {
  double most = c->rejected && v[MAX_FACTOR].number > 1 ? 1 : v[MAX_FACTOR].number;
  if (factor > most) return most;
  return factor > v[MIN_FACTOR].number ? factor : v[MIN_FACTOR].number;
}

static double i_factor(const cst_options *o, const cst_controller_state *c, int error_order) {
  const cst_option_value *v = o->values;
  if (c->error[0] == 0) return bounded(v, c, HUGE_VAL);
  return bounded(v, c, v[SAFETY].number * pow(c->error[0], -1.0 / (error_order + 1)));
}

/* An error that is missing counts as 1, one that is nearly zero as 1e-6: it says nothing of what
 * comes. */
static double known(double error) { return error == 0 ? 1 : fmax(error, 1e-6); }

static double pid_factor(const cst_options *o, const cst_controller_state *c, int error_order) {
  const cst_option_value *v = o->values;
  double i = v[I_TERM].number, p = v[P_TERM].number, d = v[D_TERM].number;
  if (c->error[0] == 0 || c->error[0] > 1) return i_factor(o, c, error_order);
  double log_factor = -(i + p + d) * log(c->error[0]);
  if (p != 0 || d != 0) log_factor += (p + 2 * d) * log(known(c->error[1]));
  if (d != 0) log_factor -= d * log(known(c->error[2]));
  return bounded(v, c, v[SAFETY].number * exp(log_factor / (error_order + 1)));
}

/* In the order of the enum above; factors read the values by position. */
#define COMMON                                                                                    \
  {"safety", CST_NUMBER, .number = 0.9, .range = {0.01, 1},                                       \
   .help = "aims at a smaller error than the tolerance, so that fewer steps are rejected"},       \
  {"min_factor", CST_NUMBER, .number = 0.2, .range = {0.001, 1}, .help = "strongest decrease"},   \
  {"max_factor", CST_NUMBER, .number = 10, .range = {1, 1000}, .help = "strongest increase"}
#define TERM(letter, value, text) \
  {letter, CST_NUMBER, .number = value, .range = {-2, 2}, .help = text}

static const cst_controller_type i_control = {
  .struct_size = sizeof i_control, .name = "i",
  .help = "the elementary controller, as in torchdiffeq and most codes",
  .options = CST_OPTIONS(COMMON),
  .factor = i_factor,
};

/* Hairer's choice for dopri5 (beta = 0.04) in units of 1/q. */
static const cst_controller_type pi_control = {
  .struct_size = sizeof pi_control, .name = "pi",
  .help = "proportional-integral: smoother step sizes, fewer rejections",
  .options = CST_OPTIONS(COMMON, TERM("i", 0.65, "integral term"),
                         TERM("p", 0.2, "proportional term"), TERM("d", 0, "differential term")),
  .factor = pid_factor,
};

/* The default of SUNDIALS (k1 = 0.58, k2 = 0.21, k3 = 0.1) written as i, p, d. */
static const cst_controller_type pid_control = {
  .struct_size = sizeof pid_control, .name = "pid",
  .help = "proportional-integral-differential: the default of SUNDIALS",
  .options = CST_OPTIONS(COMMON, TERM("i", 0.47, "integral term"),
                         TERM("p", 0.01, "proportional term"),
                         TERM("d", 0.1, "differential term")),
  .factor = pid_factor,
};

cst_status cst_register_core_controllers(const cst_host *host) {
  CST_TRY(host->register_controller(host, &i_control));
  CST_TRY(host->register_controller(host, &pi_control));
  return host->register_controller(host, &pid_control);
}
