/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "adjoint.h"

cst_status adjoint_grow(const cst_host *host, void *array, size_t *capacity, size_t n, size_t size) {
  void *old, *new;
  if (n <= *capacity) return CST_OK;
  memcpy(&old, array, sizeof old);
  if (!(new = host->alloc(host, n * size))) return CST_ENOMEM;
  if (old) host->free(host, old);
  memcpy(array, &new, sizeof new);
  *capacity = n;
  return CST_OK;
}
