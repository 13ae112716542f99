-- SPDX-License-Identifier: GPL-3.0-or-later
-- Options of cnf.flow, their defaults and what they may be.
local core = require "costate.core"
local base = require "costate.cnf.base"
local divergence = require "costate.divergence"
local model = require "costate.model"
local options = require "costate._options"

local M = {}

M.schema = {
  field = { help = "f(t, z), with a condition f(t, z, c): a model, a function, or a list of them, one flow after another" },
  parameters = { help = "models that a field which is a function uses" },
  dim = { help = "width of z; a field that is a model tells it" },
  base = { "normal", any = true, help = "density at t1: normal, mixture or uniform, or { \"normal\", std = 0.5 }" },
  T = { 0.5, any = true, help = "t1, from t0 = 0: a number, or { 0.5, learn = true }" },
  span = { help = "t0 and t1, if t0 is not 0: { 10, 0 }" },
  trace = { "exact", help = "divergence in the loss: exact, hutchinson or hutch++; log_prob is exact unless asked otherwise" },
  noise = { "gaussian", help = "vectors of an estimate: gaussian or rademacher, drawn once a solve" },
  samples = { 1, range = { 1, 4096 }, help = "vectors of an estimate" },
  kinetic = { 0, range = { 0, math.huge }, help = "weight of the integral of |f|^2 in the loss" },
  jacobian = { 0, range = { 0, math.huge }, help = "weight of the integral of |df/dz|_F^2 in the loss" },
  classes = { 0, range = { 0, 65536 }, help = "the condition is one of so many classes" },
  condition = { 0, range = { 0, 65536 }, help = "the condition is a vector of so many numbers" },
  solver = { {}, help = "options of cs.ode; dopri5, rtol and atol 1e-5" },
}

local function check_field(o)
  if o.field == nil then
    core.fail("cnf.flow needs option 'field': cs.nn.concatsquash { 2, 64, 64, 2 }, or a function of t and z")
  end
  if options.is_callable(o.field) then o.field = { o.field } end
  if type(o.field) ~= "table" or #o.field == 0 then
    core.fail("option 'field' of cnf.flow is a model, a function or a list of them")
  end
  for i, f in ipairs(o.field) do
    if not options.is_callable(f) then
      core.fail(("field %d of cnf.flow is a %s: a model or a function is wanted"):format(i, type(f)))
    end
  end
  if o.parameters == nil then o.parameters = {} end
  if model.is_model(o.parameters) then o.parameters = { o.parameters } end
  for _, p in ipairs(type(o.parameters) == "table" and o.parameters or { o.parameters }) do
    if not model.is_model(p) then
      core.fail(("option 'parameters' of cnf.flow is a model or a list of models, got a %s"):format(type(p)))
    end
  end
end

--- How wide z is: as the first model says by its sizes.
local function check_dim(o)
  for _, f in ipairs(o.field) do
    local sizes = model.is_model(f) and f.options and f.options.sizes
    if sizes and o.dim == nil then o.dim = math.tointeger(sizes[1]) end
    if sizes and sizes[1] ~= sizes[#sizes] then
      core.fail(("a field gives as many numbers as it takes: %d are taken, %d given"):format(sizes[1], sizes[#sizes]))
    end
  end
  if math.type(o.dim) ~= "integer" or o.dim < 1 then
    core.fail("option 'dim' of cnf.flow, the width of z, is a positive whole number: a function does not tell it")
  end
end

local function number(what, x)
  if type(x) == "number" and x - x == 0 then return x end
  core.fail(("option '%s' of cnf.flow is a finite number, got %s"):format(what, tostring(x)))
end

local function check_span(o)
  local T = type(o.T) == "table" and o.T or { o.T }
  for k in pairs(T) do
    if k ~= 1 and k ~= "learn" then core.fail("option 'T' of cnf.flow is a number or { 0.5, learn = true }") end
  end
  o.learned = T.learn == true
  if o.span == nil then
    o.span = { 0, number("T", T[1]) }
    if o.span[2] <= 0 then
      core.fail("option 'T' of cnf.flow must be positive; a span that runs backwards is span = { 10, 0 }")
    end
    return
  end
  if o.learned then core.fail("options 'span' and T = { learn = true } of cnf.flow exclude each other") end
  if type(o.span) ~= "table" or #o.span ~= 2 then core.fail("option 'span' of cnf.flow is { t0, t1 }") end
  if number("span", o.span[1]) == number("span", o.span[2]) then core.fail("option 'span' of cnf.flow has no length") end
end

function M.check(o)
  check_field(o)
  check_dim(o)
  check_span(o)
  divergence.resolve { method = o.trace, noise = o.noise, samples = o.samples }
  for _, name in ipairs { "field", "parts", "events" } do
    if o.solver[name] ~= nil then core.fail(("option 'solver' of cnf.flow: the flow has a '%s' of its own"):format(name)) end
  end
  if o.classes > 0 and o.condition > 0 then core.fail("options 'classes' and 'condition' of cnf.flow exclude each other") end
  o.base = base.new(o.base, o.dim)
end

return M
