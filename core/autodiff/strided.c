/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "autodiff/strided.h"

#include <string.h>

void cst_strides(int rank, const int64_t *dim, int64_t *stride) {
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; i--) stride[i] = step, step *= dim[i];
}

#define ROWS_OF(bytes)                                                             \
  for (size_t i = 0; i < n; i++, from = (const char *)from + from_step, to = (char *)to + to_step) \
    memcpy(to, from, bytes);                                                       \
  break

void cst_copy_rows(size_t bytes, size_t n, const void *from, size_t from_step, void *to, size_t to_step) {
  switch (bytes) { /* of a known size memcpy is a load and a store */
    case 4: ROWS_OF(4);
    case 8: ROWS_OF(8);
    case 16: ROWS_OF(16);
    case 32: ROWS_OF(32);
    default: ROWS_OF(bytes);
  }
}

static void copy_line(size_t size, int64_t n, const char *src, int64_t ss, char *dst, int64_t ds) {
  if (ss == 1 && ds == 1) {
    memcpy(dst, src, (size_t)n * size);
  } else if (size == 8) {
    for (int64_t i = 0; i < n; i++) ((uint64_t *)(void *)dst)[i * ds] = ((const uint64_t *)(const void *)src)[i * ss];
  } else {
    for (int64_t i = 0; i < n; i++) ((uint32_t *)(void *)dst)[i * ds] = ((const uint32_t *)(const void *)src)[i * ss];
  }
}

void cst_copy_strided(size_t size, int rank, const int64_t *dim, const void *src, const int64_t *ss,
                      void *dst, const int64_t *ds) {
  if (rank == 0) {
    memcpy(dst, src, size);
    return;
  }
  /* An inner axis that continues the one before it in both arrays joins it. */
  int64_t n = dim[rank - 1], s = ss[rank - 1], d = ds[rank - 1];
  int r = rank - 1;
  while (r > 0 && ss[r - 1] == s * n && ds[r - 1] == d * n) n *= dim[--r];
  int64_t index[CST_MAX_RANK] = {0};
  const char *from = src;
  char *to = dst;
  int64_t unit = (int64_t)size;
  for (int i = 0; i < r; i++)
    if (dim[i] <= 0) return;
  if (n <= 0) return;
  for (;;) {
    copy_line(size, n, from, s, to, d);
    int k = r - 1;
    for (; k >= 0; k--) {
      from += ss[k] * unit, to += ds[k] * unit;
      if (++index[k] < dim[k]) break;
      from -= ss[k] * dim[k] * unit, to -= ds[k] * dim[k] * unit;
      index[k] = 0;
    }
    if (k < 0) return;
  }
}
