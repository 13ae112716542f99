/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Loading a plugin: the only file that knows the dynamic loader.
 *
 * Order of checks: the file (elf.c), a child process that opens it, dlopen, the symbol, abi_version, struct_size, names, duplicate,
 * init, each type. Nothing of the plugin runs before init but what the linker itself runs. A library
 * that was refused is closed; once its init has succeeded it stays mapped for ever, because types and
 * vtables point into it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "plugin/plugin_internal.h"

static const char *printable(const char *name) { return name && name[0] ? name : "(none)"; }

/* ---- the descriptor ------------------------------------------------------------------------------ */

static cst_status check_descriptor(cst_context *ctx, const cst_plugin *d, const char *path) {
  /* The fields of ABI 1 up to the last one that is required. */
  size_t least = offsetof(cst_plugin, init) + sizeof d->init;
  if (d->abi_version != CST_ABI)
    return cst_fail(ctx, CST_EPLUGIN,
                    "%s was built for plugin interface %u, this Costate has %u: build it again",
                    path, d->abi_version, CST_ABI);
  if (d->struct_size < least)
    return cst_fail(ctx, CST_EPLUGIN, "%s has a descriptor of %u bytes, but the least is %zu", path,
                    d->struct_size, least);
  if (!cst_name_valid(d->name))
    return cst_fail(ctx, CST_EPLUGIN,
                    "%s calls itself '%.80s': names of plugins are [a-z0-9_]+, at most 63", path,
                    printable(d->name));
  if (!d->init) return cst_fail(ctx, CST_EPLUGIN, "%s has no init", path);
  return CST_OK;
}

static cst_status check_duplicate(cst_context *ctx, const char *name, const char *path) {
  const cst_registry *r = ctx->registry;
  const cst_module *same = cst_registry_module(r, name);
  for (const cst_module *m = r->loading; m && !same; m = m->outer)
    if (strcmp(m->descriptor->name, name) == 0) same = m;
  if (!same) return CST_OK;
  return cst_fail(ctx, CST_EEXISTS, "%s: plugin '%s' is loaded already, from %s", path, name,
                  same->path);
}

static cst_status check_idle(cst_context *ctx, const char *what) {
  if (!ctx->busy) return CST_OK;
  return cst_fail(ctx, CST_EBUSY,
                  "plugin '%.200s' cannot be loaded while a solve or program is running: load it "
                  "before",
                  what);
}

cst_status cst_plugin_add(cst_context *ctx, const cst_plugin *descriptor, const char *path) {
  CST_TRY(check_descriptor(ctx, descriptor, path));
  CST_TRY(check_idle(ctx, descriptor->name));
  CST_TRY(check_duplicate(ctx, descriptor->name, path));
  cst_module *m = cst_module_new(ctx, descriptor, path);
  return m ? cst_registry_admit(ctx, m) : CST_ENOMEM;
}

/* ---- the file --------------------------------------------------------------------------------------- */

/* Copies a name, because the library it lies in is about to be closed. */
static cst_status refuse_name(cst_context *ctx, const cst_plugin *d, const char *path,
                              const char *expected) {
  return cst_fail(ctx, CST_EPLUGIN, "%s was loaded as '%s', but it is plugin '%s'", path, expected,
                  d->name);
}

/* `expected` is the name it was asked for by, or NULL. The handle is the caller's. */
static cst_status admit(cst_context *ctx, void *handle, const struct stat *info, const char *path,
                        const char *expected) {
  const cst_plugin *d = dlsym(handle, "cst_plugin_descriptor");
  if (!d)
    return cst_fail(ctx, CST_EPLUGIN,
                    "%s is a shared object, but no plugin of Costate: it has no symbol "
                    "cst_plugin_descriptor",
                    path);
  CST_TRY(check_descriptor(ctx, d, path));
  if (expected && strcmp(d->name, expected) != 0) return refuse_name(ctx, d, path, expected);
  CST_TRY(check_duplicate(ctx, d->name, path));
  cst_module *m = cst_module_new(ctx, d, path);
  if (!m) return CST_ENOMEM;
  m->handle = handle;
  m->device = info->st_dev;
  m->inode = info->st_ino;
  cst_status st = cst_registry_admit(ctx, m);
  return st == CST_OK ? st : cst_fail_note(ctx, st, "%s", path);
}

/* The dynamic loader trusts what it reads: of damaged files that pass every check of bounds, some kill
 * the process that opens them. So a child opens it first and does nothing else. */
static cst_status probe(cst_context *ctx, const char *path) {
  pid_t child = fork();
  if (child == 0) _exit(dlopen(path, RTLD_NOW | RTLD_LOCAL) ? 0 : 1);
  if (child < 0) return CST_OK; /* no process to be had: go on without */
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!WIFSIGNALED(status)) return CST_OK; /* what dlopen refuses, it explains to us below */
  return cst_fail(ctx, CST_EPLUGIN, "%s is damaged: the process that tried to open it was killed (%s)", path,
                  strsignal(WTERMSIG(status)));
}

static cst_status open_library(cst_context *ctx, const struct stat *info, const char *path,
                               const char *expected) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char *why = dlerror();
    return cst_fail(ctx, CST_EPLUGIN, "the dynamic loader refused %s: %s", path, why ? why : "");
  }
  cst_status st = admit(ctx, handle, info, path, expected);
  if (st != CST_OK) dlclose(handle);
  return st;
}

static bool same_file(const cst_module *m, const struct stat *info) {
  return m->handle && m->device == info->st_dev && m->inode == info->st_ino;
}

static bool is_loaded(const cst_registry *r, const struct stat *info) {
  for (size_t i = 0; i < r->n_modules; i++)
    if (same_file(r->module[i], info)) return true;
  return false;
}

static bool is_loading(const cst_registry *r, const struct stat *info) {
  for (const cst_module *m = r->loading; m; m = m->outer)
    if (same_file(m, info)) return true;
  return false;
}

static cst_status load_path(cst_context *ctx, const char *path, const char *expected) {
  struct stat info;
  if (stat(path, &info) != 0)
    return cst_fail(ctx, errno == ENOENT ? CST_ENOTFOUND : CST_EIO, "%s: %s", path, strerror(errno));
  if (is_loaded(ctx->registry, &info)) return CST_OK;
  if (is_loading(ctx->registry, &info))
    return cst_fail(ctx, CST_EPLUGIN, "%s is being loaded: its init asked for itself", path);
  CST_TRY(check_idle(ctx, path));
  CST_TRY(cst_elf_check(ctx, path));
  CST_TRY(probe(ctx, path));
  return open_library(ctx, &info, path, expected);
}

cst_status cst_plugin_load(cst_context *ctx, const char *name_or_path) {
  if (strchr(name_or_path, '/')) return load_path(ctx, name_or_path, NULL);
  if (cst_registry_module(ctx->registry, name_or_path)) return CST_OK;
  char path[CST_PATH_SIZE];
  CST_TRY(cst_plugin_search(ctx, name_or_path, path));
  return load_path(ctx, path, name_or_path);
}
