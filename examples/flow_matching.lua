-- SPDX-License-Identifier: GPL-3.0-or-later
-- One field, two ways to train it. Maximum likelihood solves dz/dt = f(t, z) for every batch; flow matching (Lipman, Chen,
-- Ben-Hamu, Nickel, Le 2023) regresses f on the velocity of straight lines between points of the data and of the base and
-- solves nothing. Both fields give densities and samples by the same calls; the likelihood is exact for both.
--
--   costate run examples/flow_matching.lua --out runs/matching
--   costate run examples/flow_matching.lua --data checkerboard
--
-- Headline figures: test_nll of both beside the entropy of the data, seconds_per_step, seconds, and how many
-- evaluations of f a density takes afterwards. Figure: flow_matching.png.
local cs = require "costate"

local opt = cs.options { data = "pinwheel", steps = 100000, likelihood_steps = 2000, batch = 256, lr = 2e-3, width = 64,
  sigma = 0.0, test = 10000, float = "f32", points = 160 }
cs.dtype(opt.float)

local data = cs.dataset "toy2d" { kind = opt.data }

local ways = {
  matching = { steps = opt.steps, T = 1, loss = function(m, x) return m:matching(x, { sigma = opt.sigma }) end },
  likelihood = { steps = opt.likelihood_steps, T = { 0.5, learn = true }, loss = function(m, x) return m:loss(x) end },
}

local function test_nll(m)
  local rng, sum, most = cs.rng(77), 0, 0
  for _ = 1, math.max(1, opt.test // 1000) do
    sum = sum - m:log_prob(data:draw(rng, 1000)):mean():item()
    most = math.max(most, m:evaluations())
  end
  return sum / math.max(1, opt.test // 1000), most
end

local function fit(name)
  local way = ways[name]
  local net = cs.nn.concatsquash { 2, opt.width, opt.width, opt.width, 2, init = "fan_in_uniform", name = name }
  local m = cs.model "cnf.flow" { field = net, T = way.T, name = name .. "/flow" }
  local r = cs.train { parameters = m, name = name, steps = way.steps, quiet = true,
    optimizer = cs.optim.adam { lr = opt.lr }, schedule = cs.schedule.cosine { steps = way.steps, final = 1e-2 },
    batch = function(rng) return data:draw(rng, opt.batch) end, loss = function(x) return way.loss(m, x) end }
  local nll, evaluations = test_nll(m)
  print(("%-10s test nll %.3f (entropy %.3f), %d steps of %.2f ms, %d evaluations a density"):format(name, nll, data.entropy,
    r.steps, 1e3 * r.seconds / r.steps, evaluations))
  return m, { test_nll = nll, seconds_per_step = r.seconds / r.steps, seconds = r.seconds, evaluations = evaluations }
end

local function panel(title, more)
  local p = { title = title, xrange = data.box, yrange = data.box, equal = true, key = "off" }
  for k, v in pairs(more) do p[k] = v end
  return p
end

local result, panels = { entropy = data.entropy }, {}
for _, name in ipairs { "matching", "likelihood" } do
  local m, r = fit(name)
  result[name] = r
  local x = m:sample(cs.rng(1), 2000)
  local path = m:transport(cs.rows(cs.rng(2):normal { 60, 2 }), 33, { from = "base" })
  local lines = {}
  for k = 1, 60 do lines[k] = { x = path[k]:column(1), y = path[k]:column(2), colour = "#999999" } end
  local dots = { x = x:column(1), y = x:column(2), style = "dots", colour = "#0072B2" }
  local function density(p) return cs.exp(m:log_prob(p)) end
  panels[#panels + 1] = panel("density by " .. name, { density = density, points = opt.points })
  panels[#panels + 1] = panel("samples", { series = { dots } })
  panels[#panels + 1] = panel("from base to data", { series = lines })
end
cs.result(result)
cs.plot.panels { file = "flow_matching.png", panels = panels, columns = 3, width = 1100, height = 760 }
