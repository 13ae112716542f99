-- SPDX-License-Identifier: GPL-3.0-or-later
-- A heated rod: why one adjoint solve does what a solve for every component of the heater does.
--
-- The temperature u of a rod with ends at zero follows a heater s, and should be that of a target:
--
--     -u'' = s on (0, 1),   u(0) = u(1) = 0,   J = integral (u - u_target)^2
--
-- On N points inside, h apart, A u = s with A = tridiagonal(-1, 2, -1) / h^2, and J = h sum (u - u_target)^2. With the
-- Lagrangian L = J + h lambda . (A u - s), a multiplier for every equation, L is stationary in u where
--
--     A lambda = -2 (u - u_target),   that is -lambda'' = -2 (u - u_target),   and there dJ/ds = dL/ds = -h lambda.
--
-- A is its own transpose; -lambda is the derivative by s as a function, -h lambda that by one of its components. (With
-- -h lambda in the Lagrangian both signs turn.) The gradient in s comes in four ways:
-- differences and sensitivities, a solve a component each; the adjoint, one solve; and cs.grad, which finds the adjoint
-- by itself. Then the heater is made to reach the target.
--
--   costate run examples/heated_rod.lua --out runs/heated_rod
local cs = require "costate"

local opt = cs.options { steps = 2000, points = 63, lr = 2, largest = 1024 }
if opt.points < 3 then error("a rod has three points at least: --points 3", 0) end
if opt.largest < 16 then error("costs are measured from 16 components on: --largest 16", 0) end

local solves = 0

--- The rod on n points.
local function rod(n)
  local h = 1 / (n + 1)
  local x = cs.linspace(h, 1 - h, n)
  local side, middle = cs.full(-1 / h ^ 2, n - 1), cs.full(2 / h ^ 2, n)
  local r = { n = n, h = h, x = x, target = cs.sin(math.pi * x) + 0.2 * cs.sin(3 * math.pi * x) }
  function r.solve(s) -- u with -u'' = s
    solves = solves + 1
    return cs.linalg.solve_tridiagonal(side, middle, side, s)
  end
  function r.heater(u) -- s = -u''
    local wide = cs.pad(u, 1, 1, 1)
    return (2 * u - wide:slice(1, 1, n) - wide:slice(1, 3, n + 2)) / h ^ 2
  end
  function r.cost(s) return h * ((r.solve(s) - r.target) ^ 2):sum() end
  return r
end

-- ---- four gradients --------------------------------------------------------------------------------------

local gradients = {}

--- (J(s + d e_i) - J(s)) / d: N + 1 solves. The error is of order d, and rounding grows as d falls.
function gradients.differences(r, s)
  local d, base, g, moved = 1e-3, r.cost(s):item(), cs.zeros(r.n), s:clone()
  for i = 1, r.n do
    moved[i] = s[i] + d
    g[i] = (r.cost(moved):item() - base) / d
    moved[i] = s[i]
  end
  return g
end

--- The temperature moves by w_i when s_i does, A w_i = e_i: one solve for u and N for the sensitivities.
function gradients.sensitivities(r, s)
  local misfit, g, unit = r.solve(s) - r.target, cs.zeros(r.n), cs.zeros(r.n)
  for i = 1, r.n do
    unit[i] = 1
    g[i] = 2 * r.h * (misfit * r.solve(unit)):sum():item()
    unit[i] = 0
  end
  return g
end

--- One solve for u and one for lambda, whatever N is.
function gradients.adjoint(r, s)
  local lambda = r.solve(-2 * (r.solve(s) - r.target))
  return -r.h * lambda
end

--- Reverse mode through the solve. It is recorded once for each rod; what it runs is the adjoint above.
function gradients.cs_grad(r, s)
  r.gradient = r.gradient or cs.grad(r.cost)
  return r.gradient(s)
end

-- ---- do they agree, and which sign is right? -----------------------------------------------------------------

local function heater(r) return 5 + 3 * cs.cos(4 * r.x) end
local function largest(x) return cs.abs(x):max():item() end

local small = rod(opt.points)
local s0, i = heater(small), small.n // 3
local adjoint = gradients.adjoint(small, s0)
local function nudged(d)
  local s = s0:clone()
  s[i] = s[i] + d
  return small.cost(s):item()
end
print(("component %d: moving s by +-1 changes J by %+.12f per unit,"):format(i, (nudged(1) - nudged(-1)) / 2))
print(("             -h lambda is %+.12f, and +h lambda would be %+.12f\n"):format(adjoint[i], -adjoint[i]))

local off = {}
for _, way in ipairs { "differences", "sensitivities", "cs_grad" } do
  off[way] = largest(gradients[way](small, s0) - adjoint) / largest(adjoint)
  print(("%-14s differs from the adjoint by %.1e (relative, N = %d)"):format(way, off[way], small.n))
end

-- ---- what they cost --------------------------------------------------------------------------------------------

--- Solves of one gradient, and the least milliseconds of three.
local function measure(way, r, s)
  gradients[way](r, s) -- recordings are made
  solves = 0
  local least = math.huge
  for _ = 1, 3 do
    local began = cs.clock()
    gradients[way](r, s)
    least = math.min(least, cs.clock() - began)
  end
  return solves // 3, 1000 * least
end

local ways = { { "differences", "#999999" }, { "sensitivities", "#0072B2" }, { "adjoint", "#D55E00" }, { "cs_grad", "#009E73" } }
local cost = {}
for _, way in ipairs(ways) do cost[way[1]] = { n = {}, solves = {}, ms = {} } end
print("\n     N         differences       sensitivities             adjoint             cs.grad   (solves, ms)")
local n = 16
while n <= opt.largest do
  local r, line = rod(n), { ("%6d"):format(n) }
  for _, way in ipairs(ways) do
    local c = cost[way[1]]
    local count, ms = measure(way[1], r, heater(r))
    if way[1] == "cs_grad" then count = 2 end -- inside its program: the solve, and the same solve of the cotangent
    c.n[#c.n + 1], c.solves[#c.n + 1], c.ms[#c.n + 1] = n, count, ms
    line[#line + 1] = ("%6d %10.3f  "):format(count, ms)
  end
  print(table.concat(line))
  n = 2 * n
end

-- ---- the heater for the target ----------------------------------------------------------------------------------

local p = cs.parameters { s = heater(small) }
local before = small.solve(p.s)
local trained = cs.train { parameters = p, optimizer = cs.optim.adam { lr = opt.lr }, steps = opt.steps,
  schedule = cs.schedule.cosine { steps = opt.steps, final = 0.01 }, loss = function() return small.cost(p.s) end }
local reached, exact = small.solve(p.s), small.heater(small.target)
print(("\nJ from %.3e to %.3e in %d steps; the profile is off by at most %.1e"):format(small.cost(heater(small)):item(),
  trained.loss, opt.steps, largest(reached - small.target)))
-- The ends of the heater come last: lambda vanishes there with u, so that they hardly matter.
print(("the heater is off by at most %.1e, where it is at most %.0f"):format(largest(p.s - exact), largest(exact)))

local top = #cost.adjoint.n
cs.result { adjoint_to_differences = off.differences, adjoint_to_sensitivities = off.sensitivities,
  adjoint_to_grad = off.cs_grad, components = cost.adjoint.n[top], solves_sensitivities = cost.sensitivities.solves[top],
  solves_adjoint = cost.adjoint.solves[top], ms_sensitivities = cost.sensitivities.ms[top], ms_adjoint = cost.adjoint.ms[top],
  cost = trained.loss, profile_error = largest(reached - small.target), heater_error = largest(p.s - exact) }

-- ---- pictures ------------------------------------------------------------------------------------------------------

--- With the ends of the rod.
local function ended(u) return cs.pad(u, 1, 1, 1) end

local x, pi = small.x, math.pi
local from_end_to_end = cs.linspace(0, 1, small.n + 2)
cs.plot.lines { file = "heated_rod.svg", xlabel = "x", ylabel = "temperature", key = "outside right top Left reverse", series = {
  { x = from_end_to_end, y = ended(before), name = "before", colour = "#999999" },
  { x = from_end_to_end, y = ended(reached), name = "reached", colour = "#D55E00" },
  { x = from_end_to_end, y = ended(small.target), name = "target", style = "points", colour = "#000000" },
} }
cs.plot.lines { file = "heated_rod_heater.svg", xlabel = "x", ylabel = "heater s", key = "outside right top Left reverse",
  series = { { x = x, y = heater(small), name = "before", colour = "#999999" },
  { x = x, y = p.s, name = "found", colour = "#D55E00" },
  { x = x, y = pi ^ 2 * (cs.sin(pi * x) + 1.8 * cs.sin(3 * pi * x)), name = "exact", style = "points", colour = "#000000" },
} }
local series = {}
local sizes = cost.adjoint.n
for power, look in ipairs { { "proportional to N", "#bbbbbb" }, { "proportional to N²", "#555555" } } do
  local guide = { x = sizes, y = {}, style = "dashes", colour = look[2], name = look[1] }
  local at = power == 1 and cost.adjoint.ms[top] or cost.sensitivities.ms[top]
  for k, size in ipairs(sizes) do guide.y[k] = at * (size / sizes[top]) ^ power end
  series[power] = guide
end
for _, way in ipairs(ways) do
  local c = cost[way[1]]
  series[#series + 1] = { x = c.n, y = c.ms, name = way[1]:gsub("_", "."), colour = way[2], style = "linespoints" }
end
cs.plot.lines { file = "heated_rod_cost.svg", xlabel = "components of the heater", ylabel = "milliseconds for one gradient",
  logx = true, logy = true, xrange = { 10, 1.5 * opt.largest }, key = "left top Left reverse", series = series }
