/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A data set of series, put together from single observations (row, time, channel, value) that come
 * in any order:
 *
 *   t        [N, T]     times of each row, ascending, the last one repeated to the end
 *   y, mask  [N, T, C]  values, and 1 where there is one; 0 where not observed or beyond the end
 *   lengths  [N]        number of times of each row, at least 1
 *   channels            names of the C channels
 *
 * Observations of a row at equal times share a point. Rows without any are dropped.
 */
#pragma once
#include <costate/plugin.h>

typedef struct observation {
  double t, value;
  size_t row, channel;
  size_t line; /* where it was read, for messages; the order of equals */
} observation;

/* What two observations of one channel at one time of one row are. */
typedef enum series_repeat { SERIES_REFUSED, SERIES_AVERAGED } series_repeat;

typedef struct series {
  const cst_host *host;
  const char *path; /* for messages */
  series_repeat repeat;
  bool labelled; /* channel number `channels` is the label of the point: label [N, T], -1
                    beyond */
  size_t rows, channels;
  const char *const *row_name, *const *channel_name;
  observation *at;
  size_t n, capacity;
  size_t *place;  /* of each row among those kept; SIZE_MAX: dropped. series_arrange makes it */
  size_t *length; /* of each row */
  size_t kept, longest;
} series;

cst_status series_add(series *s, const observation *o);
/* Sorts, joins what is repeated, finds the rows that are empty. */
cst_status series_arrange(series *s);
/* The fields above; of an arranged series. A channel that no row has is an error. */
cst_status series_fields(const series *s, cst_dataset_spec *d);
/* Tensor `name` [N] or, with width > 0, [N, width] of the rows kept from x [rows, max(width, 1)].
 */
cst_status series_row_field(const series *s, cst_dataset_spec *d, const char *name, cst_dtype dtype,
                            size_t width, const double *x);
void series_free(series *s);

/* The tensors alone, for data sets that are made: mask 1 and lengths T, to be changed if need be.
 */
typedef struct series_tensors {
  double *t, *y, *mask, *lengths;
} series_tensors;
cst_status series_new_tensors(const cst_host *host, cst_dataset_spec *d, const int64_t dim[3],
                              series_tensors *x);
void series_sort_times(double *t, size_t n);

#define SERIES_NORMALISE                                                                         \
  {                                                                                              \
    "normalise", CST_STRING,                                                                     \
        .string = "none", .choices = "none|standard",                                            \
        .help =                                                                                  \
            "by scripts: mean 0, deviation 1 by channel; once split, those of the training part" \
  }
