-- SPDX-License-Identifier: GPL-3.0-or-later
-- Seven ways to the gradient of a solve, side by side.
--
--   discrete        the exact derivative of the steps taken; stores them, or takes them again from a few states
--   reversible      the same, from steps that are undone one by one: the memory of one step
--   backsolve       the adjoint equation solved backwards, and z with it: no memory, but z must allow it
--   interpolating   the adjoint equation along the stored solution z(t)
--   quadrature      the same, dL/dtheta by a quadrature rule once lambda(t) is known
--   forward         one tangent solve for each number
--   finite          two solves for each number, and half of the digits
--
-- The first three panels of the figure: how near each comes to the gradient of the exact solution, what it keeps, and
-- what happens where trajectories part (Lorenz). The last: where they come together (van der Pol). There z cannot be
-- solved backwards: backwards in time an error of z grows as fast as one dies out forwards.
--
--   costate run examples/adjoint_tour.lua --out runs/tour
local cs = require "costate"

local opt = cs.options { fast = false } -- fewer points
local EXACT <const> = { solver = "dop853", rtol = 1e-13, atol = 1e-13, gradient = "discrete" }
local ways = { "discrete", "reversible", "backsolve", "interpolating", "quadrature", "forward", "finite" }

--- Only reversible solvers undo their steps; the one of order 5 stands beside dopri5.
local function solver_of(gradient) return gradient == "reversible" and "reversible.dopri5" or "dopri5" end

-- ---- 1: one problem, every gradient --------------------------------------------------------------------------

local net = cs.nn.mlp { 2, 20, 2, activation = "tanh" }
local saves = cs.linspace(0, 3, 10)
local function spiral(options)
  local flow = cs.ode { field = function(_, y) return net(y ^ 3) end }:with(options)
  return (flow({ 2, 0 }, saves) ^ 2):mean()
end

print "A neural ODE, 10 saves. Differences are those to the derivative of the steps taken."
cs.check { at = net, loss = function() return spiral { solver = "dopri5" } end }
print "\nThe same with a solver that can undo its steps."
cs.check { at = net, loss = function() return spiral { solver = "reversible.dopri5" } end }

-- ---- 2: the gradient of the solution --------------------------------------------------------------------------

--- Errors of each way at every x, NaN where it fails. problem(x) gives loss(options, p) and p; options(x) what is not
--- the way's own.
local function errors(xs, names, problem, options)
  local found = {}
  for _, way in ipairs(names) do found[way] = {} end
  for i, x in ipairs(xs) do
    local loss, p = problem(x)
    local function gradient(o) return cs.grad(function(at) return loss(o, at) end)(p) end
    local truth = gradient(EXACT)
    for _, way in ipairs(names) do
      local o = options(x)
      o.solver, o.gradient = solver_of(way), way
      local ok, g = pcall(gradient, o)
      found[way][i] = ok and math.sqrt((((g - truth) ^ 2):sum() / (truth ^ 2):sum()):item()) or 0 / 0
    end
  end
  return found
end

local tolerances = opt.fast and { 1e-4, 1e-8 } or { 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10 }
local nearness = errors(tolerances, ways, function() return spiral, net end, function(tolerance)
  return { rtol = tolerance, atol = tolerance }
end)

-- ---- 3: what is kept ------------------------------------------------------------------------------------------

local counts = opt.fast and { 10, 100 } or { 10, 100, 1000, 10000 }

--- Bytes by way that a solve of n steps keeps for its gradient.
local function kept(n, options)
  local p = cs.parameters { k = 1.3, c = 0.05 }
  local flow = cs.ode { step = 1 / n, solver = "rk4", field = function(_, s)
    local x, v = s:columns()
    return cs.stack { v, -p.k * cs.sin(x) - p.c * v }
  end }:with(options)
  local result, bytes = cs.check { at = p, quiet = true, loss = function() return flow({ 1, 0 }, { 0, 1 })[2]:sum() end }, {}
  for _, row in ipairs(result.rows) do bytes[row.method:match "[^.]*$"] = row.tape_bytes end
  return bytes
end

local bytes = {}
for i, n in ipairs(counts) do
  bytes[i] = kept(n, {})
  bytes[i].reversible = kept(n, { solver = { "reversible.rk4", coupling = 1 } }).reversible
  bytes[i]["discrete, 20 states"] = kept(n, { checkpoints = 20 }).discrete
end

-- ---- 4: where trajectories part, and where they come together --------------------------------------------------

local adjoints = { "discrete", "reversible", "interpolating", "quadrature", "backsolve" }
local function fine() return { rtol = 1e-8, atol = 1e-8 } end

local horizons = opt.fast and { 0.5, 2 } or { 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6 }
local lorenz = errors(horizons, adjoints, function(horizon)
  return function(options, p)
    local flow = cs.ode { field = function(_, u)
      local x, y, z = u:columns()
      return cs.stack { p[1] * (y - x), x * (p[2] - z) - y, x * y - p[3] * z }
    end }:with(options)
    return flow({ 1, 1, 20 }, { 0, horizon })[2]:sum()
  end, cs.tensor { 10, 28, 8 / 3 }
end, fine)

local stiffness = opt.fast and { 1, 10 } or { 0.1, 0.5, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30 }
local van_der_pol = errors(stiffness, adjoints, function(mu)
  return function(options, p)
    local flow = cs.ode { field = function(_, u)
      local x, v = u:columns()
      return cs.stack { v, p * (1 - x ^ 2) * v - x }
    end }:with(options)
    return flow({ 2, 0 }, { 0, 3 })[2]:sum()
  end, cs.tensor(mu)
end, fine)

-- ---- what was found --------------------------------------------------------------------------------------------

local function line(title, xs, found, names)
  print(("\n%-22s %s"):format(title, table.concat(names, "  ")))
  for i, x in ipairs(xs) do
    local cells = {}
    for k, way in ipairs(names) do
      local e = found[way][i]
      cells[k] = ("%" .. #way .. "s"):format(e == e and ("%.1e"):format(e) or "fails")
    end
    print(("%-22g %s"):format(x, table.concat(cells, "  ")))
  end
end
line("error, by tolerance", tolerances, nearness, ways)
line("Lorenz, by horizon", horizons, lorenz, adjoints)
line("van der Pol, by mu", stiffness, van_der_pol, adjoints)

local function worst(found, way)
  local most = 0
  for _, e in ipairs(found[way]) do most = math.max(most, e == e and e or math.huge) end
  return most < math.huge and most or "failed"
end
cs.result { lorenz = { discrete = worst(lorenz, "discrete"), interpolating = worst(lorenz, "interpolating"),
  backsolve = worst(lorenz, "backsolve") }, van_der_pol = { discrete = worst(van_der_pol, "discrete"),
  interpolating = worst(van_der_pol, "interpolating"), backsolve = worst(van_der_pol, "backsolve") },
  bytes = bytes[#bytes] }

-- ---- the figure ------------------------------------------------------------------------------------------------

local colours = { discrete = "#0072B2", reversible = "#E69F00", backsolve = "#D55E00", interpolating = "#009E73",
  quadrature = "#CC79A7", forward = "#56B4E9", finite = "#999999", ["discrete, 20 states"] = "#000000" }

local function series(xs, names, value)
  local out = {}
  for _, way in ipairs(names) do
    local x, y = {}, {}
    for i, at in ipairs(xs) do
      local v = value(way, i)
      if v and v == v and v > 0 then x[#x + 1], y[#y + 1] = at, v end
    end
    out[#out + 1] = { x = x, y = y, name = way, colour = colours[way], style = way == "forward" and "dashes" or "linespoints" }
  end
  return out
end

local function panel(title, xlabel, ylabel, logx, drawn, more)
  local p = { title = title, xlabel = xlabel, ylabel = ylabel, logx = logx, logy = true, series = drawn, key = "top right" }
  for k, v in pairs(more or {}) do p[k] = v end
  return p
end

cs.plot.panels { file = "adjoint_tour.svg", columns = 2, width = 1000, height = 760, panels = {
  panel("A neural ODE", "tolerance", "error of the gradient", true,
    series(tolerances, { "finite", "discrete", "forward", "reversible", "backsolve", "interpolating", "quadrature" },
      function(way, i) return nearness[way][i] end), { key = "bottom right" }),
  panel("What a solve keeps for its gradient", "steps", "bytes", true,
    series(counts, { "discrete", "discrete, 20 states", "reversible", "interpolating", "quadrature" },
      function(way, i) return bytes[i][way] end), { key = "top left" }),
  panel("Lorenz (a line ends where the gradient fails)", "horizon", "error of the gradient", false,
    series(horizons, adjoints, function(way, i) return lorenz[way][i] end), { yrange = { 1e-10, 1e4 } }),
  panel("van der Pol (the same)", "mu", "error of the gradient", true,
    series(stiffness, adjoints, function(way, i) return van_der_pol[way][i] end), { yrange = { 1e-10, 1e4 } }),
} }
