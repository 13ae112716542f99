-- SPDX-License-Identifier: GPL-3.0-or-later
-- Hare and lynx pelts of the Hudson's Bay Company, 1900-1920: what does a neural ODE learn from 16
-- years, and what is known physics worth? Two fields are fitted on 1900-1915 and followed through
-- 1916-1920, which neither has seen:
--   neural    a network alone
--   hybrid    the Lotka-Volterra equations with learned coefficients, plus a small network
-- Both work on the logarithms u = log(pelts), so that populations stay positive. The yardsticks are
-- persistence (the last year fitted, for ever) and Lotka-Volterra without a network.
--
--   costate run examples/lynx_hare.lua --out runs/lynx_hare
local cs = require "costate"

local opt = cs.options {
  steps = 3000,
  fitted = 16,     -- years used for the fit
  decay = 1e-2,    -- weight of the squared network parameters
  lr = 1e-2,
}

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
local data = cs.dataset "csv" { path = here .. "/data/hudson_bay.csv", time = "year", columns = "hare,lynx" }
local years, n = data.t, #data.t
local t = years - years[1]
local u = cs.log(data.y)
local fit_t, fit_u = t:slice(1, 1, opt.fitted), u:slice(1, 1, opt.fitted)

-- ---- fields -------------------------------------------------------------------------------------------

-- In logarithms: d log h = alpha - beta l, d log l = delta h - gamma.
local function lotka_volterra(p)
  return function(_, v)
    local h, l = cs.exp(v):columns()
    return cs.stack { p.alpha - p.beta * l, p.delta * h - p.gamma }
  end
end

local function coefficients()
  return cs.parameters { alpha = 0.5, beta = 0.025, gamma = 0.8, delta = 0.025, positive = true }
end

local function candidates()
  local bare, hybrid_p = coefficients(), coefficients()
  local alone = cs.nn.mlp { 2, 16, 2, activation = "tanh", name = "alone" }
  local correction = cs.nn.mlp { 2, 8, 2, activation = "tanh", scale = 0.1, name = "correction" }
  local centre = u:mean(1)
  local known = lotka_volterra(hybrid_p)
  return {
    { name = "lotka_volterra", parameters = bare, field = lotka_volterra(bare) },
    { name = "neural", parameters = alone, nets = { alone }, field = function(_, v) return alone(v - centre) end },
    { name = "hybrid", parameters = { hybrid_p, correction }, nets = { correction },
      field = function(time, v) return known(time, v) + correction(v - centre) end },
  }
end

-- ---- fitting --------------------------------------------------------------------------------------------

-- Squared network weights: 252 numbers against 32 observations need a reason to stay small.
local function weight(nets)
  local sum = 0
  for _, net in ipairs(nets or {}) do sum = sum + (net.flat ^ 2):sum() end
  return sum
end

-- The start is learned too: the first year's count is as uncertain as any other.
local function fit(c)
  local start = cs.parameters { u0 = u[1] }
  local flow = cs.ode { field = c.field, solver = "tsit5", rtol = 1e-5, atol = 1e-6 }
  local list = { start }
  for _, m in ipairs(#c.parameters > 0 and c.parameters.flat == nil and c.parameters or { c.parameters }) do list[#list + 1] = m end
  local trained = cs.train {
    name = c.name, parameters = list, optimizer = cs.optim.adam { lr = opt.lr }, clip = 10, steps = opt.steps,
    schedule = cs.schedule.cosine { steps = opt.steps, final = 0.01 },
    loss = function() return cs.loss.mse(flow(start.u0, fit_t), fit_u) + opt.decay / 32 * weight(c.nets) end,
  }
  return flow:solve(start.u0, t), trained
end

-- Root mean squared error in thousand pelts, and of the logarithms.
local function errors(v, first, last)
  local a, b = v:slice(1, first, last), u:slice(1, first, last)
  local pelts = ((cs.exp(a) - cs.exp(b)) ^ 2):mean():item() ^ 0.5
  return pelts, ((a - b) ^ 2):mean():item() ^ 0.5
end

-- ---- the comparison ----------------------------------------------------------------------------------------

local result, curves = {}, {}
local function report(name, v)
  local fit_pelts, fit_log = errors(v, 1, opt.fitted)
  local pelts, log = errors(v, opt.fitted + 1, n)
  result[name] = { fit_rmse = fit_pelts, fit_rmse_log = fit_log, forecast_rmse = pelts, forecast_rmse_log = log }
  print(("%-16s fit %5.1f (log %.2f)   forecast %5.1f thousand pelts (log %.2f)"):format(name, fit_pelts, fit_log, pelts, log))
end

for _, c in ipairs(candidates()) do
  local solution = fit(c)
  if solution.status == "ok" then
    report(c.name, solution.values)
    curves[#curves + 1] = { name = c.name, values = cs.exp(solution.values) }
  else
    print(c.name .. ": " .. solution.message)
  end
end
local last = u:slice(1, opt.fitted, opt.fitted)
report("persistence", last + cs.zeros_like(u))
cs.result(result)

for i, animal in ipairs { "hare", "lynx" } do
  local series = { { x = years, y = data.y:column(i), name = "counted", style = "points", colour = "#000000" } }
  local colour = { lotka_volterra = "#999999", neural = "#0072B2", hybrid = "#D55E00" }
  for _, c in ipairs(curves) do
    series[#series + 1] = { x = years, y = c.values:column(i), name = c.name:gsub("_", "-"), colour = colour[c.name] }
  end
  cs.plot.lines { file = animal .. ".svg", xlabel = "year (fitted to 1915)", ylabel = animal .. ", thousand pelts", series = series }
end
