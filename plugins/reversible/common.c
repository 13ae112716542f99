/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "reversible.h"

cst_status rev_new(const cst_solver_config *c, size_t vectors, const char *option, double least, rev **out) {
  double factor = option ? cst_option_number(c->options, option) : 1;
  if (!(factor > least))
    return c->host->fail(c->host, CST_EINVAL,
                         "%s of '%s' must be above %g and at most 1, got %g: no step could be undone", option,
                         c->type->name, least, factor);
  rev *r = c->host->alloc(c->host, sizeof *r);
  if (!r) return CST_ENOMEM;
  *r = (rev){.host = c->host, .combine = c->host->combine_of(c->dtype), .error_sum = c->host->error_sum_of(c->dtype),
             .dtype = c->dtype, .size = cst_dtype_size((cst_dtype)c->dtype), .factor = factor};
  r->stride = (c->n * r->size + 64) & ~(size_t)63;
  r->vectors = c->host->alloc(c->host, vectors * r->stride);
  if (!r->vectors) {
    c->host->free(c->host, r);
    return CST_ENOMEM;
  }
  *out = r;
  return CST_OK;
}

void rev_destroy(const cst_host *host, void *state) {
  rev *r = state;
  if (r->work) host->free(host, r->work);
  host->free(host, r->vectors);
  host->free(host, r);
}

cst_status rev_pull(const cst_step_vjp *v, double t, double share, const void *residual, const void *lambda,
                    void *y_bar) {
  double t_bar = 0;
  CST_TRY(v->rhs->pullback(v->rhs, &t, residual, lambda, y_bar, v->t_bar || v->h_bar ? &t_bar : NULL));
  if (v->t_bar) *v->t_bar += t_bar;
  if (v->h_bar) *v->h_bar += share * t_bar;
  return CST_OK;
}

static double controlled_sum(const rev *r, const cst_step *s, size_t n, const double *c, const void *const *k) {
  double sum = 0;
  for (size_t i = 0; i < s->n_controlled; i++) {
    size_t at = s->controlled[i].first * r->size;
    const void *moved[REV_STAGES];
    for (size_t j = 0; j < n; j++) moved[j] = (const char *)k[j] + at;
    const char *y = (const char *)s->y + at, *y1 = (const char *)s->y1 + at;
    sum += r->error_sum(s->controlled[i].n, n, c, moved, y, y1, s->rtol, s->atol);
  }
  return sum;
}

void rev_estimate(const rev *r, const cst_step *s, size_t n, const double *c, const void *const *k) {
  if (s->error_sum) *s->error_sum = controlled_sum(r, s, n, c, k);
  else if (s->error) r->combine(s->rhs->n, NULL, n, c, k, s->error);
}

cst_status rev_start_copy(void *state, const cst_step *s, void *f0) {
  const rev *r = state;
  memcpy(rev_part(r, s->rhs, f0, 1), s->y, s->rhs->n * r->size);
  return CST_OK;
}

cst_status rev_start_copy_vjp(void *state, cst_rhs *f, const void *f0_bar, void *y_bar) {
  const rev *r = state;
  rev_add(r, f->n, 1, rev_part(r, f, f0_bar, 1), y_bar);
  return CST_OK;
}
