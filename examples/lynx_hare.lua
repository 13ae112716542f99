-- SPDX-License-Identifier: GPL-3.0-or-later
-- Hare and lynx pelts of the Hudson's Bay Company, 1900-1920: what does a neural ODE learn from 16
-- years, and what is known physics worth? Fields are fitted on 1900-1915 and followed through
-- 1916-1920, which none of them has seen:
--   lotka_volterra   the equations alone, four coefficients
--   neural           a network alone
--   hybrid           the equations plus a small network
-- All work on the logarithms u = log(pelts), so that populations stay positive. A hundred weights
-- against 32 numbers need a reason to stay small: the weight of their squares is chosen by the error
-- on 1912-1915 of a fit on 1900-1911. The yardstick is persistence: the last year fitted, for ever.
--
--   costate run examples/lynx_hare.lua --out runs/lynx_hare
local cs = require "costate"

local opt = cs.options { steps = 2000, fitted = 16, held_out = 4, lr = 1e-2 }

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local data = cs.dataset "csv" { path = here .. "/data/hudson_bay.csv", time = "year", columns = "hare,lynx" }
local years, n = data.t, #data.t
local t, u = years - years[1], cs.log(data.y)
local centre = u:slice(1, 1, opt.fitted):mean(1)

-- ---- fields -------------------------------------------------------------------------------------------

-- In logarithms: d log h = alpha - beta l, d log l = delta h - gamma.
local function lotka_volterra()
  local p = cs.parameters { alpha = 0.5, beta = 0.025, gamma = 0.8, delta = 0.025, positive = true }
  return { parameters = { p }, field = function(_, v)
    local h, l = cs.exp(v):columns()
    return cs.stack { p.alpha - p.beta * l, p.delta * h - p.gamma }
  end }
end

local function neural()
  local net = cs.nn.mlp { 2, 16, 2, activation = "tanh", name = "neural" }
  return { parameters = { net }, net = net, field = function(_, v) return net(v - centre) end }
end

local function hybrid()
  local known = lotka_volterra()
  local net = cs.nn.mlp { 2, 8, 2, activation = "tanh", scale = 0.1, name = "correction" }
  return { parameters = { known.parameters[1], net }, net = net,
    field = function(time, v) return known.field(time, v) + net(v - centre) end }
end

-- ---- fitting --------------------------------------------------------------------------------------------

local function squares(net)
  local sum = 0
  for _, w in ipairs(net:tensors()) do sum = sum + (w ^ 2):sum() end
  return sum
end

-- Fits the first `count` years; returns the solution as a function of times. The start is learned
-- too: the first year's count is as uncertain as any other.
local function fit(make, count, decay)
  local c, start = make(), cs.parameters { u0 = u[1] }
  local times, target = t:slice(1, 1, count), u:slice(1, 1, count)
  local flow = cs.ode { field = c.field, solver = "tsit5", rtol = 1e-5, atol = 1e-6 }
  cs.train {
    parameters = { start, table.unpack(c.parameters) }, optimizer = cs.optim.adam { lr = opt.lr },
    clip = 10, steps = opt.steps, quiet = true,
    schedule = cs.schedule.cosine { steps = opt.steps, final = 0.01 },
    loss = function()
      local misfit = cs.loss.mse(flow(start.u0, times), target)
      return c.net and misfit + decay / (2 * count) * squares(c.net) or misfit
    end,
  }
  return function(at) return flow:solve(start.u0, at) end
end

-- Root mean squared error over years first .. last: in thousand pelts, and of the logarithms.
local function errors(v, first, last)
  local a, b = v:slice(1, first, last), u:slice(1, first, last)
  return ((cs.exp(a) - cs.exp(b)) ^ 2):mean():item() ^ 0.5, ((a - b) ^ 2):mean():item() ^ 0.5
end

local function choose_decay(make)
  local best, least = nil, math.huge
  for _, decay in ipairs { 0.03, 0.1, 0.3, 1, 3 } do
    local solution = fit(make, opt.fitted - opt.held_out, decay)(t)
    local _, error = errors(solution.values, opt.fitted - opt.held_out + 1, opt.fitted)
    if solution.status == "ok" and error < least then best, least = decay, error end
  end
  return best
end

-- ---- the comparison ---------------------------------------------------------------------------------------

local result, curves = {}, {}

local function report(name, v, decay)
  local fit_pelts, fit_log = errors(v, 1, opt.fitted)
  local pelts, log = errors(v, opt.fitted + 1, n)
  result[name] = { fit_rmse = fit_pelts, fit_rmse_log = fit_log, forecast_rmse = pelts, forecast_rmse_log = log,
    decay = decay }
  print(("%-15s fit %5.1f (log %.2f)   forecast %5.1f thousand pelts (log %.2f)%s"):format(name, fit_pelts, fit_log,
    pelts, log, decay and ("   decay %g"):format(decay) or ""))
end

local candidates = { { "lotka_volterra", lotka_volterra }, { "neural", neural }, { "hybrid", hybrid } }
for _, c in ipairs(candidates) do
  local name, make = c[1], c[2]
  local decay = make ~= lotka_volterra and choose_decay(make) or nil
  local follow = fit(make, opt.fitted, decay or 0)
  local solution = follow(t)
  if solution.status == "ok" then
    report(name, solution.values, decay)
    curves[#curves + 1] = { name = name, values = cs.exp(follow(cs.linspace(0, t[n], 401)).values) }
  else
    print(name .. ": " .. solution.message)
  end
end
report("persistence", u:slice(1, opt.fitted, opt.fitted) + cs.zeros_like(u))
cs.result(result)

local colour = { lotka_volterra = "#999999", neural = "#0072B2", hybrid = "#D55E00" }
for i, animal in ipairs { "hare", "lynx" } do
  local series = { { x = years, y = data.y:column(i), name = "counted", style = "points", colour = "#000000" } }
  for _, c in ipairs(curves) do
    series[#series + 1] = { x = cs.linspace(years[1], years[n], 401), y = c.values:column(i),
      name = c.name:gsub("_", "-"), colour = colour[c.name] }
  end
  cs.plot.lines { file = animal .. ".svg", xlabel = ("year (fitted to %d)"):format(years[opt.fitted]),
    ylabel = animal .. ", thousand pelts", series = series }
end
