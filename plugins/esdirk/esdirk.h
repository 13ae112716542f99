/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Stiff solvers: singly diagonally implicit Runge-Kutta methods with an explicit first stage, one
 * engine for every tableau and both float types. With c = h gamma
 *
 *     k_0 = f(t, y),   Y_i = y + h sum_{j<i} a_ij k_j + z_i,   z_i = c f(t + c_i h, Y_i) = c k_i.
 *
 * Every method is stiffly accurate: the last stage is y1, and its slope f1. So a slope is never f at
 * a computed stage, which would magnify the error of the iteration by the stiffness, but z_i / c
 * (Hairer, Wanner, Solving Ordinary Differential Equations II, IV.8).
 *
 * Rows do not depend on each other: I - c J is [rows, D, D], factored row by row, D being the
 * scalars of a row in the stage parts, one part after another. The quadrature parts (the tail of
 * every vector, on which f does not depend) have no stages and no slopes kept: only the sums over i
 * of b_i k_i and e_i k_i.
 */
#pragma once
#include <costate/plugin.h>

enum { ESDIRK_STAGES = 8, ESDIRK_TERMS = 2 * ESDIRK_STAGES + 2 };

/* A method as data. Its b is the last row of a with gamma behind it. */
typedef struct esdirk_tableau {
  int stages;
  double gamma;
  const double *a; /* strictly lower triangle, row by row: stages (stages-1)/2 numbers */
  const double *e; /* b - b_hat as it is: stages numbers */
} esdirk_tableau;

/* What is kept of a step: k_1 .. k_{s-2} (k_0 and k_{s-1} are f0 and f1), the residuals of stages
 * 1 .. s-1, the sums of the quadrature parts. */
typedef struct esdirk_record {
  unsigned char *k, *residual, *q;
} esdirk_record;

enum { ESDIRK_SUM_B, ESDIRK_SUM_E, ESDIRK_SUMS }; /* rows of q */

/* The matrix of the iteration. It decides how fast it converges, not where to: nothing of a result
 * beyond the tolerance of the iteration depends on which steps it was kept over. */
typedef struct esdirk_matrix {
  unsigned char *jac, *lu; /* [rows, D, D] */
  size_t *pivot;           /* [rows, D] */
  unsigned char *row;      /* [D] */
  size_t bytes, width;     /* capacities: of jac; of row, in scalars */
  bool valid;              /* jac holds a Jacobian, */
  bool start;              /*   that of the beginning of a step at time t, */
  bool fresh;              /*   one of the present step */
  double t, c;             /* c: what lu was made with; 0: nothing */
} esdirk_matrix;

typedef struct esdirk {
  const cst_host *host;
  const esdirk_tableau *tab;
  const char *name;
  uint8_t dtype;
  size_t size; /* of a scalar */
  int stages;
  double gamma, epsilon;
  double c[ESDIRK_STAGES];
  double guess[ESDIRK_STAGES][ESDIRK_STAGES]; /* k_i is first taken for sum_j guess_ij k_j */
  size_t n, n_stage;                          /* capacities */
  esdirk_matrix m;
  double next;  /* where the latest step ended: a step from there continues it */
  double rate;  /* of convergence, of the latest iteration; 1: unknown */
  double worst; /* rate of the present step */
  unsigned char *base, *z, *y, *delta, *slope, *space; /* of a step; space: without a tape */
  /* of vjp, made when first asked for: w[i] is the cotangent of stage i */
  unsigned char *w, *y_bar, *k_bar, *lambda;
} esdirk;

static inline double esdirk_a(const esdirk *e, int i, int j) {
  return i == j ? (i ? e->gamma : 0) : e->tab->a[i * (i - 1) / 2 + j];
}
static inline double esdirk_b(const esdirk *e, int j) { return esdirk_a(e, e->stages - 1, j); }
static inline size_t esdirk_round(size_t bytes) { return (bytes + 63) & ~(size_t)63; }
static inline double esdirk_time(const esdirk *e, int i, double t, double h, double t1) {
  double c = e->c[i], at = t + c * h;
  return c == 1 || (c < 1 && (h < 0 ? at < t1 : at > t1)) ? t1 : at; /* no rounding leads beyond a break */
}

/* The scalars behind the stage parts of a vector. */
static inline unsigned char *esdirk_tail(const esdirk *e, const cst_rhs *f, const void *v) {
  return (unsigned char *)(uintptr_t)v + f->n_stage * e->size;
}
static inline unsigned char *esdirk_sum(const esdirk *e, const cst_rhs *f, const esdirk_record *r,
                                        int row) {
  return r->q + (size_t)row * esdirk_round((f->n - f->n_stage) * e->size);
}
static inline unsigned char *esdirk_slope(const esdirk *e, const cst_rhs *f,
                                          const esdirk_record *r, int i) {
  return r->k + (size_t)(i - 1) * esdirk_round(f->n_stage * e->size);
}
static inline size_t esdirk_width(const cst_rhs *f) { return f->rows ? f->n_stage / f->rows : 0; }

/* A linear combination under construction; terms with coefficient 0 are left out. */
typedef struct esdirk_terms {
  size_t n;
  double c[ESDIRK_TERMS];
  const void *k[ESDIRK_TERMS];
} esdirk_terms;
static inline void esdirk_add(esdirk_terms *s, double c, const void *k) {
  if (c == 0) return;
  s->c[s->n] = c;
  s->k[s->n++] = k;
}

/* linear.c. A vector is a state vector of which only the stage parts are read and written. */

/* lu = I - c jac, factored; false when it is singular or not finite. */
bool esdirk_factor(esdirk *e, const cst_rhs *f, double c);
/* v = (I - c jac)^-1 v, or its transpose. */
void esdirk_solve(const esdirk *e, const cst_rhs *f, bool transposed, void *v);
/* max over i of |v_i| / (atol + rtol max(|a_i|, |b_i|)); NaN when a v_i is. */
double esdirk_norm(const esdirk *e, const cst_rhs *f, const void *v, const void *a, const void *b,
                   double rtol, double atol);

/* newton.c */

/* A matrix for the step: the one at hand while it serves. */
cst_status esdirk_begin(esdirk *e, const cst_step *s);
/* Solves for stage i; e->base is known. Then e->z is its z, and e->slope the field there if the
 * step has quadrature parts or is exact; with `residual`, that evaluation's. *defined = false: the
 * field is not finite, e->y the stage where. Status RETRY: no convergence. */
cst_status esdirk_stage(esdirk *e, const cst_step *s, int i, const void *const *k, void *residual,
                        bool *defined);
/* Whether the equations are to be solved to round-off. */
bool esdirk_exact(const cst_step *s);

cst_status esdirk_step(void *state, cst_step *s);
cst_status esdirk_vjp(void *state, cst_step_vjp *v);
/* k[0 .. stages - 1] of a step. */
void esdirk_slopes(const esdirk *e, const cst_rhs *f, const esdirk_record *r, const void *f0,
                   const void *f1, const void **k);
/* Fails unless the field has what these solvers need. */
cst_status esdirk_check(const esdirk *e, const cst_rhs *f);

/* tableaus.c */
extern const esdirk_tableau esdirk_trbdf2, esdirk_kvaerno3, esdirk_kvaerno5, esdirk_kencarp4,
    esdirk_kencarp5;
