/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the tests of the numeric kernels share: arrays of either element type, repeatable numbers,
 * and a loop over every table this CPU can run.
 */
#pragma once
#include <CUnit/CUnit.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

#define inf ((double)INFINITY)
#define nan_ ((double)NAN)

#define MAX 20000 /* elements in an array */

typedef struct array {
  _Alignas(64) unsigned char byte[MAX * 8];
} array;

static inline size_t size_of(int f64) { return f64 ? 8 : 4; }
static inline double get(int f64, const void *a, size_t i) {
  return f64 ? ((const double *)a)[i] : (double)((const float *)a)[i];
}
static inline void set(int f64, void *a, size_t i, double x) {
  if (f64) ((double *)a)[i] = x;
  else ((float *)a)[i] = (float)x;
}
static inline void *at(int f64, void *a, size_t i) { return (unsigned char *)a + i * size_of(f64); }

static uint64_t state = 0x9e3779b97f4a7c15;
static inline uint64_t draw(void) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}
static inline double uniform(double a, double b) { return a + (b - a) * (double)(draw() >> 11) * 0x1p-53; }
static inline void fill(int f64, void *a, size_t n) {
  for (size_t i = 0; i < n; i++) set(f64, a, i, uniform(-1, 1));
}

/* CUnit's assertion with the case in its text. */
static inline void check(bool ok, const char *what, const char *isa, int f64, double a, double b) {
  char text[200];
  snprintf(text, sizeof text, "%s, %s, f%d: %.17g, %.17g", what, isa, f64 ? 64 : 32, a, b);
  CU_assertImplementation(ok, 0, text, __FILE__, "", CU_FALSE);
}

#define EACH(t, f64)                                                          \
  for (const cst_kernels *const *t = cst_kernels_all(); *t; t++)              \
    for (int f64 = 0; f64 < 2; f64++)
