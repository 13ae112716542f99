-- SPDX-License-Identifier: GPL-3.0-or-later
-- Events of a flow. A solve with events is a scan over the pieces between them. For each piece
--
--     tau, k = locate(y, now)                    the first event, without a derivative
--     y-     = solve(y, now .. tau)              differentiable, its last step clipped to tau
--     tau'   = tau - g_k(tau, y-) / stop(dg/dt)  one step of Newton's method on g(t, y(t)) = 0
--     y+     = reset_k(tau', y- + (tau' - tau) f(tau, y-))
--
-- where dg/dt = g_t + g_y f. tau' equals tau up to the error of its location, and its derivative is that of
-- the implicit function theorem; so every gradient method of a solve is one of a solve with events
-- (Chen, Amos, Nickel, Learning Neural Event Functions for ODEs, 2021, have the same formulas). In a run of f32
-- the times of events have the resolution of f32.
local core = require "costate.core"
local options = require "costate._options"
local transform = require "costate.transform"
local scan = require "costate.scan"

local M = {}

local MOST <const> = 20
M.directions = { both = 0, rising = 1, falling = -1 }
local spec = { when = "callable!", direction = "string", reset = "callable", terminal = "boolean", most = "integer",
  name = "string" }

--- Checks the option `events` of cs.ode: a list of tables.
function M.resolve(list)
  if type(list) ~= "table" then core.fail("option 'events' of ode is a list: events = { { when = function(t, y) ... end } }") end
  if list.when then list = { list } end
  local out = { most = 0 }
  for i, e in ipairs(list) do
    local what = ("event %d of ode"):format(i)
    if type(e) ~= "table" then core.fail(what .. " is a table with a function 'when'") end
    local o = options.check(what, e, spec)
    o.direction = o.direction or "both"
    if not M.directions[o.direction] then
      core.fail(("%s: direction is \"rising\", \"falling\" or \"both\", got '%s'"):format(what, o.direction))
    end
    if o.most and o.most < 1 then core.fail(what .. ": most is at least 1") end
    if o.terminal and o.reset then core.fail(what .. " is terminal and has a reset: it can only be one of them") end
    o.terminal = o.terminal or not o.reset
    out.most = math.max(out.most, o.terminal and 1 or o.most or MOST)
    out[i] = o
  end
  if #out == 0 then core.fail("option 'events' of ode has no event") end
  return out
end

-- ---- values of rows -----------------------------------------------------------------------------------

local function column(x, rows) return core.reshape(x, { rows, 1 }) end

--- A number a row, made fit to multiply a part [B, ...].
local function beside(x, part)
  local shape = { part.shape[1] }
  for i = 2, #part.shape do shape[i] = 1 end
  return core.reshape(x, shape)
end

local function as_real(x) return x.dtype == core.dtype() and x or core.cast(x, core.dtype()) end

--- A zero for each row.
local function zero_of_rows(state)
  local value = state.parts[1].value
  for _, p in ipairs(state.parts) do
    if p.value.rows then value = p.value end
  end
  if state.rows == 0 then return core.reshape(value, { 0 }) end
  local wide = core.reshape(value, { state.rows, -1 })
  return core.zeros_like(core.reshape(core.slice(wide, 2, 1, 1), { state.rows }))
end

local function numbers(what, v, rows)
  if not core.kind(v) then core.fail(what .. " must give a value, got a " .. type(v)) end
  local n = 1
  for _, d in ipairs(v.shape) do n = n * d end
  if n ~= rows then
    core.fail(("%s must give one number for each row, got shape [%s]"):format(what, table.concat(v.shape, ", ")))
  end
  return core.reshape(as_real(v), { rows })
end

-- ---- one piece ----------------------------------------------------------------------------------------

--- Parts as the script sees them: one value, or a table by name.
local function for_script(state, ys)
  if state.single then return ys[1] end
  local named = {}
  for i, p in ipairs(state.parts) do named[p.name] = ys[i] end
  return named
end

--- A state has all its parts, and no others; `new` of a reset may leave out parts that stay as they are.
local function check_state(state, what, new)
  if state.single then
    if core.kind(new) or type(new) == "number" then return end
    core.fail(("%s must give a state, got a %s"):format(what, type(new)))
  end
  if type(new) ~= "table" or core.kind(new) then
    core.fail(("%s must give a table of parts, got a %s"):format(what, core.kind(new) or type(new)))
  end
  local names = {}
  for i, p in ipairs(state.parts) do names[i], names[p.name] = p.name, true end
  for name in pairs(new) do
    if not names[name] then options.unknown(("the state (in what %s gave)"):format(what), tostring(name), names) end
  end
end

local function from_script(state, what, new, old)
  check_state(state, what, new)
  local out = {}
  for i, p in ipairs(state.parts) do
    local v = new
    if not state.single then v = new[p.name] end
    if v == nil then v = old[i] end
    if type(v) == "number" then v = core.full_like(old[i], v) end
    if not core.kind(v) then core.fail(what .. " must give a state") end
    v = as_real(v)
    local a, b = v.shape, old[i].shape
    local n, m = 1, 1
    for _, d in ipairs(a) do n = n * d end
    for _, d in ipairs(b) do m = m * d end
    if #a ~= #b then v = n == m and core.reshape(v, b) or core.broadcast_like(v, old[i]) end
    out[i] = v
  end
  return out
end

--- The events as one function for the search, recorded like a field; and its captures.
function M.record(events, state)
  local tr <close> = core.trace(state.rows, true)
  local t = tr:input("f64", "shared", {}, "t")
  local ys, out = {}, {}
  for i, p in ipairs(state.parts) do ys[i] = tr:input(core.dtype(), "row", p.shape, p.name or "y") end
  for k, e in ipairs(events) do
    out[k] = numbers(("event %d"):format(k), e.when(t, for_script(state, ys)), state.rows)
    out[k] = core.broadcast_like(out[k], zero_of_rows { rows = state.rows, parts = { { value = ys[1] } } })
  end
  return tr:finish(out)
end

--- What the piece's event, whichever it is in a row, makes of a list of values by event.
local function chosen(which, list, otherwise)
  local out = otherwise
  for k, v in pairs(list) do out = core.where(core.eq(which, k), v, out) end
  return out
end

--- tau', and the state there: by Newton's method once. Where g jumps over zero, as with a control, there is no
--- slope to follow, and the time stands.
local function sharpen(flow, events, state, now, tau, which, ys)
  local zero = core.zeros_like(tau)
  local slopes = from_script(state, "the field", flow:evaluate(tau, for_script(state, ys), state.lone), ys)
  if flow.options.callback then -- it has no derivative, which the step, zero but for rounding, would multiply
    for i, v in ipairs(slopes) do slopes[i] = core.detach(v) end
  end
  local values, rates = {}, {}
  for k, e in ipairs(events) do
    local function g(t, y) return numbers(("event %d"):format(k), e.when(t, for_script(state, y)), state.rows) end
    local v, rate = transform.jvp(g)({ tau, ys }, { core.ones_like(tau), slopes })
    values[k], rates[k] = v, rate
  end
  local value, rate = chosen(which, values, zero), core.detach(chosen(which, rates, core.ones_like(tau)))
  local smooth = core.lt(core.abs(value), core.abs(rate * (tau - now)))
  local step = core.where(smooth, core.neg(value) / core.where(smooth, rate, 1), 0)
  local moved = {}
  for i, y in ipairs(ys) do moved[i] = y + beside(as_real(step), y) * slopes[i] end
  return tau + step, moved
end

local function after_reset(events, state, tau, which, ys)
  local out = table.move(ys, 1, #ys, 1, {})
  for k, e in ipairs(events) do
    if e.reset then
      local new = from_script(state, ("the reset of event %d"):format(k), e.reset(tau, for_script(state, ys)), ys)
      local here = core.eq(which, k)
      for i, v in ipairs(new) do out[i] = core.where(beside(here, v), v, out[i]) end
    end
  end
  return out
end

local function terminal_of(events, which)
  local list = {}
  for k, e in ipairs(events) do
    if e.terminal then list[k] = core.ones_like(which) end
  end
  return chosen(which, list, core.zeros_like(which))
end

-- ---- what is asked ----------------------------------------------------------------------------------------

--- The states of a batch as rows, which have times of their own. (Those of a trace must be rows already.)
function M.rows(y0)
  local function as_rows(v)
    if core.kind(v) == "tensor" and v.rank >= 2 and not v.rows then return core.rows(v) end
    return v
  end
  if core.kind(y0) then return as_rows(y0) end
  local out = {}
  for name, v in pairs(y0) do out[name] = as_rows(v) end
  return out
end

--- Times that are known are in order: pieces of a solve would not notice.
function M.check_times(times)
  if core.kind(times) ~= "tensor" then return end
  local list = times:totable()
  for _, t in ipairs(times.rank == 2 and list or { list }) do
    local way = t[#t] < t[1] and -1 or 1
    for k = 2, #t do
      if (t[k] - t[k - 1]) * way < 0 then
        core.fail(("time %d of %d, %s, is out of order"):format(k, #t, core.format(t[k])))
      end
    end
  end
end

-- ---- the whole ------------------------------------------------------------------------------------------

--- Times of a piece: its start, the outputs held within it, its end.
local function grid(now, tau, times, state, way)
  local a, b = column(now, state.rows), column(tau, state.rows)
  local inside = core.where(core.lt((times - a) * way, 0), a, core.where(core.gt((times - b) * way, 0), b, times))
  local g = core.concat({ a, inside, b }, 2)
  return state.lone and core.reshape(g, { g.shape[2] }) or g
end

--- 1 where an output lies beyond `from` and not beyond `to`, along the solve.
local function between(times, from, to, way, rows)
  local past = core.gt((times - column(from, rows)) * way, 0)
  return past * core.le((times - column(to, rows)) * way, 0)
end

local function put(out, mask, values)
  for i, v in ipairs(values) do
    local shape = { mask.shape[1], mask.shape[2] }
    for k = 3, #v.shape do shape[k] = 1 end
    out[i] = core.where(core.reshape(mask, shape), v, out[i])
  end
  return out
end

--- A value [B, ...] at all T outputs.
local function repeated(v, n)
  local shape = v.shape
  table.insert(shape, 2, 1)
  local wide = { n }
  for i = 3, #shape do wide[i - 1] = shape[i] end
  return core.reshape(v, shape) + core.zeros(wide)
end

local function piece(flow, events, state, times, way)
  local n = times.shape[#times.shape]
  local last = core.slice(times, #times.shape, n, n)
  return function(c)
    local now, stop = c.now, core.broadcast_like(core.reshape(last, { -1 }), c.now)
    -- an event at the last time may come out a little beyond it
    local over = core.ge((now - stop) * core.reshape(way, { -1 }), 0)
    local ending = core.where(core.maximum(c.done, as_real(over)), now, stop)
    local here = { parts = {}, rows = state.rows, single = state.single, lone = state.lone }
    for i, p in ipairs(state.parts) do
      here.parts[i] = { name = p.name, value = c.y[i], flags = p.flags, shape = p.shape }
    end
    local tau, which = flow:locate(events, here, now, ending, c.skip)
    tau, which = as_real(tau), as_real(which)
    local values = flow:follow(here, grid(now, tau, times, state, way))
    local before, inner = {}, {}
    for i, v in ipairs(values) do
      local shape = v.shape
      table.remove(shape, 2)
      before[i] = core.reshape(core.slice(v, 2, n + 2, n + 2), shape)
      inner[i] = core.slice(v, 2, 2, n + 1)
    end
    local exact, at = sharpen(flow, events, here, now, tau, which, before)
    -- pieces meet at tau': an output between tau and tau' has the value at tau
    local out = put(table.move(c.out, 1, #c.out, 1, {}), between(times, now, exact, way, state.rows), inner)
    local ended = core.maximum(terminal_of(events, which), core.eq(which, 0))
    local stopped = terminal_of(events, which)
    local beyond = core.gt((times - column(exact, state.rows)) * way, 0) * column(stopped, state.rows)
    local held = {}
    for i, v in ipairs(at) do held[i] = repeated(v, n) end
    out = put(out, beyond, held)
    local next_y = after_reset(events, here, exact, which, at)
    local happened = core.where(c.done, 0, core.ne(which, 0))
    local found = { time = exact, which = core.where(c.done, core.zeros_like(which), which), state = at }
    return { y = next_y, now = core.where(happened, exact, tau), skip = which,
      done = core.maximum(c.done, ended), out = out, count = c.count + happened }, found
  end
end

--- Records the solve: values as those of a flow without events, and what happened: { times [B, most],
--- which [B, most] (0: nothing), states [B, most, ...], count [B], complete [B] }.
function M.build(flow, events, state, times)
  local rows, n = state.rows, times.shape[#times.shape]
  M.check_times(times)
  local own = state.lone
  for _, p in ipairs(state.parts) do own = own or p.value.rows end
  if not own then core.fail("events of a batch happen to rows: make them with cs.rows(y0)") end
  local start = core.slice(times, #times.shape, 1, 1)
  local zero = zero_of_rows(state)
  local now = core.reshape(start, { -1 }) + zero
  local way = core.detach(core.sign(core.slice(times, #times.shape, n, n) - start))
  local c = { y = {}, out = {}, now = now, skip = zero, done = zero, count = zero }
  for i, p in ipairs(state.parts) do
    local wide = repeated(p.value, n)
    local first = core.eq(times, column(now, rows))
    local shape = { rows, n }
    for k = 3, #wide.shape do shape[k] = 1 end
    c.y[i] = p.value
    c.out[i] = core.where(core.reshape(first, shape), wide, 0 / 0)
  end
  local found
  -- one piece more than events: after the last of them
  c, found = scan(piece(flow, events, state, times, way), c, core.reshape(core.iota(events.most + 1), { 1, events.most + 1 }),
    { axis = 2 })
  return c, found
end

return M
