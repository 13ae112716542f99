/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * activity: "Localization Data for Person Activity" (UCI), a table without a header,
 *
 *   sequence, tag, timestamp in 100 ns, date, x, y, z, activity
 *
 * in which four tags worn by a person report one after another. A row is a window of `window`
 * points of a sequence, the next one `stride` points later (a shorter sequence is one row; what is
 * left over at the end of a longer one is left out); its times are seconds since its first point.
 * Channels are x, y, z of the tags. Times are rounded to multiples of `resolution`, repeated values
 * averaged. label [N, T] is the activity, in the seven classes of Rubanova, Chen, Duvenaud
 * (2019), the first one met where a point has several. id [N] is the number of the sequence: split
 * by it, or windows of one sequence lie on both sides.
 */
#include <stdio.h>
#include <stdlib.h>

#include "csv_table.h"
#include "series.h"
#include "systems.h"
#include "words.h"

enum { SEQUENCE, TAG, STAMP, DATE, X, ACTIVITY = 7, FIELDS, TAGS = 4, CHANNELS = 3 * TAGS };

static const char *const tag_id[TAGS] = {"010-000-024-033", "010-000-030-096", "020-000-033-111",
                                         "020-000-032-221"};
static const char *const channel_name[CHANNELS] = {
    "ankle_left.x",  "ankle_left.y",  "ankle_left.z", "ankle_right.x",
    "ankle_right.y", "ankle_right.z", "chest.x",      "chest.y",
    "chest.z",       "belt.x",        "belt.y",       "belt.z"};

static const char *const classes[] = {"walking",
                                      "falling",
                                      "lying",
                                      "sitting",
                                      "standing up",
                                      "on all fours",
                                      "sitting on the ground"};
static const struct {
  const char *name;
  int number;
} activities[] = {{"walking", 0},
                  {"falling", 1},
                  {"lying", 2},
                  {"lying down", 2},
                  {"sitting", 3},
                  {"sitting down", 3},
                  {"standing up from lying", 4},
                  {"standing up from sitting", 4},
                  {"standing up from sit on grnd", 4},
                  {"standing up from sitting on the ground", 4},
                  {"on all fours", 5},
                  {"sitting on the ground", 6}};

typedef struct record {
  const cst_host *host;
  cst_dataset_spec *d;
  const cst_options *o;
  const char *path;
  csv_table table;
  words sequences;
  long long *start;  /* first timestamp of each sequence */
  series whole, cut; /* rows are sequences; windows of them */
  double *id;        /* of each window */
} record;

static cst_status wrong(const record *w, size_t line, const char *what, const char *text) {
  return w->host->fail(w->host, CST_EIO, "%s:%zu: '%.40s' is no %s", w->path, line, text, what);
}

static int find(const char *const *list, int n, const char *text) {
  int i = 0;
  while (i < n && strcmp(list[i], text) != 0) i++;
  return i;
}

static bool class_of(const char *text, double *number) {
  size_t n = sizeof activities / sizeof *activities, i = 0;
  while (i < n && strcmp(activities[i].name, text) != 0) i++;
  if (i < n) *number = activities[i].number;
  return i < n;
}

/* Seconds since the sequence began: the stamps are larger than a double can hold. */
static bool parse_stamp(record *w, const char *text, size_t row, bool first, double *t) {
  char *end;
  double step = cst_option_number(w->o, "resolution");
  long long stamp = strtoll(text, &end, 10);
  if (end == text || *end || stamp < 0) return false;
  if (first) w->start[row] = stamp;
  *t = (double)(stamp - w->start[row]) / 1e7;
  if (step > 0) *t = step * round(*t / step);
  return true;
}

static cst_status read_line(record *w, size_t r) {
  char *const *field = w->table.field + r * FIELDS;
  observation o = {.line = w->table.line[r]};
  size_t before = w->sequences.n;
  CST_TRY(words_number(&w->sequences, field[SEQUENCE], &o.row));
  if (!parse_stamp(w, field[STAMP], o.row, w->sequences.n > before, &o.t))
    return wrong(w, o.line, "timestamp", field[STAMP]);
  int tag = find(tag_id, TAGS, field[TAG]);
  if (tag == TAGS) return wrong(w, o.line, "tag of this data set", field[TAG]);
  for (size_t k = 0; k < 3; k++) {
    o.channel = 3 * (size_t)tag + k;
    if (!csv_number(field[X + k], &o.value)) return wrong(w, o.line, "number", field[X + k]);
    CST_TRY(series_add(&w->whole, &o));
  }
  o.channel = CHANNELS;
  if (!class_of(field[ACTIVITY], &o.value))
    return wrong(w, o.line, "activity of this data set", field[ACTIVITY]);
  return series_add(&w->whole, &o);
}

/* ---- windows ---- */

/* Observations first .. end - 1 of the sequence as a new row, times from 0. */
static cst_status cut_one(record *w, size_t first, size_t end) {
  double t0 = w->whole.at[first].t;
  w->id[w->cut.rows] = (double)w->whole.at[first].row + 1;
  for (size_t i = first; i < end; i++) {
    observation o = w->whole.at[i];
    o.row = w->cut.rows, o.t -= t0;
    CST_TRY(series_add(&w->cut, &o));
  }
  w->cut.rows++;
  return CST_OK;
}

/* `point` [points + 1]: where each point of one sequence starts among the observations, and the
 * end. */
static cst_status cut_sequence(record *w, const size_t *point, size_t points) {
  size_t window = (size_t)cst_option_integer(w->o, "window"),
         stride = (size_t)cst_option_integer(w->o, "stride");
  if (window == 0 || window > points) window = points;
  for (size_t at = 0; at + window <= points; at += stride)
    CST_TRY(cut_one(w, point[at], point[at + window]));
  return CST_OK;
}

static cst_status cut_all(record *w) {
  const series *s = &w->whole;
  size_t *point = w->host->alloc(w->host, (s->longest + 1) * sizeof *point), n = 0;
  w->id = w->host->alloc(w->host, s->n * sizeof *w->id);
  cst_status st =
      point && w->id ? CST_OK : w->host->fail(w->host, CST_ENOMEM, "%s: no memory", w->path);
  for (size_t i = 0; st == CST_OK && i < s->n; i++) {
    const observation *o = &s->at[i];
    if (i == 0 || o->row != o[-1].row || o->t != o[-1].t) point[n++] = i;
    if (i + 1 < s->n && o[1].row == o->row) continue;
    point[n] = i + 1;
    st = cut_sequence(w, point, n);
    n = 0;
  }
  w->host->free(w->host, point);
  return st;
}

static cst_status read_all(void *arg) {
  record *w = arg;
  CST_TRY(csv_read(w->host, w->path, ',', &w->table));
  if (w->table.columns != FIELDS)
    return w->host->fail(w->host, CST_EIO,
                         "%s:%zu: %zu fields, but a line has sequence, tag, timestamp, date, "
                         "x, y, z, activity",
                         w->path, w->table.line[0], w->table.columns);
  w->start = w->host->alloc(w->host, w->table.records * sizeof *w->start);
  if (!w->start) return w->host->fail(w->host, CST_ENOMEM, "%s: no memory", w->path);
  for (size_t r = 0; r < w->table.records; r++) CST_TRY(read_line(w, r));
  w->whole.rows = w->sequences.n;
  CST_TRY(series_arrange(&w->whole));
  CST_TRY(cut_all(w));
  CST_TRY(series_arrange(&w->cut));
  CST_TRY(series_fields(&w->cut, w->d));
  CST_TRY(series_row_field(&w->cut, w->d, "id", CST_I64, 0, w->id));
  CST_TRY(w->host->dataset_words(w->d, "sequences", w->sequences.n, w->sequences.word));
  return w->host->dataset_words(w->d, "classes", sizeof classes / sizeof *classes, classes);
}

static cst_status activity_build(const cst_host *host, const cst_options *o, uint64_t seed,
                                 cst_dataset_spec *d) {
  (void)seed;
  record w = {.host = host,
              .d = d,
              .o = o,
              .path = cst_option_string(o, "path"),
              .sequences = {.host = host}};
  w.whole = (series){.host = host,
                     .path = w.path,
                     .repeat = SERIES_AVERAGED,
                     .labelled = true,
                     .channels = CHANNELS,
                     .channel_name = channel_name};
  w.cut = w.whole;
  cst_status st = csv_in_plain_locale(host, read_all, &w);
  series_free(&w.whole);
  series_free(&w.cut);
  words_free(&w.sequences);
  host->free(host, w.start);
  host->free(host, w.id);
  csv_free(host, &w.table);
  return st;
}

const cst_dataset_type dataset_activity = {
    .struct_size = sizeof dataset_activity,
    .name = "activity",
    .build = activity_build,
    .help = "positions of four tags on a person, an activity at every point",
    .options = CST_OPTIONS(
        {"path", CST_STRING, .required = true, .help = "the table, such as ConfLongDemo_JSI.txt"},
        {"window", CST_INTEGER, .number = 50, .range = {0, 1e7},
         .help = "points of a row; 0: whole sequences"},
        {"stride", CST_INTEGER, .number = 25, .range = {1, 1e7},
         .help = "points from one row to the next"},
        {"resolution", CST_NUMBER, .number = 0.01, .range = {0, 1e6}, .unit = "s",
         .help = "times are rounded to its multiples; 0: kept"},
        SERIES_NORMALISE)};
