-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.scan: a recurrence along an axis. The body is recorded once; its length is that of the data.
local core = require "costate.core"
local options = require "costate._options"
local trace = require "costate._trace"

local kept = setmetatable({}, { __mode = "k" }) -- body -> recordings, so that equal ones are shared

--- Values of a part without the scanned axis (from 1).
local function element_shape(x, axis)
  local shape = x.shape
  if #shape < axis then core.fail(("scan: an input of rank %d has no axis %d"):format(#shape, axis)) end
  local n = table.remove(shape, axis)
  return shape, n
end

local function inputs_of(tr, list, shapes)
  local out = {}
  for i, x in ipairs(list) do
    out[i] = tr:input(core.kind(x) and x.dtype or core.dtype(), x.rows and "row" or "shared", shapes[i])
  end
  return out
end

--- Beyond its length a row keeps its carry and gives zeros.
local function masked(active, new, old)
  local out = {}
  for i, v in ipairs(new) do
    local m = active
    while #v.shape > #m.shape do
      local shape = m.shape
      shape[#shape + 1] = 1
      m = core.reshape(m, shape)
    end
    out[i] = core.where(m, v, old and old[i] or 0)
  end
  return out
end

local function like(v, old)
  if type(v) == "number" then return core.full_like(old, v) end
  if #v.shape ~= #old.shape or v.rows ~= old.rows then return core.broadcast_like(v, old) end
  return v
end

--- The body as a function. With `lengths` it keeps the rows that have ended itself, by the last of xs, which
--- counts 0, 1, ...
local function record(body, carry, xs, specs, axis, lengths)
  local rows = 0
  for _, x in ipairs(carry) do if x.rows then rows = x.shape[1] end end
  for _, x in ipairs(xs) do if x.rows then rows = x.shape[1] end end
  local tr <close> = core.trace(rows, true)
  local carry_shapes, x_shapes = {}, {}
  for i, c in ipairs(carry) do carry_shapes[i] = c.shape end
  for i, x in ipairs(xs) do x_shapes[i] = element_shape(x, axis) end
  local c = inputs_of(tr, carry, carry_shapes)
  local x = inputs_of(tr, xs, x_shapes)
  local position = lengths and table.remove(x)
  local new, y = body(trace.rebuild(specs.carry, c), specs.xs and trace.rebuild(specs.xs, x) or nil)
  local new_list = trace.flatten(new)
  local y_list, _, y_spec = trace.flatten(y == nil and {} or y)
  if #new_list ~= #c then core.fail(("scan: the body must return a carry of %d parts"):format(#c)) end
  for i, v in ipairs(new_list) do new_list[i] = like(v, c[i]) end
  if lengths then
    local active = core.lt(position, lengths)
    new_list, y_list = masked(active, new_list, c), masked(active, y_list)
  end
  local results = {}
  for _, v in ipairs(new_list) do results[#results + 1] = v end
  for _, v in ipairs(y_list) do results[#results + 1] = v end
  local fn, captures = tr:finish(results)
  return fn, captures, y_spec, #new_list
end

local function shared(body, fn)
  local list = kept[body] or {}
  kept[body] = list
  for _, old in ipairs(list) do
    if old:equal(fn) then return old end
  end
  table.insert(list, 1, fn)
  list[9] = nil
  return fn
end

--- 0, 1, ... n - 1 along the axis, as a sequence beside x.
local function positions(x, n, axis)
  local p, shape = core.iota(n), {}
  if axis == 1 then return p end
  for i = 1, axis do shape[i] = i == axis and n or x.shape[i] end
  return core.broadcast_like(p, core.reshape(core.slice(core.reshape(x, { shape[1], n, -1 }), 3, 1, 1), { shape[1], n }))
end

--- cs.scan(body, carry, xs [, { lengths =, reverse =, axis = }]) -> carry, stacked outputs.
--- body(carry, x) returns the next carry and, optionally, an output.
local function scan(body, carry, xs, given)
  local o = options.check("scan", given or {}, { lengths = "tensor", reverse = "boolean", axis = "integer" })
  if type(body) ~= "function" then core.fail("scan takes a function, got a " .. type(body)) end
  if xs == nil then core.fail("scan needs inputs to go along: cs.scan(body, carry, xs)") end
  local carry_list, _, carry_spec = trace.flatten(carry)
  local x_list, _, x_spec = trace.flatten(xs)
  for i, c in ipairs(carry_list) do
    if type(c) == "number" then carry_list[i] = core.current():value(c) end
  end
  if not core.kind(x_list[1]) then core.fail("scan needs tensors or values to go along, got none") end
  if o.axis and o.axis < 1 then core.fail(("option 'axis' of scan counts from 1, got %d"):format(o.axis)) end
  -- rows have the batch first, so they are scanned along the second axis
  o.axis = o.axis or (x_list[1].rows and 2 or 1)
  local _, n = element_shape(x_list[1], o.axis)
  local function node(mask, lengths)
    local fn, captures, y_spec, n_carry = record(body, carry_list, x_list, { carry = carry_spec, xs = x_spec }, o.axis, mask)
    local out = core.scan(shared(body, fn), carry_list, x_list, captures, o.axis - 1, o.reverse or false, lengths)
    return out, y_spec, n_carry
  end
  local out, y_spec, n_carry = node(nil, o.lengths)
  if not out then -- rows depend on each other, or not all that is carried is of rows: all run, the ended in vain
    x_list[#x_list + 1] = positions(x_list[1], n, o.axis)
    out, y_spec, n_carry = node(o.lengths)
  end
  local carries, ys = {}, {}
  for i = 1, n_carry do carries[i] = out[i] end
  for i = n_carry + 1, #out do ys[i - n_carry] = out[i] end
  return trace.rebuild(carry_spec, carries), trace.rebuild(y_spec, ys)
end

local function eager(body, carry, xs, given)
  if core.current() then return scan(body, carry, xs, given) end
  local lengths = given and given.lengths
  local leaves, _, spec = trace.flatten { carry = carry, xs = xs, lengths = lengths }
  local recording, out_spec = {}, nil
  recording.fn, recording.captures = trace.record(leaves, function(_, inputs)
    local a = trace.rebuild(spec, inputs)
    local o = {}
    for k, v in pairs(given or {}) do o[k] = v end
    o.lengths = a.lengths
    local values, _, s = trace.flatten { scan(body, a.carry, a.xs, o) }
    out_spec = s
    return values
  end)
  local out, status, message = trace.run(recording, leaves)
  if not out then core.fail(status .. ": " .. message) end
  local packed = trace.rebuild(out_spec, out)
  return packed[1], packed[2]
end

return eager
