/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The records of the PhysioNet challenge while they are read.
 */
#pragma once
#include "csv_table.h"
#include "series.h"

enum { PARAMETERS = 41 };

typedef struct stays {
  const cst_host *host;
  cst_dataset_spec *d;
  const cst_options *o;
  const char *path;
  char **file; /* names of the record files, in alphabetical order */
  size_t files;
  int channel[PARAMETERS]; /* of each parameter, or -1 */
  const char *names[PARAMETERS];
  size_t channels;
  double *id; /* RecordID of each file */
  series s;
} stays;

static inline cst_status stays_no_memory(const stays *w) {
  return w->host->fail(w->host, CST_ENOMEM, "%s: no memory", w->path);
}
/* The field `label` from the table of outcomes, if there is one: physionet_outcomes.c. */
cst_status stays_outcomes(const stays *w);
