/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Data sets in tests: see sets.h.
 */
#include "sets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

cst_context *set_ctx;

int set_open(void) {
  set_ctx = cst_context_new(NULL);
  return !set_ctx || cst_plugin_load(set_ctx, "datasets") != CST_OK;
}
int set_close(void) {
  cst_context_free(set_ctx);
  return 0;
}

void set_expect_message(const char *text) {
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(set_ctx), text));
  if (!strstr(cst_message(set_ctx), text)) printf("\n%s\n", cst_message(set_ctx));
}

cst_status set_build(const char *name, const cst_given *given, size_t n, uint64_t seed,
                     cst_dataset *d) {
  *d = (cst_dataset){0};
  const cst_entry *e = cst_find(set_ctx, CST_KIND_DATASET, name);
  cst_options *o = NULL;
  if (!e) return cst_last_status(set_ctx);
  CST_TRY(cst_options_new(set_ctx, name, e->options, given, n, &o));
  cst_status st = cst_dataset_build(set_ctx, e, o, seed, d);
  cst_options_free(set_ctx, o);
  return st;
}

const cst_tensor *set_tensor(const cst_dataset *d, const char *name) {
  for (size_t i = 0; i < d->n; i++)
    if (strcmp(d->name[i], name) == 0) return d->tensor[i];
  return NULL;
}

const cst_words *set_words(const cst_dataset *d, const char *name) {
  for (size_t i = 0; i < d->n_words; i++)
    if (strcmp(d->words[i].name, name) == 0) return &d->words[i];
  return NULL;
}

void set_expect(const cst_dataset *d, const char *name, const double *x, size_t n) {
  const cst_tensor *t = set_tensor(d, name);
  CU_ASSERT_PTR_NOT_NULL_FATAL(t);
  CU_ASSERT_EQUAL_FATAL(t->count, n);
  for (size_t i = 0; i < n; i++) CU_ASSERT_EQUAL(cst_tensor_get(t, i), x[i]);
}
void set_expect_words(const cst_dataset *d, const char *name, size_t n, const char *const *word) {
  const cst_words *w = set_words(d, name);
  CU_ASSERT_PTR_NOT_NULL_FATAL(w);
  CU_ASSERT_EQUAL_FATAL(w->n, n);
  for (size_t i = 0; i < n; i++) CU_ASSERT_STRING_EQUAL(w->word[i], word[i]);
}

void set_write_file(const char *path, const char *bytes, size_t size) {
  FILE *f = fopen(path, "wb");
  CU_ASSERT_PTR_NOT_NULL_FATAL(f);
  CU_ASSERT_EQUAL(fwrite(bytes, 1, size, f), size);
  fclose(f);
}

cst_status set_read(const char *name, const char *bytes, size_t size, const cst_given *more,
                    size_t n, cst_dataset *d) {
  char path[] = "/tmp/costate-series-XXXXXX";
  cst_given given[16] = {TEXT("path", path)};
  CU_ASSERT_FATAL(n < 15);
  if (n) memcpy(given + 1, more, n * sizeof *more);
  close(mkstemp(path));
  set_write_file(path, bytes, size);
  cst_status st = set_build(name, given, n + 1, 0, d);
  unlink(path);
  return st;
}

void set_check(const cst_dataset *d) {
  const cst_tensor *t = set_tensor(d, "t"), *y = set_tensor(d, "y"), *mask = set_tensor(d, "mask");
  size_t points = (size_t)t->type.dim[1], channel_count = (size_t)y->type.dim[2];
  for (size_t r = 0; r < (size_t)t->type.dim[0]; r++) {
    size_t n = (size_t)cst_tensor_get(set_tensor(d, "lengths"), r);
    CU_ASSERT(n >= 1 && n <= points);
    for (size_t p = 1; p < points; p++) {
      double step = cst_tensor_get(t, r * points + p) - cst_tensor_get(t, r * points + p - 1);
      CU_ASSERT(p < n ? step > 0 : step == 0);
    }
    for (size_t i = r * points * channel_count; i < (r + 1) * points * channel_count; i++) {
      double m = cst_tensor_get(mask, i);
      CU_ASSERT(m == 0 || m == 1);
      CU_ASSERT(isfinite(cst_tensor_get(y, i)));
      if (m == 0) CU_ASSERT_EQUAL(cst_tensor_get(y, i), 0);
      if (i / channel_count >= r * points + n) CU_ASSERT_EQUAL(m, 0);
    }
  }
}
