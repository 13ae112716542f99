/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Reductions, norms and stage combinations. Compiled with -ffp-contract=fast, like products.
 */
#if defined __x86_64__
#include <immintrin.h>
#endif

#include "kernels_isa.h"

/* Sixteen lanes of a sum, folded by halves. */
INLINE double fold_lanes(double *s) {
  for (size_t w = 8; w > 0; w /= 2)
    for (size_t l = 0; l < w; l++) s[l] += s[l + w];
  return s[0];
}

INLINE float absolute_f32(float x) { return __builtin_fabsf(x); }
INLINE double absolute_f64(double x) { return __builtin_fabs(x); }

#define CST_BITS 32
#include "kernels_real.inc"
#include "kernels_simd.inc"
#include "kernels_reduce.inc"
#undef CST_BITS
#define CST_BITS 64
#include "kernels_real.inc"
#include "kernels_simd.inc"
#include "kernels_reduce.inc"

void ISA(fill_reductions)(cst_kernels *table) {
#define ROW(name) table->name[0] = name##_f32, table->name[1] = name##_f64
  ROW(sum);
  ROW(max);
  ROW(combine);
  ROW(error_sum);
  ROW(dot);
  ROW(all_finite);
#undef ROW
}
