-- SPDX-License-Identifier: GPL-3.0-or-later
-- A stiff problem, solved and learned. Robertson's three reactions
--
--     A -> B (k1),   B + B -> C + B (k2),   B + C -> A + C (k3)
--
-- have rates from 0.04 to 3e7: what an explicit method can follow only in steps of a thousandth, an implicit one
-- follows to t = 1e11 in a hundred or two. First every solver that this build has is asked, and one that is unsuited
-- says why; then the three constants are learned from noisy concentrations, from starts wrong by factors of three,
-- with the exact gradient of the implicit steps.
--
--   costate run examples/stiff.lua --out runs/stiff
local cs = require "costate"

local opt = cs.options { steps = 300, points = 40, noise = 0.03, lr = 0.05 }

local truth = { 0.04, 3e7, 1e4 }

local function robertson(k)
  return function(_, s)
    local a, b, c = s:columns()
    local slow, fast, turn = k[1] * a, k[2] * b ^ 2, k[3] * b * c
    return cs.stack { turn - slow, slow - turn - fast, fast }
  end
end

-- ---- who gets there --------------------------------------------------------------------------------------

local solvers = { "dopri5", "gsl.msadams", "trbdf2", "kencarp4", "kencarp5", "gsl.bsimp", "gsl.msbdf", "sundials.cvode_bdf",
  "sundials.ark_dirk" }
local reached = {}
for _, name in ipairs(solvers) do
  local known, flow = pcall(cs.ode, { field = robertson(truth), solver = name, rtol = 1e-6, atol = 1e-11, max_steps = 20000 })
  if known then
    local sol = flow:solve({ 1, 0, 0 }, { 0, 1e11 })
    reached[name:gsub("%.", "_")] = { status = sol.status, steps = sol.stats.accepted, evaluations = sol.stats.evaluations }
    print(("%-20s %-10s %6d steps %8d evaluations"):format(name, sol.status, sol.stats.accepted, sol.stats.evaluations))
    if sol.status ~= "ok" then print("    " .. sol.message) end
  end
end

-- ---- the constants, learned ------------------------------------------------------------------------------

local exponents = cs.linspace(-5, 5, opt.points)
local log10 <const> = math.log(10)
local times = cs.concat({ cs.tensor { 0 }, cs.exp(exponents * log10) }, 1)
local scale = cs.tensor { 1, 1e4, 1 } -- B stays below 4e-5
local function solve(k) return cs.ode { field = robertson(k), solver = "kencarp5", rtol = 1e-5, atol = 1e-9 } end
local exact = solve(truth)({ 1, 0, 0 }, times):slice(1, 2, opt.points + 1) * scale
local seen = exact * (1 + opt.noise * cs.rng(0, "noise"):normal { opt.points, 3 })

-- Logarithms of the constants, relative to where they start.
local start = { 0.12, 1e7, 3e4 }
local p = cs.parameters { shift = cs.tensor { 0, 0, 0 } }
local function constants()
  local k = {}
  for i = 1, 3 do k[i] = start[i] * cs.exp(p.shift:slice(1, i, i):reshape {}) end
  return k
end
local function model() return solve(constants())({ 1, 0, 0 }, times):slice(1, 2, opt.points + 1) * scale end
local before = model()

local trained = cs.train { parameters = p, optimizer = cs.optim.adam { lr = opt.lr }, steps = opt.steps,
  schedule = cs.schedule.cosine { steps = opt.steps, final = 0.02 }, loss = function() return cs.loss.mse(model(), seen) end }

local result, worst = { solvers = reached, loss = trained.loss }, 0
for i, k in ipairs(constants()) do
  local off = k:item() / truth[i] - 1
  worst = math.max(worst, math.abs(off))
  result["k" .. i] = k:item()
  print(("k%d = %.4g, from %.4g; true %.4g (%+.1f %%)"):format(i, k:item(), start[i], truth[i], 100 * off))
end
result.worst_relative_error = worst
cs.result(result)

local after, series = model(), {}
local x = times:slice(1, 2, opt.points + 1)
for i, species in ipairs { { "A", "#0072B2" }, { "10^4 B", "#D55E00" }, { "C", "#009E73" } } do
  local name, colour = species[1], species[2]
  series[#series + 1] = { x = x, y = before:column(i), name = i == 1 and "before" or nil, colour = "#bbbbbb" }
  series[#series + 1] = { x = x, y = after:column(i), name = name .. ", learned", colour = colour }
  series[#series + 1] = { x = x, y = seen:column(i), name = name .. ", seen", style = "points", colour = colour }
end
cs.plot.lines { file = "stiff.svg", xlabel = "time", ylabel = "concentration", logx = true, series = series }
