/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A table in long format while it is read.
 */
#pragma once
#include "csv_table.h"
#include "series.h"
#include "words.h"

typedef struct long_table {
  const cst_host *host;
  cst_dataset_spec *d;
  const cst_options *options;
  const char *path;
  csv_table table;
  size_t id, time, value,
      channel;  /* columns; `channel` is SIZE_MAX where every value has its own column */
  size_t *wide; /* those columns; then their names are the channels */
  words ids, channels;
  bool chosen; /* `channels` was given: other channels are left out */
  series s;
} long_table;

static inline const char *long_field(const long_table *l, size_t record, size_t column) {
  return l->table.field[record * l->table.columns + column];
}
/* Place of the column that the option `name` names. */
cst_status long_column(const long_table *l, const char *option, size_t *column);
/* Id, statics and label of the rows: long_rows.c. Columns that change within an id are refused. */
cst_status long_rows(long_table *l);
