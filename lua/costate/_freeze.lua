-- SPDX-License-Identifier: GPL-3.0-or-later
-- What a recording would freeze: numbers, booleans and strings that the traced functions take from
-- around them. They are noted when a function is recorded and compared before every use.
local core = require "costate.core"

local M = {}

local MAX_ENTRIES <const> = 2000
local scalar = { number = true, boolean = true, string = true }

local own = debug.getinfo(1, "S").source:match("^(.*[/\\])")

local function is_own(f)
  local info = debug.getinfo(f, "S")
  return info.what == "C" or info.source:sub(1, #own) == own
end

local walk

--- Scalars of a plain table that a function holds, and functions in it.
local function walk_table(list, seen, t, name, owner, env)
  if seen[t] or getmetatable(t) then return end
  seen[t] = true
  local n = 0
  for k, v in next, t do
    n = n + 1
    if n > 200 then return end
    if type(k) == "string" and scalar[type(v)] then
      list[#list + 1] = { t = t, key = k, value = v, name = env and k or name .. "." .. k, owner = owner }
    elseif type(v) == "function" and not (env and is_own(v)) then
      walk(list, seen, v)
    end
  end
end

function walk(list, seen, f)
  if seen[f] or is_own(f) or #list > MAX_ENTRIES then return end
  seen[f] = true
  for i = 1, 255 do
    local name, v = debug.getupvalue(f, i)
    if not name then break end
    if scalar[type(v)] then
      list[#list + 1] = { f = f, index = i, value = v, name = name, owner = f }
    elseif type(v) == "function" then
      walk(list, seen, v)
    elseif type(v) == "table" and v ~= package.loaded then
      walk_table(list, seen, v, name, f, name == "_ENV")
    end
  end
end

--- A list of what the functions captured, with values.
function M.snapshot(...)
  local list, seen = {}, { [package.loaded] = true, [_G] = nil }
  for name, lib in pairs(package.loaded) do
    if type(lib) == "table" and name ~= "_G" then seen[lib] = true end
  end
  for _, f in ipairs { ... } do
    if type(f) == "function" then walk(list, seen, f) end
  end
  return list
end

--- The first entry whose value is another now, or nil; with it, the value now.
function M.changed(list)
  local getupvalue = debug.getupvalue
  for i = 1, #list do
    local e = list[i]
    local now
    if e.f then
      local _, v = getupvalue(e.f, e.index)
      now = v
    else
      now = e.t[e.key]
    end
    if now ~= e.value and not (now ~= now and e.value ~= e.value) then return e, now end
  end
end

local function show(x) return type(x) == "string" and ("%q"):format(x) or tostring(x) end

--- Raises: recording again gave another graph.
function M.complain(what, entry, now, was, is, where)
  local cause
  if entry then
    local info = debug.getinfo(entry.owner, "S")
    cause = ("'%s', used in the function at %s:%d, was %s when it was recorded and is %s now"):format(
      entry.name, info.short_src, info.linedefined, show(entry.value), show(now))
  else
    cause = ("recorded again it has %s where it had %s"):format(tostring(is), tostring(was))
  end
  error(("%s%s changes from one step to the next: %s. A recorded function keeps what it saw. Use "
    .. "run.step or run.epoch, cs.schedule, or pass the number as an argument or in the batch; "
    .. "random numbers come from cs.random"):format(where and where .. ": " or "", what, cause), 0)
end

--- Keeps a recording honest. make() records anew -> { fn =, captures =, ... }.
--- guard:get() gives the recording to use now.
local Guard = {}
Guard.__index = Guard

function M.guard(what, functions, make, equal)
  return setmetatable({ what = what, functions = functions, make = make, equal = equal, uses = 0,
    next = 2 }, Guard)
end

function Guard:again(entry, now)
  local new = self.make()
  local same, was, is, where = self.equal(self.recording, new)
  if not same then M.complain(self.what, entry, now, was, is, where or core.place()) end
  self.list = M.snapshot(table.unpack(self.functions))
end

function Guard:get()
  self.uses = self.uses + 1
  if not self.recording then
    self.list = M.snapshot(table.unpack(self.functions))
    self.recording = self.make()
    return self.recording
  end
  local entry, now = M.changed(self.list)
  if entry then
    self:again(entry, now)
  elseif self.uses == self.next then
    self:again()
  end
  if self.uses >= self.next then self.next = self.next * 2 end
  return self.recording
end

return M
