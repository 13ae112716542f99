/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How parameters start. Element i of a parameter is a function of (seed, stream, i), computed in
 * f64 and rounded, so models in f32 and f64 start alike.
 *
 * A weight [.., in, out] maps `in` inputs (all axes but the last) to `out` outputs.
 */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "plugin/plugin_internal.h"

static double normal_at(uint64_t seed, uint64_t stream, size_t i) {
  double z[2];
  cst_rng_normal2(seed, stream, i / 2, 0, z);
  return z[i % 2];
}

static double uniform_at(uint64_t seed, uint64_t stream, size_t i) { /* on (-1, 1) */
  double u[2];
  cst_rng_uniform2(seed, stream, i / 2, 0, u);
  return 2 * u[i % 2] - 1;
}

static void fans(const cst_type *t, double *in, double *out) {
  size_t n_out = t->rank > 1 ? (size_t)t->dim[t->rank - 1] : 1, n = cst_type_count(t);
  *out = (double)n_out;
  *in = n_out ? (double)(n / n_out) : 1;
}

/* Standard deviation of a normal start. */
static double deviation(const cst_parameter *p) {
  double in, out;
  fans(&p->type, &in, &out);
  switch (p->init) {
    case CST_INIT_GLOROT: return p->scale * sqrt(2 / (in + out));
    case CST_INIT_HE: return p->scale * sqrt(2 / in);
    case CST_INIT_LECUN: return p->scale * sqrt(1 / in);
    default: return p->scale;
  }
}

static void fill(const cst_parameter *p, uint64_t seed, uint64_t stream, double *x, size_t n) {
  double scale = deviation(p);
  for (size_t i = 0; i < n; i++) switch (p->init) {
      case CST_INIT_ZERO: x[i] = 0; break;
      case CST_INIT_CONSTANT: x[i] = scale; break;
      case CST_INIT_UNIFORM: x[i] = scale * uniform_at(seed, stream, i); break;
      case CST_INIT_ORTHOGONAL: x[i] = normal_at(seed, stream, i); break;
      default: x[i] = scale * normal_at(seed, stream, i);
    }
}

static double dot(const double *a, const double *b, size_t n, size_t stride) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += a[i * stride] * b[i * stride];
  return sum;
}

/* Makes `count` vectors of length n orthonormal; vector k starts at k * step, elements `stride`
 * apart. Twice is enough (Kahan). The implied R has a positive diagonal, which is the sign fix that
 * makes Q uniform over the orthogonal matrices (Mezzadri 2007). */
static void orthonormalise(double *x, size_t count, size_t step, size_t n, size_t stride) {
  for (size_t k = 0; k < count; k++) {
    double *v = x + k * step;
    for (int pass = 0; pass < 2; pass++)
      for (size_t j = 0; j < k; j++) {
        const double *u = x + j * step;
        double c = dot(u, v, n, stride);
        for (size_t i = 0; i < n; i++) v[i * stride] -= c * u[i * stride];
      }
    double length = sqrt(dot(v, v, n, stride));
    for (size_t i = 0; i < n; i++) v[i * stride] /= length > 0 ? length : 1;
  }
}

/* Orthonormal columns of a tall matrix, rows of a wide one, times the scale. */
static void orthogonalise(const cst_parameter *p, double *x, size_t n) {
  size_t columns = (size_t)p->type.dim[p->type.rank - 1], rows = columns ? n / columns : 0;
  if (rows >= columns) orthonormalise(x, columns, 1, rows, columns);
  else orthonormalise(x, rows, columns, columns, 1);
  for (size_t i = 0; i < n; i++) x[i] *= p->scale;
}

static void initialise(const cst_parameter *p, uint64_t seed, const char *name, double *x,
                       size_t n) {
  char stream[512];
  cst_format_text(stream, sizeof stream, "%s/%s", name, p->name);
  fill(p, seed, cst_rng_stream(stream), x, n);
  if (p->init == CST_INIT_ORTHOGONAL) orthogonalise(p, x, n);
}

static size_t longest(const cst_layout *l) {
  size_t n = 0;
  for (size_t k = 0; k < l->n; k++) {
    size_t count = cst_type_count(&l->parameter[k].type);
    if (count > n) n = count;
  }
  return n;
}

cst_status cst_layout_initialise(cst_context *ctx, const cst_layout *l, cst_dtype dtype,
                                 uint64_t seed, const char *name, void *theta) {
  double *x = cst_alloc(ctx, longest(l) * sizeof *x);
  if (!x) return CST_ENOMEM;
  for (size_t k = 0; k < l->n; k++) {
    const cst_parameter *p = &l->parameter[k];
    size_t n = cst_type_count(&p->type);
    initialise(p, seed, name, x, n);
    if (dtype == CST_F64) memcpy((double *)theta + p->offset, x, n * sizeof *x);
    else for (size_t i = 0; i < n; i++) ((float *)theta)[p->offset + i] = (float)x[i];
  }
  cst_free(ctx, x);
  return CST_OK;
}
