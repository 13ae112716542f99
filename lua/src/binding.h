/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The binding from inside. Rules that every file here keeps:
 *  - a handle exists closed (all zero, with its metatable) before what it holds is acquired, so an
 *    error raised at any point leaks nothing;
 *  - nothing of the core is called with a function that may raise; statuses come back and are
 *    raised by the outermost binding function (lcs_check);
 *  - no C globals: all state hangs on the context userdata, which is the first finaliser marked
 *    and so the last one run by lua_close.
 */
#pragma once
#include <lauxlib.h>
#include <lua.h>

#include "costate/context.h"
#include "costate/graph.h"
#include "costate/registry.h"
#include "costate/solve.h"

#define LCS_TENSOR "costate.Tensor"
#define LCS_VALUE "costate.Value"
#define LCS_TRACE "costate.Trace"
#define LCS_FUNCTION "costate.Function"
#define LCS_PROGRAM "costate.Program"
#define LCS_OPTIONS "costate.Options"
#define LCS_PLAN "costate.Plan"
#define LCS_EVENTS "costate.Events"
#define LCS_CALLBACK "costate.Callback"
#define LCS_RNG "costate.Rng"
#define LCS_LAYOUT "costate.Layout"
#define LCS_OPTIMIZER "costate.Optimizer"
#define LCS_STEP "costate.Step"
#define LCS_DATASET "costate.DatasetBox"

enum { LCS_EAGER_SLOTS = 256, LCS_MAX_ARGS = 64 };

typedef struct lcs_eager lcs_eager;
typedef struct lcs_trace lcs_trace;

typedef struct lcs_state {
  cst_context *ctx;
  lcs_trace *current;                /* the innermost trace being recorded, or NULL */
  lcs_eager *eager[LCS_EAGER_SLOTS]; /* compiled one-node programs, by hash */
  uint64_t evictions;                /* of that table, counted */
  uint8_t real;                      /* float type of new tensors and traces */
  uint64_t seed;                     /* of the run */
  lua_State *main;                   /* its main coroutine */
  lua_State *runner;                 /* the coroutine that runs a program now, or NULL */
  size_t pending;                    /* bytes of tensors made since the last full collection */
} lcs_state;

/* What a trace took from outside itself: a tensor (outermost traces) or a value of its parent. */
typedef struct lcs_capture {
  cst_tensor *tensor;
  cst_value outer, inner;
} lcs_capture;

struct lcs_trace {
  lcs_state *st;
  cst_graph *graph;
  lcs_trace *parent;
  bool open;       /* on the stack of traces */
  bool field;      /* a field or scan body: random draws are refused */
  lcs_capture *capture;
  size_t n_captures, capacity;
  cst_value *input; /* declared inputs, in order */
  size_t n_inputs, input_capacity;
};

typedef struct lcs_value {
  lcs_trace *trace; /* kept alive by the user value */
  cst_value v;
} lcs_value;

/* ---- state.c ---- */
lcs_state *lcs_state_of(lua_State *L);
/* Raises the context's message unless the status is CST_OK. */
void lcs_check(lua_State *L, cst_status st);
/* Raises with the position of the nearest line of the script. */
int lcs_error(lua_State *L, const char *format, ...);
/* The nearest Lua line outside Costate's own modules: its source and line, 0 when there is none. */
int lcs_script_line(lua_State *L, char *source, size_t size);
/* Closed handle: a zeroed userdata with its metatable. */
void *lcs_box(lua_State *L, size_t size, const char *type);
/* Metatable with methods, gc (may be NULL) and the rest of `meta`; leaves nothing on the stack. */
void lcs_type(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *meta);
int lcs_open_state(lua_State *L);

/* ---- tensor.c, make.c, data.c ---- */
int lcs_make_tensor(lua_State *L); /* cs.tensor, as a function of Lua */
cst_tensor *lcs_check_tensor(lua_State *L, int arg);
cst_tensor *lcs_test_tensor(lua_State *L, int arg);
/* Pushes a new zero-filled tensor, or a view, or another handle of an existing one. */
cst_tensor *lcs_push_tensor(lua_State *L, const cst_type *type);
cst_tensor *lcs_push_view(lua_State *L, cst_tensor *base, size_t offset, const cst_type *type);
void lcs_push_retained(lua_State *L, cst_tensor *t);
cst_dtype lcs_check_dtype(lua_State *L, int arg, cst_dtype fallback);
const char *lcs_dtype_name(uint8_t dtype);
void lcs_push_shape(lua_State *L, const cst_type *t);
/* A shape from a table of integers at `arg`. */
void lcs_check_shape(lua_State *L, int arg, cst_type *type);
void lcs_open_tensor(lua_State *L);
void lcs_open_make(lua_State *L, int lib);
void lcs_open_data(lua_State *L, int lib);
void lcs_open_series(lua_State *L, int lib); /* series.c, points.c */
void lcs_open_points(lua_State *L, int lib);

/* ---- trace.c ---- */
/* Whether a value of that type fits the batch of a trace; a graph without rows so far takes the first it meets. */
cst_status lcs_check_rows(lcs_trace *tr, const cst_type *type);
/* Value `v` of `from`, or the tensor, as a value of trace `to`; no raising. */
cst_status lcs_lift_value(lcs_trace *to, const lcs_trace *from, cst_value v, cst_value *out);
cst_status lcs_lift_tensor(lcs_trace *to, cst_tensor *t, cst_value *out);
/* What stands at `arg` (number, boolean, tensor or value) as a value of `to`; raises. */
cst_value lcs_lift(lua_State *L, lcs_trace *to, int arg);
/* Values of the list at `arg`, in a userdata left on the stack. */
cst_value *lcs_lift_list(lua_State *L, lcs_trace *tr, int arg, size_t *n);
void lcs_push_value(lua_State *L, cst_value v); /* of the current trace; raises when it failed */
lcs_value *lcs_test_value(lua_State *L, int arg);
lcs_trace *lcs_current(lua_State *L); /* or NULL; with the script line noted in its graph */
void lcs_open_trace(lua_State *L, int lib);
void lcs_open_value(lua_State *L);

/* ---- apply.c, ops.c, shape.c ---- */
/* One node on the operands at the stack slots args[0..n): recorded in the current trace, or computed
 * at once. Pushes its first output. */
void lcs_apply(lua_State *L, const char *op, const int *args, size_t n, const cst_attrs *attrs);
void lcs_eager_clear(lcs_state *st);
/* Type of the tensor or value at `arg` (numbers are f64 scalars); raises for anything else. */
cst_type lcs_type_at(lua_State *L, int arg);
bool lcs_is_operand(lua_State *L, int arg);
/* Methods and operators common to tensors and values go into the table on top of the stack. */
void lcs_set_operators(lua_State *L);
void lcs_set_methods(lua_State *L);
void lcs_set_shape_methods(lua_State *L);
int lcs_select(lua_State *L, int arg, int64_t i); /* row i (from 0): pushes */
int lcs_axis(lua_State *L, int arg, int rank, int fallback);

/* ---- the others ---- */
cst_function *lcs_check_function(lua_State *L, int arg);
cst_function **lcs_push_function(lua_State *L); /* a closed handle: where its function goes */
void lcs_open_function(lua_State *L);
typedef struct lcs_program lcs_program;
lcs_program *lcs_check_program(lua_State *L, int arg);
cst_status lcs_program_execute(lua_State *L, lcs_program *p);
bool lcs_program_bind(lua_State *L, lcs_program *p, size_t i, int arg);
double lcs_program_number(const lcs_program *p, size_t output);
void lcs_push_failure(lua_State *L, lcs_program *p, cst_status st);
void lcs_open_program(lua_State *L, int lib);
void lcs_open_step(lua_State *L, int lib);
/* Resolves the table at `arg` (or none) against a schema: pushes an options handle. */
const cst_options *lcs_push_options(lua_State *L, const char *what, const cst_option *schema,
                                    int arg);
const cst_options *lcs_check_options(lua_State *L, int arg);
const cst_entry *lcs_check_entry(lua_State *L, cst_kind kind, int arg);
void lcs_open_options(lua_State *L, int lib);
void lcs_open_registry(lua_State *L, int lib);
void lcs_open_register(lua_State *L, int lib);
void lcs_open_model(lua_State *L, int lib);
void lcs_open_node(lua_State *L, int lib);
void lcs_open_solve(lua_State *L, int lib);
void lcs_open_callback(lua_State *L, int lib);
void lcs_open_random(lua_State *L, int lib);
void lcs_open_json(lua_State *L, int lib);
void lcs_open_system(lua_State *L, int lib);
