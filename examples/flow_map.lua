-- SPDX-License-Identifier: GPL-3.0-or-later
-- The flow map. A field dy/dt = f(t, y) carries the state at t0 to the state at t1: y(t1) = Phi(y0), a function of the
-- state, which flow:map(t0, t1) gives. It obeys
--
--     Phi(t1, t2) o Phi(t0, t1) = Phi(t0, t2)          going on from where one has come to
--     Phi(t0, t1) o Phi(t1, t0) = 1                    there and back
--     dPhi/dt1 = f(t1, Phi)                            a later end
--     dPhi/dt0 = -J f(t0, y0),  J = dPhi/dy0           a later start
--     dJ/dt1 = (df/dy) J                               neighbours are carried by the linearised field
--     det J = exp of the integral of tr(df/dy)         Liouville: how areas grow
--
-- and each of these is checked in numbers here, for predators and prey in a year with seasons. The picture shows a disc of
-- states carried along, and how its area does what the last line says.
--
--   costate run examples/flow_map.lua --out runs/flow_map
local cs = require "costate"

local opt = cs.options { rtol = 1e-10, solver = "dopri5", points = 400 }
if cs.dtype() ~= "f64" then error("the laws are checked to ten times rtol, which f32 does not resolve: use --dtype f64", 0) end

-- Prey x grows more in spring, predators y live on it; tr(df/dy) depends on both and on the time.
local function growth(t) return 1 + 0.5 * cs.sin(2 * math.pi / 3 * t) end
local function field(t, u)
  local x, y = u:columns()
  return cs.stack { growth(t) * x - x * y, x * y - y }
end
local function trace(t, u)
  local x, y = u:columns()
  return growth(t) - y + x - 1
end

local flow = cs.ode { field = field, solver = opt.solver, rtol = opt.rtol, atol = opt.rtol / 100 }
local y0 = cs.tensor { 1.6, 0.9 }
local t0, t1, t2 = 0, 1.3, 3

-- ---- laws, in numbers -------------------------------------------------------------------------------------

local result, broken = {}, {}
local function law(name, text, left, right, tolerance)
  local _, off = left:near(right)
  local holds = off <= tolerance
  print(("%-13s %-40s %.1e  (%.0e)  %s"):format(name, text, off, tolerance, holds and "holds" or "FAILS"))
  result[name] = off
  if not holds then broken[#broken + 1] = name end
end
print(("%-13s %-40s %s"):format("law", "", "difference (tolerance)"))

local phi, psi = flow:map(t1, t2), flow:map(t0, t1)
local whole = flow:map(t0, t2)
local close = 10 * opt.rtol
law("semigroup", "Phi(t1,t2) o Phi(t0,t1) = Phi(t0,t2)", (phi .. psi)(y0), whole(y0), close)
law("inverse", "Phi(t0,t2)^-1 o Phi(t0,t2) = 1", (whole:inverse() .. whole)(y0), y0, close)

-- J column by column: a derivative along each axis.
local function along(map, direction)
  local _, dot = cs.jvp(map)({ y0 }, { direction })
  return dot
end
local axes = { cs.tensor { 1, 0 }, cs.tensor { 0, 1 } }
local j = { along(whole, axes[1]), along(whole, axes[2]) }
local function product(columns, v) return columns[1] * v[1] + columns[2] * v[2] end
local function slope(t, y) return field(cs.tensor(t), y:reshape(1, 2)):reshape(2) end

local _, later_end = cs.jvp(function(t) return flow:map(t0, t)(y0) end)({ t2 }, { 1 })
law("later_end", "dPhi/dt1 = f(t1, Phi)", later_end, slope(t2, whole(y0)), close)
local _, later_start = cs.jvp(function(t) return flow:map(t, t2)(y0) end)({ t0 }, { 1 })
law("later_start", "dPhi/dt0 = -J f(t0, y0)", later_start, -product(j, slope(t0, y0)), close)

-- The chain rule of a composition: J(t0,t2) v = J(t1,t2) (J(t0,t1) v).
local half = along(psi, axes[1])
local _, rest = cs.jvp(phi)({ psi(y0) }, { half })
law("chain_rule", "J(t0,t2) = J(t1,t2) J(t0,t1)", rest, j[1], close)

-- J again, as the solution of its own equation beside y.
local both = cs.ode { solver = opt.solver, rtol = opt.rtol, atol = opt.rtol / 100, field = function(t, s)
  local dy, dv = cs.jvp(function(u) return field(t, u) end)({ s.y }, { s.v })
  return { y = dy, v = dv }
end }
law("neighbours", "dJ/dt1 = (df/dy) J", both:map(t0, t2) { y = y0, v = axes[1] }.v, j[1], close)

local spread = cs.ode { solver = opt.solver, rtol = opt.rtol, atol = opt.rtol / 100, parts = { log = "quadrature" },
  field = function(t, s) return { y = field(t, s.y), log = trace(t, s.y) } end }
local det = j[1][1] * j[2][2] - j[1][2] * j[2][1]
law("liouville", "det J = exp int tr(df/dy) dt", cs.tensor(det), cs.exp(spread:map(t0, t2) { y = y0, log = 0 }.log), close)

if #broken > 0 then error("laws that do not hold: " .. table.concat(broken, ", "), 0) end

-- Fixed steps that do not end where the legs meet: the law holds only as exactly as the method does.
local coarse = cs.ode { field = field, solver = "rk4", step = 0.1 }
local one, two = coarse:map(t0, t2)(y0), (coarse:map(1.234, t2) .. coarse:map(t0, 1.234))(y0)
result.semigroup_rk4 = cs.abs(one - two):max():item()
print(("with rk4, step 0.1, whose error is %.1e, the semigroup law holds to %.1e"):format(
  cs.abs(one - whole(y0)):max():item(), result.semigroup_rk4))

-- ---- a disc of states, carried along -----------------------------------------------------------------------

local angle = cs.linspace(0, 2 * math.pi, opt.points + 1)
local function ring(radius) return cs.stack { y0[1] + radius * cs.cos(angle), y0[2] + radius * cs.sin(angle) } end
local grid = {} -- points within, to see what happens inside
for r = 1, 3 do
  for k = 1, 8 * r do
    local a = 2 * math.pi * k / (8 * r)
    grid[#grid + 1] = { y0[1] + 0.1 * r * math.cos(a), y0[2] + 0.1 * r * math.sin(a) }
  end
end
local edge, within = cs.rows(ring(0.4)), cs.rows(cs.tensor(grid))

-- The area within a closed line through points: half the sum of x dy - y dx.
local function area(line)
  local n = line.shape[1]
  local a, b = line:slice(1, 1, n - 1), line:slice(1, 2, n)
  return 0.5 * (a:column(1) * b:column(2) - a:column(2) * b:column(1)):sum():item()
end

-- The same by Liouville: the integral over the disc of det J, on a fine polar grid (midpoints).
local function carried_area(t)
  local cells, weights = {}, {}
  local rings, spokes = 24, 48
  for i = 1, rings do
    for k = 1, spokes do
      local r, a = 0.4 * (i - 0.5) / rings, 2 * math.pi * k / spokes
      cells[#cells + 1] = { y0[1] + r * math.cos(a), y0[2] + r * math.sin(a) }
      weights[#weights + 1] = r * (0.4 / rings) * (2 * math.pi / spokes)
    end
  end
  local log = spread:map(t0, t) { y = cs.rows(cs.tensor(cells)), log = 0 }.log
  return (cs.exp(log) * cs.tensor(weights)):sum():item()
end

local series = {}
local function add(line, options)
  options.x, options.y = line:column(1), line:column(2)
  series[#series + 1] = options
end
local colours = { "#CC79A7", "#0072B2", "#009E73", "#D55E00" }
result.area = {}
for i, t in ipairs { 0, 1, 2, 3 } do
  local map = flow:map(t0, t)
  local line, dots = map(edge), map(within)
  local own, by_liouville = area(line), carried_area(t)
  result.area[i] = { time = t, area = own, liouville = by_liouville }
  print(("t = %g: the disc has the area %.4f, by Liouville %.4f"):format(t, own, by_liouville))
  add(line, { style = "region", colour = colours[i], name = ("t = %g, area %.3f"):format(t, own) })
  add(dots, { style = "points", colour = colours[i] })
end
local back = flow:map(t0, 3):inverse()(flow:map(t0, 3)(within))
result.disc_and_back = cs.abs(back - within):max():item()
print(("carried to t = 3 and back, its points are off by at most %.1e"):format(result.disc_and_back))
add(back, { style = "circles", colour = "#000000", name = "there and back" })
add(flow(y0, cs.linspace(0, 3, 200)), { style = "dashes", colour = "#444444", name = "path of the centre" })

cs.result(result)
cs.plot.lines { file = "flow_map.svg", xlabel = "prey", ylabel = "predators", equal = true, xrange = { 0, 3 },
  yrange = { 0.4, 3 }, width = 800, height = 500, series = series }
