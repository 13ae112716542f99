-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.ode: a field and how to follow it. The field is recorded anew at every use, so it can never be
-- stale; equal recordings share one compiled plan.
local core = require "costate.core"
local options = require "costate._options"
local trace = require "costate._trace"
local made = require "costate._made"
local model = require "costate.model"
local events = require "costate._events"
local resolve = require("costate._ode_options").resolve
local solution = require "costate._solution"
local map = require "costate._map"
local states = require "costate._state"
local hooks = require "costate._hooks"
local callback = require "costate._callback"

local Flow = {}
Flow.__index = Flow
Flow.__name = "costate.Flow"

local KEPT_PLANS <const> = 8

-- ---- recording the field ----------------------------------------------------------------------------

local function result_like(dy, y, name)
  if type(dy) == "number" then return core.full_like(y, dy) end
  if not core.kind(dy) then
    core.fail(("the field returned a %s for '%s': it must return the derivative"):format(type(dy), name))
  end
  if dy.dtype ~= y.dtype then dy = core.cast(dy, y.dtype) end -- times are f64 in a run of f32
  local a, b = dy.shape, y.shape
  local same = #a == #b and dy.rows == y.rows
  for i = 1, #b do same = same and a[i] == b[i] end
  if same then return dy end
  local fits = #a <= #b and not (dy.rows and #a ~= #b)
  for i = 1, math.min(#a, #b) do
    local n = a[#a - i + 1]
    fits = fits and (n == 1 or n == b[#b - i + 1])
  end
  if not fits then
    core.fail(("the field returned shape [%s] for '%s', whose shape is [%s]"):format(
      table.concat(a, ", "), name, table.concat(b, ", ")))
  end
  return core.broadcast_like(dy, y)
end

--- A model of a plugin maps the state; everything else is called with t and y. `lone`: a state of one row, which a
--- callback sees as the script gave it.
function Flow:evaluate(t, y, lone)
  if self.options.callback then return callback.evaluate(self, t, y, lone) end
  local field = self.options.field
  if model.takes_state(field) then return field(y) end
  return field(t, y)
end

local function check_names(dy, named)
  if core.kind(dy) or type(dy) ~= "table" then
    core.fail(("the field returned a %s: it must return a table of derivatives by part"):format(
      core.kind(dy) or type(dy)))
  end
  for name in pairs(dy) do
    if not named[name] then
      options.unknown("the state (in what the field returned)", tostring(name), trace.sorted_keys(named))
    end
  end
end

--- Marks a flow while its field is recorded.
local recording = setmetatable({}, { __mode = "k" })
local mark = { __close = function(self) recording[self.flow] = nil end }

function Flow:record(state)
  if recording[self] then core.fail("a flow is used inside its own field: that never ends") end
  recording[self] = true
  local _ <close> = setmetatable({ flow = self }, mark)
  local tr <close> = core.trace(state.rows, true)
  local t = tr:input("f64", "shared", {}, "t")
  local ys, named = {}, {}
  for i, p in ipairs(state.parts) do
    ys[i] = tr:input(core.dtype(), "row", p.shape, p.name or "y")
    named[p.name] = ys[i]
  end
  local dy = self:evaluate(t, state.single and ys[1] or named, state.lone)
  if not state.single then check_names(dy, named) end
  local results = {}
  for i, p in ipairs(state.parts) do
    local d = dy
    if not state.single then d = dy[p.name] end
    results[i] = result_like(d, ys[i], p.name)
  end
  return tr:finish(results)
end

--- Under `costate check` with another gradient, whose options are the flow's if it is the flow's own; and all
--- methods see the same values.
function Flow:plan_options()
  if not hooks.flow then return self.options end
  local o = {}
  for k, v in pairs(self.options) do o[k] = v end
  o.exact = true
  if hooks.gradient and core.find("gradient", o.gradient).name ~= hooks.gradient then
    o.gradient, o.gradient_options = hooks.gradient, nil
  end
  return o
end

--- The plan of a recorded field: an earlier one when the fields are equal.
function Flow:plan_of(fn, state)
  local names, flags = {}, {}
  for i, p in ipairs(state.parts) do names[i], flags[i] = p.name, p.flags end
  local under_check = hooks.flow and "check " .. (hooks.gradient or "") or ""
  local key = table.concat(names, ",") .. ":" .. table.concat(flags, ",") .. under_check
  for _, e in ipairs(self.plans) do
    if e.key == key and e.fn:equal(fn) then return e.plan end
  end
  local plan = core.plan(fn, names, flags, self:plan_options())
  table.insert(self.plans, 1, { key = key, fn = fn, plan = plan })
  self.plans[KEPT_PLANS + 1] = nil
  return plan
end

--- The solve of a state along times, in the current trace: a list of values by part.
function Flow:follow(state, times)
  local zs = {}
  for i, p in ipairs(state.parts) do zs[i] = p.value end
  local fn, captures = self:record(state)
  if hooks.flow then hooks.flow(self, state, times, captures) end
  return core.solve(self:plan_of(fn, state), zs, times, captures)
end

--- When the first event of each row happens between two times of its own, and which it is.
function Flow:locate(list, state, from, to, skip)
  local zs = {}
  for i, p in ipairs(state.parts) do zs[i] = p.value end
  local fn, captures = self:record(state)
  local plan = self:plan_of(fn, state)
  local event_fn, event_captures = events.record(list, state)
  local ways = {}
  for k, e in ipairs(list) do ways[k] = events.directions[e.direction] end
  local span = core.concat({ core.reshape(from, { state.rows, 1 }), core.reshape(to, { state.rows, 1 }) }, 2)
  if state.lone then span = core.reshape(span, { 2 }) end
  return core.locate(core.event_plan(plan, event_fn, ways), zs, span, skip, captures, event_captures)
end

--- What the script gave for state and times, as this file has them.
function Flow:prepare(y0, t)
  local state = states.of(self.options.parts, y0)
  self.lone = state.lone
  local times = states.times(t)
  if hooks.probe then
    for _, p in ipairs(state.parts) do p.value = hooks.probe("state", p.value) end
    times = hooks.probe("times", times)
  end
  return state, times
end

--- The same for what happened, of which the last entry is always empty.
local function deliver_events(state, most, c, found)
  local function entries(v) return core.slice(v, 2, 1, most) end
  local function numbers(v) return state.lone and core.reshape(v, { most }) or v end
  local at = {}
  for i, v in ipairs(found.state) do at[i] = entries(v) end
  local function one(x) return state.lone and core.reshape(x, {}) or x end
  return { times = numbers(entries(found.time)), which = numbers(entries(found.which)),
    states = states.deliver(state, at), count = one(c.count), complete = one(c.done) }
end

--- Records the solve in the current trace: values, one or a table by part; and, of a flow with events, what
--- happened.
function Flow:build(y0, t)
  local state, times = self:prepare(y0, t)
  local list = self.options.events
  if not list then return states.deliver(state, self:follow(state, times)) end
  local c, found = events.build(self, list, state, times)
  return states.deliver(state, c.out), deliver_events(state, list.most, c, found)
end

--- The field at a time and the values there of a solve that began at y0: with its batch axis, as when it is
--- recorded.
function Flow:slope(y0, values, t)
  local state, ys, named, out = states.of(self.options.parts, y0), {}, {}, {}
  for i, p in ipairs(state.parts) do
    ys[i] = core.rows(core.reshape(state.single and values or values[p.name], p.shape))
    named[p.name] = ys[i]
  end
  local time = self.options.callback and t or core.tensor(t, "f64")
  local dy = self:evaluate(time, state.single and ys[1] or named, state.lone)
  for i, p in ipairs(state.parts) do
    local d = dy
    if not state.single then d = dy[p.name] end
    out[i] = result_like(d, ys[i], p.name)
  end
  return states.deliver(state, out)
end

-- ---- outside of traces --------------------------------------------------------------------------------

--- Values of a solve with events that failed: how far it came is not known.
local function nowhere(values)
  return states.each(values, function(v) return core.full_like(v, 0 / 0) end)
end

--- Recorded once more at every call: an equal recording finds its program again.
function Flow:eager(y0, t)
  t, y0 = states.times(t), states.tensors(y0)
  if self.options.events then
    y0 = events.rows(y0)
    events.check_times(t)
  end
  local leaves, key, layout = trace.flatten { y0 = y0, t = t }
  local out_spec
  local new = {}
  new.fn, new.captures = trace.record(leaves, function(_, inputs)
    local args = trace.rebuild(layout, inputs)
    local values, happened = self:build(args.y0, args.t)
    local list, _, s = trace.flatten { values = values, events = happened }
    out_spec = s
    return list
  end)
  local old = self.programs[key]
  if not (old and old.fn:equal(new.fn)) then self.programs[key], old = new, new end
  local captures = old ~= new and new.captures or nil
  local out, status, message, partial = trace.run(old, leaves, captures)
  self.last = old
  local result = trace.rebuild(out_spec, out or partial)
  if status and self.options.events then result = { values = nowhere(result.values) } end
  if not status and result.events then status, message = self:too_many(result.events) end
  return result, status or "ok", message, old.program, t
end

--- A solve with events ends when the list of them is full, wherever it stands.
function Flow:too_many(happened)
  local complete = happened.complete
  for i = 1, complete.count do
    if core.view(complete, i - 1, {}):item() == 0 then
      return "events", ("row %d has more than %d events before its last time: set a larger 'most'"):format(i,
        self.options.events.most)
    end
  end
end

--- flow(y0, t): values at the times t; raises when the solve fails.
function Flow:__call(y0, t, ...)
  options.no_more("flow(y0, t)", ...)
  if y0 == nil or t == nil then core.fail("a flow is called with an initial state and times: flow(y0, t)") end
  if core.current() then return self:build(y0, t) end
  local result, status, message = self:eager(y0, t)
  if status ~= "ok" then core.fail(message) end
  return result.values, result.events
end

--- flow:solve(y0, t): a solution with status, message, values and stats; never raises for what the
--- numbers do.
function Flow:solve(y0, t, ...)
  options.no_more("flow:solve(y0, t)", ...)
  if y0 == nil or t == nil then core.fail("solve takes an initial state and times: flow:solve(y0, t)") end
  if core.current() then core.fail("flow:solve is for outside of traced functions; inside use flow(y0, t)") end
  y0 = states.tensors(y0)
  local result, status, message, program, times = self:eager(y0, t)
  return solution { values = result.values, events = result.events, t = times, status = status, message = message,
    stats = program:stats().forward, attempts = program:attempts(), flow = self, y0 = y0 }
end

--- flow:map(t0, t1): the state at t1 as a function of that at t0, which composes and has an inverse.
function Flow:map(...) return map.new(self, ...) end

function Flow:__tostring()
  local o = self.options
  return ("ode: solver %s, rtol %g, atol %g, gradient %s"):format(o.solver, o.rtol, o.atol, o.gradient)
end

function Flow.__newindex(_, k)
  core.fail(("'%s' of a flow cannot be set: flow:with { %s = ... } makes another one"):format(tostring(k), tostring(k)))
end

--- A listing of the field as recorded last and of the program around it.
function Flow:explain()
  if not self.plans[1] then return tostring(self) .. "\nnot used yet: nothing has been recorded" end
  local text = { tostring(self), "field:", self.plans[1].fn:explain() }
  if self.last and self.last.program then
    text[#text + 1] = "program:"
    text[#text + 1] = self.last.program:explain()
  end
  return table.concat(text, "\n")
end

--- Another flow of the same field with some options changed.
function Flow:with(changes)
  local given = {}
  if type(changes) ~= "table" then core.fail("with takes a table of changed options: flow:with { rtol = 1e-9 }") end
  for k, v in pairs(self.given) do given[k] = v end
  for k, v in pairs(changes) do given[k] = v end
  return Flow.new(given)
end

function Flow.new(given)
  if type(given) ~= "table" or getmetatable(given) then
    core.fail("ode takes one table of named options: cs.ode { field = ..., solver = ... }")
  end
  local flow = setmetatable({ options = resolve(given), given = given, plans = {}, programs = {}, callbacks = {}, lone = false,
    last = false }, Flow)
  made.note("flows", flow)
  return flow
end

return { new = Flow.new, Flow = Flow }
