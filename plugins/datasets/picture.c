/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Pictures: which format a file has; PNG by libpng.
 */
#include "picture.h"

#include "bytes.h"

#ifdef CST_PNG
#include <png.h>
#endif

cst_status picture_room(const picture_file *f, uint64_t width, uint64_t height, picture *p) {
  if (!width || !height)
    return f->host->fail(f->host, CST_EIO, "%s: a picture without pixels", f->path);
  if (width > PICTURE_MOST || height > PICTURE_MOST / width)
    return f->host->fail(f->host, CST_EIO,
                         "%s: %llu x %llu pixels are too many: at most 2^24 are read", f->path,
                         (unsigned long long)width, (unsigned long long)height);
  p->width = (size_t)width, p->height = (size_t)height;
  p->grey = f->host->alloc(f->host, p->width * p->height * sizeof *p->grey);
  if (p->grey) return CST_OK;
  return f->host->fail(f->host, CST_ENOMEM, "%s: no memory for the picture", f->path);
}

void picture_free(const cst_host *host, picture *p) {
  host->free(host, p->grey);
  *p = (picture){0};
}

#ifdef CST_PNG

static cst_status damaged(const picture_file *f, png_image *image) {
  cst_status st = f->host->fail(f->host, CST_EIO, "%s: damaged PNG: %s", f->path, image->message);
  png_image_free(image);
  return st;
}

/* What is transparent lies on white. */
static cst_status read_rows(const picture_file *f, png_image *image, picture *p) {
  const png_color white = {255, 255, 255};
  image->format = PNG_FORMAT_GRAY;
  size_t size = PNG_IMAGE_SIZE(*image);
  unsigned char *row = f->host->alloc(f->host, size);
  if (!row) {
    png_image_free(image);
    return f->host->fail(f->host, CST_ENOMEM, "%s: no memory for the picture", f->path);
  }
  cst_status st = CST_OK;
  if (png_image_finish_read(image, &white, row, 0, NULL))
    for (size_t i = 0; i < p->width * p->height; i++) p->grey[i] = row[i] / 255.0;
  else
    st = damaged(f, image);
  f->host->free(f->host, row);
  return st;
}

cst_status picture_png(const picture_file *f, picture *p) {
  png_image image = {.version = PNG_IMAGE_VERSION};
  if (!png_image_begin_read_from_memory(&image, f->bytes, f->n)) return damaged(f, &image);
  cst_status st = picture_room(f, image.width, image.height, p);
  if (st == CST_OK) return read_rows(f, &image, p);
  png_image_free(&image);
  return st;
}

#else

cst_status picture_png(const picture_file *f, picture *p) {
  (void)p;
  return f->host->fail(f->host, CST_EUNSUPPORTED,
                       "%s: PNG is not read, since libpng was not found when this was built: "
                       "install libpng-dev and build again, or convert the picture to PGM",
                       f->path);
}

#endif

static bool begins(const picture_file *f, const char *magic, size_t n) {
  return f->n >= n && memcmp(f->bytes, magic, n) == 0;
}

static cst_status read_format(const picture_file *f, picture *p) {
  if (begins(f, "\x89PNG\r\n\x1a\n", 8)) return picture_png(f, p);
  if (begins(f, "P2", 2) || begins(f, "P3", 2) || begins(f, "P5", 2) || begins(f, "P6", 2))
    return picture_pnm(f, p);
  return f->host->fail(f->host, CST_EIO, "%s: neither PGM or PPM (P2, P3, P5, P6) nor PNG",
                       f->path);
}

cst_status picture_read(const cst_host *host, const char *path, picture *p) {
  char *bytes = NULL;
  size_t n = 0;
  *p = (picture){0};
  cst_status st = bytes_read(host, path, &bytes, &n);
  if (st == CST_OK)
    st = read_format(&(picture_file){host, path, (const unsigned char *)bytes, n}, p);
  host->free(host, bytes);
  return st;
}
