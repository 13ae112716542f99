-- SPDX-License-Identifier: GPL-3.0-or-later
-- Initial value problems and the measurement that ivp_nonstiff and ivp_stiff share: time and evaluations of one
-- solve by each solver at each tolerance; the `loss` of a row is its error at the end, relative to 1 + |y|.
local cs = require "costate"
local core = require "costate.core"

local M = {}

-- ---- not stiff ------------------------------------------------------------------------------------------
-- Those with a letter are of the DETEST set (Hull, Enright, Fellen, Sedgwick, 1972); Arenstorf's orbit and the
-- Pleiades are in Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, II.0 and II.10.

local function kepler(e)
  return { y0 = { 1 - e, 0, 0, math.sqrt((1 + e) / (1 - e)) }, t1 = 20, field = function(_, s)
    local x, y, u, v = s:columns()
    local r3 = (x ^ 2 + y ^ 2) ^ 1.5
    return cs.stack { u, v, -x / r3, -y / r3 }
  end }
end

local function arenstorf()
  local mu <const> = 0.012277471
  return { y0 = { 0.994, 0, 0, -2.00158510637908252240537862224 }, t1 = 17.0652165601579625588917206249,
    field = function(_, s)
      local x, y, u, v = s:columns()
      local d1, d2 = ((x + mu) ^ 2 + y ^ 2) ^ 1.5, ((x - (1 - mu)) ^ 2 + y ^ 2) ^ 1.5
      return cs.stack { u, v, x + 2 * v - (1 - mu) * (x + mu) / d1 - mu * (x - (1 - mu)) / d2,
        y - 2 * u - (1 - mu) * y / d1 - mu * y / d2 }
    end }
end

local function pleiades()
  local mass = cs.iota(7) + 1
  return { y0 = { 3, 3, -1, -3, 2, -2, 2, 3, -3, 2, 0, 0, -4, 4, 0, 0, 0, 0, 0, 1.75, -1.5, 0, 0, 0, -1.25, 1, 0, 0 },
    t1 = 3, field = function(_, s)
      local function part(k) return s:slice(-1, 7 * k + 1, 7 * k + 7) end
      local function pulls(z)
        local n = z.shape[1]
        return z:reshape { n, 1, 7 } - z:reshape { n, 7, 1 }
      end
      local dx, dy = pulls(part(0)), pulls(part(1))
      local r2 = dx ^ 2 + dy ^ 2
      local w = mass / cs.where(cs.gt(r2, 0), r2, 1) ^ 1.5
      return cs.concat({ part(2), part(3), (w * dx):sum(3), (w * dy):sum(3) }, 2)
    end }
end

M.nonstiff = {
  { "A4", { y0 = { 1 }, t1 = 20, field = function(_, y) return y / 4 * (1 - y / 20) end } },
  { "B1", { y0 = { 1, 3 }, t1 = 20, field = function(_, s)
    local a, b = s:columns()
    return cs.stack { 2 * (a - a * b), a * b - b }
  end } },
  { "B5", { y0 = { 0, 1, 1 }, t1 = 20, field = function(_, s)
    local a, b, c = s:columns()
    return cs.stack { b * c, -a * c, -0.51 * a * b }
  end } },
  { "D1", kepler(0.1) }, { "D5", kepler(0.9) },
  { "E2", { y0 = { 2, 0 }, t1 = 20, field = function(_, s)
    local x, v = s:columns()
    return cs.stack { v, (1 - x ^ 2) * v - x }
  end } },
  { "lorenz", { y0 = { 1, 1, 1 }, t1 = 10, field = function(_, s)
    local x, y, z = s:columns()
    return cs.stack { 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z }
  end } },
  { "pleiades", pleiades() }, { "arenstorf", arenstorf() },
}

-- ---- stiff ----------------------------------------------------------------------------------------------
-- Mazzia and Magherini, Test Set for Initial Value Problem Solvers; Hairer and Wanner, II, IV.10.

local function brusselator(n)
  local a <const>, b <const>, alpha <const> = 1, 3, 1 / 50
  local u0, v0 = {}, {}
  for i = 1, n do u0[i], v0[i] = 1 + math.sin(2 * math.pi * i / (n + 1)), 3 end
  return { y0 = table.move(v0, 1, n, n + 1, u0), t1 = 10, field = function(_, s)
    local u, v = s:slice(-1, 1, n), s:slice(-1, n + 1, 2 * n)
    local function laplacian(z, edge)
      local rows = z.shape[1]
      local ends = cs.broadcast_like(cs.tensor { edge }:reshape { 1, 1 }, z:slice(2, 1, 1)) + cs.zeros { 1 }
      local wide = cs.concat({ ends, z, ends }, 2)
      return (wide:slice(2, 1, n) - 2 * z + wide:slice(2, 3, n + 2)):reshape { rows, n } * (n + 1) ^ 2
    end
    local reaction = u ^ 2 * v
    return cs.concat({ a + reaction - (b + 1) * u + alpha * laplacian(u, 1), b * u - reaction + alpha * laplacian(v, 3) }, 2)
  end }
end

M.stiff = {
  { "robertson", { y0 = { 1, 0, 0 }, t1 = 1e11, atol = 1e-6, field = function(_, s)
    local a, b, c = s:columns()
    local slow, fast, turn = 0.04 * a, 3e7 * b ^ 2, 1e4 * b * c
    return cs.stack { turn - slow, slow - turn - fast, fast }
  end } },
  { "van_der_pol", { y0 = { 2, 0 }, t1 = 2000, field = function(_, s)
    local x, v = s:columns()
    return cs.stack { v, 1000 * (1 - x ^ 2) * v - x }
  end } },
  { "hires", { y0 = { 1, 0, 0, 0, 0, 0, 0, 0.0057 }, t1 = 321.8122, field = function(_, s)
    local a, b, c, d, e, f, g, h = s:columns()
    local bound = 280 * f * h
    return cs.stack { -1.71 * a + 0.43 * b + 8.32 * c + 0.0007, 1.71 * a - 8.75 * b, -10.03 * c + 0.43 * d + 0.035 * e,
      8.32 * b + 1.71 * c - 1.12 * d, -1.745 * e + 0.43 * f + 0.43 * g, -bound + 0.69 * d + 1.71 * e - 0.43 * f + 0.69 * g,
      bound - 1.81 * g, -bound + 1.81 * g }
  end } },
  { "orego", { y0 = { 1, 2, 3 }, t1 = 360, field = function(_, s)
    local a, b, c = s:columns()
    return cs.stack { 77.27 * (b + a * (1 - 8.375e-6 * a - b)), (c - (1 + a) * b) / 77.27, 0.161 * (a - c) }
  end } },
  { "brusselator", brusselator(20) },
}

-- ---- measuring ------------------------------------------------------------------------------------------

local function known(name) return (core.find("solver", name)) ~= nil end

--- The end of the solve by a solver that is trusted, at a tolerance below all that are measured.
local function reference(p, solver)
  local sol = cs.ode { field = p.field, solver = solver, rtol = 1e-13, atol = (p.atol or 1) * 1e-14, max_steps = 10000000 }
    :solve(p.y0, { 0, p.t1 })
  if sol.status ~= "ok" then core.fail("the reference: " .. sol.message) end
  return sol.values[2]
end

local function measure(b, name, p, solver, tolerance, exact)
  local flow = cs.ode { field = p.field, solver = solver, rtol = tolerance, atol = (p.atol or 1) * tolerance,
    max_steps = 2000000 }
  local y0 = cs.tensor(p.y0)
  local it = b:iteration(function()
    return (cs.abs(flow(y0, { 0, p.t1 }):slice(1, 2, 2):reshape { #exact } - exact) / (1 + cs.abs(exact))):max()
  end)
  it.seconds = 0.05
  b:measure(it, { variant = ("%s %.0e %s"):format(name, tolerance, solver):gsub("e%-0", "e-") })
end

--- Rows of all problems, tolerances and those of the solvers that this build has. A solver that gives up has no row.
function M.run(b, problems, solvers, tolerances, trusted)
  for _, entry in ipairs(problems) do
    local name, p = entry[1], entry[2]
    local exact = p.reference and cs.tensor(p.reference) or reference(p, trusted)
    b:input(name, exact)
    for _, solver in ipairs(solvers) do
      for _, tolerance in ipairs(known(solver) and tolerances or {}) do pcall(measure, b, name, p, solver, tolerance, exact) end
    end
  end
end

return M
