-- SPDX-License-Identifier: GPL-3.0-or-later
-- costate check SCRIPT: one training step's gradient by every gradient method that is registered and applies to the
-- solver. The reference is `loss jvp`: directional derivatives (JVPs) of the whole loss through the same steps;
-- `loss finite`, differences of the whole loss that repeat the steps, shares nothing with any derivative.
-- Parameters of events and controls are compared as parameters when they are; values of controls that are not
-- have a column of their own.
local core = require "costate.core"
local trace = require "costate._trace"
local train = require "costate.train"
local model = require "costate.model"
local options = require "costate._options"
local recording = require "costate.check.record"
local methods = require "costate.check.methods"

local M = {}

local DIRECTIONS <const> = 2048 -- of a solve: more take too long for methods that go by them
local WIDTH <const> = 120

-- ---- comparing ---------------------------------------------------------------------------------------

local function difference(a, b)
  local d, s = 0, 0
  if not a or #b == 0 then return nil end
  for i, x in ipairs(b) do
    d = d + (a[i] - x) ^ 2
    s = s + x ^ 2
  end
  return s > 0 and math.sqrt(d / s) or math.sqrt(d)
end

--- Whether a solver decides more than its steps, so that a solve done again is another one as good.
local function decides(solver)
  local traits = core.find("solver", solver).traits
  return traits.multistep or traits.self_controlled
end

--- How far a method may be off, by what it is the gradient of: the very steps, to round-off; the solution, to the
--- tolerance of the solver; the steps by differences, which lose half of the digits or, where the solver decides
--- anew, a third of those of the tolerance.
local function tolerance_of(traits, seen)
  local f32, loose = core.dtype() == "f32", false
  for solver in pairs(seen.solvers) do loose = loose or decides(solver) end
  local of_solution = math.min(0.2, math.max(1e4 * seen.rtol, f32 and 1e-2 or 1e-6))
  if traits.approximate then
    local differences = f32 and 0.3 or 1e-5 -- in f32 rounding is a tenth of it
    return loose and math.max(differences, of_solution, 30 * seen.rtol ^ (2 / 3)) or differences
  end
  if traits.exact and not loose then return f32 and 1e-3 or 1e-9 end
  return of_solution
end

local function row_of(name, m, traits, reference)
  local g = m.gradient
  if m ~= reference and not m.projected then g = methods.project(g, reference) end
  local row = { method = name, evaluations = m.evaluations, backward = m.backward, seconds = m.seconds,
    tolerance = m == reference and 0 or tolerance_of(traits, reference.seen), ok = true, tape_bytes = m.record,
    peak_bytes = m.peak }
  for _, group in ipairs(recording.groups) do
    local d = difference(g[group], reference.gradient[group])
    row[group] = d
    row.ok = row.ok and (d == nil or d <= row.tolerance) -- a NaN is not allowed either
  end
  return row
end

--- Why a method is not compared, or nil.
local function inapplicable(entry, seen, most)
  for _, solver in ipairs(trace.sorted_keys(seen.solvers)) do
    local ok, reason = core.accepts(entry.name, solver)
    if not ok then return reason end
  end
  if (entry.needs.again or entry.needs.tangent) and seen.directions > most then
    return ("a solve has %d directions, and more than %d take long: allow it with --directions %d"):format(
      seen.directions, most, seen.directions)
  end
end

--- Calls body, whose failure is a row as well.
local function try(result, name, traits, body)
  local ok, m = pcall(body)
  local row = ok and row_of(name, m, traits, result.reference)
    or { method = name, ok = false, message = tostring(m) }
  result.rows[#result.rows + 1] = row
  result.ok = result.ok and row.ok
end

--- Why there is nothing to compare, or nil.
local function pointless(t, reference)
  if #t.models == 0 then return "there are no parameters" end
  if not reference.depends then return "the loss does not depend on the parameters" end
end

local function compare_flows(result, check, seen, most)
  if not next(seen.solvers) then
    result.note = "the loss follows no flow, so that there is no gradient method to compare"
    return
  end
  for _, e in ipairs(core.entries("gradient")) do
    local why = inapplicable(e, seen, most or DIRECTIONS)
    if why then
      result.rows[#result.rows + 1] = { method = e.name, ok = true, skipped = why }
    else
      try(result, e.name, e.traits, function() return methods.reverse(check, e.name) end)
    end
  end
end

--- Compares all methods on the first batch of a training. `most`: directions of a method that goes by them.
function M.training(t, most)
  for _, name in ipairs { "discrete", "quadrature" } do core.find("gradient", name) end -- loads their plugins
  local run = train.new_run()
  train.set_live(run, 1, 1)
  local check = recording.new(t, run)
  local reference = methods.jvp(check)
  local seen = reference.seen
  local result = { rows = {}, ok = true, reference = reference, solvers = trace.sorted_keys(seen.solvers), rtol = seen.rtol,
    events = seen.events, loss = reference.loss, directions = reference.directions, place = t.place }
  local why = pointless(t, reference)
  if why then
    result.ok, result.note = false, "nothing to compare: " .. why
    return result
  end
  try(result, "loss jvp", { exact = true }, function() return reference end)
  try(result, "loss finite", { approximate = true }, function() return methods.finite(check) end)
  compare_flows(result, check, seen, most)
  return result
end

-- ---- the table ---------------------------------------------------------------------------------------

local function number(x) return x and ("%.1e"):format(x) or "-" end
local function kib(x) return x and ("%.0f"):format(x / 1024) or "-" end

--- Words of a text in lines of WIDTH, all but the first indented.
local function wrap(text, indent)
  local lines, line = {}, nil
  for word in text:gmatch "%S+" do
    if line and #line + 1 + #word > WIDTH then
      lines[#lines + 1], line = line, (" "):rep(indent) .. word
    else
      line = line and line .. " " .. word or word
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

local layout <const> = "%-22s %10s %8s %8s %8s %8s %15s %10s %7s %7s  %s"

local function line_of(r)
  if r.skipped then return wrap(("%s is not compared: %s"):format(r.method, r.skipped), 2) end
  if r.message then return wrap(("%s failed: %s"):format(r.method, r.message), 2) end
  return layout:format(r.method, number(r.parameters), number(r.state), number(r.times), number(r.controls),
    number(r.tolerance), ("%d+%d"):format(r.evaluations, r.backward), ("%.3f"):format(1e3 * r.seconds),
    kib(r.tape_bytes), kib(r.peak_bytes), r.ok and "ok" or "DIFFERS")
end

--- The table that `costate check` prints. Methods that are not compared come last.
function M.format(result)
  local place = result.place and (" of cs.train at %s"):format(result.place) or ""
  if #result.rows == 0 then return wrap(("loss %.9g%s; %s"):format(result.loss, place, result.note), 2) .. "\n" end
  local lines = { wrap(("loss %.9g%s; solver %s, rtol %g; differences relative to the loss jvp, along %d directions; "
    .. "KiB: the record of the solves, and the most that Costate had in use at once%s"):format(result.loss, place,
      #result.solvers > 0 and table.concat(result.solvers, ", ") or "none", result.rtol, result.directions,
      result.events and "; numbers in events count when they are parameters" or ""), 2) }
  lines[2] = layout:format("method", "parameters", "state", "times", "controls", "allowed", "evaluations", "ms", "record",
    "peak", ""):gsub("%s+$", "")
  for _, skipped in ipairs { false, true } do
    for _, r in ipairs(result.rows) do
      if (r.skipped ~= nil) == skipped then lines[#lines + 1] = line_of(r) end
    end
  end
  if result.note then lines[#lines + 1] = wrap(result.note, 2) end
  return table.concat(lines, "\n") .. "\n"
end

--- The result as plain numbers, for JSON.
function M.plain(result)
  return { rows = result.rows, ok = result.ok, solver = table.concat(result.solvers, ", "), rtol = result.rtol,
    loss = result.loss, directions = result.directions, note = result.note }
end

--- cs.check { loss = f, at = model }: the same for a loss of no arguments; prints the table unless it is to be quiet.
function M.check(given)
  local o = options.check("check", given, { loss = "callable!", at = "any!", batch = "callable", directions = "integer",
    quiet = "boolean" })
  options.positive("check", "directions", o.directions)
  if core.current() then core.fail("cs.check is for outside of traced functions") end
  local t = { loss = o.loss, batch = o.batch, models = model.models_in(o.at) }
  local result = M.training(t, o.directions)
  if not o.quiet then io.write(M.format(result)) end
  return result
end

return M
