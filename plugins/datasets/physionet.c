/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * physionet: the records of the PhysioNet/Computing in Cardiology Challenge 2012, as they are
 * published: a directory of files "Time,Parameter,Value" (one a stay, times as HH:MM), and, apart,
 * a table of outcomes with a column RecordID. A row is a record; times are hours.
 *
 * Age, Gender, Height, ICUType and Weight are -1 where unknown: not observed. Times are rounded to
 * multiples of `resolution`, repeated values averaged. Channels are the 41 parameters that occur,
 * in the order below.
 */
#include "physionet.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "systems.h"

static const char *const parameters[] = {
    "Age",      "Gender", "Height",    "ICUType",   "Weight",      "Albumin",    "ALP",
    "ALT",      "AST",    "Bilirubin", "BUN",       "Cholesterol", "Creatinine", "DiasABP",
    "FiO2",     "GCS",    "Glucose",   "HCO3",      "HCT",         "HR",         "K",
    "Lactate",  "Mg",     "MAP",       "MechVent",  "Na",          "NIDiasABP",  "NIMAP",
    "NISysABP", "PaCO2",  "PaO2",      "pH",        "Platelets",   "RespRate",   "SaO2",
    "SysABP",   "Temp",   "TroponinI", "TroponinT", "Urine",       "WBC"};
enum { DESCRIPTORS = 5, UNUSED = -1 };
_Static_assert(sizeof parameters / sizeof *parameters == PARAMETERS, "one name each");

/* ---- the directory ---- */

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static cst_status add_file(stays *w, const char *name, size_t *capacity) {
  if (w->files == *capacity) {
    size_t larger = *capacity ? 2 * *capacity : 256;
    char **file = w->host->alloc(w->host, larger * sizeof *file);
    if (!file) return stays_no_memory(w);
    for (size_t i = 0; i < w->files; i++) file[i] = w->file[i];
    w->host->free(w->host, w->file);
    w->file = file, *capacity = larger;
  }
  size_t n = strlen(w->path) + strlen(name) + 2;
  char *full = w->host->alloc(w->host, n);
  if (!full) return stays_no_memory(w);
  snprintf(full, n, "%s/%s", w->path, name);
  w->file[w->files++] = full;
  return CST_OK;
}

static bool is_record(const char *name) {
  size_t n = strlen(name), digits = strspn(name, "0123456789");
  return digits && n >= digits &&
         (strcmp(name + digits, ".txt") == 0 || strcmp(name + digits, ".txt.gz") == 0);
}

static cst_status list_files(stays *w) {
  DIR *directory = opendir(w->path);
  char reason[128] = "unknown error";
  if (!directory) {
    strerror_r(errno, reason, sizeof reason);
    return w->host->fail(w->host, CST_EIO, "%s: %s", w->path, reason);
  }
  size_t capacity = 0;
  cst_status st = CST_OK;
  for (struct dirent *e; st == CST_OK && (e = readdir(directory));)
    if (is_record(e->d_name)) st = add_file(w, e->d_name, &capacity);
  closedir(directory);
  if (st == CST_OK && !w->files)
    st = w->host->fail(w->host, CST_EIO, "%s: no records: files such as 132539.txt are looked for",
                       w->path);
  if (st == CST_OK) qsort(w->file, w->files, sizeof *w->file, by_name);
  return st;
}

/* ---- one record ---- */

/* HH:MM as hours, rounded. */
static bool parse_time(const stays *w, const char *text, double *t) {
  char *end, *last;
  double step = cst_option_number(w->o, "resolution");
  long hours = strtol(text, &end, 10);
  if (end == text || *end != ':' || text[0] == '-') return false;
  long minutes = strtol(end + 1, &last, 10);
  if (last == end + 1 || *last || minutes < 0 || minutes > 59 || hours > 100000) return false;
  *t = (double)hours + (double)minutes / 60;
  if (step > 0) *t = step * round(*t / step);
  return true;
}

static int parameter(const char *name) {
  for (int i = 0; i < PARAMETERS; i++)
    if (strcmp(parameters[i], name) == 0) return i;
  return UNUSED;
}

static cst_status wrong(const stays *w, const char *file, size_t line, const char *what,
                        const char *text) {
  return w->host->fail(w->host, CST_EIO, "%s:%zu: '%.40s' is no %s", file, line, text, what);
}

static cst_status read_line(stays *w, size_t row, const csv_table *t, size_t record) {
  char *const *field = t->field + record * 3;
  observation o = {.row = row, .line = t->line[record]};
  if (!parse_time(w, field[0], &o.t)) return wrong(w, w->file[row], o.line, "time HH:MM", field[0]);
  if (!csv_number(field[2], &o.value)) return wrong(w, w->file[row], o.line, "number", field[2]);
  if (strcmp(field[1], "RecordID") == 0) {
    w->id[row] = o.value;
    return CST_OK;
  }
  int p = parameter(field[1]);
  if (p == UNUSED) return wrong(w, w->file[row], o.line, "parameter of the challenge", field[1]);
  if (p < DESCRIPTORS && o.value == -1) return CST_OK;
  o.channel = (size_t)p;
  return series_add(&w->s, &o);
}

static cst_status read_file(stays *w, size_t row) {
  csv_table t;
  cst_status st = csv_read(w->host, w->file[row], ',', &t);
  if (st == CST_OK && t.columns != 3)
    st = w->host->fail(w->host, CST_EIO, "%s:%zu: the columns Time,Parameter,Value are needed",
                       w->file[row], t.line[0]);
  w->id[row] = -1;
  for (size_t r = 1; st == CST_OK && r < t.records; r++) st = read_line(w, row, &t, r);
  if (st == CST_OK && w->id[row] < 0)
    st = w->host->fail(w->host, CST_EIO, "%s: no line gives the RecordID", w->file[row]);
  csv_free(w->host, &t);
  return st;
}

/* ---- channels ---- */

static cst_status choose(stays *w) {
  const char *list = cst_option_string(w->o, "channels"), *name;
  bool occurs[PARAMETERS] = {false}, all = !*list;
  for (size_t i = 0; i < w->s.n; i++) occurs[w->s.at[i].channel] = true;
  for (int p = 0; p < PARAMETERS; p++) {
    w->channel[p] = all && occurs[p] ? (int)w->channels : UNUSED;
    if (all && occurs[p]) w->names[w->channels++] = parameters[p];
  }
  for (size_t n; csv_next(&list, &name, &n);) {
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)n, name);
    int p = parameter(text);
    if (p == UNUSED || w->channel[p] != UNUSED)
      return w->host->fail(w->host, CST_EINVAL, "physionet: channels names '%s', which is %s", text,
                           p == UNUSED ? "no parameter of the challenge" : "there already");
    w->channel[p] = (int)w->channels;
    w->names[w->channels++] = parameters[p];
  }
  size_t kept = 0;
  for (size_t i = 0; i < w->s.n; i++) {
    int c = w->channel[w->s.at[i].channel];
    if (c == UNUSED) continue;
    w->s.at[kept] = w->s.at[i];
    w->s.at[kept++].channel = (size_t)c;
  }
  w->s.n = kept, w->s.channels = w->channels, w->s.channel_name = w->names;
  return CST_OK;
}

static cst_status read_all(void *arg) {
  stays *w = arg;
  void *dropped = NULL;
  CST_TRY(list_files(w));
  w->id = w->host->alloc(w->host, w->files * sizeof *w->id);
  if (!w->id) return stays_no_memory(w);
  w->s.rows = w->files;
  for (size_t r = 0; r < w->files; r++) CST_TRY(read_file(w, r));
  CST_TRY(choose(w));
  CST_TRY(series_arrange(&w->s));
  CST_TRY(series_fields(&w->s, w->d));
  CST_TRY(series_row_field(&w->s, w->d, "id", CST_I64, 0, w->id));
  CST_TRY(w->host->dataset_tensor(w->d, "dropped", CST_I64, 0, NULL, false, &dropped));
  *(int64_t *)dropped = (int64_t)(w->files - w->s.kept);
  return stays_outcomes(w);
}

static cst_status physionet_build(const cst_host *host, const cst_options *o, uint64_t seed,
                                  cst_dataset_spec *d) {
  (void)seed;
  stays w = {.host = host, .d = d, .o = o, .path = cst_option_string(o, "path")};
  w.s = (series){.host = host, .path = w.path, .repeat = SERIES_AVERAGED};
  cst_status st = csv_in_plain_locale(host, read_all, &w);
  series_free(&w.s);
  for (size_t i = 0; i < w.files; i++) host->free(host, w.file[i]);
  host->free(host, w.file);
  host->free(host, w.id);
  return st;
}

const cst_dataset_type dataset_physionet = {
    .struct_size = sizeof dataset_physionet,
    .name = "physionet",
    .build = physionet_build,
    .help = "records of the PhysioNet Challenge 2012, times in hours",
    .options = CST_OPTIONS(
        {"path", CST_STRING, .required = true,
         .help = "directory of the record files, such as set-a"},
        {"outcomes", CST_STRING, .string = "", .help = "table of outcomes, such as Outcomes-a.txt"},
        {"label", CST_STRING, .string = "In-hospital_death",
         .help = "its column that becomes label"},
        {"channels", CST_STRING, .string = "",
         .help = "parameters and their order (empty: all that occur)"},
        {"resolution", CST_NUMBER, .number = 0.1, .range = {0, 48}, .unit = "h",
         .help = "times are rounded to its multiples; 0: kept"},
        SERIES_NORMALISE)};
