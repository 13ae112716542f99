-- SPDX-License-Identifier: GPL-3.0-or-later
-- What a script may do wrong: an error that says so, and nothing left behind.
local cs = require "costate"

local x = cs.ones(2, 3)
local T = { 0, 1 }

local function train(given)
  local p = cs.parameters { a = 1 }
  local t = { parameters = p, optimizer = cs.optim.sgd { lr = 0.1 }, steps = 3, quiet = true,
    loss = function() return p.a ^ 2 end }
  for k, v in pairs(given) do t[k] = v end
  return cs.train(t)
end

describe("the flat vector of a model", function()
  local net = cs.nn.mlp { 2, 3, 1, activation = "tanh" }
  local v = cs.ones(4, 2)
  local alias = net.flat
  local whole = function() return net(v):sum() + (net.flat ^ 2):sum() + alias:sum() end
  local parts = function()
    local s = net(v):sum()
    for _, w in pairs(net.parameters) do s = s + (w ^ 2):sum() + w:sum() end
    return s
  end

  it("has a gradient, as its parts have", function()
    near(cs.grad(whole)(net), cs.grad(parts)(net), 1e-14)
    near(cs.hvp(whole)(net, cs.ones(#net)), cs.hvp(parts)(net, cs.ones(#net)), 1e-14)
    local _, a = cs.jvp(whole)({}, {})
    local _, b = cs.jvp(function(m) return m and whole() end)({ net }, { cs.ones(#net) })
    assert(a:item() == 0)
    near(b:item(), cs.grad(parts)(net):sum():item(), 1e-13)
  end)

  it("trains, and passes the check", function()
    local function losses(f)
      local start, list = net.flat:clone(), {}
      cs.train { parameters = net, optimizer = cs.optim.sgd { lr = 0.01 }, steps = 5, quiet = true, loss = f,
        every = { [1] = function(run) list[#list + 1] = run.loss end } }
      net.flat:copy(start)
      return list
    end
    local a, b = losses(whole), losses(parts)
    for i = 1, 5 do near(a[i], b[i], 1e-13) end
    assert(require("costate.check").training({ loss = whole, models = { net } }).ok)
  end)

  it("cannot be replaced", function()
    raises(function() net.flat = cs.zeros(#net) end, "'flat'", "copy(x)")
    raises(function() net.parameters = {} end, "'parameters'")
    local p = cs.parameters { a = 1, b = { 1, 2 } }
    assert(#p == 3 and p.flat.count == 3 and p.parameters.b.count == 2)
  end)
end)

describe("training refuses", function()
  it("numbers that make no sense", function()
    raises(function() train { clip = -1 } end, "'clip'", "positive", "-1", "misuse_spec.lua")
    raises(function() train { clip = 0 / 0 } end, "'clip'")
    raises(function() train { validate_every = 0, validate = function() return 1 end } end, "'validate_every'")
    raises(function() train { log_every = 0 } end, "'log_every'")
    raises(function() train { steps = -1 } end, "negative")
    raises(function() train { steps = 1.5 } end, "must be an integer, got 1.5")
    raises(function() train { stop = { patience = 1 } } end, "needs 'validate'")
    raises(function() train { schedule = function() return 0 / 0 end } end, "finite", "step 1")
    raises(function() train { schedule = function() return -1 end } end, "negative")
    raises(function() train { optimizer = cs.optim.sgd { lr = 0 }, schedule = function() return 1 end } end, "lr")
  end)

  it("a loss that nothing can be learnt from", function()
    local q = cs.parameters { a = 1 }
    raises(function() train { loss = function() return q.a ^ 2 end } end, "does not depend", "misuse_spec.lua")
    raises(function() train { parameters = q, loss = function() return q.a, { n = "s" } end } end, "'n'", "a string")
    raises(function() train { parameters = q, loss = function() return q.a, { n = cs.ones(3) * q.a } end } end, "[3]")
    raises(function() train { parameters = q, loss = function() return q.a, { q.a } end } end, "'1'")
    raises(function() train { parameters = q, loss = function() return q.a, { step = q.a } end } end, "'step'")
    raises(function() train { parameters = q, loss = function() return q.a, q.a end } end, "table of named numbers")
    raises(function() train { batch = function() local t = {}; t.t = t; return t end } end, "contain itself")
  end)

  it("to update a model twice", function()
    local p = cs.parameters { a = 1 }
    train { parameters = { p, { p } }, steps = 1, loss = function() return p.a ^ 2 end }
    near(p.a:item(), 0.8, 1e-15)
  end)

  it("to take one kind of batch for another", function()
    local p, k, seen = cs.parameters { a = 1 }, 0, {}
    train { parameters = p, optimizer = cs.optim.sgd { lr = 0 }, steps = 4,
      batch = function()
        k = k + 1
        return { x = cs.ones(2), how = k % 2 == 0 and "n" or nil, s = k > 2 and "b" or "a" }
      end,
      loss = function(b) return p.a * (b.how and 10 or 1) * (b.s == "b" and 3 or 1) end,
      every = { [1] = function(run) seen[#seen + 1] = run.loss end } }
    for i, want in ipairs { 1, 10, 3, 30 } do near(seen[i], want) end
  end)
end)

describe("a traced function", function()
  it("cannot yield, so it leaves no trace open", function()
    local f = cs.ode { field = function(_, y) coroutine.yield(1); return y end }
    raises(coroutine.wrap(function() return f({ 1 }, T) end), "attempt to yield")
    assert(not cs.is_traced())
    local g = cs.compile(function(v)
      local s = 0
      for w in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(v * i) end end) do s = s + w end
      return s
    end)
    near(g(x), x * 6)
  end)

  it("may have arguments that are nil", function()
    near(cs.compile(function(a, b, c) return b == nil and a + c end)(x, nil, x), x * 2)
  end)

  it("keeps its values inside", function()
    local leak
    local f = cs.ode { field = function(_, y) leak = y; return y end }
    f({ 1 }, T)
    raises(function() f(leak, T) end, "trace that has ended")
  end)

  it("takes tangents like its arguments", function()
    local sum = function(v) return v:sum() end
    raises(function() cs.jvp(sum)({ x }, { cs.ones(5) }) end, "[5]", "[2, 3]")
    raises(function() cs.jvp(sum)({ x }) end, "two lists")
    raises(function() cs.jvp(function(a, b) return (a * b):sum() end)({ x, x }, { x }) end, "argument 2")
    raises(function() cs.hvp(sum)(x) end, "no tangent for argument 1")
    local net = cs.nn.mlp { 2, 1 }
    raises(function() cs.hvp(function() return net(cs.ones(1, 2)):sum() end)(net, cs.ones(1)) end, "[1]", "[3]")
  end)
end)

describe("a flow", function()
  it("is not its own field", function()
    local f
    f = cs.ode { field = function(_, y) return f(y, T):slice(1, 1, 1) end }
    raises(function() f({ 1 }, T) end, "inside its own field")
    raises(function() f({ 1 }, T) end, "inside its own field")
  end)

  it("knows the names of its parts", function()
    local f = cs.ode { field = function(_, s) return { a = s.a, c = s.a } end }
    raises(function() f({ a = { 1 } }, T) end, "'c'", "what the field returned")
    f = cs.ode { field = function(_, s) return s end, parts = { q = "quadrature" } }
    raises(function() f({ a = { 1 } }, T) end, "'q'", "parts")
    f = cs.ode { field = function(_, s) return s.a end }
    raises(function() f({ a = { 1 } }, T) end, "a table of derivatives")
  end)

  it("takes a model as its field, and a shape or a type that fits", function()
    local net = cs.nn.mlp { 2, 3, 2 }
    near(cs.ode { field = net }({ 1, 2 }, T), cs.ode { field = function(_, y) return net(y) end }({ 1, 2 }, T), 0)
    raises(function() cs.ode { field = function() return cs.ones(5) end }({ 1, 2 }, T) end, "the field returned shape [5]")
    local old = cs.dtype()
    cs.dtype("f32")
    local ok, y = pcall(cs.ode { field = function(t) return t end }, { 1 }, T)
    cs.dtype(old)
    assert(ok, y)
    near(y[2]:item(), 1.5, 1e-6)
  end)

  it("cannot be changed", function()
    local f = cs.ode { field = function(_, y) return y end }
    raises(function() f.rtol = 1 end, "'rtol'", "flow:with")
    raises(function() f:with() end, "table of changed options")
    raises(function() cs.ode { field = 3 } end, "a function, got 3")
  end)
end)

describe("preparing", function()
  it("parameters", function()
    raises(function() cs.parameters() end, "one table")
    raises(function() cs.parameters { a = 0 / 0, positive = true } end, "starts at")
    raises(function() cs.parameters { a = 1, positive = { "b" } } end, "'b'")
    raises(function() cs.parameters { a = 1, positive = "sqrt" } end, "sqrt", "softplus")
    raises(function() cs.parameters { flat = 1 } end, "'flat'")
    cs.register.model { name = "misuse.shape", parameters = function() return { W = { shape = { -2 } } } end,
      build = function(_, _, v) return v end }
    raises(function() cs.model "misuse.shape" {} end, "'W'", "positive integers")
  end)

  it("data", function()
    local d, rng = cs.dataset "cubic_spiral" { points = 10 }, cs.rng(0)
    raises(function() d:windows(rng, 100, 5) end, "6 windows", "100", "misuse_spec.lua")
    raises(function() d:windows(5, 5) end, "generator first")
    raises(function() d:windows(rng, 5) end, "positive integers")
    raises(function() d:split { test = 2 } end, "between 0 and 1")
    cs.register.dataset { name = "misuse.rows", build = function() return { y = cs.rows(cs.ones(3, 1)) } end }
    local r = cs.dataset "misuse.rows" {}
    raises(function() r:draw(rng, 4) end, "3 rows")
    raises(function() r:batches { size = 0 } end, "'size'")
    local path = os.tmpname()
    local file <close> = io.open(path, "w")
    file:write("t,a,b\n0,1,2\n1,3,4\n"):flush()
    near(cs.dataset "csv" { path = path, time = "t", columns = { "b", "a" } }.y, { { 2, 1 }, { 4, 3 } })
    os.remove(path)
    cs.register.dataset { name = "misuse.none", build = function() end }
    raises(function() cs.dataset "misuse.none" {} end, "must return a table")
  end)

  it("scans, draws and printing", function()
    local add = function(c, v) return c + v end
    raises(function() cs.scan(add, 0, {}) end, "to go along")
    raises(function() cs.scan(add, 0, cs.ones(3), { axis = 0 }) end, "counts from 1")
    raises(function() cs.random.normal({ 2 }, { row = true }) end, "did you mean 'rows'?")
    assert(#cs.explain(cs.nn.mlp { 2, 1 }, cs.ones(1, 2)) > 0)
    raises(function() return x:take(cs.index { 3 }) end, "position 3", "length 2")
    near(x:take(cs.index { 3 }, 2), { { 1 }, { 1 } })
    local deep = cs.zeros { 1, 1, 1, 1, 1, 1, 1, 1 }
    raises(function() return cs.stack { deep, deep } end, "more than 8 axes")
  end)
end)

describe("an argument too many", function()
  local a, y = cs.tensor { { 4, 1 }, { 1, 3 } }, cs.tensor { 1, 2 }
  local flow = cs.ode { field = function(_, z) return -z end }
  local square = function(z) return z ^ 2 end

  it("is refused where it would be ignored", function()
    local list = {
      function() cs.linalg.cholesky(a, { upper = true }) end,
      function() cs.linalg.solve(a, y, {}, true) end,
      function() cs.linalg.solve_lower(a, y, nil, true) end,
      function() cs.linalg.solve_banded(a, y, { lower = 1, upper = 0 }, true) end,
      function() cs.linalg.solve_tridiagonal({ 1 }, y, { 1 }, y, {}, 1) end,
      function() cs.linalg.lstsq(a, y, {}, 1) end,
      function() cs.jacobian(square, { mode = "reverse" }) end,
      function() cs.jacobian(square)(y, y) end,
      function() cs.compile(function(z) return cs.jacobian(square)(z, z) end)(y) end,
      function() cs.grad(square, 1) end,
      function() cs.jvp(square)({ y }, { y }, y) end,
      function() cs.hvp(square)(y, y, y) end,
      function() flow:map(0, 1, 2) end,
      function() flow:map(0, 1)(y, { 0, 5 }) end,
      function() flow(y, { 0, 1 }, 2) end,
      function() flow:solve(y, { 0, 1 }, 2) end,
    }
    for _, f in ipairs(list) do raises(f, "takes no more") end
  end)

  it("is no harm when it is nil", function() near(flow:map(0, 0)(y, nil), y, 0) end)

  it("was an option of a tridiagonal system: it is one", function()
    local b = cs.tensor { 1, 2, 3 }
    local dense = cs.tensor { { 4, 1, 0 }, { 5, 3, 2 }, { 0, 1, 6 } }
    near(cs.linalg.solve_tridiagonal({ 5, 1 }, { 4, 3, 6 }, { 1, 2 }, b, { transposed = true }),
      cs.linalg.solve(dense, b, { transposed = true }), 1e-14)
    near(cs.linalg.solve_tridiagonal({ 5, 1 }, { 4, 3, 6 }, { 1, 2 }, b, {}), cs.linalg.solve(dense, b), 1e-14)
    raises(function() cs.linalg.solve_tridiagonal({ 5, 1 }, { 4, 3, 6 }, { 1, 2 }, b, { transpose = true }) end, "transposed")
  end)
end)

describe("the float type of a run", function()
  local function in_f32(f)
    cs.dtype "f32"
    local ok, e = pcall(f)
    cs.dtype "f64"
    assert(ok, e)
  end

  it("is that of every state, whatever it was made of", function()
    in_f32(function()
      local flow = cs.ode { field = function(_, y) return -y end }
      for _, y0 in ipairs { cs.linspace(1, 2, 2), cs.rows(cs.tensor({ { 1, 2 }, { 3, 4 } }, "f64")), cs.iota(3):cast "i64" } do
        local y = flow:map(0, 1)(y0)
        assert(y.dtype == "f32" and y.rows == y0.rows)
        near(y:cast "f64", y0:cast "f64" * math.exp(-1), 1e-5)
      end
      local y0 = cs.rows(cs.tensor({ { 1, 2 }, { 3, 4 } }, "f64"))
      near(cs.grad(function(y) return flow:map(0, 1)(y):sum() end)(y0), cs.full_like(y0, math.exp(-1)), 1e-5)
      local function parts(_, s) return { a = -s.a, b = s.a } end
      local s = cs.ode { field = parts }:map(0, 1) { a = y0, b = cs.rows(cs.zeros(2, 2)) }
      assert(s.a.dtype == "f32" and s.b.dtype == "f32")
    end)
  end)

  it("bounds what tolerances can ask for", function()
    local field = function(_, y) return -y end
    raises(function() cs.ode { field = field, rtol = 1e-16 }({ 1 }, T) end, "rtol 1e-16", "f64 resolves")
    in_f32(function()
      local function fast(t, y) return 1e6 * cs.cos(1e6 * t) - y end
      local sol = cs.ode { field = fast, rtol = 1e-12, atol = 1e-15 }:solve({ 1 }, T)
      assert(sol.status ~= "ok" and sol.message:find("below what the float type resolves", 1, true), sol.message)
    end)
  end)
end)
