/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Tensors: checked shapes, one block of memory each, views, element access.
 */
#include "costate/tensor.h"

#include "costate/context.h"

cst_status cst_shape_count(cst_context *ctx, int rank, const int64_t *dim, size_t element_size,
                           size_t *n) {
  if (rank < 0 || rank > CST_MAX_RANK)
    return cst_fail(ctx, CST_ESHAPE, "a tensor has 0 to %d axes, not %d", CST_MAX_RANK, rank);
  /* The product of the non-zero dimensions must fit too: strides are made of them. */
  size_t product = 1, limit = PTRDIFF_MAX / 2 / (element_size ? element_size : 1);
  bool empty = false;
  for (int i = 0; i < rank; i++) {
    if (dim[i] < 0)
      return cst_fail(ctx, CST_ESHAPE, "axis %d has the negative length %lld", i,
                      (long long)dim[i]);
    if (dim[i] == 0) empty = true;
    else if ((uint64_t)dim[i] > limit / product)
      return cst_fail(ctx, CST_ESHAPE, "a tensor so large does not fit into memory (axis %d: %lld)",
                      i, (long long)dim[i]);
    else product *= (size_t)dim[i];
  }
  *n = empty ? 0 : product;
  return CST_OK;
}

static void destroy(cst_object *self) {
  cst_tensor *t = (cst_tensor *)(void *)self;
  cst_tensor_release(t->base);
  cst_free(t->ctx, t);
}

/* A tensor whose block has `bytes` of room behind the header. */
static cst_status make(cst_context *ctx, cst_dtype dtype, int rank, const int64_t *dim, size_t count,
                       size_t bytes, cst_tensor **out) {
  size_t head = (sizeof(cst_tensor) + 63) & ~(size_t)63;
  cst_tensor *t = cst_alloc(ctx, head + bytes);
  if (!t) return CST_ENOMEM;
  t->object = (cst_object){.refs = 1, .destroy = destroy};
  t->ctx = ctx;
  t->type = (cst_type){.dtype = (uint8_t)dtype, .rank = (uint8_t)rank};
  for (int i = 0; i < rank; i++) t->type.dim[i] = dim[i];
  t->count = count;
  t->data = (unsigned char *)t + head;
  *out = t;
  return CST_OK;
}

cst_status cst_tensor_new(cst_context *ctx, cst_dtype dtype, int rank, const int64_t *dim,
                          cst_tensor **out) {
  *out = NULL;
  if (dtype != CST_F32 && dtype != CST_F64 && dtype != CST_I64)
    return cst_fail(ctx, CST_EDTYPE, "a tensor holds f32, f64 or i64");
  size_t n = 0, size = cst_dtype_size(dtype);
  CST_TRY(cst_shape_count(ctx, rank, dim, size, &n));
  return make(ctx, dtype, rank, dim, n, n * size, out);
}

cst_status cst_tensor_view(cst_tensor *base, size_t offset, int rank, const int64_t *dim,
                           cst_tensor **out) {
  *out = NULL;
  size_t n = 0, size = cst_dtype_size((cst_dtype)base->type.dtype);
  CST_TRY(cst_shape_count(base->ctx, rank, dim, size, &n));
  if (offset > base->count || n > base->count - offset)
    return cst_fail(base->ctx, CST_ESHAPE,
                    "a view of %zu elements from element %zu does not lie inside a tensor of %zu", n,
                    offset, base->count);
  CST_TRY(make(base->ctx, (cst_dtype)base->type.dtype, rank, dim, n, 0, out));
  (*out)->data = (unsigned char *)base->data + offset * size;
  (*out)->base = cst_tensor_retain(base->base ? base->base : base);
  return CST_OK;
}

double cst_tensor_get(const cst_tensor *t, size_t index) {
  switch ((cst_dtype)t->type.dtype) {
    case CST_F32: return (double)((const float *)t->data)[index];
    case CST_F64: return ((const double *)t->data)[index];
    case CST_I64: return (double)((const int64_t *)t->data)[index];
    case CST_OPAQUE: break;
  }
  return 0;
}

/* The nearest i64: what lies outside ends at the limits, NaN becomes 0. */
static int64_t to_integer(double x) {
  if (x >= 0x1p63) return INT64_MAX;
  if (x < -0x1p63) return INT64_MIN;
  return x == x ? (int64_t)x : 0;
}

void cst_tensor_set(cst_tensor *t, size_t index, double value) {
  switch ((cst_dtype)t->type.dtype) {
    case CST_F32: ((float *)t->data)[index] = (float)value; break;
    case CST_F64: ((double *)t->data)[index] = value; break;
    case CST_I64: ((int64_t *)t->data)[index] = to_integer(value); break;
    case CST_OPAQUE: break;
  }
}
