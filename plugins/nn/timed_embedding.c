/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Embeddings of time, with n = features / 2 and F = features:
 *
 *   none        t
 *   fourier     t, sin(2 pi k t), cos(2 pi k t),  k = 1 .. n         all of period 1: for t in [0, 1]
 *   positional  sin(2^k pi t), cos(2^k pi t),  k = 0 .. n - 1        frequencies an octave apart
 *   learned     tanh(t E + e), E [1, F]
 *
 * Sines stand before cosines. The octaves are those of B. Mildenhall et al., "NeRF" (2020), equation 4, after the
 * positional encoding of A. Vaswani et al. (2017). "embed.weight" E and "embed.bias" e start uniform on (-1, 1).
 */
#include <math.h>

#include "timed.h"

static const double pi = 3.14159265358979323846;

/* 0, 1, ..., n - 1 */
static cst_value count(cst_graph *g, int64_t n) {
  cst_attrs at = {.n_ints = 2, .i = {n, g->real}};
  return g->host->node(g, "iota", NULL, 0, &at);
}

static cst_value waves(cst_graph *g, cst_value t, cst_value frequencies) {
  cst_value angle = cst_mul(g, t, frequencies), both[2] = {cst_sin(g, angle), cst_cos(g, angle)};
  return cst_concat(g, both, 2, -1);
}

static cst_value fourier(cst_graph *g, const cst_value **p, cst_value t, int64_t features) {
  (void)p;
  cst_value k = cst_add(g, count(g, features / 2), cst_scalar(g, 1));
  return waves(g, t, cst_scale(g, k, 2 * pi));
}

static cst_value positional(cst_graph *g, const cst_value **p, cst_value t, int64_t features) {
  (void)p;
  cst_value octaves = cst_exp(g, cst_scale(g, count(g, features / 2), log(2)));
  return waves(g, t, cst_scale(g, octaves, pi));
}

static cst_status learned_declare(const cst_host *host, cst_model_spec *m, int64_t features) {
  return nn_uniform(host, m, "embed.", NN_WEIGHT | NN_BIAS, 1, features, 1);
}

static cst_value learned(cst_graph *g, const cst_value **p, cst_value t, int64_t features) {
  (void)features;
  cst_value e = *(*p)++, bias = *(*p)++;
  return cst_dense(g, t, e, bias, CST_TANH);
}

static const nn_embedding embeddings[] = {
    {.name = "none", .keeps_t = true},
    {.name = "fourier", .keeps_t = true, .pairs = true, .build = fourier},
    {.name = "positional", .pairs = true, .build = positional},
    {.name = "learned", .declare = learned_declare, .build = learned},
};

const nn_embedding *nn_embedding_find(const char *name) {
  for (size_t i = 0; i < sizeof embeddings / sizeof *embeddings; i++)
    if (strcmp(embeddings[i].name, name) == 0) return &embeddings[i];
  return &embeddings[0];
}

int64_t nn_embedding_width(const nn_embedding *e, int64_t features) { return e->keeps_t + (e->build ? features : 0); }

cst_value nn_embedding_build(cst_graph *g, const nn_embedding *e, const cst_value **p, cst_value t, int64_t features) {
  if (!e->build) return t;
  cst_value both[2] = {t, e->build(g, p, t, features)};
  return e->keeps_t ? cst_concat(g, both, 2, -1) : both[1];
}
