-- SPDX-License-Identifier: GPL-3.0-or-later
-- When somebody looks says something about what there is to see. Each series is an oscillation (x1, x2) =
-- A (cos p, sin p), p = w t + p0, of an amplitude and a phase of its own; x1 with noise is seen at the times of a
-- Poisson process whose rate, e^(2 x2), goes with the other component. Two latent ODEs read the same series:
--   without   the times are given: q(z0) is trained on the values alone
--   with      poisson = "times": the rate is a function g(z) of the latent state, and sum_i log g(z(t_i)) - int g dt
--             over the window is a term of the bound
-- On series held out, in nats a series:
--   values    log p(y | t), of values given their times: log p(y, t) - log p(t) with the term, log p(y) without
--   both      log p(y, t); without the term the rate is a constant, that of the training series
-- The bounds are those of many samples (IWAE), log p(t) is a mean over z0 ~ N(0, I), with the model taken apart.
-- The truth is known, so the best that a model can reach is computed too: both integrals over A and p0 on a grid.
--
--   costate run examples/latent_poisson.lua --out runs/latent_poisson
local cs = require "costate"

local opt = cs.options { epochs = 300, splits = 3, series = 1000, batch = 50, lr = 1e-2, final = 0.05, draws = 500,
  prior = 1000, rate = 1.0, gain = 2.0, noise = 0.3, frequency = 1.5, t1 = 10.0, clip = 100.0, float = "f32" }
cs.dtype(opt.float)

local data = cs.dataset "poisson_sampled" { series = opt.series, rate = opt.rate, gain = opt.gain, noise = opt.noise,
  frequency = opt.frequency, t1 = opt.t1 }

-- ---- training ---------------------------------------------------------------------------------------------

local function fit(way, train, seed)
  local m = cs.model "latent_ode.model" { channels = 1, latent = 4, units = 30, origin = 0, noise = "learn",
    noise_start = 0.5, poisson = way == "with" and "times", name = ("%s %d"):format(way, seed) }
  local r = cs.train { parameters = m, epochs = opt.epochs, clip = opt.clip, on_failure = "skip", quiet = true, name = m.name,
    batch = train:batches { size = opt.batch, shuffle = true }, optimizer = cs.optim.adam { lr = opt.lr },
    schedule = cs.schedule.cosine { steps = opt.epochs * (train.y.shape[1] // opt.batch), final = opt.final },
    loss = function(b) return m:loss(b) end }
  return m, r.seconds / opt.epochs
end

-- ---- likelihoods ------------------------------------------------------------------------------------------

--- log of the mean of e^x along the last axis.
local function log_mean_exp(x)
  local last = x.rank
  return cs.loss.log_mean_exp(x, { axis = last })
end

--- log p(t) of the times of a batch, a mean over rows, by the parts of a model: z0 ~ N(0, I) is followed, the
--- integral of the rate is a quadrature beside it.
local function log_times(m, b)
  local function rate(z) return cs.softplus(m.parts.intensity(z)) end
  local flow = cs.ode { control = "row", rtol = 1e-3, atol = 1e-4, parts = { events = "quadrature" },
    field = function(_, s) return { z = m.parts.field(s.z), events = rate(s.z) } end }
  local rows, n, k = b.t.shape[1], b.t.shape[2], opt.prior
  local z0 = cs.random.normal({ rows, k, 4 }, { rows = true })
  local t = cs.concat({ cs.zeros_like(b.t:slice(2, 1, 1)), b.t, b.span:reshape(rows, 1) }, 2)
  local out = flow({ z = z0, events = cs.zeros_like(z0:slice(3, 1, 1)) }, t)
  local log_rate = cs.log(rate(out.z:slice(2, 2, n + 1))):reshape(rows, n, k)
  return log_mean_exp((log_rate * b.mask):sum(2) - out.events:slice(2, n + 2, n + 2):reshape(rows, k)):mean():item()
end

-- ---- the truth --------------------------------------------------------------------------------------------

--- Amplitudes and phases, equally likely, and the expected number of events of each.
local function possible(amplitudes, phases)
  local a, p, total, n = {}, {}, {}, 200
  for i = 1, amplitudes do
    for j = 1, phases do
      local amplitude, phase, sum = 0.5 + 0.5 * (i - 0.5) / amplitudes, 2 * math.pi * (j - 0.5) / phases, 0
      for k = 1, n do
        sum = sum + math.exp(opt.gain * amplitude * math.sin(opt.frequency * opt.t1 * (k - 0.5) / n + phase))
      end
      a[#a + 1], p[#p + 1], total[#total + 1] = amplitude, phase, opt.rate * opt.t1 * sum / n
    end
  end
  return { amplitude = cs.tensor(a), phase = cs.tensor(p), total = cs.tensor(total) }
end

--- log p(y), log p(t), log p(y, t) of the true process, means over rows; and how far the expected number of events
--- given all that was seen is from the true one.
local function best(b)
  local g, sum = possible(16, 128), { values = 0, times = 0, both = 0, integral = 0 }
  local rows, log_y1 = b.t.shape[1], -math.log(opt.noise) - 0.5 * math.log(2 * math.pi)
  for i = 1, rows do
    local n = math.tointeger(b.lengths[i])
    local angle = b.t[i]:slice(1, 1, n):cast(opt.float):reshape(n, 1) * opt.frequency + g.phase
    local log_t = (cs.sin(angle) * g.amplitude * opt.gain):sum(1) + n * math.log(opt.rate) - g.total
    local log_y = -0.5 * (((b.y[i]:slice(1, 1, n) - cs.cos(angle) * g.amplitude) / opt.noise) ^ 2):sum(1) + n * log_y1
    local both = log_t + log_y
    local weight = cs.exp(both - cs.max(both, 1, true))
    local total = (weight * g.total):sum():item() / weight:sum():item()
    sum.values, sum.times = sum.values + log_mean_exp(log_y):item(), sum.times + log_mean_exp(log_t):item()
    sum.both = sum.both + log_mean_exp(both):item()
    sum.integral = sum.integral + math.abs(total / b.rate_integral[i] - 1)
  end
  for k, x in pairs(sum) do sum[k] = x / rows end
  return sum
end

-- ---- what is measured -------------------------------------------------------------------------------------

local function mean_error(a, truth, mask)
  local each = cs.where(mask, cs.abs(a / cs.where(mask, truth, 1) - 1), 0)
  return each:sum():item() / mask:sum():item()
end

local function measure(train, test, seed)
  local b, rows = test:all(), test.t.shape[1]
  local rate0 = train.lengths:sum():item() / train.span:sum():item()
  local one, known = cs.ones_like(b.rate_integral), b.mask:reshape(b.point_rate.shape)
  local r = { truth = best(b), models = {}, constant = { rate = mean_error(rate0, b.point_rate, known),
    integral = mean_error(opt.t1 * rate0, b.rate_integral, one) } }
  for _, way in ipairs { "without", "with" } do
    local m, seconds = fit(way, train, seed)
    local bound = m:elbo(b, { samples = opt.draws, iwae = true }):item()
    r[way] = { values = bound, seconds = seconds }
    r.models[way] = m
    if way == "without" then
      r[way].both = bound + b.lengths:sum():item() / rows * math.log(rate0) - opt.t1 * rate0
    else
      local rate, total = m:intensity(b)
      r[way].both, r[way].values = bound, bound - log_times(m, b)
      r[way].rate = mean_error(rate:reshape(b.point_rate.shape), b.point_rate, known)
      r[way].integral = mean_error(total:reshape(rows), b.rate_integral, one)
      r[way].all = total:sum():item() / b.rate_integral:sum():item() - 1
    end
  end
  return r, b
end

-- ---- the figure -------------------------------------------------------------------------------------------

--- A batch that shows one series `copies` times, to be predicted at times [T] from all that was seen.
local function repeated(b, row, copies, t)
  local function of_row(x)
    local shape = x.shape
    shape[1] = copies
    return cs.rows(cs.zeros(shape, x.dtype) + x:slice(1, row, row))
  end
  local seen, zero = {}, cs.rows(cs.zeros(copies, #t, 1))
  for _, k in ipairs { "t", "y", "mask", "lengths" } do seen[k] = of_row(b[k]) end
  return { t = cs.rows(cs.zeros(copies, #t, "f64") + cs.tensor(t, "f64")), y = zero, mask = zero, seen = seen,
    lengths = cs.rows(cs.full(#t, copies, "f64")), span = of_row(b.span) }
end

local function region(t, low, high)
  local x, y = {}, {}
  for i = 1, #t do x[i], y[i] = t[i], low[i] end
  for i = #t, 1, -1 do x[#x + 1], y[#y + 1] = t[i], high[i] end
  return { x = x, y = y, style = "region", colour = "#56B4E9" }
end

local function ticks(t, n, from, to)
  local x, y = {}, {}
  for i = 1, n do
    for _, height in ipairs { from, to, 0 / 0 } do x[#x + 1], y[#y + 1] = t[i], height end
  end
  return { x = x, y = y, colour = "#000000" }
end

--- Mean of draws [n, T, 1], and between what nine tenths of them lie at each time.
local function spread(draws)
  local list, low, high = draws:totable(), {}, {}
  local n = #list
  for k = 1, #list[1] do
    local at = {}
    for i = 1, n do at[i] = list[i][k][1] end
    table.sort(at)
    low[k], high[k] = at[math.ceil(0.05 * n)], at[math.ceil(0.95 * n)]
  end
  return draws:mean(1):reshape(-1), low, high
end

local function panels(m, b)
  local top, bottom, t = {}, {}, cs.linspace(0, opt.t1, 161):totable()
  for row = 1, 3 do
    local n, s0, truth, x1 = math.tointeger(b.lengths[row]), b.state0[row], {}, {}
    for k, at in ipairs(t) do
      local c, s = math.cos(opt.frequency * at), math.sin(opt.frequency * at)
      truth[k], x1[k] = opt.rate * math.exp(opt.gain * (s0[2] * c + s0[1] * s)), s0[1] * c - s0[2] * s
    end
    local rate, low, high = spread((m:intensity(repeated(b, row, 200, t), { samples = 1 })))
    local mean, std = m:predict(repeated(b, row, 1, t), { samples = 200 })
    local y, e, seen = mean:reshape(-1), std:reshape(-1), b.t[row]:totable()
    top[row] = { title = ("rate, and the %d events"):format(n), key = "off", yrange = { -0.7, 9 }, series = {
      region(t, low, high), { x = t, y = truth, style = "dashes", colour = "#D55E00" },
      { x = t, y = rate, colour = "#0072B2" }, ticks(seen, n, -0.6, -0.1) } }
    bottom[row] = { title = "values", xlabel = "t", key = "off", yrange = { -2, 2 }, series = {
      region(t, (y - 2 * e):totable(), (y + 2 * e):totable()), { x = t, y = x1, style = "dashes", colour = "#D55E00" },
      { x = t, y = y, colour = "#0072B2" },
      { x = b.t[row]:slice(1, 1, n), y = b.y[row]:slice(1, 1, n):reshape(-1), style = "points", colour = "#000000" } } }
  end
  return { top[1], top[2], top[3], bottom[1], bottom[2], bottom[3] }
end

-- ---- the run ------------------------------------------------------------------------------------------------

local sum, each, drawn = {}, {}, nil
local function add(name, x) sum[name] = (sum[name] or 0) + x / opt.splits end

for seed = 1, opt.splits do
  local train, test = data:split { test = 0.2, seed = seed }
  local r, b = measure(train, test, seed)
  drawn = drawn or panels(r.models.with, b)
  print(("split %d: log p(y | t) without %.2f, with %.2f; log p(y, t) without %.2f, with %.2f; %.2f and %.2f s an epoch"):format(
    seed, r.without.values, r.with.values, r.without.both, r.with.both, r.without.seconds, r.with.seconds))
  each[seed] = { values_without = r.without.values, values_with = r.with.values, both_without = r.without.both,
    both_with = r.with.both }
  for _, way in ipairs { "without", "with" } do
    add("values_" .. way, r[way].values)
    add("both_" .. way, r[way].both)
  end
  add("values_best", r.truth.both - r.truth.times)
  add("values_best_without", r.truth.values)
  add("both_best", r.truth.both)
  add("rate_error", r.with.rate)
  add("rate_error_constant", r.constant.rate)
  add("integral_error", r.with.integral)
  add("integral_error_constant", r.constant.integral)
  add("integral_error_best", r.truth.integral)
  add("integral_error_of_all", math.abs(r.with.all))
end

print(([[
means of %d splits                without      with   best possible
log p(values | times)            %8.2f  %8.2f        %8.2f     (%.2f for values without the times)
log p(values, times)             %8.2f  %8.2f        %8.2f
                                 constant   learned
rate at the events, rel. error   %8.3f  %8.3f
its integral, rel. error         %8.3f  %8.3f        %8.3f     (of all series together %.3f)]]):format(opt.splits,
  sum.values_without, sum.values_with, sum.values_best, sum.values_best_without, sum.both_without, sum.both_with,
  sum.both_best, sum.rate_error_constant, sum.rate_error, sum.integral_error_constant, sum.integral_error,
  sum.integral_error_best, sum.integral_error_of_all))
sum.each, sum.epochs = each, opt.epochs
cs.result(sum)
cs.plot.panels { file = "latent_poisson.svg", panels = drawn, columns = 3, width = 1080, height = 520 }
