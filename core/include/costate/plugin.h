/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * costate/plugin.h: all that a plugin includes.
 *
 * A plugin is one shared object with one exported symbol, the descriptor that CST_PLUGIN defines.
 * Its init registers types: each a `static const` struct that starts with its size. Fields are only
 * ever appended; the host reads a field only if it lies inside struct_size and is not NULL.
 *
 * A plugin must not print, exit, abort, install signal handlers, keep pointers to a caller's vectors
 * after returning, throw or longjmp. Slots of different instances may be called concurrently, slots
 * of the same instance never.
 */
#pragma once
#include "costate/ode.h"
#include "costate/op.h"
#include "costate/option.h"
#include "costate/rng.h"
#include "costate/types.h"

#define CST_ABI 2u

/* ---- models, losses, optimizers, data sets -------------------------------------------------- */

typedef struct cst_model_spec cst_model_spec; /* receives the parameters a model declares */

/* How a parameter starts. `scale` is the standard deviation (NORMAL), half-width (UNIFORM) or value
 * (CONSTANT); for GLOROT, HE and LECUN a factor, 1 if unsure. */
typedef enum cst_init { CST_INIT_ZERO, CST_INIT_CONSTANT, CST_INIT_NORMAL, CST_INIT_UNIFORM,
                        CST_INIT_GLOROT, CST_INIT_HE, CST_INIT_LECUN, CST_INIT_ORTHOGONAL } cst_init;

/* Optional check of a declared parameter or input is the core's work. */
typedef struct cst_model_type {
  uint32_t struct_size;
  const char *name, *help;
  const cst_option *options;
  /* REQUIRED. Declares parameters in order with host->parameter. */
  cst_status (*declare)(const cst_host *host, const cst_options *o, cst_model_spec *m);
  /* REQUIRED. The model as graph nodes; params in the order declared. Returns the output, the first one
   * of several. */
  cst_value (*build)(cst_graph *g, const cst_options *o, const cst_value *params,
                     const cst_value *in, size_t n_in);
  /* Optional: how a script calls it, such as "{h, c}, x -> {h, c}": names of the inputs in order, those
   * of one table in braces, and of the outputs. The last inputs may be optional, "x, mask? -> y". A first
   * input t is a time: as a field of an ODE the model is called with t and y. Default: inputs one by one,
   * one output; a field of y alone. */
  const char *signature;
  /* For several outputs (a signature names them): their number, and what fills them in. Default: one. */
  uint32_t n_out;
  void (*build_all)(cst_graph *g, const cst_options *o, const cst_value *params, const cst_value *in,
                    size_t n_in, cst_value *out);
} cst_model_type;

typedef struct cst_loss_type {
  uint32_t struct_size;
  const char *name, *help;
  const cst_option *options;
  uint32_t n_in; /* 2: prediction, target; 3: mean, log of the variance, target; ... */
  /* REQUIRED: a scalar, or one value a row. */
  cst_value (*build)(cst_graph *g, const cst_options *o, const cst_value *in);
  uint32_t n_optional; /* so many of the last inputs may be left out, CST_NONE then; default 0 */
} cst_loss_type;

typedef struct cst_update {
  uint32_t struct_size;
  uint8_t dtype;
  size_t n;
  uint64_t count; /* updates so far, counting this one: 1, 2, ... */
  double rate;    /* learning rate now */
  void *theta;
  const void *gradient;
  void *slot[4];  /* `slots` vectors like theta, zero at first, kept between updates */
} cst_update;

typedef struct cst_optimizer_type {
  uint32_t struct_size;
  const char *name, *help;
  const cst_option *options; /* must have "lr" */
  uint32_t slots;            /* 0 .. 4 */
  void (*update)(const cst_options *o, const cst_update *u); /* REQUIRED */
} cst_optimizer_type;

typedef struct cst_dataset_spec cst_dataset_spec; /* receives named tensors */

typedef struct cst_dataset_type {
  uint32_t struct_size;
  const char *name, *help;
  const cst_option *options;
  /* REQUIRED. Fills named tensors with host->dataset_tensor; `seed` keys what is random. */
  cst_status (*build)(const cst_host *host, const cst_options *o, uint64_t seed, cst_dataset_spec *d);
} cst_dataset_type;

/* Turns something trained into text (equations, C). `get` reads named properties of the subject. */
typedef struct cst_exporter_type {
  uint32_t struct_size;
  const char *name, *help;
  const cst_option *options;
  cst_status (*write)(const cst_host *host, const cst_options *o, void *subject,
                      void (*emit)(void *arg, const char *text, size_t n), void *arg);
} cst_exporter_type;

/* Data-parallel training: sums vectors over ranks in a fixed order. */
typedef struct cst_communicator_type {
  uint32_t struct_size;
  const char *name, *help;
  const cst_option *options;
  cst_status (*create)(const cst_host *host, const cst_options *o, void **state);
  void (*destroy)(const cst_host *host, void *state);
  int (*rank)(void *state);
  int (*size)(void *state);
  cst_status (*sum)(void *state, uint8_t dtype, void *x, size_t n);
} cst_communicator_type;

/* The numeric services of the host for one dtype, see there. */
typedef void cst_combine_fn(size_t n, const void *y, size_t s, const double *c, const void *const *k, void *out);
typedef double cst_error_sum_fn(size_t n, size_t s, const double *c, const void *const *k, const void *y0,
                                const void *y1, double rtol, double atol);

/* ---- the host ------------------------------------------------------------------------------- */

struct cst_host {
  uint32_t struct_size, abi;
  cst_context *ctx;

  /* Registration, from init only. Names are without the plugin's prefix, [a-z0-9_]+. The struct must
   * live as long as the plugin. */
  cst_status (*register_op)(const cst_host *h, const cst_op *t);
  cst_status (*register_solver)(const cst_host *h, const cst_solver_type *t);
  cst_status (*register_tableau)(const cst_host *h, const cst_tableau *t);
  cst_status (*register_controller)(const cst_host *h, const cst_controller_type *t);
  cst_status (*register_gradient)(const cst_host *h, const cst_gradient_type *t);
  cst_status (*register_model)(const cst_host *h, const cst_model_type *t);
  cst_status (*register_loss)(const cst_host *h, const cst_loss_type *t);
  cst_status (*register_optimizer)(const cst_host *h, const cst_optimizer_type *t);
  cst_status (*register_dataset)(const cst_host *h, const cst_dataset_type *t);
  cst_status (*register_exporter)(const cst_host *h, const cst_exporter_type *t);
  cst_status (*register_communicator)(const cst_host *h, const cst_communicator_type *t);
  /* The engine that turns tableaus into solvers (`rk` registers it): see core/plugin/registry.c. */
  cst_status (*register_tableau_engine)(const cst_host *h, const cst_solver_type *prototype);

  /* Services. */
  void *(*alloc)(const cst_host *h, size_t size); /* zeroed, 64-byte aligned; NULL: exhausted */
  void (*free)(const cst_host *h, void *ptr);
  cst_status (*fail)(const cst_host *h, cst_status st, const char *format, ...);
  void (*log)(const cst_host *h, const char *format, ...);

  /* Graphs: see build.h for the wrappers to use. */
  cst_value (*node)(cst_graph *g, const char *op, const cst_value *in, size_t n, const cst_attrs *a);
  const cst_type *(*type_of)(const cst_graph *g, cst_value v);
  cst_value (*graph_fail)(cst_graph *g, cst_status st, const char *format, ...);

  /* Models and data sets. */
  cst_status (*parameter)(cst_model_spec *m, const char *name, int rank, const int64_t *dim,
                          cst_init init, double scale);
  /* A named tensor of the data set, zero-filled; *data to be written. With `rows` its leading axis is
   * marked as a batch. */
  cst_status (*dataset_tensor)(cst_dataset_spec *d, const char *name, uint8_t dtype, int rank,
                               const int64_t *dim, bool rows, void **data);

  /* Numeric services, vectorised for this CPU (dtype CST_F32 or CST_F64). */
  /* out = y + sum_j c[j] k[j]; y NULL is zero; out may be y. */
  void (*combine)(uint8_t dtype, size_t n, const void *y, size_t s, const double *c,
                  const void *const *k, void *out);
  /* sum_i ((sum_j c[j] k[j][i]) / (atol + rtol max(|y0[i]|,|y1[i]|)))^2 */
  double (*error_sum)(uint8_t dtype, size_t n, size_t s, const double *c, const void *const *k,
                      const void *y0, const void *y1, double rtol, double atol);
  double (*dot)(uint8_t dtype, size_t n, const void *a, const void *b);

  /* Solves. Tape memory lives until the driver rewinds or clears it. */
  void *(*tape_push)(cst_tape *tape, size_t bytes); /* 64-byte aligned, not zeroed; NULL: exhausted */
  cst_status (*integrator_new)(const cst_host *h, const cst_integrator_config *c,
                               cst_integrator **out);
  cst_status (*integrate)(cst_integrator *i, const cst_integration *run);
  void (*integrator_free)(cst_integrator *i);

  /* `combine` and `error_sum` without the way through the host, for inner loops. */
  cst_combine_fn *(*combine_of)(uint8_t dtype);
  cst_error_sum_fn *(*error_sum_of)(uint8_t dtype);

  /* Trajectories (cst_integration.trajectory): the state of a run at any time of its span, as far as the
   * field reads it: n_stage scalars. Steps are numbered from 0 in the order they were taken. */
  /* budget: bytes at most; 0: no limit. */
  cst_status (*trajectory_new)(const cst_host *h, size_t budget, cst_trajectory **out);
  void (*trajectory_free)(cst_trajectory *y);
  /* Empties it. With `behind`, what follows lies behind that one in its memory, under its budget, until
   * one of the two is emptied. */
  void (*trajectory_clear)(cst_trajectory *y, const cst_trajectory *behind);
  size_t (*trajectory_steps)(const cst_trajectory *y);
  void (*trajectory_step)(const cst_trajectory *y, size_t k, double *t, double *h);
  /* The step that holds this time, or is nearest to it; `hint` is where to look first. */
  size_t (*trajectory_find)(const cst_trajectory *y, double t, size_t hint);
  /* out = y(t + x h) of step k; beyond its ends the polynomial goes on. */
  void (*trajectory_value)(const cst_trajectory *y, size_t k, double x, void *out);

  /* A solver by name, its plugin loaded if need be; NULL: there is none, the context has the reason. */
  const cst_solver_type *(*find_solver)(const cst_host *h, const char *name);

  /* A named list of words of the data set, such as the names of its channels. They are copied. */
  cst_status (*dataset_words)(cst_dataset_spec *d, const char *name, size_t n, const char *const *word);
};

/* ---- the descriptor -------------------------------------------------------------------------- */

typedef struct cst_plugin {
  uint32_t abi_version; /* these two are frozen for ever and read first */
  uint32_t struct_size;
  const char *name, *version, *license;
  cst_status (*init)(const cst_host *host); /* registers; on failure says why with host->fail */
  void (*fini)(void);                       /* optional */
} cst_plugin;

#if defined(__cplusplus)
#define CST_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define CST_EXPORT extern __attribute__((visibility("default")))
#endif

#define CST_PLUGIN                                \
  CST_EXPORT const cst_plugin cst_plugin_descriptor; \
  const cst_plugin cst_plugin_descriptor =

/* True when field `f` of a type struct `t` lies inside its struct_size and is set. */
#define CST_HAS(t, f) ((t)->struct_size >= offsetof(__typeof__(*(t)), f) + sizeof((t)->f) && (t)->f)

#include "costate/build.h"
