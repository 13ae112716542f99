/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From a name to an entry: exact, through an alias, among what is loaded, or by loading the plugin
 * that the name begins with. Every "not found" says what is near.
 */
#include <string.h>

#include "base/text.h"
#include "plugin/plugin_internal.h"

/* The nearest name so far, over several sources of candidates. */
typedef struct search {
  const char *word, *best;
} search;

static void consider(search *s, const char *candidate) {
  const char *two[2] = {s->best, candidate};
  const char *better = cst_suggest(s->word, two, 2);
  if (better) s->best = better;
}

static const char *thing_of(const cst_record *e) {
  const char *dot = strchr(e->name, '.');
  return dot ? dot + 1 : e->name;
}

static const char *nearest(const cst_context *ctx, cst_kind kind, const char *word) {
  search s = {word, NULL};
  bool full = strchr(word, '.') != NULL;
  const cst_record_list *l = &ctx->registry->list[kind];
  for (size_t i = 0; i < l->n; i++) consider(&s, full ? l->at[i]->name : thing_of(l->at[i]));
  for (size_t i = 0; !full && cst_alias_at(kind, i); i++) consider(&s, cst_alias_at(kind, i));
  return s.best;
}

/* The full name when `name` belongs to something of another kind. */
static const char *of_another_kind(const cst_context *ctx, cst_kind kind, const char *name,
                                   cst_kind *other) {
  for (int k = 0; k < CST_KIND_COUNT; k++) {
    *other = (cst_kind)k;
    const char *full = cst_alias_of(*other, name);
    const cst_record *e = cst_registry_get(ctx->registry, *other, name);
    if (*other != kind && (full || e)) return full ? full : e->name;
  }
  return NULL;
}

static const cst_entry *not_found(cst_context *ctx, cst_kind kind, const char *name) {
  char hint[200] = "";
  cst_kind other;
  const char *near = nearest(ctx, kind, name), *full = of_another_kind(ctx, kind, name, &other);
  if (full) {
    const char *article = strchr("aeiou", cst_kind_name(other)[0]) ? "an" : "a";
    cst_format_text(hint, sizeof hint, ": '%s' is %s %s", full, article, cst_kind_name(other));
  } else if (near)
    cst_format_text(hint, sizeof hint, ": did you mean '%s'?", near);
  else if (!strchr(name, '.') && kind != CST_KIND_OP)
    cst_format_text(hint, sizeof hint, " (what is not loaded has the full name PLUGIN.%.60s)", name);
  cst_fail(ctx, CST_ENOTFOUND, "there is no %s '%.100s'%s", cst_kind_name(kind), name, hint);
  return NULL;
}

/* "plugin.thing", loading the plugin when it is not. */
static const cst_entry *find_full(cst_context *ctx, cst_kind kind, const char *name) {
  const cst_record *e = cst_registry_get(ctx->registry, kind, name);
  if (e) return &e->entry;
  char plugin[64];
  size_t n = strcspn(name, ".");
  if (n >= sizeof plugin) return not_found(ctx, kind, name);
  memcpy(plugin, name, n);
  plugin[n] = 0;
  if (!cst_name_valid(plugin) || cst_registry_module(ctx->registry, plugin))
    return not_found(ctx, kind, name);
  cst_status st = cst_plugin_load(ctx, plugin);
  if (st != CST_OK) {
    cst_fail_note(ctx, st, "%s '%.100s'", cst_kind_name(kind), name);
    return NULL;
  }
  e = cst_registry_get(ctx->registry, kind, name);
  return e ? &e->entry : not_found(ctx, kind, name);
}

/* A bare name among what is loaded. */
static const cst_entry *find_bare(cst_context *ctx, cst_kind kind, const char *name) {
  const cst_record_list *l = &ctx->registry->list[kind];
  const cst_record *found = NULL;
  for (size_t i = 0; i < l->n; i++) {
    if (strcmp(thing_of(l->at[i]), name) != 0) continue;
    if (found) {
      cst_fail(ctx, CST_EINVAL, "%s '%.100s' is ambiguous: '%s' or '%s'?", cst_kind_name(kind),
               name, found->name, l->at[i]->name);
      return NULL;
    }
    found = l->at[i];
  }
  return found ? &found->entry : not_found(ctx, kind, name);
}

const cst_entry *cst_find(cst_context *ctx, cst_kind kind, const char *name) {
  if ((unsigned)kind >= CST_KIND_COUNT || !name) {
    cst_fail(ctx, CST_EINVAL, "a lookup needs a kind and a name");
    return NULL;
  }
  if (kind == CST_KIND_OP) { /* asked for at every node, and an op of the core has a bare name */
    const cst_record *e = cst_registry_get(ctx->registry, kind, name);
    if (e) return &e->entry;
  }
  if (strchr(name, '.')) return find_full(ctx, kind, name);
  const char *full = cst_alias_of(kind, name);
  return full ? find_full(ctx, kind, full) : find_bare(ctx, kind, name);
}
