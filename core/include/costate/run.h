/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a run leaves behind: files written so that a kill at any instant loses nothing, and hashes by
 * which they are known again.
 */
#pragma once
#include "costate/context.h"

/* Writes a whole file: to a temporary file in the same directory, fsync, rename over `path`, fsync
 * of the directory. Whoever reads `path` sees all of the old bytes or all of the new ones; after a
 * failure the old file is as it was. EIO with the reason. */
cst_status cst_write_file(cst_context *ctx, const char *path, const void *data, size_t n);
/* Reads a whole file into memory of the context (to be freed with cst_free), with a NUL behind the
 * bytes. ENOTFOUND or EIO with the reason; files above `limit` bytes are refused. */
cst_status cst_read_file(cst_context *ctx, const char *path, size_t limit, void **data, size_t *n);

#define CST_SHA256_HEX 65 /* 64 digits and a NUL */
/* SHA-256 (FIPS 180-4) in hexadecimal. */
void cst_sha256(const void *data, size_t n, char hex[CST_SHA256_HEX]);
cst_status cst_sha256_file(cst_context *ctx, const char *path, char hex[CST_SHA256_HEX]);
