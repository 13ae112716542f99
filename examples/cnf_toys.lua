-- SPDX-License-Identifier: GPL-3.0-or-later
-- Continuous normalizing flows on eight densities of the plane, with the settings of the toy runs of FFJORD
-- (Grathwohl, Chen, Bettencourt, Sutskever, Duvenaud 2019): fresh batches of 100 points, a field of concatsquash layers
-- 2-64-64-64-2, exact trace, end time learned from 0.5, dopri5 at 1e-5, gradient by the continuous adjoint, Adam 1e-3.
-- Weights start by He's rule, from which the first hundreds of steps gain most; --init fan_in_uniform is the start of
-- PyTorch's layers.
--
--   costate run examples/cnf_toys.lua --out runs/toys                          all eight
--   costate run examples/cnf_toys.lua --data 8gaussians --seeds 3              one of them, mean of three seeds
--   costate run examples/cnf_toys.lua --data 8gaussians --T 1 --learn false --kinetic 0.1 --jacobian 0.01     fewer evaluations
--   costate run examples/cnf_toys.lua --data pinwheel --trace hutchinson       estimates of the trace in training
--   costate run examples/cnf_toys.lua --data image --path picture.png          a picture as a density
--   costate run examples/cnf_toys.lua --data pinwheel --conditional true       a density for each arm
--
-- Headline figures: test_nll in nats on 10 000 fresh points, with a standard error of about 0.01, beside `entropy`, the
-- least that any density can have; nfe_forward, mean of the last 100 steps; seconds_per_step.
-- Figures: cnf_toys.png, of one data set also its points on their way, KIND.png.
local cs = require "costate"
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."

local opt = cs.options { data = "all", steps = 10000, seeds = 1, batch = 100, lr = 1e-3, weight_decay = 1e-5,
  layer = "concatsquash", width = 64, blocks = 1, init = "he", T = 0.5, learn = true, trace = "exact", noise = "gaussian",
  kinetic = 0.0, jacobian = 0.0, gradient = "backsolve",
  conditional = false, path = here .. "/data/lambda.pgm", test = 10000, float = "f32", points = 160 }
cs.dtype(opt.float)

local kinds = { "8gaussians", "checkerboard", "moons", "2spirals", "pinwheel", "circles", "swissroll", "rings" }

local function data_of(kind)
  if opt.conditional and (kind == "image" or kind == "checkerboard" or kind == "swissroll") then
    error("--conditional is for one data set of several parts: 8gaussians moons 2spirals pinwheel circles rings", 0)
  end
  if kind == "image" then return cs.dataset "image" { path = opt.path } end
  return cs.dataset "toy2d" { kind = kind }
end

-- ---- training ---------------------------------------------------------------------------------------------

local function new_flow(data, name)
  local fields = {}
  local classes = opt.conditional and data.components or 0
  for i = 1, opt.blocks do
    fields[i] = cs.nn[opt.layer] { 2, opt.width, opt.width, opt.width, 2, init = opt.init, context = classes,
      name = ("%s/%d"):format(name, i) }
  end
  return cs.model "cnf.flow" { field = fields, T = { opt.T, learn = opt.learn }, classes = classes, trace = opt.trace,
    noise = opt.noise, kinetic = opt.kinetic, jacobian = opt.jacobian, solver = { gradient = opt.gradient }, name = name }
end

--- Points and, of a conditional flow, which component they are of: a batch, and the options of the flow's methods.
local function draw(data, rng, n)
  if not opt.conditional then return { x = data:draw(rng, n) } end
  local x, label = data:draw(rng, n, { label = true })
  return { x = x, label = label }
end

--- Mean of -log p on fresh points, a thousand at a time.
local function test_nll(m, data)
  local rng, sum, pieces = cs.rng(77), 0, math.max(1, opt.test // 1000)
  for _ = 1, pieces do
    local b = draw(data, rng, 1000)
    sum = sum - m:log_prob(b.x, { condition = b.label }):mean():item()
  end
  return sum / pieces
end

local function fit(kind, seed)
  local data = data_of(kind)
  local name = ("%s/%d"):format(kind, seed)
  local m = new_flow(data, name)
  local late, count = 0, 0
  local r = cs.train { parameters = m, name = name, steps = opt.steps, quiet = true, on_failure = "skip",
    optimizer = cs.optim.adam { lr = opt.lr, weight_decay = opt.weight_decay },
    batch = function(rng) return draw(data, rng, opt.batch) end,
    loss = function(b) return m:loss(b.x, { condition = b.label }) end,
    every = { [1] = function(run)
      if run.step > opt.steps - 100 then late, count = late + run.nfe_forward, count + 1 end
    end } }
  local result = { test_nll = test_nll(m, data), entropy = not opt.conditional and data.entropy or nil,
    nfe_forward = late / count, seconds_per_step = r.seconds / r.steps,
    T = opt.learn and cs.square(m.parameters["time1.root"]):item() or opt.T }
  local entropy = result.entropy and (" (entropy %.3f)"):format(result.entropy) or ""
  print(("%-12s seed %d: test nll %.3f%s, %.0f evaluations, %.1f ms a step, T %.2f"):format(kind, seed, result.test_nll, entropy,
    result.nfe_forward, 1e3 * result.seconds_per_step, result.T))
  return m, data, result
end

local function mean_of(list, key)
  local sum = 0
  for _, r in ipairs(list) do sum = sum and r[key] and sum + r[key] end
  return sum and sum / #list
end

-- ---- figures ------------------------------------------------------------------------------------------------

local function axes(data, title)
  local box = data.box
  return { title = title, xrange = box, yrange = box, equal = true, key = "off" }
end

local function with(panel, more)
  for k, v in pairs(more) do panel[k] = v end
  return panel
end

local function scatter(x) return { x = x:column(1), y = x:column(2), style = "dots", colour = "#0072B2" } end

--- p(x); of a conditional flow the mean over classes.
local function density(m, data)
  return function(x)
    if not opt.conditional then return cs.exp(m:log_prob(x)) end
    local sum = 0
    for k = 0, data.components - 1 do
      sum = sum + cs.exp(m:log_prob(x, { condition = cs.full(k, { x.shape[1] }) })) / data.components
    end
    return sum
  end
end

local function samples(m, data, n)
  local condition
  if opt.conditional then condition = cs.floor(cs.rng(2):uniform { n } * data.components) end
  return m:sample(cs.rng(1), n, { condition = condition }), condition
end

--- Data, density and samples.
local function three(m, data, kind)
  return with(axes(data, kind), { series = { scatter(data:draw(cs.rng(3), 2000)) } }),
    with(axes(data, "density"), { density = density(m, data), points = opt.points }),
    with(axes(data, "samples"), { series = { scatter((samples(m, data, 2000))) } })
end

--- Points of the base on their way to the data, and the paths of some.
local function way(m, data, kind)
  local panels, rng = {}, cs.rng(4)
  local n, condition = 2000, nil
  if opt.conditional then condition = cs.floor(rng:uniform { n } * data.components) end
  local z = m.options.base.draw(rng, n)
  local path = m:transport(z, 33, { from = "base", condition = condition })
  for _, i in ipairs { 1, 9, 17, 25, 33 } do
    local at = cs.slice(path, 2, i, i):reshape(n, 2)
    panels[#panels + 1] = with(axes(data, ("%g of the way"):format((i - 1) / 32)), { series = { scatter(at) } })
  end
  local lines = {}
  for k = 1, 60 do lines[k] = { x = path[k]:column(1), y = path[k]:column(2), colour = "#999999" } end
  local ends = cs.slice(cs.slice(path, 1, 1, 60), 2, 33, 33):reshape(60, 2)
  lines[61] = { x = ends:column(1), y = ends:column(2), style = "points", colour = "#0072B2" }
  panels[#panels + 1] = with(axes(data, "paths"), { series = lines })
  cs.plot.panels { file = kind .. ".png", panels = panels, columns = 6, width = 1500, height = 280 }
end

-- ---- the runs ------------------------------------------------------------------------------------------------

local result, panels = { steps = opt.steps, seeds = opt.seeds }, {}
for _, kind in ipairs(opt.data == "all" and kinds or { opt.data }) do
  local list, first, data = {}, nil, nil
  for seed = 1, opt.seeds do
    local m, set, r = fit(kind, seed)
    list[seed], first, data = r, first or m, set
  end
  local own = opt.data == "all" and {} or result
  for _, key in ipairs { "test_nll", "entropy", "nfe_forward", "seconds_per_step", "T" } do own[key] = mean_of(list, key) end
  if opt.data == "all" then result[kind] = own else way(first, data, kind) end
  for _, panel in ipairs { three(first, data, kind) } do panels[#panels + 1] = panel end
end
cs.result(result)
if opt.data == "all" then
  cs.plot.panels { file = "cnf_toys.png", panels = panels, columns = 6, width = 1100, height = 800 }
else
  cs.plot.panels { file = "cnf_toys.png", panels = panels, columns = 3, width = 1100, height = 400 }
end
