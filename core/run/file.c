/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whole files: written atomically, read whole, hashed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "costate/run.h"
#include "run/sha256.h"

enum { PATH_SIZE = 4096, MOST_TRIES = 100 };

static cst_status failed(cst_context *ctx, const char *action, const char *path) {
  int error = errno;
  return cst_fail(ctx, error == ENOENT ? CST_ENOTFOUND : CST_EIO, "could not %s '%s': %s", action,
                  path, strerror(error));
}

/* ---- writing ------------------------------------------------------------------------------------- */

/* A new file beside `path`, of a name nobody has. Its descriptor, or -1. */
static int open_beside(const char *path, mode_t mode, char name[PATH_SIZE]) {
  for (int i = 0; i < MOST_TRIES; i++) {
    size_t n = cst_format_text(name, PATH_SIZE, "%s.tmp-%ld-%d", path, (long)getpid(), i);
    if (n >= PATH_SIZE) {
      errno = ENAMETOOLONG;
      return -1;
    }
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

static bool write_all(int fd, const unsigned char *data, size_t n) {
  while (n > 0) {
    ssize_t done = write(fd, data, n < 1u << 30 ? n : 1u << 30);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    data += done;
    n -= (size_t)done;
  }
  return true;
}

/* Writes, flushes to the disk and closes: errors may come as late as at close. */
static bool fill(int fd, const void *data, size_t n) {
  bool good = write_all(fd, data, n) && fsync(fd) == 0;
  int error = errno;
  if (close(fd) != 0) return false;
  errno = error;
  return good;
}

/* Makes the rename itself last. File systems that cannot (EINVAL) need not. */
static bool sync_directory_of(const char *path) {
  char dir[PATH_SIZE];
  const char *slash = strrchr(path, '/');
  size_t n = slash ? (size_t)(slash - path) : 0;
  cst_format_text(dir, sizeof dir, "%.*s", slash && n ? (int)n : 1, slash ? path : ".");
  int fd = open(dir, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool good = fsync(fd) == 0 || errno == EINVAL || errno == EROFS;
  return close(fd) == 0 && good;
}

cst_status cst_write_file(cst_context *ctx, const char *path, const void *data, size_t n) {
  char name[PATH_SIZE];
  struct stat info;
  mode_t mode = 0666; /* less the umask */
  if (stat(path, &info) == 0) {
    if (!S_ISREG(info.st_mode))
      return cst_fail(ctx, CST_EIO, "could not write '%s': it is not a regular file", path);
    mode = info.st_mode & 0777;
  }
  int fd = open_beside(path, mode, name);
  if (fd < 0) return failed(ctx, "write", path);
  if (!fill(fd, data, n) || rename(name, path) != 0) {
    cst_status st = failed(ctx, "write", path);
    unlink(name);
    return st;
  }
  return sync_directory_of(path) ? CST_OK : failed(ctx, "flush the directory of", path);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

/* Up to n bytes; fewer only at the end of the file, -1 after an error. */
static ssize_t read_up_to(int fd, void *data, size_t n) {
  size_t got = 0;
  while (got < n) {
    ssize_t k = read(fd, (char *)data + got, n - got < 1u << 30 ? n - got : 1u << 30);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) return -1;
    if (k == 0) break;
    got += (size_t)k;
  }
  return (ssize_t)got;
}

static cst_status read_open(cst_context *ctx, int fd, const char *path, size_t limit, void **data,
                            size_t *n) {
  struct stat info;
  if (fstat(fd, &info) != 0) return failed(ctx, "read", path);
  if (!S_ISREG(info.st_mode))
    return cst_fail(ctx, CST_EIO, "could not read '%s': it is not a regular file", path);
  if ((uintmax_t)info.st_size > limit)
    return cst_fail(ctx, CST_EIO, "could not read '%s': it has %lld bytes, more than %zu", path,
                    (long long)info.st_size, limit);
  size_t size = (size_t)info.st_size;
  char *text = cst_alloc(ctx, size + 1);
  if (!text) return CST_ENOMEM;
  ssize_t got = read_up_to(fd, text, size);
  if (got < 0) {
    cst_status st = failed(ctx, "read", path);
    cst_free(ctx, text);
    return st;
  }
  text[got] = 0;
  *data = text;
  *n = (size_t)got;
  return CST_OK;
}

cst_status cst_read_file(cst_context *ctx, const char *path, size_t limit, void **data, size_t *n) {
  *data = NULL;
  *n = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return failed(ctx, "read", path);
  cst_status st = read_open(ctx, fd, path, limit, data, n);
  close(fd);
  return st;
}

cst_status cst_sha256_file(cst_context *ctx, const char *path, char hex[CST_SHA256_HEX]) {
  unsigned char part[16384];
  cst_sha256_state s;
  ssize_t n = 0;
  hex[0] = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed(ctx, "read", path);
  cst_sha256_begin(&s);
  while ((n = read_up_to(fd, part, sizeof part)) > 0) cst_sha256_add(&s, part, (size_t)n);
  cst_status st = n < 0 ? failed(ctx, "read", path) : CST_OK;
  close(fd);
  if (st == CST_OK) cst_sha256_end(&s, hex);
  return st;
}
