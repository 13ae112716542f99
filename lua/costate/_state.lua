-- SPDX-License-Identifier: GPL-3.0-or-later
-- States and times as a script gives them, and as a solve has them: a list of parts with one leading batch axis,
-- times of f64.
local core = require "costate.core"
local options = require "costate._options"
local trace = require "costate._trace"

local M = {}

local QUADRATURE <const>, UNCONTROLLED <const> = 1, 2

local function is_parts(y0)
  return type(y0) == "table" and not getmetatable(y0) and type(next(y0)) == "string"
end

--- Tables of numbers become tensors; numbers too; and all are of the type that fields compute in.
local function as_tensor(x)
  if core.kind(x) then return x.dtype ~= core.dtype() and core.cast(x, core.dtype()) or x end
  if type(x) == "number" then return core.tensor(x) end
  if type(x) == "table" then return core.tensor(x) end
  core.fail("an initial state is a tensor, a value, a table of numbers or a table of named parts; got a "
    .. type(x))
end

--- `flags` is the option 'parts' of ode: by name "controlled", "quadrature", "uncontrolled" or a table of the last two.
local function flags_of(flags, name)
  local f = flags and flags[name]
  if f == nil or f == "controlled" then return 0 end
  if f == "quadrature" then return QUADRATURE end
  if f == "uncontrolled" then return UNCONTROLLED end
  if type(f) == "table" then
    return (f.quadrature and QUADRATURE or 0) + (f.uncontrolled and UNCONTROLLED or 0)
  end
  core.fail(("part '%s': its flags are \"quadrature\", \"uncontrolled\" or a table of both"):format(name))
end

function M.is_quadrature(flags, name) return flags_of(flags, name) & QUADRATURE ~= 0 end

--- Names of parts in order: quadrature parts stand last, otherwise by name.
local function part_names(flags, y0)
  local names = trace.sorted_keys(y0)
  table.sort(names, function(a, b)
    local qa, qb = flags_of(flags, a) & QUADRATURE, flags_of(flags, b) & QUADRATURE
    if qa ~= qb then return qa < qb end
    return a < b
  end)
  return names
end

--- Parts with flags must be there: a misspelt name would be integrated as any other.
local function check_flags(flags, y0)
  for name in pairs(flags or {}) do
    if is_parts(y0) and y0[name] == nil then
      options.unknown("the initial state (from 'parts' of ode)", tostring(name), trace.sorted_keys(y0))
    end
  end
end

--- y0 as a list of parts with one leading batch axis; `lone` when that axis is added here.
function M.of(flags, y0)
  local s = { parts = {}, single = not is_parts(y0) }
  check_flags(flags, y0)
  local names = s.single and { "y" } or part_names(flags, y0)
  local rows
  for i, name in ipairs(names) do
    local v = as_tensor(s.single and y0 or y0[name])
    s.parts[i] = { name = name, value = v, flags = s.single and 0 or flags_of(flags, name) }
    if v.rows or v.rank >= 2 then rows = v.shape[1] end
  end
  s.lone, s.rows = rows == nil, rows or 1
  for _, p in ipairs(s.parts) do
    local shape = p.value.shape
    if s.lone then
      table.insert(shape, 1, 1)
      p.value = core.reshape(p.value, shape)
    elseif #shape == 0 then
      shape = { rows }
      p.value = core.broadcast_like(p.value, core.zeros(rows))
    elseif shape[1] ~= rows then
      core.fail(("part '%s' has %d rows, another one %d"):format(p.name, shape[1], rows))
    end
    p.shape = shape
  end
  return s
end

--- Times of each row, as lists of any length: the shorter ones repeat their last time.
local function ragged_times(lists)
  local longest, padded = 0, {}
  for _, list in ipairs(lists) do longest = math.max(longest, #list) end
  for i, list in ipairs(lists) do
    if #list == 0 then core.fail(("row %d has no times: at least where it starts is needed"):format(i)) end
    padded[i] = table.move(list, 1, #list, 1, {})
    for k = #list + 1, longest do padded[i][k] = list[#list] end
  end
  return core.rows(core.tensor(padded, "f64"))
end

--- Times of f64: [T], or [B, T] a row.
function M.times(t)
  if core.kind(t) then return t.dtype == "f64" and t or core.cast(t, "f64") end
  if type(t) ~= "table" then core.fail("times are a tensor or a table of numbers, got a " .. type(t)) end
  if type(t[1]) == "table" then return ragged_times(t) end
  for _, x in ipairs(t) do
    if core.kind(x) then return core.cast(core.stack(t), "f64") end
  end
  return core.tensor(t, "f64")
end

--- Tensors, which the script's tables may go on without.
function M.tensors(y0)
  if not is_parts(y0) then return as_tensor(y0) end
  local copy = {}
  for k, v in pairs(y0) do copy[k] = as_tensor(v) end
  return copy
end

--- Values by part as the script gets them: one, or a table by name; without the batch axis added here.
function M.deliver(state, list)
  local values = {}
  for i, v in ipairs(list) do
    if state.lone then
      local shape = v.shape
      table.remove(shape, 1)
      v = core.reshape(v, shape)
    end
    values[i] = v
  end
  if state.single then return values[1] end
  local by_name = {}
  for i, p in ipairs(state.parts) do by_name[p.name] = values[i] end
  return by_name
end

--- f of every value that deliver gave, arranged as they are.
function M.each(values, f)
  if core.kind(values) then return f(values) end
  local out = {}
  for name, v in pairs(values) do out[name] = f(v) end
  return out
end

return M
