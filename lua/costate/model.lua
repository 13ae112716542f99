-- SPDX-License-Identifier: GPL-3.0-or-later
-- Models: parameters in one flat vector, and a recipe that builds graph nodes from them.
local core = require "costate.core"
local trace = require "costate._trace"
local made = require "costate._made"
local options = require "costate._options"

local M = { registered = {} }

local Model = { __name = "costate.Model" }
Model.__index = Model

local ordinals = {}

--- Names key the random streams, so the n-th model of a kind starts the same in every run.
local function stream_name(given, kind)
  if given then return given end
  ordinals[kind] = (ordinals[kind] or 0) + 1
  return kind .. "#" .. ordinals[kind]
end

--- Parameters as views into one flat tensor. layout: list of { name, shape, offset }.
local function attach(self, layout, flat)
  self.flat, self.parameters, self.list = flat, {}, {}
  for i, p in ipairs(layout) do
    local view = core.view(flat, p.offset, p.shape)
    self.list[i] = { name = p.name, tensor = view, offset = p.offset }
    self.parameters[p.name] = view
  end
  made.note("models", self)
  return self
end

function Model:tensors()
  local out = {}
  for i, p in ipairs(self.list) do out[i] = p.tensor end
  return out
end

function Model:__call(...) return self.eager(...) end
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
  local rest = {}
  for k, v in pairs(given) do rest[k] = v end
  rest.name = nil
  return rest, given.name
end

-- ---- models of plugins --------------------------------------------------------------------------

local function plugin_model(entry, given)
  local rest, name = without_name(given)
  local o = core.options("model", entry.name, rest)
  local layout = core.layout(entry.name, o)
  local list, count = layout:list()
  local flat = core.zeros({ count })
  local self = setmetatable({ kind = entry.name, name = stream_name(name, entry.name),
    options = o:table() }, Model)
  layout:initialise(core.seed(), self.name, flat)
  attach(self, list, flat)
  local tensors = self:tensors()
  self.eager = trace.eager(function(...) return core.build_model(entry.name, o, tensors, { ... }) end)
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
    list[#list + 1] = { name = name, shape = p.shape or p, init = p.init, scale = p.scale }
  end
  return list
end

local function lua_model(type_, given)
  local rest, name = without_name(given)
  local o = M.resolve_lua_options("model", type_, rest)
  local list, count = declared_list(type_.parameters and type_.parameters(o) or {}), 0
  for _, p in ipairs(list) do
    p.offset = count
    local n = 1
    for _, d in ipairs(p.shape) do n = n * d end
    count = count + n
  end
  local self = setmetatable({ kind = type_.name, name = stream_name(name, type_.name), options = o }, Model)
  attach(self, list, core.zeros({ count }))
  for _, p in ipairs(list) do initialise(self, p, self.parameters[p.name]) end
  self.eager = trace.eager(function(...) return type_.build(o, self.parameters, ...) end)
  return self
end

--- Options of types written in Lua: { q = { 0.5, range = {0, 1}, help = "..." } }.
function M.resolve_lua_options(kind, type_, given)
  local schema, out, names = type_.options or {}, {}, {}
  for name, s in pairs(schema) do
    out[name] = s[1]
    names[#names + 1] = name
  end
  for name, x in pairs(given) do
    local s = schema[name]
    if not s and math.type(name) == "integer" then
      out[name] = x
    elseif not s then
      options.unknown(("%s '%s'"):format(kind, type_.name), tostring(name), names)
    else
      if s[1] ~= nil and type(s[1]) ~= type(x) then
        core.fail(("option '%s' of %s '%s' must be a %s"):format(name, kind, type_.name, type(s[1])))
      end
      if s.range and not (x >= s.range[1] and x <= s.range[2]) then
        core.fail(("option '%s' of %s '%s' must lie between %g and %g"):format(name, kind, type_.name,
          s.range[1], s.range[2]))
      end
      out[name] = x
    end
  end
  return out
end

-- ---- public -----------------------------------------------------------------------------------------

--- cs.model("nn.mlp", { 2, 50, 2 }) or cs.model "nn.mlp" { 2, 50, 2 }.
function M.model(name, given)
  if type(name) ~= "string" then core.fail("model takes a name: cs.model \"nn.mlp\" { ... }") end
  local type_ = M.registered[name]
  local entry, message
  if not type_ then
    entry, message = core.find("model", name)
    if not entry then core.fail(message) end
  end
  local function make(o)
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
  local methods = rawget(Parameters, "methods")
  local view = rawget(self, "parameters")[name]
  if not view then return methods[name] end
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

Parameters.methods = { tensors = Model.tensors }

local function positive_set(positive, names)
  local set = {}
  if positive == true or type(positive) == "string" then
    local how = positive == "softplus" and "softplus" or "exp"
    for _, n in ipairs(names) do set[n] = how end
  elseif type(positive) == "table" then
    for k, v in pairs(positive) do
      if type(k) == "number" then set[v] = "exp" else set[k] = v == "softplus" and "softplus" or "exp" end
    end
  end
  return set
end

local function count_of(x) return type(x) == "number" and 1 or x.count end

local function store_positive(view, how, name)
  for i = 1, view.count do
    local flat = core.view(view, 0, { view.count })
    local x = flat[i]
    if x <= 0 then core.fail(("parameter '%s' is positive but starts at %g"):format(name, x)) end
    flat[i] = transforms[how].store(x)
  end
end

--- cs.parameters { alpha = 0.5, W = tensor, positive = true, name = "physics" }
function M.parameters(given)
  local reserved = { positive = true, name = true }
  local names, count = {}, 0
  for _, name in ipairs(trace.sorted_keys(given)) do
    local x = given[name]
    if type(name) ~= "string" then core.fail("parameters have names: cs.parameters { alpha = 0.5 }") end
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
  local self = { kind = "parameters", name = stream_name(given.name, "parameters"), transform = {}, options = {} }
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
  return setmetatable(self, Parameters)
end

--- Whether x has parameters of its own (a model, a set of parameters).
function M.is_model(x)
  local meta = getmetatable(x)
  return meta == Model or meta == Parameters
end

--- A flat list of the models in nested lists; raises for anything else.
function M.models_in(x, out)
  out = out or {}
  if M.is_model(x) then
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
--- build = function(o, p, x) ... end }
function M.register(given)
  local t = options.check("register.model", given, { name = "string!", options = "table",
    parameters = "callable", build = "callable!", help = "string" })
  if M.registered[t.name] then core.fail(("a model '%s' is registered already"):format(t.name)) end
  M.registered[t.name] = t
end

return M
