/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * While programs run, subnormal numbers (below 1.2e-38 in f32, 2.2e-308 in f64) count as zero: the tail of a
 * softplus or a fading cotangent makes them, and x86 takes some hundred cycles for each. NaN, infinities and
 * signed zeros stay as IEEE 754 has them. The mode belongs to a thread; whoever called finds it as it was.
 */
#pragma once
#include <stdint.h>

typedef uint32_t cst_float_mode;

#if defined __SSE2__
#define CST_FLUSH 0x8040u /* flush to zero, denormals are zero */

static inline cst_float_mode cst_float_mode_enter(void) {
  cst_float_mode outer = __builtin_ia32_stmxcsr();
  if ((outer & CST_FLUSH) != CST_FLUSH) __builtin_ia32_ldmxcsr(outer | CST_FLUSH);
  return outer;
}
static inline void cst_float_mode_leave(cst_float_mode outer) {
  if ((outer & CST_FLUSH) != CST_FLUSH) __builtin_ia32_ldmxcsr(outer);
}
#else
static inline cst_float_mode cst_float_mode_enter(void) { return 0; }
static inline void cst_float_mode_leave(cst_float_mode outer) { (void)outer; }
#endif
