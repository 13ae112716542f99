-- SPDX-License-Identifier: GPL-3.0-or-later
-- Models made of models. The parameters of all parts lie one after another in one flat vector, which the parts
-- then only look into: an optimizer, a norm or a copy of the whole is one of a vector. Parts stand in the order
-- of their names; parameter "weight" of part "decoder" is "decoder.weight" of the whole.
local core = require "costate.core"
local trace = require "costate._trace"

local M = {}

--- The parts' parameters, with the offsets they have in the whole.
local function layout_of(parts)
  local list, count = {}, 0
  for _, key in ipairs(trace.sorted_keys(parts)) do
    for _, p in ipairs(parts[key].list) do
      list[#list + 1] = { name = key .. "." .. p.name, shape = p.tensor.shape, offset = count + p.offset }
    end
    count = count + parts[key].flat.count
  end
  return list, count
end

--- The parameters of a part, and of its own parts, look into the whole's memory; the tensors of both are then the
--- same objects, as derivatives want them.
local function look_into(part, list, flat, first, at)
  local own = rawget(part, M.internals.FIXED)
  own.flat = core.view(flat, at, { own.flat.count })
  for i, p in ipairs(own.list) do
    p.tensor = list[first + i].tensor
    own.parameters[p.name] = p.tensor
  end
  local inner = rawget(part, "parts") or {}
  for _, key in ipairs(trace.sorted_keys(inner)) do first, at = look_into(inner[key], list, flat, first, at) end
  if next(inner) then return first, at end
  return first + #own.list, at + own.flat.count
end

--- A part belongs to one whole: to another it would be lost. All are looked at before one is moved.
local function check_free(parts, name)
  local seen = {}
  for _, key in ipairs(trace.sorted_keys(parts)) do
    local part = parts[key]
    local whole = rawget(part, M.internals.FIXED).whole or seen[part] and name
    if whole then
      core.fail(whole == name and ("model '%s' is given twice to '%s'"):format(part.name, name)
        or ("model '%s' is a part of '%s' already, and cannot be one of '%s' as well"):format(part.name, whole, name))
    end
    seen[part] = true
  end
end

--- Moves the parameters of a part into the whole's memory.
local function adopt(part, name, fixed, flat, first, at)
  local own = rawget(part, M.internals.FIXED)
  core.view(flat, at, { own.flat.count }):copy(own.flat)
  own.whole = name
  return look_into(part, fixed.list, flat, first, at)
end

--- A model of type_, whose parts(o, name) makes the models it consists of and whose methods become its own.
function M.new(internals, type_, given)
  M.internals = internals
  local rest, name = internals.without_name(given)
  local o = internals.resolve("model", type_, rest)
  if type_.check then type_.check(o) end
  name = internals.stream_name(name, type_.name)
  local parts = type_.parts(o, name)
  check_free(parts, name)
  local list, count = layout_of(parts)
  local self = setmetatable({ kind = type_.name, name = name, options = o, parts = parts }, internals.Model)
  internals.attach(self, list, core.zeros({ count }))
  local fixed = rawget(self, internals.FIXED)
  local first, at = 0, 0
  for _, key in ipairs(trace.sorted_keys(parts)) do first, at = adopt(parts[key], name, fixed, self.flat, first, at) end
  for k, f in pairs(type_.methods or {}) do fixed[k] = f end
  rawset(self, "eager", type_.build and trace.eager(function(...) return type_.build(o, parts, ...) end)
    or function()
      core.fail(("a model '%s' is not called: its methods are %s"):format(type_.name,
        table.concat(trace.sorted_keys(type_.methods or {}), ", ")))
    end)
  return self
end

return M
