/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * csv: columns of a file of comma-separated values as the tensors "t" [N] (the time column, if
 * named) and "y" [N, columns], and each column once more under its own name. Where a field is a
 * marker of missing values, y is NaN and "mask" [N, columns] is 0, elsewhere 1.
 */
#include <math.h>

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

/* The columns named in `list`, or all but the time column (SIZE_MAX: none). */
static cst_status choose_columns(job *j, const char *list, size_t time) {
  CST_TRY(csv_choose(j->host, j->path, &j->table, list, &time, 1, &j->column, &j->n));
  if (j->n) return CST_OK;
  return j->host->fail(j->host, CST_EINVAL, "%s has only the time column", j->path);
}

static cst_status read_cell(const job *j, size_t record, size_t column, bool optional, double *x) {
  const char *text = j->table.field[record * j->table.columns + column];
  *x = (double)NAN;
  if (optional && j->missing && csv_listed(j->missing, text, strlen(text))) return CST_OK;
  if (csv_number(text, x)) return CST_OK;
  return csv_no_number(j->host, j->path, &j->table, record, column,
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

static bool can_name_tensor(const char *name) { return *name && strlen(name) < 256; }

/* Each column by its own name, unless that is taken: by another tensor or an earlier choice. */
static cst_status fill_columns(const job *j, const double *y) {
  for (size_t i = 0; i < j->n; i++) {
    const char *name = j->table.field[j->column[i]];
    bool taken = !can_name_tensor(name) || csv_listed("t,y,mask", name, strlen(name));
    for (size_t k = 0; k < i; k++) taken |= strcmp(name, j->table.field[j->column[k]]) == 0;
    if (taken) continue;
    double *x = NULL;
    CST_TRY(new_tensor(j, name, 0, &x));
    for (size_t r = 0; r + 1 < j->table.records; r++) x[r] = y[r * j->n + i];
  }
  return CST_OK;
}

typedef struct request {
  job *j;
  const cst_options *o;
} request;

static cst_status fill(void *arg) {
  job *j = ((request *)arg)->j;
  const cst_options *o = ((request *)arg)->o;
  const char *time = cst_option_string(o, "time"), *columns = cst_option_string(o, "columns");
  char separator;
  size_t time_column = SIZE_MAX;
  CST_TRY(csv_separator(j->host, o, &separator));
  CST_TRY(csv_read(j->host, j->path, separator, &j->table));
  if (*time) CST_TRY(csv_find(j->host, j->path, &j->table, time, strlen(time), &time_column));
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
  cst_status st = csv_in_plain_locale(host, fill, &(request){&j, o});
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
