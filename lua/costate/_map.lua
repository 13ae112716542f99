-- SPDX-License-Identifier: GPL-3.0-or-later
-- The flow map: Phi(y0) = y(t1) of dy/dt = f(t, y), y(t0) = y0, as a value that is applied, composed and inverted.
--
--     Phi(t1, t2) o Phi(t0, t1) = Phi(t0, t2)       Phi(t0, t1)^-1 = Phi(t1, t0)
--     dPhi/dt1 = f(t1, Phi)    dPhi/dt0 = -J f(t0, y0), J = dPhi/dy0    det J = exp of the integral of tr df/dy
--
-- all to the accuracy of the solver. A map is a list of legs (a flow and two times) in the order in which a state
-- passes them; nothing is simplified, so composing is exactly doing one after the other.
local core = require "costate.core"
local options = require "costate._options"
local states = require "costate._state"

local Map = { __name = "costate.Map" }

local function is_map(x) return getmetatable(x) == Map end

local function make(legs) return setmetatable({ legs = legs }, Map) end

function Map:__index(k)
  if k == "t0" then return self.legs[1].t0 end
  if k == "t1" then return self.legs[#self.legs].t1 end
  return Map[k]
end

--- A time is a number or a value of one element; of a flow with control = "row" also one for each row. It is kept as
--- given: a copy would be no parameter any more.
local function check_time(flow, name, t)
  if type(t) == "number" then
    if t - t == 0 then return t end
    core.fail(("%s of a map must be finite, got %s"):format(name, core.format(t)))
  end
  if not core.kind(t) then
    core.fail(("%s of a map is a number or a scalar: flow:map(0, 1); got a %s"):format(name, type(t)))
  end
  local each = t.rank == 1 and (t.rows or flow.options.control == "row")
  if t.count == 1 or each then return t end
  core.fail(("%s of a map is one time, or one for each row if ode has control = \"row\"; its shape is [%s]"):format(name,
    table.concat(t.shape, ", ")))
end

local function scalar(t)
  return core.kind(t) and not t.rows and t.count == 1 and core.reshape(t, {}) or t
end

--- The second of the two times that a leg is solved for, without their axis.
local function end_of(flow, values)
  local axis = flow.lone and 1 or 2
  return states.each(values, function(v)
    local shape = v.shape
    table.remove(shape, axis)
    return core.reshape(core.slice(v, axis, 2, 2), shape)
  end)
end

function Map:__call(y, ...)
  if y == nil then core.fail("a map is called with a state: phi(y0)") end
  options.no_more("a map, called with a state as phi(y0),", ...)
  for _, leg in ipairs(self.legs) do
    y = end_of(leg.flow, (leg.flow(y, { scalar(leg.t0), scalar(leg.t1) })))
  end
  return y
end

--- (phi .. psi)(y) = phi(psi(y)).
function Map.__concat(phi, psi)
  for i = 1, 2 do
    local x = select(i, phi, psi)
    if not is_map(x) then
      core.fail(("a map is composed with a map, got a %s; as text it is tostring(phi)"):format(core.kind(x) or type(x)))
    end
  end
  local legs = table.move(psi.legs, 1, #psi.legs, 1, {})
  return make(table.move(phi.legs, 1, #phi.legs, #legs + 1, legs))
end

--- The same legs from the last to the first, each backwards.
function Map:inverse()
  if not is_map(self) then core.fail("a map is inverted by phi:inverse(), with a colon") end
  local legs = {}
  for i, leg in ipairs(self.legs) do
    if leg.flow.options.events then
      core.fail("a flow with events has no inverse map: what a reset or an end leaves does not tell where it came from")
    end
    legs[#self.legs + 1 - i] = { flow = leg.flow, t0 = leg.t1, t1 = leg.t0 }
  end
  return make(legs)
end

local function text_of(t)
  if type(t) == "number" then return core.format(t) end
  return core.kind(t) == "tensor" and t.count == 1 and core.format(t:item()) or "a " .. core.kind(t)
end

function Map:__tostring()
  local lines = {}
  for i = #self.legs, 1, -1 do
    local leg = self.legs[i]
    lines[#lines + 1] = ("map from %s to %s of %s"):format(text_of(leg.t0), text_of(leg.t1), tostring(leg.flow))
  end
  return table.concat(lines, "\n  after ")
end

function Map.__newindex(_, k)
  core.fail(("'%s' of a map cannot be set: flow:map(t0, t1) makes another one"):format(tostring(k)))
end

local M = {}

function M.new(flow, t0, t1, ...)
  options.no_more("flow:map(t0, t1)", ...)
  if t0 == nil or t1 == nil then core.fail("a map leads from one time to another: flow:map(t0, t1)") end
  return make { { flow = flow, t0 = check_time(flow, "t0", t0), t1 = check_time(flow, "t1", t1) } }
end

return M
