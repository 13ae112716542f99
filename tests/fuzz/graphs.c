/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Random graphs: a dozen inputs and LENGTH random nodes each. Of every graph this checks that
 *   - chunks of rows give what the whole batch gives, where a program keeps rows apart;
 *   - outputs that accumulate, that are not wanted or that are one value twice change nothing;
 *   - both hold for the cotangents of a loss as well;
 *   - forward and reverse derivatives along a random direction agree, also with finite differences.
 *
 * A short run is a default test. To run the seeds FROM, FROM + 1, ..., TO - 1:
 *   build/tests/fuzz/fuzz_graphs FROM TO LENGTH [systems]
 * where `systems` adds linear systems, of the plugin linalg, to the nodes.
 * A graph that fails prints its seed; the same LENGTH and the range SEED, SEED + 1 make it again.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "autodiff/program_internal.h"
#include "evaluate.h"

enum { ROWS = 5, CHUNK = 2 };
enum { N_REAL = 10, N_OPERANDS = 12, N_INPUTS = 22 }; /* real inputs, two indices, tangents of the real inputs */
enum { MOST_OUT = 10, MOST_LENGTH = 200, MOST_RANK = 4 };
enum { MOST_IN_INPUT = 45, MOST_IN_VALUE = 600 };     /* elements */

static const cst_type operand_types[N_OPERANDS] = {
  {CST_F64, CST_ROW, 2, {ROWS, 3}},    {CST_F64, CST_ROW, 1, {ROWS}},       {CST_F64, CST_ROW, 3, {ROWS, 2, 3}},
  {CST_F64, CST_ROW, 3, {ROWS, 3, 3}}, {CST_F64, CST_SHARED, 0, {0}},       {CST_F64, CST_SHARED, 1, {3}},
  {CST_F64, CST_SHARED, 1, {ROWS}},    {CST_F64, CST_SHARED, 2, {3, 3}},    {CST_F64, CST_SHARED, 2, {ROWS, 3}},
  {CST_F64, CST_SHARED, 2, {3, 2}},    {CST_I64, CST_SHARED, 1, {2}},       {CST_I64, CST_ROW, 1, {ROWS}},
};

typedef double elements[MOST_OUT][MOST_IN_VALUE];

/* One seed: its graph and the numbers it is evaluated at. Nodes are made of `value`, operands first. */
typedef struct trial {
  uint64_t seed;
  cst_rng rng;
  cst_graph *graph;
  cst_value input[N_INPUTS], value[N_OPERANDS + MOST_LENGTH];
  int n_values;
  double x[N_REAL][MOST_IN_INPUT], dx[N_REAL][MOST_IN_INPUT];
  int64_t index[N_OPERANDS - N_REAL][ROWS];
  const void *in[N_INPUTS];
  bool failed;
} trial;

static void fail(trial *t, const char *format, ...) {
  va_list args;
  va_start(args, format);
  printf("seed %llu: ", (unsigned long long)t->seed);
  vprintf(format, args);
  putchar('\n');
  va_end(args);
  t->failed = true;
}

static bool works(trial *t, cst_status status, const char *what) {
  if (status == CST_OK) return true;
  fail(t, "%s: %s", what, cst_message(cst_graph_context(t->graph)));
  return false;
}

static bool near(double a, double b, double tolerance) {
  return a == b || fabs(a - b) <= tolerance * (1 + fabs(a) + fabs(b));
}

static int below(trial *t, int n) { return (int)(cst_rng_uniform(&t->rng) * n) % n; }
static cst_type type_of(const trial *t, cst_value v) { return *cst_type_of(t->graph, v); }
static size_t count_of(const trial *t, cst_value v) { return cst_type_count(cst_type_of(t->graph, v)); }

/* ---- random nodes: CST_NONE where the operands do not fit ---- */

/* A real value of a rank in least .. most. */
static cst_value ranked(trial *t, int least, int most) {
  for (;;) {
    cst_value v = t->value[below(t, t->n_values)];
    cst_type type = type_of(t, v);
    if (type.dtype == CST_F64 && type.rank >= least && type.rank <= most) return v;
  }
}
static cst_value any(trial *t) { return ranked(t, 0, MOST_RANK); }
static cst_value with_axes(trial *t) { return ranked(t, 1, MOST_RANK); }

static cst_value unary(trial *t) {
  static const char *const ops[] = {"neg",     "sin",  "tanh",   "square", "exp",  "softplus",
                                    "sigmoid", "atan", "detach", "abs",    "relu", "elu"};
  const char *op = ops[below(t, sizeof ops / sizeof *ops)];
  return cst_node1(t->graph, op, any(t), NULL);
}

static cst_value binary(trial *t) {
  static const char *const ops[] = {"add", "add", "sub", "mul", "mul", "max", "min"};
  const char *op = ops[below(t, sizeof ops / sizeof *ops)];
  cst_value a = any(t);
  return cst_node2(t->graph, op, a, any(t), NULL);
}

/* The divisor is at least one. */
static cst_value quotient(trial *t) {
  cst_value a = any(t);
  cst_value b = cst_add(t->graph, cst_square(t->graph, any(t)), cst_scalar(t->graph, 1));
  return cst_div(t->graph, a, b);
}

static cst_value choice(trial *t) {
  cst_value a = any(t);
  cst_value b = any(t);
  return cst_where(t->graph, cst_lt(t->graph, a, b), b, any(t));
}

static cst_value reduction(trial *t) {
  static const char *const ops[] = {"sum", "sum", "sum", "amax"};
  const char *op = ops[below(t, sizeof ops / sizeof *ops)];
  cst_value a = with_axes(t);
  int axes = below(t, 1 << type_of(t, a).rank);
  cst_attrs at = {.n_ints = 2, .i = {axes, below(t, 2)}};
  return cst_node1(t->graph, op, a, &at);
}

/* To a matrix of as many rows, or to a vector. */
static cst_value reshape(trial *t) {
  cst_value a = with_axes(t);
  int64_t dim[2] = {type_of(t, a).dim[0], -1};
  int rank = 1 + below(t, 2);
  return cst_reshape(t->graph, a, rank, rank == 2 ? dim : dim + 1);
}

static cst_value transpose(trial *t) {
  cst_value a = with_axes(t);
  int rank = type_of(t, a).rank;
  int perm[MOST_RANK] = {0, 1, 2, 3};
  int i = below(t, rank);
  int j = below(t, rank);
  perm[i] = j;
  perm[j] = i;
  return cst_transpose(t->graph, a, rank, perm);
}

static cst_value slice(trial *t) {
  cst_value a = with_axes(t);
  cst_type type = type_of(t, a);
  int axis = below(t, type.rank);
  int length = (int)type.dim[axis];
  int start = below(t, length);
  int stop = start + 1 + below(t, length - start);
  return cst_slice(t->graph, a, axis, start, stop, 1 + below(t, 2));
}

static cst_value pad(trial *t) {
  cst_value a = with_axes(t);
  int axis = below(t, type_of(t, a).rank);
  int before = below(t, 2);
  int after = below(t, 2);
  return cst_pad(t->graph, a, axis, before, after, 1 + below(t, 2));
}

static cst_value concat(trial *t) {
  cst_value a = with_axes(t);
  cst_value parts[3] = {a, below(t, 2) ? cst_sin(t->graph, a) : a, a};
  size_t n = 2 + (size_t)below(t, 2);
  return cst_concat(t->graph, parts, n, below(t, type_of(t, a).rank));
}

static cst_value gather(trial *t) {
  cst_value a = with_axes(t);
  cst_value index = t->value[N_REAL + below(t, N_OPERANDS - N_REAL)];
  return cst_gather(t->graph, a, index, below(t, type_of(t, a).rank));
}

static cst_value matmul(trial *t) {
  cst_value a = with_axes(t);
  cst_value b = ranked(t, 2, 2);
  return cst_matmul(t->graph, a, b, below(t, 2));
}

static cst_value outer(trial *t) {
  cst_value a = with_axes(t);
  return cst_outer(t->graph, a, with_axes(t));
}

static cst_value bmm(trial *t) {
  cst_value a = ranked(t, 2, MOST_RANK);
  cst_value b = ranked(t, 2, MOST_RANK);
  bool trans_a = below(t, 2);
  return cst_bmm(t->graph, a, b, trans_a, below(t, 2));
}

static cst_value dense(trial *t) {
  cst_value x = with_axes(t);
  cst_value w = ranked(t, 2, 2);
  cst_value b = ranked(t, 1, 1);
  return cst_dense(t->graph, x, w, b, below(t, CST_ELU + 1));
}

/* A system of any square matrix made diagonally dominant, of few unknowns. */
static cst_value linear_system(trial *t) {
  cst_graph *g = t->graph;
  cst_value v = ranked(t, 2, 3);
  cst_type type = type_of(t, v);
  int64_t n = type.dim[type.rank - 1], column[2] = {n, 1}, row[2] = {1, n};
  if (n > 9 || n != type.dim[type.rank - 2]) return CST_NONE;
  cst_value count = cst_graph_iota(g, n);
  cst_value unit = cst_eq(g, cst_reshape(g, count, 2, column), cst_reshape(g, count, 2, row));
  cst_value a = cst_add(g, cst_scale(g, cst_tanh(g, v), 0.2), cst_scale(g, unit, 2));
  cst_attrs at = {.n_ints = 1, .i = {below(t, 2)}};
  return cst_node2(g, "linalg.solve", a, any(t), &at);
}

/* What stands here twice is made twice as often. */
static cst_value (*const nodes[])(trial *) = {
  unary, unary, binary, binary, binary, quotient, choice, reduction, reduction, reduction, reduction, reshape,
  transpose, slice, pad, concat, gather, matmul, outer, bmm, dense,
  linear_system, linear_system, linear_system, linear_system,
};
enum { N_NODES = sizeof nodes / sizeof *nodes, N_SYSTEMS = 4 }; /* systems come last: other graphs stay as they are */
static int n_nodes = N_NODES - N_SYSTEMS;

static void add_inputs(trial *t) {
  for (int i = 0; i < N_INPUTS; i++) {
    t->input[i] = cst_graph_input(t->graph, &operand_types[i % N_OPERANDS], i < N_OPERANDS ? "x" : "dx");
  }
  memcpy(t->value, t->input, N_OPERANDS * sizeof *t->value);
  t->n_values = N_OPERANDS;
}

/* Adds nodes until `length` of them fit. A misfit is an error of the graph, which is forgotten here. */
static void grow(trial *t, int length) {
  while (t->n_values < N_OPERANDS + length) {
    cst_value v = nodes[below(t, n_nodes)](t);
    t->graph->status = CST_OK;
    if (!v || type_of(t, v).rank > MOST_RANK || count_of(t, v) > MOST_IN_VALUE) continue;
    t->value[t->n_values++] = v;
  }
}

static void draw_numbers(trial *t) {
  for (int i = 0; i < N_REAL; i++) {
    for (int k = 0; k < MOST_IN_INPUT; k++) {
      t->x[i][k] = random_number(&t->rng, -1, 1);
      t->dx[i][k] = random_number(&t->rng, -1, 1);
    }
    t->in[i] = t->x[i];
    t->in[N_OPERANDS + i] = t->dx[i];
  }
  for (int i = 0; i < N_OPERANDS - N_REAL; i++) {
    for (int k = 0; k < ROWS; k++) t->index[i][k] = below(t, 3);
    t->in[N_REAL + i] = t->index[i];
  }
}

/* ---- chunks, accumulation ---- */

/* Some outputs as one function; `whole` is what it gives for the whole batch. */
typedef struct group {
  const char *name;
  const cst_value *out;
  size_t n_out;
  cst_function *f;
  elements whole;
} group;

static void compare(trial *t, const group *o, size_t i, const char *what, const double *got, double offset) {
  for (size_t k = 0; k < count_of(t, o->out[i]); k++) {
    double want = o->whole[i][k] + offset;
    if (!isfinite(want) || near(want, got[k], 1e-9)) continue;
    fail(t, "%s, output %zu of the %s (%s), element %zu: %.12g, not %.12g", what, i, o->name,
         cst_graph_info(t->graph, o->out[i]).op, k, got[k], want);
    return;
  }
}

static bool run_once(trial *t, cst_program *p, void *const *to) {
  cst_workspace *w = NULL;
  bool ok = works(t, cst_workspace_new(p, &w), "workspace") && works(t, cst_program_run(w, ROWS, t->in, to), "run");
  cst_workspace_free(w);
  return ok;
}

/* Runs on rows `row` .. `row + n`, of inputs in blocks of just their size, so that sanitizers see more. */
static bool run_chunk(trial *t, cst_workspace *w, size_t row, size_t n, void *const *to) {
  void *in[N_INPUTS];
  for (int i = 0; i < N_INPUTS; i++) {
    cst_operand o = cst_operand_of(cst_type_of(t->graph, t->input[i]));
    bool rows = o.type.space == CST_ROW;
    size_t bytes = sizeof(double) * o.inner * (rows ? n : 1);
    in[i] = malloc(bytes);
    memcpy(in[i], (const double *)t->in[i] + (rows ? row * o.inner : 0), bytes);
  }
  bool ok = works(t, cst_program_run(w, n, (const void *const *)in, to), "run of a chunk");
  for (int i = 0; i < N_INPUTS; i++) free(in[i]);
  return ok;
}

/* Rows go to their place, partial sums add up, anything else is the same in every chunk. */
static void merge(const cst_type *type, size_t row, size_t n, const double *part, double *all) {
  size_t inner = cst_operand_of(type).inner;
  if (type->space == CST_PARTIAL) {
    for (size_t k = 0; k < inner; k++) all[k] += part[k];
  } else if (type->space == CST_ROW) {
    memcpy(all + row * inner, part, n * inner * sizeof *all);
  } else {
    memcpy(all, part, inner * sizeof *all);
  }
}

static void check_chunks(trial *t, const group *o) {
  elements part, all = {{0}};
  void *to[MOST_OUT];
  cst_program *p = NULL;
  cst_workspace *w = NULL;
  for (size_t i = 0; i < o->n_out; i++) to[i] = part[i];
  bool ok = works(t, cst_program_new_for(o->f, NULL, CHUNK, &p), "program of chunks") &&
            works(t, cst_workspace_new(p, &w), "workspace of chunks");
  for (size_t row = 0; ok && row < ROWS; row += CHUNK) {
    size_t n = ROWS - row < CHUNK ? ROWS - row : CHUNK;
    ok = run_chunk(t, w, row, n, to);
    for (size_t i = 0; ok && i < o->n_out; i++) merge(cst_type_of(t->graph, o->out[i]), row, n, part[i], all[i]);
  }
  for (size_t i = 0; ok && i < o->n_out; i++) compare(t, o, i, "in chunks", all[i], 0);
  cst_workspace_free(w);
  cst_program_release(p);
}

/* Most outputs are added to ones, some are not wanted. */
static void check_accumulation(trial *t, const group *o) {
  elements got;
  bool add[MOST_OUT];
  void *to[MOST_OUT];
  cst_program *p = NULL;
  for (size_t i = 0; i < o->n_out; i++) {
    add[i] = below(t, 4) > 0;
    to[i] = below(t, 6) > 0 ? got[i] : NULL;
    for (size_t k = 0; k < MOST_IN_VALUE; k++) got[i][k] = add[i] ? 1 : (double)NAN;
  }
  bool ok = works(t, cst_program_new(o->f, add, &p), "program that accumulates") && run_once(t, p, to);
  for (size_t i = 0; ok && i < o->n_out; i++) {
    if (to[i]) compare(t, o, i, add[i] ? "accumulated" : "beside accumulated ones", got[i], add[i] ? 1 : 0);
  }
  cst_program_release(p);
}

static void check_group(trial *t, const char *name, const cst_value *out, size_t n_out) {
  group o = {.name = name, .out = out, .n_out = n_out};
  void *to[MOST_OUT];
  cst_program *p = NULL;
  for (size_t i = 0; i < n_out; i++) to[i] = o.whole[i];
  if (works(t, cst_function_new(t->graph, t->input, N_INPUTS, out, n_out, &o.f), "function") &&
      works(t, cst_program_new(o.f, NULL, &p), "program") && run_once(t, p, to)) {
    if (cst_program_separable(p, NULL)) check_chunks(t, &o);
    check_accumulation(t, &o);
  }
  cst_program_release(p);
  cst_object_release(o.f);
}

/* The last values, some others and one of them twice. */
static void check_values(trial *t) {
  cst_value out[MOST_OUT];
  int made = t->n_values - N_OPERANDS;
  for (int i = 0; i < MOST_OUT; i++) out[i] = i < 4 && i < made ? t->value[t->n_values - 1 - i] : any(t);
  out[MOST_OUT - 1] = out[0];
  check_group(t, "values", out, MOST_OUT);
}

/* ---- derivatives ---- */

/* A scalar of the graph at the inputs x + h dx. */
static double scalar_at(trial *t, cst_value v, double h) {
  double x[N_REAL][MOST_IN_INPUT], result = (double)NAN;
  const void *in[N_INPUTS];
  void *to[1] = {&result};
  memcpy(in, t->in, sizeof in);
  for (int i = 0; i < N_REAL; i++) {
    for (int k = 0; k < MOST_IN_INPUT; k++) x[i][k] = t->x[i][k] + h * t->dx[i][k];
    in[i] = x[i];
  }
  works(t, evaluate(t->graph, t->input, N_INPUTS, &v, 1, in, to), "scalar");
  return result;
}

/* The slope of the loss along dx: the cotangents of the inputs times dx. */
static double reverse_slope(trial *t, const cst_value *bar) {
  double slope = 0;
  for (int i = 0; i < N_REAL; i++) {
    if (!bar[i]) continue;
    cst_value product = cst_mul(t->graph, bar[i], t->input[N_OPERANDS + i]);
    slope += scalar_at(t, cst_sum(t->graph, product, ~(uint64_t)0, false), 0);
  }
  return slope;
}

/* The same slope as the tangent of the loss. */
static double forward_slope(trial *t, cst_value loss) {
  cst_value dot = CST_NONE;
  cst_status status = cst_graph_jvp(t->graph, t->input, t->input + N_OPERANDS, N_REAL, &loss, 1, &dot);
  return works(t, status, "jvp") && dot ? scalar_at(t, dot, 0) : 0;
}

static double difference(trial *t, cst_value loss, double h) {
  return (scalar_at(t, loss, h) - scalar_at(t, loss, -h)) / (2 * h);
}

static bool uses(const cst_graph *g, const char *op) {
  for (cst_value v = 1; v <= cst_graph_size(g); v++) {
    if (strcmp(cst_graph_info(g, v).op, op) == 0) return true;
  }
  return false;
}

/* Where a slope is steep or not finite, rounding hides what is right. Only one of two differences need
 * agree, as the other may step over a kink. */
static void check_slopes(trial *t, cst_value loss, const cst_value *bar) {
  const double steep = 1e4;
  double reverse = reverse_slope(t, bar);
  double forward = forward_slope(t, loss);
  if (!(fabs(reverse) < steep) || !(fabs(forward) < steep)) return;
  if (!near(forward, reverse, 1e-8)) fail(t, "forward slope %.10g, reverse %.10g", forward, reverse);
  if (uses(t->graph, "detach")) return;
  double close = difference(t, loss, 1e-6);
  double wide = difference(t, loss, 1e-5);
  if (!isfinite(close) || near(close, reverse, 2e-4) || near(wide, reverse, 1e-3)) return;
  fail(t, "differences %.10g and %.10g, reverse slope %.10g", close, wide, reverse);
}

/* Cotangents of the loss sum(x cos x), where x is the last value. */
static void check_derivatives(trial *t) {
  cst_graph *g = t->graph;
  cst_value x = t->value[t->n_values - 1];
  cst_value loss = cst_sum(g, cst_mul(g, x, cst_cos(g, x)), ~(uint64_t)0, false);
  cst_value one = cst_scalar(g, 1), bar[N_REAL], out[N_REAL];
  size_t n_out = 0;
  if (!works(t, cst_graph_vjp(g, &loss, &one, 1, t->input, N_REAL, bar), "vjp")) return;
  for (int i = 0; i < N_REAL; i++) {
    if (!bar[i]) continue;
    out[n_out++] = bar[i];
    if (count_of(t, bar[i]) == count_of(t, t->input[i])) continue;
    fail(t, "the cotangent of input %d has %zu elements", i, count_of(t, bar[i]));
    return;
  }
  if (n_out > 0) check_group(t, "cotangents", out, n_out);
  check_slopes(t, loss, bar);
}

static bool graph_passes(cst_context *ctx, uint64_t seed, int length) {
  trial t = {.seed = seed, .rng = {seed, 1, 0}};
  if (cst_graph_new(ctx, CST_F64, ROWS, &t.graph) != CST_OK) return false;
  add_inputs(&t);
  grow(&t, length);
  draw_numbers(&t);
  check_values(&t);
  check_derivatives(&t);
  cst_graph_release(t.graph);
  return !t.failed;
}

int main(int argc, char **argv) {
  bool systems = argc == 5 && strcmp(argv[4], "systems") == 0;
  int length = argc == 4 || systems ? atoi(argv[3]) : 0;
  if (length < 1 || length > MOST_LENGTH) {
    fprintf(stderr, "usage: %s FROM TO LENGTH [systems], 1 <= LENGTH <= %d\n", argv[0], MOST_LENGTH);
    return 2;
  }
  if (systems) n_nodes = N_NODES;
  uint64_t from = strtoull(argv[1], NULL, 10);
  uint64_t to = strtoull(argv[2], NULL, 10);
  unsigned long passed = 0, failed = 0;
  cst_context *ctx = cst_context_new(NULL);
  for (uint64_t seed = from; seed < to; seed++) {
    if (graph_passes(ctx, seed, length)) passed++;
    else failed++;
  }
  cst_context_free(ctx);
  printf("%lu passed, %lu failed\n", passed, failed);
  return failed > 0;
}
