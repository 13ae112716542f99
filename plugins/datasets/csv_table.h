/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A table of text fields read from a file of comma-separated values:
 *
 *   - the first record names the columns, all others have as many fields;
 *   - lines end with LF or CR LF; empty lines and lines that start with '#' are skipped;
 *   - a field in double quotes may hold separators, line ends and "" for a quote;
 *   - blanks around a field without quotes are not part of it; a UTF-8 byte order mark is skipped.
 */
#pragma once
#include <costate/plugin.h>

typedef struct csv_table {
  char *text;           /* of the file; fields point into it */
  char **field;         /* records x columns; the first record holds the names */
  size_t *line;         /* where each record starts, counted from 1 */
  size_t columns, records;
} csv_table;

/* What is wrong is said as "PATH:LINE: ...". */
cst_status csv_read(const cst_host *host, const char *path, char separator, csv_table *t);
void csv_free(const cst_host *host, csv_table *t); /* also of a table that failed */
