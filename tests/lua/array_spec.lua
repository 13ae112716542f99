-- SPDX-License-Identifier: GPL-3.0-or-later
-- Matrices and vectors as tables of numbers and values: what they mean, and what is refused.
local cs = require "costate"
local solve = cs.linalg.solve

describe("a table of numbers and values", function()
  local a = cs.tensor(2)

  it("is the array that it looks like", function()
    near(solve({ { a, 1 }, { 0, a } }, { 1, 2 }), solve({ { 2, 1 }, { 0, 2 } }, { 1, 2 }), 0)
    local row = cs.tensor { 2, 1 }
    near(solve({ row, { 0, 2 } }, { 1, 2 }), solve({ { 2, 1 }, { 0, 2 } }, { 1, 2 }), 0)
    near(solve({ row, cs.tensor { 0, 2 } }, { 1, 2 }), solve({ { 2, 1 }, { 0, 2 } }, { 1, 2 }), 0)
    local each = solve({ { cs.rows { 2, 4 }, 1 }, { 0, a } }, { 1, 2 })
    assert(each.rows)
    near(each[2], solve({ { 4, 1 }, { 0, 2 } }, { 1, 2 }), 0)
  end)

  it("is refused when a name in it is nil, wherever that stands", function()
    local names = {}
    raises(function() solve({ { a, names.missing }, { 1, 3 } }, { 1, 2 }) end, "argument 1 of linalg.solve is ragged",
      "[1]", "[2]")
    raises(function() solve({ { a, 1 }, { names.missing, 3 } }, { 1, 2 }) end, "lacks entry 1 of 2")
    raises(function() solve({ { a, 1, 0 }, { 1, names.missing, 3 }, { 0, 0, 1 } }, { 1, 2, 3 }) end, "lacks entry 2 of 3")
    raises(function() solve({ { names.missing, 1 }, { a, 3 } }, { 1, 2 }) end, "lacks entry 1 of 2")
    raises(function() cs.linalg.cholesky { { a, names.missing }, { 0.5, 4 } } end, "linalg.cholesky is ragged")
    raises(function() cs.grad(function(k) return solve({ { k, names.missing }, { 1, 3 } }, { 1, 2 }):sum() end)(a) end, "ragged")
  end)

  it("is refused when its entries are of several shapes", function()
    raises(function() cs.linalg.cholesky { { a, 0 }, { 4 } } end, "ragged")
    raises(function() solve({ { a, 1 }, 5 }, { 1, 2 }) end, "ragged", "entry 2 is a number")
    raises(function() solve({ { a, {} }, { 1, 2 } }, { 1, 2 }) end, "empty table")
    raises(function() solve({ { a, "1" }, { 1, 2 } }, { 1, 2 }) end, "string")
    raises(function() solve({ { a, x = 1 }, { 1, 2 } }, { 1, 2 }) end, "key 'x'")
  end)

  it("cannot contain itself", function()
    for _, other in ipairs { 1, a } do
      local t = { other, 2 }
      t[2] = t
      raises(function() solve(t, { 1, 2 }) end, "contain itself")
    end
  end)
end)
