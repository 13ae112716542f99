/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The reversible Heun method (P. Kidger et al., Efficient and accurate gradients for neural SDEs, 2021). Beside
 * y goes a second approximation z, at first y; the slope is taken there, f0 = f(t, z), and the block carried
 * is [f0, z]:
 *
 *     z1 = 2 y - z + h f0,    f1 = f(t1, z1),    y1 = y + h/2 (f0 + f1)
 *
 * of order 2, z within O(h^2) of y, so that cubic interpolation with f0 and f1 is of order 2. The estimate is
 * h/2 (f1 - f0), of Euler's method. Undone:
 *
 *     z = 2 y1 - z1 - h f1,    f0 = f(t, z),    y = y1 - h/2 (f0 + f1).
 */
#include "reversible.h"

enum { Z_BAR, SLOPE_BAR, VECTORS };

static cst_status step(void *state, cst_step *s) {
  const rev *r = state;
  cst_rhs *f = s->rhs;
  const double h = *s->h, half = h / 2, extrapolate[3] = {2, -1, h}, both[2] = {half, half}, error[2] = {half, -half};
  const void *slopes[2] = {s->f1, s->f0};
  unsigned char *z1 = rev_part(r, f, s->f1, 1);
  if (s->tape && !(s->record = r->host->tape_push(s->tape, f->residual_bytes))) return CST_ENOMEM;
  r->combine(f->n, NULL, 3, extrapolate, (const void *[]){s->y, rev_part(r, f, s->f0, 1), s->f0}, z1);
  CST_TRY(rev_evaluate(f, *s->t1, z1, s->f1, s->tape ? s->record : NULL));
  s->f1_residual = s->tape ? s->record : NULL;
  r->combine(f->n, s->y, 2, both, slopes, s->y1);
  rev_estimate(r, s, 2, error, slopes);
  return CST_OK;
}

static cst_status reverse(void *state, cst_step *s) {
  const rev *r = state;
  cst_rhs *f = s->rhs;
  const double h = *s->h, extrapolate[3] = {2, -1, -h}, both[2] = {-h / 2, -h / 2};
  unsigned char *z = rev_part(r, f, s->f1, 1);
  r->combine(f->n, NULL, 3, extrapolate, (const void *[]){s->y, rev_part(r, f, s->f0, 1), s->f0}, z);
  CST_TRY(rev_evaluate(f, *s->t, z, s->f1, NULL));
  r->combine(f->n, s->y, 2, both, (const void *[]){s->f0, s->f1}, s->y1);
  return CST_OK;
}

/* How y1 and z1 move with h where the slopes are held. */
static double along(const rev *r, const cst_step_vjp *v, const void *z1_bar) {
  size_t n = v->rhs->n;
  return (r->host->dot(r->dtype, n, v->f0, v->y1_bar) + r->host->dot(r->dtype, n, v->f1, v->y1_bar)) / 2 +
         r->host->dot(r->dtype, n, v->f0, z1_bar);
}

static cst_status vjp(void *state, cst_step_vjp *v) {
  const rev *r = state;
  cst_rhs *f = v->rhs;
  const double half = v->h / 2;
  unsigned char *z1_bar = rev_vector(r, Z_BAR), *f1_bar = rev_vector(r, SLOPE_BAR);
  const void *y1_bar = v->y1_bar;
  if (v->f1_bar) memcpy(z1_bar, rev_part(r, f, v->f1_bar, 1), f->n * r->size);
  else memset(z1_bar, 0, f->n * r->size);
  r->combine(f->n, v->f1_bar, 1, &half, &y1_bar, f1_bar);
  CST_TRY(rev_pull(v, v->t1, 1, v->record, f1_bar, z1_bar));
  r->combine(f->n, v->y_bar, 2, (const double[]){1, 2}, (const void *[]){y1_bar, z1_bar}, v->y_bar);
  r->combine(f->n, v->f0_bar, 2, (const double[]){half, v->h}, (const void *[]){y1_bar, z1_bar}, v->f0_bar);
  rev_add(r, f->n, -1, z1_bar, rev_part(r, f, v->f0_bar, 1));
  if (v->h_bar) *v->h_bar += along(r, v, z1_bar);
  return CST_OK;
}

static cst_status create(const cst_solver_config *c, void **state) {
  rev *r;
  CST_TRY(rev_new(c, VECTORS, NULL, 0, &r));
  *state = r;
  return CST_OK;
}

const cst_solver_type rev_heun = {
  .struct_size = sizeof rev_heun,
  .name = "heun",
  .help = "reversible Heun method: order 2(1), one evaluation a step; for fields that hardly damp",
  .order = 2, .error_order = 1, .dense_order = 2,
  .traits = CST_ADAPTIVE | CST_FSAL | CST_REVERSIBLE,
  .create = create, .destroy = rev_destroy, .step = step, .vjp = vjp, .reverse = reverse,
  .carry = 1, .start = rev_start_copy, .start_vjp = rev_start_copy_vjp,
};
