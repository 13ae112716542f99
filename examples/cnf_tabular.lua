-- SPDX-License-Identifier: GPL-3.0-or-later
-- The joint density of six laboratory values of 312 patients with primary biliary cholangitis (pbcseq: Mayo Clinic trial,
-- 1945 visits), by a continuous normalizing flow whose trace is estimated in training (one vector of signs a solve) and
-- exact when it counts. Patients, not visits, are dealt to the parts; all are on the scale of the training part.
-- Beside it a normal distribution with all covariances, and a kernel estimate whose width the validation part chooses.
--
--   costate run examples/cnf_tabular.lua --out runs/tabular
--
-- Headline figures: mean negative log-likelihood of test patients, nats a visit, of the logarithms of the values
-- (of albumin the value), each a mean over `splits`. Figure: cnf_tabular.png.
local cs = require "costate"
local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."

local opt = cs.options { steps = 4000, splits = 5, batch = 200, lr = 1e-3, weight_decay = 1e-4, width = 64, trace = "hutchinson",
  patience = 15, float = "f32" }
cs.dtype(opt.float)

local columns = { "bili", "albumin", "alk_phos", "ast", "platelet", "protime" }
local logs = { "bili", "alk_phos", "ast", "platelet", "protime" }
local D <const> = #columns
local LOG_2PI <const> = math.log(2 * math.pi)

-- ---- three densities: each gives log p of rows [n, D] ----------------------------------------------------------

local function fit_flow(train, validation, split)
  local name = "tabular/" .. split
  local m = cs.model "cnf.flow" { field = cs.nn.concatsquash { D, opt.width, opt.width, D, init = "fan_in_uniform", name = name },
    T = { 0.5, learn = true }, trace = opt.trace, noise = "rademacher", name = name }
  local batches = train:batches { size = opt.batch, shuffle = true }
  cs.train { parameters = m, steps = opt.steps, name = name, quiet = true, batch = batches,
    optimizer = cs.optim.adam { lr = opt.lr, weight_decay = opt.weight_decay }, loss = function(b) return m:loss(b.x) end,
    validate = function() return -m:log_prob(validation.x):mean() end, validate_every = 25, stop = { patience = opt.patience } }
  return function(x) return m:log_prob(x) end, m
end

--- N(mean, S): -|L^-1 (x - mean)|^2 / 2 - sum log L_ii - D/2 log 2 pi, with S = L L^T.
local function fit_normal(train)
  local n = train.x.shape[1]
  local mean = train.x:mean(1)
  local apart = cs.shared(train.x - mean)
  local covariance = cs.matmul(cs.transpose(apart), apart) / n
  local l = cs.linalg.cholesky(covariance)
  local log_det = 0
  for i = 1, D do log_det = log_det + math.log(l[i][i]) end
  local inverse = cs.linalg.solve(covariance, cs.cast(cs.eq(cs.reshape(cs.iota(D), { D, 1 }), cs.iota(D)), cs.dtype()))
  return function(x)
    local r = x - mean
    return (cs.matmul(r, inverse) * r):sum(2) * -0.5 - (log_det + 0.5 * D * LOG_2PI)
  end
end

local function kernel(train, width)
  local centres = cs.shared(train.x)
  local squares = cs.square(centres):sum(2)
  return function(x)
    local distance = cs.reshape(cs.square(x):sum(2), { x.shape[1], 1 }) - 2 * cs.matmul(x, cs.transpose(centres)) + squares
    return cs.loss.log_mean_exp(distance * (-0.5 / width ^ 2)) - D * (math.log(width) + 0.5 * LOG_2PI)
  end
end

local function fit_kernel(train, validation)
  local best, least = nil, math.huge
  for i = 2, 12 do
    local k = kernel(train, 0.05 * i)
    local nll = -k(validation.x):mean():item()
    if nll < least then best, least = k, nll end
  end
  return best
end

-- ---- the splits ----------------------------------------------------------------------------------------------

local data = cs.dataset "table" { path = here .. "/data/pbcseq.csv", columns = columns, log = logs, id = "id",
  normalise = "standard" }
print(data)

local scores, shown = { flow = {}, normal = {}, kernel = {} }, nil
for split = 1, opt.splits do
  local train, validation, test = data:split { test = 0.2, validation = 0.16, seed = split, by = "id" }
  local flow, m = fit_flow(train, validation, split)
  local densities = { flow = flow, normal = fit_normal(train), kernel = fit_kernel(train, validation) }
  local line = {}
  for name, f in pairs(densities) do
    scores[name][split] = -(f(test.x):mean():item() + train.log_scale)
    line[#line + 1] = ("%s %.3f"):format(name, scores[name][split])
  end
  table.sort(line)
  print(("split %d: %d, %d and %d visits; test nll %s"):format(split, train.x.shape[1], validation.x.shape[1], test.x.shape[1],
    table.concat(line, ", ")))
  shown = shown or { m = m, train = train, test = test.x }
end

local function summary(list)
  local sum, square = 0, 0
  for _, x in ipairs(list) do sum = sum + x end
  for _, x in ipairs(list) do square = square + (x - sum / #list) ^ 2 end
  return sum / #list, #list > 1 and math.sqrt(square / (#list - 1)) or 0
end

local result = { splits = opt.splits }
for name, list in pairs(scores) do result["test_nll_" .. name], result["sd_" .. name] = summary(list) end
cs.result(result)

-- ---- the figure: pairs of columns, test visits and as many samples ------------------------------------------------

local x, y = shown.train:measured(shown.test), shown.train:measured(shown.m:sample(cs.rng(1), shown.test.shape[1]))
local label = { bili = "bilirubin, mg/dl", albumin = "albumin, g/dl", ast = "AST, U/ml", platelet = "platelets, 1000/ul",
  protime = "prothrombin time, s" }
local function panel(a, b, more)
  local i, k = 0, 0
  for c, name in ipairs(columns) do i, k = name == a and c or i, name == b and c or k end
  local p = { xlabel = label[a], ylabel = label[b], key = "off", series = {
    { x = x:column(i), y = x:column(k), style = "points", colour = "#999999", name = "test visits" },
    { x = y:column(i), y = y:column(k), style = "points", colour = "#D55E00", name = "samples of the flow" } } }
  for option, value in pairs(more) do p[option] = value end
  return p
end
local panels = { panel("bili", "ast", { logx = true, logy = true, yrange = { 10, 1000 }, key = "inside bottom right" }),
  panel("bili", "albumin", { logx = true }), panel("platelet", "protime", { yrange = { 8, 16 } }) }
cs.plot.panels { file = "cnf_tabular.png", panels = panels, columns = 3, width = 1200, height = 380 }
