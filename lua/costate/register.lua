-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.register: what a script adds to the registry, one function a kind.
local core = require "costate.core"
local options = require "costate._options"

local M = {
  model = require("costate.model").register,
  loss = require("costate.loss").register,
  dataset = require("costate.dataset").register,
}

--- The numbers of a list of rows one after another; row i must have width(i) of them.
local function flatten(rows, what, width)
  local out = {}
  for i, row in ipairs(rows) do
    if type(row) ~= "table" then core.fail(("row %d of '%s' of register.tableau is a %s"):format(i, what, type(row))) end
    if #row ~= width(i) then
      core.fail(("row %d of '%s' of register.tableau has length %d, it needs %d"):format(i, what, #row, width(i)))
    end
    table.move(row, 1, #row, #out + 1, out)
  end
  return out
end

local function expect_rows(rows, what, n)
  if #rows == n then return end
  core.fail(("'%s' of register.tableau has %d rows, it needs %d"):format(what, #rows, n))
end

--- cs.register.tableau { name = "mine.heun3", order = 3, a = { { 1/3 }, { 0, 2/3 } },
--- b = { 1/4, 0, 3/4 }, e = b - b_hat, error_order = 2, help = "..." }: an explicit Runge-Kutta
--- method, usable at once as solver = "mine.heun3". It is checked against its order conditions.
function M.tableau(given)
  local t = options.check("register.tableau", given, { name = "string!", help = "string", order = "integer!",
    a = "table", b = "table!", e = "table", error_order = "integer", e_low = "table", error_order_low = "integer",
    p = "table", dense_order = "integer", a_dense = "table" })
  t.stages = #t.b
  t.a = t.a or {}
  expect_rows(t.a, "a", math.max(t.stages - 1, 0))
  t.a = flatten(t.a, "a", function(i) return i end)
  if t.a_dense then
    t.dense_stages = #t.a_dense
    t.a_dense = flatten(t.a_dense, "a_dense", function(i) return t.stages + i - 1 end)
  end
  if t.p then
    expect_rows(t.p, "p", t.stages + (t.dense_stages or 0))
    t.dense_degree = type(t.p[1]) == "table" and #t.p[1] or 0
    t.p = flatten(t.p, "p", function() return t.dense_degree end)
  end
  core.register_tableau(t)
end

return M
