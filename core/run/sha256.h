/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SHA-256 piece by piece; costate/run.h has it in one call.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct cst_sha256_state {
  uint32_t h[8];
  uint64_t length; /* bytes so far */
  unsigned char block[64]; /* the last length % 64 of them */
} cst_sha256_state;

void cst_sha256_begin(cst_sha256_state *s);
void cst_sha256_add(cst_sha256_state *s, const void *data, size_t n);
void cst_sha256_end(cst_sha256_state *s, char hex[65]);
