/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A context with the plugin nn, and models of it with their layouts.
 */
#pragma once
#include <CUnit/CUnit.h>
#include <math.h>
#include <string.h>

#include "costate/graph.h"
#include "costate/registry.h"

static cst_context *ctx;

static inline int open_nn(void) {
  ctx = cst_context_new(NULL);
  return !ctx || cst_plugin_load(ctx, "nn") != CST_OK;
}
static inline int close_nn(void) {
  cst_context_free(ctx);
  return 0;
}

typedef struct net {
  const cst_entry *entry;
  cst_options *options;
  cst_layout layout;
} net;

#define LIST(...) {.name = "sizes", .kind = CST_LIST, .list = (const double[]){__VA_ARGS__}, \
                   .n_list = sizeof((const double[]){__VA_ARGS__}) / sizeof(double)}
#define TEXT(nm, s) {.name = nm, .kind = CST_STRING, .string = s}

static inline cst_status declare(const char *name, cst_dtype dtype, const cst_given *given, size_t n, net *m) {
  *m = (net){.entry = cst_find(ctx, CST_KIND_MODEL, name)};
  if (!m->entry) return cst_last_status(ctx);
  CST_TRY(cst_options_new(ctx, name, m->entry->options, given, n, &m->options));
  return cst_model_declare(ctx, m->entry, m->options, dtype, &m->layout);
}

static inline void drop(net *m) {
  cst_layout_free(ctx, &m->layout);
  cst_options_free(ctx, m->options);
}

/* Options that a model refuses, with a message that has these words. */
static inline void refuses(const char *name, const cst_given *given, size_t n, const char *message) {
  net m;
  CU_ASSERT_NOT_EQUAL(declare(name, CST_F64, given, n, &m), CST_OK);
  CU_ASSERT_PTR_NOT_NULL(strstr(cst_message(ctx), message));
  drop(&m);
}
