/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * "Did you mean": the nearest of some names, with no memory of its own.
 */
#include <string.h>

#include "plugin/plugin_internal.h"

enum { LONGEST_WORD = 80 };

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Edits that turn a into b: insert, delete, replace, or swap two neighbours; case does not count. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb) {
  size_t rows[3][LONGEST_WORD + 1];
  size_t *before = rows[0], *above = rows[1], *row = rows[2];
  for (size_t j = 0; j <= nb; j++) row[j] = j;
  for (size_t i = 1; i <= na; i++) {
    size_t *oldest = before;
    before = above, above = row, row = oldest;
    row[0] = i;
    for (size_t j = 1; j <= nb; j++) {
      bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = least(above[j - 1] + !same, 1 + least(above[j], row[j - 1]));
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
          lower(a[i - 2]) == lower(b[j - 1]))
        row[j] = least(row[j], before[j - 2] + 1);
    }
  }
  return row[nb];
}

const char *cst_suggest(const char *word, const char *const *candidates, size_t n) {
  size_t length = strlen(word), nearest = length / 3 > 1 ? length / 3 : 1;
  const char *best = NULL;
  if (length < 2 || length > LONGEST_WORD) return NULL;
  for (size_t i = 0; i < n; i++) {
    size_t other = candidates[i] ? strlen(candidates[i]) : 0;
    if (other == 0 || other > LONGEST_WORD) continue;
    size_t d = distance(word, length, candidates[i], other);
    if (d > nearest || (best && d == nearest)) continue;
    best = candidates[i];
    nearest = d;
  }
  return best;
}
