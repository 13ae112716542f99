-- SPDX-License-Identifier: GPL-3.0-or-later
-- From residual networks to solvers. First, a residual network h_{t+1} = h_t + f(h_t, t) is explicit
-- Euler with step 1 of dh/dt = f(h, t): both are run, and agree to round-off. Second, what better
-- methods buy: one period of a Kepler orbit ends where it began, so the error is known; it is drawn
-- against the evaluations of the field, for fixed steps and for steps chosen by an error estimate.
--
--   costate run examples/work_precision.lua --out runs/work_precision
--   costate run examples/work_precision.lua --fast
--
-- Figure: work_precision.svg. Headline figures: resnet_difference, the measured order of every
-- fixed-step method, and the evaluations each method needs for an error of 1e-6.
local cs = require "costate"

local opt = cs.options {
  fast = false,        -- half of the points
  layers = 12,         -- of the residual network
  eccentricity = 0.5,  -- of the orbit
}

-- ---- a residual network is Euler's method -------------------------------------------------------------

local net = cs.nn.mlp { 3, 32, 3, activation = "tanh" }
local p = cs.parameters { drift = { 0.1, -0.2, 0.05 } }
local function f(t, h) return net(h + t * p.drift) end

local h0 = cs.random.normal { 64, 3, seed = 1 }
local h = h0
for t = 0, opt.layers - 1 do h = h + f(t, h) end
local euler = cs.ode { field = f, solver = "euler", step = 1 }
local last = euler(h0, { 0, opt.layers }):slice(2, 2):reshape(64, 3)
local difference = cs.abs(h - last):max():item()
print(("%d residual layers against Euler with step 1: largest difference %.2g"):format(opt.layers, difference))

-- ---- an orbit with a known end --------------------------------------------------------------------------

local function orbit(_, y)
  local x1, x2, v1, v2 = y:columns()
  local r3 = (x1 ^ 2 + x2 ^ 2) ^ 1.5
  return cs.stack { v1, v2, -x1 / r3, -x2 / r3 }
end
local e, period = opt.eccentricity, 2 * math.pi
local start = cs.tensor { 1 - e, 0, 0, math.sqrt((1 + e) / (1 - e)) }

-- Evaluations and error, or nothing when the solve failed or its end is off the orbit altogether.
local function measure(flow)
  local s = flow:solve(start, { 0, period })
  if s.status ~= "ok" then return end
  local error = cs.abs(s.values[2] - start):max():item()
  if error < 1 then return s.stats.evaluations, error end
end

local function curve(name, settings)
  local c = { name = name, x = {}, y = {} }
  for _, options in ipairs(settings) do
    options.field, options.solver, options.max_steps = orbit, name, 10000000
    local evaluations, error = measure(cs.ode(options))
    if evaluations then c.x[#c.x + 1], c.y[#c.y + 1] = evaluations, error end
  end
  return c
end

local function fixed(name, most)
  local settings = {}
  for k = 5, opt.fast and most - 3 or most do settings[#settings + 1] = { step = period / 2 ^ k } end
  return curve(name, settings)
end
local function adaptive(name)
  local settings = {}
  for k = 4, 26, opt.fast and 4 or 1 do
    settings[#settings + 1] = { rtol = 10 ^ (-k / 2), atol = 10 ^ (-k / 2) }
  end
  return curve(name, settings)
end

-- The slope over the last three halvings of the step before round-off.
local function order(c)
  local final = #c.y
  while final > 0 and c.y[final] < 1e-10 do final = final - 1 end
  local first = final - 3
  if first < 1 then return nil end
  return math.log(c.y[first] / c.y[final]) / math.log(c.x[final] / c.x[first])
end

-- Evaluations for this error, between the two points about it on the straight line in logarithms.
local function cost(c, error)
  for i = 2, #c.y do
    local a, b = c.y[i - 1], c.y[i]
    if b <= error and a > error then
      local part = math.log(a / error) / math.log(a / b)
      return math.floor(c.x[i - 1] * (c.x[i] / c.x[i - 1]) ^ part + 0.5)
    end
  end
end

local methods = {
  { "euler", fixed, 19, colour = "#999999" }, { "midpoint", fixed, 17, colour = "#E69F00" },
  { "heun", fixed, 17, colour = "#CC79A7" }, { "rk4", fixed, 14, colour = "#D55E00" },
  { "bosh3", adaptive, colour = "#56B4E9" }, { "dopri5", adaptive, colour = "#0072B2" },
  { "tsit5", adaptive, colour = "#009E73" }, { "dop853", adaptive, colour = "#000000" },
}
local result, series = { resnet_difference = difference }, {}
for _, m in ipairs(methods) do
  local name, make = m[1], m[2]
  local c = make(name, m[3])
  local slope = make == fixed and order(c) or nil
  local needed = cost(c, 1e-6)
  result[name] = { order = slope, evaluations_for_1e_6 = needed }
  series[#series + 1] = { x = c.x, y = c.y, colour = m.colour, style = "linespoints",
    name = name .. (make == fixed and ", fixed" or ", adaptive") }
  print(("%-9s %s   an error of 1e-6 for %s evaluations"):format(name,
    slope and ("order %.2f"):format(slope) or "adaptive  ", needed or "more than " .. c.x[#c.x]))
end
cs.result(result)
cs.plot.lines { file = "work_precision.svg", xlabel = "evaluations of the field",
  ylabel = "error after one period", logx = true, logy = true, width = 760, series = series }
