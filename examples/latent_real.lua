-- SPDX-License-Identifier: GPL-3.0-or-later
-- Two real sets of series at irregular times, every model of the family, and two baselines that anybody would try first.
--   fev      lung function of 203 patients after a transplant, 2 to 135 readings each, no common grid
--   pbcseq   8 laboratory channels of 312 patients with a disease of the liver, 1 to 16 visits, values missing; six of
--            the channels, which are skewed, as logarithms; the outcome is death within the study
-- Tasks: interpolation (half of the times seen, at random) and forecast (the first half of the span seen). What counts
-- is the mean squared error, of standardised values, over what is observed and was not seen, on held-out patients.
-- Splits by patient, and what is seen, are the same for all; each model stops where validation patients are predicted best.
--   last     the last value carried forward; before the first one the mean of all patients
--   line     a line for each patient and channel, y = a + b t + u + v (t - t1) + noise: a + b t is that of the training
--            patients, u and v are drawn towards 0 by ridge penalties chosen on them, so few readings change little
-- latent_ode (its encoder an ODE-RNN, and once with the visits as a Poisson process) explains all of a training series;
-- the other models explain what was not seen. That and the sizes were chosen on validation patients, who are test
-- patients of other splits: some twenty settings of latent_ode were tried, five each of rnn_vae and ode_rnn, two of the
-- others, so that the comparison leans towards latent_ode.
--
--   costate run examples/latent_real.lua --threads 1 --out runs/latent_real
local cs = require "costate"

local opt = cs.options { splits = 5, epochs = 300, patience = 30, batch = 20, samples = 3, lr = 5e-3, clip = 10.0,
  float = "f32", outcome = true }
cs.dtype(opt.float)

-- ---- data -----------------------------------------------------------------------------------------------

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."

local function read_fev()
  return cs.dataset "long" { path = here .. "/data/fev.csv", id = "ptnum", time = "days", time_scale = 1 / 365.25, value = "fev",
    missing = 999, normalise = "standard" } -- 999 marks death
end

local function read_pbcseq()
  local data = cs.dataset "long" { path = here .. "/data/pbcseq.csv", id = "id", time = "day", time_scale = 1 / 365.25,
    columns = { "bili", "chol", "albumin", "alk_phos", "ast", "platelet", "protime", "stage" }, label = "status" }
  local skewed = cs.tensor { 1, 1, 0, 1, 1, 1, 1, 0 }
  data.y = cs.where(skewed * data.mask, cs.log(cs.maximum(data.y, 1e-3)), data.y)
  data.label = cs.cast(cs.eq(data.label, 2), "i64") -- 0 and 1, alive and transplanted, are no deaths
  return data:standardise()
end

local sets = { { name = "fev", data = read_fev() }, { name = "pbcseq", data = read_pbcseq() } }
local task_names = { "interpolation", "forecast" }

local function task_of(data, name, fixed)
  if name == "forecast" then return data:task { kind = "extrapolation", share = 0.5 } end
  return data:task { kind = "interpolation", keep = 0.5, predict = "hidden", fixed = fixed, seed = 1 }
end

--- Patients to train on, to stop by and to test on, all on the scale of the first.
local function split(data, seed)
  local rest, test = data:split { test = 0.2, seed = seed }
  local train, valid = rest:split { test = 0.2, seed = seed }
  return { train = train, valid = valid, test = test:standardise { like = train } }
end

--- Batches in which all of a series is to be explained from its seen part: those of a task and of the data set, dealt
--- in the same order.
local function whole_series(task, data)
  local o, calls = { size = opt.batch, shuffle = true }, 0
  local part, whole = task:batches(o), data:batches(o)
  return setmetatable({ per_epoch = whole.per_epoch }, { __call = function()
    calls = calls + 1
    local b = whole(cs.rng(calls, "order"))
    b.seen = part(cs.rng(calls, "order")).seen
    return b
  end })
end

-- ---- baselines: a rule makes a function of time out of what was seen of a patient's channel -------------------------

--- Times and values at which channel c of row i is observed.
local function observed(s, i, c)
  local t, y = {}, {}
  for k = 1, s.lengths[i] // 1 | 0 do
    if s.mask[i][k][c] == 1 then t[#t + 1], y[#y + 1] = s.t[i][k], s.y[i][k][c] end
  end
  return t, y
end

local function tables(b)
  local out = {}
  for _, k in ipairs { "t", "y", "mask", "lengths" } do out[k] = b[k]:totable() end
  return out
end

local function by_rule(rule)
  return function(b)
    local seen, at, mean = tables(b.seen), b.t:totable(), {}
    for i, times in ipairs(at) do
      mean[i] = {}
      for k in ipairs(times) do mean[i][k] = {} end
      for c = 1, b.y.shape[3] do
        local f = rule(c, observed(seen, i, c))
        for k, t in ipairs(times) do mean[i][k][c] = f(t) end
      end
    end
    return cs.rows(cs.tensor(mean))
  end
end

local baselines = {}

function baselines.last()
  return by_rule(function(_, t, y)
    return function(now)
      local value = 0
      for k, when in ipairs(t) do if when <= now then value = y[k] end end
      return value
    end
  end)
end

--- u and v that make least sum (r - u - v x)^2 + level u^2 + slope v^2.
local function ridge(x, r, level, slope)
  local n, sx, sxx, sr, sxr = level, 0, slope, 0, 0
  for k = 1, #x do n, sx, sxx, sr, sxr = n + 1, sx + x[k], sxx + x[k] ^ 2, sr + r[k], sxr + x[k] * r[k] end
  local d = n * sxx - sx ^ 2
  return (sr * sxx - sx * sxr) / d, (n * sxr - sx * sr) / d
end

--- The line of all patients, by channel.
local function common_lines(data)
  local s, lines = tables(data), {}
  for c = 1, #data.channels do
    local t, y = {}, {}
    for i = 1, #s.t do
      local ti, yi = observed(s, i, c)
      table.move(ti, 1, #ti, #t + 1, t)
      table.move(yi, 1, #yi, #y + 1, y)
    end
    lines[c] = { ridge(t, y, 0, 0) }
  end
  return lines
end

local function line_rule(common, penalties)
  return by_rule(function(c, t, y)
    local a, b, x, r = common[c][1], common[c][2], {}, {}
    for k = 1, #t do x[k], r[k] = t[k] - t[1], y[k] - a - b * t[k] end
    local u, v = ridge(x, r, table.unpack(penalties[c]))
    return function(now) return a + b * now + u + v * (now - (t[1] or now)) end
  end)
end

local grid <const> = { 0.01, 0.1, 0.3, 1, 3, 10, 100, 1e4 }

function baselines.line(s, task)
  local b, common, chosen, least = task_of(s.train, task, true):all(), common_lines(s.train), {}, {}
  for _, level in ipairs(grid) do
    for _, slope in ipairs(grid) do
      local penalties = {}
      for c = 1, #common do penalties[c] = { level, slope } end
      local errors = cs.sum(b.mask * (line_rule(common, penalties)(b) - b.y) ^ 2, { 1, 2 }):totable()
      for c, e in ipairs(errors) do
        if e < (least[c] or math.huge) then least[c], chosen[c] = e, penalties[c] end
      end
    end
  end
  return line_rule(common, chosen)
end

-- ---- models ---------------------------------------------------------------------------------------------

local latent = { latent_ode = "model", latent_ode_poisson = "model", rnn_vae = "rnn_vae" } -- the others go forward

local function new_model(kind, channels, name, classes)
  local o = { channels = channels, hidden = 20, units = 40, noise = "learn", noise_start = 0.5, name = name }
  if latent[kind] then o.latent, o.classes, o.class_weight = 8, classes, 10 end
  if latent[kind] == "model" then o.layers, o.solver = 2, { solver = "dopri5", rtol = 1e-2, atol = 1e-3 } end
  if kind == "latent_ode_poisson" then o.poisson, o.solver.solver = "times", "bosh3" end -- see README: its field grows stiff
  return cs.model("latent_ode." .. (latent[kind] or kind))(o)
end

local failed = {} -- names of trainings that ended early by a numerical failure

--- A trained model; with classes it stops where the outcome is predicted best.
local function fit(kind, s, task, name, classes)
  local m, valid = new_model(kind, s.train.channels, name, classes), task_of(s.valid, task, true):all()
  local part = task_of(s.train, task)
  local batch = latent[kind] == "model" and whole_series(part, s.train) or part:batches { size = opt.batch, shuffle = true }
  local r = cs.train { parameters = m, epochs = opt.epochs, batch = batch, clip = opt.clip, on_failure = "skip", quiet = true,
    name = name, optimizer = cs.optim.adam { lr = opt.lr }, stop = { patience = opt.patience },
    loss = function(b, run)
      return m:loss(b, { samples = opt.samples, kl = cs.anneal(run.epoch, { from = 0, rate = 0.9 }) })
    end,
    validate = function() return classes and cs.loss.cross_entropy(m:classify(valid), valid.label) or m:mse(valid) end }
  if r.status ~= "ok" and r.status ~= "stopped_early" then
    failed[#failed + 1] = name
    print(("%s: step %d: %s; its best so far is taken"):format(name, r.steps, r.message))
  end
  return m
end

local function predictor(kind, s, task, name)
  if baselines[kind] then return baselines[kind](s, task) end
  local m = fit(kind, s, task, name)
  return function(b) return m:predict(b, { samples = 30 }) end
end

-- ---- the table ------------------------------------------------------------------------------------------

local function moments(list)
  local mean, square = 0, 0
  for _, x in ipairs(list) do mean = mean + x / #list end
  for _, x in ipairs(list) do square = square + (x - mean) ^ 2 end
  return mean, #list > 1 and math.sqrt(square / (#list - 1)) or 0
end

--- Mean squared error, and the share of readings within two deviations of the mean predicted.
local function score(b, mean, std)
  local count = cs.sum(b.mask):item()
  local mse = cs.sum(b.mask * (mean - b.y) ^ 2):item() / count
  return mse, std and cs.sum(b.mask * cs.lt(cs.abs(mean - b.y), 2 * std)):item() / count
end

local kinds = { "last", "line", "latent_ode", "latent_ode_poisson", "rnn_vae", "ode_rnn", "gru_d", "rnn_decay", "rnn_dt" }
local result, shown = {}, {} -- shown: test batches and predictors of the first split

local function evaluate(set, task, kind)
  local errors, covered, began = {}, {}, os.clock()
  for k = 1, opt.splits do
    local s = set.splits[k]
    local test = task_of(s.test, task, true):all()
    local predict = predictor(kind, s, task, ("%s %s %s %d"):format(set.name, task, kind, k))
    errors[k], covered[k] = score(test, predict(test))
    if k == 1 then
      shown[set.name .. task] = shown[set.name .. task] or { batch = test, data = s.test }
      shown[set.name .. task][kind] = predict
    end
  end
  local mse, deviation = moments(errors)
  return { mse = mse, deviation = deviation, each = errors, within_two_deviations = #covered > 0 and moments(covered) or nil,
    seconds = os.clock() - began }
end

for _, set in ipairs(sets) do
  set.splits, result[set.name] = {}, {}
  for k = 1, opt.splits do set.splits[k] = split(set.data, k) end
  for _, task in ipairs(task_names) do
    local r = {}
    result[set.name][task] = r
    for _, kind in ipairs(kinds) do
      if set.name == "pbcseq" or kind ~= "latent_ode_poisson" then
        r[kind] = evaluate(set, task, kind)
        print(("%-6s %-13s %-18s %.3f +- %.3f  %5.1f s"):format(set.name, task, kind, r[kind].mse, r[kind].deviation,
          r[kind].seconds))
      end
    end
  end
end

local function cells(kind)
  local out, seconds = {}, 0
  for _, set in ipairs(sets) do
    for _, task in ipairs(task_names) do
      local r = result[set.name][task][kind]
      seconds = seconds + (r and r.seconds or 0)
      out[#out + 1] = r and ("%6.3f +- %.3f"):format(r.mse, r.deviation) or "      -        "
    end
  end
  return ("%-18s %s %7.1f"):format(kind, table.concat(out, "  "), seconds)
end

local lines = { ("%-18s %-33s %s"):format("", "fev", "pbcseq"),
  ("%-18s %-15s  %-15s  %-15s  %-15s seconds"):format("", "interpolation", "forecast", "interpolation", "forecast") }
for _, kind in ipairs(kinds) do lines[#lines + 1] = cells(kind) end
print(table.concat(lines, "\n"))

-- ---- the outcome of pbcseq, from the first half of the span --------------------------------------------------

--- The probability that a patient who died has a higher score than one who did not.
local function auc(scores, label)
  local sum, pairs_of = 0, 0
  for i = 1, #scores do
    for j = 1, #scores do
      if label[i] == 1 and label[j] == 0 then
        pairs_of = pairs_of + 1
        sum = sum + (scores[i] > scores[j] and 1 or scores[i] == scores[j] and 0.5 or 0)
      end
    end
  end
  return sum / pairs_of
end

--- Of the last visit seen: its bilirubin, and how early it is, which tells of those who died since series end there.
local function last_visits(b)
  local bilirubin, early = {}, {}
  for i, n in ipairs(b.seen.lengths:totable()) do
    bilirubin[i], early[i] = b.seen.y[i][n // 1 | 0][1], -b.seen.t[i][n // 1 | 0]
  end
  return bilirubin, early
end

local function outcome_scores(kind, s, k, test)
  if kind == "last_bilirubin" or kind == "early_end" then
    local bilirubin, early = last_visits(test)
    return kind == "early_end" and early or bilirubin
  end
  local logits = fit(kind, s, "forecast", ("outcome %s %d"):format(kind, k), 2):classify(test)
  return (logits:column(2) - logits:column(1)):totable()
end

local function outcome(kind)
  local list = {}
  for k, s in ipairs(sets[2].splits) do
    local test = task_of(s.test, "forecast", true):all()
    list[k] = auc(outcome_scores(kind, s, k, test), test.label:totable())
  end
  local mean, deviation = moments(list)
  print(("death, pbcseq  %-18s AUC %.3f +- %.3f"):format(kind, mean, deviation))
  return { auc = mean, deviation = deviation, each = list }
end

if opt.outcome then
  result.outcome = {}
  for _, kind in ipairs { "last_bilirubin", "early_end", "latent_ode", "latent_ode_poisson", "rnn_vae" } do
    result.outcome[kind] = outcome(kind)
  end
end

result.splits, result.seconds, result.failed = opt.splits, os.clock(), failed
cs.result(result)

-- ---- the figure -------------------------------------------------------------------------------------------

local channel <const> = 1 -- fev; bilirubin

--- A row of batch b alone, to be predicted at a grid of times as well.
local function on_grid(b, row)
  local n, t = 120, {}
  local first, last = math.min(b.t[row]:min():item(), b.seen.t[row]:min():item()), math.max(b.t[row]:max():item(),
    b.seen.t[row]:max():item())
  for k = 1, n do t[k] = first + (last - first) * (k - 1) / (n - 1) end
  local width = b.y.shape[3]
  local out = { t = cs.rows(cs.tensor({ t }, "f64")), y = cs.rows(cs.zeros(1, n, width)), mask = cs.rows(cs.zeros(1, n, width)),
    lengths = cs.rows(cs.tensor({ n }, "f64")), seen = {} }
  for k, x in pairs(b.seen) do out.seen[k] = cs.rows(x:slice(1, row, row)) end
  return out, t
end

--- The patient at a quantile of latent_ode's error, among those with at least `least` readings to predict.
local function patient(f, least, quantile)
  local mean, list = f.latent_ode(f.batch), {}
  for i = 1, mean.shape[1] do
    local m = f.batch.mask[i]:column(channel)
    local n = m:sum():item()
    if n >= least then
      list[#list + 1] = { row = i, error = (m * (mean[i]:column(channel) - f.batch.y[i]:column(channel)) ^ 2):sum():item() / n }
    end
  end
  table.sort(list, function(a, b) return a.error < b.error end)
  return list[math.max(1, math.ceil(quantile * #list))].row
end

local function measured(set, data, x)
  local out = {}
  for k, v in ipairs(x) do
    out[k] = data.mean[channel] + data.std[channel] * v
    if set.name == "pbcseq" then out[k] = math.exp(out[k]) end
  end
  return out
end

local function panel(set, task, title, quantile, key)
  local f = shown[set.name .. task]
  local row = patient(f, set.name == "fev" and 8 or 3, quantile)
  local b, t = on_grid(f.batch, row)
  local mean, std = f.latent_ode(b)
  local m, s = mean[1]:column(channel):totable(), std[1]:column(channel):totable()
  local x, edge = {}, {}
  for k = 1, #t do x[k], edge[k] = t[k], m[k] - 2 * s[k] end
  for k = #t, 1, -1 do x[#x + 1], edge[#edge + 1] = t[k], m[k] + 2 * s[k] end
  local function series(times, values, style, colour, name)
    return { x = times, y = measured(set, f.data, values), style = style, colour = colour, name = key and name }
  end
  local whole = { seen = tables(f.batch.seen), hidden = tables(f.batch) }
  local seen_t, seen_y = observed(whole.seen, row, channel)
  local hidden_t, hidden_y = observed(whole.hidden, row, channel)
  return { title = title, key = key or "off", xlabel = set.name == "fev" and "years since the transplant" or "years since entry",
    ylabel = set.name == "fev" and "FEV1, % of baseline" or "bilirubin, mg/dl", logy = set.name == "pbcseq",
    yrange = set.name == "fev" and { 0, 150 } or { 0.1, 50 }, series = {
      series(x, edge, "region", "#56B4E9", "two deviations"), series(t, m, "lines", "#0072B2", "latent ODE"),
      series(t, f.line(b)[1]:column(channel):totable(), "dashes", "#777777", "line"),
      series(t, f.rnn_dt(b)[1]:column(channel):totable(), "lines", "#E69F00", "RNN, told the gaps"),
      series(seen_t, seen_y, "points", "#000000", "seen"), series(hidden_t, hidden_y, "circles", "#D55E00", "to be predicted") } }
end

local panels = {}
for _, set in ipairs(sets) do
  local place = set.name .. ", "
  panels[#panels + 1] = panel(set, "interpolation", place .. "interpolation: median error", 0.5,
    set.name == "pbcseq" and "inside left top maxrows 3 font ',9'" or nil)
  panels[#panels + 1] = panel(set, "forecast", place .. "forecast: median error", 0.5)
  panels[#panels + 1] = panel(set, "forecast", place .. "forecast: one of the worst", 0.9)
end
cs.plot.panels { file = "latent_real.svg", panels = panels, columns = 3, width = 1200, height = 640 }
