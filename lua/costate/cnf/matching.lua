-- SPDX-License-Identifier: GPL-3.0-or-later
-- Flow matching (Lipman, Chen, Ben-Hamu, Nickel, Le 2023): no solve. With s uniform on [0, 1], x of the data and z of the base,
--   z_s = (1 - s) x + (sigma + (1 - sigma) s) z        dz_s/ds = (1 - sigma) z - x
-- and the loss is the mean square of f(t_s, z_s) - dz_s/ds / (t1 - t0), whose best f moves the data to the base.
local core = require "costate.core"
local flow = require "costate.cnf.flow"
local random = require "costate.random"

--- Draws of a trace as a generator has them.
local draws = {
  normal = function(_, shape) return random.normal(shape, { rows = true }) end,
  uniform = function(_, shape) return random.uniform(shape, { rows = true }) end,
}

--- The times are not learned by it.
local function fixed(t) return type(t) == "number" and t or core.detach(t) end

return function(m, x, condition, sigma)
  local n = x.shape[1]
  local t0, t1 = flow.span(m, 1)
  t0, t1 = fixed(t0), fixed(t1)
  local s, z = draws:uniform { n, 1 }, m.options.base.draw(draws, n)
  local where = (1 - s) * x + (sigma + (1 - sigma) * s) * z
  local slope = ((1 - sigma) * z - x) / (t1 - t0)
  local f = flow.velocity(m, 1, t0 + (t1 - t0) * s, where, condition)
  return core.mean(core.sum(core.square(f - slope), 2))
end
