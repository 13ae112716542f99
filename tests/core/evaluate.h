/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Small helpers for tests of graphs: a graph with f64 inputs, evaluated at given numbers.
 */
#pragma once
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "costate/context.h"
#include "costate/graph.h"

/* An assertion that says what went wrong with the numbers of the case. */
#define CHECK(what, ...)                                    \
  do {                                                      \
    bool good_ = (what);                                    \
    if (!good_) fprintf(stderr, __VA_ARGS__), fputc('\n', stderr); \
    CU_ASSERT(good_);                                       \
  } while (0)

enum { MAX_VALUES = 16, MAX_ELEMENTS = 4096 };

/* Runs (inputs -> outputs) once; in and out are arrays of doubles (or i64 for i64 inputs). */
static inline cst_status evaluate(cst_graph *g, const cst_value *inputs, size_t n_in, const cst_value *outputs,
                                  size_t n_out, const void *const *in, void *const *out) {
  cst_function *f = NULL;
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  cst_status st = cst_function_new(g, inputs, n_in, outputs, n_out, &f);
  if (st == CST_OK) st = cst_program_new(f, NULL, &p);
  if (st == CST_OK) st = cst_workspace_new(p, &w);
  if (st == CST_OK) st = cst_program_run(w, (size_t)g->rows, in, out);
  cst_workspace_free(w);
  cst_program_release(p);
  cst_object_release(f);
  return st;
}

static inline double random_number(cst_rng *r, double from, double to) {
  return from + (to - from) * cst_rng_uniform(r);
}
