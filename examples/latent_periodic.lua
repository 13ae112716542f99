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

-- What is seen; the loss explains all of a series.
local tasks = {
  interpolation = { kind = "interpolation", count = opt.seen },
  extrapolation = { kind = "extrapolation", share = 0.5, predict = "all" },
}

local function task(set, kind, seed)
  local o = { seed = seed }
  for k, x in pairs(tasks[kind]) do o[k] = x end
  return set:task(o)
end

--- A batch of which an error counts the second half alone. The times stay: an RNN goes through all of them.
local function second_half(b)
  local out, s = {}, b.mask.shape
  for k, x in pairs(b) do out[k] = x end
  local late = cs.gt(b.t, 0.5 * b.shared_times[opt.points])
  out.mask = b.mask * cs.cast(late, cs.dtype()):reshape(s)
  return out
end

-- ---- training ---------------------------------------------------------------------------------------------

local latent = { model = true, rnn_vae = true } -- the others go forward

local function new_model(kind, name)
  local o = { channels = 1, hidden = 20, gru_units = 100, units = 100, encoder_layers = 2, noise = 0.01, name = name }
  if latent[kind] then o.latent, o.layers, o.origin = 10, 2, 0 end
  return cs.model("latent_ode." .. kind)(o)
end

local fitted = {}

local function fit(kind, what, seed)
  local name = ("%s %s %d"):format(kind, what, seed)
  if fitted[name] then return fitted[name] end
  local data = cs.dataset "periodic" { series = opt.series, points = opt.points, seed = seed }
  local train, test = data:split { test = 0.2, seed = seed }
  local all = task(test, what, seed):all()
  local counted = what == "extrapolation" and second_half(all) or all
  local m = new_model(kind, name)
  local r = cs.train { parameters = m, epochs = opt.epochs, name = m.name, clip = opt.clip, on_failure = "skip", quiet = true,
    batch = task(train, what, seed):batches { size = opt.batch, shuffle = true },
    optimizer = cs.optim.adamax { lr = opt.lr }, schedule = cs.schedule.exponential { decay = 0.999, least = opt.lr / 10 },
    loss = function(b, run)
      return m:loss(b, { samples = opt.samples, kl = cs.anneal(run.epoch, { from = 10, rate = 0.99 }) })
    end,
    validate = function() return m:mse(counted) end }
  local mse = m:mse(counted)
  print(("%-10s %s, seed %d: test MSE %.5f, %.2f s an epoch"):format(kind, what, seed, mse, r.seconds / opt.epochs))
  fitted[name] = { model = m, mse = mse, seconds = r.seconds / opt.epochs, test = all }
  return fitted[name]
end

-- ---- the figures ------------------------------------------------------------------------------------------

local function panel(f, row, title)
  local b = f.test
  local mean, std = f.model:predict(b, { samples = 30 })
  local t, m, s = b.t[row]:totable(), mean[row]:reshape(-1), std[row]:reshape(-1)
  local n = math.tointeger(b.seen.lengths[row])
  local seen = { x = b.seen.t[row]:totable(), y = b.seen.y[row]:reshape(-1):totable() }
  for i = n + 1, #seen.x do seen.x[i], seen.y[i] = nil, nil end
  local x, y = {}, {}
  for k = 1, #t do x[k], y[k] = t[k], m[k] - 2 * s[k] end
  for k = #t, 1, -1 do x[#x + 1], y[#y + 1] = t[k], m[k] + 2 * s[k] end
  return { title = title, xlabel = "t", yrange = { -0.5, 2.5 }, key = "off", series = {
    { x = x, y = y, style = "region", colour = "#56B4E9" },
    { x = t, y = m, colour = "#0072B2" },
    { x = t, y = b.y[row]:reshape(-1), colour = "#999999", style = "dashes" },
    { x = seen.x, y = seen.y, style = "points", colour = "#000000" } } }
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
