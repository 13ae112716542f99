/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a table in long format says about its rows, once and for all times: the fields
 *
 *   id       i64 [N]     the ids if all are whole numbers, else 1, 2, ..; `ids` has them as written
 *   statics  f64 [N, S]  names in `static_names`; where a column has words, their places in the
 *                        alphabetical list `levels.COLUMN`, from 0
 *   label    [N]         i64 where whole, f64 else; words as classes from 0, named in `classes`
 *   dropped  i64         number of ids without any observation
 */
#include <stdio.h>

#include "long.h"

static cst_status no_memory(const long_table *l) {
  return l->host->fail(l->host, CST_ENOMEM, "%s: no memory for the columns of rows", l->path);
}

static cst_status check_constant(const long_table *l, size_t record, size_t column,
                                 const char *before) {
  const char *text = long_field(l, record, column),
             *missing = cst_option_string(l->options, "missing");
  const char *id = long_field(l, record, l->id), *name = l->table.field[column];
  if (csv_listed(missing, text, strlen(text)))
    return l->host->fail(l->host, CST_EIO,
                         "%s:%zu: '%s' of '%s' is missing: a label and a static must be known",
                         l->path, l->table.line[record], name, id);
  if (!before || strcmp(before, text) == 0) return CST_OK;
  return l->host->fail(l->host, CST_EIO,
                       "%s:%zu: '%s' of '%s' was '%s' and is '%s': a label and a static must "
                       "not change within an id",
                       l->path, l->table.line[record], name, id, before, text);
}

/* x [rows] from a column that is constant within each id; its words, if it has any, stay in
 * `level`. */
static cst_status constant_column(const long_table *l, size_t column, words *level, double *x,
                                  bool *whole) {
  size_t rows = l->ids.n, row;
  const char **text = l->host->alloc(l->host, rows * sizeof *text);
  if (!text) return no_memory(l);
  cst_status st = CST_OK;
  for (size_t r = 1; r < l->table.records && st == CST_OK; r++) {
    words_find(&l->ids, long_field(l, r, l->id), &row);
    st = check_constant(l, r, column, text[row]);
    text[row] = long_field(l, r, column);
  }
  if (st == CST_OK) st = words_as_numbers(level, rows, text, x, whole);
  l->host->free(l->host, text);
  return st;
}

static cst_status label(const long_table *l, double *x) {
  words level = {.host = l->host};
  size_t column;
  bool whole = true;
  if (!*cst_option_string(l->options, "label")) return CST_OK;
  CST_TRY(long_column(l, "label", &column));
  cst_status st = constant_column(l, column, &level, x, &whole);
  if (st == CST_OK) st = series_row_field(&l->s, l->d, "label", whole ? CST_I64 : CST_F64, 0, x);
  if (st == CST_OK && level.n) st = l->host->dataset_words(l->d, "classes", level.n, level.word);
  words_free(&level);
  return st;
}

static cst_status ids(const long_table *l, double *x) {
  bool as_written = words_whole(l->ids.n, l->ids.word, x); /* else "1" and "01" would be one */
  const char **kept = l->host->alloc(l->host, l->ids.n * sizeof *kept);
  if (!kept) return no_memory(l);
  for (size_t r = 0; r < l->ids.n; r++) {
    if (l->s.place[r] == SIZE_MAX) continue;
    kept[l->s.place[r]] = l->ids.word[r];
    if (!as_written) x[r] = (double)l->s.place[r] + 1;
  }
  cst_status st = l->host->dataset_words(l->d, "ids", l->s.kept, kept);
  l->host->free(l->host, kept);
  CST_TRY(st);
  return series_row_field(&l->s, l->d, "id", CST_I64, 0, x);
}

/* Column `i` of the n statics. */
static cst_status static_column(const long_table *l, size_t column, size_t i, size_t n, double *x,
                                double *all) {
  words level = {.host = l->host};
  char name[256];
  bool whole;
  cst_status st = constant_column(l, column, &level, x, &whole);
  for (size_t r = 0; r < l->ids.n && st == CST_OK; r++) all[r * n + i] = x[r];
  snprintf(name, sizeof name, "levels.%s", l->table.field[column]);
  if (st == CST_OK && level.n) st = l->host->dataset_words(l->d, name, level.n, level.word);
  words_free(&level);
  return st;
}

static cst_status statics(const long_table *l, double *x) {
  const char *list = cst_option_string(l->options, "statics"), *name;
  size_t n = 0, length, column;
  for (const char *p = list; csv_next(&p, &name, &length);) n++;
  if (!n) return CST_OK;
  double *all = l->host->alloc(l->host, l->ids.n * n * sizeof *all);
  const char **names = l->host->alloc(l->host, n * sizeof *names);
  cst_status st = all && names ? CST_OK : no_memory(l);
  for (size_t i = 0; st == CST_OK && csv_next(&list, &name, &length); i++) {
    st = csv_find(l->host, l->path, &l->table, name, length, &column);
    if (st != CST_OK) break;
    names[i] = l->table.field[column];
    st = static_column(l, column, i, n, x, all);
  }
  if (st == CST_OK) st = series_row_field(&l->s, l->d, "statics", CST_F64, n, all);
  if (st == CST_OK) st = l->host->dataset_words(l->d, "static_names", n, names);
  l->host->free(l->host, all);
  l->host->free(l->host, names);
  return st;
}

static cst_status count_dropped(const long_table *l) {
  void *dropped = NULL;
  CST_TRY(l->host->dataset_tensor(l->d, "dropped", CST_I64, 0, NULL, false, &dropped));
  *(int64_t *)dropped = (int64_t)(l->ids.n - l->s.kept);
  return CST_OK;
}

cst_status long_rows(long_table *l) {
  double *x = l->host->alloc(l->host, l->ids.n * sizeof *x);
  if (!x) return no_memory(l);
  cst_status st = ids(l, x);
  if (st == CST_OK) st = statics(l, x);
  if (st == CST_OK) st = label(l, x);
  if (st == CST_OK) st = count_dropped(l);
  l->host->free(l->host, x);
  return st;
}
