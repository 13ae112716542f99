-- SPDX-License-Identifier: GPL-3.0-or-later
-- Schedules: functions (step, base rate) -> rate. A plain function(step) -> rate serves as well.
local core = require "costate.core"
local options = require "costate._options"

local M = { schedule = {} }

--- Half a cosine from the base rate to `final` times it over `steps`.
function M.schedule.cosine(given)
  local o = options.check("schedule.cosine", given, { steps = "number!", final = "number" })
  local final = o.final or 0
  return function(step, lr)
    local x = math.min(step / o.steps, 1)
    return lr * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * x)))
  end
end

--- The rate times `decay` every `every` steps (1), continuously, never below `least` (0).
function M.schedule.exponential(given)
  local o = options.check("schedule.exponential", given,
    { decay = "number!", every = "number", least = "number" })
  return function(step, lr) return math.max(lr * o.decay ^ (step / (o.every or 1)), o.least or 0) end
end

--- The rate times `factor` once every `every` steps.
function M.schedule.step(given)
  local o = options.check("schedule.step", given, { every = "number!", factor = "number" })
  return function(step, lr) return lr * (o.factor or 0.1) ^ (step // o.every) end
end

--- From 0 to the base rate over `steps`, then `after` (constant).
function M.schedule.warmup(given)
  local o = options.check("schedule.warmup", given, { steps = "number!", after = "callable" })
  return function(step, lr)
    if step < o.steps then return lr * step / o.steps end
    return o.after and o.after(step - o.steps, lr) or lr
  end
end

--- 0 until x reaches `from`, then 1 - rate^(x - from): live in a traced function, since x is.
function M.anneal(x, given)
  local o = options.check("anneal", given, { from = "number", rate = "number!" })
  local past = core.maximum(x - (o.from or 0), 0)
  return 1 - core.exp(past * math.log(o.rate))
end

return M
