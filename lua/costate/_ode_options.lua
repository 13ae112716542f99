-- SPDX-License-Identifier: GPL-3.0-or-later
-- The options of cs.ode: its own, and those that belong to the solver, gradient or controller it names.
local core = require "costate.core"
local options = require "costate._options"

local spec = {
  field = "callable", callback = "function", solver = "string|table", gradient = "string|table",
  controller = "string|table", rtol = "number", atol = "number", step = "number",
  first_step = "number", min_step = "number", max_step = "number", max_steps = "integer",
  memory = "integer", checkpoints = "integer", parts = "table", name = "string", control = "string",
  events = "table", trace = "boolean", band = "table",
}

--- Splits "name" or { name = "name", option = ... } into name, table of the rest.
local function name_and_rest(x, what, fallback)
  if x == nil then return fallback, {} end
  if type(x) == "string" then return x, {} end
  local rest = {}
  for k, v in pairs(x) do rest[k] = v end
  local name = rest.name or rest[1]
  if type(name) ~= "string" then core.fail(("option '%s' of ode: a table needs a name"):format(what)) end
  rest.name, rest[1] = nil, nil
  return name, rest
end

local function has_option(entry, name)
  for _, o in ipairs(entry.options) do
    if o.name == name then return true end
  end
  return false
end

--- Options that are not ode's own go to the solver, gradient or controller that knows them.
local function distribute(given, parts)
  local own = {}
  for k, v in pairs(given) do
    if spec[k] then
      own[k] = v
    else
      local taker
      for _, p in ipairs(parts) do
        if type(k) == "string" and has_option(p.entry, k) then taker = taker or p end
      end
      if not taker then
        local names = {}
        for n in pairs(spec) do names[#names + 1] = n end
        for _, p in ipairs(parts) do
          for _, o in ipairs(p.entry.options) do names[#names + 1] = o.name end
        end
        options.unknown("ode", tostring(k), names)
      end
      taker.rest[k] = v
    end
  end
  return own
end

local function find(kind, name)
  local entry, message = core.find(kind, name)
  if not entry then core.fail(message) end
  return entry
end

local ranges = {
  rtol = { 0, 1 }, atol = { 0, math.huge }, step = { 0, math.huge }, first_step = { 0, math.huge },
  min_step = { 0, math.huge }, max_step = { 0, math.huge }, max_steps = { 1, math.maxinteger },
  memory = { 0, 2 ^ 62 }, checkpoints = { 0, 2 ^ 31 },
}

--- band = { lower, upper }: how many diagonals below and above the main one the Jacobian of a row has.
local function bandwidths(band)
  local lower, upper = band[1] or band.lower, band[2] or band.upper
  for _, x in pairs { lower or false, upper or false } do
    if math.type(x) ~= "integer" or x < 0 then
      core.fail("option 'band' of ode is { lower, upper }, the diagonals of the Jacobian below and above the main one")
    end
  end
  return lower, upper
end

--- States are kept at checkpoints by gradients that keep a record of the steps.
local function check_checkpoints(o, gradient)
  if o.checkpoints == 0 or gradient.needs.tape then return end
  local takers = {}
  for _, e in ipairs(core.entries("gradient")) do
    if e.needs.tape then takers[#takers + 1] = ("'%s'"):format(e.name) end
  end
  core.fail(("option 'checkpoints' of ode: gradient '%s' stores no records of steps and would ignore it; %s takes it")
    :format(gradient.name, table.concat(takers, ", ")))
end

--- What is followed is one of the two.
local function check_field(o)
  if o.field and o.callback then core.fail("ode takes one of the options 'field' and 'callback', not both") end
  if not o.field and not o.callback then
    core.fail("option 'field' of ode is required (or 'callback', a function that is called at every evaluation)")
  end
end

local function resolve(given)
  local defaults = core.solve_defaults()
  local parts = {}
  for _, kind in ipairs { "solver", "gradient", "controller" } do
    local x = given[kind]
    if x ~= nil and type(x) ~= "string" and type(x) ~= "table" then
      core.fail(("option '%s' of ode must be a name or a table, got a %s"):format(kind, type(x)))
    end
    local name, rest = name_and_rest(x, kind, defaults[kind])
    parts[#parts + 1] = { kind = kind, name = name, rest = rest, entry = find(kind, name) }
  end
  local o = options.check("ode", distribute(given, parts), spec)
  check_field(o)
  for name, range in pairs(ranges) do
    local x = o[name]
    if x and not (x >= range[1] and x <= range[2]) then
      core.fail(("option '%s' of ode must be a number from %s%s, got %s"):format(name, core.format(range[1]),
        name == "rtol" and " to 1" or "", core.format(x)))
    end
    if x == nil then o[name] = defaults[name] end
  end
  check_checkpoints(o, parts[2].entry)
  if o.band then o.band_lower, o.band_upper = bandwidths(o.band) end
  if o.events then o.events = require("costate._events").resolve(o.events) end
  o.control = o.control or (o.events and "row" or "batch")
  if o.control ~= "batch" and o.control ~= "row" then
    core.fail(("option 'control' of ode is \"batch\" (one step size for all rows) or \"row\" (each row its own), "
      .. "got '%s'"):format(o.control))
  end
  for _, p in ipairs(parts) do
    o[p.kind] = p.name
    o[p.kind .. "_options"] = core.options(p.kind, p.name, p.rest)
  end
  local solver = parts[1].entry
  if not solver.traits.adaptive and (given.step or 0) <= 0 then
    core.fail(("solver '%s' has a fixed step size: ode needs the option 'step'"):format(solver.name))
  end
  return o
end

return { resolve = resolve }
