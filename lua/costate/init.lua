-- SPDX-License-Identifier: GPL-3.0-or-later
-- require "costate": everything a script needs, in one table. Sets no global, prints nothing.
local core = require "costate.core"

-- Errors blame the script's line, not ours: chunks of this directory are our own.
core.own((debug.getinfo(1, "S").source:match("^(.*[/\\])[^/\\]*$")))

local model = require "costate.model"
local loss = require "costate.loss"
local dataset = require "costate.dataset"
local transform = require "costate.transform"
local run = require "costate.run"
local plot = require "costate.plot"
local show = require "costate.show"
local schedule = require "costate.schedule"

local M = {
  _VERSION = "costate " .. core.version,
  ode = require("costate.ode").new,
  control = require("costate.control").new,
  scan = require "costate.scan",
  random = require "costate.random",
  model = model.model, nn = model.nn, parameters = model.parameters,
  loss = loss.loss, optim = require("costate.optim").optim,
  dataset = dataset.dataset,
  schedule = schedule.schedule, anneal = schedule.anneal,
  grad = transform.grad, value_and_grad = transform.value_and_grad, jvp = transform.jvp,
  hvp = transform.hvp, jacobian = transform.jacobian,
  divergence = require("costate.divergence").divergence, compile = transform.compile,
  implicit = function(given) return require("costate.implicit")(given) end,
  linalg = require "costate.linalg",
  train = require("costate.train").train,
  options = require("costate.options").declare,
  result = run.record, run = run,
  plot = plot, print = show.print, explain = show.explain,
  check = function(given) return require("costate.check").check(given) end,
  plugins = core.plugins, load_plugin = core.load,
  register = require "costate.register",
  json = core.json, parse_json = core.parse_json, clock = core.clock,
}

-- Tensors and operations come straight from the binding.
for _, name in ipairs {
  "tensor", "zeros", "ones", "full", "linspace", "arange", "iota", "index", "rows", "shared",
  "neg", "abs", "sign", "floor", "recip", "square", "sqrt", "exp", "expm1", "log", "log1p", "sin",
  "cos", "tan", "tanh", "sigmoid", "softplus", "relu", "elu", "erf", "atan", "isfinite", "heaviside",
  "detach", "pow", "maximum", "minimum", "lt", "le", "gt", "ge", "eq", "ne", "where", "sum", "mean",
  "max", "min", "matmul", "outer", "bmm", "dense", "reshape", "transpose", "slice", "column",
  "columns", "concat", "stack", "pad", "take", "cast", "zeros_like", "ones_like", "full_like",
  "broadcast_like", "dtype", "threads",
} do
  M[name] = core[name]
end

--- cs.rng(seed [, stream]): random numbers for preparing data.
M.rng = function(seed, stream) return core.rng(seed, stream) end

--- cs.is_traced(): whether a function is being recorded.
M.is_traced = function() return core.current() ~= nil end

return M
