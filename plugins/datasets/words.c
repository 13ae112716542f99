/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A hash table with open addressing, at most half full.
 */
#include "words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "csv_table.h"

/* The slot that holds `word`, or the free one where it belongs. */
static size_t *find_slot(const words *w, const char *word) {
  size_t mask = 2 * w->capacity - 1, i = (size_t)cst_rng_stream(word) & mask;
  while (w->slot[i] && strcmp(w->word[w->slot[i] - 1], word) != 0) i = (i + 1) & mask;
  return &w->slot[i];
}

static void hash_all(words *w) {
  for (size_t i = 0; i < 2 * w->capacity; i++) w->slot[i] = 0;
  for (size_t i = 0; i < w->n; i++) *find_slot(w, w->word[i]) = i + 1;
}

static cst_status grow(words *w) {
  if (w->n < w->capacity) return CST_OK;
  size_t capacity = w->capacity ? 2 * w->capacity : 64;
  const char **word = w->host->alloc(w->host, capacity * sizeof *word);
  size_t *slot = w->host->alloc(w->host, 2 * capacity * sizeof *slot);
  if (!word || !slot) {
    w->host->free(w->host, word), w->host->free(w->host, slot);
    return w->host->fail(w->host, CST_ENOMEM, "no memory for %zu names", capacity);
  }
  for (size_t i = 0; i < w->n; i++) word[i] = w->word[i];
  w->host->free(w->host, w->word), w->host->free(w->host, w->slot);
  w->word = word, w->slot = slot, w->capacity = capacity;
  hash_all(w);
  return CST_OK;
}

cst_status words_number(words *w, const char *word, size_t *number) {
  if (words_find(w, word, number)) return CST_OK;
  CST_TRY(grow(w));
  *number = w->n;
  w->word[w->n++] = word;
  *find_slot(w, word) = w->n;
  return CST_OK;
}

bool words_find(const words *w, const char *word, size_t *number) {
  size_t place = w->n ? *find_slot(w, word) : 0;
  *number = place - 1;
  return place != 0;
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void words_sort(words *w) {
  if (!w->n) return;
  qsort(w->word, w->n, sizeof *w->word, by_text);
  hash_all(w);
}

void words_free(words *w) {
  if (!w->host) return;
  w->host->free(w->host, w->word);
  w->host->free(w->host, w->slot);
  *w = (words){0};
}

cst_status words_as_numbers(words *level, size_t n, const char *const *text, double *x,
                            bool *whole) {
  bool numbers = true;
  *whole = true;
  for (size_t i = 0; i < n && numbers; i++) {
    numbers = csv_number(text[i], &x[i]);
    *whole &= numbers && x[i] == floor(x[i]) && fabs(x[i]) < 0x1p53;
  }
  if (numbers) return CST_OK;
  size_t at;
  *whole = true;
  for (size_t i = 0; i < n; i++) CST_TRY(words_number(level, text[i], &at));
  words_sort(level);
  for (size_t i = 0; i < n; i++) x[i] = words_find(level, text[i], &at) ? (double)at : 0;
  return CST_OK;
}

bool words_whole(size_t n, const char *const *text, double *x) {
  for (size_t i = 0; i < n; i++) {
    char printed[32];
    if (!csv_number(text[i], &x[i]) || !(fabs(x[i]) < 0x1p53)) return false;
    snprintf(printed, sizeof printed, "%.0f", x[i]);
    if (strcmp(printed, text[i]) != 0) return false;
  }
  return true;
}
