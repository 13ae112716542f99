/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Tensors: dense, row-major, contiguous, rank <= 8, reference-counted. A view shares the storage of
 * another tensor (which it keeps alive); parameters are views into one flat vector.
 */
#pragma once
#include "costate/types.h"

struct cst_tensor {
  cst_object object; /* first: tensors are objects (retain/release with cst_object_*) */
  cst_context *ctx;
  cst_type type; /* space ROW: the leading axis is a batch (the mark that data sets put on) */
  size_t count;  /* elements */
  void *data;    /* 64-byte aligned unless a view */
  cst_tensor *base; /* storage owner of a view, or NULL */
};

/* Zero-filled. Fails with ESHAPE when a dimension is negative or the size overflows, ENOMEM. */
cst_status cst_tensor_new(cst_context *ctx, cst_dtype dtype, int rank, const int64_t *dim,
                          cst_tensor **out);
/* `offset` elements into base; the view must lie inside it. */
cst_status cst_tensor_view(cst_tensor *base, size_t offset, int rank, const int64_t *dim,
                           cst_tensor **out);
static inline cst_tensor *cst_tensor_retain(cst_tensor *t) {
  return (cst_tensor *)cst_object_retain(t);
}
static inline void cst_tensor_release(cst_tensor *t) { cst_object_release(t); }

/* Element access for convenience, converting; index in elements from the start. */
double cst_tensor_get(const cst_tensor *t, size_t index);
void cst_tensor_set(cst_tensor *t, size_t index, double value);

/* Readable text, NUL-terminated, at most `size` bytes: "f64 [2, 3]\n 1.0  2.0 ..."; long axes are
 * abridged in the middle. Returns the length needed. Independent of the locale. */
size_t cst_tensor_format(const cst_tensor *t, char *text, size_t size);

/* "[20, 2]" into a caller's buffer, for messages; `row` leading axes print as "B". */
const char *cst_type_format(const cst_type *t, char *text, size_t size);
/* n = product of dim, or ESHAPE (negative dimension, more than CST_MAX_RANK axes, overflow). */
cst_status cst_shape_count(cst_context *ctx, int rank, const int64_t *dim, size_t element_size,
                           size_t *n);
