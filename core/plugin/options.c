/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Options: what a user gave, checked against a schema, with defaults for the rest. One block of
 * memory holds everything, so an options object is freed at once.
 */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "plugin/plugin_internal.h"

enum { MOST_OPTIONS = 100, WORD = 32, LINE = 400 };

typedef struct question {
  cst_context *ctx;
  const char *what; /* "solver 'dopri5'" */
  const cst_option *schema;
  size_t n_schema;
  const cst_given *given;
  size_t n_given;
} question;

static size_t schema_length(const cst_option *schema) {
  size_t n = 0;
  while (schema && n < MOST_OPTIONS && schema[n].kind != CST_OPTION_END) n++;
  return n;
}

/* ---- messages ------------------------------------------------------------------------------------- */

static const char *kind_text(cst_option_kind k) {
  static const char *const text[] = {"nothing", "a number", "an integer", "true or false", "a string",
                                     "a list of numbers"};
  return (unsigned)k <= CST_LIST ? text[k] : text[0];
}

/* "-1", "'tahn'", "true", "a list of 3 numbers" */
static const char *given_text(const cst_given *g, char text[80]) {
  char number[WORD];
  switch (g->kind) {
    case CST_NUMBER: cst_format_double(g->number, text, 80); break;
    case CST_INTEGER: cst_format_text(text, 80, "%lld", (long long)g->integer); break;
    case CST_BOOLEAN: cst_format_text(text, 80, "%s", g->number != 0 ? "true" : "false"); break;
    case CST_STRING: cst_format_text(text, 80, "'%.60s'", g->string ? g->string : ""); break;
    case CST_LIST:
      cst_format_double((double)g->n_list, number, sizeof number);
      cst_format_text(text, 80, "a list of %s", number);
      break;
    case CST_OPTION_END: cst_format_text(text, 80, "nothing"); break;
  }
  return text;
}

/* "between 0 and 1", "at least 0", "at most 1" */
static const char *range_text(const cst_option *o, char text[80]) {
  char low[WORD], high[WORD];
  cst_format_double(o->range[0], low, sizeof low);
  cst_format_double(o->range[1], high, sizeof high);
  if (isinf(o->range[1])) cst_format_text(text, 80, "at least %s", low);
  else if (isinf(o->range[0])) cst_format_text(text, 80, "at most %s", high);
  else cst_format_text(text, 80, "between %s and %s", low, high);
  return text;
}

static cst_status unknown(const question *q, const char *name) {
  const char *known[MOST_OPTIONS];
  char list[LINE] = "";
  size_t length = 0;
  for (size_t i = 0; i < q->n_schema; i++) {
    known[i] = q->schema[i].name;
    if (length < sizeof list)
      length += cst_format_text(list + length, sizeof list - length, i ? ", %s" : "%s", known[i]);
  }
  const char *near = cst_suggest(name, known, q->n_schema);
  if (near)
    return cst_fail(q->ctx, CST_EINVAL, "unknown option '%.60s' of %s: did you mean '%s'?", name,
                    q->what, near);
  if (q->n_schema == 0)
    return cst_fail(q->ctx, CST_EINVAL, "unknown option '%.60s' of %s: it has none", name, q->what);
  return cst_fail(q->ctx, CST_EINVAL, "unknown option '%.60s' of %s: it has %s", name, q->what, list);
}

static cst_status wrong_kind(const question *q, const cst_option *o, const cst_given *g) {
  char text[80];
  return cst_fail(q->ctx, CST_EINVAL, "option '%s' of %s must be %s, not %s", o->name, q->what,
                  kind_text(o->kind), given_text(g, text));
}

static cst_status out_of_range(const question *q, const cst_option *o, double x) {
  char value[WORD], range[80];
  cst_format_double(x, value, sizeof value);
  return cst_fail(q->ctx, CST_EINVAL, "option '%s' of %s must be %s%s%s, not %s", o->name, q->what,
                  range_text(o, range), o->unit ? " " : "", o->unit ? o->unit : "", value);
}

/* ---- one value --------------------------------------------------------------------------------------- */

static cst_status check_number(const question *q, const cst_option *o, double x) {
  bool ranged = o->range[0] != 0 || o->range[1] != 0;
  if (isnan(x)) return cst_fail(q->ctx, CST_EINVAL, "option '%s' of %s is NaN", o->name, q->what);
  if (ranged && !(x >= o->range[0] && x <= o->range[1])) return out_of_range(q, o, x);
  return CST_OK;
}

static cst_status set_number(const question *q, const cst_option *o, const cst_given *g,
                             cst_option_value *v) {
  if (g->kind == CST_INTEGER) v->number = (double)g->integer;
  else if (g->kind == CST_NUMBER) v->number = g->number;
  else return wrong_kind(q, o, g);
  if (fabs(v->number) < 0x1p62) v->integer = (int64_t)v->number;
  return check_number(q, o, v->number);
}

static cst_status set_integer(const question *q, const cst_option *o, const cst_given *g,
                              cst_option_value *v) {
  if (g->kind == CST_INTEGER) v->integer = g->integer;
  else if (g->kind == CST_NUMBER && fabs(g->number) <= 0x1p62 && g->number == floor(g->number))
    v->integer = (int64_t)g->number;
  else return wrong_kind(q, o, g);
  v->number = (double)v->integer;
  return check_number(q, o, v->number);
}

static cst_status set_boolean(const question *q, const cst_option *o, const cst_given *g,
                              cst_option_value *v) {
  if (g->kind != CST_BOOLEAN) return wrong_kind(q, o, g);
  v->number = g->number != 0;
  v->integer = g->number != 0;
  return CST_OK;
}

/* Splits "tanh|relu" into words of `room`; returns how many. */
static size_t split_choices(const char *choices, char room[LINE], const char *word[MOST_OPTIONS]) {
  size_t n = 0;
  cst_format_text(room, LINE, "%s", choices);
  for (char *p = room; p && n < MOST_OPTIONS; n++) {
    word[n] = p;
    p = strchr(p, '|');
    if (p) *p++ = 0;
  }
  return n;
}

static cst_status set_string(const question *q, const cst_option *o, const cst_given *g,
                             cst_option_value *v) {
  if (g->kind != CST_STRING || !g->string) return wrong_kind(q, o, g);
  v->string = g->string;
  if (!o->choices) return CST_OK;
  char room[LINE], hint[80] = "", list[LINE] = "";
  const char *word[MOST_OPTIONS];
  size_t n = split_choices(o->choices, room, word), length = 0;
  for (size_t i = 0; i < n; i++) {
    if (strcmp(word[i], g->string) == 0) return CST_OK;
    if (length < sizeof list)
      length += cst_format_text(list + length, sizeof list - length, i ? ", %s" : "%s", word[i]);
  }
  const char *near = cst_suggest(g->string, word, n);
  if (near) cst_format_text(hint, sizeof hint, ": did you mean '%s'?", near);
  return cst_fail(q->ctx, CST_EINVAL, "option '%s' of %s must be one of %s, not '%.60s'%s", o->name,
                  q->what, list, g->string, hint);
}

static cst_status set_list(const question *q, const cst_option *o, const cst_given *g,
                           cst_option_value *v) {
  if (g->kind != CST_LIST) return wrong_kind(q, o, g);
  for (size_t i = 0; i < g->n_list; i++) {
    cst_status st = check_number(q, o, g->list[i]);
    if (st != CST_OK) return cst_fail_note(q->ctx, st, "number %zu of a list", i + 1);
  }
  v->list = g->list;
  v->n_list = g->n_list;
  return CST_OK;
}

static cst_status set_value(const question *q, const cst_option *o, const cst_given *g,
                            cst_option_value *v) {
  if (v->given)
    return cst_fail(q->ctx, CST_EINVAL, "option '%s' of %s is given twice", o->name, q->what);
  v->given = true;
  switch (o->kind) {
    case CST_NUMBER: return set_number(q, o, g, v);
    case CST_INTEGER: return set_integer(q, o, g, v);
    case CST_BOOLEAN: return set_boolean(q, o, g, v);
    case CST_STRING: return set_string(q, o, g, v);
    case CST_LIST: return set_list(q, o, g, v);
    case CST_OPTION_END: break;
  }
  return CST_OK;
}

static void set_default(const cst_option *o, cst_option_value *v) {
  if (v->given) return;
  v->number = o->number;
  if (o->kind != CST_STRING && fabs(o->number) < 0x1p62) v->integer = (int64_t)o->number;
  v->string = o->kind == CST_STRING ? o->string : NULL;
}

/* ---- all of them ------------------------------------------------------------------------------------- */

static cst_status resolve(const question *q, cst_option_value *values) {
  for (size_t k = 0; k < q->n_given; k++) {
    const char *name = q->given[k].name ? q->given[k].name : "";
    size_t i = 0;
    while (i < q->n_schema && strcmp(q->schema[i].name, name) != 0) i++;
    if (i == q->n_schema) return unknown(q, name);
    CST_TRY(set_value(q, &q->schema[i], &q->given[k], &values[i]));
  }
  for (size_t i = 0; i < q->n_schema; i++) {
    const cst_option *o = &q->schema[i];
    if (o->required && !values[i].given)
      return cst_fail(q->ctx, CST_EINVAL, "option '%s' of %s is required%s%s", o->name, q->what,
                      o->help ? ": " : "", o->help ? o->help : "");
    set_default(o, &values[i]);
  }
  return CST_OK;
}

/* Copies the resolved values into one block: object, values, lists, strings. */
static cst_status keep(const question *q, const cst_option_value *values, cst_options **out) {
  size_t head = (sizeof(cst_options) + 15) & ~(size_t)15, n_list = 0, n_text = 0;
  for (size_t i = 0; i < q->n_schema; i++) {
    n_list += values[i].n_list;
    if (values[i].string) n_text += strlen(values[i].string) + 1;
  }
  size_t table = q->n_schema * sizeof *values;
  unsigned char *block = cst_alloc(q->ctx, head + table + n_list * sizeof(double) + n_text);
  if (!block) return CST_ENOMEM;
  cst_option_value *v = (cst_option_value *)(void *)(block + head);
  double *list = (double *)(void *)(block + head + table);
  char *text = (char *)(list + n_list);
  if (table) memcpy(v, values, table);
  for (size_t i = 0; i < q->n_schema; i++) {
    if (v[i].n_list) memcpy(list, v[i].list, v[i].n_list * sizeof *list);
    if (v[i].list) v[i].list = list;
    list += v[i].n_list;
    if (!v[i].string) continue;
    size_t size = strlen(v[i].string) + 1;
    v[i].string = memcpy(text, v[i].string, size);
    text += size;
  }
  *out = (cst_options *)(void *)block;
  **out = (cst_options){.schema = q->schema, .values = v};
  return CST_OK;
}

cst_status cst_options_new(cst_context *ctx, const char *what, const cst_option *schema,
                           const cst_given *given, size_t n, cst_options **out) {
  cst_option_value values[MOST_OPTIONS] = {{0}};
  question q = {ctx, what, schema, schema_length(schema), given, n};
  *out = NULL;
  CST_TRY(resolve(&q, values));
  return keep(&q, values, out);
}

void cst_options_free(cst_context *ctx, cst_options *o) { cst_free(ctx, o); }
