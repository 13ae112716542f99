/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The scalars that count in the error norm: the controlled parts, neighbours merged, split where
 * the quadrature parts begin.
 */
#include <math.h>

#include "ode/integrate_internal.h"

cst_status cst_grow(cst_context *ctx, void *array, size_t *capacity, size_t n, size_t size) {
  if (n <= *capacity) return CST_OK;
  size_t want = *capacity * 2 > n ? *capacity * 2 : n < 16 ? 16 : n;
  if (want > SIZE_MAX / 2 / size) return cst_fail(ctx, CST_ENOMEM, "an array of a solve overflows");
  void *old;
  memcpy(&old, array, sizeof old);
  void *grown = cst_realloc(ctx, old, want * size);
  if (!grown) return CST_ENOMEM;
  memcpy(array, &grown, sizeof grown);
  *capacity = want;
  return CST_OK;
}

static void add(cst_integrator *i, size_t first, size_t n) {
  cst_span *last = i->n_controlled ? &i->controlled[i->n_controlled - 1] : NULL;
  size_t border = i->run.rhs->n_stage;
  if (n == 0) return;
  i->controlled_scalars += n, i->share = 1 / (double)i->controlled_scalars;
  if (last && last->first + last->n == first && first != border) last->n += n;
  else i->controlled[i->n_controlled++] = (cst_span){first, n};
}

cst_status cst_spans_find(cst_integrator *i, const cst_rhs *rhs) {
  CST_TRY(cst_grow(i->ctx, &i->controlled, &i->span_capacity, rhs->n_parts + 2, sizeof(cst_span)));
  i->n_controlled = i->controlled_scalars = 0, i->share = 0;
  for (size_t p = 0; p < rhs->n_parts; p++) {
    const cst_part *part = &rhs->parts[p];
    if (part->flags & CST_PART_UNCONTROLLED) continue;
    add(i, part->offset, part->once ? part->n : part->n * rhs->rows);
  }
  if (rhs->n_parts == 0) {
    add(i, 0, rhs->n_stage);
    add(i, rhs->n_stage, rhs->n - rhs->n_stage);
  }
  return CST_OK;
}

double cst_spans_norm(const cst_integrator *i, const void *v, const void *y0, const void *y1) {
  double sum = 0;
  for (size_t s = 0; s < i->n_controlled; s++) {
    size_t at = i->controlled[s].first * i->size;
    const void *k = (const char *)v + at;
    sum += i->host->error_sum(i->config.dtype, i->controlled[s].n, 1, (const double[]){1}, &k,
                              (const char *)y0 + at, (const char *)y1 + at, i->config.rtol,
                              i->config.atol);
  }
  return sqrt(sum * i->share);
}
