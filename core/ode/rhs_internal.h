/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A field bound to captures, from inside: rhs.c runs it, rhs_make.c makes it.
 */
#pragma once
#include "base/context_internal.h"
#include "ode/field.h"

enum { GROUPS = 8 };

/* Pointers of captures are put into the workspaces when they are bound, but where there are several chunks; of
 * their cotangents only those of PULL are. */
typedef struct worker {
  cst_workspace *workspace[FIELD_PROGRAMS];
} worker;

struct cst_field_rhs {
  cst_rhs base;
  cst_field *field;
  cst_part *part;
  size_t *part_offset, *part_n, *part_place; /* by part in the field's order; which of `part` it is */
  size_t most; /* scalars of a state vector of all rows */
  const char **name;
  uint32_t programs;
  bool differences; /* in the place of the program JVP */
  unsigned n_workers;
  worker *worker;
  const void **capture;
  void **bar;
  bool row_captures;                        /* some of them are rows */
  size_t *capture_n, *capture_step;         /* elements; bytes from row to row, 0: shared */
  size_t *residual_offset, *residual_step;  /* bytes */
  uint32_t n_residuals; /* when this was made: the field may be derived later, for others */
  size_t chunk; /* rows of one, as the programs of the workspaces have it */
  size_t n_chunks, n_groups;
  size_t bar_scalars;     /* of shared captures with a cotangent, one group */
  char (*messages)[CST_MESSAGE_SIZE]; /* of groups that fail */
  unsigned char *partial; /* GROUPS x bar_scalars elements, then GROUPS t_bars */
  size_t *partial_offset; /* by capture, elements; SIZE_MAX: none */
  size_t row0;            /* of a rhs of one row: which */
  void *moved;            /* a vector, for differences of a callback; made when first asked for */
  unsigned char *tangent; /* three vectors of a Jacobian; made when first asked for */
  const cst_run *outer;
};

static inline size_t rhs_element(const cst_field_rhs *r) { return cst_dtype_size(r->base.dtype); }

/* tangent.c: see cst_rhs.jacobian. */
cst_status cst_field_rhs_jacobian(cst_rhs *f, const double *t, const void *y, void *jac, void *dfdt);

/* difference.c, for a field that is a callback: dy_dot from dy, which is f(t, y); and the same as a cst_rhs.jvp. */
cst_status cst_field_rhs_difference(cst_rhs *f, double t, const void *y, const void *y_dot, double t_dot, const void *dy,
                                    void *dy_dot);
cst_status cst_field_rhs_jvp_by_difference(cst_rhs *f, const double *t, const void *y, const void *y_dot, double t_dot,
                                           void *dy, void *dy_dot);

/* Sets the functions of the base that the programs allow. */
void cst_field_rhs_functions(cst_field_rhs *r);
