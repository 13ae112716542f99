/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Element-wise kernels. Compiled with -ffp-contract=off: every instruction set gives the same bits.
 */
#include "kernels_isa.h"

#include "kernels_poly.inc"

#define CST_BITS 64
#include "kernels_real.inc"
#include "kernels_fn.inc"
#include "kernels_trig.inc"
#include "kernels_pow.inc"
#include "kernels_map.inc"
#undef CST_BITS
#define CST_BITS 32
#include "kernels_real.inc"
#include "kernels_fn.inc"
INLINE float pow_f32(float x, float y) { return (float)pow_f64((double)x, (double)y); }
#include "kernels_map.inc"

void ISA(fill_maps)(cst_kernels *table) {
#define ROW(name, n) table->map[0][CST_MAP_##name] = map_##name##_f32;
  CST_MAP_LIST(ROW)
#undef ROW
#define ROW(name, n) table->map[1][CST_MAP_##name] = map_##name##_f64;
  CST_MAP_LIST(ROW)
#undef ROW
}

const cst_act_kernels ISA(acts) = {{act_f32, act_f64}, {act_back_f32, act_back_f64}};
