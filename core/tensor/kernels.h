/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Numeric kernels: straight loops over contiguous memory, one table per instruction set, chosen
 * once at run time (cst_kernels_get). Everything above this header is free of vector code.
 *
 * Invariants every kernel keeps:
 *  - a row of a result depends on that row of the inputs alone, never on the number of rows or on
 *    a row's position (bits included), so a short batch and a chunk give the bits of the whole;
 *  - element-wise kernels give the same bits for the same input whatever n is, and in every lane
 *    and tail position;
 *  - NaN and infinities pass through as IEEE 754 says;
 *  - no allocation, no global state, any alignment (64-byte aligned data is fastest).
 * Index [0] of a pair is the f32 kernel, [1] the f64 kernel (cst_dtype order).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Element-wise functions: name, number of operands. Comparisons give 1 or 0 in the operand type.
 * `where` picks in[1] where in[0] is non-zero, else in[2]. `sign(0)` is 0 and sign(NaN) is NaN.
 * max and min return NaN when either operand is NaN. `softplus` is log(1 + e^x) without overflow,
 * `elu` is x for x > 0 and expm1(x) otherwise, `step` is 1 for x > 0 else 0. */
#define CST_MAP_LIST(X)                                                                      \
  X(copy, 1) X(neg, 1) X(abs, 1) X(sign, 1) X(floor, 1) X(recip, 1) X(square, 1) X(cube, 1) X(sqrt, 1) \
  X(exp, 1) X(expm1, 1) X(log, 1) X(log1p, 1) X(sin, 1) X(cos, 1) X(tan, 1) X(tanh, 1)       \
  X(sigmoid, 1) X(softplus, 1) X(relu, 1) X(elu, 1) X(erf, 1) X(atan, 1) X(step, 1)          \
  X(isfinite, 1)                                                                             \
  X(add, 2) X(sub, 2) X(mul, 2) X(div, 2) X(pow, 2) X(max, 2) X(min, 2)                      \
  X(lt, 2) X(le, 2) X(eq, 2) X(ne, 2)                                                        \
  X(where, 3)

typedef enum cst_map {
#define CST_MAP_ENUM(name, n) CST_MAP_##name,
  CST_MAP_LIST(CST_MAP_ENUM)
#undef CST_MAP_ENUM
  CST_MAP_COUNT
} cst_map;

/* out[i] = f(in[0][i], ...), i < n. out may be one of the inputs exactly; otherwise no overlap. */
typedef void cst_map_fn(const void *const *in, void *out, size_t n);

/* Activations of a dense layer: those whose derivative is a function of the output. */
typedef enum cst_act {
  CST_ACT_NONE, CST_ACT_TANH, CST_ACT_SIGMOID, CST_ACT_RELU, CST_ACT_SOFTPLUS, CST_ACT_ELU,
  CST_ACT_COUNT
} cst_act;

/* y [m,n] = act(x [m,k] w + b). w is [k,n]; b is [n] or NULL. */
typedef struct cst_dense_args {
  size_t m, k, n;
  cst_act act;
  const void *x, *w, *b;
  void *y;
} cst_dense_args;

/* With gz [m,n] = gy * act'(y):  gx [m,k] = gz w^T;  gw [k,n] (+)= x^T gz;  gb [n] (+)= sum of the
 * rows of gz. gx, gw, gb may each be NULL: not computed. `gz` is scratch of m*n elements (may be
 * NULL when act is NONE). With `add`, gw and gb accumulate, otherwise they are overwritten. */
typedef struct cst_dense_back_args {
  size_t m, k, n;
  cst_act act;
  bool add;
  const void *x, *w, *y, *gy;
  void *gz, *gx, *gw, *gb;
} cst_dense_back_args;

typedef struct cst_kernels {
  const char *isa; /* "sse2", "avx2", "avx512", "generic" */
  cst_map_fn *map[2][CST_MAP_COUNT];

  void (*dense[2])(const cst_dense_args *a);
  void (*dense_back[2])(const cst_dense_back_args *a);

  /* c [m,n] (+)= a [m,k] op(b); op(b) is b [k,n], or with trans_b the transpose of b [n,k]. */
  void (*product[2])(size_t m, size_t k, size_t n, const void *a, const void *b, bool trans_b,
                     bool add, void *c);
  /* c [k,n] (+)= sum over i < m of a[i,:]^T b[i,:]; the order of summation depends on m alone. */
  void (*outer[2])(size_t m, size_t k, size_t n, const void *a, const void *b, bool add, void *c);

  /* out [outer,inner] (+)= sum over the middle axis of x [outer,mid,inner]. Accumulates in f64 when
   * inner is 1; the order depends on mid alone. */
  void (*sum[2])(size_t outer, size_t mid, size_t inner, const void *x, bool add, void *out);
  /* Largest element along the middle axis; NaN wins. mid >= 1. */
  void (*max[2])(size_t outer, size_t mid, size_t inner, const void *x, void *out);

  /* out = y + sum over j < s of c[j] k[j], elements in ascending j; y may be NULL (zero), and out
   * may be y. Terms with c[j] == 0 are skipped. The coefficients are rounded to the element type. */
  void (*combine[2])(size_t n, const void *y, size_t s, const double *c, const void *const *k,
                     void *out);
  /* Sum over i of ((sum_j c[j] k[j][i]) / (atol + rtol * max(|y0[i]|, |y1[i]|)))^2, in f64. */
  double (*error_sum[2])(size_t n, size_t s, const double *c, const void *const *k, const void *y0,
                         const void *y1, double rtol, double atol);
  /* sum of a[i]*b[i] in f64. */
  double (*dot[2])(size_t n, const void *a, const void *b);
  /* Whether every element is finite. */
  bool (*all_finite[2])(size_t n, const void *x);
} cst_kernels;

/* The table for this CPU. The environment variable COSTATE_ISA may name a smaller one (tests). */
const cst_kernels *cst_kernels_get(void);
/* All tables this CPU can run, ending with NULL: tests compare their bits. */
const cst_kernels *const *cst_kernels_all(void);
