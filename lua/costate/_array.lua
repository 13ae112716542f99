-- SPDX-License-Identifier: GPL-3.0-or-later
-- A tensor or value where a script may write tables: { { a, 1 }, { 0, b } } with numbers and values as it likes.
local core = require "costate.core"

local function has_values(t)
  for _, x in ipairs(t) do
    if core.kind(x) or type(x) == "table" and has_values(x) then return true end
  end
  return false
end

--- Entries along a new axis that comes before those of the entries themselves, but after the batch.
local function stacked(t)
  local entries, depth = {}, 1
  for i, x in ipairs(t) do
    entries[i] = x
    if type(x) == "table" and not core.kind(x) then
      local d
      entries[i], d = stacked(x)
      depth = math.max(depth, d + 1)
    end
  end
  return core.stack(entries, -depth), depth
end

--- `what` says whose argument it is when it is nothing of the kind.
return function(x, what)
  if core.kind(x) then return x end
  if type(x) ~= "table" then
    core.fail(("%s must be a tensor, a value or a table of numbers, got a %s"):format(what, type(x)))
  end
  return has_values(x) and (stacked(x)) or core.tensor(x)
end
