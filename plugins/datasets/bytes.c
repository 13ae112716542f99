/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whole files: see bytes.h.
 */
#include "bytes.h"

#include <errno.h>
#include <zlib.h>

static cst_status io_failure(const cst_host *host, const char *path, int error) {
  char reason[128] = "unknown error";
  strerror_r(error, reason, sizeof reason);
  return host->fail(host, CST_EIO, "%s: %s", path, reason);
}

static cst_status read_failure(const cst_host *host, const char *path, gzFile f) {
  int code = Z_OK;
  const char *reason = gzerror(f, &code);
  if (code == Z_ERRNO) return io_failure(host, path, errno);
  return host->fail(host, CST_EIO, "%s: damaged gzip file: %s", path, reason);
}

static cst_status slurp(const cst_host *host, gzFile f, const char *path, char **bytes, size_t *n) {
  size_t capacity = 1 << 16;
  *bytes = host->alloc(host, capacity);
  for (*n = 0; *bytes;) {
    size_t room = capacity - 1 - *n;
    int got = gzread(f, *bytes + *n, room < INT32_MAX ? (unsigned)room : INT32_MAX);
    if (got < 0) return read_failure(host, path, f);
    *n += (size_t)got;
    if (got == 0) return CST_OK;
    if (*n < capacity - 1) continue;
    char *larger = host->alloc(host, 2 * capacity);
    if (larger) memcpy(larger, *bytes, *n);
    host->free(host, *bytes);
    *bytes = larger, capacity *= 2;
  }
  return host->fail(host, CST_ENOMEM, "%s: no memory for the file", path);
}

cst_status bytes_read(const cst_host *host, const char *path, char **bytes, size_t *n) {
  *bytes = NULL, *n = 0;
  errno = 0;
  gzFile f = gzopen(path, "rb");
  if (!f) return io_failure(host, path, errno ? errno : ENOMEM);
  cst_status st = slurp(host, f, path, bytes, n);
  if (gzclose_r(f) == Z_BUF_ERROR && st == CST_OK)
    st = host->fail(host, CST_EIO, "%s: damaged gzip file: it ends too early", path);
  return st;
}
