/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From options to the tensors "t" and "y" of one trajectory.
 */
#include "trajectory.h"

#include <math.h>
#include <stdio.h>

#define MAX_PARAMETERS 8

static cst_status start(const cst_host *host, const trajectory_system *s, const cst_options *o,
                        wide *y) {
  const cst_option_value *y0 = cst_option_get(o, "y0");
  if (y0->n_list && y0->n_list != s->dim)
    return host->fail(host, CST_EINVAL, "%s: y0 needs %zu values, got %zu", s->name, s->dim,
                      y0->n_list);
  for (size_t i = 0; i < s->dim; i++) y[i] = (wide)(y0->n_list ? y0->list[i] : s->start[i]);
  return CST_OK;
}

static void parameters(const trajectory_system *s, const cst_options *o, wide *p) {
  for (size_t i = 0; s->parameter && s->parameter[i] && i < MAX_PARAMETERS; i++)
    p[i] = (wide)cst_option_number(o, s->parameter[i]);
}

/* Element i of y gets noise i of the data set's own stream: as many points as one likes, the first
 * ones stay what they are. */
static void add_noise(const char *name, uint64_t seed, double sd, double *y, size_t n) {
  char stream[64];
  snprintf(stream, sizeof stream, "datasets.%s.noise", name);
  uint64_t key = cst_rng_stream(stream);
  for (size_t i = 0; sd > 0 && i < n; i++) {
    double z[2];
    cst_rng_normal2(seed, key, i / 2, 0, z);
    y[i] += sd * z[i % 2];
  }
}

static cst_status sample(const cst_host *host, const trajectory_system *s, const wide *p,
                         wide *state, const double *t, double *y, size_t n) {
  wide now = (wide)t[0];
  for (size_t i = 0; i < n; i++) {
    cst_status st = trajectory_advance(s, p, &now, (wide)t[i], state);
    if (st != CST_OK)
      return host->fail(host, st, "%s: the trajectory cannot be followed beyond t = %g", s->name,
                        (double)now);
    for (size_t j = 0; j < s->dim; j++) y[i * s->dim + j] = (double)state[j];
  }
  return CST_OK;
}

cst_status trajectory_build(const cst_host *host, const trajectory_system *s, const cst_options *o,
                            uint64_t seed, cst_dataset_spec *d) {
  int64_t n = cst_option_integer(o, "points"), dim[2] = {n, (int64_t)s->dim};
  double t0 = cst_option_number(o, "t0"), t1 = cst_option_number(o, "t1");
  if (!isfinite(t0) || !isfinite(t1) || t0 == t1)
    return host->fail(host, CST_EINVAL, "%s: t0 and t1 must be finite and differ, got %g and %g",
                      s->name, t0, t1);
  wide p[MAX_PARAMETERS] = {0}, state[TRAJECTORY_MAX_DIM];
  CST_TRY(start(host, s, o, state));
  parameters(s, o, p);
  void *t = NULL, *y = NULL;
  CST_TRY(host->dataset_tensor(d, "t", CST_F64, 1, dim, false, &t));
  CST_TRY(host->dataset_tensor(d, "y", CST_F64, 2, dim, false, &y));
  for (int64_t i = 0; i < n; i++)
    ((double *)t)[i] = i == n - 1 ? t1 : t0 + (t1 - t0) * ((double)i / (double)(n - 1));
  CST_TRY(sample(host, s, p, state, t, y, (size_t)n));
  add_noise(s->name, seed, cst_option_number(o, "noise"), y, (size_t)n * s->dim);
  return CST_OK;
}
