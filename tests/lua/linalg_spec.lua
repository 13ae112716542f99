-- SPDX-License-Identifier: GPL-3.0-or-later
-- Linear systems against their residuals and dense references; Jacobians and implicit functions against closed
-- forms and differences. That every op differentiates, twice, in every mixture of rows, is in test_autodiff.c.
local cs = require "costate"
local linalg = cs.linalg

local rng = cs.rng(7)
local function normal(...) return rng:normal { ... } end
local function identity(n)
  local e = cs.zeros(n, n)
  for i = 1, n do e:set(i, i, 1) end
  return e
end
local function worst(x) return cs.abs(x):max():item() end

--- bands as the dense matrix they mean.
local function dense(bands, lower)
  local p, n = bands.shape[1], bands.shape[2]
  local a = cs.zeros(n, n)
  for r = 1, p do
    for i = 1, n do
      local j = i + r - 1 - lower
      if j >= 1 and j <= n then a:set(i, j, bands:get(r, i)) end
    end
  end
  return a
end

describe("linear systems", function()
  for _, n in ipairs { 1, 2, 7, 33, 100 } do
    it(("of %d unknowns leave a residual of rounding"):format(n), function()
      local a, b = normal(n, n), normal(n, 3)
      for _, transposed in ipairs { false, true } do
        local x = linalg.solve(a, b, { transposed = transposed })
        local at = transposed and a:transpose() or a
        assert(worst(cs.bmm(at, x) - b) < 1e-14 * n * worst(a) * (1 + worst(x)))
      end
      local s = cs.bmm(a, a, false, true) + identity(n)
      local l = linalg.cholesky(s)
      assert(worst(cs.bmm(l, l, false, true) - s) < 1e-14 * n * worst(s))
      near(linalg.solve_lower(l, linalg.solve_lower(l, b), { transposed = true }), linalg.solve(s, b), 1e-10)
    end)
  end

  it("with bands are the dense ones", function()
    for _, w in ipairs { { 0, 0 }, { 1, 1 }, { 2, 0 }, { 0, 3 }, { 3, 1 }, { 2, 4 } } do
      local lower, upper, n = w[1], w[2], 12
      local bands, b = normal(lower + upper + 1, n), normal(n, 2) -- not dominant: pivoting is needed
      for _, transposed in ipairs { false, true } do
        local x = linalg.solve_banded(bands, b, { lower = lower, upper = upper, transposed = transposed })
        local y = linalg.solve(dense(bands, lower), b, { transposed = transposed })
        assert(worst(x - y) < 1e-9 * (1 + worst(y)), ("bands %d, %d: %g"):format(lower, upper, worst(x - y)))
      end
    end
    local low, main, up, b = normal(8), normal(9), normal(8), normal(9)
    local bands = cs.stack({ cs.pad(low, 1, 1, 0), main, cs.pad(up, 1, 0, 1) }, 1)
    near(linalg.solve_tridiagonal(low, main, up, b), linalg.solve(dense(bands, 1), b), 1e-9)
  end)

  it("least squares meet the normal equations, and a ridge adds to them", function()
    local a, b = normal(9, 4), normal(9)
    local function normal_equations(ridge)
      local x = linalg.lstsq(a, b, { ridge = ridge })
      local r = b - cs.matmul(x, a, true)
      return worst(cs.matmul(r, a) - ridge * x)
    end
    assert(normal_equations(0) < 1e-13 and normal_equations(0.3) < 1e-13)
    local wide = normal(2, 3)
    local x = linalg.lstsq(wide, cs.tensor { 1, 2 }, { ridge = 1e-12 })
    assert(worst(cs.matmul(x, wide, true) - cs.tensor { 1, 2 }) < 1e-9)
  end)

  it("take rows one by one: each row's bits are those it has alone", function()
    local a, b, shared = normal(5, 3, 3), normal(5, 3), normal(3)
    local x = linalg.solve(cs.rows(a), cs.rows(b))
    local y = linalg.solve(cs.rows(a), shared)
    local z = linalg.solve(a[1], cs.rows(b))
    assert(x.rows and y.rows and z.rows)
    for i = 1, 5 do
      near(x[i], linalg.solve(a[i], b[i]), 0)
      near(y[i], linalg.solve(a[i], shared), 0)
      near(z[i], linalg.solve(a[1], b[i]), 0)
    end
  end)

  it("are the same traced, and in f32 the f64 result rounded", function()
    local a, b = normal(4, 4) + 4 * identity(4), normal(4)
    near(cs.compile(linalg.solve)(a, b), linalg.solve(a, b), 0)
    local a32, b32 = a:cast "f32", b:cast "f32"
    local x = linalg.solve(a32, b32)
    assert(x.dtype == "f32")
    near(x, linalg.solve(a32:cast "f64", b32:cast "f64"):cast "f32", 0)
  end)

  it("say what is singular, and are not misled by scales", function()
    raises(function() linalg.solve({ { 1, 2, 3 }, { 4, 5, 6 }, { 7, 8, 9 } }, { 1, 1, 1 }) end, "linalg.solve", "pivot 3 of 3",
      "lstsq")
    raises(function() linalg.solve(cs.rows(cs.tensor { { { 1, 0 }, { 0, 1 } }, { { 0, 0 }, { 0, 1 } } }), cs.ones(2)) end,
      "of row 2", "pivot 1 of 2")
    raises(function() linalg.solve_tridiagonal({ -1, -1 }, { 1, 2, 1 }, { -1, -1 }, { 1, 1, 1 }) end, "solve_tridiagonal",
      "pivot 3 of 3")
    raises(function() linalg.solve_banded({ { 0, 0 } }, { 1, 1 }, { lower = 0, upper = 0 }) end, "solve_banded", "pivot 1")
    raises(function() linalg.lstsq({ { 1, 2 }, { 2, 4 }, { 3, 6 } }, { 1, 1, 1 }) end, "lstsq", "pivot 2 of 2", "ridge")
    raises(function() linalg.cholesky { { 1, 2 }, { 2, 1 } } end, "cholesky", "not positive definite", "pivot 2 of 2")
    raises(function() linalg.solve_lower({ { 1, 5 }, { 2, 0 } }, { 1, 1 }) end, "solve_lower", "pivot 2")
    near(linalg.solve({ { 1e-30, 0 }, { 0, 1e20 } }, { 1e-30, 1e20 }), { 1, 1 }, 1e-15)
    near(linalg.solve({ { 1e20, 1e20 }, { 1, 2 } }, { 2e20, 3 }), { 1, 1 }, 1e-15)
    local x = linalg.solve({ { 0 / 0, 1 }, { 1, 1 } }, { 1, 1 })
    assert(x[1] ~= x[1])
  end)

  it("say what does not fit", function()
    raises(function() linalg.solve(cs.ones(2, 3), cs.ones(2)) end, "square matrix", "[2, 3]")
    raises(function() linalg.solve(cs.ones(2, 2, 2), cs.ones(2)) end, "cs.rows", "[2, 2, 2]")
    raises(function() linalg.solve(identity(2), cs.ones(3)) end, "[3]", "needs 2 entries")
    raises(function() linalg.solve(identity(2), "b") end, "argument 2", "string")
    raises(function() linalg.solve(identity(2), cs.ones(2), { transpose = true }) end, "did you mean 'transposed'")
    raises(function() linalg.solve_banded(cs.ones(3, 4), cs.ones(4), { lower = 1, upper = 0 }) end, "2 rows of bands", "[3, 4]")
    raises(function() linalg.solve_tridiagonal(cs.ones(4), cs.ones(4), cs.ones(3), cs.ones(4)) end, "[n - 1]")
    raises(function() linalg.lstsq(cs.ones(2, 3), cs.ones(2)) end, "more unknowns", "ridge")
    raises(function() linalg.lstsq(cs.ones(3, 2), cs.ones(3), { ridge = -1 }) end, "ridge", "-1")
  end)

  it("have second derivatives", function()
    local m, b = normal(3, 3) + 4 * identity(3), normal(3)
    local function f(s) return (linalg.solve(m + s * cs.sin(m), b) ^ 2):sum() end
    local h = 1e-5
    local g = function(s) return cs.grad(f)(cs.tensor(s)):item() end
    near(cs.hvp(f)(cs.tensor(0.3), cs.tensor(1)):item(), (g(0.3 + h) - g(0.3 - h)) / (2 * h), 1e-7)
  end)
end)

describe("a Jacobian", function()
  local function f(x)
    local a, b = x:columns()
    return cs.stack { a * b, a ^ 2, cs.sin(b) }
  end
  local function exact(a, b) return { { b, a }, { 2 * a, 0 }, { 0, math.cos(b) } } end

  it("is that of a vector, of every row of a batch, and of a scalar", function()
    near(cs.jacobian(f)({ 2, 3 }), exact(2, 3), 1e-15)
    local j = cs.jacobian(f)(cs.rows(cs.tensor { { 2, 3 }, { -1, 0.5 } }))
    near(j[1], exact(2, 3), 1e-15)
    near(j[2], exact(-1, 0.5), 1e-15)
    near(cs.jacobian(function(x) return (x ^ 3):sum() end)({ 2, 3 }), { 12, 27 }, 1e-15)
  end)

  it("nests, and differentiates", function()
    local function square(x) return (x ^ 3):sum() end
    near(cs.jacobian(cs.grad(square))({ 2, 3 }), { { 12, 0 }, { 0, 18 } }, 1e-14)
    local trace = function(x) return (cs.jacobian(f)(x) ^ 2):sum() end -- 5 a^2 + b^2 + cos(b)^2
    near(cs.grad(trace)(cs.tensor { 2, 3 }), { 20, 6 - math.sin(6) }, 1e-13)
  end)

  it("takes a vector", function()
    raises(function() cs.jacobian(f)(cs.ones(2, 2)) end, "must be a vector", "[2, 2]")
    raises(function() cs.jacobian(function(x) return cs.outer(x, x) end)(cs.ones(2)) end, "must return a vector", "[2, 2]")
    raises(function() cs.jacobian(3) end, "takes a function")
    local batch = cs.rows(cs.ones(3, 2))
    raises(function() cs.jacobian(function(x) return x * x:mean() end)(batch) end, "depend on each other", "linalg_spec.lua:")
    raises(function() cs.implicit { constraint = function(u) return u - cs.sin(u:mean()) end }(batch) end,
      "depend on each other")
  end)
end)

describe("an implicit function", function()
  -- u1^3 + s u2 = 1, u2 - s u1 = q: no closed form worth writing; its residual and differences tell.
  local function constraint(u, s, q)
    local a, b = u:columns()
    return cs.stack { a ^ 3 + s * b - 1, b - s * a - q }
  end
  local root = cs.implicit { constraint = constraint }
  local start = cs.tensor { 1, 1 }
  local function loss(s) return (root(start, s, 0.2) ^ 2 * cs.tensor { 1, 3 }):sum() end

  it("solves, and its derivatives do not know the iterations", function()
    local u = root(start, 0.7, 0.2)
    near(constraint(u, 0.7, 0.2), { 0, 0 }, 1e-14)
    local h, s = 1e-5, cs.tensor(0.7)
    local g = cs.grad(loss)
    local slope = (loss(s + h):item() - loss(s - h):item()) / (2 * h)
    near(g(s):item(), slope, 1e-9)
    local _, forward = cs.jvp(loss)({ s }, { cs.tensor(1) })
    near(forward:item(), g(s):item(), 1e-14)
    near(cs.hvp(loss)(s, cs.tensor(1)):item(), (g(s + h):item() - g(s - h):item()) / (2 * h), 1e-8)
    local from_root = cs.implicit { constraint = constraint, steps = 1 }
    near(cs.grad(function(x) return (from_root(u, x, 0.2) ^ 2 * cs.tensor { 1, 3 }):sum() end)(s), g(s), 1e-13)
  end)

  it("has derivatives of higher order: sqrt", function()
    local sqrt = cs.implicit { constraint = function(u, s) return u ^ 2 - s end }
    local function f(s) return sqrt({ 1 }, s):sum() end
    local function d(g) return function(s) return cs.grad(g)(s):sum() end end
    local s = cs.tensor { 2 }
    near(f(s):item(), math.sqrt(2), 1e-15)
    near(d(f)(s):item(), 0.5 * 2 ^ -0.5, 1e-14)
    near(d(d(f))(s):item(), -0.25 * 2 ^ -1.5, 1e-14)
    near(d(d(d(f)))(s):item(), 0.375 * 2 ^ -2.5, 1e-13)
  end)

  it("solves every row of a batch, with captured parameters of all of them", function()
    local net = cs.nn.mlp { 2, 8, 2, activation = "tanh" }
    local fixed_point = cs.implicit { constraint = function(u, x) return u - 0.5 * net(u) - x end }
    local x = cs.rows(normal(6, 2))
    local function f() return (fixed_point(x, x) ^ 2):mean() end
    local u = fixed_point(x, x)
    assert(u.rows)
    near(u - 0.5 * net(u), x, 1e-14)
    near(u[3], fixed_point(x[3], x[3]), 1e-13)
    local g, before, h = cs.grad(f)(net), net.flat:clone(), 1e-5
    for i = 1, #net, 7 do
      local function at(d) net.flat:copy(before); net.flat[i] = before[i] + d; return f():item() end
      near(g[i], (at(h) - at(-h)) / (2 * h), 1e-8)
    end
    net.flat:copy(before)
    local gx = cs.grad(function(y) return (fixed_point(x, y) ^ 2):sum() end)(x)
    near(gx[2], cs.grad(function(y) return (fixed_point(x[2], y) ^ 2):sum() end)(x[2]), 1e-12)
  end)

  it("is trained through", function()
    local p = cs.parameters { s = 1.5 }
    local cube_root = cs.implicit { constraint = function(u) return u ^ 3 - p.s end }
    local r = cs.train { parameters = p, optimizer = cs.optim.adam { lr = 0.3 }, steps = 300, quiet = true,
      loss = function() return ((cube_root { 1 } - 2) ^ 2):sum() end }
    assert(r.status == "ok", r.message)
    near(p.s:item(), 8, 1e-3)
  end)

  it("says when there is no solution, or too few equations", function()
    local square = cs.implicit { constraint = function(u, s) return u ^ 2 - s end, steps = 7 }
    raises(function() square({ 1, 1 }, cs.tensor { 4, -2 }) end, "no_convergence", "after 7 steps", "equation 2")
    raises(function() square({ 0 }, cs.tensor { 4 }) end, "singular", "pivot 1 of 1")
    raises(function() square(cs.rows(cs.tensor { { 1 }, { 1 } }), cs.rows(cs.tensor { { 4 }, { -2 } })) end, "of row 2")
    raises(function() cs.implicit { constraint = function(u) return u:slice(1, 1, 1) end }({ 1, 2 }) end, "as many equations")
    raises(function() square(cs.ones(2, 2), 1) end, "vector of unknowns", "[2, 2]")
    raises(function() cs.implicit { constraint = 3 } end, "must be a function")
    raises(function() cs.implicit { constraint = constraint, step = 3 } end, "did you mean 'steps'")
  end)
end)

describe("inside a field", function()
  local y0 = cs.rows(cs.tensor { { 1, 2 }, { 0.5, -1 }, { 3, 0 } })
  local mass, rates = cs.tensor { { 2, 0.5 }, { 0.5, 1 } }, cs.tensor { { -1, 0.3 }, { -0.2, -2 } }
  local function difference(f, x, h) return (f(x + h):item() - f(x - h):item()) / (2 * h) end

  for _, control in ipairs { "batch", "row" } do
    it("a mass matrix and an algebraic equation have gradients, control " .. control, function()
      local function flow(field)
        return cs.ode { field = field, rtol = 1e-9, atol = 1e-11, control = control, gradient = "discrete" }
      end
      local function by_mass(m)
        local f = flow(function(_, y) return cs.linalg.solve(m * mass, cs.matmul(y, rates, true)) end)
        return (f(y0, { 0, 1 }) ^ 2):sum()
      end
      near(cs.grad(by_mass)(cs.tensor(1)):item(), difference(by_mass, cs.tensor(1), 1e-5), 1e-7)
      local z = cs.implicit { constraint = function(z, y) return z ^ 3 + z - y end, steps = 12 }
      local function by_start(h)
        return (flow(function(_, y) return -z(0.5 * y, y) end)(y0 + h, { 0, 1 }) ^ 2):sum()
      end
      near(cs.grad(by_start)(cs.tensor(0)):item(), difference(by_start, cs.tensor(0), 1e-5), 1e-7)
    end)
  end

  it("a singular matrix is the status of the solve", function()
    local sol = cs.ode { field = function(_, y) return linalg.solve({ { 1, 2 }, { 2, 4 } }, y) end }:solve({ 1, 1 }, { 0, 1 })
    assert(sol.status == "singular" and sol.message:find("pivot 2 of 2", 1, true), sol.message)
  end)

  it("Jacobians and implicit functions compute in f32 too", function()
    local x = cs.rows(cs.tensor({ { 1, 2 }, { 3, 4 } }, "f32"))
    local function root() return cs.implicit { constraint = function(u, y) return u ^ 2 - y end } end
    local before = cs.dtype()
    cs.dtype "f32"
    local j, u = cs.jacobian(function(v) return v ^ 2 end)(x), root()(cs.ones_like(x), x)
    cs.dtype(before)
    assert(j.dtype == "f32" and u.dtype == "f32" and u.rows)
    near(j[2], cs.tensor({ { 6, 0 }, { 0, 8 } }, "f32"), 0)
    local wide = root()(cs.ones_like(x), x) -- f32 values in an f64 recording
    near(wide, cs.rows(cs.tensor { { 1, math.sqrt(2) }, { math.sqrt(3), 2 } }), 1e-15)
    near(u, wide:cast "f32", 1e-6)
  end)
end)
