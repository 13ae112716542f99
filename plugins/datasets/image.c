/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * image: a picture as a density. A pixel weighs as much as it is dark (or bright), smoothed by a
 * Gaussian of `blur` pixels; nothing lies outside the picture. Pixels are squares of side `pixel`,
 * the longer side of the picture runs from -extent to extent, its middle is the origin, y points up.
 *
 *   cumulative  f64 [H W]  probability of the pixels up to and with each, row by row from the top
 *   cells       [H, W]     log density in each pixel, minus infinity where nothing lies
 *   pixel, extent, entropy (- int p log p, in nats)
 */
#include <math.h>

#include "picture.h"
#include "systems.h"

static cst_status no_memory(const cst_host *host) {
  return host->fail(host, CST_ENOMEM, "image: no memory for the picture");
}

/* ---- weights ---- */

/* out[i] = sum_k kernel[|k|] in[i + k] along a line of n numbers that lie `stride` apart. */
static void smooth_line(const double *in, double *out, size_t n, size_t stride,
                        const double *kernel, size_t reach) {
  for (size_t i = 0; i < n; i++) {
    double sum = kernel[0] * in[i * stride];
    for (size_t k = 1; k <= reach; k++) {
      if (i >= k) sum += kernel[k] * in[(i - k) * stride];
      if (i + k < n) sum += kernel[k] * in[(i + k) * stride];
    }
    out[i * stride] = sum;
  }
}

static cst_status smooth(const cst_host *host, double deviation, picture *p) {
  size_t w = p->width, h = p->height, reach = (size_t)ceil(5 * deviation);
  if (reach == 0) return CST_OK;
  double *kernel = host->alloc(host, (reach + 1) * sizeof *kernel);
  double *half = host->alloc(host, w * h * sizeof *half);
  for (size_t k = 0; kernel && k <= reach; k++) {
    double z = (double)k / deviation;
    kernel[k] = exp(-0.5 * z * z);
  }
  for (size_t y = 0; kernel && half && y < h; y++)
    smooth_line(p->grey + y * w, half + y * w, w, 1, kernel, reach);
  for (size_t x = 0; kernel && half && x < w; x++)
    smooth_line(half + x, p->grey + x, h, w, kernel, reach);
  cst_status st = kernel && half ? CST_OK : no_memory(host);
  host->free(host, kernel);
  host->free(host, half);
  return st;
}

/* Grey becomes weight; they sum to one. */
static cst_status weigh(const cst_host *host, const cst_options *o, const char *path, picture *p) {
  bool invert = cst_option_boolean(o, "invert");
  double sum = 0;
  for (size_t i = 0; i < p->width * p->height; i++)
    if (!invert) p->grey[i] = 1 - p->grey[i];
  CST_TRY(smooth(host, cst_option_number(o, "blur"), p));
  for (size_t i = 0; i < p->width * p->height; i++) sum += p->grey[i];
  if (!(sum > 0))
    return host->fail(host, CST_EINVAL, "%s is %s all over: there is nothing to draw%s", path,
                      invert ? "black" : "white", invert ? "" : " (invert = true draws what is bright)");
  for (size_t i = 0; i < p->width * p->height; i++) p->grey[i] /= sum;
  return CST_OK;
}

/* ---- fields ---- */

static cst_status put_number(const cst_host *host, cst_dataset_spec *d, const char *name,
                             double x) {
  void *out = NULL;
  CST_TRY(host->dataset_tensor(d, name, CST_F64, 0, NULL, false, &out));
  *(double *)out = x;
  return CST_OK;
}

static cst_status put_fields(const cst_host *host, cst_dataset_spec *d, double extent,
                             const picture *p) {
  size_t n = p->width * p->height;
  double longer = (double)(p->width > p->height ? p->width : p->height);
  double side = 2 * extent / longer, up_to = 0, entropy = 0;
  int64_t dim[2] = {(int64_t)p->height, (int64_t)p->width}, count = (int64_t)n;
  void *cumulative = NULL, *cells = NULL;
  CST_TRY(host->dataset_tensor(d, "cumulative", CST_F64, 1, &count, false, &cumulative));
  CST_TRY(host->dataset_tensor(d, "cells", CST_F64, 2, dim, false, &cells));
  for (size_t i = 0; i < n; i++) {
    double log_density = log(p->grey[i]) - 2 * log(side);
    ((double *)cumulative)[i] = up_to += p->grey[i];
    ((double *)cells)[i] = log_density;
    if (p->grey[i] > 0) entropy -= p->grey[i] * log_density;
  }
  CST_TRY(put_number(host, d, "pixel", side));
  CST_TRY(put_number(host, d, "extent", extent));
  return put_number(host, d, "entropy", entropy);
}

static cst_status image_build(const cst_host *host, const cst_options *o, uint64_t seed,
                              cst_dataset_spec *d) {
  (void)seed;
  const char *path = cst_option_string(o, "path");
  picture p;
  cst_status st = picture_read(host, path, &p);
  if (st == CST_OK) st = weigh(host, o, path, &p);
  if (st == CST_OK) st = put_fields(host, d, cst_option_number(o, "extent"), &p);
  picture_free(host, &p);
  return st;
}

const cst_dataset_type dataset_image = {
    .struct_size = sizeof dataset_image,
    .name = "image",
    .build = image_build,
    .help = "a picture as a density in the plane, dark where points are many, drawn afresh",
    .options = CST_OPTIONS(
        {"path", CST_STRING, .required = true, .help = "PGM, PPM (also .gz) or PNG"},
        {"invert", CST_BOOLEAN, .number = 0, .help = "points are many where it is bright"},
        {"blur", CST_NUMBER, .number = 0, .range = {0, 100}, .unit = "pixels",
         .help = "deviation of a Gaussian that smooths it"},
        {"extent", CST_NUMBER, .number = 1, .range = {1e-100, 1e100},
         .help = "half the length of the longer side"})};
