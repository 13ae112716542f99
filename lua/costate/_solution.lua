-- SPDX-License-Identifier: GPL-3.0-or-later
-- What a solve gave: values, why it stopped, and the solution between the outputs.
local core = require "costate.core"
local states = require "costate._state"

local Solution = { __name = "costate.Solution" }
Solution.__index = Solution

function Solution:__tostring()
  return ("solution: %s, %d evaluations, %d steps, %d rejected%s"):format(self.status,
    self.stats.evaluations, self.stats.accepted, self.stats.rejected,
    self.message and "\n" .. self.message or "")
end

--- Times in the order of the solve, and where each of the given ones then stands.
local function ordered(list, backward)
  local order, times, place = {}, {}, {}
  for i = 1, #list do order[i] = i end
  table.sort(order, function(a, b)
    if list[a] == list[b] then return a < b end
    if backward then return list[a] > list[b] end
    return list[a] < list[b]
  end)
  for k, i in ipairs(order) do times[k], place[i] = list[i], k end
  return times, place
end

--- The times that were asked for as a list, each within those of the solve.
local function asked(self, t)
  if core.current() then core.fail("a solution is asked outside of traced functions; inside use the flow: flow(y0, t)") end
  if self.t.rank ~= 1 then core.fail("a solution between outputs is there for times that all rows share") end
  local first, last = self.t[1], self.t[#self.t]
  local list = type(t) == "number" and { t } or core.kind(t) and core.reshape(t, { -1 }):totable() or t
  if type(list) ~= "table" then core.fail("a solution is asked for a time or for a list of times: sol(12.5)") end
  for _, x in ipairs(list) do
    if type(x) ~= "number" then core.fail("a solution is asked for a time or for a list of times, got a " .. type(x)) end
    if not (x >= math.min(first, last) and x <= math.max(first, last)) then
      core.fail(("time %s lies outside of the solve, %s to %s"):format(core.format(x), core.format(first),
        core.format(last)))
    end
  end
  return list, first, last
end

--- sol(t): the state at a time within the solve, or at a list or tensor of times [n, ...]: the dense output of
--- the steps that were taken, which are taken again.
function Solution:__call(t)
  local list, first, last = asked(self, t)
  local times, place = ordered(list, last < first)
  table.insert(times, 1, first)
  times[#times + 1] = last
  local values = self.flow(self.y0, times)
  local lone = type(t) == "number"
  return states.each(values, function(v)
    local axis = self.flow.lone and 1 or 2
    local index = {}
    for i, k in ipairs(place) do index[i] = k + 1 end
    local out = core.take(v, core.index(index), axis)
    if not lone then return out end
    local shape = out.shape
    table.remove(shape, axis)
    return core.reshape(out, shape)
  end)
end

--- sol:slope(t): dy/dt at a time, as the field has it.
function Solution:slope(t)
  if type(t) ~= "number" then core.fail("the slope of a solution is asked for one time: sol:slope(12.5)") end
  return self.flow:slope(self.y0, self(t), t)
end

--- The steps that were tried, of a flow with trace = true: tensors t, h, error (1: the tolerance), accepted.
local function steps_of(attempts)
  local out = {}
  for k, name in ipairs { "t", "h", "error", "accepted" } do
    out[name] = core.reshape(core.slice(attempts, 2, k, k), { attempts.shape[1] })
  end
  return out
end

--- `given`: values, events, t, status, message, stats, attempts, flow, y0.
return function(given)
  if given.attempts then given.steps, given.attempts = steps_of(given.attempts), nil end
  return setmetatable(given, Solution)
end
