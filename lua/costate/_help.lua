-- SPDX-License-Identifier: GPL-3.0-or-later
-- costate plugins, costate help THING: from the registry and the option schemas.
local core = require "costate.core"
local lua_datasets = require "costate._lua_datasets"
local lua_models = require "costate._lua_models"
local trace = require "costate._trace"

local M = {}

local kinds <const> = { "solver", "controller", "gradient", "model", "loss", "optimizer", "dataset", "exporter",
  "communicator", "op" }

local written_in_lua <const> = { model = lua_models, dataset = lua_datasets }

--- What is no entry of the registry.
local topics <const> = { callback = [[
option callback of cs.ode, in the place of field
  SLOW: a plain Lua function that is called at every evaluation, some 10 times as long as a traced field takes.
    callback = function(t, y, dy)   t a number; y, dy tensors in the shape of the state, or tables of them by part
  Either every element of dy is written, or the derivative is returned: a tensor or table of numbers, or one number.
  An error ends the solve with status "callback". Implicit solvers difference it. The only gradient is "finite",
  to which whatever else the function reads, parameters too, is a constant.]] }

local function entries_of(plugin)
  local out = {}
  for _, kind in ipairs(kinds) do
    for _, e in ipairs(core.entries(kind)) do
      if e.plugin == plugin then out[#out + 1] = e end
    end
  end
  return out
end

local function traits_of(e)
  if not e.traits then return "" end
  local list = {}
  for name, set in pairs(e.traits) do if set then list[#list + 1] = name end end
  table.sort(list)
  if e.order then table.insert(list, 1, ("order %d"):format(e.order)) end
  return #list > 0 and (" (%s)"):format(table.concat(list, ", ")) or ""
end

local function show(e) print(("%-11s %-28s %s%s"):format(e.kind, e.name, e.help or "", traits_of(e))) end

local function plural(kind) return kind .. (kind:match("s$") and "es" or "s") end

--- costate plugins [NAME]
function M.plugins(name)
  if name then
    local ok, message = core.load(name)
    if not ok then
      io.stderr:write("costate: ", message, "\n")
      return 1
    end
    local short = name:match("([%w_]+)%.so$") or name
    for _, e in ipairs(entries_of(short)) do show(e) end
    return 0
  end
  for _, p in ipairs(core.available()) do
    local ok, message = core.load(p.name)
    local version, counts = "", {}
    if ok then
      for _, q in ipairs(core.plugins()) do if q.name == p.name then version = q.version end end
      local n = {}
      for _, e in ipairs(entries_of(p.name)) do n[e.kind] = (n[e.kind] or 0) + 1 end
      for _, k in ipairs(kinds) do
        if n[k] then counts[#counts + 1] = ("%d %s"):format(n[k], n[k] == 1 and k or plural(k)) end
      end
    end
    print(("%-14s %-8s %s"):format(p.name, version, ok and table.concat(counts, ", ") or "refused: " .. message))
  end
  return 0
end

local function default_text(o)
  if o.required then return "required" end
  if o.default == nil or o.default == "" then return "" end
  return "default " .. (type(o.default) == "number" and core.format(o.default) or tostring(o.default))
end

local function describe(e)
  print(("%s %s%s\n  %s"):format(e.kind, e.name, traits_of(e), e.help or ""))
  for _, o in ipairs(e.options) do
    local notes = { o.kind }
    local d = default_text(o)
    if d ~= "" then notes[#notes + 1] = d end
    if o.low ~= 0 or o.high ~= 0 then
      notes[#notes + 1] = ("%s to %s"):format(core.format(o.low), o.high < math.huge and core.format(o.high) or "any")
    end
    if o.choices then notes[#notes + 1] = "one of " .. o.choices:gsub("|", ", ") end
    if o.unit then notes[#notes + 1] = "in " .. o.unit end
    print(("    %-16s %s  [%s]"):format(o.name, o.help or "", table.concat(notes, "; ")))
  end
end

-- A model or a data set written in Lua, as one of a plugin.
local function describe_lua(kind, type_)
  print(("%s %s\n  %s"):format(kind, type_.name, type_.help or ""))
  for _, name in ipairs(trace.sorted_keys(type_.options or {})) do
    local o = type_.options[name]
    local default = type(o[1]) == "table" and "a table" or o[1] ~= nil and "default " .. tostring(o[1]) or "no default"
    print(("    %-16s %s  [%s]"):format(name, o.help or "", default))
  end
end

-- All entries of one kind, of every plugin that is installed; false: `name` is no kind.
local function list(name)
  for _, kind in ipairs(kinds) do
    if name == kind or name == plural(kind) then
      for _, p in ipairs(core.available()) do core.load(p.name) end
      for _, e in ipairs(core.entries(kind)) do show(e) end
      local in_lua = written_in_lua[kind] and written_in_lua[kind].all() or {}
      for _, key in ipairs(trace.sorted_keys(in_lua)) do
        show { kind = kind, name = key, help = in_lua[key].help }
      end
      return true
    end
  end
  return false
end

--- costate help THING: a topic; anything registered by that name, of whatever kind; or all of one kind.
function M.thing(name)
  if topics[name] then
    print(topics[name])
    return 0
  end
  if list(name) then return 0 end
  for kind, types in pairs(written_in_lua) do
    local type_ = types.find(name)
    if type_ then
      describe_lua(kind, type_)
      return 0
    end
  end
  local found, last = false, nil
  for _, kind in ipairs(kinds) do
    local e, message = core.find(kind, name)
    if e then
      describe(e)
      found = true
    else
      last = last or message
    end
  end
  if found then return 0 end
  io.stderr:write("costate: nothing is called '", name, "' (", tostring(last), ")\n")
  return 2
end

return M
