/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Data sets: named tensors and lists of words that a plugin fills.
 */
#include <string.h>

#include "plugin/plugin_internal.h"

struct cst_dataset_spec {
  cst_context *ctx;
  const char *dataset;
  cst_dataset *set;
  size_t capacity;
  cst_status failed;
};

static cst_status grow(cst_dataset_spec *d) {
  if (d->set->n < d->capacity) return CST_OK;
  size_t capacity = d->capacity ? 2 * d->capacity : 8;
  const char **name = cst_realloc(d->ctx, d->set->name, capacity * sizeof *name);
  if (!name) return CST_ENOMEM;
  d->set->name = name;
  cst_tensor **tensor = cst_realloc(d->ctx, d->set->tensor, capacity * sizeof *tensor);
  if (!tensor) return CST_ENOMEM;
  d->set->tensor = tensor;
  d->capacity = capacity;
  return CST_OK;
}

static cst_status check_name(const cst_dataset_spec *d, const char *what, const char *name) {
  const cst_dataset *s = d->set;
  if (!name || !name[0] || strlen(name) > 255)
    return cst_fail(d->ctx, CST_EINVAL, "dataset '%s' has a %s without a name, or with one of more "
                    "than 255 bytes", d->dataset, what);
  bool taken = false;
  for (size_t i = 0; i < s->n; i++) taken |= strcmp(s->name[i], name) == 0;
  for (size_t i = 0; i < s->n_words; i++) taken |= strcmp(s->words[i].name, name) == 0;
  if (!taken) return CST_OK;
  return cst_fail(d->ctx, CST_EEXISTS, "dataset '%s' makes %s '%s' twice", d->dataset, what, name);
}

static cst_status add(cst_dataset_spec *d, const char *name, uint8_t dtype, int rank,
                      const int64_t *dim, bool rows, void **data) {
  cst_dataset *s = d->set;
  CST_TRY(check_name(d, "tensor", name));
  if (rows && rank < 1)
    return cst_fail(d->ctx, CST_ESHAPE, "dataset '%s': tensor '%s' has rows but no axis", d->dataset,
                    name);
  CST_TRY(grow(d));
  char *copy = cst_strdup(d->ctx, name);
  if (!copy) return CST_ENOMEM;
  cst_tensor *t;
  cst_status st = cst_tensor_new(d->ctx, (cst_dtype)dtype, rank, dim, &t);
  if (st != CST_OK) {
    cst_free(d->ctx, copy);
    return cst_fail_note(d->ctx, st, "tensor '%s' of dataset '%s'", name, d->dataset);
  }
  if (rows) t->type.space = CST_ROW;
  s->name[s->n] = copy;
  s->tensor[s->n++] = t;
  *data = t->data;
  return CST_OK;
}

cst_status cst_dataset_tensor(cst_dataset_spec *d, const char *name, uint8_t dtype, int rank,
                              const int64_t *dim, bool rows, void **data) {
  *data = NULL;
  if (d->failed == CST_OK) d->failed = add(d, name, dtype, rank, dim, rows, data);
  return d->failed;
}

static void free_words(cst_context *ctx, cst_words *w) {
  for (size_t i = 0; w->word && i < w->n; i++) cst_free(ctx, w->word[i]);
  cst_free(ctx, w->word);
  cst_free(ctx, w->name);
}

static cst_status copy_words(cst_context *ctx, const char *name, size_t n, const char *const *word,
                             cst_words *out) {
  *out = (cst_words){.name = cst_strdup(ctx, name), .word = cst_alloc(ctx, (n + 1) * sizeof *word), .n = n};
  bool ok = out->name && out->word;
  for (size_t i = 0; ok && i < n; i++) ok = (out->word[i] = cst_strdup(ctx, word[i])) != NULL;
  if (ok) return CST_OK;
  free_words(ctx, out);
  return CST_ENOMEM;
}

static cst_status add_words(cst_dataset_spec *d, const char *name, size_t n, const char *const *word) {
  CST_TRY(check_name(d, "word list", name));
  cst_dataset *s = d->set;
  cst_words *larger = cst_realloc(d->ctx, s->words, (s->n_words + 1) * sizeof *larger);
  if (!larger) return CST_ENOMEM;
  s->words = larger;
  CST_TRY(copy_words(d->ctx, name, n, word, &s->words[s->n_words]));
  s->n_words++;
  return CST_OK;
}

cst_status cst_dataset_words(cst_dataset_spec *d, const char *name, size_t n, const char *const *word) {
  if (d->failed == CST_OK) d->failed = add_words(d, name, n, word);
  return d->failed;
}

cst_status cst_dataset_build(cst_context *ctx, const cst_entry *dataset, const cst_options *o,
                             uint64_t seed, cst_dataset *out) {
  *out = (cst_dataset){0};
  if (dataset->kind != CST_KIND_DATASET)
    return cst_fail(ctx, CST_EINVAL, "'%s' is a %s, not a dataset", dataset->name,
                    cst_kind_name(dataset->kind));
  const cst_dataset_type *t = dataset->type;
  cst_dataset_spec d = {.ctx = ctx, .dataset = dataset->name, .set = out};
  cst_status st = t->build(&ctx->host, o, seed, &d);
  if (d.failed != CST_OK) st = d.failed;
  if (st != CST_OK) cst_dataset_free(ctx, out);
  return st;
}

void cst_dataset_free(cst_context *ctx, cst_dataset *d) {
  for (size_t i = 0; i < d->n; i++) {
    cst_free(ctx, (void *)(uintptr_t)d->name[i]);
    cst_tensor_release(d->tensor[i]);
  }
  for (size_t i = 0; i < d->n_words; i++) free_words(ctx, &d->words[i]);
  cst_free(ctx, d->words);
  cst_free(ctx, d->name);
  cst_free(ctx, d->tensor);
  *d = (cst_dataset){0};
}
