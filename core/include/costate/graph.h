/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Graphs, functions and their transforms, for whoever traces (the Lua binding, tests, the core).
 * Plugins need only build.h.
 *
 * A graph only grows. Values are numbered in topological order; equal nodes are one node; constant
 * scalars fold at once. Derivatives are more nodes of the same graph, so they nest.
 */
#pragma once
#include "costate/build.h"
#include "costate/tensor.h"

/* `rows` is the row capacity (>= 0; 0 when the graph has no ROW values). */
cst_status cst_graph_new(cst_context *ctx, cst_dtype real, int64_t rows, cst_graph **out);
cst_graph *cst_graph_retain(cst_graph *g);
void cst_graph_release(cst_graph *g);
cst_context *cst_graph_context(const cst_graph *g);

/* Values from outside, bound when a program runs. The name is for messages (copied, may be NULL). */
cst_value cst_graph_input(cst_graph *g, const cst_type *type, const char *name);
/* The elements of a tensor as they are now (the node keeps it alive; do not write to it again). */
cst_value cst_graph_constant(cst_graph *g, cst_tensor *t);
/* Random elements: draw i of row r is a function of (run seed, stream, run step, r, i). */
cst_value cst_graph_random(cst_graph *g, bool normal, uint64_t stream, const cst_type *type);
/* 0, 1, ..., n-1 in the graph's float type. */
cst_value cst_graph_iota(cst_graph *g, int64_t n);
/* The script line that nodes made from now on belong to; `source` is copied once. 0: unknown. */
void cst_graph_line(cst_graph *g, const char *source, int line);

uint32_t cst_graph_size(const cst_graph *g); /* values are 1 .. size */
/* What a value is, for messages and `cs.explain`. Pointers are valid until the next node. */
typedef struct cst_value_info {
  const char *op;      /* "input", "add", ... */
  const char *name;    /* of an input; else NULL */
  const char *source;  /* script, or NULL */
  int line;
  uint32_t output;     /* which output of its node */
  const cst_value *in;
  uint32_t n_in;
  const cst_attrs *attrs;
  cst_type type;
} cst_value_info;
cst_value_info cst_graph_info(const cst_graph *g, cst_value v);

/* Cotangents of xs given those of ys (CST_NONE: zero). x_bar[i] is CST_NONE where ys do not depend
 * on xs[i]. Sets and returns g->status. */
cst_status cst_graph_vjp(cst_graph *g, const cst_value *ys, const cst_value *y_bar, size_t n_y,
                         const cst_value *xs, size_t n_x, cst_value *x_bar);
/* Tangents of ys given those of xs. */
cst_status cst_graph_jvp(cst_graph *g, const cst_value *xs, const cst_value *x_dot, size_t n_x,
                         const cst_value *ys, size_t n_y, cst_value *y_dot);
/* ys once more, for k values of xs at a time. A stacked value has an axis of length k in front, or behind the
 * batch axis if it is ROW; that of a ROW value may be without the batch axis where all rows have the same.
 * y_stacked[i] is CST_NONE where ys[i] does not depend on xs. What does not depend on xs is shared by all k.
 * CST_EUNSUPPORTED, with a message and the graph as good as before, where an op has no batch rule. */
cst_status cst_graph_batch(cst_graph *g, int64_t k, const cst_value *xs, const cst_value *x_stacked, size_t n_x,
                           const cst_value *ys, size_t n_y, cst_value *y_stacked);
/* k tangents at a time, stacked likewise: y_dots[i] has all axes, or is CST_NONE for zero. */
cst_status cst_graph_jvps(cst_graph *g, int64_t k, const cst_value *xs, const cst_value *x_dots, size_t n_x,
                          const cst_value *ys, size_t n_y, cst_value *y_dots);

/* ---- functions: a closed graph with ordered inputs and outputs -------------------------------- */

typedef struct cst_function {
  cst_object object;
  cst_graph *graph;
  cst_value *inputs, *outputs;
  uint32_t n_in, n_out;
} cst_function;

/* Takes its own reference to the graph, which must not grow any more. Every input value must be an
 * "input" node; every input node that outputs depend on must be listed. */
cst_status cst_function_new(cst_graph *g, const cst_value *inputs, size_t n_in,
                            const cst_value *outputs, size_t n_out, cst_function **out);
/* The function's nodes again inside g, with `args` for its inputs. */
cst_status cst_function_call(cst_graph *g, const cst_function *f, const cst_value *args,
                             cst_value *results);
/* Whether two functions are equal node for node; if not, the first values that differ. */
bool cst_function_equal(const cst_function *a, const cst_function *b, cst_value *in_a,
                        cst_value *in_b);
/* A listing of nodes, fusions and buffers for `cs.explain`; returns the length needed. */
size_t cst_function_format(const cst_function *f, char *text, size_t size);

/* ---- scan ------------------------------------------------------------------------------------ */

/* Applies `body` along `axis` of every xs (equal lengths), from the first entry to the last or, with
 * `reverse`, from the last to the first. body: (carry.., x.., captures..) -> (carry'.., y..).
 * Values from the result: n_carry final carries, the stacked ys, then n_carry stacks of the carries
 * before each step; stacks have the new axis at `axis`. Returns the first. */
cst_value cst_graph_scan(cst_graph *g, cst_function *body, const cst_value *carry, size_t n_carry,
                         const cst_value *xs, size_t n_xs, const cst_value *captures,
                         size_t n_captures, int axis, bool reverse);

/* The same along axis 1 of rows of different lengths (`lengths`, f64, one a row): a row takes part in its first
 * entries alone, and a scan in reverse begins each row at its own last entry. Beyond, it keeps its carry, and its
 * stacks are zero. The body runs on the rows under way, so the cost goes with the lengths. Only where
 * cst_scan_takes_lengths says so: carries and ys are of rows, which the body keeps apart. A solve in the body
 * whose rows share their steps chooses them for the rows under way. */
cst_value cst_graph_scan_ragged(cst_graph *g, cst_function *body, const cst_value *carry, size_t n_carry,
                                const cst_value *xs, size_t n_xs, const cst_value *captures, size_t n_captures,
                                cst_value lengths, bool reverse);
/* `in`: carries, xs, captures. */
bool cst_scan_takes_lengths(const cst_graph *g, const cst_function *body, const cst_value *in, size_t n_carry,
                            cst_value lengths, int axis);

/* ---- implicit functions ------------------------------------------------------------------------ */

/* u of c(u, captures) = 0: the value `found` (not differentiated), if every entry of c there is at most
 * `tolerance` when the program runs, else CST_ENOCONVERGENCE, whose message tells `steps`. Its derivatives are
 * those of the implicit function u(captures), of every order, and not of how u was found.
 *   c      (u, captures..) -> residual, of the type of u
 *   back   (u, captures.., x) -> c_u^-T x
 *   forth  (u, captures.., x) -> c_u^-1 x */
cst_value cst_graph_implicit(cst_graph *g, cst_function *c, cst_function *back, cst_function *forth, cst_value found,
                             const cst_value *captures, size_t n, double tolerance, int64_t steps);

/* ---- programs: compiled functions -------------------------------------------------------------- */

typedef struct cst_program cst_program;     /* immutable; shared by workspaces */
typedef struct cst_workspace cst_workspace; /* buffers and states of one thread */

/* `accumulate` (n_out entries, may be NULL): outputs that add into the caller's buffer. */
cst_status cst_program_new(cst_function *f, const bool *accumulate, cst_program **out);
cst_program *cst_program_retain(cst_program *p);
void cst_program_release(cst_program *p);
/* Whether chunks of rows may run separately; if not, the value that mixes rows (for messages). */
bool cst_program_separable(const cst_program *p, cst_value *mixes);
/* Whether each row of the results depends on the same row of the inputs alone, also where rows must run together
 * (a solve in which every row takes steps of its own); if not, the value in which rows meet. */
bool cst_program_apart(const cst_program *p, cst_value *meets);

cst_status cst_workspace_new(cst_program *p, cst_workspace **out);
void cst_workspace_free(cst_workspace *w);
cst_run *cst_workspace_run(cst_workspace *w); /* seed, step, counters: set before, read after */

/* Runs on the first `rows` rows (ROW operands hold that many; 0 when there are none, capacity when
 * coupled). Inputs and outputs are contiguous elements in the function's order. Output pointers may
 * be NULL: not wanted. Allocates nothing (nodes with a state may grow theirs at first). Subnormal
 * numbers count as zero. */
cst_status cst_program_run(cst_workspace *w, size_t rows, const void *const *in, void *const *out);
/* After a run that gave a value that is not finite: runs again, on what the run was given, and names
 * the first node that made one out of finite inputs ("log at demo.lua:12", "input 'theta'"). Returns
 * false when none did. */
bool cst_program_find_nonfinite(cst_workspace *w, size_t rows, char *text, size_t size);
size_t cst_program_format(const cst_program *p, char *text, size_t size);
size_t cst_workspace_bytes(const cst_workspace *w);
