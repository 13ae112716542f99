/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The transpose of a step. Let Y_i be the argument of stage i, w_i its cotangent, v = y1_bar, and
 * o an output at x inside the step with cotangent o_bar. Then, for i from the last stage down,
 *
 *     K_i = h (b_i v + sum_{l>i} a_li w_l + sum_o w_i(x) o_bar)   cotangent of k_i
 *     w_i = K_i^T df/dy,     t_bar += tau_i,  h_bar += c_i tau_i,   tau_i = K_i^T df/dt
 *
 * and y_bar += v + sum_i w_i + sum_o o_bar, f0_bar += K_0. Every slope enters y1 and the outputs
 * with the factor h, therefore h_bar += (1/h) sum_i k_i . K_i. With FSAL the last stage is y1
 * itself: K of it also has f1_bar (which is no part of the sum for h), and w of it is added to v.
 *
 * The stages of the dense output are stages like any other, with b_i = 0; they are there when an
 * output is.
 *
 * The outputs are gathered as m_j = h sum_o x^(j+1) o_bar, so that sum_o w_i o_bar = sum_j p_ij m_j.
 * The quadrature parts have K but no w.
 */
#include "rk.h"

static cst_status prepare(rk *r) {
  size_t stage = rk_round(r->n_stage * r->size), all = rk_round((r->n + 1) * r->size);
  if (r->w) return CST_OK;
  size_t slopes = (size_t)r->all * stage;
  r->w = r->host->alloc(r->host, slopes + (size_t)(r->degree + 2) * all);
  if (!r->w) return CST_ENOMEM;
  r->m = r->w + slopes;
  r->y_bar = r->m + (size_t)r->degree * all;
  r->k_bar = r->y_bar + all;
  return CST_OK;
}

static unsigned char *w_of(const rk *r, const cst_rhs *f, int i) {
  return r->w + (size_t)i * rk_round(f->n_stage * r->size);
}
static unsigned char *m_of(const rk *r, const cst_rhs *f, int j) {
  return r->m + (size_t)j * rk_round(f->n * r->size);
}

/* x += y over n scalars */
static void add(const rk *r, size_t n, const void *y, void *x) {
  r->host->combine(r->dtype, n, x, 1, (const double[]){1}, &y, x);
}

/* K_i into k_bar; false: it is zero. `live` has the stages whose w is there: not that of an FSAL
 * stage, which is in y_bar. */
static bool slope_bar(const rk *r, const cst_step_vjp *v, int i, const bool *live) {
  const cst_rhs *f = v->rhs;
  const rk_list *column = &r->column[i];
  rk_terms sum, tail;
  sum.n = tail.n = 0;
  if (i < r->stages) rk_add(&sum, v->h * r->tab->b[i], r->y_bar);
  if (r->pending)
    for (int j = 0; j < r->degree; j++) rk_add(&sum, r->p[i * r->degree + j], m_of(r, f, j));
  for (size_t k = 0; f->n > f->n_stage && k < sum.n; k++)
    rk_add(&tail, sum.c[k], rk_tail(r, f, sum.k[k]));
  for (int l = 0; l < column->n; l++)
    if (live[column->at[l]]) rk_add(&sum, v->h * column->c[l], w_of(r, f, column->at[l]));
  if (sum.n == 0) return false;
  r->host->combine(r->dtype, f->n_stage, NULL, sum.n, sum.c, sum.k, r->k_bar);
  if (f->n > f->n_stage)
    r->host->combine(r->dtype, f->n - f->n_stage, NULL, tail.n, tail.c, tail.k,
                     r->k_bar + f->n_stage * r->size);
  return true;
}

/* Through f at stage i: lambda^T df/dy is added to `target`. */
static cst_status pull(const rk *r, cst_step_vjp *v, int i, const void *lambda, void *target) {
  const rk_record *rec = v->record;
  cst_rhs *f = v->rhs;
  double t = rk_time(r, i, v->t, v->h, v->t1), t_bar = 0;
  bool timed = v->t_bar || v->h_bar;
  CST_TRY(f->pullback(f, &t, rec->residual + (size_t)(i - 1) * f->residual_bytes, lambda, target,
                      timed ? &t_bar : NULL));
  if (v->t_bar) *v->t_bar += t_bar;
  if (v->h_bar) *v->h_bar += r->c[i] * t_bar;
  return CST_OK;
}

/* The last stage of an FSAL method. */
static cst_status pull_last(const rk *r, cst_step_vjp *v, bool any) {
  if (any && v->f1_bar) add(r, v->rhs->n, v->f1_bar, r->k_bar);
  const void *lambda = any ? r->k_bar : v->f1_bar;
  return lambda ? pull(r, v, r->stages - 1, lambda, r->y_bar) : CST_OK;
}

static cst_status pull_inner(const rk *r, cst_step_vjp *v, int i) {
  unsigned char *w = w_of(r, v->rhs, i);
  memset(w, 0, v->rhs->n_stage * r->size);
  return pull(r, v, i, r->k_bar, w);
}

static void add_to_y_bar(const rk *r, const cst_step_vjp *v, int n, const bool *live) {
  const cst_rhs *f = v->rhs;
  rk_terms sum;
  sum.n = 0;
  rk_add(&sum, 1, r->y_bar);
  for (int i = 1; i < n; i++)
    if (live[i]) rk_add(&sum, 1, w_of(r, f, i));
  r->host->combine(r->dtype, f->n_stage, v->y_bar, sum.n, sum.c, sum.k, v->y_bar);
  if (f->n > f->n_stage)
    add(r, f->n - f->n_stage, rk_tail(r, f, r->y_bar),
        (unsigned char *)v->y_bar + f->n_stage * r->size);
}

cst_status rk_vjp(void *state, cst_step_vjp *v) {
  rk *r = state;
  cst_rhs *f = v->rhs;
  const rk_record *rec = v->record;
  const void *k[RK_STAGES];
  bool live[RK_STAGES] = {false};
  double along = 0; /* sum of k_i . K_i */
  int n = rk_count(r, r->pending);
  CST_TRY(prepare(r));
  rk_slopes(r, f, rec, n, v->f0, v->f1, k);
  memcpy(r->y_bar, v->y1_bar, f->n * r->size);
  for (int i = n - 1; i >= 0; i--) {
    bool any = slope_bar(r, v, i, live), last = r->fsal && i == r->stages - 1;
    if (any && v->h_bar) along += r->host->dot(r->dtype, f->n_stage, k[i], r->k_bar);
    if (last) CST_TRY(pull_last(r, v, any));
    else if (i == 0 && any) add(r, f->n, r->k_bar, v->f0_bar);
    else if (any) CST_TRY(pull_inner(r, v, i));
    live[i] = any && !last;
  }
  add_to_y_bar(r, v, n, live);
  if (v->h_bar) *v->h_bar += along / v->h;
  if (v->h_bar && f->n > f->n_stage)
    *v->h_bar += r->host->dot(r->dtype, f->n - f->n_stage, rk_sum(r, f, rec, RK_SUM_B),
                              rk_tail(r, f, r->y_bar));
  r->pending = false;
  return CST_OK;
}

/* o_bar . (sum_i k_i sum_j p_ij x_j): how an output moves with x or, its tail, with h. */
static double along_output(const rk *r, const cst_step_vjp *v, const double *x, const void *o_bar,
                           bool tail_only) {
  const cst_rhs *f = v->rhs;
  const rk_record *rec = v->record;
  const void *k[RK_STAGES];
  double sum = 0;
  rk_slopes(r, f, rec, r->all, v->f0, v->f1, k);
  for (int i = 0; i < r->all && !tail_only; i++) {
    double w = 0;
    for (int j = 0; j < r->degree; j++) w += r->p[i * r->degree + j] * x[j];
    if (w != 0) sum += w * r->host->dot(r->dtype, f->n_stage, k[i], o_bar);
  }
  for (int j = 0; j < r->degree && f->n > f->n_stage; j++)
    sum += x[j] * r->host->dot(r->dtype, f->n - f->n_stage, rk_sum(r, f, rec, RK_SUM_P + j),
                               rk_tail(r, f, o_bar));
  return sum;
}

cst_status rk_dense_vjp(void *state, const cst_step_vjp *v, double x, const void *out_bar,
                        void *y1_bar, void *f1_bar, double *x_bar) {
  rk *r = state;
  const cst_rhs *f = v->rhs;
  double power[RK_DEGREE], derivative[RK_DEGREE], last = 1;
  (void)y1_bar, (void)f1_bar; /* all goes through the slopes */
  CST_TRY(prepare(r));
  for (int j = 0; j < r->degree; j++, last *= x) {
    double c = v->h * last * x;
    power[j] = last * x, derivative[j] = (j + 1) * last;
    r->host->combine(r->dtype, f->n, r->pending ? m_of(r, f, j) : NULL, 1, &c, &out_bar,
                     m_of(r, f, j));
  }
  r->pending = true;
  add(r, f->n, out_bar, v->y_bar);
  if (v->h_bar) *v->h_bar += along_output(r, v, power, out_bar, true);
  if (x_bar) *x_bar += v->h * along_output(r, v, derivative, out_bar, false);
  return CST_OK;
}
