/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Plugin rk: the engine that turns tableaus into solvers, and the tableaus.
 */
#include "rk.h"

static void list_add(rk_list *l, int at, double c) {
  if (c == 0) return;
  l->at[l->n] = at;
  l->c[l->n++] = c;
}

/* The columns of the tableau without their zeros, and c. */
static void prepare(rk *r) {
  for (int i = 0; i < r->all; i++) {
    const double *a = rk_row(r, i);
    long double c = 0;
    for (int j = 0; j < i; j++) {
      list_add(&r->column[j], i, a[j]);
      c += (long double)a[j];
    }
    r->c[i] = (double)c;
    if (r->c[i] > 1 - 1e-12 && r->c[i] < 1 + 1e-12) r->c[i] = 1; /* the sum of its row, rounded */
  }
}

static cst_status create(const cst_solver_config *c, void **state) {
  const cst_tableau *tab = c->type->method;
  int all = tab->stages + (CST_HAS(tab, dense_stages) ? tab->dense_stages : 0);
  if (all > RK_STAGES || tab->dense_degree > RK_DEGREE)
    return c->host->fail(c->host, CST_EUNSUPPORTED, "tableau '%s' has too many stages", tab->name);
  rk *r = c->host->alloc(c->host, sizeof *r);
  if (!r) return CST_ENOMEM;
  *r = (rk){.host = c->host, .tab = tab, .dtype = c->dtype,
            .size = cst_dtype_size((cst_dtype)c->dtype), .stages = tab->stages, .all = all,
            .degree = tab->p ? tab->dense_degree : 0, .p = tab->p,
            .e_low = CST_HAS(tab, e_low) ? tab->e_low : NULL, .combine = c->host->combine_of(c->dtype),
            .error_sum = c->host->error_sum_of(c->dtype), .fsal = (c->type->traits & CST_FSAL) != 0,
            .n = c->n, .n_stage = c->n_stage};
  prepare(r);
  size_t stage = rk_round((c->n_stage + 1) * r->size), tail = rk_round((c->n - c->n_stage) * r->size);
  size_t slopes = (size_t)r->all * stage + rk_round(c->n * r->size);
  r->y = c->host->alloc(c->host, stage + slopes + (size_t)(RK_SUM_P + r->degree) * tail);
  r->space = r->y ? r->y + stage : NULL;
  if (!r->y) {
    c->host->free(c->host, r);
    return CST_ENOMEM;
  }
  *state = r;
  return CST_OK;
}

static void destroy(const cst_host *host, void *state) {
  rk *r = state;
  if (r->w) host->free(host, r->w);
  host->free(host, r->y);
  host->free(host, r);
}

/* order, errors, traits and method are filled in from each tableau. */
static const cst_solver_type engine = {
  .struct_size = sizeof engine,
  .name = "rk",
  .help = "explicit Runge-Kutta methods given as tableaus",
  .order = 1,
  .create = create,
  .destroy = destroy,
  .step = rk_step,
  .vjp = rk_vjp,
  .dense = rk_dense,
  .dense_vjp = rk_dense_vjp,
};

static cst_status init(const cst_host *host) {
  const cst_tableau *const *const lists[] = {rk_low_order, rk_order_five, rk_order_eight};
  CST_TRY(host->register_tableau_engine(host, &engine));
  for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
    for (const cst_tableau *const *t = lists[l]; *t; t++) CST_TRY(host->register_tableau(host, *t));
  return CST_OK;
}

CST_PLUGIN {
  .abi_version = CST_ABI,
  .struct_size = sizeof(cst_plugin),
  .name = "rk",
  .version = "0.1.0",
  .license = "GPL-3.0-or-later",
  .init = init,
};
