/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Plugin esdirk: solvers for stiff fields, and what an instance of one holds. Inside a step values
 * are the driver's, by the cubic Hermite polynomial of y, f0, y1, f1.
 */
#include "esdirk.h"

#include <float.h>
#include <math.h>

/* ---- first values of slopes ------------------------------------------------------------------ */

/* Weights at x of the polynomial through the stages in `at`; their sum of absolute values is returned:
 * how much it magnifies. HUGE_VAL: two lie together. */
static double lagrange(const double *c, const int *at, int n, double x, double *weight) {
  double size = 0;
  for (int j = 0; j < n; j++) {
    weight[j] = 1;
    for (int l = 0; l < n; l++) {
      double apart = c[at[j]] - c[at[l]];
      if (l != j && fabs(apart) < 1e-9) return HUGE_VAL;
      if (l != j) weight[j] *= (x - c[at[l]]) / apart;
    }
    size += fabs(weight[j]);
  }
  return size;
}

/* A slope is first taken from the polynomial through one, two or three slopes before it: of those of
 * the highest degree that magnify little, the one that magnifies least. */
static void choose_guess(esdirk *e, int i) {
  enum { NODES = 3 };
  const double little = 6;
  for (int n = NODES; n > 0; n--) {
    double best = n == 1 ? HUGE_VAL : little;
    bool found = false;
    for (int set = 1; set < 1 << i; set++) {
      int at[ESDIRK_STAGES], count = 0;
      double weight[ESDIRK_STAGES];
      for (int j = 0; j < i; j++)
        if (set >> j & 1) at[count++] = j;
      double size = count == n ? lagrange(e->c, at, n, e->c[i], weight) : HUGE_VAL;
      if (!(size < best)) continue;
      best = size, found = true;
      memset(e->guess[i], 0, sizeof e->guess[i]);
      for (int j = 0; j < n; j++) e->guess[i][at[j]] = weight[j];
    }
    if (found) return;
  }
}

static void prepare(esdirk *e) {
  for (int i = 0; i < e->stages; i++) {
    for (int j = 0; j <= i; j++) e->c[i] += esdirk_a(e, i, j);
    if (fabs(e->c[i] - 1) < 1e-12) e->c[i] = 1; /* the sum of its row, rounded */
    if (i) choose_guess(e, i);
  }
}

/* ---- an instance ----------------------------------------------------------------------------- */

static void destroy(const cst_host *host, void *state) {
  esdirk *e = state;
  void *all[] = {e->base, e->m.jac, e->m.pivot, e->w, e};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i]) host->free(host, all[i]);
}

static bool make_vectors(esdirk *e) {
  size_t stage = esdirk_round((e->n_stage + 1) * e->size), all = esdirk_round((e->n + 1) * e->size);
  size_t tail = esdirk_round((e->n - e->n_stage) * e->size);
  size_t space = (size_t)(e->stages - 2) * stage + ESDIRK_SUMS * tail;
  e->base = e->host->alloc(e->host, 4 * stage + all + space);
  if (!e->base) return false;
  e->z = e->base + stage, e->y = e->z + stage, e->delta = e->y + stage;
  e->slope = e->delta + stage, e->space = e->slope + all;
  return true;
}

/* Jacobian and factors of all rows. */
static cst_status make_matrix(esdirk *e, size_t rows) {
  esdirk_matrix *m = &e->m;
  size_t d = rows ? e->n_stage / rows : 0;
  if (d && e->n_stage > SIZE_MAX / 4 / e->size / d)
    return e->host->fail(e->host, CST_ENOMEM, "the Jacobians of %zu rows of %zu scalars overflow", rows, d);
  m->bytes = esdirk_round(e->n_stage * d * e->size), m->width = d;
  size_t row = esdirk_round((d + 1) * e->size);
  m->jac = e->host->alloc(e->host, 2 * m->bytes + row);
  m->pivot = e->host->alloc(e->host, (e->n_stage + 1) * sizeof *m->pivot);
  if (!m->jac || !m->pivot) return CST_ENOMEM;
  m->lu = m->jac + m->bytes, m->row = m->lu + m->bytes;
  return CST_OK;
}

static cst_status create(const cst_solver_config *c, void **state) {
  const esdirk_tableau *tab = c->type->method;
  esdirk *e = c->host->alloc(c->host, sizeof *e);
  if (!e) return CST_ENOMEM;
  *e = (esdirk){.host = c->host, .tab = tab, .name = c->type->name, .dtype = c->dtype,
                .size = cst_dtype_size((cst_dtype)c->dtype), .stages = tab->stages,
                .gamma = tab->gamma, .epsilon = c->dtype == CST_F32 ? (double)FLT_EPSILON : DBL_EPSILON,
                .n = c->n, .n_stage = c->n_stage, .rate = 1};
  prepare(e);
  cst_status st = make_vectors(e) ? make_matrix(e, c->rows) : CST_ENOMEM;
  if (st == CST_OK) *state = e;
  else destroy(c->host, e);
  return st;
}

/* After a jump another Jacobian is due. */
static cst_status reset(void *state) {
  ((esdirk *)state)->m.valid = false;
  return CST_OK;
}

/* ---- the solvers ----------------------------------------------------------------------------- */

#define SOLVER(nm, p, q, text)                                                              \
  {.struct_size = sizeof(cst_solver_type), .name = #nm, .help = text, .method = &esdirk_##nm, \
   .order = p, .error_order = q, .dense_order = 3,                                          \
   .traits = CST_ADAPTIVE | CST_FSAL | CST_IMPLICIT, .create = create, .destroy = destroy,  \
   .reset = reset, .step = esdirk_step, .vjp = esdirk_vjp}

static const cst_solver_type types[] = {
    SOLVER(trbdf2, 2, 2, "TR-BDF2: stiff, order 2, for loose tolerances"),
    SOLVER(kvaerno3, 3, 2, "Kvaerno 3(2): stiff, for loose tolerances"),
    SOLVER(kencarp4, 4, 3, "Kennedy-Carpenter 4(3): stiff, the usual choice"),
    SOLVER(kencarp5, 5, 4, "Kennedy-Carpenter 5(4): stiff, for tight tolerances"),
    SOLVER(kvaerno5, 5, 4,
           "Kvaerno 5(4): stiff, for tight tolerances; a stage lies 0.23 h beyond the step"),
};

static cst_status init(const cst_host *host) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    CST_TRY(host->register_solver(host, &types[i]));
  return CST_OK;
}

CST_PLUGIN{.abi_version = CST_ABI,
           .struct_size = sizeof(cst_plugin),
           .name = "esdirk",
           .version = "0.1.0",
           .license = "GPL-3.0-or-later",
           .init = init};
