/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A table of text fields read from a file of comma-separated values:
 *
 *   - the file may be compressed by gzip;
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

/* ---- csv_field.c: columns and fields ---- */

/* Whether the comma-separated `list` has `word` (of n characters) as an entry. */
bool csv_listed(const char *list, const char *word, size_t n);
/* Whether the text is in the list of markers or "nan", however written. */
bool csv_missing(const char *list, const char *text);
/* The next entry of a comma-separated list without the blanks around it; false at its end. */
bool csv_next(const char **list, const char **entry, size_t *n);
/* Place of the column of this name (n characters); the error lists those there are. */
cst_status csv_find(const cst_host *host, const char *path, const csv_table *t, const char *name,
                    size_t n, size_t *column);
/* The columns named in `list`; when it is empty, all but those of `skip`. *column is the caller's to
 * free, also after a failure. */
cst_status csv_choose(const cst_host *host, const char *path, const csv_table *t, const char *list,
                      const size_t *skip, size_t n_skip, size_t **column, size_t *n);
/* Decimal notation alone: no hexadecimal, no "nan"; finite. The locale must be "C". */
bool csv_number(const char *text, double *x);
cst_status csv_no_number(const cst_host *host, const char *path, const csv_table *t, size_t record,
                         size_t column, const char *advice); /* the error that says so */
/* The option "separator" as one character. */
cst_status csv_separator(const cst_host *host, const cst_options *o, char *separator);

/* Runs f(arg) in the locale "C", of this thread alone. */
cst_status csv_in_plain_locale(const cst_host *host, cst_status (*f)(void *arg), void *arg);
