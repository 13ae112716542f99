/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where plugins are found: the absolute directories of COSTATE_PLUGIN_PATH, an empty entry standing
 * for the one compiled in; without the variable, that one alone. Never the current directory.
 */
#define _GNU_SOURCE /* secure_getenv: a setuid program must not be told where code lies */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "plugin/plugin_internal.h"

/* The i-th directory into `dir`; false after the last. Entries that are not absolute count as
 * directories that do not exist: dir is "". */
static bool directory_at(size_t i, char dir[CST_PATH_SIZE]) {
  const char *path = secure_getenv("COSTATE_PLUGIN_PATH");
  if (!path) path = "";
  for (; i > 0; i--) {
    path = strchr(path, ':');
    if (!path) return false;
    path++;
  }
  size_t n = strcspn(path, ":");
  if (n == 0) cst_format_text(dir, CST_PATH_SIZE, "%s", CST_PLUGIN_DIR);
  else if (path[0] != '/' || n >= CST_PATH_SIZE) dir[0] = 0;
  else cst_format_text(dir, CST_PATH_SIZE, "%.*s", (int)n, path);
  return true;
}

static bool find_file(const char *name, char path[CST_PATH_SIZE]) {
  char dir[CST_PATH_SIZE];
  struct stat info;
  for (size_t i = 0; directory_at(i, dir); i++) {
    if (!dir[0] || cst_format_text(path, CST_PATH_SIZE, "%s/%s.so", dir, name) >= CST_PATH_SIZE)
      continue;
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode)) return true;
  }
  return false;
}

/* "name" of "name.so" when that is a plugin's name. */
static bool name_of_file(const char *file, char name[64]) {
  size_t n = strlen(file);
  if (n < 4 || n - 3 >= 64 || strcmp(file + n - 3, ".so") != 0) return false;
  memcpy(name, file, n - 3);
  name[n - 3] = 0;
  return cst_name_valid(name);
}

typedef void visit(void *arg, const char *name, const char *path);

/* Names in the order of the alphabet, for the order on disk is nobody's. */
static void visit_directory(const char *dir, visit *f, void *arg) {
  struct dirent **file = NULL;
  int n = scandir(dir, &file, NULL, alphasort);
  for (int i = 0; i < n; i++) {
    char name[64], path[CST_PATH_SIZE], found[CST_PATH_SIZE];
    cst_format_text(path, sizeof path, "%s/%s", dir, file[i]->d_name);
    /* What an earlier directory shadows is not loadable by its name. */
    if (name_of_file(file[i]->d_name, name) && find_file(name, found) && strcmp(path, found) == 0)
      f(arg, name, path);
    free(file[i]);
  }
  free(file);
}

void cst_plugin_available(cst_context *ctx, visit *f, void *arg) {
  (void)ctx;
  char dir[CST_PATH_SIZE];
  for (size_t i = 0; directory_at(i, dir); i++)
    if (dir[0]) visit_directory(dir, f, arg);
}

/* ---- not found: where it was looked for, and what is there ---------------------------------------- */

typedef struct similar {
  const char *word;
  char best[64];
} similar;

static void consider(void *arg, const char *name, const char *path) {
  (void)path;
  similar *s = arg;
  const char *two[2] = {s->best[0] ? s->best : NULL, name};
  const char *better = cst_suggest(s->word, two, 2);
  if (better == name) cst_format_text(s->best, sizeof s->best, "%s", name);
}

static void list_directories(char *text, size_t size) {
  char dir[CST_PATH_SIZE];
  size_t length = 0;
  text[0] = 0;
  for (size_t i = 0; directory_at(i, dir) && length < size; i++)
    length += cst_format_text(text + length, size - length, i ? ", %s" : "%s",
                              dir[0] ? dir : "(an entry that is not absolute)");
}

cst_status cst_plugin_search(cst_context *ctx, const char *name, char path[CST_PATH_SIZE]) {
  if (!cst_name_valid(name))
    return cst_fail(ctx, CST_EINVAL,
                    "'%.80s' is no name of a plugin: names are [a-z0-9_]+, and paths contain a '/'",
                    name);
  if (find_file(name, path)) return CST_OK;
  char where[600];
  similar s = {.word = name};
  cst_plugin_available(ctx, consider, &s);
  list_directories(where, sizeof where);
  return cst_fail(ctx, CST_ENOTFOUND, "there is no plugin '%s' in %s%s%s%s", name, where,
                  s.best[0] ? ": did you mean '" : "", s.best, s.best[0] ? "'?" : "");
}
