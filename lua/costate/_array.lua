-- SPDX-License-Identifier: GPL-3.0-or-later
-- A tensor or value where a script may write tables: { { a, 1 }, { 0, b } } with numbers and values as it likes.
-- All entries of a table are of one shape: a name that is nil leaves a table short, and is not to be made up for by
-- repeating what stands beside it.
local core = require "costate.core"

local DEEPEST <const> = 8 -- as many axes as a tensor has

local function has_values(t, what, depth)
  if depth > DEEPEST then
    core.fail(("%s is nested more than %d tables deep: does one contain itself?"):format(what, DEEPEST))
  end
  local found = false
  for _, x in pairs(t) do
    found = found or core.kind(x) ~= nil
    if type(x) == "table" then found = has_values(x, what, depth + 1) or found end
  end
  return found
end

--- The length of a list that has every entry.
local function length_of(t, what)
  local last = 0
  for k in pairs(t) do
    if math.type(k) ~= "integer" or k < 1 then core.fail(("%s has a key '%s': it is a list"):format(what, tostring(k))) end
    last = math.max(last, k)
  end
  for i = 1, last do
    if t[i] == nil then core.fail(("%s lacks entry %d of %d: is a name in it nil?"):format(what, i, last)) end
  end
  if last == 0 then core.fail(("%s has an empty table in it"):format(what)) end
  return last
end

--- Axes of an entry, without that of the batch.
local function shape_of(x, what)
  if type(x) == "number" then return {} end
  if not core.kind(x) then core.fail(("%s has a %s in it: entries are numbers and values"):format(what, type(x))) end
  local shape = x.shape
  if x.rows then table.remove(shape, 1) end
  return shape
end

local function text_of(shape)
  return #shape == 0 and "is a number" or ("has shape [%s]"):format(table.concat(shape, ", "))
end

--- Entries along a new axis that comes before those of the entries themselves, but after the batch; and the shape.
local function stacked(t, what)
  local entries, first = {}, nil
  for i = 1, length_of(t, what) do
    local x, shape = t[i]
    if type(x) == "table" then x, shape = stacked(x, what) end
    shape = shape or shape_of(x, what)
    first = first or shape
    if text_of(shape) ~= text_of(first) then
      core.fail(("%s is ragged: entry 1 of a table %s, entry %d %s"):format(what, text_of(first), i, text_of(shape)))
    end
    entries[i] = x
  end
  return core.stack(entries, -#first - 1), { #entries, table.unpack(first) }
end

--- `what` says whose argument it is when it is nothing of the kind.
return function(x, what)
  if core.kind(x) then return x end
  if type(x) ~= "table" then
    core.fail(("%s must be a tensor, a value or a table of numbers, got a %s"):format(what, type(x)))
  end
  return has_values(x, what, 1) and (stacked(x, what)) or core.tensor(x)
end
