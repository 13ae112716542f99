-- SPDX-License-Identifier: GPL-3.0-or-later
-- Recording functions, and calling what was recorded.
local core = require "costate.core"

local M = {}

local MAX_DEPTH <const> = 64

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return keys
end
M.sorted_keys = sorted_keys

--- Collects the tensors, values and numbers of nested plain tables in a fixed order. Everything else
--- (strings, booleans, functions, models) is static: part of the key.
local function flatten(x, leaves, key, depth)
  if depth > MAX_DEPTH then core.fail("tables are nested too deeply here: does one contain itself?") end
  if core.kind(x) then
    leaves[#leaves + 1] = x
    key[#key + 1] = core.signature(x)
    return { leaf = #leaves }
  elseif type(x) == "number" then
    leaves[#leaves + 1] = x
    key[#key + 1] = "n"
    return { leaf = #leaves }
  elseif type(x) == "table" and not getmetatable(x) then
    local spec = { keys = sorted_keys(x), items = {} }
    key[#key + 1] = "{"
    for i, k in ipairs(spec.keys) do
      key[#key + 1] = tostring(k) .. "="
      spec.items[i] = flatten(x[k], leaves, key, depth + 1)
    end
    key[#key + 1] = "}"
    return spec
  end
  key[#key + 1] = type(x) == "string" and ("%q"):format(x) or tostring(x)
  return { static = x }
end

--- leaves, key, spec of a value.
function M.flatten(x)
  local leaves, key = {}, {}
  local spec = flatten(x, leaves, key, 0)
  return leaves, table.concat(key, ";"), spec
end

--- The same tables with `values` in place of the leaves.
function M.rebuild(spec, values)
  if spec.leaf then return values[spec.leaf] end
  if not spec.keys then return spec.static end
  local t = {}
  for i, k in ipairs(spec.keys) do t[k] = M.rebuild(spec.items[i], values) end
  return t
end

local function has_keys(x, count)
  if type(x) ~= "table" or getmetatable(x) then return false end
  for _ in next, x do count = count - 1 end
  return count == 0
end

--- Leaves again, quickly, of a value shaped like the one that gave `spec`; nil when it is not: other
--- keys, or something static that is another thing now.
function M.collect(spec, x, out, n)
  if spec.leaf then
    out[n + 1] = x
    return x ~= nil and n + 1 or nil
  end
  if not spec.keys then return rawequal(x, spec.static) and n or nil end
  if not has_keys(x, #spec.keys) then return nil end
  local items = spec.items
  for i, k in ipairs(spec.keys) do
    n = M.collect(items[i], x[k], out, n)
    if not n then return nil end
  end
  return n
end

--- Records body(trace, inputs) -> results with one input like each leaf. Returns the function, what
--- it captured, and whatever else the body returned.
function M.record(leaves, body)
  local tr <close> = core.trace(0, false)
  local inputs = {}
  for i, x in ipairs(leaves) do
    inputs[i] = type(x) == "number" and tr:input("f64", "shared", {}) or tr:like(x)
  end
  local results, extra = core.sealed(body, tr, inputs)
  local fn, captures = tr:finish(results)
  return fn, captures, extra
end

--- Raises unless what a loss returned is one number that a trace knows of.
function M.check_loss(loss)
  if not core.kind(loss) then
    core.fail("the loss must return a traced number, got a " .. (type(loss) == "number" and
      "plain number: it does not depend on the parameters" or type(loss)))
  end
  if loss.count ~= 1 then
    core.fail(("the loss must be one number, got shape [%s]: use :mean()"):format(table.concat(loss.shape, ", ")))
  end
end

--- Whether two recordings would compute the same: equal graphs, and captures that are the same
--- tensors or equal ones. Otherwise also where and how they differ.
function M.equal(a, b)
  local same, was, is, where = a.fn:equal(b.fn)
  if not same then return false, was, is, where end
  if #a.captures ~= #b.captures then return false, "other tensors", "than before" end
  for i, t in ipairs(a.captures) do
    if core.kind(t) == "tensor" and not core.same(t, b.captures[i]) then
      return false, "a tensor made inside the function: " .. tostring(t), tostring(b.captures[i])
    end
  end
  return true
end

--- A program for a recording, its captures bound.
function M.program(recording)
  recording.program = recording.program or core.program(recording.fn, recording.captures)
  return recording.program
end

--- Binds leaves (and, when given, other captures) and runs. Returns new result tensors or nil,
--- status, message.
function M.run(recording, leaves, captures)
  local p = M.program(recording)
  for i, x in ipairs(leaves) do
    if core.kind(x) == "value" then
      core.fail("this value belongs to a trace that has ended: only the results of a traced function leave it")
    end
    if not p:bind(i, x) then core.fail("argument " .. i .. " has another type than was compiled for") end
  end
  for i, t in ipairs(captures or {}) do p:bind(#leaves + i, t) end
  local out = p:fresh()
  p:configure(0)
  local status, message = p:run()
  if status ~= "ok" then return nil, status, message, out end
  return out
end

--- f(...) where f must build nodes: recorded and run at once when no trace is open. Recordings are
--- kept by the types of the arguments; `static` says that they cannot go stale.
function M.eager(f)
  local cache = {}
  return function(...)
    if core.current() then return f(...) end
    local leaves, key, spec = M.flatten { ... }
    local r = cache[key]
    if not r then
      r = { spec = spec }
      r.fn, r.captures = M.record(leaves, function(_, inputs)
        return { f(table.unpack(M.rebuild(spec, inputs))) }
      end)
      cache[key] = r
    end
    local out, status, message = M.run(r, leaves)
    if not out then core.fail(status .. ": " .. message) end
    return table.unpack(out)
  end
end

return M
