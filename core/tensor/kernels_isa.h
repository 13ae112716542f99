/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the kernel sources share. They are compiled once per instruction set, with CST_ISA set to
 * its name, in two groups: element-wise maps never contract a*b+c, sums of products do where the
 * machine has a fused multiply-add. Only ISA(...) symbols leave a source, and none leaves the library.
 */
#pragma once
#include "kernels.h"

#define CST_JOIN_(a, b) a##_##b
#define CST_JOIN(a, b) CST_JOIN_(a, b)
#define ISA(name) CST_JOIN(cst_##name, CST_ISA)

#define CST_TEXT_(a) #a
#define CST_TEXT(a) CST_TEXT_(a)

#define INLINE static inline __attribute__((always_inline, unused))

/* Iterations are independent: out is an input exactly or does not overlap it. */
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

/* act_f32, act_f64: y = act(y), the bits of the map of the same name.
 * act_back_f32, act_back_f64: gz = gy * act'(y), where y is the output of the activation. */
typedef struct cst_act_kernels {
  void (*act[2])(cst_act act, void *y, size_t n);
  void (*act_back[2])(cst_act act, const void *y, const void *gy, void *gz, size_t n);
} cst_act_kernels;

extern const cst_act_kernels ISA(acts);

/* Each source fills its part of the table. */
void ISA(fill_maps)(cst_kernels *table);
void ISA(fill_products)(cst_kernels *table);
void ISA(fill_reductions)(cst_kernels *table);
