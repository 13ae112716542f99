-- SPDX-License-Identifier: GPL-3.0-or-later
-- The gradients that `costate check` compares: one by every gradient method of the flows, and two of the loss as a
-- whole: its directional derivatives (JVPs) along the same steps, and its finite differences along them.
local core = require "costate.core"
local model = require "costate.model"
local recording = require "costate.check.record"
local steps = require "costate.check.steps"

local M = {}

local MOST_PARAMETERS <const>, MOST_OTHERS <const> = 512, 64 -- unit directions of a group; with more, random ones:
local RANDOM_DIRECTIONS <const> = 64
local LONG <const> = 1 -- seconds: what takes longer is not run once more to be timed

-- ---- gradients as flat lists by group ------------------------------------------------------------------

local function flatten(variables, tensors)
  local out = recording.lists()
  for i, v in ipairs(variables) do
    local list, t = out[v.group], tensors[i]
    local flat = core.view(t, 0, { t.count })
    for k = 1, t.count do list[#list + 1] = flat[k] end
  end
  return out
end

--- Calls f(model, number of variables before its own, k) for the k-th model: the flat vectors of
--- models are differentiated by as well, since a loss may use them.
local function each_model(check, f)
  local first = 0
  for k, m in ipairs(check.training.models) do
    f(m, first, k)
    first = first + #m.list
  end
end

-- ---- by a gradient method --------------------------------------------------------------------------------

local function bars_of(check, tr, loss, variables)
  local xs, results = {}, { loss }
  for i, v in ipairs(variables) do xs[i] = v.value end
  for _, m in ipairs(check.training.models) do xs[#xs + 1] = tr:value(m.flat) end
  local bars = tr:vjp({ loss }, { core.ones_like(loss) }, xs)
  each_model(check, function(m, first, k)
    table.move(model.gather(m, bars, first, bars[#variables + k]), 1, #m.list, first + 1, bars)
    xs[#variables + k] = nil
  end)
  for i, x in ipairs(xs) do results[i + 1] = bars[i] or core.zeros_like(x) end
  return results
end

--- Seconds of one more run, or of the first when that was long.
local function timed(p, first)
  if first > LONG then return first end
  local began = core.clock()
  recording.run(p)
  return core.clock() - began
end

--- By the registered gradient method of that name. `peak` is the memory of Costate while it was made ready and run.
function M.reverse(check, name)
  local r = recording.record(check, name, function(tr, loss, variables) return bars_of(check, tr, loss, variables) end)
  collectgarbage()
  local _, before = core.memory(true)
  local p <close> = recording.open(check, r)
  local out, began = p:fresh(), core.clock()
  recording.run(p)
  local seconds = timed(p, core.clock() - began)
  local forward, backward = p:evaluations()
  local _, _, peak = core.memory()
  return { gradient = flatten(r.variables, table.move(out, 2, #out, 1, {})), loss = out[1]:item(),
    evaluations = forward, backward = backward, seconds = seconds, record = p:stats().tape_bytes,
    peak = peak - before }
end

-- ---- along directions --------------------------------------------------------------------------------------

local function of_group(variables, group)
  local list, n = {}, 0
  for _, v in ipairs(variables) do
    if v.group == group then
      list[#list + 1] = v
      n = n + v.flat.count
    end
  end
  return list, n
end

--- By group: how many directions, and whether they are random ones (the same for all methods) rather than all unit
--- vectors.
local function directions(variables)
  local out, total = {}, 0
  for _, v in ipairs(variables) do v.flat = core.zeros({ v.tensor.count }, v.tensor.dtype) end
  for _, g in ipairs(recording.groups) do
    local list, n = of_group(variables, g)
    local random = n > (g == "parameters" and MOST_PARAMETERS or MOST_OTHERS)
    out[g] = { list = list, random = random, n = random and RANDOM_DIRECTIONS or n }
    total = total + out[g].n
  end
  return out, total
end

local function random_direction(list, n)
  local rng = core.rng(0, "check/" .. n)
  for _, v in ipairs(list) do v.flat:copy(rng:normal({ v.flat.count })) end
end

local function each_unit(list, f)
  for _, v in ipairs(list) do
    for k = 1, v.flat.count do
      v.flat[k] = 1
      f(v, k)
      v.flat[k] = 0
    end
  end
end

local function each_random(list, n, f)
  for i = 1, n do
    random_direction(list, i)
    f()
  end
  for _, v in ipairs(list) do v.flat:fill(0) end
end

--- The results of f for each direction, which is in v.flat, by group; `without` has groups to leave out. f is called
--- with the group and, for unit directions, the variable and which of its scalars moves.
local function slopes_of(by_group, f, without)
  local out = recording.lists()
  for _, g in ipairs(recording.groups) do
    local d = by_group[g]
    local function one(...) table.insert(out[g], f(g, ...)) end
    if without and without[g] then
      out[g] = nil
    elseif d.random then
      each_random(d.list, d.n, one)
    else
      each_unit(d.list, one)
    end
  end
  return out
end

--- Whether the loss has a tangent along parameters alone, by themselves or as flat vectors, which stand behind all
--- variables.
local function depends_on(tr, loss, variables, xs, dots)
  local own, along = {}, {}
  for i, x in ipairs(xs) do
    if not variables[i] or variables[i].group == "parameters" then own[#own + 1], along[#along + 1] = x, dots[i] end
  end
  return #own > 0 and tr:jvp(own, along, { loss })[1] ~= false
end

--- Directional derivatives of the loss. `depends`: whether it depends on any parameter.
function M.jvp(check)
  local specs, depends = {}, false
  local r = recording.record(check, nil, function(tr, loss, variables)
    local xs, dots = {}, {}
    for i, v in ipairs(variables) do
      xs[i] = v.value
      dots[i] = tr:like(v.value)
      specs[i] = { v.value.dtype, v.value.shape, v.value.rows }
    end
    each_model(check, function(m, first)
      xs[#xs + 1], dots[#dots + 1] = tr:value(m.flat), model.join(m, dots, first)
    end)
    local slope = tr:jvp(xs, dots, { loss })[1]
    depends = depends_on(tr, loss, variables, xs, dots)
    return { slope or core.zeros_like(loss), loss }
  end)
  collectgarbage()
  local _, before = core.memory(true)
  local p <close>, bound = recording.open(check, r)
  local by_group, n = directions(r.variables)
  for i, v in ipairs(r.variables) do
    local tangent = recording.zeros_like(specs[i])
    p:bind(bound + i, tangent)
    v.flat = core.view(tangent, 0, { tangent.count })
  end
  local out, began = p:fresh(), core.clock()
  local gradient = slopes_of(by_group, function()
    recording.run(p)
    return out[1]:item()
  end)
  local _, _, peak = core.memory()
  return { gradient = gradient, by_group = by_group, directions = n, evaluations = p:evaluations() * n,
    backward = 0, seconds = core.clock() - began, loss = out[2]:item(), seen = r.seen, depends = depends,
    peak = peak - before }
end

--- Central differences of the loss along the same directions; the first run sets the steps, the others repeat them.
--- Not in times where the field has controls: at their knots a derivative from both sides is another one; nor where
--- times repeat, as padding does, which cannot be moved past each other. No peak: most of it would be what this loop
--- leaves to the collector.
function M.finite(check)
  local r = recording.record(check, nil, function(_, loss, variables)
    local results = { loss }
    for i, v in ipairs(variables) do results[i + 1] = v.of or v.value end
    return results
  end)
  local p <close> = recording.open(check, r)
  local out, base, began = p:fresh(), {}, core.clock()
  recording.run(p)
  local by_group = directions(r.variables)
  local step = steps(r.variables, { table.unpack(out, 2) })
  for i, v in ipairs(r.variables) do base[i] = v.tensor:clone() end
  local runs = 0
  local function at(h)
    for i, v in ipairs(r.variables) do
      v.tensor:copy(core.reshape(base[i], -1) + v.flat * h)
    end
    recording.run(p, true)
    runs = runs + 1
    return out[1]:item()
  end
  local function slopes(without)
    return pcall(slopes_of, by_group, function(...)
      local h = step(...)
      return (at(h) - at(-h)) / (2 * h)
    end, without)
  end
  local ok, gradient = slopes { times = r.seen.controls }
  if not ok and tostring(gradient):find("out of order", 1, true) then
    for _, v in ipairs(r.variables) do v.flat:fill(0) end
    ok, gradient = slopes { times = true }
  end
  for i, v in ipairs(r.variables) do v.tensor:copy(base[i]) end
  if not ok then error(gradient, 0) end
  return { gradient = gradient, projected = true, evaluations = runs * p:evaluations(), backward = 0,
    seconds = core.clock() - began }
end

--- A gradient along the random directions of the reference.
function M.project(gradient, reference)
  local out = recording.lists()
  for _, g in ipairs(recording.groups) do
    local d = reference.by_group[g]
    if not d.random then out[g] = gradient[g] end
    for i = 1, d.random and d.n or 0 do
      random_direction(d.list, i)
      local at, sum = 0, 0
      for _, v in ipairs(d.list) do
        for k = 1, v.flat.count do
          at = at + 1
          sum = sum + gradient[g][at] * v.flat[k]
        end
      end
      out[g][i] = sum
    end
  end
  return out
end

return M
