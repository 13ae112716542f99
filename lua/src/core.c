/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * costate.core: opens every part of the binding into one table.
 */
#include "binding.h"

LUAMOD_API int luaopen_costate_core(lua_State *L);

LUAMOD_API __attribute__((visibility("default"))) int luaopen_costate_core(lua_State *L) {
  luaL_checkversion(L);
  lcs_open_state(L);
  int lib = lua_gettop(L);
  lcs_open_tensor(L);
  lcs_open_value(L);
  lcs_set_methods(L); /* the same functions as methods: cs.exp(x) is x:exp() */
  lcs_set_shape_methods(L);
  lcs_open_function(L);
  void (*const open[])(lua_State *, int) = {
      lcs_open_make, lcs_open_data, lcs_open_series, lcs_open_points, lcs_open_node,     lcs_open_trace,  lcs_open_program, lcs_open_step,
      lcs_open_options, lcs_open_registry, lcs_open_register, lcs_open_model, lcs_open_solve, lcs_open_callback, lcs_open_random,
      lcs_open_json, lcs_open_system};
  for (size_t i = 0; i < sizeof open / sizeof *open; i++) open[i](L, lib);
  lua_pushliteral(L, CST_VERSION);
  lua_setfield(L, lib, "version");
  return 1;
}
