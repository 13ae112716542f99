-- SPDX-License-Identifier: GPL-3.0-or-later
-- What `costate check` differentiates: a loss recorded with probes, zeros added to the initial states, the times
-- and the controls of its flows, so that there is something to differentiate by.
local core = require "costate.core"
local trace = require "costate._trace"
local hooks = require "costate._hooks"

local M = {}

--- Kinds of derivatives, in the order of variables.
M.groups = { "parameters", "state", "times", "controls" }

local function lists()
  local t = {}
  for _, g in ipairs(M.groups) do t[g] = {} end
  return t
end
M.lists = lists

local function probe_of(tr, group, x)
  return { value = tr:like(x), group = group, like = { x.dtype, x.shape, x.rows }, of = x }
end

--- Directions that a solve has for a method that goes by them: scalars of a row of its state, of its captures, and
--- times.
local function count_directions(state, times, captures)
  local n = times.shape[times.rank]
  local function add(x)
    if x.dtype ~= "f64" and x.dtype ~= "f32" then return end
    local each = 1
    for i, d in ipairs(x.shape) do each = each * (x.rows and i == 1 and 1 or d) end
    n = n + each
  end
  for _, p in ipairs(state.parts) do add(p.value) end
  for _, c in ipairs(captures) do add(c) end
  return n
end

--- Sets the hooks for one recording. Gives what is known of the flows when it is done.
local function watch(check, tr, probes)
  local seen = { solvers = {}, rtol = 0, directions = 0, events = false, controls = false }
  local zeros = {}
  local function add(group, x)
    local p = probe_of(tr, group, x)
    probes[#probes + 1] = p
    return p.value
  end
  function hooks.probe(group, x)
    if core.current() ~= tr or not core.kind(x) then return x end
    return core.add(x, add(group, x))
  end
  for _, u in ipairs(check.controls) do zeros[u] = add("controls", u.values) end
  function hooks.control(u)
    seen.controls = true
    if zeros[u] then return core.add(u.values, zeros[u]) end
    if core.kind(u.values) == "tensor" then check.noted[u] = true end
    return u.values
  end
  function hooks.flow(flow, state, times, captures)
    local o = flow.options
    seen.solvers[o.solver], seen.rtol = true, math.max(seen.rtol, o.rtol)
    seen.directions = math.max(seen.directions, count_directions(state, times, captures))
    seen.events = seen.events or o.events ~= nil
  end
  return seen
end

local function unwatch() hooks.probe, hooks.control, hooks.flow, hooks.gradient = nil, nil, nil, nil end

--- Parameters, then probes as they were met, by group.
local function variables_of(t, tr, probes)
  local variables = {}
  for _, m in ipairs(t.models) do
    for _, p in ipairs(m.list) do
      variables[#variables + 1] = { value = tr:value(p.tensor), group = "parameters", tensor = p.tensor }
    end
  end
  for _, group in ipairs(M.groups) do
    for _, p in ipairs(probes) do
      if p.group == group then variables[#variables + 1] = p end
    end
  end
  return variables
end

--- Records the loss of a check, every flow with the gradient of that name. body(tr, loss, variables) gives the
--- results; variables are { value =, group =, tensor = } in order.
function M.record(check, gradient, body)
  local r = { probes = {} }
  local ok, e = xpcall(function()
    r.fn, r.captures = trace.record(check.leaves, function(tr, inputs)
      r.seen = watch(check, tr, r.probes)
      hooks.gradient = gradient
      local loss = check.training.loss(trace.rebuild(check.layout, inputs), check.run)
      trace.check_loss(loss)
      r.variables = variables_of(check.training, tr, r.probes)
      return body(tr, loss, r.variables)
    end)
  end, function(e) return e end)
  unwatch()
  if not ok then error(e, 0) end
  return r
end

--- What a training is checked with: its first batch; and the controls that were made before, found by recording
--- once, since the field of a flow, where they are used, is no place to make their probes.
function M.new(t, run)
  local b = t.batch and t.batch(core.rng(core.seed(), "train/" .. (t.name or "batch")), run) or {}
  local leaves, _, layout = trace.flatten(b)
  local check = { training = t, run = run, leaves = leaves, layout = layout, controls = {}, noted = {} }
  M.record(check, nil, function(_, loss) return { loss } end)
  local parameters = {}
  for _, m in ipairs(t.models) do
    for _, p in ipairs(m.list) do parameters[p.tensor] = true end
  end
  for u in pairs(check.noted) do
    if not parameters[u.values] then check.controls[#check.controls + 1] = u end
  end
  table.sort(check.controls, function(a, c) return a.order < c.order end)
  return check
end

function M.zeros_like(spec)
  local z = core.zeros(spec[2], spec[1])
  return spec[3] and core.rows(z) or z
end

--- A program with leaves and probes bound; returns it and the number of inputs bound so far.
function M.open(check, r)
  local p = core.program(r.fn, r.captures)
  for i, x in ipairs(check.leaves) do p:bind(i, x) end
  for i, probe in ipairs(r.probes) do
    probe.tensor = M.zeros_like(probe.like)
    p:bind(#check.leaves + i, probe.tensor)
  end
  return p, #check.leaves + #r.probes
end

function M.run(p, replay)
  p:configure(1, replay)
  local status, message = p:run()
  if status ~= "ok" then error(message, 0) end
end

return M
