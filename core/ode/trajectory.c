/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ode/trajectory.h"

#include <math.h>
#include <string.h>

#include "base/context_internal.h"
#include "tensor/kernels.h"

static const double PI = 3.14159265358979323846;

cst_status cst_trajectory_new(cst_context *ctx, size_t budget, cst_trajectory **out) {
  *out = NULL;
  cst_trajectory *y = cst_alloc(ctx, sizeof *y);
  if (!y) return CST_ENOMEM;
  *y = (cst_trajectory){.ctx = ctx, .own = cst_tape_new(ctx, budget)};
  y->tape = y->own;
  if (y->own) return *out = y, CST_OK;
  cst_trajectory_free(y);
  return CST_ENOMEM;
}

void cst_trajectory_free(cst_trajectory *y) {
  if (!y) return;
  cst_tape_free(y->own);
  cst_free(y->ctx, y->steps);
  cst_free(y->ctx, y);
}

static void empty(cst_trajectory *y) {
  if (y->origin.bytes) cst_tape_rewind(y->tape, y->origin);
  else cst_tape_clear(y->tape);
  y->end = y->origin;
  y->n_steps = 0, y->joined = false;
}

void cst_trajectory_clear(cst_trajectory *y, const cst_trajectory *behind) {
  y->tape = behind ? behind->tape : y->own;
  y->origin = behind ? behind->end : (cst_tape_place){0};
  empty(y);
}

void cst_trajectory_begin(cst_trajectory *y, uint8_t dtype, size_t n, int degree) {
  empty(y);
  y->dtype = dtype, y->n = n, y->bytes = n * cst_dtype_size((cst_dtype)dtype);
  y->degree = degree > CST_MOST_DEGREE ? CST_MOST_DEGREE : degree;
  for (int j = 0; j <= y->degree; j++) y->node[j] = (1 - cos(PI * j / y->degree)) / 2;
  y->node[y->degree] = 1;
}

/* ---- steps ------------------------------------------------------------------------------------------- */

static cst_status reserve(cst_trajectory *y) {
  if (y->n_steps < y->capacity) return CST_OK;
  size_t capacity = y->capacity ? 2 * y->capacity : 64;
  void *steps = cst_realloc(y->ctx, y->steps, capacity * sizeof *y->steps);
  if (!steps) return CST_ENOMEM;
  y->steps = steps, y->capacity = capacity;
  return CST_OK;
}

static unsigned char *last_value(const cst_trajectory *y) {
  return y->steps[y->n_steps - 1].rest + (size_t)(y->degree - 1) * y->bytes;
}

cst_status cst_trajectory_push(cst_trajectory *y, double t, double h, const void *y0, unsigned char **rest) {
  size_t values = (size_t)y->degree + !y->joined;
  CST_TRY(reserve(y));
  unsigned char *block = cst_tape_push_reserve(y->tape, values * y->bytes);
  if (!block) return CST_ENOMEM;
  cst_trajectory_step s = {.t = t, .h = h, .first = block, .rest = block};
  if (y->joined) s.first = last_value(y);
  else memcpy(block, y0, y->bytes), s.rest += y->bytes;
  y->steps[y->n_steps++] = s;
  y->end = cst_tape_mark(y->tape);
  y->joined = true;
  *rest = s.rest;
  return CST_OK;
}

void cst_trajectory_part(cst_trajectory *y) { y->joined = false; }
size_t cst_trajectory_bytes(const cst_trajectory *y) { return cst_tape_bytes(y->tape); }
size_t cst_trajectory_peak(const cst_trajectory *y) { return cst_tape_peak(y->tape); }
size_t cst_trajectory_steps(const cst_trajectory *y) { return y->n_steps; }

void cst_trajectory_step_at(const cst_trajectory *y, size_t k, double *t, double *h) {
  *t = y->steps[k].t, *h = y->steps[k].h;
}

/* ---- values ------------------------------------------------------------------------------------------ */

/* Whether step k begins beyond time t. */
static bool ahead(const cst_trajectory *y, size_t k, double t) {
  const cst_trajectory_step *s = &y->steps[k];
  return (s->t - t) * s->h > 0;
}

size_t cst_trajectory_find(const cst_trajectory *y, double t, size_t hint) {
  size_t low = 0, high = y->n_steps; /* step low is not ahead or the first, step high is ahead or the end */
  for (size_t k = hint ? hint - 1 : 0; k <= hint + 1 && k < y->n_steps; k++)
    if (ahead(y, k, t)) high = k < high ? k : high;
    else low = k;
  while (high > low + 1) {
    size_t mid = low + (high - low) / 2;
    if (ahead(y, mid, t)) high = mid;
    else low = mid;
  }
  return low;
}

static const void *value_at(const cst_trajectory *y, const cst_trajectory_step *s, int j) {
  return j ? s->rest + (size_t)(j - 1) * y->bytes : s->first;
}

/* The weight of each value at x. */
static void weigh(const cst_trajectory *y, double x, double *c) {
  double sum = 0;
  for (int j = 0; j <= y->degree; j++) {
    bool end = j == 0 || j == y->degree;
    c[j] = (j % 2 ? -1 : 1) * (end ? 0.5 : 1) / (x - y->node[j]);
    sum += c[j];
  }
  for (int j = 0; j <= y->degree; j++) c[j] /= sum;
}

/* So close to a node its weight would overflow: beside a break at 0 the next number is 5e-324. */
static const double ON_NODE = 1e-200;

void cst_trajectory_value(const cst_trajectory *y, size_t k, double x, void *out) {
  const cst_trajectory_step *s = &y->steps[k];
  double c[CST_MOST_DEGREE + 1];
  const void *v[CST_MOST_DEGREE + 1];
  for (int j = 0; j <= y->degree; j++) {
    v[j] = value_at(y, s, j);
    if (fabs(x - y->node[j]) < ON_NODE) {
      memcpy(out, v[j], y->bytes);
      return;
    }
  }
  weigh(y, x, c);
  cst_kernels_get()->combine[y->dtype == CST_F64](y->n, NULL, (size_t)y->degree + 1, c, v, out);
}
