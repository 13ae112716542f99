-- SPDX-License-Identifier: GPL-3.0-or-later
-- Base densities of a flow on R^D, each with its logarithm at z [B, D] and with n draws [n, D] by random:normal(shape)
-- and random:uniform(shape), which a generator has:
--   normal    N(mean, std^2 I), mean and std a number or one a coordinate
--   mixture   sum_k w_k N(mean_k, std^2 I)
--   uniform   1 / (high - low)^D within the box, 0 outside: no gradient leads back into it, so a flow to it is
--             trained by flow matching
local core = require "costate.core"
local options = require "costate._options"

local M = {}

local LOG_2PI <const> = math.log(2 * math.pi)

--- A number, or D numbers, as D numbers.
local function coordinates(what, x, dim)
  local list = {}
  for i = 1, dim do list[i] = type(x) == "table" and x[i] or x end
  if type(x) == "table" and #x ~= dim then
    core.fail(("option '%s' of the base has %d numbers for %d coordinates"):format(what, #x, dim))
  end
  for _, v in ipairs(list) do
    if type(v) ~= "number" or v - v ~= 0 then core.fail(("option '%s' of the base must be finite numbers"):format(what)) end
  end
  return list
end

local function each(list, f)
  local sum = 0
  for _, v in ipairs(list) do sum = sum + f(v) end
  return sum
end

local function positive(what, list)
  for _, v in ipairs(list) do
    if v <= 0 then core.fail(("option '%s' of the base must be positive, got %s"):format(what, core.format(v))) end
  end
  return list
end

local kinds = {}

kinds.normal = { spec = { mean = "number|table", std = "number|table" }, make = function(o, dim)
  local std = positive("std", coordinates("std", o.std or 1, dim))
  local mean, scale = core.tensor(coordinates("mean", o.mean or 0, dim)), core.tensor(std)
  local constant = -0.5 * dim * LOG_2PI - each(std, math.log)
  return {
    log_density = function(z) return constant - 0.5 * core.sum(core.square((z - mean) / scale), 2) end,
    draw = function(random, n) return random:normal { n, dim } * scale + mean end,
  }
end }

--- Shares that add to one.
local function shares(weights, count)
  local list = coordinates("weights", weights or 1, count)
  local total = each(positive("weights", list), function(v) return v end)
  for i, v in ipairs(list) do list[i] = v / total end
  return list
end

--- One of K rows as zeros and a one: which share a uniform number u [B, 1] falls into.
local function pick(u, upto)
  local below = core.cast(core.lt(u, core.tensor(upto)), core.dtype())
  local first = core.slice(below, 2, 1, 1)
  if #upto == 1 then return first end
  return core.concat({ first, core.slice(below, 2, 2, #upto) - core.slice(below, 2, 1, #upto - 1) }, 2)
end

kinds.mixture = { spec = { means = "table!", std = "number", weights = "table" }, make = function(o, dim)
  local k, std = #o.means, positive("std", { o.std or 1 })[1]
  if k == 0 or dim > 1 and type(o.means[1]) ~= "table" then
    core.fail("option 'means' of the base is a list of points: means = { { 0, 0 }, { 4, 0 } }")
  end
  local means, weights, logs, upto, sum = {}, shares(o.weights, k), {}, {}, 0
  for i, point in ipairs(o.means) do
    means[i], logs[i] = coordinates("means", point, dim), math.log(weights[i])
    sum = sum + weights[i]
    upto[i] = i == k and 2 or sum -- rounding leaves no gap below one
  end
  local centres, log_weights = core.tensor(means), core.tensor(logs)
  local constant = -0.5 * dim * LOG_2PI - dim * math.log(std)
  return {
    log_density = function(z)
      local apart = core.reshape(z, { z.shape[1], 1, dim }) - centres
      local a = log_weights - (0.5 / std ^ 2) * core.sum(core.square(apart), 3)
      local top = core.detach(core.max(a, 2, true))
      return constant + core.reshape(top, { z.shape[1] }) + core.log(core.sum(core.exp(a - top), 2))
    end,
    draw = function(random, n)
      return core.matmul(pick(random:uniform { n, 1 }, upto), centres) + std * random:normal { n, dim }
    end,
  }
end }

kinds.uniform = { spec = { low = "number|table", high = "number|table" }, make = function(o, dim)
  local low, high, width = coordinates("low", o.low or -1, dim), coordinates("high", o.high or 1, dim), {}
  for i = 1, dim do
    width[i] = high[i] - low[i]
    if width[i] <= 0 then core.fail("options 'low' and 'high' of the base: the box is empty") end
  end
  local from, upto, size = core.tensor(low), core.tensor(high), core.tensor(width)
  local inside = -each(width, math.log)
  return {
    log_density = function(z)
      local there = core.sum(core.le(from, z) * core.le(z, upto), 2)
      return core.where(core.eq(there, dim), inside, -math.huge)
    end,
    draw = function(random, n) return random:uniform { n, dim } * size + from end,
  }
end }

--- base = "normal" or { "normal", std = 0.5 } in `dim` coordinates.
function M.new(base, dim)
  local given = options.joined(type(base) == "table" and base or { base })
  local name = table.remove(given, 1)
  local kind = kinds[name]
  if not kind then
    local near = core.suggest(tostring(name), { "mixture", "normal", "uniform" })
    core.fail(("option 'base' of cnf.flow is normal, mixture or uniform, or a table { \"normal\", std = 0.5 }; got '%s'%s")
      :format(tostring(name), near and (": did you mean '%s'?"):format(near) or ""))
  end
  return kind.make(options.check(("base '%s'"):format(name), given, kind.spec), dim)
end

return M
