-- SPDX-License-Identifier: GPL-3.0-or-later
-- Models of several values are called as their signature says: "{h, c}, x -> {h, c}" takes a table and a
-- value and gives a table; inside, they take and give values one after another. The last arguments may be
-- optional, "t, x, c? -> y". A first argument t is a time.
local core = require "costate.core"

local M = {}

--- One side of a signature: a list of names, and of lists of the names in braces. `least` of them are needed.
local function side(text)
  local list, at = { least = 0 }, 1
  while at <= #text do
    local inner, next_ = text:match("^%s*{(.-)}%s*,?()", at)
    local mark
    if inner then
      local names = {}
      for name in inner:gmatch("[%w_]+") do names[#names + 1] = name end
      list[#list + 1], at = names, next_
    else
      list[#list + 1], mark, at = text:match("^%s*([%w_]+)(%??)%s*,?()", at)
    end
    if mark ~= "?" then list.least = #list end
  end
  return list
end

--- How many arguments are given, without nils for those that may be left out.
local function count(model, wanted, given)
  local n = given.n
  while n > wanted.least and given[n] == nil do n = n - 1 end
  if n >= wanted.least and n <= #wanted then return n end
  local takes = wanted.least == #wanted and "" or wanted.least .. " or "
  core.fail(("%s takes %s%d arguments, got %d"):format(model, takes, #wanted, given.n))
end

--- The values that the arguments hold, in order.
local function flat(model, wanted, ...)
  local given, out = table.pack(...), {}
  for i = 1, count(model, wanted, given) do
    local names, x = wanted[i], given[i]
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

--- Whether the first argument is a time: such a model is a field of t and y.
function M.takes_time(signature)
  return signature ~= nil and side(signature:match("^(.-)%->"))[1] == "t"
end

--- f(values...) as a function that is called as the signature says.
function M.wrap(model, signature, f)
  local left, right = signature:match("^(.-)%->(.*)$")
  local wanted, form = side(left), side(right)
  return function(...) return packed(form, f(table.unpack(flat(model, wanted, ...)))) end
end

return M
