-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.control: a function of time given by values at knots. A flow whose field uses one of its own time
-- steps from knot to knot, where it jumps or bends.
local core = require "costate.core"
local hooks = require "costate._hooks"

local kinds <const> = { constant = 0, linear = 1, hermite = 2 } -- numbers of the op, costate/build.h

local Control = { __name = "costate.Control" }
local methods = {}

--- Fields stand in a table of their own, so that every assignment is seen and refused.
local data = setmetatable({}, { __mode = "k" })
local made = 0 -- so far
function Control.__index(u, k) return methods[k] or data[u][k] end

local function check_kind(kind)
  if kind == nil then return "linear" end
  if kinds[kind] then return kind end
  local names = { "constant", "hermite", "linear" }
  local near = type(kind) == "string" and core.suggest(kind, names)
  core.fail(("unknown kind '%s' of a control: %s"):format(tostring(kind),
    near and ("did you mean '%s'?"):format(near) or "it is one of " .. table.concat(names, ", ")))
end

--- A tensor or value of the float type `dtype`.
local function array(x, what, dtype)
  if type(x) == "table" and not core.kind(x) then
    if #x > 0 and core.kind(x[1]) then x = core.stack(x, 1) else x = core.tensor(x, dtype) end
  end
  if not core.kind(x) then
    core.fail(("%s of a control are a tensor, a value or a table of numbers, got a %s"):format(what, type(x)))
  end
  return x.dtype == dtype and x or core.cast(x, dtype)
end

local function check_shapes(times, values)
  local axis = values.rows and 2 or 1
  if times.rank ~= (times.rows and 2 or 1) then
    core.fail(("the times of a control have shape [%s]: they are one list of knots, or one a row of a batch (cs.rows)")
      :format(table.concat(times.shape, ", ")))
  end
  local n, own = times.shape[times.rank], values.shape[axis]
  if n == 0 then core.fail("a control needs at least one knot") end
  if own ~= n then
    core.fail(("a control has %d times and %s values"):format(n, own and ("%d"):format(own) or "no list of"))
  end
end

--- Numbers that are there already are checked; those of a trace come later.
local function check_times(t, row)
  local where = row and (" of row %d"):format(row) or ""
  for i, x in ipairs(t) do
    if type(x) == "table" then
      check_times(x, i)
    elseif x ~= x or math.abs(x) == math.huge then
      core.fail(("time %d%s of a control is not a number: %s"):format(i, where, core.format(x)))
    elseif i > 1 and x <= t[i - 1] then
      core.fail(("the times of a control must increase: time %d%s is %s after %s"):format(i, where, core.format(x),
        core.format(t[i - 1])))
    end
  end
end

local function check_values(v)
  for i, x in ipairs(v) do
    local bad = type(x) == "table" and check_values(x) or x ~= x or type(x) == "number" and math.abs(x) == math.huge
    if bad then return i end
  end
end

local function values_of(u) return hooks.control and hooks.control(u) or u.values end

--- u(t): the value at a time (a number, a traced time, a list of times, or one a row).
function Control:__call(t)
  if t == nil then core.fail("a control is called with a time: u(t)") end
  if type(t) == "table" and not core.kind(t) then t = core.tensor(t, "f64") end
  return core.control(t, self.times, values_of(self), kinds[self.kind], 0)
end

--- du/dt at t, from the right.
function methods:slope(t)
  if t == nil then core.fail("the slope of a control is asked at a time: u:slope(t)") end
  if type(t) == "table" and not core.kind(t) then t = core.tensor(t, "f64") end
  return core.control(t, self.times, values_of(self), kinds[self.kind], 1)
end

function Control:__tostring()
  local t, shape = self.times, self.values.shape
  local rows = t.rows or self.values.rows
  table.remove(shape, self.values.rows and 2 or 1)
  if self.values.rows then table.remove(shape, 1) end
  local span = ""
  if core.kind(t) == "tensor" and not t.rows then
    span = (" from %s to %s"):format(core.format(t:get(1)), core.format(t:get(t.count)))
  end
  return ("control: %s, %d knots%s, values [%s]%s"):format(self.kind, t.shape[t.rank], span, table.concat(shape, ", "),
    rows and " a row" or "")
end

function Control.__newindex(_, k)
  core.fail(("'%s' of a control cannot be set: make another one with cs.control"):format(tostring(k)))
end

--- cs.control(times, values [, kind]): "constant" from each knot to the next, "linear" (the default) or
--- "hermite" between them; before the first knot and after the last the value there.
local function new(times, values, kind)
  if times == nil or values == nil then core.fail("a control is made of times and values: cs.control(times, values, kind)") end
  kind = check_kind(kind)
  times, values = array(times, "the times", "f64"), array(values, "the values", core.dtype())
  check_shapes(times, values)
  if core.kind(times) == "tensor" then check_times(times:totable()) end
  local bad = core.kind(values) == "tensor" and check_values(values:totable())
  if bad then
    core.fail(("value %d of a control is not finite%s"):format(bad, values.rows and " (a row)" or ""))
  end
  if hooks.probe then values = hooks.probe("controls", values) end
  local u = setmetatable({}, Control)
  made = made + 1
  data[u] = { times = times, values = values, kind = kind, order = made }
  return u
end

return { new = new }
