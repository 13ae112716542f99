-- SPDX-License-Identifier: GPL-3.0-or-later
local cs = require "costate"

local x = cs.tensor { { 1, 2, 3 }, { 4, 5, 6 } }

describe("derivatives", function()
  it("of powers are exact", function()
    near(cs.grad(function(v) return (v ^ 3):sum() end)(x), (x ^ 2) * 3, 1e-15)
  end)

  it("by several arguments, tables and numbers", function()
    local v, g, ga = cs.value_and_grad(function(p, a) return (p.x * p.y):sum() * a end)({ x = x, y = x }, 2.0)
    near(v:item(), 182)
    near(g.x, x * 2)
    near(ga:item(), 91)
  end)

  it("forward and second order", function()
    local y, dot = cs.jvp(function(v) return (v ^ 2):sum() end)({ x }, { cs.ones(2, 3) })
    near(y:item(), 91)
    near(dot:item(), 42)
    near(cs.hvp(function(v) return (v ^ 3):sum() end)(x, cs.ones(2, 3)), x * 6)
  end)

  it("by the parameters of a model, against differences", function()
    local net = cs.nn.mlp { 3, 4, 1, activation = "tanh" }
    local loss = function() return cs.mean(net(x) ^ 2) end
    local g = cs.grad(loss)(net)
    local hv = cs.hvp(loss)(net, cs.ones(#net))
    local before, h = net.flat:clone(), 1e-5
    for i = 1, #net, 5 do
      local function at(d) net.flat:copy(before); net.flat[i] = before[i] + d; return loss():item() end
      near(g[i], (at(h) - at(-h)) / (2 * h), 1e-7)
    end
    local function shifted(d) net.flat:copy(before + d); return cs.grad(loss)(net) end
    near(hv, (shifted(h) - shifted(-h)) / (2 * h), 1e-6)
    net.flat:copy(before)
  end)

  it("nest inside a function", function()
    local H = function(v) return (v ^ 4):sum() end
    near(cs.grad(function(v) return (cs.grad(H)(v) ^ 2):sum() end)(x), (x ^ 5) * 96, 1e-13)
  end)
end)

describe("traced values", function()
  it("explain what they cannot do", function()
    cs.compile(function(v)
      raises(function() return v:sum() < 1 end, "cs.where")
      raises(function() return v == v * 2 end, "cs.where")
      raises(function() return v:item() end, "no numbers yet")
      raises(function() v[1] = 2 end, "cannot be written")
      assert(tostring(v * 2):find("trace_spec.lua", 1, true))
      assert(#v == 2 and v.shape[2] == 3 and v.dtype == "f64")
      return v
    end)(x)
  end)

  it("name the line of a misfit", function()
    raises(function() cs.compile(function(v) return v + cs.ones(2) end)(x) end, "trace_spec.lua:", "'add'")
  end)

  it("cannot leave their trace", function()
    local leak
    cs.compile(function(v) leak = v; return v end)(x)
    raises(function() return leak + 1 end, "ended")
    raises(function() cs.compile(function(v) return v + leak end)(x) end, "ended")
    collectgarbage()
    assert(tostring(leak))
  end)

  it("leave no trace open after an error", function()
    for _, e in ipairs { "text", {}, 42 } do
      pcall(cs.compile(function() error(e) end), x)
      assert(not cs.is_traced())
    end
    near(x + 1, x + 1)
  end)

  it("see writes to captured tensors", function()
    local k = cs.tensor(2)
    local f = cs.compile(function(v) return v * k end)
    near(f(x), x * 2)
    k:fill(3)
    near(f(x), x * 3)
  end)
end)

describe("what a trace may freeze", function()
  it("an upvalue that changed is recorded again or refused", function()
    local k = 2
    local f = cs.compile(function(v) return v * k end)
    near(f(x), x * 2)
    k = 3
    raises(function() return f(x) end, "'k'", "was 2", "is 3 now", "run.step", "trace_spec.lua")
  end)

  it("one that does not matter is let go", function()
    local unused = 1
    local f = cs.compile(function(v) local _ = unused; return v * 2 end)
    for i = 1, 5 do
      unused = i
      near(f(x), x * 2)
    end
  end)

  it("table fields and functions inside are seen", function()
    local o = { k = 1 }
    local inner = function(v) return v * o.k end
    local f = cs.compile(function(v) return inner(v) end)
    f(x)
    o.k = 2
    raises(function() return f(x) end, "o.k")
  end)

  it("hidden changes are found by recording again", function()
    local n = setmetatable({}, { __index = (function() local c = 0; return function() c = c + 1; return c end end)() })
    local f = cs.compile(function(v) return v * n.next end)
    f(x)
    raises(function() f(x) end, "recorded again", "trace_spec.lua")
  end)
end)

describe("scan", function()
  local v = cs.tensor { 1, 2, 3, 4 }
  it("carries and stacks", function()
    local c, y = cs.scan(function(c, a) return c + a, c * a end, cs.tensor(0.5), v)
    near(c:item(), 10.5)
    near(y, { 0.5, 3, 10.5, 26 })
    local r = cs.scan(function(c2, a) return c2 * 0.5 + a end, cs.tensor(0), v, { reverse = true })
    near(r:item(), 1 + 0.5 * (2 + 0.5 * (3 + 0.5 * 4)))
  end)
  it("has a gradient", function()
    near(cs.grad(function(z) return (cs.scan(function(c, a) return c * a end, cs.tensor(1.0), z)) end)(v), { 24, 12, 8, 6 })
  end)
  it("stops rows at their lengths", function()
    local xs = cs.rows(cs.tensor { { 1, 2, 3 }, { 4, 5, 6 } })
    local c, y = cs.scan(function(c, a) return c + a, c end, cs.rows(cs.zeros(2)), xs,
      { lengths = cs.rows(cs.tensor { 2, 3 }) })
    near(c, { 3, 15 })
    near(y, { { 0, 1, 0 }, { 0, 4, 9 } })
  end)
end)
