/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The registry: everything that plugins (and the core, as "core") registered, by kind and name; the
 * loader; option schemas.
 *
 * Full names are "plugin.thing". A lookup of "plugin.thing" loads the plugin when it is not loaded;
 * a bare "thing" is looked up among aliases (a fixed table: dopri5 -> rk.dopri5, adam ->
 * optimizers.adam, ...), then among what is loaded if unique.
 *
 * Discovery, in this order: a name containing '/' is a path; else the directories of
 * COSTATE_PLUGIN_PATH (':'-separated, absolute only, an empty entry stands for the default); else
 * the directory compiled in. Never the current directory; nothing is scanned at start.
 */
#pragma once
#include "costate/context.h"
#include "costate/plugin.h"
#include "costate/tensor.h"

typedef enum cst_kind {
  CST_KIND_OP, CST_KIND_SOLVER, CST_KIND_CONTROLLER, CST_KIND_GRADIENT, CST_KIND_MODEL,
  CST_KIND_LOSS, CST_KIND_OPTIMIZER, CST_KIND_DATASET, CST_KIND_EXPORTER, CST_KIND_COMMUNICATOR,
  CST_KIND_COUNT
} cst_kind;
const char *cst_kind_name(cst_kind k); /* "solver" */

typedef struct cst_entry {
  cst_kind kind;
  const char *name;   /* full: "rk.dopri5"; ops: bare name for the core's, else "plugin.op" */
  const char *plugin; /* "rk" */
  const char *path;   /* of the plugin's file; "(core)" */
  const char *help;
  const cst_option *options; /* schema or NULL */
  const void *type;   /* cst_solver_type, cst_op, ... */
} cst_entry;

/* NULL with the reason in the context: unknown names come with suggestions. */
const cst_entry *cst_find(cst_context *ctx, cst_kind kind, const char *name);
size_t cst_entry_count(const cst_context *ctx, cst_kind kind);
const cst_entry *cst_entry_at(const cst_context *ctx, cst_kind kind, size_t i);

/* Loads a plugin by name or path. Checks, each with its own message: is it a file, an ELF object
 * with sane bounds for this machine (so that a text file or a truncated one never reaches dlopen),
 * the symbol, abi_version, struct_size, duplicate name, init, each type. Registration is
 * transactional. The same file twice is fine and does nothing. A new plugin is refused while a
 * solve or a program is running. */
cst_status cst_plugin_load(cst_context *ctx, const char *name_or_path);
/* The same checks and the same transaction for a descriptor that is linked into the program: the
 * core registers itself so, and a static build or a test its own. `path` is what cst_plugin_at
 * tells, "(core)". Descriptor and types must outlive the context. */
cst_status cst_plugin_add(cst_context *ctx, const cst_plugin *descriptor, const char *path);
/* Registers an explicit Runge-Kutta method outside of any plugin, as solver `name` = "mine.thing". The
 * tableau is copied (its own name is not looked at) and checked like a plugin's; it lasts as long as
 * the context. `where` is what the entry's path tells, "script.lua:12". Refused while a solve or a
 * program is running, and under the name of a plugin. */
cst_status cst_tableau_register(cst_context *ctx, const char *name, const char *where,
                                const cst_tableau *t);
typedef struct cst_plugin_info {
  const char *name, *version, *license, *path;
} cst_plugin_info;
size_t cst_plugin_count(const cst_context *ctx);
cst_plugin_info cst_plugin_at(const cst_context *ctx, size_t i);
/* Names of loadable plugins in the directories above, whether loaded or not: calls f for each. */
void cst_plugin_available(cst_context *ctx, void (*f)(void *arg, const char *name, const char *path),
                          void *arg);

/* ---- options ------------------------------------------------------------------------------- */

/* A value as a script gave it. */
typedef struct cst_given {
  const char *name;
  cst_option_kind kind; /* NUMBER, INTEGER, BOOLEAN, STRING or LIST */
  double number;        /* NUMBER, BOOLEAN */
  int64_t integer;      /* INTEGER */
  const char *string;
  const double *list;
  size_t n_list;
} cst_given;

/* Checks every given value against the schema (kind, range, choices, unknown names with "did you
 * mean"), fills defaults, copies. `what` names the thing in messages ("solver 'dopri5'"). An integer
 * is accepted for a NUMBER, an integral number for an INTEGER. */
cst_status cst_options_new(cst_context *ctx, const char *what, const cst_option *schema,
                           const cst_given *given, size_t n, cst_options **out);
void cst_options_free(cst_context *ctx, cst_options *o);
/* The candidate nearest to `word` or NULL: edit distance, a swap counting as one, at most a third
 * of the word's length (but 1 is always near). */
const char *cst_suggest(const char *word, const char *const *candidates, size_t n);

/* ---- models and data sets ------------------------------------------------------------------- */

typedef struct cst_parameter {
  const char *name;
  cst_type type; /* float type of the request, SHARED */
  size_t offset; /* elements into the flat vector */
  cst_init init;
  double scale;
} cst_parameter;

typedef struct cst_layout { /* of a model's flat parameter vector */
  cst_parameter *parameter;
  size_t n, count; /* parameters; elements in all */
} cst_layout;

cst_status cst_model_declare(cst_context *ctx, const cst_entry *model, const cst_options *o,
                             cst_dtype dtype, cst_layout *out);
void cst_layout_free(cst_context *ctx, cst_layout *l);
/* Fills the flat vector: each parameter from stream "NAME/parameter name" of the seed. The values in
 * f32 are those in f64 rounded. Fails only for want of memory. */
cst_status cst_layout_initialise(cst_context *ctx, const cst_layout *l, cst_dtype dtype,
                                 uint64_t seed, const char *name, void *theta);

typedef struct cst_words { /* a named list */
  char *name;
  char **word;
  size_t n;
} cst_words;

typedef struct cst_dataset {
  const char **name;
  cst_tensor **tensor;
  size_t n;
  cst_words *words; /* n_words lists */
  size_t n_words;
} cst_dataset;
cst_status cst_dataset_build(cst_context *ctx, const cst_entry *dataset, const cst_options *o,
                             uint64_t seed, cst_dataset *out);
void cst_dataset_free(cst_context *ctx, cst_dataset *d);
