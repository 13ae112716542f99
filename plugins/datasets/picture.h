/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Grey pictures: PGM and PPM (P2, P3, P5, P6, of 8 or 16 bits), and PNG where libpng was found.
 */
#pragma once
#include <costate/plugin.h>

#define PICTURE_MOST ((size_t)1 << 24) /* pixels: of every one the number is exact in f32 */

typedef struct picture {
  size_t width, height;
  double *grey; /* from 0, black, to 1, white; row by row from the top */
} picture;

/* *p is to be freed, also after a failure. */
cst_status picture_read(const cst_host *host, const char *path, picture *p);
void picture_free(const cst_host *host, picture *p);

/* For the readers of formats, given all bytes of a file. */
typedef struct picture_file {
  const cst_host *host;
  const char *path;
  const unsigned char *bytes;
  size_t n;
} picture_file;

/* Room for a picture, none if there are too many pixels. */
cst_status picture_room(const picture_file *f, uint64_t width, uint64_t height, picture *p);
/* Brightness of a colour: weights 0.2126, 0.7152, 0.0722, such that white is exactly white. */
static inline double picture_grey(double red, double green, double blue) {
  return green + 0.2126 * (red - green) + 0.0722 * (blue - green);
}
cst_status picture_pnm(const picture_file *f, picture *p);
cst_status picture_png(const picture_file *f, picture *p);
