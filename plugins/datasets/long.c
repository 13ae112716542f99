/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * long: series of a table in which one record is one observation (columns id, time, channel, value)
 * or what several channels showed at one time (columns id, time and one for each channel). Records
 * may come in any order. Every field has one of three fates: it is a number; it says that nothing
 * was observed (a marker of the option missing, or "nan"); it is an error that names its line.
 */
#include "long.h"

#include "systems.h"

static cst_status wrong(const long_table *l, const char *text) {
  return l->host->fail(l->host, CST_EINVAL, "long: %s", text);
}

cst_status long_column(const long_table *l, const char *option, size_t *column) {
  const char *name = cst_option_string(l->options, option);
  return csv_find(l->host, l->path, &l->table, name, strlen(name), column);
}

/* ---- which columns ---- */

/* Every entry of `columns` is a column and a channel. */
static cst_status wide_columns(long_table *l, const char *list) {
  size_t most = 1, n, number;
  for (const char *p = list; *p; p++) most += *p == ',';
  l->wide = l->host->alloc(l->host, most * sizeof *l->wide);
  if (!l->wide) return l->host->fail(l->host, CST_ENOMEM, "%s: no memory", l->path);
  for (const char *name; csv_next(&list, &name, &n);) {
    size_t column, before = l->channels.n;
    CST_TRY(csv_find(l->host, l->path, &l->table, name, n, &column));
    CST_TRY(words_number(&l->channels, l->table.field[column], &number));
    if (l->channels.n == before)
      return l->host->fail(l->host, CST_EINVAL, "long: columns names '%.*s' twice", (int)n, name);
    l->wide[number] = column;
  }
  return l->channels.n ? CST_OK : wrong(l, "columns is empty");
}

/* The channels that the option `channels` lists. Its entries become words of the table's own text:
 * the first record that has them holds them. */
static cst_status chosen_channels(long_table *l, const char *list) {
  size_t n, number;
  for (const char *name; csv_next(&list, &name, &n);) {
    const char *found = NULL;
    for (size_t r = 1; r < l->table.records && !found; r++) {
      const char *text = long_field(l, r, l->channel);
      if (strlen(text) == n && memcmp(text, name, n) == 0) found = text;
    }
    if (!found)
      return l->host->fail(l->host, CST_EINVAL,
                           "%s: channel '%.*s' is never observed: no record of column "
                           "'%s' has it",
                           l->path, (int)n, name, l->table.field[l->channel]);
    CST_TRY(words_number(&l->channels, found, &number));
    l->chosen = true;
  }
  return CST_OK;
}

static cst_status find_columns(long_table *l) {
  const char *value = cst_option_string(l->options, "value");
  const char *columns = cst_option_string(l->options, "columns");
  const char *channel = cst_option_string(l->options, "channel");
  const char *channels = cst_option_string(l->options, "channels");
  l->channel = SIZE_MAX;
  if (!*value == !*columns)
    return wrong(l,
                 "either value = \"a column\" or columns = { several } says where the values are");
  if (*channel && !*value) return wrong(l, "channel needs value, the column of the values");
  if (*channels && !*channel)
    return wrong(l, "channels chooses among the entries of the column channel");
  CST_TRY(long_column(l, "id", &l->id));
  CST_TRY(long_column(l, "time", &l->time));
  if (!*channel) return wide_columns(l, *value ? value : columns);
  CST_TRY(long_column(l, "value", &l->value));
  CST_TRY(long_column(l, "channel", &l->channel));
  return chosen_channels(l, channels);
}

/* ---- records ---- */

static cst_status add_value(long_table *l, size_t record, size_t column, observation *o) {
  const char *text = long_field(l, record, column);
  if (csv_missing(cst_option_string(l->options, "missing"), text)) return CST_OK;
  if (csv_number(text, &o->value)) return series_add(&l->s, o);
  return csv_no_number(l->host, l->path, &l->table, record, column,
                       " (option missing lists the markers of what was not observed)");
}

/* The values of one record, or the one value and its channel. */
static cst_status add_values(long_table *l, size_t record, observation *o) {
  if (l->channel == SIZE_MAX) {
    for (o->channel = 0; o->channel < l->channels.n; o->channel++)
      CST_TRY(add_value(l, record, l->wide[o->channel], o));
    return CST_OK;
  }
  const char *name = long_field(l, record, l->channel);
  if (!*name)
    return l->host->fail(l->host, CST_EIO, "%s:%zu: column '%s' is empty: which channel is this?",
                         l->path, o->line, l->table.field[l->channel]);
  if (!words_find(&l->channels, name, &o->channel)) {
    if (l->chosen) return CST_OK;
    CST_TRY(words_number(&l->channels, name, &o->channel));
  }
  return add_value(l, record, l->value, o);
}

static cst_status read_record(long_table *l, size_t record) {
  observation o = {.line = l->table.line[record]};
  const char *id = long_field(l, record, l->id);
  if (!*id)
    return l->host->fail(l->host, CST_EIO,
                         "%s:%zu: column '%s' is empty: whose observation is this?", l->path,
                         o.line, l->table.field[l->id]);
  CST_TRY(words_number(&l->ids, id, &o.row));
  if (!csv_number(long_field(l, record, l->time), &o.t))
    return csv_no_number(l->host, l->path, &l->table, record, l->time, "");
  o.t *= cst_option_number(l->options, "time_scale");
  return add_values(l, record, &o);
}

/* ---- the data set ---- */

static cst_status refuse_empty(const long_table *l) {
  size_t r = 0;
  while (r < l->ids.n && l->s.length[r]) r++;
  if (r == l->ids.n || strcmp(cst_option_string(l->options, "empty"), "drop") == 0) return CST_OK;
  return l->host->fail(l->host, CST_EIO,
                       "%s: '%s' has no observation: empty = \"drop\" leaves such rows out",
                       l->path, l->ids.word[r]);
}

static cst_status read_all(void *arg) {
  long_table *l = arg;
  char separator;
  CST_TRY(csv_separator(l->host, l->options, &separator));
  CST_TRY(csv_read(l->host, l->path, separator, &l->table));
  CST_TRY(find_columns(l));
  for (size_t r = 1; r < l->table.records; r++) CST_TRY(read_record(l, r));
  l->s.rows = l->ids.n, l->s.row_name = l->ids.word;
  l->s.channels = l->channels.n, l->s.channel_name = l->channels.word;
  CST_TRY(series_arrange(&l->s));
  CST_TRY(refuse_empty(l));
  CST_TRY(series_fields(&l->s, l->d));
  return long_rows(l);
}

static cst_status long_build(const cst_host *host, const cst_options *o, uint64_t seed,
                             cst_dataset_spec *d) {
  (void)seed;
  long_table l = {.host = host,
                  .d = d,
                  .options = o,
                  .path = cst_option_string(o, "path"),
                  .ids = {.host = host},
                  .channels = {.host = host}};
  l.s = (series){.host = host, .path = l.path};
  cst_status st = csv_in_plain_locale(host, read_all, &l);
  series_free(&l.s);
  words_free(&l.ids);
  words_free(&l.channels);
  host->free(host, l.wide);
  csv_free(host, &l.table);
  return st;
}

const cst_dataset_type dataset_long = {
    .struct_size = sizeof dataset_long,
    .name = "long",
    .build = long_build,
    .help =
        "series at irregular times from a table id, time, channel, value (or a column a channel)",
    .options = CST_OPTIONS(
        {"path", CST_STRING, .required = true,
         .help = "the file, possibly .gz; its first record names the columns"},
        {"id", CST_STRING, .required = true,
         .help = "column that tells which series a record belongs to"},
        {"time", CST_STRING, .required = true, .help = "column of the times, in any order"},
        {"value", CST_STRING, .string = "", .help = "column of the values"},
        {"columns", CST_STRING, .string = "",
         .help = "instead of value: one column for each channel"},
        {"channel", CST_STRING, .string = "", .help = "with value: column that names the channel"},
        {"channels", CST_STRING, .string = "",
         .help = "which of these, and their order (empty: all)"},
        {"missing", CST_STRING, .string = "NA,",
         .help = "texts that stand for no observation, such as { \"NA\", \"\", \"999\" }; nan "
                 "always does"},
        {"statics", CST_STRING, .string = "",
         .help = "columns that are the same in all records of an id"},
        {"label", CST_STRING, .string = "",
         .help = "such a column, as label: i64 if whole or words"},
        {"time_scale", CST_NUMBER, .number = 1, .range = {1e-300, 1e300},
         .help = "factor of all times"},
        {"empty", CST_STRING, .string = "drop", .choices = "drop|error",
         .help = "what becomes of an id without an observation; `dropped` counts them"},
        SERIES_NORMALISE,
        {"separator", CST_STRING, .string = ",", .help = "one character between fields"})};
