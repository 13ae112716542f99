/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Storage of the registry: records by kind, a hash table over (kind, full name), the list of
 * plugins, and the transaction around a plugin's init.
 *
 * A tableau becomes a solver through the engine: plugin `rk` registers a prototype solver type, and
 * each tableau, of whatever plugin, becomes a copy of it with its own name, order and traits
 * (register.c). So the core holds no Runge-Kutta code and a method is data.
 */
#include <string.h>

#include "autodiff/graph_internal.h"
#include "ode/plan.h"
#include "plugin/plugin_internal.h"

const char *cst_kind_name(cst_kind k) {
  static const char *const name[] = {"op",   "solver",    "controller", "gradient", "model",
                                     "loss", "optimizer", "dataset",    "exporter", "communicator"};
  _Static_assert(sizeof name / sizeof *name == CST_KIND_COUNT, "one name a kind");
  return (unsigned)k < CST_KIND_COUNT ? name[k] : "thing";
}

/* ---- the table -------------------------------------------------------------------------------- */

static uint64_t hash_of(cst_kind kind, const char *name) {
  return cst_rng_stream(name) ^ ((uint64_t)kind * 0x9E3779B97F4A7C15u);
}

/* Where the entry is, or the free place where it would be. */
static cst_record **slot(const cst_registry *r, uint64_t hash, cst_kind kind, const char *name) {
  for (uint64_t i = hash;; i++) {
    cst_record **s = &r->table[i & (r->table_size - 1)];
    if (!*s || ((*s)->hash == hash && (*s)->entry.kind == kind && strcmp((*s)->name, name) == 0))
      return s;
  }
}

cst_record *cst_registry_get(const cst_registry *r, cst_kind kind, const char *full_name) {
  return r->table_size ? *slot(r, hash_of(kind, full_name), kind, full_name) : NULL;
}

static void fill_table(cst_registry *r) {
  if (r->table) memset(r->table, 0, r->table_size * sizeof *r->table);
  for (int k = 0; k < CST_KIND_COUNT; k++)
    for (size_t i = 0; i < r->list[k].n; i++) {
      cst_record *e = r->list[k].at[i];
      *slot(r, e->hash, e->entry.kind, e->name) = e;
    }
}

/* Room for one more, at most half full. */
static cst_status grow_table(cst_context *ctx) {
  cst_registry *r = ctx->registry;
  if (2 * (r->n_records + 1) <= r->table_size) return CST_OK;
  size_t size = r->table_size ? 2 * r->table_size : 256;
  cst_record **table = cst_alloc(ctx, size * sizeof *table);
  if (!table) return CST_ENOMEM;
  cst_free(ctx, r->table);
  r->table = table;
  r->table_size = size;
  fill_table(r);
  return CST_OK;
}

/* ---- entries ------------------------------------------------------------------------------------ */

static cst_status grow_list(cst_context *ctx, cst_record_list *l) {
  if (l->n < l->capacity) return CST_OK;
  size_t capacity = l->capacity ? 2 * l->capacity : 16;
  cst_record **at = cst_realloc(ctx, l->at, capacity * sizeof *at);
  if (!at) return CST_ENOMEM;
  l->at = at;
  l->capacity = capacity;
  return CST_OK;
}

static void free_record(cst_context *ctx, cst_record *e) {
  cst_free(ctx, e->owned);
  cst_free(ctx, e);
}

static cst_status insert(cst_context *ctx, cst_record *e) {
  cst_registry *r = ctx->registry;
  cst_record_list *l = &r->list[e->entry.kind];
  const cst_record *present = cst_registry_get(r, e->entry.kind, e->name);
  if (present)
    return cst_fail(ctx, CST_EEXISTS, "%s '%s' is registered already, by %s",
                    cst_kind_name(e->entry.kind), e->name, present->entry.path);
  CST_TRY(grow_list(ctx, l));
  CST_TRY(grow_table(ctx));
  l->at[l->n++] = e;
  *slot(r, e->hash, e->entry.kind, e->name) = e;
  r->n_records++;
  return CST_OK;
}

/* `given` with the name "plugin.name", or its bare name. */
static cst_status enter(cst_context *ctx, const cst_entry *given, bool bare, const cst_module *m,
                        void *owned) {
  const char *plugin = given->plugin, *name = given->name;
  size_t prefix = bare ? 0 : strlen(plugin) + 1, size = prefix + strlen(name) + 1;
  cst_record *e = cst_alloc(ctx, sizeof *e + size);
  if (!e) {
    cst_free(ctx, owned);
    return CST_ENOMEM;
  }
  if (prefix) {
    memcpy(e->name, plugin, prefix - 1);
    e->name[prefix - 1] = '.';
  }
  memcpy(e->name + prefix, name, size - prefix);
  e->entry = *given;
  e->entry.name = e->name;
  if (!given->help) e->entry.help = "";
  e->hash = hash_of(given->kind, e->name);
  e->module = m;
  e->owned = owned;
  cst_status st = insert(ctx, e);
  if (st != CST_OK) free_record(ctx, e);
  return st;
}

cst_status cst_registry_add(cst_context *ctx, cst_kind kind, const char *name, const char *help,
                            const cst_option *options, const void *type, void *owned) {
  const cst_module *m = ctx->registry->loading;
  const char *plugin = m->descriptor->name;
  bool bare = kind == CST_KIND_OP && m->handle == NULL && strcmp(plugin, "core") == 0;
  cst_entry e = {kind, name, plugin, m->path, help, options, type};
  return enter(ctx, &e, bare, m, owned);
}

cst_status cst_registry_add_own(cst_context *ctx, const cst_entry *entry, void *owned) {
  return enter(ctx, entry, false, NULL, owned);
}

size_t cst_entry_count(const cst_context *ctx, cst_kind kind) { return ctx->registry->list[kind].n; }
const cst_entry *cst_entry_at(const cst_context *ctx, cst_kind kind, size_t i) {
  return i < ctx->registry->list[kind].n ? &ctx->registry->list[kind].at[i]->entry : NULL;
}

/* ---- plugins -------------------------------------------------------------------------------------- */

cst_module *cst_module_new(cst_context *ctx, const cst_plugin *descriptor, const char *path) {
  size_t size = strlen(path) + 1;
  cst_module *m = cst_alloc(ctx, sizeof *m + size);
  if (!m) return NULL;
  m->descriptor = descriptor;
  memcpy(m->path, path, size);
  return m;
}

const cst_module *cst_registry_module(const cst_registry *r, const char *plugin) {
  for (size_t i = 0; i < r->n_modules; i++)
    if (strcmp(r->module[i]->descriptor->name, plugin) == 0) return r->module[i];
  return NULL;
}

/* Removes what a module added, and only that: a plugin loaded meanwhile on its behalf stays. */
static void take_back(cst_context *ctx, const cst_module *m) {
  cst_registry *r = ctx->registry;
  for (int k = 0; k < CST_KIND_COUNT; k++) {
    cst_record_list *l = &r->list[k];
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++)
      if (l->at[i]->module != m) l->at[kept++] = l->at[i];
      else free_record(ctx, l->at[i]), r->n_records--;
    l->n = kept;
  }
  if (r->engine_module == m) r->engine = NULL, r->engine_module = NULL;
  fill_table(r);
}

static cst_status reserve_module(cst_context *ctx) {
  cst_registry *r = ctx->registry;
  if (r->n_modules < r->capacity) return CST_OK;
  size_t capacity = r->capacity ? 2 * r->capacity : 16;
  cst_module **module = cst_realloc(ctx, r->module, capacity * sizeof *module);
  if (!module) return CST_ENOMEM;
  r->module = module;
  r->capacity = capacity;
  return CST_OK;
}

static cst_status run_init(cst_context *ctx, cst_module *m) {
  cst_registry *r = ctx->registry;
  m->outer = r->loading;
  r->loading = m;
  cst_message_clear(ctx);
  cst_status st = m->descriptor->init(&ctx->host);
  r->loading = m->outer;
  if (m->failed != CST_OK) st = m->failed;
  if ((unsigned)st >= CST_STATUS_COUNT) st = CST_EPLUGIN;
  if (st != CST_OK && !ctx->message[0]) cst_fail(ctx, st, "it gave no reason");
  if (st != CST_OK) cst_fail_note(ctx, st, "plugin '%s' could not start", m->descriptor->name);
  return st;
}

/* The place in the list is reserved after init, because init may load another plugin. */
cst_status cst_registry_admit(cst_context *ctx, cst_module *m) {
  cst_status st = run_init(ctx, m);
  if (st == CST_OK) st = reserve_module(ctx);
  if (st == CST_OK) {
    ctx->registry->module[ctx->registry->n_modules++] = m;
    return CST_OK;
  }
  take_back(ctx, m);
  cst_free(ctx, m);
  return st;
}

size_t cst_plugin_count(const cst_context *ctx) { return ctx->registry->n_modules; }

cst_plugin_info cst_plugin_at(const cst_context *ctx, size_t i) {
  if (i >= ctx->registry->n_modules) return (cst_plugin_info){0};
  const cst_module *m = ctx->registry->module[i];
  const cst_plugin *d = m->descriptor;
  return (cst_plugin_info){d->name, d->version ? d->version : "", d->license ? d->license : "",
                           m->path};
}

/* ---- beginning and end ------------------------------------------------------------------------------- */

static cst_status core_init(const cst_host *h) {
  CST_TRY(cst_register_core_ops(h));
  CST_TRY(cst_register_core_controllers(h));
  return cst_register_solve(h);
}

static const cst_plugin core_plugin = {
    .abi_version = CST_ABI, .struct_size = sizeof(cst_plugin), .name = "core",
    .version = CST_VERSION, .license = "GPL-3.0-or-later", .init = core_init};

cst_status cst_registry_open(cst_context *ctx) {
  ctx->registry = cst_alloc(ctx, sizeof *ctx->registry);
  if (!ctx->registry) return CST_ENOMEM;
  ctx->host = (cst_host){.struct_size = sizeof(cst_host), .abi = CST_ABI, .ctx = ctx};
  cst_host_registration(&ctx->host);
  cst_host_services(&ctx->host);
  return cst_plugin_add(ctx, &core_plugin, "(core)");
}

void cst_registry_close(cst_context *ctx) {
  cst_registry *r = ctx->registry;
  if (!r) return;
  for (size_t i = r->n_modules; i-- > 0;) {
    const cst_plugin *d = r->module[i]->descriptor;
    if (CST_HAS(d, fini)) d->fini();
  }
  for (int k = 0; k < CST_KIND_COUNT; k++) {
    for (size_t i = 0; i < r->list[k].n; i++) free_record(ctx, r->list[k].at[i]);
    cst_free(ctx, r->list[k].at);
  }
  for (size_t i = 0; i < r->n_modules; i++) cst_free(ctx, r->module[i]);
  cst_free(ctx, r->module);
  cst_free(ctx, r->table);
  cst_free(ctx, r);
  ctx->registry = NULL;
}
