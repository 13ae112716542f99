-- SPDX-License-Identifier: GPL-3.0-or-later
-- Models: parameters in one flat vector, and a recipe that builds graph nodes from them.
local core = require "costate.core"
local trace = require "costate._trace"
local made = require "costate._made"
local lua_models = require "costate._lua_models"
local options = require "costate._options"
local resolve_lua_options = require("costate._lua_options").resolve
local signature = require "costate._signature"

local M = { registered = lua_models.registered }

local Model = { __name = "costate.Model" }
local FIXED <const> = {} -- key of what must not be replaced: flat, parameters and list share memory

function Model.__index(self, k)
  local v = Model[k]
  if v == nil then return rawget(self, FIXED)[k] end
  return v
end

local ordinals = {}

--- Names key the random streams, so the n-th model of a kind starts the same in every run.
local function stream_name(given, kind)
  if given then return given end
  ordinals[kind] = (ordinals[kind] or 0) + 1
  return kind .. "#" .. ordinals[kind]
end

--- Parameters as views into one flat tensor. layout: list of { name, shape, offset }.
local function attach(self, layout, flat)
  local fixed = { flat = flat, parameters = {}, list = {} }
  for i, p in ipairs(layout) do
    local view = core.view(flat, p.offset, p.shape)
    fixed.list[i] = { name = p.name, tensor = view, offset = p.offset }
    fixed.parameters[p.name] = view
  end
  rawset(self, FIXED, fixed)
  made.note("models", self)
  return self
end

function Model:tensors()
  local out = {}
  for i, p in ipairs(self.list) do out[i] = p.tensor end
  return out
end

function Model:__call(...) return self.eager(...) end
function Model:__newindex(k)
  core.fail(("'%s' of a model cannot be set: write into its parameters, as net.flat:copy(x) or "
    .. "net.parameters[\"0.weight\"]:fill(0)"):format(tostring(k)))
end
function Model:__len() return self.flat.count end
function Model:__tostring()
  local lines = { ("%s '%s': %d parameters"):format(self.kind, self.name, self.flat.count) }
  for _, p in ipairs(self.list) do
    lines[#lines + 1] = ("  %s [%s]"):format(p.name, table.concat(p.tensor.shape, ", "))
  end
  return table.concat(lines, "\n")
end

--- Takes `name` out of a copy of the given table.
local function without_name(given)
  if type(given) ~= "table" or getmetatable(given) then
    core.fail("a model takes one table of options")
  end
  return options.without(given, "name")
end

-- ---- models of plugins --------------------------------------------------------------------------

local function plugin_model(entry, given)
  local rest, name = without_name(given)
  local o = core.options("model", entry.name, rest)
  local layout = core.layout(entry.name, o)
  local list, count = layout:list()
  local flat = core.zeros({ count })
  local self = setmetatable({ kind = entry.name, name = stream_name(name, entry.name),
    options = o:table(), takes_time = signature.takes_time(entry.signature) }, Model)
  layout:initialise(core.seed(), self.name, flat)
  attach(self, list, flat)
  local build = trace.eager(function(...) return core.build_model(entry.name, o, self:tensors(), { ... }) end)
  rawset(self, "eager", entry.signature and signature.wrap(entry.name, entry.signature, build) or build)
  return self
end

-- ---- models in Lua --------------------------------------------------------------------------------

local function fans(shape)
  if #shape < 2 then return shape[1] or 1, shape[1] or 1 end
  local field = 1
  for i = 1, #shape - 2 do field = field * shape[i] end
  return shape[#shape - 1] * field, shape[#shape] * field
end

local initial = {
  zero = function() return 0, "constant" end,
  constant = function(scale) return scale, "constant" end,
  normal = function(scale) return scale, "normal" end,
  uniform = function(scale) return scale, "uniform" end,
  glorot = function(scale, shape)
    local i, o = fans(shape)
    return scale * math.sqrt(6 / (i + o)), "uniform"
  end,
  he = function(scale, shape) return scale * math.sqrt(2 / (fans(shape))), "normal" end,
  lecun = function(scale, shape) return scale * math.sqrt(1 / (fans(shape))), "normal" end,
}

local function initialise(self, declared, view)
  local kind = initial[declared.init or "glorot"]
  if not kind then core.fail(("parameter '%s': unknown init '%s'"):format(declared.name, declared.init)) end
  local size, how = kind(declared.scale or 1, declared.shape)
  if how == "constant" then view:fill(size) return end
  local rng = core.rng(core.seed(), self.name .. "/" .. declared.name)
  local x = how == "normal" and rng:normal(declared.shape) or rng:uniform(declared.shape) * 2 - 1
  view:copy(x * size)
end

--- Declared parameters in order: a list, or a table by name taken in sorted order.
local function declared_list(declared)
  if #declared > 0 or next(declared) == nil then return declared end
  local list = {}
  for _, name in ipairs(trace.sorted_keys(declared)) do
    local p = declared[name]
    if type(p) ~= "table" then p = { shape = p } end
    list[#list + 1] = { name = name, shape = p.shape or p, init = p.init, scale = p.scale }
  end
  return list
end

--- Elements of a declared parameter.
local function size_of(type_, p)
  local n, ok = 1, type(p.name) == "string" and type(p.shape) == "table"
  for _, d in ipairs(ok and p.shape or {}) do
    ok = ok and math.type(d) == "integer" and d >= 1
    n = ok and n * d
  end
  if ok then return n end
  core.fail(("model '%s': parameter '%s' needs a shape of positive integers, as W = { shape = { 3, 2 } }"):format(
    type_.name, tostring(p.name)))
end

local function lua_model(type_, given)
  local rest, name = without_name(given)
  local o = resolve_lua_options("model", type_, rest)
  local list, count = declared_list(type_.parameters and type_.parameters(o) or {}), 0
  for _, p in ipairs(list) do
    p.offset = count
    count = count + size_of(type_, p)
  end
  local self = setmetatable({ kind = type_.name, name = stream_name(name, type_.name), options = o }, Model)
  attach(self, list, core.zeros({ count }))
  for _, p in ipairs(list) do initialise(self, p, self.parameters[p.name]) end
  rawset(self, "eager", trace.eager(function(...) return type_.build(o, self.parameters, ...) end))
  return self
end

M.resolve_lua_options = resolve_lua_options

-- ---- public -----------------------------------------------------------------------------------------

--- For models made of others, costate._composite.
M.internals = { Model = Model, FIXED = FIXED, attach = attach, stream_name = stream_name, without_name = without_name,
  resolve = M.resolve_lua_options }

--- cs.model("nn.mlp", { 2, 50, 2 }) or cs.model "nn.mlp" { 2, 50, 2 }.
function M.model(name, given)
  if type(name) ~= "string" then core.fail("model takes a name: cs.model \"nn.mlp\" { ... }") end
  local type_, missing = lua_models.find(name)
  if missing then core.fail(missing) end
  local entry, message
  if not type_ then
    entry, message = core.find("model", name)
    if not entry then core.fail(message) end
  end
  local function make(o)
    if type_ and type_.parts then return require("costate._composite").new(M.internals, type_, o or {}) end
    if type_ then return lua_model(type_, o or {}) end
    return plugin_model(entry, o or {})
  end
  if given ~= nil then return make(given) end
  return make
end

--- cs.nn.mlp { ... }: models of the plugin nn by their short names.
M.nn = setmetatable({}, {
  __index = function(_, name)
    local entry, message = core.find("model", "nn." .. tostring(name))
    if not entry then core.fail(message) end
    return function(given) return plugin_model(entry, given or {}) end
  end,
})

-- ---- named trainable numbers and tensors --------------------------------------------------------------

local Parameters = { __name = "costate.Parameters" }

local function inverse_softplus(x) return x > 30 and x or math.log(math.exp(x) - 1) end

local transforms = {
  exp = { store = math.log, show = core.exp },
  softplus = { store = inverse_softplus, show = core.softplus },
}

function Parameters.__index(self, name)
  local fixed = rawget(self, FIXED)
  local view = fixed.parameters[name]
  if not view then return Parameters.methods[name] or fixed[name] end
  local t = rawget(self, "transform")[name]
  if t then return t.show(view) end
  return core.current() and core.current():value(view) or view
end

function Parameters.__newindex(_, name)
  core.fail(("a parameter is changed by its optimizer; to set '%s' write p.parameters.%s:fill(x)"):format(
    tostring(name), tostring(name)))
end

function Parameters.__tostring(self)
  local lines = {}
  for _, p in ipairs(self.list) do
    lines[#lines + 1] = ("%s = %s"):format(p.name, tostring(self[p.name]))
  end
  return table.concat(lines, "\n")
end

function Parameters.__len(self) return self.flat.count end

Parameters.methods = { tensors = Model.tensors }

--- The transform that a value of `positive` asks for.
local function positive_how(x)
  if x == true then return "exp" end
  if transforms[x] then return x end
  core.fail(("option 'positive' of parameters is true, \"exp\", \"softplus\" or a table of names, got %s"):format(
    tostring(x)))
end

local function positive_set(positive, names)
  local set, known = {}, {}
  if not positive then return set end
  for _, n in ipairs(names) do known[n] = true end
  if type(positive) ~= "table" then
    for _, n in ipairs(names) do set[n] = positive_how(positive) end
    return set
  end
  for k, v in pairs(positive) do
    local name, how = k, v
    if type(k) == "number" then name, how = v, true end
    if not known[name] then options.unknown("parameters.positive", tostring(name), names) end
    if how then set[name] = positive_how(how) end
  end
  return set
end

local function count_of(x) return type(x) == "number" and 1 or x.count end

local function store_positive(view, how, name)
  for i = 1, view.count do
    local flat = core.view(view, 0, { view.count })
    local x = flat[i]
    if x <= 0 or x ~= x then core.fail(("parameter '%s' is positive but starts at %g"):format(name, x)) end
    flat[i] = transforms[how].store(x)
  end
end

-- Fields of a set of parameters.
local taken = { kind = true, transform = true, options = true, flat = true, parameters = true, list = true,
  tensors = true }

--- cs.parameters { alpha = 0.5, W = tensor, positive = true, name = "physics" }
function M.parameters(given)
  if type(given) ~= "table" or getmetatable(given) then
    core.fail("parameters takes one table: cs.parameters { alpha = 0.5 }, got a " .. type(given))
  end
  local reserved = { positive = true, name = true }
  local names, count = {}, 0
  for _, name in ipairs(trace.sorted_keys(given)) do
    local x = given[name]
    if type(name) ~= "string" then core.fail("parameters have names: cs.parameters { alpha = 0.5 }") end
    if taken[name] then core.fail(("a parameter cannot be called '%s': that is part of every set"):format(name)) end
    if not reserved[name] then
      if type(x) == "table" then x = core.tensor(x) end
      if type(x) ~= "number" and core.kind(x) ~= "tensor" then
        core.fail(("parameter '%s' must start as a number or a tensor, got a %s"):format(name, type(x)))
      end
      names[#names + 1] = { name = name, start = x, offset = count,
        shape = type(x) == "number" and {} or x.shape }
      count = count + count_of(x)
    end
  end
  local self = setmetatable({ kind = "parameters", name = stream_name(given.name, "parameters"), transform = {},
    options = {} }, Parameters)
  attach(self, names, core.zeros({ count }))
  local plain = {}
  for i, p in ipairs(names) do plain[i] = p.name end
  local set = positive_set(given.positive, plain)
  for _, p in ipairs(names) do
    local view = self.parameters[p.name]
    if type(p.start) == "number" then view:fill(p.start) else view:copy(p.start) end
    if set[p.name] then
      store_positive(view, set[p.name], p.name)
      self.transform[p.name] = transforms[set[p.name]]
    end
  end
  return self
end

--- Whether x has parameters of its own (a model, a set of parameters).
function M.is_model(x)
  local meta = getmetatable(x)
  return meta == Model or meta == Parameters
end

--- Whether x is a model of a plugin that maps one value: as a field it is called with the state alone.
function M.takes_state(x)
  return getmetatable(x) == Model and not M.registered[x.kind] and not x.takes_time
end

--- Appends to xs what a derivative by the parameters of m is taken by, lifted into trace tr: each
--- parameter, and the flat vector, which is the same memory and may be used as well.
function M.variables(tr, m, xs)
  for _, p in ipairs(m.list) do xs[#xs + 1] = tr:value(p.tensor) end
  xs[#xs + 1] = tr:value(m.flat)
end

--- Derivatives by the parameters of m: those by its variables, which start at bars[first + 1], and
--- `whole` by the flat vector, the last of them by default (false: zero).
function M.gather(m, bars, first, whole)
  local out = {}
  if whole == nil then whole = bars[first + #m.list + 1] end
  for i, p in ipairs(m.list) do
    local bar, n = bars[first + i], p.tensor.count
    if whole then
      local part = core.reshape(core.slice(whole, 1, p.offset + 1, p.offset + n), p.tensor.shape)
      bar = bar and bar + part or part
    end
    out[i] = bar
  end
  return out
end

--- The flat vector of a value for each parameter of m, which start at values[first + 1].
function M.join(m, values, first)
  local flat = {}
  for i = 1, #m.list do flat[i] = core.reshape(values[first + i], -1) end
  return #flat == 1 and flat[1] or core.concat(flat, 1)
end

--- A flat list of the models in nested lists, each once; raises for anything else.
function M.models_in(x, out)
  out = out or {}
  if M.is_model(x) then
    for _, m in ipairs(out) do if rawequal(m, x) then return out end end
    out[#out + 1] = x
  elseif type(x) == "table" and not getmetatable(x) then
    for _, k in ipairs(trace.sorted_keys(x)) do M.models_in(x[k], out) end
  elseif type(x) == "table" and M.is_model(rawget(x, "model")) then
    out[#out + 1] = rawget(x, "model")
  else
    core.fail("parameters are a model, cs.parameters{...} or a list of them, got a " .. type(x))
  end
  return out
end

--- cs.register.model { name = "mine.net", options = {...}, parameters = function(o) ... end,
--- build = function(o, p, x) ... end }; a model made of models says parts = function(o, name) return { net = ... } end
--- and methods = { predict = function(m, ...) end }.
function M.register(given)
  local t = options.check("register.model", given, { name = "string!", options = "table",
    parameters = "callable", build = "callable", help = "string", parts = "callable", methods = "table",
    check = "callable" })
  if not t.parts and not t.build then core.fail(("model '%s' needs 'build', or 'parts' and 'methods'"):format(t.name)) end
  if M.registered[t.name] then core.fail(("a model '%s' is registered already"):format(t.name)) end
  M.registered[t.name] = t
end

return M
