-- SPDX-License-Identifier: GPL-3.0-or-later
-- What methods of a flow take: points [B, D] and what they depend on, labels [B] of classes or vectors [B, C].
local core = require "costate.core"

local M = {}

--- Points as a batch of rows [B, D].
function M.points(m, what, x)
  if type(x) == "table" and not core.kind(x) then x = core.tensor(x) end
  local dim = m.options.dim
  if not core.kind(x) or x.rank ~= 2 or x.shape[2] ~= dim then
    local got = core.kind(x) and ("shape [%s]"):format(table.concat(x.shape, ", ")) or "a " .. type(x)
    core.fail(("%s takes a batch of points [B, %d], got %s"):format(what, dim, got))
  end
  if x.dtype ~= core.dtype() then x = core.cast(x, core.dtype()) end
  return x.rows and x or core.rows(x)
end

--- Labels of a tensor are looked at; in a trace one that is no class makes NaN, and the solve says so.
local function check_labels(what, c, classes)
  if core.kind(c) ~= "tensor" then return end
  for i, k in ipairs(c:totable()) do
    if k % 1 ~= 0 or k < 0 or k >= classes then
      core.fail(("%s: label %d is %s, classes go from 0 to %d"):format(what, i, core.format(k), classes - 1))
    end
  end
end

local function check_condition(o, what, c, rows)
  if o.classes > 0 then
    if core.kind(c) and c.rank == 1 and c.shape[1] == rows then return check_labels(what, c, o.classes) end
    core.fail(("%s: the condition is labels [%d], from 0 to %d"):format(what, rows, o.classes - 1))
  end
  if core.kind(c) and c.rank == 2 and c.shape[1] == rows and c.shape[2] == o.condition then return end
  core.fail(("%s: the condition is a batch of vectors [%d, %d]"):format(what, rows, o.condition))
end

--- A condition as rows, or nil.
function M.condition(m, what, c, rows)
  local o = m.options
  if o.classes == 0 and o.condition == 0 then
    if c ~= nil then core.fail(what .. ": this flow has no condition: it is made with classes = n or condition = width") end
    return nil
  end
  if c == nil then core.fail(what .. " of a flow with a condition takes { condition = c }") end
  if type(c) == "table" and not core.kind(c) then c = core.tensor(c) end
  check_condition(o, what, c, rows)
  if not c.rows then c = core.rows(c) end
  return c.dtype == core.dtype() and c or core.cast(c, core.dtype())
end

--- What fields get of a condition: vectors as they are, classes as zeros and a one.
function M.seen(m, c)
  if not c or m.options.classes == 0 then return c or false end
  local hot = core.cast(core.eq(core.reshape(c, { c.shape[1], 1 }), core.iota(m.options.classes)), core.dtype())
  return hot / core.sum(hot, 2, true)
end

return M
