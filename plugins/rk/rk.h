/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The explicit Runge-Kutta engine: one body for every tableau and both float types.
 *
 *     k_i = f(t + c_i h, y + h sum_{j<i} a_ij k_j),      y1 = y + h sum_i b_i k_i,
 *     error = h sum_i e_i k_i,      y(t + x h) = y + h sum_i w_i(x) k_i,  w_i(x) = sum_j p_ij x^(j+1)
 *
 * k_0 is the driver's f0. With FSAL the last stage is y1 itself and its k the driver's f1. Stages of
 * the dense output come last and are evaluated only for a step with an output inside. The
 * quadrature parts (the tail of every vector, on which f does not depend) have no stages and no k
 * kept: only the sums q over i of b_i k_i, e_i k_i and p_ij k_i.
 */
#pragma once
#include "costate/plugin.h"

enum { RK_STAGES = 24, RK_DEGREE = 10 };

/* What is kept of a step: k_1 .. (but f0 and f1), all residuals, the sums of the quadrature parts. */
typedef struct rk_record {
  unsigned char *k, *residual, *q;
} rk_record;

enum { RK_SUM_B, RK_SUM_E, RK_SUM_LOW, RK_SUM_P }; /* rows of q; the last has dense_degree rows */

/* Coefficients that are not 0, and of which stages. */
typedef struct rk_list {
  int n, at[RK_STAGES];
  double c[RK_STAGES];
} rk_list;

typedef struct rk {
  const cst_host *host;
  const cst_tableau *tab;
  const double *p;     /* of the dense output; NULL: none */
  const double *e_low; /* of a second estimate; NULL: none */
  uint8_t dtype;
  size_t size;     /* of a scalar */
  int stages, all, degree; /* all: with those of the dense output */
  bool fsal;
  double c[RK_STAGES];
  rk_list column[RK_STAGES]; /* of a: column j has i > j */
  cst_combine_fn *combine;
  cst_error_sum_fn *error_sum;
  size_t n, n_stage;  /* capacities */
  unsigned char *y;   /* stage state */
  unsigned char *space; /* of a step without a tape */
  rk_record last;     /* of the latest step */
  /* of vjp, made when first asked for: w[i] = y_bar of stage i; m[j] = sum of h x^(j+1) out_bar */
  unsigned char *w, *m, *y_bar, *k_bar;
  bool pending;       /* m holds something */
} rk;

/* Row i of a. */
static inline const double *rk_row(const rk *r, int i) {
  int extra = i - r->stages;
  return extra < 0 ? r->tab->a + i * (i - 1) / 2 : r->tab->a_dense + extra * r->stages + extra * (extra - 1) / 2;
}
static inline size_t rk_round(size_t bytes) { return (bytes + 63) & ~(size_t)63; }
static inline double rk_time(const rk *r, int i, double t, double h, double t1) {
  double c = r->c[i], at = t + c * h;
  return c == 1 || (c < 1 && (h < 0 ? at < t1 : at > t1)) ? t1 : at; /* no rounding leads beyond a break */
}

/* The scalars behind the stage parts of a vector. */
static inline const unsigned char *rk_tail(const rk *r, const cst_rhs *f, const void *v) {
  return (const unsigned char *)v + f->n_stage * r->size;
}
/* Row `row` of the sums of a record. */
static inline unsigned char *rk_sum(const rk *r, const cst_rhs *f, const rk_record *rec, int row) {
  return rec->q + (size_t)row * rk_round((f->n - f->n_stage) * r->size);
}
/* Of how many stages a step has the slopes. */
static inline int rk_count(const rk *r, bool dense) { return dense ? r->all : r->stages; }
/* Where the slope of stage i > 0 is kept, unless it is f1. */
static inline unsigned char *rk_slope(const rk *r, const cst_rhs *f, const rk_record *rec, int i) {
  int before = i - 1 - (r->fsal && i >= r->stages);
  return rec->k + (size_t)before * rk_round(f->n_stage * r->size);
}
/* k[0 .. n - 1] of a step. */
void rk_slopes(const rk *r, const cst_rhs *f, const rk_record *rec, int n, const void *f0,
               const void *f1, const void **k);

/* A linear combination under construction; terms with coefficient 0 are left out. */
typedef struct rk_terms {
  size_t n;
  double c[2 * RK_STAGES];
  const void *k[2 * RK_STAGES];
} rk_terms;
static inline void rk_add(rk_terms *s, double c, const void *k) {
  if (c == 0) return;
  s->c[s->n] = c;
  s->k[s->n++] = k;
}
cst_status rk_step(void *state, cst_step *s);
cst_status rk_dense(void *state, const cst_step *s, double x, void *y, void *slope);
cst_status rk_vjp(void *state, cst_step_vjp *v);
cst_status rk_dense_vjp(void *state, const cst_step_vjp *v, double x, const void *out_bar,
                        void *y1_bar, void *f1_bar, double *x_bar);

/* The tableaus; each list ends with NULL. */
extern const cst_tableau *const rk_low_order[], *const rk_order_five[], *const rk_order_eight[];
#define RK_TABLE(...) ((const double[]){__VA_ARGS__})
