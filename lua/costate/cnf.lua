-- SPDX-License-Identifier: GPL-3.0-or-later
-- Continuous normalizing flows: log p(x) = log p_base(z(t1)) + the integral of tr df/dz from t0 to t1, along
-- dz/dt = f(t, z), z(t0) = x (Chen et al. 2018; Grathwohl et al. 2019). Any field will do, and any solver and gradient.
--   m:loss(x)  m:log_prob(x)  m:sample(rng, n)  m:transport(x, shares)  m:encode(x)  m:decode(z)  m:matching(x)
-- x is a batch [B, D]; with classes or a condition each of these takes { condition = c }: labels [B], counted from 0,
-- or vectors [B, C].
local cs = require "costate"
local core = require "costate.core"
local arguments = require "costate.cnf.arguments"
local check_draw = require "costate.data.draw"
local choices = require "costate.cnf.options"
local divergence = require "costate.divergence"
local eager = require "costate._eager"
local flow = require "costate.cnf.flow"
local matching = require "costate.cnf.matching"
local model = require "costate.model"
local options = require "costate._options"

local M = {}

--- body(points, options for cnf.flow), now or in the open trace. o = { condition =, parts =, how = }.
local function along(m, what, x, o, way, body)
  x = arguments.points(m, what, x)
  local c = arguments.condition(m, what, o.condition, x.shape[1])
  local how = o.how
  way = ("%s %s %s"):format(what, way or "", how and table.concat({ how.method, how.noise, how.samples }, " ") or "")
  return eager(m, way, { x = x, c = c, extra = o.extra }, function(a)
    return body(a.x, { condition = arguments.seen(m, a.c), parts = o.parts or {}, how = how,
      vectors = how and divergence.vectors(how, a.x) }, a.extra)
  end)
end

-- ---- densities --------------------------------------------------------------------------------------------

local estimate_spec = { condition = "any", trace = "string", noise = "string", samples = "integer" }

--- m:log_prob(x, { condition =, trace = "exact", noise =, samples = }) -> log p(x) [B], in nats.
function M.log_prob(m, x, given)
  local o = options.check("log_prob", given or {}, estimate_spec)
  o.how = divergence.resolve { method = o.trace, noise = o.noise, samples = o.samples }
  o.parts = { "divergence" }
  return along(m, "log_prob", x, o, nil, function(rows, a)
    local z, sums = flow.through(m, rows, a)
    return m.options.base.log_density(z) + sums.divergence
  end)
end

--- Parts of the state that a loss with these weights needs.
local function parts_of(weights)
  local parts = { "divergence" }
  for _, name in ipairs { "jacobian", "kinetic" } do
    if weights[name] ~= 0 then parts[#parts + 1] = name end
  end
  return parts
end

--- m:loss(x, { condition =, trace =, noise =, samples =, kinetic =, jacobian = }) -> the mean of -log p(x), with the
--- trace as the model says, and the integrals of |f|^2 and |df/dz|_F^2 by their weights; the terms, each a mean.
function M.loss(m, x, given)
  local spec = options.joined(estimate_spec, { kinetic = "number|tensor", jacobian = "number|tensor" })
  local o, own = options.check("loss", given or {}, spec), m.options
  local weights = { kinetic = o.kinetic or own.kinetic, jacobian = o.jacobian or own.jacobian }
  for name, w in pairs(weights) do
    if type(w) == "number" and (w < 0 or w ~= w) then core.fail(("option '%s' of loss is a weight, 0 or more"):format(name)) end
  end
  o.how = divergence.resolve { method = o.trace or own.trace, noise = o.noise or own.noise, samples = o.samples or own.samples }
  o.parts, o.extra = parts_of(weights), weights
  return along(m, "loss", x, o, table.concat(o.parts, " "), function(rows, a, by)
    local z, sums = flow.through(m, rows, a)
    local terms = { log_prob = (m.options.base.log_density(z) + sums.divergence):mean() }
    local value = -terms.log_prob
    for _, name in ipairs { "jacobian", "kinetic" } do
      if sums[name] then
        terms[name] = sums[name]:mean()
        value = value + by[name] * terms[name]
      end
    end
    return value, terms
  end)
end

-- ---- points ------------------------------------------------------------------------------------------------

local function there(m, what, x, given, backwards)
  local o = options.check(what, given or {}, { condition = "any" })
  return along(m, what, x, o, nil, function(rows, a) return (flow.through(m, rows, a, backwards)) end)
end

--- m:encode(x) -> z(t1) [B, D], where the points come to at the base; m:decode(z) leads back.
function M.encode(m, x, given) return there(m, "encode", x, given, false) end
function M.decode(m, z, given) return there(m, "decode", z, given, true) end

--- m:sample(rng, n, { condition =, log_prob = false }) -> n points [n, D], rows; with log_prob = true also log p of
--- each, followed on the way.
function M.sample(m, rng, n, given)
  local o = options.check("sample", given or {}, { condition = "any", log_prob = "boolean" })
  check_draw("m:sample(rng, n)", rng, n)
  arguments.condition(m, "sample", o.condition, n)
  local z = m.options.base.draw(rng, n)
  if not o.log_prob then return M.decode(m, z, { condition = o.condition }) end
  o.parts, o.how = { "divergence" }, divergence.resolve {}
  return along(m, "sample", z, o, nil, function(rows, a)
    local x, sums = flow.through(m, rows, a, true)
    return x, m.options.base.log_density(rows) + sums.divergence
  end)
end

--- Shares of the way: a number n of them, evenly, or a list.
local function shares_of(x)
  if math.type(x) == "integer" and x >= 2 then
    local list = {}
    for i = 1, x do list[i] = (i - 1) / (x - 1) end
    return list
  end
  local ok = type(x) == "table" and not core.kind(x) and #x > 0
  for i, s in ipairs(ok and x or {}) do
    ok = ok and type(s) == "number" and s >= 0 and s <= 1 and (i == 1 or s > x[i - 1])
  end
  if ok then return x end
  core.fail("transport takes a number of points on the way, 2 or more, or their shares of it, ascending from 0 to 1: "
    .. "m:transport(x, 5) or m:transport(x, { 0, 0.5, 1 })")
end

--- m:transport(x, shares, { condition =, from = "data" }) -> points through time [B, #shares, D]: share 0 is the data,
--- share 1 the base, the other way round with from = "base". The flows of a stack have equal shares.
function M.transport(m, x, shares, given)
  local o = options.check("transport", given or {}, { condition = "any", from = "string" })
  shares = shares_of(shares)
  if o.from and o.from ~= "data" and o.from ~= "base" then
    core.fail(("option 'from' of transport is \"data\" or \"base\", got '%s'"):format(o.from))
  end
  local words = {}
  for i, s in ipairs(shares) do words[i] = core.format(s) end
  return along(m, "transport", x, o, (o.from or "data") .. table.concat(words, " "), function(rows, a)
    return flow.path(m, rows, a, shares, o.from == "base")
  end)
end

--- m:matching(x, { condition =, sigma = 0 }) -> the loss of flow matching, for the same field: cnf/matching.lua.
function M.matching(m, x, given)
  local o = options.check("matching", given or {}, { condition = "any", sigma = "number" })
  local sigma = o.sigma or 0
  if not (sigma >= 0 and sigma < 1) then core.fail("option 'sigma' of matching lies in [0, 1)") end
  if #m.options.field > 1 then
    core.fail("matching is for one flow: of a stack only the ends are known, not what lies between")
  end
  return along(m, "matching", x, o, core.format(sigma), function(rows, a) return matching(m, rows, a.condition, sigma) end)
end

--- m:evaluations() -> how often the fields were evaluated by the last call of a method, outside of traced functions.
function M.evaluations(m) return eager.evaluations(m) end

-- ---- the model ------------------------------------------------------------------------------------------------

local function parts(o, name)
  local out = {}
  for i, f in ipairs(o.field) do
    if model.is_model(f) then out[#o.field == 1 and "field" or "field" .. i] = f end
    if o.learned then
      out["time" .. i] = cs.parameters { root = math.sqrt(o.span[2]), name = ("%s/time%d"):format(name, i) }
    end
  end
  for i, p in ipairs(o.parameters) do out["parameters" .. i] = p end
  return out
end

model.register { name = "cnf.flow", options = choices.schema, check = choices.check, parts = parts, methods = M,
  help = "continuous normalizing flow along any field: densities, samples, points through time" }

return M
