/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Options: a schema per thing, and the values resolved against it. The schema validates every
 * table a user writes, fills defaults, and prints `costate help THING`.
 */
#pragma once
#include <string.h>

#include "costate/types.h"

typedef enum cst_option_kind {
  CST_OPTION_END,  /* ends a schema */
  CST_NUMBER,      /* double */
  CST_INTEGER,     /* int64 */
  CST_BOOLEAN,
  CST_STRING,      /* `choices` may list what is allowed, separated by '|' */
  CST_LIST         /* numbers; from Lua also the positional part of the table, {2, 50, 2, ...} */
} cst_option_kind;

typedef struct cst_option {
  const char *name;
  cst_option_kind kind;
  bool required;       /* no default: must be given */
  double number;       /* default of NUMBER, INTEGER, BOOLEAN (0 or 1) */
  const char *string;  /* default of STRING */
  const char *choices; /* "tanh|relu|none", or NULL: anything */
  double range[2];     /* inclusive; {0, 0} means unrestricted */
  const char *unit;    /* may be NULL */
  const char *help;    /* one line */
} cst_option;

/* .options = CST_OPTIONS({ "rtol", CST_NUMBER, .number = 1e-6, .range = {0, 1}, .help = "..." }, ...) */
#define CST_OPTIONS(...) ((const cst_option[]){__VA_ARGS__, {.kind = CST_OPTION_END}})

typedef struct cst_option_value {
  bool given; /* by the user; otherwise the default stands here */
  double number;
  int64_t integer;
  const char *string; /* owned by the options */
  const double *list; /* owned by the options */
  size_t n_list;
} cst_option_value;

/* Values in schema order. Made and freed by the core; immutable. */
typedef struct cst_options {
  const cst_option *schema; /* NULL: no options */
  cst_option_value *values;
} cst_options;

/* The value of a named option; asking for a name outside the schema gives a zero value. */
static inline const cst_option_value *cst_option_get(const cst_options *o, const char *name) {
  static const cst_option_value none = {0};
  for (size_t i = 0; o && o->schema && o->schema[i].kind != CST_OPTION_END; i++)
    if (strcmp(o->schema[i].name, name) == 0) return &o->values[i];
  return &none;
}
static inline double cst_option_number(const cst_options *o, const char *name) {
  return cst_option_get(o, name)->number;
}
static inline int64_t cst_option_integer(const cst_options *o, const char *name) {
  return cst_option_get(o, name)->integer;
}
static inline bool cst_option_boolean(const cst_options *o, const char *name) {
  return cst_option_get(o, name)->number != 0;
}
static inline const char *cst_option_string(const cst_options *o, const char *name) {
  const char *s = cst_option_get(o, name)->string;
  return s ? s : "";
}
