/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How the stays ended: a table with one record for each RecordID. It may have more of them than
 * there are record files.
 */
#include <math.h>
#include <stdio.h>

#include "physionet.h"
#include "words.h"

/* label[row] from the record of the table whose RecordID is the row's. */
static cst_status match(const stays *w, const csv_table *t, size_t id, size_t outcome,
                        const char *path, double *label) {
  words known = {.host = w->host};
  size_t at;
  cst_status st = CST_OK;
  for (size_t r = 1; st == CST_OK && r < t->records; r++) {
    st = words_number(&known, t->field[r * t->columns + id], &at);
    if (st == CST_OK && at + 1 != r)
      st = w->host->fail(w->host, CST_EIO, "%s:%zu: RecordID %s is there twice", path, t->line[r],
                         known.word[at]);
  }
  for (size_t row = 0; st == CST_OK && row < w->files; row++) {
    char text[32];
    snprintf(text, sizeof text, "%.0f", w->id[row]);
    if (!words_find(&known, text, &at))
      st = w->host->fail(w->host, CST_EIO, "%s has no RecordID %s, that of %s", path, text,
                         w->file[row]);
    else if (!csv_number(t->field[(at + 1) * t->columns + outcome], &label[row]))
      st = csv_no_number(w->host, path, t, at + 1, outcome, "");
  }
  words_free(&known);
  return st;
}

cst_status stays_outcomes(const stays *w) {
  const char *path = cst_option_string(w->o, "outcomes"), *name = cst_option_string(w->o, "label");
  csv_table t;
  size_t id, outcome;
  bool whole = true;
  if (!*path) return CST_OK;
  double *label = w->host->alloc(w->host, w->files * sizeof *label);
  if (!label) return stays_no_memory(w);
  cst_status st = csv_read(w->host, path, ',', &t);
  if (st == CST_OK) st = csv_find(w->host, path, &t, "RecordID", 8, &id);
  if (st == CST_OK) st = csv_find(w->host, path, &t, name, strlen(name), &outcome);
  if (st == CST_OK) st = match(w, &t, id, outcome, path, label);
  csv_free(w->host, &t);
  for (size_t r = 0; st == CST_OK && r < w->files; r++) whole &= label[r] == floor(label[r]);
  if (st == CST_OK)
    st = series_row_field(&w->s, w->d, "label", whole ? CST_I64 : CST_F64, 0, label);
  w->host->free(w->host, label);
  return st;
}
