-- SPDX-License-Identifier: GPL-3.0-or-later
-- A latent ODE on noisy pieces of two spirals in the plane, one for each sense of rotation: the toy set and the
-- model of Chen, Rubanova, Bettencourt, Duvenaud, "Neural ordinary differential equations" (2018), section 5.1, as
-- torchdiffeq's latent_ode.py has them. A tanh RNN of 25 units reads 100 points backwards and gives q(z0), z in R^4;
-- dz/dt is a network 4-20-20-4 (ELU), the decoder 4-20-2, the noise 0.3. Differences: the decoder is ELU too, the
-- head of the encoder has a hidden layer, batches are of 100 series and tolerances 1e-3 and 1e-4.
-- Training explains the points that are seen, no more. On series of its own the test goes on for 100 points that
-- nobody saw, and is compared with the spiral without noise. Beside it the RNN-VAE, whose decoder is a GRU that is
-- told the gaps; its state has 20 numbers, for with four it does not even follow what is seen.
--
--   costate run examples/latent_spiral.lua --out runs/latent_spiral
local cs = require "costate"

local opt = cs.options { epochs = 600, seeds = 3, series = 1000, test = 200, points = 100, batch = 100, samples = 1,
  lr = 1e-2, final = 0.05, rtol = 1e-3, clip = 100.0, float = "f32" }
cs.dtype(opt.float)

-- ---- data -----------------------------------------------------------------------------------------------

local kept <const> = { "t", "y", "mask", "point_clean" }

--- Points `first` to `last` of some rows of a set whose series are all as long.
local function part(data, rows, first, last)
  local b = { shared_times = data.shared_times:slice(1, first, last),
    lengths = cs.rows(cs.full(last - first + 1, rows[2] - rows[1] + 1, "f64")) }
  for _, k in ipairs(kept) do b[k] = cs.rows(data[k]:slice(1, rows[1], rows[2]):slice(2, first, last)) end
  return b
end

--- Windows to learn from; and others, twice as long, of which the first half is seen.
local function sets()
  local n, held_out = opt.series, { opt.series + 1, opt.series + opt.test }
  local train = cs.dataset "spirals2d" { series = n, points = opt.points }
  local long = cs.dataset "spirals2d" { series = held_out[2], points = 2 * opt.points }
  local test = part(long, held_out, 1, 2 * opt.points)
  test.seen, test.label = part(long, held_out, 1, opt.points), long.label:slice(1, table.unpack(held_out))
  return train, test
end

-- ---- training ---------------------------------------------------------------------------------------------

local titles <const> = { model = "latent ODE", rnn_vae = "RNN-VAE" }

local function new_model(kind, seed)
  local o = { channels = 2, latent = 4, encoder = "rnn", hidden = 25, units = 20, layers = 2, decoder_layers = 1,
    activation = "elu", noise = 0.3, name = ("%s %d"):format(kind, seed) }
  if kind == "rnn_vae" then o.latent, o.gru_units = 20, 20 end
  if kind == "model" then o.solver = { rtol = opt.rtol, atol = opt.rtol / 10 } end
  return cs.model("latent_ode." .. kind)(o)
end

--- Root of the mean square distance of a coordinate from that of the spiral without noise.
local function errors(mean, test)
  local square = (mean - test.point_clean) ^ 2
  local n = opt.points
  return { observed = square:slice(2, 1, n):mean():item() ^ 0.5,
    extrapolated = square:slice(2, n + 1, 2 * n):mean():item() ^ 0.5 }
end

local function fit(kind, train, test, seed)
  local m = new_model(kind, seed)
  local r = cs.train { parameters = m, epochs = opt.epochs, clip = opt.clip, on_failure = "skip", quiet = true,
    batch = train:batches { size = opt.batch, shuffle = true }, optimizer = cs.optim.adam { lr = opt.lr }, name = m.name,
    schedule = cs.schedule.cosine { steps = opt.epochs * (opt.series // opt.batch), final = opt.final },
    loss = function(b) return m:loss(b, { samples = opt.samples }) end }
  local e = errors(m:predict(test, { samples = 0 }), test)
  e.elbo, e.seconds_per_epoch, e.model = m:elbo(test.seen, { samples = 10 }):item(), r.seconds / opt.epochs, m
  print(("%-10s seed %d: error %.4f at the points seen, %.4f beyond them; ELBO of the points seen %.1f; %.2f s an epoch"):format(
    titles[kind], seed, e.observed, e.extrapolated, e.elbo, e.seconds_per_epoch))
  return e
end

-- ---- the figure -------------------------------------------------------------------------------------------

--- A path [T, 2], or each `every`-th point of it.
local function curve(y, more, every)
  more.x, more.y = {}, {}
  for k, at in ipairs(y:totable()) do
    if k % (every or 1) == 0 then more.x[#more.x + 1], more.y[#more.y + 1] = at[1], at[2] end
  end
  return more
end

--- Paths of draws of z0 of a row, [draws, T, 2].
local function draws_of(m, test, row, draws)
  local mean, std = m:encode(test)
  local z0 = mean[row] + std[row] * cs.random.normal { draws, mean.shape[2] }
  return m:decode(cs.rows(z0), test.shared_times)
end

--- A square with room around a spiral, the same for all models.
local function square_around(y)
  local low, high, half = y:min(1), y:max(1), 0
  for k = 1, 2 do half = math.max(half, (high[k] - low[k]) / 2 + 0.8) end
  local function range(k) return { (low[k] + high[k]) / 2 - half, (low[k] + high[k]) / 2 + half } end
  return range(1), range(2)
end

local function panel(f, test, row, title)
  local xrange, yrange = square_around(test.point_clean[row])
  local n, list = opt.points, {}
  local mean, all = f.model:predict(test, { samples = 0 })[row], draws_of(f.model, test, row, 20)
  for i = 1, 20 do list[i] = curve(all[i], { colour = "#d0e6f5" }, 4) end
  list[#list + 1] = curve(test.point_clean[row], { style = "dashes", colour = "#999999" })
  list[#list + 1] = curve(test.seen.y[row], { style = "points", colour = "#000000" })
  list[#list + 1] = curve(mean:slice(1, 1, n), { colour = "#0072B2" })
  list[#list + 1] = curve(mean:slice(1, n, 2 * n), { colour = "#D55E00" })
  return { title = title, key = "off", equal = true, xrange = xrange, yrange = yrange, series = list }
end

--- The first two test series of either sense of rotation.
local function rows_to_draw(test)
  local rows, count = {}, { [0] = 0, 0 }
  for row = 1, opt.test do
    local label = test.label[row]
    count[label] = count[label] + 1
    if count[label] <= 2 then rows[#rows + 1] = row end
  end
  return rows
end

-- ---- the run ------------------------------------------------------------------------------------------------

local train, test = sets()
local result, panels, first = {}, {}, {}
for _, kind in ipairs { "model", "rnn_vae" } do
  local sum = {}
  for seed = 1, opt.seeds do
    local f = fit(kind, train, test, seed)
    first[kind] = first[kind] or f
    for k, x in pairs(f) do if k ~= "model" then sum[k] = (sum[k] or 0) + x / opt.seeds end end
  end
  print(("%-10s mean of %d seeds: error %.4f at the points seen, %.4f beyond them"):format(titles[kind], opt.seeds,
    sum.observed, sum.extrapolated))
  result[kind] = sum
end
local rows = rows_to_draw(test)
for _, kind in ipairs { "model", "rnn_vae" } do
  for _, row in ipairs(rows) do panels[#panels + 1] = panel(first[kind], test, row, titles[kind]) end
end
cs.result { latent_ode = result.model, rnn_vae = result.rnn_vae, epochs = opt.epochs, seeds = opt.seeds }
cs.plot.panels { file = "latent_spiral.svg", panels = panels, columns = #rows, width = 1080, height = 560 }
