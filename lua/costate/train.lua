-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.train: the loss is recorded once with its gradient, then replayed. One step is one call into C:
-- bind the batch, run, clip, update.
local core = require "costate.core"
local blame = require "costate._blame"
local options = require "costate._options"
local trace = require "costate._trace"
local freeze = require "costate._freeze"
local model = require "costate.model"
local optim = require "costate.optim"
local run_state = require "costate.run"

local M = {}

local KEPT_RECORDINGS <const> = 64 -- batches of more kinds than that are recorded again

local spec = {
  parameters = "any!", optimizer = "any!", steps = "integer", epochs = "integer",
  batch = "callable", loss = "callable!", every = "table", clip = "number", schedule = "callable",
  validate = "callable", validate_every = "integer", stop = "table", log_every = "integer",
  on_failure = "string", quiet = "boolean", name = "string",
}

-- ---- the run object that loss and callbacks see --------------------------------------------------------

local Run = {}

local live = { step = true, epoch = true }

--- run.step and run.epoch are numbers, and inside a trace live values: inputs bound to these cells.
function Run.__index(self, k)
  if live[k] then
    local cell = rawget(self, "cells")[k]
    return core.current() and core.current():value(cell) or rawget(self, "now")[k]
  end
  return Run[k]
end
function Run.__newindex(self, k, v)
  if live[k] then core.fail(("run.%s belongs to cs.train and cannot be set"):format(k)) end
  rawset(self, k, v)
end

local function new_run()
  return setmetatable({ now = { step = 0, epoch = 0 },
    cells = { step = core.tensor(0, "f64"), epoch = core.tensor(0, "f64") } }, Run)
end

local function set_live(run, step, epoch)
  local now, cells = rawget(run, "now"), rawget(run, "cells")
  now.step, now.epoch = step, epoch
  cells.step:set(step)
  cells.epoch:set(epoch)
end

--- run:plot(name, values [, options]): a figure of this moment.
function Run:plot(name, values, given)
  local o = { file = ("%s-%06d.svg"):format(name, rawget(self, "now").step) }
  for k, v in pairs(given or {}) do o[k] = v end
  return require("costate.plot").lines(values, o)
end

-- ---- recording ------------------------------------------------------------------------------------------

--- The loss, then its gradient by every parameter.
local function gradients(models, tr, loss)
  local xs, results, first, any = {}, { loss }, 0, nil
  for _, m in ipairs(models) do model.variables(tr, m, xs) end
  local bars = tr:vjp({ loss }, { core.ones_like(loss) }, xs)
  for _, m in ipairs(models) do
    local own = model.gather(m, bars, first)
    for i = 1, #m.list do
      results[#results + 1] = own[i] or core.zeros_like(xs[first + i])
      any = any or own[i]
    end
    first = first + #m.list + 1
  end
  if not any then core.fail("the loss does not depend on the parameters that are trained") end
  return results
end

local columns = { step = true, epoch = true, loss = true, seconds = true, nfe_forward = true, nfe_backward = true,
  validation = true }

--- Names of the numbers that a loss returns beside, in order.
local function checked_extras(extra)
  if extra == nil then return {} end
  if type(extra) ~= "table" or getmetatable(extra) then
    core.fail("beside the loss comes a table of named numbers: return loss, { mse = x }; got a " ..
      (core.kind(extra) or type(extra)))
  end
  local names = trace.sorted_keys(extra)
  for _, k in ipairs(names) do
    local x = extra[k]
    if type(k) ~= "string" or columns[k] then
      core.fail(("beside the loss '%s' is no name for a number: return loss, { mse = x }"):format(tostring(k)))
    end
    if type(x) ~= "number" and not (core.kind(x) and x.count == 1) then
      core.fail(("'%s' beside the loss must be one number, got %s: use :mean()"):format(k,
        core.kind(x) and ("shape [%s]"):format(table.concat(x.shape, ", ")) or "a " .. type(x)))
    end
  end
  return names
end

--- Records loss and gradients for batches like `b`.
function M.record(t, leaves, layout, run)
  local names
  local fn, captures = trace.record(leaves, function(tr, inputs)
    local b = trace.rebuild(layout, inputs)
    local loss, extra = t.loss(b, run)
    trace.check_loss(loss)
    local results = gradients(t.models, tr, loss)
    names = checked_extras(extra)
    for _, k in ipairs(names) do results[#results + 1] = extra[k] end
    return results
  end)
  return { fn = fn, captures = captures, extras = names }
end

--- Binds gradients to views of the optimizers' flat ones, and makes the step.
local function finish_recording(t, r)
  local p = core.program(r.fn, r.captures)
  p:result(1, core.zeros({}, r.fn and core.dtype()))
  local output = 1
  for i, m in ipairs(t.models) do
    local g = t.optimizers[i]:gradient()
    for _, q in ipairs(m.list) do
      output = output + 1
      p:result(output, core.view(g, q.offset, q.tensor.shape))
    end
  end
  r.extra_tensors = {}
  for i = 1, #r.extras do
    r.extra_tensors[i] = core.zeros({})
    p:result(output + i, r.extra_tensors[i])
  end
  r.program, r.step = p, core.step(p, t.optimizers)
  return r
end

local function guard_for(t, leaves, layout, run)
  return freeze.guard("the loss", { t.loss }, function()
    return M.record(t, leaves, layout, run)
  end, trace.equal)
end

-- ---- preparing ------------------------------------------------------------------------------------------

function M.prepare(given)
  local t = options.check("train", given, spec)
  if not optim.is(t.optimizer) then
    core.fail("option 'optimizer' of train: make one with cs.optim, as cs.optim.adam { lr = 1e-3 }")
  end
  if t.on_failure and t.on_failure ~= "stop" and t.on_failure ~= "skip" then
    core.fail(("option 'on_failure' of train is \"stop\" or \"skip\", got \"%s\""):format(t.on_failure))
  end
  for _, name in ipairs { "clip", "validate_every", "log_every" } do options.positive("train", name, t[name]) end
  if t.stop and not t.validate then core.fail("option 'stop' of train needs 'validate', whose number it watches") end
  if t.stop then t.stop = options.check("train.stop", t.stop, { patience = "integer!", least = "number" }) end
  t.per_epoch = type(t.batch) == "table" and t.batch.per_epoch or nil
  if t.epochs then t.steps = t.epochs * (t.per_epoch or 1) end
  if not t.steps then core.fail("train needs 'steps' or 'epochs'") end
  if t.steps < 0 then core.fail(("option 'steps' of train must not be negative, got %d"):format(t.steps)) end
  t.models = model.models_in(t.parameters)
  if #t.models == 0 then core.fail("train: there are no parameters") end
  t.validate_every = t.validate_every or t.per_epoch or math.max(1, t.steps // 20)
  t.log_every = t.log_every or math.max(1, (t.steps + 4999) // 5000)
  return t
end

local function rate_factor(t, step)
  if not t.schedule then return 1 end
  local rate = t.schedule(step, t.base_rate)
  if type(rate) ~= "number" then core.fail("the schedule must return a number, got a " .. type(rate)) end
  if not (rate >= 0 and rate < math.huge) then
    core.fail(("the schedule must return a rate that is finite and not negative, got %s at step %d"):format(
      core.format(rate), step))
  end
  return rate / t.base_rate
end

-- ---- progress -------------------------------------------------------------------------------------------

local function progress(t, row, last)
  if t.quiet or run_state.quiet then return end
  local now = core.clock()
  local terminal = core.isatty(1)
  local due = terminal and now - t.shown > 0.2 or not terminal and row.step >= t.next_line
  if not due and not last then return end
  t.shown, t.next_line = now, row.step + math.max(1, t.steps // 10)
  io.write(terminal and "\r" or "", ("step %d/%d  loss %.6g  nfe %d+%d  %.3g ms a step"):format(row.step,
    t.steps, row.loss, row.nfe_forward, row.nfe_backward, 1e3 * row.seconds / math.max(row.step, 1)),
    terminal and "   " or "\n")
  if terminal and last then io.write("\n") end
  io.flush()
end

-- ---- the loop -------------------------------------------------------------------------------------------

--- The recording for a batch, and its leaves.
local function recording_for(t, b, run)
  local leaves, key, layout = trace.flatten(b)
  local g = t.guards[key]
  if not g then
    if t.kept == KEPT_RECORDINGS then t.guards, t.kept = {}, 0 end
    g = guard_for(t, leaves, layout, run)
    t.guards[key], t.kept = g, t.kept + 1
  end
  t.guard, t.layout = g, layout
  local r = g:get()
  if not r.step then finish_recording(t, r) end
  return r, leaves
end

local scratch = {}

--- One step: its recording, then loss and norm of the gradient before it is clipped, or nil, status, message.
local function one_step(t, b, run, factor)
  local r, leaves
  local clip = t.clip or 0
  local n = t.guard and trace.collect(t.layout, b, scratch, 0)
  if n then
    r = t.guard:get()
    r.program:configure(rawget(run, "now").step)
    local loss, status, message = r.step:run(factor, clip, table.unpack(scratch, 1, n))
    if loss ~= false then return r, loss, status, message end
  end
  r, leaves = recording_for(t, b, run)
  r.program:configure(rawget(run, "now").step)
  local loss, status, message = r.step:run(factor, clip, table.unpack(leaves))
  if loss == false then core.fail("train: the batch does not fit the recording it was made for") end
  return r, loss, status, message
end

local function best_of(t)
  local copy = {}
  for i, m in ipairs(t.models) do copy[i] = m.flat:clone() end
  return copy
end

local function restore(t)
  for i, m in ipairs(t.models) do m.flat:copy(t.best_parameters[i]) end
end

--- Calls validate when due; true when patience is over.
local function validation(t, run, row)
  if not t.validate or row.step % t.validate_every ~= 0 then return false end
  local v = t.validate(run)
  if core.kind(v) then v = v:item() end
  if type(v) ~= "number" then core.fail("validate must return a number, got a " .. type(v)) end
  row.validation = v
  if not t.best or v < t.best - (t.stop and t.stop.least or 0) then
    t.best, t.best_step, t.waited = v, row.step, 0
    if t.stop then t.best_parameters = best_of(t) end
  else
    t.waited = t.waited + 1
  end
  return t.stop ~= nil and t.waited >= t.stop.patience
end

local function callbacks(t, run, step)
  for n, f in pairs(t.every or {}) do
    if step % n == 0 then f(run) end
  end
end

local function failed(t, status, message, step)
  run_state.log("step %d: %s: %s", step, status, message)
  if t.on_failure == "skip" and t.skipped_in_a_row < 20 then
    t.skipped, t.skipped_in_a_row = t.skipped + 1, t.skipped_in_a_row + 1
    return false
  end
  if not (t.quiet or run_state.quiet) then
    io.write(("step %d stopped: %s: %s\n"):format(step, status, message))
  end
  return true
end

local function summary(t, status, message, run, row)
  if t.best_parameters then restore(t) end
  return { status = status, message = message, steps = rawget(run, "now").step, loss = row.loss,
    seconds = row.seconds, skipped = t.skipped, validation = t.best, best_step = t.best_step,
    nfe_forward = row.nfe_forward, nfe_backward = row.nfe_backward }
end

local function start(t)
  t.guards, t.kept, t.optimizers, t.skipped, t.skipped_in_a_row, t.waited = {}, 0, {}, 0, 0, 0
  t.shown, t.next_line = core.clock(), 0
  for i, m in ipairs(t.models) do t.optimizers[i] = t.optimizer:start(m.flat) end
  t.base_rate = t.optimizers[1]:rate()
  if t.schedule and t.base_rate == 0 then
    core.fail("a schedule changes the learning rate of the optimizer, which must not be 0: give cs.optim an lr")
  end
  for n, f in pairs(t.every or {}) do
    if math.type(n) ~= "integer" or n < 1 or type(f) ~= "function" then
      core.fail("option 'every' of train is a table { [steps] = function(run) ... end }")
    end
  end
end

local function loop(t, run, rng, row, began)
  for step = 1, t.steps do
    set_live(run, step, t.per_epoch and (step - 1) // t.per_epoch or step)
    local b = t.batch and t.batch(rng, run) or {}
    local r, loss, norm_or_status, message = one_step(t, b, run, rate_factor(t, step))
    if not loss then message = blame(t, message) end
    row.step, row.seconds = step, core.clock() - began
    row.epoch = t.per_epoch and (step - 1) // t.per_epoch or nil
    row.nfe_forward, row.nfe_backward = r.program:evaluations()
    if loss then
      row.loss, row.gradient_norm, t.skipped_in_a_row = loss, norm_or_status, 0
      for _, k in ipairs { "loss", "gradient_norm", "nfe_forward", "nfe_backward" } do rawset(run, k, row[k]) end
      for i, k in ipairs(r.extras) do row[k] = r.extra_tensors[i]:item() end
    elseif failed(t, norm_or_status, message, step) then
      return norm_or_status, message
    end
    row.validation = nil
    local over = validation(t, run, row)
    if step % t.log_every == 0 or step == t.steps or row.validation then run_state.metrics(row) end
    progress(t, row, step == t.steps or over)
    callbacks(t, run, step)
    if over then return "stopped_early" end
    if run_state.interrupted() then return "interrupted", "interrupted by the user" end
  end
  return "ok"
end

--- Trains; returns { status, message, steps, loss, seconds, ... }. What the numbers do is a result, what
--- the script does wrong is an error.
function M.train(given)
  local t = M.prepare(given)
  if core.current() then core.fail("train cannot be called inside a traced function") end
  if M.intercept then return M.intercept(t) end
  start(t)
  local run = new_run()
  rawset(run, "optimizers", t.optimizers)
  rawset(run, "dir", run_state.dir)
  local rng = core.rng(core.seed(), "train/" .. (t.name or "batch"))
  local row = { step = 0, loss = 0 / 0, nfe_forward = 0, nfe_backward = 0, seconds = 0 }
  run_state.write_manifest("running")
  local status, message = loop(t, run, rng, row, core.clock())
  run_state.flush()
  local result = summary(t, status, message, run, row)
  run_state.stopped = status == "interrupted"
  if status == "interrupted" then error({ costate_exit = "interrupted", message = message }, 0) end
  return result
end

M.new_run, M.set_live, M.start, M.one_step, M.gradients = new_run, set_live, start, one_step, gradients
return M
