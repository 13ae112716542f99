/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * csv: columns of a file of comma-separated values as the tensors "t" [N] (the time column, if
 * named) and "y" [N, columns], and each column once more under its own name. Where a field is a marker of
 * missing values, y is NaN and "mask" [N, columns] is 0, elsewhere 1.
 */
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "csv_table.h"
#include "systems.h"

typedef struct job {
  const cst_host *host;
  cst_dataset_spec *d;
  const char *path;
  csv_table table;
  const char *missing; /* markers, separated by commas; NULL: none */
  size_t *column;      /* chosen ones */
  size_t n;            /* how many */
} job;

/* Whether the comma-separated `list` has `word` (of n characters) as an entry. */
static bool listed(const char *list, const char *word, size_t n) {
  for (const char *p = list;; p++) {
    size_t length = strcspn(p, ",");
    if (length == n && memcmp(p, word, n) == 0) return true;
    p += length;
    if (!*p) return false;
  }
}

static cst_status unknown_column(const job *j, const char *name, size_t n) {
  char known[256] = "";
  size_t at = 0;
  for (size_t i = 0; i < j->table.columns && at < sizeof known; i++)
    at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", j->table.field[i]);
  if (at >= sizeof known) memcpy(known + sizeof known - 4, "...", 4);
  return j->host->fail(j->host, CST_EINVAL, "%s has no column '%.*s'; its columns are %s", j->path,
                       (int)n, name, known);
}

static cst_status find_column(const job *j, const char *name, size_t n, size_t *column) {
  for (size_t i = 0; i < j->table.columns; i++) {
    const char *field = j->table.field[i];
    if (strlen(field) == n && memcmp(field, name, n) == 0) {
      *column = i;
      return CST_OK;
    }
  }
  return unknown_column(j, name, n);
}

/* The columns named in `list`, or all but the time column (SIZE_MAX: none). */
static cst_status choose_columns(job *j, const char *list, size_t time) {
  size_t most = j->table.columns + 1;
  for (const char *p = list; *p; p++) most += *p == ',';
  j->column = j->host->alloc(j->host, most * sizeof *j->column);
  if (!j->column) return j->host->fail(j->host, CST_ENOMEM, "%s: no memory", j->path);
  if (!*list)
    for (size_t i = 0; i < j->table.columns; i++)
      if (i != time) j->column[j->n++] = i;
  for (const char *p = list; *p; p += *p == ',') {
    p += strspn(p, " ");
    size_t whole = strcspn(p, ","), length = whole;
    while (length && p[length - 1] == ' ') length--;
    CST_TRY(find_column(j, p, length, &j->column[j->n++]));
    p += whole;
  }
  if (j->n) return CST_OK;
  return j->host->fail(j->host, CST_EINVAL, "%s has only the time column", j->path);
}

/* Decimal notation alone: no hexadecimal, no "nan". The locale is "C" here. */
static bool parse_number(const char *text, double *x) {
  size_t n = strlen(text);
  if (n == 0 || strspn(text, "0123456789+-.eE") != n) return false;
  char *end;
  *x = strtod(text, &end);
  return *end == 0 && isfinite(*x);
}

static cst_status read_cell(const job *j, size_t record, size_t column, bool optional, double *x) {
  const char *text = j->table.field[record * j->table.columns + column];
  *x = (double)NAN;
  if (optional && j->missing && listed(j->missing, text, strlen(text))) return CST_OK;
  if (parse_number(text, x)) return CST_OK;
  return j->host->fail(j->host, CST_EIO, "%s:%zu: column '%s': %s%.40s%s is not a number%s",
                       j->path, j->table.line[record], j->table.field[column],
                       *text ? "'" : "an empty field", text, *text ? "'" : "",
                       optional ? " (options: columns chooses, missing names a marker)" : "");
}

static cst_status new_tensor(const job *j, const char *name, size_t columns, double **data) {
  void *p = NULL;
  int64_t dim[2] = {(int64_t)(j->table.records - 1), (int64_t)columns};
  CST_TRY(j->host->dataset_tensor(j->d, name, CST_F64, columns ? 2 : 1, dim, false, &p));
  *data = p;
  return CST_OK;
}

static cst_status fill_time(const job *j, size_t column) {
  double *t = NULL;
  CST_TRY(new_tensor(j, "t", 0, &t));
  for (size_t r = 1; r < j->table.records; r++) CST_TRY(read_cell(j, r, column, false, &t[r - 1]));
  return CST_OK;
}

static cst_status fill_values(const job *j, const double **y_out) {
  double *y = NULL, *mask = NULL;
  CST_TRY(new_tensor(j, "y", j->n, &y));
  if (j->missing) CST_TRY(new_tensor(j, "mask", j->n, &mask));
  for (size_t r = 1, at = 0; r < j->table.records; r++)
    for (size_t i = 0; i < j->n; i++, at++) {
      CST_TRY(read_cell(j, r, j->column[i], true, &y[at]));
      if (mask) mask[at] = !isnan(y[at]);
    }
  *y_out = y;
  return CST_OK;
}

static bool can_name_tensor(const char *name) {
  return *name && strlen(name) < 256;
}

/* Each column by its own name, unless that is taken: by another tensor or an earlier choice. */
static cst_status fill_columns(const job *j, const double *y) {
  for (size_t i = 0; i < j->n; i++) {
    const char *name = j->table.field[j->column[i]];
    bool taken = !can_name_tensor(name) || listed("t,y,mask", name, strlen(name));
    for (size_t k = 0; k < i; k++) taken |= strcmp(name, j->table.field[j->column[k]]) == 0;
    if (taken) continue;
    double *x = NULL;
    CST_TRY(new_tensor(j, name, 0, &x));
    for (size_t r = 0; r + 1 < j->table.records; r++) x[r] = y[r * j->n + i];
  }
  return CST_OK;
}

static cst_status fill(job *j, const cst_options *o) {
  const char *time = cst_option_string(o, "time"), *columns = cst_option_string(o, "columns");
  const char *separator = cst_option_string(o, "separator");
  size_t time_column = SIZE_MAX;
  if (strlen(separator) != 1 || strchr("\"#\r\n", *separator))
    return j->host->fail(j->host, CST_EINVAL,
                         "csv: the separator must be one character, such as ',' or ';'");
  CST_TRY(csv_read(j->host, j->path, *separator, &j->table));
  if (*time) CST_TRY(find_column(j, time, strlen(time), &time_column));
  CST_TRY(choose_columns(j, columns, time_column));
  if (*time) CST_TRY(fill_time(j, time_column));
  const double *y = NULL;
  CST_TRY(fill_values(j, &y));
  return fill_columns(j, y);
}

static cst_status csv_build(const cst_host *host, const cst_options *o, uint64_t seed,
                            cst_dataset_spec *d) {
  (void)seed;
  job j = {.host = host, .d = d, .path = cst_option_string(o, "path")};
  if (cst_option_get(o, "missing")->given) j.missing = cst_option_string(o, "missing");
  locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!plain) return host->fail(host, CST_ENOMEM, "csv: no memory for a locale");
  locale_t before = uselocale(plain); /* of this thread alone */
  cst_status st = fill(&j, o);
  uselocale(before);
  freelocale(plain);
  csv_free(host, &j.table);
  host->free(host, j.column);
  return st;
}

const cst_dataset_type dataset_csv = {
    .struct_size = sizeof dataset_csv,
    .name = "csv",
    .build = csv_build,
    .help = "columns of a file of comma-separated values: tensors t [N], y [N, columns]",
    .options = CST_OPTIONS(
        {"path", CST_STRING, .required = true,
         .help = "the file; its first record names the columns"},
        {"time", CST_STRING, .string = "",
         .help = "name of the column that becomes t (none if empty)"},
        {"columns", CST_STRING, .string = "",
         .help = "columns of y, such as \"hare,lynx\" (empty: all but time)"},
        {"missing", CST_STRING, .string = "",
         .help = "markers of missing values, such as \"NA,999\"; \",\" for empty fields"},
        {"separator", CST_STRING, .string = ",", .help = "one character between fields"})};
