/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The registry from inside, and what its files offer each other.
 *
 * Invariants of the registry:
 *  - an entry's address never changes; it is freed only with the context or by the rollback of the
 *    plugin that added it;
 *  - a plugin is in the list exactly when its init has succeeded. While init runs its record is
 *    `loading`, and `outer` leads to the plugin whose init caused this one to be loaded;
 *  - the table finds every entry by kind and full name, and nothing else.
 */
#pragma once
#include <sys/types.h>

#include "base/context_internal.h"
#include "costate/registry.h"

typedef struct cst_module cst_module;
struct cst_module {
  const cst_plugin *descriptor;
  cst_module *outer;
  void *handle; /* of the dynamic loader, NULL for what is linked in */
  dev_t device; /* the file, when there is a handle */
  ino_t inode;
  cst_status failed; /* a registration failed: init has failed, whatever it returns */
  char path[];
};

typedef struct cst_record {
  cst_entry entry; /* first: entries are handed out */
  uint64_t hash;
  const cst_module *module;
  void *owned; /* the solver type made from a tableau, or NULL */
  char name[];
} cst_record;

typedef struct cst_record_list {
  cst_record **at;
  size_t n, capacity;
} cst_record_list;

struct cst_registry {
  cst_record_list list[CST_KIND_COUNT]; /* in order of registration */
  cst_record **table;                   /* open addressing; table_size is a power of two or 0 */
  size_t table_size, n_records;
  cst_module **module; /* in order of loading */
  size_t n_modules, capacity;
  cst_module *loading;
  const cst_solver_type *engine; /* that tableaus become solvers with */
  const cst_module *engine_module;
};

enum { CST_NAME_SIZE = 160 }; /* of "plugin.thing" with its NUL; each half at most 63 */

/* ---- registry.c: storage ---------------------------------------------------------------------- */

cst_record *cst_registry_get(const cst_registry *r, cst_kind kind, const char *full_name);
const cst_module *cst_registry_module(const cst_registry *r, const char *plugin);
/* Enters a type under its full name for the module that is loading. Takes over `owned`, also when it
 * fails. */
cst_status cst_registry_add(cst_context *ctx, cst_kind kind, const char *name, const char *help,
                            const cst_option *options, const void *type, void *owned);
/* The same for what no plugin registers: the name is entry->plugin, a dot, entry->name. Strings but the
 * names must live as long as the context. */
cst_status cst_registry_add_own(cst_context *ctx, const cst_entry *entry, void *owned);
/* Runs the init of a module and keeps it, or takes back all that it added and frees the module. */
cst_status cst_registry_admit(cst_context *ctx, cst_module *m);
cst_module *cst_module_new(cst_context *ctx, const cst_plugin *descriptor, const char *path);

/* ---- the other files ---------------------------------------------------------------------------- */

/* [a-z0-9_]+, 1 to 63 characters: names of plugins and of what they register. */
bool cst_name_valid(const char *name);
/* validate.c: the required slots of a type, its option schema, its struct_size. */
cst_status cst_type_check(cst_context *ctx, cst_kind kind, const void *type, bool core);
/* register.c: fills the register_* slots. host.c: fills the rest. */
void cst_host_registration(cst_host *h);
void cst_host_services(cst_host *h);
/* register.c: checks a tableau and has the engine loaded; then makes a solver of it. */
cst_status cst_tableau_ready(cst_context *ctx, const char *plugin, const cst_tableau *t);
void cst_tableau_solver(const cst_context *ctx, const cst_tableau *t, cst_solver_type *s);
/* models.c and datasets.c: the slots `parameter`, `dataset_tensor` and `dataset_words`. */
cst_status cst_model_parameter(cst_model_spec *m, const char *name, int rank, const int64_t *dim,
                               cst_init init, double scale);
cst_status cst_dataset_tensor(cst_dataset_spec *d, const char *name, uint8_t dtype, int rank,
                              const int64_t *dim, bool rows, void **data);
cst_status cst_dataset_words(cst_dataset_spec *d, const char *name, size_t n, const char *const *word);
/* aliases.c: full name of a short one, or NULL; i-th short name of a kind, or NULL at the end. */
const char *cst_alias_of(cst_kind kind, const char *name);
const char *cst_alias_at(cst_kind kind, size_t i);

/* search.c: the directories that plugins are looked for in. */
enum { CST_PATH_SIZE = 4096 };
/* Finds the file of a plugin; ENOTFOUND with the directories searched and a suggestion. */
cst_status cst_plugin_search(cst_context *ctx, const char *name, char path[CST_PATH_SIZE]);
/* elf.c: whether the file is a shared object of this machine with sane bounds. */
cst_status cst_elf_check(cst_context *ctx, const char *path);
