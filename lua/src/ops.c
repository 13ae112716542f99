/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Operators and functions that tensors and traced values share. As methods they take the value
 * first, so x:exp() and cs.exp(x) are one function.
 */
#include <math.h>
#include <string.h>

#include "binding.h"

static int apply1(lua_State *L, const char *op) {
  lcs_apply(L, op, (const int[]){1}, 1, NULL);
  return 1;
}
static int apply2(lua_State *L, const char *op, int a, int b) {
  lcs_apply(L, op, (const int[]){a, b}, 2, NULL);
  return 1;
}

#define UNARY(name) \
  static int op_##name(lua_State *L) { return apply1(L, #name); }
UNARY(neg) UNARY(abs) UNARY(sign) UNARY(floor) UNARY(recip) UNARY(square) UNARY(sqrt) UNARY(exp)
UNARY(expm1) UNARY(log) UNARY(log1p) UNARY(sin) UNARY(cos) UNARY(tan) UNARY(tanh) UNARY(sigmoid)
UNARY(softplus) UNARY(relu) UNARY(elu) UNARY(erf) UNARY(atan) UNARY(heaviside) UNARY(isfinite)
UNARY(detach)
#undef UNARY

#define BINARY(name, op, a, b) \
  static int op_##name(lua_State *L) { return apply2(L, op, a, b); }
BINARY(add, "add", 1, 2) BINARY(sub, "sub", 1, 2) BINARY(mul, "mul", 1, 2) BINARY(div, "div", 1, 2)
BINARY(maximum, "max", 1, 2) BINARY(minimum, "min", 1, 2) BINARY(lt, "lt", 1, 2)
BINARY(le, "le", 1, 2) BINARY(gt, "lt", 2, 1) BINARY(ge, "le", 2, 1) BINARY(eq, "eq", 1, 2)
BINARY(ne, "ne", 1, 2)
#undef BINARY

static int op_where(lua_State *L) {
  lcs_apply(L, "where", (const int[]){1, 2, 3}, 3, NULL);
  return 1;
}

/* ---- powers ------------------------------------------------------------------------------------- */

/* x^n by repeated squaring: pushes the result. Slot `x` holds the base. */
static void push_integer_power(lua_State *L, int x, unsigned n) {
  luaL_checkstack(L, 8, "power");
  if (n == 1) {
    lua_pushvalue(L, x);
    return;
  }
  if (n == 3) {
    lcs_apply(L, "cube", (const int[]){x}, 1, NULL);
    return;
  }
  push_integer_power(L, x, n / 2);
  int half = lua_gettop(L);
  lcs_apply(L, "square", (const int[]){half}, 1, NULL);
  if (n % 2) lcs_apply(L, "mul", (const int[]){half + 1, x}, 2, NULL);
  lua_replace(L, half);
  lua_settop(L, half);
}

static int power_special(lua_State *L, double p) {
  if (p == 0.5) return apply1(L, "sqrt");
  push_integer_power(L, 1, (unsigned)fabs(p));
  if (p > 0) return 1;
  lcs_apply(L, "recip", (const int[]){lua_gettop(L)}, 1, NULL);
  return 1;
}

/* Integer powers are products: exact, and their derivatives are too. */
static int op_pow(lua_State *L) {
  if (lua_type(L, 2) == LUA_TNUMBER && lua_type(L, 1) != LUA_TNUMBER) {
    double p = lua_tonumber(L, 2);
    if (p == 0.5 || (p == floor(p) && p != 0 && fabs(p) <= 64)) return power_special(L, p);
  }
  return apply2(L, "pow", 1, 2);
}

/* ---- reductions --------------------------------------------------------------------------------- */

/* Axis number at `arg`: 1 is the first, -1 the last. Returned from 0. */
int lcs_axis(lua_State *L, int arg, int rank, int fallback) {
  lua_Integer axis = luaL_optinteger(L, arg, fallback);
  if (axis < 0) axis += rank + 1;
  luaL_argcheck(L, axis >= 1 && axis <= rank, arg, "there is no such axis");
  return (int)axis - 1;
}

static uint64_t axes_at(lua_State *L, int arg, int rank) {
  if (lua_isnoneornil(L, arg)) return ~(uint64_t)0;
  if (!lua_istable(L, arg)) return (uint64_t)1 << lcs_axis(L, arg, rank, 1);
  uint64_t axes = 0;
  for (lua_Integer i = 1; lua_rawgeti(L, arg, i) != LUA_TNIL; i++, lua_pop(L, 1))
    axes |= (uint64_t)1 << lcs_axis(L, lua_gettop(L), rank, 1);
  lua_pop(L, 1);
  return axes;
}

static void reduce(lua_State *L, const char *op, int x) {
  cst_type t = lcs_type_at(L, x);
  uint64_t axes = axes_at(L, 2, t.rank);
  cst_attrs at = {.n_ints = 2, .i = {(int64_t)axes, lua_toboolean(L, 3)}};
  lcs_apply(L, op, (const int[]){x}, 1, &at);
}

static int op_sum(lua_State *L) { return reduce(L, "sum", 1), 1; }
static int op_max(lua_State *L) { return reduce(L, "amax", 1), 1; }

static int op_min(lua_State *L) { /* -max(-x) */
  lua_settop(L, 3);
  lcs_apply(L, "neg", (const int[]){1}, 1, NULL);
  reduce(L, "amax", 4);
  lcs_apply(L, "neg", (const int[]){5}, 1, NULL);
  return 1;
}

static int op_mean(lua_State *L) {
  lua_settop(L, 3);
  cst_type t = lcs_type_at(L, 1);
  uint64_t axes = axes_at(L, 2, t.rank);
  double n = 1;
  for (int i = 0; i < t.rank; i++)
    if (axes >> i & 1) n *= (double)t.dim[i];
  reduce(L, "sum", 1);
  lua_pushnumber(L, 1 / n);
  return apply2(L, "mul", 4, 5);
}

/* ---- products ------------------------------------------------------------------------------------- */

/* cs.matmul(x [.., K], w [K, N] [, transposed]) */
static int op_matmul(lua_State *L) {
  cst_attrs at = {.n_ints = 1, .i = {lua_toboolean(L, 3)}};
  lcs_apply(L, "matmul", (const int[]){1, 2}, 2, &at);
  return 1;
}
static int op_outer(lua_State *L) { return apply2(L, "outer", 1, 2); }

/* cs.bmm(a, b [, transpose a [, transpose b]]) */
static int op_bmm(lua_State *L) {
  cst_attrs at = {.n_ints = 2, .i = {lua_toboolean(L, 3), lua_toboolean(L, 4)}};
  lcs_apply(L, "bmm", (const int[]){1, 2}, 2, &at);
  return 1;
}

/* cs.dense(x, w, b [, activation]) */
static int op_dense(lua_State *L) {
  static const char *const names[] = {"none", "tanh", "sigmoid", "relu", "softplus", "elu", NULL};
  cst_attrs at = {.n_ints = 1, .i = {luaL_checkoption(L, 4, "none", names)}};
  lcs_apply(L, "dense", (const int[]){1, 2, 3}, 3, &at);
  return 1;
}

/* core.control(t, times, values, kind, order): see costate/control.lua */
static int op_control(lua_State *L) {
  cst_attrs at = {.n_ints = 2, .i = {luaL_checkinteger(L, 4), luaL_checkinteger(L, 5)}};
  lcs_apply(L, "control", (const int[]){1, 2, 3}, 3, &at);
  return 1;
}

static const luaL_Reg functions[] = {
    {"neg", op_neg},         {"abs", op_abs},           {"sign", op_sign},
    {"floor", op_floor},     {"recip", op_recip},       {"square", op_square},
    {"sqrt", op_sqrt},       {"exp", op_exp},           {"expm1", op_expm1},
    {"log", op_log},         {"log1p", op_log1p},       {"sin", op_sin},
    {"cos", op_cos},         {"tan", op_tan},           {"tanh", op_tanh},
    {"sigmoid", op_sigmoid}, {"softplus", op_softplus}, {"relu", op_relu},
    {"elu", op_elu},         {"erf", op_erf},           {"atan", op_atan},
    {"isfinite", op_isfinite}, {"heaviside", op_heaviside}, {"detach", op_detach},
    {"add", op_add},         {"sub", op_sub},           {"mul", op_mul},
    {"div", op_div},         {"pow", op_pow},           {"maximum", op_maximum},
    {"minimum", op_minimum}, {"lt", op_lt},             {"le", op_le},
    {"gt", op_gt},           {"ge", op_ge},             {"eq", op_eq},
    {"ne", op_ne},           {"where", op_where},       {"sum", op_sum},
    {"mean", op_mean},       {"max", op_max},           {"min", op_min},
    {"matmul", op_matmul},   {"outer", op_outer},       {"bmm", op_bmm},
    {"dense", op_dense},     {"control", op_control}, {NULL, NULL}};

static const luaL_Reg operators[] = {{"__add", op_add}, {"__sub", op_sub}, {"__mul", op_mul},
                                     {"__div", op_div}, {"__pow", op_pow}, {"__unm", op_neg},
                                     {NULL, NULL}};

void lcs_set_operators(lua_State *L) { luaL_setfuncs(L, operators, 0); }
void lcs_set_methods(lua_State *L) { luaL_setfuncs(L, functions, 0); }
