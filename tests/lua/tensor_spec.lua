-- SPDX-License-Identifier: GPL-3.0-or-later
local cs = require "costate"

describe("tensors", function()
  it("come from nested tables", function()
    local t = cs.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
    assert(#t == 2 and t.rank == 2 and t.count == 6 and t.dtype == "f64")
    assert(t.shape[1] == 2 and t.shape[2] == 3)
    assert(t:get(2, 3) == 6 and t[2][3] == 6)
    assert(cs.tensor(3).rank == 0 and cs.tensor(3):item() == 3)
    assert(cs.tensor({ 1, 2, dtype = "f32" }).dtype == "f32")
    assert(cs.tensor({ 1, 2 }, "i64").dtype == "i64")
  end)

  it("refuse what is not numbers", function()
    raises(function() cs.tensor { 1, "a" } end, "entries are numbers", "tensor_spec.lua")
    raises(function() cs.tensor { { 1, 2 }, { 3 } } end, "ragged")
    raises(function() cs.tensor { 1, dtyp = "f32" } end, "dtyp")
    raises(function() cs.tensor { 1.5, dtype = "i64" } end, "integers")
    raises(function() cs.zeros(-1) end, "bad argument")
    raises(function() cs.zeros(1 << 40, 1 << 40) end, "")
    raises(function() cs.tensor { 1, 2 } [1].x() end, "")
  end)

  it("come by rule", function()
    near(cs.linspace(0, 1, 5), { 0, 0.25, 0.5, 0.75, 1 })
    near(cs.arange(0, 1, 0.25), { 0, 0.25, 0.5, 0.75 })
    near(cs.iota(3), { 0, 1, 2 })
    near(cs.full(2.5, 2, 1), { { 2.5 }, { 2.5 } })
    assert(cs.ones { 2, 3 }:sum():item() == 6)
    assert(cs.index { 3, 1 }:totable()[1] == 2)
  end)

  it("have rows that are views", function()
    local t = cs.zeros(2, 2)
    t[1][2] = 5
    assert(t:get(1, 2) == 5)
    t[2] = cs.tensor { 7, 8 }
    near(t, { { 0, 5 }, { 7, 8 } })
    assert(t[3] == nil)
    local n = 0
    for _, row in ipairs(t) do n = n + row.count end
    assert(n == 4)
  end)

  it("keep their base alive", function()
    local row = cs.tensor { { 1, 2 }, { 3, 4 } }[2]
    collectgarbage()
    collectgarbage()
    near(row, { 3, 4 })
  end)

  it("print, compare, convert", function()
    assert(tostring(cs.tensor { 1, 2 }):find("f64 [2]", 1, true))
    assert(cs.tensor(1) < cs.tensor(2) and cs.tensor(1) <= 1)
    raises(function() return cs.tensor { 1, 2 } < cs.tensor { 2, 3 } end, "cs.lt")
    local back = cs.tensor { { 1, 2 }, { 3, 4 } }:totable()
    assert(back[2][1] == 3)
    raises(function() return cs.tensor({ 1, 2 }):item() end, "not one")
    raises(function() return #cs.tensor(1) end, "no length")
  end)

  it("know the mark of a batch", function()
    local t = cs.rows(cs.tensor { { 1, 2 }, { 3, 4 } })
    assert(t.rows and not cs.shared(t).rows and (t * 2).rows)
    assert(not t[1].rows)
    raises(function() return cs.rows(cs.ones(2, 2)) + cs.rows(cs.ones(3, 2)) end, "rows")
  end)
end)

describe("arithmetic", function()
  local a, b = cs.tensor { { 1, -2, 3 }, { 4, 5, -6 } }, cs.tensor { 0.5, 2, 4 }

  it("broadcasts", function()
    near(a + b, { { 1.5, 0, 7 }, { 4.5, 7, -2 } })
    near(2 - a, { { 1, 4, -1 }, { -2, -3, 8 } })
    near(a / 2, { { 0.5, -1, 1.5 }, { 2, 2.5, -3 } })
    raises(function() return a + cs.ones(2) end, "do not broadcast", "tensor_spec.lua")
    raises(function() return a + {} end, "tensor")
    raises(function() return a + "x" end, "")
  end)

  it("takes integer powers as products", function()
    near(a ^ 3, { { 1, -8, 27 }, { 64, 125, -216 } }, 0)
    near(a ^ -1, { { 1, -0.5, 1 / 3 }, { 0.25, 0.2, -1 / 6 } }, 1e-15)
    near(b ^ 0.5, { math.sqrt(0.5), math.sqrt(2), 2 }, 1e-15)
    near(2 ^ b, { 2 ^ 0.5, 4, 16 }, 1e-14)
    near(a ^ 0, { { 1, 1, 1 }, { 1, 1, 1 } })
  end)

  it("reduces", function()
    near(a:sum():item(), 5)
    near(a:mean(1), { 2.5, 1.5, -1.5 })
    near(a:max(-1), { 3, 5 })
    near(cs.min(a):item(), -6)
    near(a:sum({ 1, 2 }):item(), 5)
    assert(a:sum(2, true).rank == 2)
    raises(function() return a:sum(3) end, "no such axis")
  end)

  it("moves elements", function()
    near(a:transpose(), { { 1, 4 }, { -2, 5 }, { 3, -6 } })
    near(a:reshape(3, -1), { { 1, -2 }, { 3, 4 }, { 5, -6 } })
    near(a:slice(2, 2, 3), { { -2, 3 }, { 5, -6 } })
    near(a:slice(2, -1), { { 3 }, { -6 } })
    near(a:column(2), { -2, 5 })
    near(cs.stack { a:columns() }, a)
    near(cs.stack({ b, b }, 1), { { 0.5, 2, 4 }, { 0.5, 2, 4 } })
    near(cs.concat({ a, a }, 1):sum():item(), 10)
    near(a:take(cs.index { 3, 1 }, 2), { { 3, 1 }, { -6, 4 } })
    near(cs.matmul(a, cs.ones(3, 1)), { { 2 }, { 3 } })
    raises(function() return a:column(4) end, "no such column")
    raises(function() return a:reshape(4, 2) end, "reshape")
    raises(function() return cs.stack {} end, "joined")
  end)

  it("chooses", function()
    near(cs.where(cs.lt(a, 0), 0, a), { { 1, 0, 3 }, { 4, 5, 0 } })
    near(cs.ge(b, 2), { 0, 1, 1 })
    near(cs.maximum(a, 0):sum():item(), 13)
  end)

  it("takes numbers alone", function()
    assert(cs.exp(0.0) == 1 and cs.maximum(1, 2) == 2 and math.type(cs.tanh(0.5)) == "float")
  end)

  it("gives the same bits eagerly and traced", function()
    local f = function(x, y)
      local z = cs.tanh(x * y) + cs.exp(-(x ^ 2)) / (1 + cs.softplus(y))
      local w = cs.where(cs.lt(z, x), z * 3, cs.sin(x) - z)
      return w, (w * y):sum(2), cs.mean(cs.log(1 + w ^ 2)), cs.matmul(w, cs.transpose(x))
    end
    for _, dtype in ipairs { "f64", "f32" } do
      local rng = cs.rng(3)
      cs.dtype(dtype)
      local x, y = rng:normal(7, 5), rng:normal(5)
      local eager, traced = { f(x, y) }, { cs.compile(f)(x, y) }
      cs.dtype("f64")
      for i = 1, 4 do assert(eager[i]:near(traced[i], 0), dtype .. " " .. i) end
    end
  end)
end)

describe("near", function()
  it("is relative to what is larger than 1, absolute below", function()
    local function is_near(a, b, tolerance) return (cs.tensor { a }:near(cs.tensor { b }, tolerance)) end
    assert(is_near(1000.5, 1000, 1e-3) and not is_near(1000.5, 1000, 1e-4))
    assert(is_near(0.0005, 0, 1e-3) and not is_near(0.0005, 0, 1e-4))
    assert(is_near(1.9, 1, 1) and not is_near(2.1, 1, 1))
    assert(cs.tensor { 3, 3 }:near(3, 0))
  end)

  it("knows NaN, infinity and shapes, and tells the largest difference", function()
    local inf, nan = math.huge, 0 / 0
    assert(cs.tensor { inf, -inf }:near(cs.tensor { inf, -inf }))
    assert(not cs.tensor { inf }:near(cs.tensor { -inf }) and not cs.tensor { 1 }:near(inf))
    for _, pair in ipairs { { nan, nan }, { nan, 1 }, { 1, nan } } do
      assert(not cs.tensor { pair[1] }:near(cs.tensor { pair[2] }, inf))
    end
    local ok, worst = cs.tensor { 1, 5, 2 }:near(cs.tensor { 1, 2, 9 })
    assert(not ok and worst == 7)
    ok, worst = cs.tensor { nan, 5 }:near(cs.tensor { 1, 2 })
    assert(not ok and worst ~= worst)
    raises(function() cs.ones(2, 3):near(cs.ones(3, 2)) end, "[2, 3]", "[3, 2]")
    raises(function() cs.ones(2):near(cs.ones(2, 1)) end, "[2]", "[2, 1]")
  end)
end)

describe("random numbers", function()
  it("are functions of seed and stream", function()
    near(cs.rng(1):normal(5), cs.rng(1):normal(5), 0)
    assert(not cs.rng(1):normal(5):near(cs.rng(2):normal(5)))
    local p = cs.rng(5):permutation(50)
    local seen = {}
    for _, i in ipairs(p:totable()) do seen[i] = true end
    for i = 0, 49 do assert(seen[i]) end
    for _ = 1, 100 do
      local k = cs.rng(7):integer(6)
      assert(k >= 1 and k <= 6)
    end
  end)
end)

describe("json", function()
  it("keeps numbers to the bit", function()
    for _, x in ipairs { 0.1, 1 / 3, 1e300, -2.5e-7, 123456789.123 } do
      assert(cs.parse_json(cs.json({ x = x })).x == x)
    end
    assert(cs.json({ b = 1, a = { 1, 2, "x\n\"" } }) == '{"a": [1, 2, "x\\n\\""], "b": 1}')
    assert(cs.json(0 / 0) == "null")
    assert(cs.parse_json("{") == nil)
  end)
end)
