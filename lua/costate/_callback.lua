-- SPDX-License-Identifier: GPL-3.0-or-later
-- A field that is a plain Lua function, called at every evaluation: callback = function(t, y, dy). What the
-- derivative is, is said once: either every element of dy is written, or the derivative is returned. Anything
-- between the two - nothing, a part of dy, both - is an error, so that no element is ever taken for a zero.
local core = require "costate.core"
local options = require "costate._options"
local states = require "costate._state"
local trace = require "costate._trace"

local M = {}

local function shape_text(x) return "[" .. table.concat(x.shape, ", ") .. "]" end

--- dy = x, which the function gave for the part `name`.
local function give(where, dy, x, name)
  if type(x) == "table" then x = core.tensor(x, dy.dtype) end
  if core.give(dy, x) then return end
  local kind = core.kind(x)
  core.fail(("%s gave %s for '%s', whose shape is %s"):format(where,
    kind == "tensor" and "shape " .. shape_text(x) or "a " .. (kind or type(x)), name, shape_text(dy)))
end

local function check_written(where, dy, name)
  local at = core.unwritten(dy)
  if not at then return end
  core.fail(at == "all" and ("%s neither wrote %s nor returned a derivative"):format(where, name)
    or ("%s did not write %s%s"):format(where, name, at))
end

--- A result beside dy: dy is to be as it was.
local function take_result(where, dy, x, name)
  if rawequal(x, dy) then return end
  if core.unwritten(dy) ~= "all" then
    core.fail(("%s wrote %s and returned a derivative as well: do one of the two"):format(where, name))
  end
  give(where, dy, x, name == "dy" and "y" or name:sub(4))
end

local function of_one(f, where)
  return function(t, y, dy)
    local result = f(t, y, dy)
    if result ~= nil then take_result(where, dy, result, "dy") end
    check_written(where, dy, "dy")
  end
end

local function check_names(where, given, known)
  if type(given) ~= "table" or getmetatable(given) then
    core.fail(("%s returned a %s: with named parts it writes dy.NAME, or returns a table of them"):format(where,
      core.kind(given) or type(given)))
  end
  for name in pairs(given) do
    if known[name] == nil then
      options.unknown("the state (in what " .. where .. " gave)", tostring(name), trace.sorted_keys(known))
    end
  end
end

--- Parts by name; those that nothing depends on are in dy alone. dy.x may be written, or be set to another value.
local function of_parts(f, where, names, quadrature)
  return function(t, ...)
    local parts, y, mine, dy = { ... }, {}, {}, {}
    for i, name in ipairs(names) do
      if not quadrature[name] then y[name] = parts[2 * i - 1] end
      mine[name], dy[name] = parts[2 * i], parts[2 * i]
    end
    local result = f(t, y, dy)
    check_names(where, dy, mine)
    if result ~= nil and not rawequal(result, dy) then check_names(where, result, mine) else result = nil end
    for name, to in pairs(mine) do
      local label = "dy." .. name
      if dy[name] ~= nil then take_result(where, to, dy[name], label) end
      if result and result[name] ~= nil then take_result(where, to, result[name], label) end
      check_written(where, to, label)
    end
  end
end

local function place_of(f)
  local info = debug.getinfo(f, "S")
  return ("the callback (%s:%d)"):format(info.short_src, info.linedefined)
end

--- The object that the core calls, for a state of these parts; equal ones of a flow are one.
local function object_of(flow, names, quadrature, single, lone)
  local f, marks = flow.options.callback, {}
  for i, name in ipairs(names) do marks[i] = (quadrature[name] and "q" or "s") .. ("%q"):format(name) end
  local key = single and "" or table.concat(marks, ",")
  local known = key .. (lone and ":lone" or ":rows")
  flow.callbacks[known] = flow.callbacks[known] or core.callback(single and of_one(f, place_of(f))
    or of_parts(f, place_of(f), names, quadrature), f, key, lone)
  return flow.callbacks[known]
end

local function as_named(list, names)
  local out = {}
  for i, name in ipairs(names) do out[name] = list[i] end
  return out
end

--- The derivative at t and y, one value or a table by name, arranged as y: nodes in a trace, else tensors. With
--- `lone` the script's function sees no axis of rows.
function M.evaluate(flow, t, y, lone)
  local single = core.kind(y) ~= nil
  local names, quadrature, ys = single and { "y" } or trace.sorted_keys(y), {}, {}
  for i, name in ipairs(names) do
    quadrature[name] = not single and states.is_quadrature(flow.options.parts, name)
    ys[i] = single and y or y[name]
    if quadrature[name] then ys[i] = core.zeros_like(ys[i]) end -- the field must not depend on it
  end
  local object = object_of(flow, names, quadrature, single, lone)
  local list
  if core.current() then list = object:node(t, ys) else list = object:call(t, ys) end
  return single and list[1] or as_named(list, names)
end

return M
