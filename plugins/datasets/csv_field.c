/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Columns by name, fields as numbers, lists in options: what every reader of tables asks.
 */
#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "csv_table.h"

bool csv_listed(const char *list, const char *word, size_t n) {
  for (const char *p = list;; p++) {
    size_t length = strcspn(p, ",");
    if (length == n && memcmp(p, word, n) == 0) return true;
    p += length;
    if (!*p) return false;
  }
}

bool csv_missing(const char *list, const char *text) {
  bool is_nan = tolower((unsigned char)text[0]) == 'n' && tolower((unsigned char)text[1]) == 'a' &&
                tolower((unsigned char)text[2]) == 'n' && !text[3];
  return is_nan || csv_listed(list, text, strlen(text));
}

bool csv_next(const char **list, const char **entry, size_t *n) {
  const char *p = *list;
  if (!*p) return false;
  p += strspn(p, " ");
  size_t whole = strcspn(p, ",");
  *entry = p, *n = whole;
  while (*n && p[*n - 1] == ' ') --*n;
  p += whole;
  *list = p + (*p == ',');
  return true;
}

static cst_status unknown_column(const cst_host *host, const char *path, const csv_table *t,
                                 const char *name, size_t n) {
  char known[256] = "";
  size_t at = 0;
  for (size_t i = 0; i < t->columns && at < sizeof known; i++)
    at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", t->field[i]);
  if (at >= sizeof known) memcpy(known + sizeof known - 4, "...", 4);
  return host->fail(host, CST_EINVAL, "%s has no column '%.*s'; its columns are %s", path, (int)n,
                    name, known);
}

cst_status csv_find(const cst_host *host, const char *path, const csv_table *t, const char *name,
                    size_t n, size_t *column) {
  for (size_t i = 0; i < t->columns; i++) {
    if (strlen(t->field[i]) == n && memcmp(t->field[i], name, n) == 0) {
      *column = i;
      return CST_OK;
    }
  }
  return unknown_column(host, path, t, name, n);
}

cst_status csv_choose(const cst_host *host, const char *path, const csv_table *t, const char *list,
                      const size_t *skip, size_t n_skip, size_t **column, size_t *n) {
  size_t most = t->columns + 1, length;
  for (const char *p = list; *p; p++) most += *p == ',';
  *n = 0;
  *column = host->alloc(host, most * sizeof **column);
  if (!*column) return host->fail(host, CST_ENOMEM, "%s: no memory", path);
  for (size_t i = 0; i < t->columns && !*list; i++) {
    bool skipped = false;
    for (size_t k = 0; k < n_skip; k++) skipped |= skip[k] == i;
    if (!skipped) (*column)[(*n)++] = i;
  }
  for (const char *name; csv_next(&list, &name, &length);)
    CST_TRY(csv_find(host, path, t, name, length, &(*column)[(*n)++]));
  return CST_OK;
}

bool csv_number(const char *text, double *x) {
  size_t n = strlen(text);
  if (n == 0 || strspn(text, "0123456789+-.eE") != n) return false;
  char *end;
  *x = strtod(text, &end);
  return *end == 0 && isfinite(*x);
}

cst_status csv_no_number(const cst_host *host, const char *path, const csv_table *t, size_t record,
                         size_t column, const char *advice) {
  const char *text = t->field[record * t->columns + column];
  return host->fail(host, CST_EIO, "%s:%zu: column '%s': %s%.40s%s is not a number%s", path,
                    t->line[record], t->field[column], *text ? "'" : "an empty field", text,
                    *text ? "'" : "", advice);
}

cst_status csv_separator(const cst_host *host, const cst_options *o, char *separator) {
  const char *s = cst_option_string(o, "separator");
  *separator = *s;
  if (strlen(s) == 1 && !strchr("\"#\r\n", *s)) return CST_OK;
  return host->fail(host, CST_EINVAL,
                    "csv: the separator must be one character, such as ',' or ';'");
}

cst_status csv_in_plain_locale(const cst_host *host, cst_status (*f)(void *arg), void *arg) {
  locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!plain) return host->fail(host, CST_ENOMEM, "csv: no memory for a locale");
  locale_t before = uselocale(plain);
  cst_status st = f(arg);
  uselocale(before);
  freelocale(plain);
  return st;
}
