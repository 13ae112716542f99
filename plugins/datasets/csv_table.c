/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Reading a file of comma-separated values. Fields are cut in place: each ends with a NUL where its
 * separator stood.
 */
#include "csv_table.h"

#include "bytes.h"

typedef struct cursor {
  const cst_host *host;
  const char *path;
  char *p, *end; /* *end is writable */
  size_t line;
  char separator;
} cursor;

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* Steps over a line end; false when there is none here. */
static bool take_line_end(cursor *c) {
  char *p = c->p;
  if (p < c->end && *p == '\r') p++;
  if (p == c->end || *p != '\n') return false;
  c->p = p + 1, c->line++;
  return true;
}

static void skip_comments(cursor *c) {
  while (c->p < c->end) {
    if (*c->p == '#') {
      while (c->p < c->end && *c->p != '\n') c->p++;
      take_line_end(c);
    } else if (!take_line_end(c)) {
      return;
    }
  }
}

/* The text between quotes, "" becoming ", moved to the front; c->p ends behind the closing one. */
static cst_status take_quoted(cursor *c, char **field, char **field_end) {
  char *out = *field = ++c->p;
  size_t first = c->line;
  for (;; c->p++) {
    if (c->p == c->end)
      return c->host->fail(c->host, CST_EIO, "%s:%zu: a quote is opened but not closed", c->path,
                           first);
    if (*c->p == '"' && (++c->p == c->end || *c->p != '"')) break;
    c->line += *c->p == '\n';
    *out++ = *c->p;
  }
  *field_end = out;
  return CST_OK;
}

static void take_plain(cursor *c, char **field, char **field_end) {
  *field = c->p;
  while (c->p < c->end && *c->p != c->separator && *c->p != '\n') c->p++;
  char *last = c->p;
  if (c->p < c->end && *c->p == '\n' && last > *field && last[-1] == '\r') last--, c->p--;
  while (last > *field && is_blank(last[-1])) last--;
  *field_end = last;
}

/* One field and what ends it; *more tells whether that is a separator. */
static cst_status take_field(cursor *c, char **field, bool *more) {
  char *field_end = NULL;
  while (c->p < c->end && is_blank(*c->p) && *c->p != c->separator) c->p++;
  if (c->p < c->end && *c->p == '"') {
    CST_TRY(take_quoted(c, field, &field_end));
    while (c->p < c->end && is_blank(*c->p) && *c->p != c->separator) c->p++;
  } else {
    take_plain(c, field, &field_end);
  }
  *more = c->p < c->end && *c->p == c->separator;
  if (*more)
    c->p++;
  else if (c->p < c->end && !take_line_end(c))
    return c->host->fail(c->host, CST_EIO, "%s:%zu: text follows a closing quote", c->path,
                         c->line);
  *field_end = 0;
  return CST_OK;
}

static cst_status take_record(cursor *c, csv_table *t) {
  char **row = t->field + t->records * t->columns;
  size_t n = 0, line = c->line;
  for (bool more = true; more; n++) {
    char *field;
    CST_TRY(take_field(c, &field, &more));
    if (t->records == 0 || n < t->columns) row[n] = field;
  }
  if (t->records == 0) t->columns = n;
  if (n != t->columns)
    return c->host->fail(c->host, CST_EIO, "%s:%zu: %zu field%s, but the header names %zu column%s",
                         c->path, line, n, n == 1 ? "" : "s", t->columns,
                         t->columns == 1 ? "" : "s");
  t->line[t->records++] = line;
  return CST_OK;
}

/* Room for every field that the text can hold: one more than there are separators and line ends. */
static cst_status reserve(cursor *c, csv_table *t) {
  size_t fields = 1, lines = 1;
  for (const char *p = c->p; p < c->end; p++) {
    lines += *p == '\n';
    fields += *p == '\n' || *p == c->separator;
  }
  t->field = c->host->alloc(c->host, fields * sizeof *t->field);
  t->line = c->host->alloc(c->host, lines * sizeof *t->line);
  if (t->field && t->line) return CST_OK;
  return c->host->fail(c->host, CST_ENOMEM, "%s: no memory for the table", c->path);
}

static cst_status check_text(cursor *c) {
  size_t line = 1;
  for (const char *p = c->p; p < c->end; p++) {
    if (!*p)
      return c->host->fail(c->host, CST_EIO, "%s:%zu: not a text file: a zero byte", c->path, line);
    line += *p == '\n';
  }
  return CST_OK;
}

static cst_status parse(cursor *c, csv_table *t) {
  CST_TRY(check_text(c));
  CST_TRY(reserve(c, t));
  if (c->end - c->p >= 3 && memcmp(c->p, "\xEF\xBB\xBF", 3) == 0) c->p += 3;
  for (skip_comments(c); c->p < c->end; skip_comments(c)) CST_TRY(take_record(c, t));
  if (t->records == 0) return c->host->fail(c->host, CST_EIO, "%s: the file is empty", c->path);
  if (t->records == 1)
    return c->host->fail(c->host, CST_EIO, "%s:%zu: no data follow the header", c->path,
                         t->line[0]);
  return CST_OK;
}

cst_status csv_read(const cst_host *host, const char *path, char separator, csv_table *t) {
  size_t n = 0;
  *t = (csv_table){0};
  CST_TRY(bytes_read(host, path, &t->text, &n));
  cursor c = {host, path, t->text, t->text + n, 1, separator};
  return parse(&c, t);
}

void csv_free(const cst_host *host, csv_table *t) {
  host->free(host, t->text);
  host->free(host, t->field);
  host->free(host, t->line);
  *t = (csv_table){0};
}
