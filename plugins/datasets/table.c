/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * table: records of a file as points, for densities and regressions:
 *
 *   x        rows [N, D]   the chosen columns, those of the option `log` by their logarithm
 *   columns, logs          names of the D columns, and of those that are logarithms
 *   id       i64 rows [N]  what records belong together, if there is a column of ids; `ids` has
 *                          them as written
 *   label    rows [N]      i64 where whole, f64 else; words as classes from 0, named in `classes`
 *   dropped                how many records were left out, since a field of theirs is missing
 */
#include <math.h>

#include "csv_table.h"
#include "systems.h"
#include "words.h"

typedef struct points {
  const cst_host *host;
  cst_dataset_spec *d;
  const cst_options *o;
  const char *path;
  csv_table table;
  size_t *column, n;    /* chosen ones */
  size_t *record, kept; /* complete ones */
  size_t id, label;     /* columns; SIZE_MAX: none */
} points;

static cst_status no_memory(const points *p) {
  return p->host->fail(p->host, CST_ENOMEM, "%s: no memory for the table", p->path);
}

static const char *field(const points *p, size_t record, size_t column) {
  return p->table.field[record * p->table.columns + column];
}

static const char *name_of(const points *p, size_t i) { return p->table.field[p->column[i]]; }

/* ---- which columns, which records ---- */

static cst_status named_column(const points *p, const char *option, size_t *column) {
  const char *name = cst_option_string(p->o, option);
  *column = SIZE_MAX;
  if (!*name) return CST_OK;
  return csv_find(p->host, p->path, &p->table, name, strlen(name), column);
}

static cst_status check_columns(const points *p) {
  if (!p->n)
    return p->host->fail(p->host, CST_EINVAL, "%s has no column but id and label", p->path);
  for (size_t i = 0; i < p->n; i++)
    for (size_t k = 0; k < i; k++)
      if (p->column[i] == p->column[k])
        return p->host->fail(p->host, CST_EINVAL, "table: columns names '%s' twice", name_of(p, i));
  return CST_OK;
}

/* What `log` names is one of the columns chosen. */
static cst_status check_logs(const points *p) {
  const char *list = cst_option_string(p->o, "log"), *name;
  size_t n, column, i;
  while (csv_next(&list, &name, &n)) {
    CST_TRY(csv_find(p->host, p->path, &p->table, name, n, &column));
    for (i = 0; i < p->n && p->column[i] != column;) i++;
    if (i == p->n)
      return p->host->fail(p->host, CST_EINVAL, "table: log names '%.*s', which is no column of x",
                           (int)n, name);
  }
  return CST_OK;
}

static cst_status find_columns(points *p) {
  CST_TRY(named_column(p, "id", &p->id));
  CST_TRY(named_column(p, "label", &p->label));
  CST_TRY(csv_choose(p->host, p->path, &p->table, cst_option_string(p->o, "columns"),
                     (const size_t[]){p->id, p->label}, 2, &p->column, &p->n));
  CST_TRY(check_columns(p));
  return check_logs(p);
}

static bool is_complete(const points *p, size_t record) {
  const char *missing = cst_option_string(p->o, "missing");
  size_t i = 0;
  while (i < p->n && !csv_missing(missing, field(p, record, p->column[i]))) i++;
  return i == p->n && (p->id == SIZE_MAX || !csv_missing(missing, field(p, record, p->id))) &&
         (p->label == SIZE_MAX || !csv_missing(missing, field(p, record, p->label)));
}

static cst_status find_records(points *p) {
  p->record = p->host->alloc(p->host, p->table.records * sizeof *p->record);
  if (!p->record) return no_memory(p);
  for (size_t r = 1; r < p->table.records; r++)
    if (is_complete(p, r)) p->record[p->kept++] = r;
  if (p->kept) return CST_OK;
  return p->host->fail(p->host, CST_EIO,
                       "%s: every record lacks something: columns chooses what is needed", p->path);
}

/* ---- fields ---- */

static cst_status new_tensor(const points *p, const char *name, cst_dtype dtype, size_t columns,
                             void **data) {
  int64_t dim[2] = {(int64_t)p->kept, (int64_t)columns};
  return p->host->dataset_tensor(p->d, name, (uint8_t)dtype, columns ? 2 : 1, dim, true, data);
}

static cst_status read_number(const points *p, size_t record, size_t column, bool take_log,
                              double *x) {
  if (!csv_number(field(p, record, column), x))
    return csv_no_number(p->host, p->path, &p->table, record, column,
                         " (options: columns chooses, missing names a marker)");
  if (take_log && *x <= 0)
    return p->host->fail(p->host, CST_EIO, "%s:%zu: column '%s': %g has no logarithm", p->path,
                         p->table.line[record], p->table.field[column], *x);
  if (take_log) *x = log(*x);
  return CST_OK;
}

static cst_status fill_points(const points *p) {
  const char *logs = cst_option_string(p->o, "log"), **names;
  void *x = NULL;
  CST_TRY(new_tensor(p, "x", CST_F64, p->n, &x));
  if (!(names = p->host->alloc(p->host, 2 * p->n * sizeof *names))) return no_memory(p);
  cst_status st = CST_OK;
  size_t n_logs = 0;
  for (size_t i = 0; i < p->n; i++) {
    names[i] = name_of(p, i);
    bool take_log = *logs && csv_listed(logs, names[i], strlen(names[i]));
    if (take_log) names[p->n + n_logs++] = names[i];
    for (size_t r = 0; r < p->kept && st == CST_OK; r++)
      st = read_number(p, p->record[r], p->column[i], take_log, (double *)x + r * p->n + i);
  }
  if (st == CST_OK) st = p->host->dataset_words(p->d, "columns", p->n, names);
  if (st == CST_OK && n_logs) st = p->host->dataset_words(p->d, "logs", n_logs, names + p->n);
  p->host->free(p->host, names);
  return st;
}

static cst_status put_numbers(const points *p, const char *name, bool whole, const double *x) {
  void *out = NULL;
  CST_TRY(new_tensor(p, name, whole ? CST_I64 : CST_F64, 0, &out));
  for (size_t r = 0; r < p->kept; r++) {
    if (whole) ((int64_t *)out)[r] = (int64_t)x[r];
    else ((double *)out)[r] = x[r];
  }
  return CST_OK;
}

static cst_status put_ids(const points *p, const char *const *text, double *x) {
  words known = {.host = p->host};
  cst_status st = CST_OK;
  bool whole = words_whole(p->kept, text, x);
  for (size_t r = 0, at; r < p->kept && !whole && st == CST_OK; r++) {
    st = words_number(&known, text[r], &at);
    x[r] = (double)at + 1;
  }
  words_free(&known);
  CST_TRY(st);
  CST_TRY(p->host->dataset_words(p->d, "ids", p->kept, text));
  return put_numbers(p, "id", true, x);
}

static cst_status put_label(const points *p, const char *const *text, double *x) {
  words level = {.host = p->host};
  bool whole = true;
  cst_status st = words_as_numbers(&level, p->kept, text, x, &whole);
  if (st == CST_OK) st = put_numbers(p, "label", whole, x);
  if (st == CST_OK && level.n) st = p->host->dataset_words(p->d, "classes", level.n, level.word);
  words_free(&level);
  return st;
}

/* What `put` makes of the texts of a column, if there is one. */
static cst_status text_column(const points *p, size_t column,
                              cst_status (*put)(const points *, const char *const *, double *)) {
  if (column == SIZE_MAX) return CST_OK;
  const char **text = p->host->alloc(p->host, p->kept * sizeof *text);
  double *x = p->host->alloc(p->host, p->kept * sizeof *x);
  for (size_t r = 0; text && r < p->kept; r++) text[r] = field(p, p->record[r], column);
  cst_status st = text && x ? put(p, text, x) : no_memory(p);
  p->host->free(p->host, text);
  p->host->free(p->host, x);
  return st;
}

/* ---- the data set ---- */

static cst_status read_all(void *arg) {
  points *p = arg;
  char separator;
  void *dropped = NULL;
  CST_TRY(csv_separator(p->host, p->o, &separator));
  CST_TRY(csv_read(p->host, p->path, separator, &p->table));
  CST_TRY(find_columns(p));
  CST_TRY(find_records(p));
  CST_TRY(fill_points(p));
  CST_TRY(text_column(p, p->id, put_ids));
  CST_TRY(text_column(p, p->label, put_label));
  CST_TRY(p->host->dataset_tensor(p->d, "dropped", CST_I64, 0, NULL, false, &dropped));
  *(int64_t *)dropped = (int64_t)(p->table.records - 1 - p->kept);
  return CST_OK;
}

static cst_status table_build(const cst_host *host, const cst_options *o, uint64_t seed,
                              cst_dataset_spec *d) {
  (void)seed;
  points p = {.host = host, .d = d, .o = o, .path = cst_option_string(o, "path")};
  cst_status st = csv_in_plain_locale(host, read_all, &p);
  csv_free(host, &p.table);
  host->free(host, p.column);
  host->free(host, p.record);
  return st;
}

const cst_dataset_type dataset_table = {
    .struct_size = sizeof dataset_table,
    .name = "table",
    .build = table_build,
    .help = "records of a file as points: rows x [N, D], of which parts can be standardised",
    .options = CST_OPTIONS(
        {"path", CST_STRING, .required = true,
         .help = "the file, possibly .gz; its first record names the columns"},
        {"columns", CST_STRING, .string = "",
         .help = "those of x, such as { \"age\", \"height\" } (empty: all but id and label)"},
        {"log", CST_STRING, .string = "", .help = "columns of which the logarithm is taken"},
        {"missing", CST_STRING, .string = "NA,",
         .help = "texts that stand for no value, such as { \"NA\", \"\", \"999\" }; nan always "
                 "does; such records are dropped and counted"},
        {"id", CST_STRING, .string = "", .help = "column that tells which records belong together"},
        {"label", CST_STRING, .string = "",
         .help = "column that becomes label: i64 if whole or words"},
        {"normalise", CST_STRING, .string = "none", .choices = "none|standard",
         .help = "by scripts: mean 0, deviation 1 by column; once split, those of the training "
                 "part"},
        {"separator", CST_STRING, .string = ",", .help = "one character between fields"})};
