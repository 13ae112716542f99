/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From observations to rows: sort by (row, time, channel, line), then one pass a purpose.
 */
#include "series.h"

#include <stdlib.h>

static cst_status no_memory(const series *s) {
  return s->host->fail(s->host, CST_ENOMEM, "%s: no memory for the series", s->path);
}

cst_status series_add(series *s, const observation *o) {
  if (s->n == s->capacity) {
    size_t capacity = s->capacity ? 2 * s->capacity : 1024;
    observation *larger = s->host->alloc(s->host, capacity * sizeof *larger);
    if (!larger) return no_memory(s);
    if (s->n) memcpy(larger, s->at, s->n * sizeof *larger);
    s->host->free(s->host, s->at);
    s->at = larger, s->capacity = capacity;
  }
  s->at[s->n++] = *o;
  return CST_OK;
}

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

static int in_order(const void *pa, const void *pb) {
  const observation *a = pa, *b = pb;
  int by_row = COMPARE(a->row, b->row), by_time = COMPARE(a->t, b->t);
  int by_channel = COMPARE(a->channel, b->channel);
  return by_row ? by_row : by_time ? by_time : by_channel ? by_channel : COMPARE(a->line, b->line);
}

static bool same_point(const observation *a, const observation *b) {
  return a->row == b->row && a->t == b->t;
}

static cst_status repeated(const series *s, const observation *a, const observation *b) {
  return s->host->fail(s->host, CST_EIO,
                       "%s:%zu: channel '%s' of '%s' at time %g was given already in "
                       "line %zu",
                       s->path, b->line, s->channel_name[b->channel], s->row_name[b->row], b->t,
                       a->line);
}

/* One observation of each (row, time, channel): their mean, or an error. Of labels the first
 * stands. */
static cst_status join(series *s) {
  size_t out = 0, count = 0;
  for (size_t i = 0; i < s->n; i++) {
    const observation *o = &s->at[i];
    observation *last = out ? &s->at[out - 1] : NULL;
    if (!last || !same_point(last, o) || last->channel != o->channel) {
      s->at[out++] = *o, count = 1;
      continue;
    }
    if (s->labelled && o->channel == s->channels) continue;
    if (s->repeat == SERIES_REFUSED) return repeated(s, last, o);
    last->value += (o->value - last->value) / (double)++count;
  }
  s->n = out;
  return CST_OK;
}

static void measure(series *s) {
  for (size_t i = 0; i < s->n; i++)
    if (i == 0 || !same_point(&s->at[i - 1], &s->at[i])) s->length[s->at[i].row]++;
  for (size_t r = 0; r < s->rows; r++) {
    s->place[r] = s->length[r] ? s->kept++ : SIZE_MAX;
    if (s->length[r] > s->longest) s->longest = s->length[r];
  }
}

cst_status series_arrange(series *s) {
  if (s->n) qsort(s->at, s->n, sizeof *s->at, in_order);
  CST_TRY(join(s));
  s->place = s->host->alloc(s->host, (s->rows + 1) * sizeof *s->place);
  s->length = s->host->alloc(s->host, (s->rows + 1) * sizeof *s->length);
  if (!s->place || !s->length) return no_memory(s);
  measure(s);
  if (s->kept) return CST_OK;
  return s->host->fail(s->host, CST_EIO,
                       "%s: no observation is left: is everything marked as missing?", s->path);
}

static cst_status all_seen(const series *s) {
  bool *seen = s->host->alloc(s->host, s->channels + 1);
  if (!seen) return no_memory(s);
  for (size_t i = 0; i < s->n; i++) seen[s->at[i].channel] = true;
  size_t c = 0;
  while (c < s->channels && seen[c]) c++;
  s->host->free(s->host, seen);
  if (c == s->channels) return CST_OK;
  return s->host->fail(s->host, CST_EIO,
                       "%s: channel '%s' is never observed: leave it out, or look at "
                       "the option missing",
                       s->path, s->channel_name[c]);
}

/* Point (p, place) of the tensors gets this observation. */
static void put(const series *s, const observation *o, size_t p, const series_tensors *x,
                int64_t *label) {
  size_t point = s->place[o->row] * s->longest + p;
  x->t[point] = o->t;
  if (o->channel == s->channels) {
    label[point] = (int64_t)o->value;
    return;
  }
  x->y[point * s->channels + o->channel] = o->value;
  x->mask[point * s->channels + o->channel] = 1;
}

static void fill(const series *s, const series_tensors *x, int64_t *label) {
  size_t n = s->kept * s->longest;
  memset(x->mask, 0, n * s->channels * sizeof *x->mask);
  for (size_t i = 0; label && i < n; i++) label[i] = -1;
  for (size_t i = 0, p = 0; i < s->n; i++) {
    const observation *o = &s->at[i];
    if (i && !same_point(o - 1, o)) p = o->row == o[-1].row ? p + 1 : 0;
    put(s, o, p, x, label);
  }
  for (size_t r = 0; r < s->rows; r++) {
    if (!s->length[r]) continue;
    double *t = x->t + s->place[r] * s->longest;
    x->lengths[s->place[r]] = (double)s->length[r];
    for (size_t p = s->length[r]; p < s->longest; p++) t[p] = t[p - 1];
  }
}

static int ascending(const void *a, const void *b) {
  return COMPARE(*(const double *)a, *(const double *)b);
}

void series_sort_times(double *t, size_t n) { qsort(t, n, sizeof *t, ascending); }

cst_status series_new_tensors(const cst_host *host, cst_dataset_spec *d, const int64_t dim[3],
                              series_tensors *x) {
  void *t = NULL, *y = NULL, *mask = NULL, *lengths = NULL;
  CST_TRY(host->dataset_tensor(d, "t", CST_F64, 2, dim, true, &t));
  CST_TRY(host->dataset_tensor(d, "y", CST_F64, 3, dim, true, &y));
  CST_TRY(host->dataset_tensor(d, "mask", CST_F64, 3, dim, true, &mask));
  CST_TRY(host->dataset_tensor(d, "lengths", CST_F64, 1, dim, true, &lengths));
  *x = (series_tensors){t, y, mask, lengths};
  for (int64_t i = 0; i < dim[0]; i++) x->lengths[i] = (double)dim[1];
  for (int64_t i = 0; i < dim[0] * dim[1] * dim[2]; i++) x->mask[i] = 1;
  return CST_OK;
}

cst_status series_fields(const series *s, cst_dataset_spec *d) {
  CST_TRY(all_seen(s));
  int64_t dim[3] = {(int64_t)s->kept, (int64_t)s->longest, (int64_t)s->channels};
  series_tensors x;
  CST_TRY(series_new_tensors(s->host, d, dim, &x));
  void *label = NULL;
  if (s->labelled)
    CST_TRY(s->host->dataset_tensor(d, "label", CST_I64, 2, dim, true, &label));
  fill(s, &x, label);
  return s->host->dataset_words(d, "channels", s->channels, s->channel_name);
}

cst_status series_row_field(const series *s, cst_dataset_spec *d, const char *name, cst_dtype dtype,
                            size_t width, const double *x) {
  int64_t dim[2] = {(int64_t)s->kept, (int64_t)width};
  void *out = NULL;
  CST_TRY(s->host->dataset_tensor(d, name, (uint8_t)dtype, width ? 2 : 1, dim, true, &out));
  if (!width) width = 1;
  for (size_t r = 0; r < s->rows; r++)
    for (size_t i = 0; i < width && s->place[r] != SIZE_MAX; i++) {
      double v = x[r * width + i];
      if (dtype == CST_I64)
        ((int64_t *)out)[s->place[r] * width + i] = (int64_t)v;
      else
        ((double *)out)[s->place[r] * width + i] = v;
    }
  return CST_OK;
}

void series_free(series *s) {
  s->host->free(s->host, s->at);
  s->host->free(s->host, s->place);
  s->host->free(s->host, s->length);
  *s = (series){.host = s->host};
}
