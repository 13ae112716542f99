/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Nets that depend on time, net(t, x) or, with `context`, net(t, x, c): layers x W + b under a conditioning vector
 * s = [embedding of t, c], after each but the last `activation`, after the last `final`. Kinds, one a row below:
 *
 *   ignore        x W + b                            no time; with a context x W + c V + b
 *   concat        x W + s V + b                      a layer that reads [x, s]
 *   squash        (x W + b) * sigmoid(s G + g)
 *   concatsquash  (x W + b) * sigmoid(s G + g) + s H
 *   blend         x W(s) + b(s),  W(s) = W + sum_j s_j W_j,  b(s) = b + sum_j s_j b_j
 *   hyper         the same of h(s) in place of s, h a small tanh net: all weights are one net of s
 *
 * t is one number, or one a row, [B] or [B, 1]; x [B, D], [B, K, D] or, alone, [D]; c [B, C] or, for all rows, [C].
 *
 * Parameters in order: "embed.weight" [1, F], "embed.bias" [F] of a learned embedding; "hyper.k.weight",
 * "hyper.k.bias" of h; then of layer i = 0, 1, ..
 *   "i.weight" [in, out], "i.bias" [out] (with bias = true),
 *   concat, ignore with a context    "i.shift" [S, out]
 *   squash, concatsquash             "i.gate" [S, out], "i.gate_bias" [out]; concatsquash "i.shift" [S, out]
 *   blend, hyper                     "i.slope" [S, in, out], "i.bias_slope" [S, out] (with bias = true)
 * Weights and biases start as the option `init` says, what s is multiplied by uniform on +-0.1/sqrt(n), n the number
 * of products a sum of it has, gate_bias at zero: a net begins near one that ignores the time, gates half open. With
 * init = "fan_in_uniform" the 0.1 is 1 and gate_bias starts so too, as in PyTorch. h starts uniform on +-1/sqrt(in).
 *
 * Source of the kinds: W. Grathwohl et al., "FFJORD" (2019), appendix; of hyper, D. Ha et al., "HyperNetworks" (2016).
 */
#include <math.h>
#include <stdio.h>

#include "timed.h"

typedef struct kind {
  const char *name;
  bool sees_time, through_net; /* s holds the time; layers see h(s) */
  const nn_timed_layer *layer;
} kind;

#define TIMED_OPTIONS                                                                                          \
  {"sizes", CST_LIST, .required = true, .help = "values a row: in, hidden .., out"},                           \
  {"activation", CST_STRING, .string = "tanh", .choices = NN_ACTIVATIONS,                                      \
   .help = "after every layer but the last"},                                                                  \
  {"final", CST_STRING, .string = "none", .choices = NN_ACTIVATIONS, .help = "after the last layer"},          \
  {"embedding", CST_STRING, .string = "none", .choices = NN_EMBEDDINGS,                                        \
   .help = "how layers see t; none: as it is (ignore does not see it)"},                                       \
  {"features", CST_INTEGER, .number = 8, .range = {1, 4096}, .help = "numbers that an embedding makes of t"},  \
  {"context", CST_INTEGER, .range = {0, 0x1p31}, .help = "values a row of a context c, net(t, x, c); 0: none"}, \
  NN_LAYER_OPTIONS

#define HYPER_OPTION {"hyper", CST_LIST, .help = "hidden widths of the net that makes the weights; default {32, 32}"}

/* name, sees the time, through a net, layer, help, options */
#define KINDS(ROW)                                                                                         \
  ROW(ignore, false, false, nn_joined, "net(t, x) that does not see t: x W + b", TIMED_OPTIONS)            \
  ROW(concat, true, false, nn_joined, "net(t, x) of layers x W + s V + b, s of the time", TIMED_OPTIONS)   \
  ROW(squash, true, false, nn_squashed, "net(t, x) of layers (x W + b) sigmoid(s G + g), s of the time",   \
      TIMED_OPTIONS)                                                                                       \
  ROW(concatsquash, true, false, nn_shifted,                                                               \
      "net(t, x) of layers (x W + b) sigmoid(s G + g) + s H, s of the time", TIMED_OPTIONS)                \
  ROW(blend, true, false, nn_blended, "net(t, x) whose weights are affine in s, which is of the time",     \
      TIMED_OPTIONS)                                                                                       \
  ROW(hyper, true, true, nn_generated, "net(t, x) whose weights a small net makes of the time",            \
      TIMED_OPTIONS, HYPER_OPTION)

/* ---- sizes ----------------------------------------------------------------------------------------------- */

static cst_option_value hidden_widths(const cst_options *o) {
  static const double usual[] = {32, 32};
  cst_option_value v = *cst_option_get(o, "hyper");
  if (!v.given) v.list = usual, v.n_list = 2;
  return v;
}

static const nn_embedding *embedding(const cst_options *o) {
  return nn_embedding_find(cst_option_string(o, "embedding"));
}

/* Numbers in s, and in what layers see of it. */
static int64_t s_width(const kind *k, const cst_options *o) {
  int64_t time = nn_embedding_width(embedding(o), cst_option_integer(o, "features"));
  return (k->sees_time ? time : 0) + cst_option_integer(o, "context");
}
static int64_t seen_width(const kind *k, const cst_options *o) {
  cst_option_value h = hidden_widths(o);
  return k->through_net && h.n_list ? (int64_t)h.list[h.n_list - 1] : s_width(k, o);
}

/* ---- parameters ------------------------------------------------------------------------------------------ */

static cst_status check_options(const kind *k, const cst_host *host, const cst_options *o) {
  CST_TRY(nn_check_sizes(host, k->name, cst_option_get(o, "sizes")));
  cst_option_value h = hidden_widths(o);
  CST_TRY(nn_check_whole(host, k->name, "hidden width", &h));
  long long features = cst_option_integer(o, "features");
  if (embedding(o)->pairs && features % 2 != 0)
    return host->fail(host, CST_EINVAL, "%s: embedding '%s' makes a sine and a cosine of each frequency, so 'features' "
                      "must be even, got %lld", k->name, embedding(o)->name, features);
  return CST_OK;
}

static cst_status declare_net(const kind *k, const cst_host *host, const cst_options *o, cst_model_spec *m) {
  cst_option_value h = hidden_widths(o);
  int64_t in = s_width(k, o);
  for (size_t i = 0; k->through_net && i < h.n_list; i++) {
    char prefix[40];
    snprintf(prefix, sizeof prefix, "hyper.%zu.", i);
    int64_t out = (int64_t)h.list[i];
    CST_TRY(nn_uniform(host, m, prefix, NN_WEIGHT | NN_BIAS, in, out, 1 / sqrt((double)in)));
    in = out;
  }
  return CST_OK;
}

static cst_status declare(const kind *k, const cst_host *host, const cst_options *o, cst_model_spec *m) {
  const cst_option_value *sizes = cst_option_get(o, "sizes");
  const nn_embedding *e = embedding(o);
  CST_TRY(check_options(k, host, o));
  if (k->sees_time && e->declare) CST_TRY(e->declare(host, m, cst_option_integer(o, "features")));
  CST_TRY(declare_net(k, host, o, m));
  for (size_t i = 0; i + 1 < sizes->n_list; i++) {
    char prefix[32];
    snprintf(prefix, sizeof prefix, "%zu.", i);
    CST_TRY(k->layer->declare(host, o, m, prefix, (int64_t)sizes->list[i], (int64_t)sizes->list[i + 1],
                              seen_width(k, o)));
  }
  return CST_OK;
}

/* ---- what is given --------------------------------------------------------------------------------------- */

static bool fits(const kind *k, cst_graph *g, const cst_options *o, const cst_value *in, size_t n) {
  long long context = cst_option_integer(o, "context");
  if (n != 2 && n != 3)
    g->host->graph_fail(g, CST_EINVAL, "%s takes a time and a state, net(t, x), got %zu values", k->name, n);
  else if (n == 2 && context > 0)
    g->host->graph_fail(g, CST_EINVAL, "%s has a context of %lld values a row and got none: call it as net(t, x, c), "
                        "in a field function(t, x) return net(t, x, c) end", k->name, context);
  else if (n == 3 && context == 0)
    g->host->graph_fail(g, CST_EINVAL, "%s was made without a context: call it as net(t, x), or make it with context = "
                        "the values a row of c", k->name);
  else
    return nn_check_width(g, k->name, NULL, in[1], (int64_t)cst_option_get(o, "sizes")->list[0]) &&
           (n == 2 || nn_check_width(g, k->name, "a context", in[2], context));
  return false;
}

/* t as [.., 1] in the graph's float type; CST_NONE where it is not one number for what it stands beside. */
static cst_value column(const kind *k, cst_graph *g, cst_value t, cst_value x) {
  if (!t) return CST_NONE;
  cst_type of_t = *cst_type_of(g, t), of_x = *cst_type_of(g, x);
  int inner = of_t.rank - (of_t.space == CST_ROW);
  if (of_t.dtype != g->real) t = cst_cast(g, t, (cst_dtype)g->real);
  if (inner > 0 && of_t.dim[of_t.rank - 1] == 1) return t;
  bool leading = of_t.rank + 1 == of_x.rank;
  for (int i = 0; leading && i < of_t.rank; i++) leading = of_t.dim[i] == of_x.dim[i];
  if (inner > 0 && !leading)
    return g->host->graph_fail(g, CST_ESHAPE, "%s expects one time, or one a row, [B] or [B, 1]; got %lld a row",
                               k->name, (long long)of_t.dim[of_t.rank - 1]);
  of_t.dim[of_t.rank] = 1;
  return cst_reshape(g, t, of_t.rank + 1, of_t.dim);
}

/* v with the leading axes of `like` and its own last one. */
static cst_value spread(cst_graph *g, cst_value v, cst_value like) {
  if (!v || !like) return CST_NONE;
  cst_type t = *cst_type_of(g, like);
  const cst_type *own = cst_type_of(g, v);
  cst_attrs at = {.n_ints = (uint8_t)(2 + t.rank), .i = {t.rank, t.space}};
  t.dim[t.rank - 1] = own->dim[own->rank - 1];
  for (int i = 0; i < t.rank; i++) at.i[2 + i] = t.dim[i];
  return cst_node1(g, "broadcast", v, &at);
}

/* [e, c], along the leading axes that both have together. */
static cst_value beside(cst_graph *g, cst_value e, cst_value c) {
  if (!e || !c) return e ? e : c;
  cst_value like = cst_add(g, cst_slice(g, e, -1, 0, 1, 1), cst_slice(g, c, -1, 0, 1, 1));
  cst_value both[2] = {spread(g, e, like), spread(g, c, like)};
  return cst_concat(g, both, 2, -1);
}

/* What layers see: s, or h(s). CST_NONE: nothing. */
static cst_value conditioning(const kind *k, cst_graph *g, const cst_options *o, const cst_value **p, cst_value t,
                              cst_value c) {
  cst_value e = CST_NONE;
  if (k->sees_time) e = nn_embedding_build(g, embedding(o), p, t, cst_option_integer(o, "features"));
  cst_value s = beside(g, e, c);
  size_t n = k->through_net ? hidden_widths(o).n_list : 0;
  for (size_t i = 0; i < n; i++, *p += 2) s = cst_dense(g, s, (*p)[0], (*p)[1], CST_TANH);
  return s;
}

static cst_value build(const kind *k, cst_graph *g, const cst_options *o, const cst_value *params, const cst_value *in,
                       size_t n_in) {
  if (!fits(k, g, o, in, n_in)) return CST_NONE;
  const size_t layers = cst_option_get(o, "sizes")->n_list - 1;
  cst_value t = column(k, g, in[0], in[1]), x = in[1];
  cst_value s = conditioning(k, g, o, &params, t, n_in == 3 ? in[2] : CST_NONE);
  for (size_t i = 0; i < layers && g->status == CST_OK; i++) {
    const nn_activation *f = nn_activation_find(cst_option_string(o, i + 1 < layers ? "activation" : "final"));
    x = k->layer->build(g, o, &params, x, s);
    if (f->apply) x = f->apply(g, x);
  }
  return g->status == CST_OK ? x : CST_NONE;
}

/* ---- the table ------------------------------------------------------------------------------------------- */

#define FUNCTIONS(nm, time, net, lay, text, ...)                                                                  \
  static const kind nm = {#nm, time, net, &lay};                                                                  \
  static cst_status nm##_declare(const cst_host *host, const cst_options *o, cst_model_spec *m) {                 \
    return declare(&nm, host, o, m);                                                                              \
  }                                                                                                               \
  static cst_value nm##_build(cst_graph *g, const cst_options *o, const cst_value *p, const cst_value *in,        \
                              size_t n) {                                                                         \
    return build(&nm, g, o, p, in, n);                                                                            \
  }
KINDS(FUNCTIONS)

#define TYPE(nm, time, net, lay, text, ...)                                                           \
  {.struct_size = sizeof(cst_model_type), .name = #nm, .help = text, .options = CST_OPTIONS(__VA_ARGS__), \
   .declare = nm##_declare, .build = nm##_build, .signature = "t, x, c? -> y"},
const cst_model_type nn_timed[] = {KINDS(TYPE)};
const size_t nn_timed_count = sizeof nn_timed / sizeof *nn_timed;
