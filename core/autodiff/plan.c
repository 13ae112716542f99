/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Buffer planning: first fit by order of birth. Few lives are open at a time, so the search over the
 * open ones is short.
 */
#include "autodiff/program_internal.h"

enum { ALIGN = 64 };

/* The lowest offset where `bytes` fit between the open lives, which are sorted by offset. */
static size_t lowest_gap(const cst_life *life, const uint32_t *open, size_t n_open, size_t bytes, size_t *at) {
  size_t offset = 0, i = 0;
  for (; i < n_open; i++) {
    if (life[open[i]].offset >= offset + bytes) break;
    size_t end = life[open[i]].offset + life[open[i]].bytes;
    if (end > offset) offset = (end + ALIGN - 1) / ALIGN * ALIGN;
  }
  *at = i;
  return offset;
}

size_t cst_plan_arena(cst_life *life, size_t n, uint32_t *open) {
  size_t n_open = 0, size = 0;
  for (size_t i = 0; i < n; i++) {
    size_t kept = 0, at;
    for (size_t k = 0; k < n_open; k++)
      if (life[open[k]].last >= life[i].first) open[kept++] = open[k];
    n_open = kept;
    life[i].offset = lowest_gap(life, open, n_open, life[i].bytes, &at);
    for (size_t k = n_open++; k > at; k--) open[k] = open[k - 1];
    open[at] = (uint32_t)i;
    if (life[i].offset + life[i].bytes > size) size = life[i].offset + life[i].bytes;
  }
  return (size + ALIGN - 1) / ALIGN * ALIGN;
}
