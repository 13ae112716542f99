/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Data sets that are one trajectory of a known system, solved far more accurately than f64 shows.
 */
#pragma once
#include <costate/plugin.h>

#define TRAJECTORY_MAX_DIM 8

typedef long double wide;

/* dy = f(t, y) with the system's parameters p. */
typedef void trajectory_field(const wide *p, wide t, const wide *y, wide *dy);

typedef struct trajectory_system {
  const char *name;
  trajectory_field *field;
  size_t dim;
  const double *start;          /* where y0 is not given */
  const char *const *parameter; /* option names, in the order that field wants; ends with NULL */
} trajectory_system;

/* y at t from y at *t0 by extrapolated modified midpoint steps, each to about 1e-17 of its size (or
 * what the type can do). CST_ENONFINITE when values stop being finite, CST_EMAXSTEPS when steps
 * become tiny; *t0 is then where. */
cst_status trajectory_advance(const trajectory_system *s, const wide *p, wide *t0, wide t, wide *y);

/* Fills "t" [N] and "y" [N, dim] as the options points, t0, t1, y0, noise say. */
cst_status trajectory_build(const cst_host *host, const trajectory_system *s, const cst_options *o,
                            uint64_t seed, cst_dataset_spec *d);

#define TRAJECTORY_OPTIONS(n, end, y0_help)                                                     \
  {"points", CST_INTEGER, .number = n, .range = {2, 100000000}, .help = "number of samples"},   \
  {"t0", CST_NUMBER, .number = 0, .help = "time of the first sample"},                          \
  {"t1", CST_NUMBER, .number = end, .help = "time of the last sample"},                         \
  {"y0", CST_LIST, .help = y0_help},                                                            \
  {"noise", CST_NUMBER, .number = 0, .range = {0, 1e300},                                       \
   .help = "standard deviation of normal noise added to y"}
