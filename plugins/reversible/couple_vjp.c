/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The transpose of a step of the coupled pair. An increment enters y1 or z1 as + h sum b_i k_i, its stages are
 * taken at x + sigma h sum a_ij k_j, sigma = 1 (of z) or -1 (of y1). With the cotangent `bar` of what it enters,
 * for i from the last stage down,
 *
 *     K_i = h b_i bar + sigma h sum_{l>i} a_li w_l + D_i,      w_i = K_i^T df/dx,     x_bar += w_i
 *
 * D_i = h sum_o w_i(x_o) o_bar what outputs add to slope i. Every term has the factor h, therefore
 * h_bar += (1/h) sum_i k_i . K_i; times move as t + c_i h or t + (1 - c_i) h. The cotangent of f1 is added to
 * K_0 of the way back, of which it is the slope, after that.
 *
 * First the way back with bar of z1, giving the whole cotangent Y of y1; then with Y the way forth and
 * y_bar += l Y, z_bar += (1 - l) Y + z1_bar.
 */
#include "couple.h"

/* Vectors of `work`: w of each stage, K, Y, and D of slopes 0 .. stages. */
static unsigned char *work(const rev *r, int k) { return r->work + (size_t)k * r->stride; }
static unsigned char *outputs(const rev *r, int i) { return work(r, r->method->stages + 2 + i); }

static cst_status prepare(rev *r) {
  if (!r->work) r->work = r->host->alloc(r->host, (2 * (size_t)r->method->stages + 3) * r->stride);
  return r->work ? CST_OK : CST_ENOMEM;
}

/* What came together for a slope. */
typedef struct terms {
  size_t n;
  double c[REV_STAGES + 2];
  const void *v[REV_STAGES + 2];
} terms;
static void term(terms *t, double c, const void *v) {
  if (c == 0 || !v) return;
  t->c[t->n] = c, t->v[t->n++] = v;
}

/* K_i into k_bar, all of it but what stages add to the quadrature parts, which they do not; false: it is zero. */
static bool slope_bar(const rev *r, const cst_step_vjp *v, int side, int i, const void *bar, const bool *live,
                      void *k_bar) {
  const rev_method *m = r->method;
  cst_rhs *f = v->rhs;
  terms all = {.n = 0};
  double h = side == FORTH ? v->h : -v->h;
  term(&all, v->h * m->b[i], bar);
  if (r->pending && (side == FORTH || i == 0)) term(&all, 1, outputs(r, side == FORTH ? i : m->stages));
  size_t whole = all.n;
  for (int l = i + 1; l < m->stages; l++)
    if (live[l]) term(&all, h * couple_row(m, l)[i], work(r, l));
  r->combine(f->n, NULL, whole, all.c, all.v, k_bar);
  r->combine(f->n_stage, k_bar, all.n - whole, all.c + whole, all.v + whole, k_bar);
  return all.n > 0;
}

/* One increment. f1_bar (NULL: none) is added where its slope is f1. */
static cst_status pull_increment(const rev *r, cst_step_vjp *v, int side, const void *bar, const void *f1_bar,
                                 void *x_bar) {
  const rev_method *m = r->method;
  const couple_record *rec = v->record;
  cst_rhs *f = v->rhs;
  const void *k[2 * REV_STAGES];
  bool live[REV_STAGES] = {false};
  void *k_bar = work(r, m->stages);
  couple_slopes(r, rec->k, v->f1, k);
  for (int i = m->stages - 1; i >= 0; i--) {
    int slot = side * m->stages + i;
    live[i] = slope_bar(r, v, side, i, bar, live, k_bar);
    if (live[i] && v->h_bar) *v->h_bar += r->host->dot(r->dtype, f->n, k[slot], k_bar) / v->h;
    if (i == 0 && f1_bar) rev_add(r, f->n, 1, f1_bar, k_bar), live[i] = true;
    if (!live[i]) continue;
    memset(work(r, i), 0, f->n_stage * r->size);
    CST_TRY(rev_pull(v, couple_time(m, side, i, v->t, v->h, v->t1), side == FORTH ? m->c[i] : 1 - m->c[i],
                     rec->residual + (size_t)slot * f->residual_bytes, k_bar, work(r, i)));
    rev_add(r, f->n_stage, 1, work(r, i), x_bar);
  }
  return CST_OK;
}

cst_status couple_vjp(void *state, cst_step_vjp *v) {
  rev *r = state;
  cst_rhs *f = v->rhs;
  const double l = r->factor;
  CST_TRY(prepare(r));
  unsigned char *y1_bar = work(r, r->method->stages + 1), *z_bar = rev_part(r, f, v->f0_bar, 1);
  const void *z1_bar = v->f1_bar ? rev_part(r, f, v->f1_bar, 1) : NULL;
  memcpy(y1_bar, v->y1_bar, f->n * r->size);
  CST_TRY(pull_increment(r, v, BACK, z1_bar, v->f1_bar, y1_bar));
  rev_add(r, f->n, l, y1_bar, v->y_bar);
  rev_add(r, f->n, 1 - l, y1_bar, z_bar);
  if (z1_bar) rev_add(r, f->n, 1, z1_bar, z_bar);
  CST_TRY(pull_increment(r, v, FORTH, y1_bar, NULL, z_bar));
  r->pending = false;
  return CST_OK;
}

/* Each output adds to y_bar, z_bar and D. */
cst_status couple_dense_vjp(void *state, const cst_step_vjp *v, double x, const void *out_bar, void *y1_bar,
                            void *f1_bar, double *x_bar) {
  rev *r = state;
  const couple_record *rec = v->record;
  cst_rhs *f = v->rhs;
  const void *k[2 * REV_STAGES], *z = rev_part(r, f, v->f0, 1);
  double w[REV_STAGES], derivative[REV_STAGES], share = 1 - r->factor;
  (void)y1_bar, (void)f1_bar; /* all goes through the slopes, of which f1 is one */
  CST_TRY(prepare(r));
  couple_slopes(r, rec->k, v->f1, k);
  couple_weights(r->method, x, w, derivative);
  rev_add(r, f->n, 1 - x * share, out_bar, v->y_bar);
  rev_add(r, f->n, x * share, out_bar, rev_part(r, f, v->f0_bar, 1));
  if (x_bar) *x_bar += share * (r->host->dot(r->dtype, f->n, z, out_bar) - r->host->dot(r->dtype, f->n, v->y, out_bar));
  for (int i = 0; i <= r->method->stages; i++) {
    double c = v->h * w[i];
    r->combine(f->n, r->pending ? outputs(r, i) : NULL, 1, &c, &out_bar, outputs(r, i));
    if (x_bar) *x_bar += v->h * derivative[i] * r->host->dot(r->dtype, f->n, k[i], out_bar);
  }
  r->pending = true;
  return CST_OK;
}
