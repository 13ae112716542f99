-- SPDX-License-Identifier: GPL-3.0-or-later
-- costate check SCRIPT: one training step's gradient by every method that applies. The reference is
-- `forward`: directional derivatives (JVPs) through the same steps; finite differences replay the
-- schedule of steps, so they differentiate the same discrete map.
local core = require "costate.core"
local trace = require "costate._trace"
local train = require "costate.train"
local ode = require "costate.ode"
local model = require "costate.model"
local options = require "costate._options"

local M = {}

local MAX_DIRECTIONS <const> = 512
local RANDOM_DIRECTIONS <const> = 64
local groups <const> = { "parameters", "state", "times" }

-- ---- recording with probes ---------------------------------------------------------------------------

--- Records the loss with probes in place. body(tr, loss, variables) gives the results; variables are
--- { value =, group =, inner = } in order: parameters, then probes as the flows were met.
local function record(t, leaves, layout, run, gradient, body)
  local probes = {}
  local hooks = ode.hooks
  hooks.gradient = gradient
  local recording = {}
  local ok, e = xpcall(function()
    recording.fn, recording.captures = trace.record(leaves, function(tr, inputs)
      hooks.probe = function(group, x)
        if core.current() ~= tr or not core.kind(x) then return x end
        local zero = tr:like(x)
        probes[#probes + 1] = { value = zero, group = group, like = { x.dtype, x.shape, x.rows } }
        return core.add(x, zero)
      end
      local loss = t.loss(trace.rebuild(layout, inputs), run)
      local variables = {}
      for _, m in ipairs(t.models) do
        for _, p in ipairs(m.list) do
          variables[#variables + 1] = { value = tr:value(p.tensor), group = "parameters", tensor = p.tensor }
        end
      end
      for _, group in ipairs { "state", "times" } do
        for _, p in ipairs(probes) do
          if p.group == group then variables[#variables + 1] = p end
        end
      end
      recording.variables = variables
      return body(tr, loss, variables)
    end)
  end, function(e) return e end)
  hooks.probe, hooks.gradient = nil, nil
  if not ok then error(e, 0) end
  recording.probes = probes
  return recording
end

local function zeros_like(spec)
  local z = core.zeros(spec[2], spec[1])
  return spec[3] and core.rows(z) or z
end

--- A program with leaves and probes bound; returns it and the number of inputs bound so far.
local function open_program(r, leaves)
  local p = core.program(r.fn, r.captures)
  for i, x in ipairs(leaves) do p:bind(i, x) end
  for i, probe in ipairs(r.probes) do
    probe.tensor = zeros_like(probe.like)
    p:bind(#leaves + i, probe.tensor)
  end
  return p, #leaves + #r.probes
end

local function run_program(p, replay)
  p:configure(1, replay)
  local status, message = p:run()
  if status ~= "ok" then error(message, 0) end
end

-- ---- gradients as flat lists by group ------------------------------------------------------------------

local function flatten(variables, tensors)
  local out = { parameters = {}, state = {}, times = {} }
  for i, v in ipairs(variables) do
    local list, t = out[v.group], tensors[i]
    local flat = core.view(t, 0, { t.count })
    for k = 1, t.count do list[#list + 1] = flat[k] end
  end
  return out
end

--- Calls f(model, number of variables before its own, k) for the k-th model: the flat vectors of
--- models are differentiated by as well, since a loss may use them.
local function each_model(t, f)
  local first = 0
  for k, m in ipairs(t.models) do
    f(m, first, k)
    first = first + #m.list
  end
end

local function reverse(t, leaves, layout, run, method)
  local r = record(t, leaves, layout, run, method, function(tr, loss, variables)
    local xs, results = {}, { loss }
    for i, v in ipairs(variables) do xs[i] = v.value end
    for _, m in ipairs(t.models) do xs[#xs + 1] = tr:value(m.flat) end
    local bars = tr:vjp({ loss }, { core.ones_like(loss) }, xs)
    each_model(t, function(m, first, k)
      table.move(model.gather(m, bars, first, bars[#variables + k]), 1, #m.list, first + 1, bars)
      xs[#variables + k] = nil
    end)
    for i, x in ipairs(xs) do results[i + 1] = bars[i] or core.zeros_like(x) end
    return results
  end)
  local p = open_program(r, leaves)
  local out = p:fresh()
  run_program(p)
  local began = core.clock()
  run_program(p)
  local seconds = core.clock() - began
  local f, b = p:evaluations()
  return { gradient = flatten(r.variables, table.move(out, 2, #out, 1, {})), loss = out[1]:item(),
    evaluations = f, backward = b, seconds = seconds, bytes = p:stats().tape_bytes }
end

--- Directions: unit vectors, or random ones (the same for all methods) when there are many.
local function directions(variables)
  local total = 0
  for _, v in ipairs(variables) do
    v.flat = core.zeros({ v.tensor.count }, v.tensor.dtype)
    total = total + v.flat.count
  end
  if total <= MAX_DIRECTIONS then return "unit", total end
  return "random", RANDOM_DIRECTIONS
end

local function random_direction(variables, n)
  local rng = core.rng(0, "check/" .. n)
  for _, v in ipairs(variables) do v.flat:copy(rng:normal({ v.flat.count })) end
end

--- Calls f(index) with each direction in v.flat.
local function each_direction(variables, kind, n, f)
  if kind == "random" then
    for i = 1, n do
      random_direction(variables, i)
      f(i)
    end
    return
  end
  local i = 0
  for _, v in ipairs(variables) do
    for k = 1, v.flat.count do
      i = i + 1
      v.flat[k] = 1
      f(i)
      v.flat[k] = 0
    end
  end
end

--- By group again: unit directions follow the variables; random ones are a group of their own.
local function regroup(variables, kind, slopes)
  local out, i = { parameters = {}, state = {}, times = {} }, 0
  if kind == "random" then return { parameters = slopes, state = {}, times = {} } end
  for _, v in ipairs(variables) do
    for _ = 1, v.flat.count do
      i = i + 1
      table.insert(out[v.group], slopes[i])
    end
  end
  return out
end

local function forward(t, leaves, layout, run)
  local tangent_specs = {}
  local r = record(t, leaves, layout, run, nil, function(tr, loss, variables)
    local xs, dots = {}, {}
    for i, v in ipairs(variables) do
      xs[i] = v.value
      dots[i] = tr:like(v.value)
      tangent_specs[i] = { v.value.dtype, v.value.shape, v.value.rows }
    end
    each_model(t, function(m, first)
      xs[#xs + 1], dots[#dots + 1] = tr:value(m.flat), model.join(m, dots, first)
    end)
    local slope = tr:jvp(xs, dots, { loss })[1]
    return { slope or core.zeros_like(loss), loss }
  end)
  local p, bound = open_program(r, leaves)
  local kind, n = directions(r.variables)
  for i, v in ipairs(r.variables) do
    local tangent = zeros_like(tangent_specs[i])
    p:bind(bound + i, tangent)
    v.flat = core.view(tangent, 0, { tangent.count })
  end
  local out, slopes, began = p:fresh(), {}, nil
  each_direction(r.variables, kind, n, function(i)
    began = began or core.clock()
    run_program(p)
    slopes[i] = out[1]:item()
  end)
  local f = p:evaluations()
  return { gradient = regroup(r.variables, kind, slopes), kind = kind, directions = n, evaluations = f * n,
    backward = 0, seconds = core.clock() - (began or core.clock()), loss = out[2]:item(), variables = r.variables }
end

--- Central differences along the same directions; the first run sets the schedule, the others replay.
local function finite(t, leaves, layout, run)
  local r = record(t, leaves, layout, run, nil, function(_, loss) return { loss } end)
  local p = open_program(r, leaves)
  local out = p:fresh()
  run_program(p)
  local kind, n = directions(r.variables)
  local base = {}
  for i, v in ipairs(r.variables) do base[i] = v.tensor:clone() end
  local eps = core.dtype() == "f32" and 1e-3 or 1e-6
  local slopes, began = {}, core.clock()
  local function at(h)
    for i, v in ipairs(r.variables) do
      v.tensor:copy(core.reshape(base[i], -1) + v.flat * h)
    end
    run_program(p, true)
    return out[1]:item()
  end
  local ok, e = pcall(each_direction, r.variables, kind, n, function(i)
    slopes[i] = (at(eps) - at(-eps)) / (2 * eps)
  end)
  for i, v in ipairs(r.variables) do v.tensor:copy(base[i]) end
  if not ok then error(e, 0) end
  return { gradient = regroup(r.variables, kind, slopes), evaluations = 2 * n * (p:evaluations()), backward = 0,
    seconds = core.clock() - began }
end

-- ---- comparing ---------------------------------------------------------------------------------------

local function difference(a, b)
  local d, s = 0, 0
  for i, x in ipairs(b) do
    d = d + (a[i] - x) ^ 2
    s = s + x ^ 2
  end
  if #b == 0 then return nil end
  return s > 0 and math.sqrt(d / s) or math.sqrt(d)
end

--- The gradient along the random directions of the reference.
local function project(gradient, reference)
  if reference.kind ~= "random" then return gradient end
  local flat, out = {}, {}
  for _, g in ipairs(groups) do
    for _, x in ipairs(gradient[g]) do flat[#flat + 1] = x end
  end
  for i = 1, reference.directions do
    random_direction(reference.variables, i)
    local at, sum = 0, 0
    for _, v in ipairs(reference.variables) do
      for k = 1, v.flat.count do
        at = at + 1
        sum = sum + flat[at] * v.flat[k]
      end
    end
    out[i] = sum
  end
  return { parameters = out, state = {}, times = {} }
end

--- How far a method may be off. `discrete` differentiates the very steps; backsolve solves another
--- equation to the flow's tolerance; finite differences lose half the digits.
local function tolerance_of(method, rtol)
  local f32 = core.dtype() == "f32"
  if method == "forward" then return 0 end
  if method == "adjoint.discrete" then return f32 and 1e-3 or 1e-9 end
  if method == "adjoint.reversible" then return f32 and 1e-2 or 1e-6 end -- what it accepts of its way back
  if method == "finite" then return f32 and 0.3 or 1e-5 end -- in f32 rounding is a tenth of it
  return math.min(0.2, math.max(1e4 * rtol, f32 and 1e-2 or 1e-6))
end

local function row_of(name, m, reference, rtol)
  local g = m.gradient
  if m ~= reference and name ~= "finite" then g = project(g, reference) end
  local row = { method = name, evaluations = m.evaluations, backward = m.backward, seconds = m.seconds,
    tolerance = tolerance_of(name, rtol), ok = true, tape_bytes = m.bytes }
  for _, group in ipairs(groups) do
    local d = difference(g[group], reference.gradient[group])
    row[group] = d
    row.ok = row.ok and (d == nil or d <= row.tolerance) -- a NaN is not allowed either
  end
  return row
end

local function methods_for(solver)
  local out = {}
  core.find("gradient", "discrete")
  core.find("gradient", "backsolve")
  for _, e in ipairs(core.entries("gradient")) do
    if not solver or core.accepts(e.name, solver) then out[#out + 1] = e.name end
  end
  return out
end

--- Compares all methods on the first batch of a training.
function M.training(t)
  local run = train.new_run()
  train.set_live(run, 1, 1)
  local b = t.batch and t.batch(core.rng(core.seed(), "train/" .. (t.name or "batch")), run) or {}
  local leaves, _, layout = trace.flatten(b)
  ode.hooks.solver, ode.hooks.rtol = nil, nil
  local reference = forward(t, leaves, layout, run)
  local solver, rtol = ode.hooks.solver, ode.hooks.rtol or 0
  local result = { rows = {}, ok = true, solver = solver, rtol = rtol, loss = reference.loss,
    directions = reference.directions, kind = reference.kind }
  local function add(name, m)
    local row = row_of(name, m, reference, rtol)
    result.rows[#result.rows + 1] = row
    result.ok = result.ok and row.ok
  end
  local fine, fd = pcall(finite, t, leaves, layout, run)
  add("forward", reference)
  for _, name in ipairs(methods_for(solver)) do
    local ok, m = pcall(reverse, t, leaves, layout, run, name)
    if ok then
      add(name, m)
    else
      result.rows[#result.rows + 1] = { method = name, ok = false, message = tostring(m) }
      result.ok = false
    end
  end
  if fine then
    add("finite", fd)
  else
    result.rows[#result.rows + 1] = { method = "finite", ok = false, message = tostring(fd) }
    result.ok = false
  end
  return result
end

local function number(x) return x and ("%.1e"):format(x) or "-" end

--- The table that `costate check` prints.
function M.format(result)
  local lines = { ("loss %.9g; solver %s, rtol %g; differences relative to forward, along %d %s "
    .. "directions"):format(result.loss, result.solver or "none", result.rtol, result.directions, result.kind) }
  lines[2] = ("%-20s %10s %10s %10s %10s %12s %9s  %s"):format("method", "parameters", "state", "times", "allowed",
    "evaluations", "ms", "")
  for _, r in ipairs(result.rows) do
    if r.message then
      lines[#lines + 1] = ("%-20s failed: %s"):format(r.method, r.message)
    else
      lines[#lines + 1] = ("%-20s %10s %10s %10s %10s %12s %9.3f  %s"):format(r.method, number(r.parameters),
        number(r.state), number(r.times), number(r.tolerance), ("%d+%d"):format(r.evaluations, r.backward),
        1e3 * r.seconds, r.ok and "ok" or "DIFFERS")
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

--- The result as plain numbers, for JSON.
function M.plain(result)
  return { rows = result.rows, ok = result.ok, solver = result.solver, rtol = result.rtol, loss = result.loss,
    directions = result.directions }
end

--- cs.check { loss = f, at = model }: the same for a loss of no arguments; prints the table.
function M.check(given)
  local o = options.check("check", given, { loss = "callable!", at = "any!", batch = "callable" })
  local t = { loss = o.loss, batch = o.batch, models = model.models_in(o.at) }
  local result = M.training(t)
  io.write(M.format(result))
  return result
end

return M
