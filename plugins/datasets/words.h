/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Different words, numbered in the order they were met. The texts belong to the caller.
 */
#pragma once
#include <costate/plugin.h>

typedef struct words {
  const cst_host *host;
  const char **word;
  size_t n, capacity;
  size_t *slot; /* hashed: place + 1, 0 is free; twice the capacity */
} words;

/* Number of `word`, which is added when it is new. */
cst_status words_number(words *w, const char *word, size_t *number);
/* The same without adding; false when it is not there. */
bool words_find(const words *w, const char *word, size_t *number);
/* Renumbers in the order of strcmp. */
void words_sort(words *w);
void words_free(words *w);

/* Texts as numbers x; where one is not a number, all become numbers in the list of different texts
 * in alphabetical order, which is then left in `level`. *whole: every x is an integer. */
cst_status words_as_numbers(words *level, size_t n, const char *const *text, double *x,
                            bool *whole);
/* Whether every text is a whole number, written as it would be printed: not "01". They are then in
 * x. */
bool words_whole(size_t n, const char *const *text, double *x);
