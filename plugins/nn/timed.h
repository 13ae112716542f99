/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Nets that depend on time: y = net(t, x) or net(t, x, c). What their layers see of the time t and the context c
 * is one conditioning vector s = [embedding of t, c], made once an evaluation: a vector [S] where t is shared by
 * all rows and there is no context, else one a row.
 */
#pragma once
#include "layer.h"

/* How t becomes a vector. */
typedef struct nn_embedding {
  const char *name;
  bool keeps_t; /* t itself is the first number */
  bool pairs;   /* a sine and a cosine of each frequency */
  cst_status (*declare)(const cst_host *host, cst_model_spec *m, int64_t features); /* NULL: no parameters */
  /* [.., features] of t [.., 1]; NULL: t alone. Advances *p past what was declared. */
  cst_value (*build)(cst_graph *g, const cst_value **p, cst_value t, int64_t features);
} nn_embedding;

#define NN_EMBEDDINGS "none|fourier|positional|learned"
const nn_embedding *nn_embedding_find(const char *name);
int64_t nn_embedding_width(const nn_embedding *e, int64_t features);
cst_value nn_embedding_build(cst_graph *g, const nn_embedding *e, const cst_value **p, cst_value t, int64_t features);

/* One layer: x [.., in] -> [.., out] under s [.., width], which is absent where width is 0. */
typedef struct nn_timed_layer {
  cst_status (*declare)(const cst_host *host, const cst_options *o, cst_model_spec *m, const char *prefix, int64_t in,
                        int64_t out, int64_t width);
  cst_value (*build)(cst_graph *g, const cst_options *o, const cst_value **p, cst_value x, cst_value s);
} nn_timed_layer;

extern const nn_timed_layer nn_joined, nn_squashed, nn_shifted, nn_blended, nn_generated;

extern const cst_model_type nn_timed[];
extern const size_t nn_timed_count;
