-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.print and cs.explain: values as people read them, programs as they run.
local core = require "costate.core"

local M = {}

local function text(x, indent)
  if #indent > 64 then return "..." end
  if type(x) == "table" and not getmetatable(x) then
    local lines, keys = {}, require("costate._trace").sorted_keys(x)
    for _, k in ipairs(keys) do
      lines[#lines + 1] = ("%s%s: %s"):format(indent, tostring(k), text(x[k], indent .. "  "))
    end
    return (indent ~= "" and "\n" or "") .. table.concat(lines, "\n")
  end
  return tostring(x)
end

--- Prints values; tables field by field.
function M.print(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = text((select(i, ...)), "") end
  print(table.concat(parts, "\t"))
end

--- What a flow, or a function on given arguments, is made of: nodes with their lines, fusions, buffers.
function M.explain(x, ...)
  if type(x) == "table" and x.explain then return x:explain() end
  if type(x) == "userdata" and core.kind(x) then return tostring(x) end
  local meta = getmetatable(x)
  if type(x) ~= "function" and not (type(meta) == "table" and meta.__call) then
    core.fail("explain takes a flow, or a function and its arguments")
  end
  local trace = require "costate._trace"
  local leaves, _, spec = trace.flatten { ... }
  local fn, captures = trace.record(leaves, function(_, inputs)
    return (trace.flatten { x(table.unpack(trace.rebuild(spec, inputs))) })
  end)
  return "function:\n" .. fn:explain() .. "\nprogram:\n" .. core.program(fn, captures):explain()
end

return M
