/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * PGM and PPM: magic number, width, height and the largest value, decimal, with blanks and comments
 * (# to the end of the line) between them; then samples, decimal too (P2, P3), or after a single
 * blank as bytes, the higher one first where the largest value exceeds 255 (P5, P6). The size is
 * believed only if the file is long enough for it.
 */
#include "picture.h"

typedef struct cursor {
  const picture_file *f;
  size_t at;
} cursor;

static bool is_blank(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static void skip_blanks(cursor *c) {
  const picture_file *f = c->f;
  for (; c->at < f->n && (is_blank(f->bytes[c->at]) || f->bytes[c->at] == '#'); c->at++)
    if (f->bytes[c->at] == '#')
      while (c->at + 1 < f->n && f->bytes[c->at] != '\n') c->at++;
}

static cst_status wrong(const cursor *c, const char *what) {
  const cst_host *host = c->f->host;
  if (c->at >= c->f->n)
    return host->fail(host, CST_EIO, "%s: the file ends where %s should be", c->f->path, what);
  return host->fail(host, CST_EIO, "%s: byte %zu is not that of %s", c->f->path, c->at + 1, what);
}

static cst_status take_number(cursor *c, const char *what, uint64_t most, uint64_t *x) {
  const unsigned char *b = c->f->bytes;
  skip_blanks(c);
  size_t first = c->at;
  for (*x = 0; c->at < c->f->n && b[c->at] >= '0' && b[c->at] <= '9' && *x <= most; c->at++)
    *x = 10 * *x + (uint64_t)(b[c->at] - '0');
  if (c->at == first) return wrong(c, what);
  if (*x <= most) return CST_OK;
  return c->f->host->fail(c->f->host, CST_EIO, "%s: %s exceeds %llu", c->f->path, what,
                          (unsigned long long)most);
}

static cst_status take_byte_sample(cursor *c, uint64_t most, uint64_t *x) {
  const unsigned char *b = c->f->bytes + c->at;
  size_t n = most > 255 ? 2 : 1; /* what is there was checked before */
  *x = n == 2 ? (uint64_t)b[0] << 8 | b[1] : b[0];
  c->at += n;
  if (*x <= most) return CST_OK;
  return c->f->host->fail(c->f->host, CST_EIO, "%s: a sample is %llu, but the largest value %llu",
                          c->f->path, (unsigned long long)*x, (unsigned long long)most);
}

/* Before anything is allocated: whether so many samples can follow. A decimal one needs a digit and,
 * but for the last, a blank. */
static cst_status check_length(const cursor *c, bool decimal, uint64_t width, uint64_t height,
                               uint64_t channels, uint64_t most) {
  if (!width || !height || width > PICTURE_MOST || height > PICTURE_MOST / width)
    return CST_OK; /* picture_room refuses */
  uint64_t samples = width * height * channels, there = c->f->n - c->at;
  uint64_t needed = decimal ? 2 * samples - 1 : samples * (most > 255 ? 2 : 1);
  if (there >= needed) return CST_OK;
  return c->f->host->fail(c->f->host, CST_EIO,
                          "%s: the file ends too early: %llu x %llu pixels need %llu bytes more "
                          "than the header, there are %llu",
                          c->f->path, (unsigned long long)width, (unsigned long long)height,
                          (unsigned long long)needed, (unsigned long long)there);
}

static cst_status take_pixels(cursor *c, bool decimal, uint64_t channels, uint64_t most,
                              picture *p) {
  for (size_t i = 0; i < p->width * p->height; i++) {
    uint64_t x[3] = {0};
    for (uint64_t k = 0; k < channels; k++)
      CST_TRY(decimal ? take_number(c, "a sample", most, &x[k])
                      : take_byte_sample(c, most, &x[k]));
    double r = (double)x[0], g = (double)x[1], b = (double)x[2];
    p->grey[i] = (channels == 3 ? picture_grey(r, g, b) : r) / (double)most;
  }
  return CST_OK;
}

cst_status picture_pnm(const picture_file *f, picture *p) {
  cursor c = {f, 2};
  bool decimal = f->bytes[1] == '2' || f->bytes[1] == '3';
  uint64_t width, height, most, channels = f->bytes[1] == '3' || f->bytes[1] == '6' ? 3 : 1;
  CST_TRY(take_number(&c, "the width", INT32_MAX, &width));
  CST_TRY(take_number(&c, "the height", INT32_MAX, &height));
  CST_TRY(take_number(&c, "the largest value", 65535, &most));
  if (most == 0)
    return f->host->fail(f->host, CST_EIO, "%s: the largest value of a sample is 0", f->path);
  if (c.at >= f->n || !is_blank(f->bytes[c.at])) return wrong(&c, "a blank before the samples");
  c.at++;
  CST_TRY(check_length(&c, decimal, width, height, channels, most));
  CST_TRY(picture_room(f, width, height, p));
  return take_pixels(&c, decimal, channels, most, p);
}
