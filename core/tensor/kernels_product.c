/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Products. Compiled with -ffp-contract=fast: AVX2 and AVX-512 both fuse every a*b+c and give the
 * same bits. Only statements of the form s += a * b may appear, or compilers differ in what they fuse.
 */
#if defined __x86_64__
#include <immintrin.h>
#endif
#include <string.h>

#include "kernels_isa.h"

#define CST_BITS 32
#include "kernels_real.inc"
#include "kernels_simd.inc"
#include "kernels_gemm.inc"
#include "kernels_thin.inc"
#include "kernels_outer.inc"
#include "kernels_dense.inc"
#undef CST_BITS
#define CST_BITS 64
#include "kernels_real.inc"
#include "kernels_simd.inc"
#include "kernels_gemm.inc"
#include "kernels_thin.inc"
#include "kernels_outer.inc"
#include "kernels_dense.inc"

void ISA(fill_products)(cst_kernels *table) {
  table->dense[0] = dense_f32;
  table->dense[1] = dense_f64;
  table->dense_back[0] = dense_back_f32;
  table->dense_back[1] = dense_back_f64;
  table->product[0] = product_f32;
  table->product[1] = product_f64;
  table->outer[0] = outer_f32;
  table->outer[1] = outer_f64;
}
