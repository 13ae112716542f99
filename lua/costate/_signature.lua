-- SPDX-License-Identifier: GPL-3.0-or-later
-- Models of several values are called as their signature says: "{h, c}, x -> {h, c}" takes a table and a
-- value and gives a table; inside, they take and give values one after another.
local core = require "costate.core"

local M = {}

--- One side of a signature: a list of names, and of lists of the names in braces.
local function side(text)
  local list, at = {}, 1
  while at <= #text do
    local inner, next_ = text:match("^%s*{(.-)}%s*,?()", at)
    if inner then
      local names = {}
      for name in inner:gmatch("[%w_]+") do names[#names + 1] = name end
      list[#list + 1], at = names, next_
    else
      list[#list + 1], at = text:match("^%s*([%w_]+)%s*,?()", at)
    end
  end
  return list
end

--- The values that the arguments hold, in order.
local function flat(model, wanted, ...)
  local given, out = { ... }, {}
  if select("#", ...) ~= #wanted then
    core.fail(("%s takes %d arguments, got %d"):format(model, #wanted, select("#", ...)))
  end
  for i, names in ipairs(wanted) do
    local x = given[i]
    if type(names) == "string" then
      out[#out + 1] = x
    elseif type(x) ~= "table" or getmetatable(x) then
      core.fail(("argument %d of %s is a table of %s"):format(i, model, table.concat(names, ", ")))
    else
      for _, name in ipairs(names) do
        if x[name] == nil then core.fail(("argument %d of %s lacks '%s'"):format(i, model, name)) end
        out[#out + 1] = x[name]
      end
    end
  end
  return out
end

local function packed(form, ...)
  if type(form[1]) == "string" then return ... end
  local t = {}
  for i, name in ipairs(form[1]) do t[name] = select(i, ...) end
  return t
end

--- f(values...) as a function that is called as the signature says.
function M.wrap(model, signature, f)
  local left, right = signature:match("^(.-)%->(.*)$")
  local wanted, form = side(left), side(right)
  return function(...) return packed(form, f(table.unpack(flat(model, wanted, ...)))) end
end

return M
