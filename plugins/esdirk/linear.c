/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The matrices I - c J of all rows: factoring, solving, and the norm of the iteration. One row after
 * another, each in the order of its Jacobian: part after part.
 */
#include <math.h>

#include "esdirk.h"

#define REAL float
#define ABS fabsf
#define FN(name) name##_f32
#include "linear.inc"
#undef REAL
#undef ABS
#undef FN
#define REAL double
#define ABS fabs
#define FN(name) name##_f64
#include "linear.inc"

bool esdirk_factor(esdirk *e, const cst_rhs *f, double c) {
  size_t d = esdirk_width(f), bytes = d * d * e->size;
  e->m.c = 0;
  for (size_t row = 0; row < f->rows; row++) {
    const void *jac = e->m.jac + row * bytes;
    void *lu = e->m.lu + row * bytes;
    size_t *pivot = e->m.pivot + row * d;
    if (!(e->dtype == CST_F32 ? factor_f32(d, c, jac, lu, pivot)
                              : factor_f64(d, c, jac, lu, pivot)))
      return false;
  }
  e->m.c = c;
  return true;
}

/* The scalars of a row between a vector, where its parts lie apart, and [D]. */
static void move(const esdirk *e, const cst_rhs *f, size_t row, unsigned char *v, bool out) {
  unsigned char *at = e->m.row;
  for (size_t p = 0; p < f->n_parts; p++) {
    const cst_part *part = &f->parts[p];
    if (part->flags & CST_PART_QUADRATURE) continue;
    size_t bytes = part->n * e->size;
    unsigned char *in_vector = v + (part->offset + row * part->n) * e->size;
    if (out) memcpy(in_vector, at, bytes);
    else memcpy(at, in_vector, bytes);
    at += bytes;
  }
}

static bool one_part(const cst_rhs *f) {
  return f->n_parts < 2 || (f->parts[1].flags & CST_PART_QUADRATURE);
}

static void solve_row(const esdirk *e, size_t d, size_t row, bool transposed, void *x) {
  const void *lu = e->m.lu + row * d * d * e->size;
  const size_t *pivot = e->m.pivot + row * d;
  if (e->dtype == CST_F32) (transposed ? solve_transposed_f32 : solve_f32)(d, lu, pivot, x);
  else (transposed ? solve_transposed_f64 : solve_f64)(d, lu, pivot, x);
}

void esdirk_solve(const esdirk *e, const cst_rhs *f, bool transposed, void *v) {
  size_t d = esdirk_width(f);
  bool simple = one_part(f);
  for (size_t row = 0; row < f->rows; row++) {
    if (simple) {
      solve_row(e, d, row, transposed, (unsigned char *)v + row * d * e->size);
      continue;
    }
    move(e, f, row, v, false);
    solve_row(e, d, row, transposed, e->m.row);
    move(e, f, row, v, true);
  }
}

double esdirk_norm(const esdirk *e, const cst_rhs *f, const void *v, const void *a, const void *b,
                   double rtol, double atol) {
  return e->dtype == CST_F32 ? norm_f32(f->n_stage, v, a, b, rtol, atol)
                             : norm_f64(f->n_stage, v, a, b, rtol, atol);
}
