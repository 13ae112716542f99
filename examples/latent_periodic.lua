-- SPDX-License-Identifier: GPL-3.0-or-later
-- A latent ODE on a thousand sines z + sin(2 pi f t) that differ in frequency f ~ U(0.4, 0.8) and level
-- z ~ N(1, 0.1^2), on a hundred irregular times in [0, 5] that all share: the toy set of Rubanova, Chen, Duvenaud,
-- "Latent ODEs for irregularly-sampled time series" (2019), with their settings.
--   interpolation   fifty of the times, others for every series and epoch, are seen; all are predicted. An ODE-RNN
--                   goes backwards through what is seen and gives q(z0); samples of z0 follow dz/dt = f(z).
--   extrapolation   the first half is seen; training explains all of a series, the test counts the second half.
--                   Beside it the RNN-VAE, whose decoder is a GRU that is told the gaps.
-- With --compare true every model of the family is trained on both tasks, on the same series.
-- The observation noise of 0.01 makes errors of the first epochs 10^5 nats a series and their gradients as large:
-- they are clipped, since Adamax divides by the largest it has seen.
--
--   costate run examples/latent_periodic.lua --out runs/latent_periodic
local cs = require "costate"

local opt = cs.options { epochs = 150, seeds = 3, series = 1000, points = 100, seen = 50, batch = 50, samples = 3, lr = 1e-2,
  clip = 10.0, float = "f32", extrapolation = true, compare = false }
cs.dtype(opt.float)

-- ---- data -----------------------------------------------------------------------------------------------

local function periodic(seed)
  local rng, times, values = cs.rng(seed, "periodic"), { 0 }, {}
  for i = 2, opt.points do times[i] = 5 * rng:uniform() end
  table.sort(times)
  for i = 1, opt.series do
    local f, level, y = 0.4 + 0.4 * rng:uniform(), 1 + 0.1 * rng:normal(), {}
    for k, t in ipairs(times) do
      y[k] = level + math.sin(2 * math.pi * f * t) + (k > 1 and 0.01 * rng:uniform() or 0)
    end
    values[i] = y
  end
  return { t = times, y = values, n = opt.series }
end

--- Series of some rows at some times, all observed. places[i]: which times those of row i are.
local function series(data, rows, places)
  local t, y = {}, {}
  for i, row in ipairs(rows) do
    t[i], y[i] = {}, {}
    for k, place in ipairs(places(i)) do t[i][k], y[i][k] = data.t[place], { data.y[row][place] } end
  end
  local n, m = #rows, #t[1]
  return { t = cs.rows(cs.tensor(t, "f64")), y = cs.rows(cs.tensor(y)), mask = cs.rows(cs.ones(n, m, 1)),
    lengths = cs.rows(cs.full(m, n, "f64")) }
end

local function range(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = i end
  return list
end

local function choice(rng, n, k)
  local list = rng:choose(n, k):totable()
  for i, x in ipairs(list) do list[i] = x + 1 end
  table.sort(list)
  return list
end

-- What is seen and what is predicted of rows, by task.
local tasks = {}

function tasks.interpolation(data, rows, rng)
  local all = range(1, #data.t)
  local b = series(data, rows, function() return all end)
  b.seen = series(data, rows, function() return choice(rng, #data.t, opt.seen) end)
  b.shared_times = cs.tensor(data.t, "f64")
  return b
end

function tasks.extrapolation(data, rows, _, test)
  local all, half, mask = range(1, #data.t), 1, {}
  while data.t[half + 1] < 2.5 do half = half + 1 end
  local b = series(data, rows, function() return all end)
  b.seen = series(data, rows, function() return range(1, half) end)
  b.shared_times = cs.tensor(data.t, "f64")
  for k = 1, #all do mask[k] = { test and k <= half and 0 or 1 } end
  b.mask = b.mask * cs.tensor { mask }
  return b
end

--- Batches of the first 80 % of the rows, in a new order every epoch, and the others as one.
local function split(data, task, seed)
  local rng, cut = cs.rng(seed, "batches"), math.floor(0.8 * data.n)
  local order, at = nil, cut
  local function next_batch()
    if at + opt.batch > cut then order, at = rng:permutation(cut):totable(), 0 end
    local rows = {}
    for i = 1, opt.batch do rows[i] = order[at + i] + 1 end -- permutations count from 0
    at = at + opt.batch
    return task(data, rows, rng)
  end
  local batches = setmetatable({ per_epoch = cut // opt.batch }, { __call = next_batch })
  return batches, task(data, range(cut + 1, data.n), cs.rng(seed, "test"), true)
end

-- ---- training ---------------------------------------------------------------------------------------------

local latent = { model = true, rnn_vae = true } -- the others go forward

local function new_model(kind, name)
  local o = { channels = 1, hidden = 20, gru_units = 100, units = 100, encoder_layers = 2, noise = 0.01, name = name }
  if latent[kind] then o.latent, o.layers, o.origin = 10, 2, 0 end
  return cs.model("latent_ode." .. kind)(o)
end

local fitted = {}

local function fit(kind, task, seed)
  local name = ("%s %s %d"):format(kind, task, seed)
  if fitted[name] then return fitted[name] end
  local data = periodic(seed)
  local batches, test = split(data, tasks[task], seed)
  local m = new_model(kind, name)
  local r = cs.train { parameters = m, epochs = opt.epochs, batch = batches, clip = opt.clip, on_failure = "skip", quiet = true,
    optimizer = cs.optim.adamax { lr = opt.lr }, name = m.name,
    schedule = cs.schedule.exponential { decay = 0.999, least = opt.lr / 10 },
    loss = function(b, run)
      return m:loss(b, { samples = opt.samples, kl = cs.anneal(run.epoch, { from = 10, rate = 0.99 }) })
    end,
    validate = function() return m:mse(test) end }
  local mse = m:mse(test)
  print(("%-10s %s, seed %d: test MSE %.5f, %.2f s an epoch"):format(kind, task, seed, mse, r.seconds / opt.epochs))
  fitted[name] = { model = m, test = test, data = data, mse = mse, seconds = r.seconds / opt.epochs }
  return fitted[name]
end

-- ---- the figures ------------------------------------------------------------------------------------------

local function panel(f, row, title)
  local mean, std = f.model:predict(f.test, { samples = 30 })
  local t, m, s, seen = f.test.t[row]:totable(), mean[row]:reshape(-1), std[row]:reshape(-1), f.test.seen
  local x, y = {}, {}
  for k = 1, #t do x[k], y[k] = t[k], m[k] - 2 * s[k] end
  for k = #t, 1, -1 do x[#x + 1], y[#y + 1] = t[k], m[k] + 2 * s[k] end
  return { title = title, xlabel = "t", yrange = { -0.5, 2.5 }, key = "off", series = {
    { x = x, y = y, style = "region", colour = "#56B4E9" },
    { x = t, y = m, colour = "#0072B2" },
    { x = f.data.t, y = f.data.y[math.floor(0.8 * f.data.n) + row], colour = "#999999", style = "dashes" },
    { x = seen.t[row], y = seen.y[row]:reshape(-1), style = "points", colour = "#000000" } } }
end

local sum, seconds, first = 0, 0, nil
for seed = 1, opt.seeds do
  local f = fit("model", "interpolation", seed)
  first = first or f
  sum, seconds = sum + f.mse, seconds + f.seconds
end
local result = { test_mse = sum / opt.seeds, seconds_per_epoch = seconds / opt.seeds, epochs = opt.epochs, seeds = opt.seeds }
local panels = { panel(first, 1, "half of the points seen"), panel(first, 2, "another series") }
if opt.extrapolation then
  for _, kind in ipairs { "model", "rnn_vae" } do
    local f = fit(kind, "extrapolation", 1)
    result["extrapolation_mse_" .. (kind == "model" and "latent_ode" or kind)] = f.mse
    panels[#panels + 1] = panel(f, 1, kind == "model" and "the first half seen: latent ODE" or "the same: RNN-VAE")
  end
end
if opt.compare then
  result.compare = {}
  local lines = { ("%-10s %14s %14s   test MSE"):format("", "interpolation", "extrapolation") }
  for _, kind in ipairs { "model", "rnn_vae", "ode_rnn", "gru_d", "rnn_decay", "rnn_dt" } do
    local row = { interpolation = fit(kind, "interpolation", 1).mse, extrapolation = fit(kind, "extrapolation", 1).mse }
    lines[#lines + 1] = ("%-10s %14.5f %14.5f"):format(kind, row.interpolation, row.extrapolation)
    result.compare[kind] = row
  end
  print(table.concat(lines, "\n"))
end
cs.result(result)
cs.plot.panels { file = "latent_periodic.svg", panels = panels, width = 960, height = 560 }
