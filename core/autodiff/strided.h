/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Copying between arrays of different strides: what transpose, slice, pad, concat and broadcast do.
 */
#pragma once
#include "costate/types.h"

/* dst[sum i_k dst_stride[k]] = src[sum i_k src_stride[k]] over 0 <= i_k < dim[k]; strides in elements
 * (0 repeats an element, negative ones run backwards). */
void cst_copy_strided(size_t element_size, int rank, const int64_t *dim, const void *src,
                      const int64_t *src_stride, void *dst, const int64_t *dst_stride);
/* n pieces of `bytes`, as far apart as the steps say (bytes). */
void cst_copy_rows(size_t bytes, size_t n, const void *from, size_t from_step, void *to, size_t to_step);
/* Row-major strides of a shape. */
void cst_strides(int rank, const int64_t *dim, int64_t *stride);
/* The shape of an operand for the present number of rows. */
static inline void cst_shape_now(const cst_type *t, size_t rows, int64_t *dim) {
  for (int i = 0; i < t->rank; i++) dim[i] = t->dim[i];
  if (t->space == CST_ROW) dim[0] = (int64_t)rows;
}
