-- SPDX-License-Identifier: GPL-3.0-or-later
-- Continuous normalizing flows: closed forms, densities that integrate to one, points that go forth and back, every
-- gradient, conditions, stacks, bases and flow matching.
local cs = require "costate"
local core = require "costate.core"

for _, p in ipairs(core.available()) do core.load(p.name) end

local function normal(name, shape) return cs.rows(core.rng(5, name):normal(shape)) end
local function distance(a, b) return cs.abs(a - b):max():item() end
local TIGHT <const> = { rtol = 1e-9, atol = 1e-11 }
local LOG_2PI <const> = math.log(2 * math.pi)

local function with(a, b)
  local out = {}
  for k, v in pairs(a) do out[k] = v end
  for k, v in pairs(b or {}) do out[k] = v end
  return out
end

--- A network of t and z that bends the plane.
local count = 0
local function bending(o)
  count = count + 1
  local net = cs.nn.mlp { 3, 16, 2, name = "bending" .. count, init = "normal", scale = 0.5 }
  local function field(t, z) return net(cs.concat { z, cs.broadcast_like(core.cast(t, core.dtype()), cs.slice(z, 2, 1, 1)) }) end
  return cs.model "cnf.flow" (with({ field = field, parameters = net, dim = 2, T = 1, solver = TIGHT }, o))
end

-- ---- a field that is linear ------------------------------------------------------------------------------
-- dz/dt = z A: z(1) = x E, E = exp(A); A = [[a, b], [-b, a]] turns by b and stretches by e^a.

local a <const>, b <const> = -0.4, 1.3
local function linear(o, p)
  p = p or cs.parameters { a = a, b = b }
  local function field(_, z)
    local x, y = z:columns()
    return cs.stack { p.a * x - p.b * y, p.b * x + p.a * y }
  end
  return cs.model "cnf.flow" (with({ field = field, parameters = p, dim = 2, T = 1, solver = { rtol = 1e-11, atol = 1e-13 } }, o))
end

--- log N(e^(a T) |x|, I) + 2 a T, of every row.
local function closed(x, rate, T) return -0.5 * math.exp(2 * rate * T) * cs.square(x):sum(2) - LOG_2PI + 2 * rate * T end

describe("the flow of a Gaussian through a linear field", function()
  local x = normal("x", { 7, 2 })

  it("has its closed form, by every adaptive solver and every way to the trace", function()
    local seen = 0
    for _, e in ipairs(core.entries("solver")) do
      if e.traits.adaptive and e.order >= 4 and not e.name:find "reversible" then
        local error = distance(linear({ solver = { solver = e.name, rtol = 1e-11, atol = 1e-13 } }):log_prob(x), closed(x, a, 1))
        assert(error <= 1e-8, ("%s: off by %g"):format(e.name, error))
        seen = seen + 1
      end
    end
    assert(seen >= 8)
    for _, trace in ipairs { "exact", "hutch++" } do -- two vectors span the plane
      assert(distance(linear():log_prob(x, { trace = trace, samples = 2 }), closed(x, a, 1)) <= 1e-8)
    end
  end)

  it("has the derivative of the closed form in its rates and its end, by every gradient", function()
    local h = 1e-5
    local function mean_at(rate, T) return closed(x, rate, T):mean():item() end
    local expected_a = -(mean_at(a + h, 1) - mean_at(a - h, 1)) / (2 * h)
    local expected_T = -(mean_at(a, 1 + h) - mean_at(a, 1 - h)) / (2 * h)
    local seen = {}
    for _, e in ipairs(core.entries("gradient")) do
      local reversible = e.name == "adjoint.reversible"
      local solver = { solver = reversible and "reversible.dopri5" or "dopri5", rtol = 1e-9, atol = 1e-11, gradient = e.name }
      local p = cs.parameters { a = a, b = b }
      local m = linear({ T = { 1, learn = true }, solver = solver }, p)
      local whole = cs.grad(function(q) return (m:loss(x)) + 0 * q.flat:sum() end)(m)
      local by_name = {}
      for _, q in ipairs(m.list) do by_name[q.name] = whole[q.offset + 1] end
      local tolerance = e.traits.approximate and 1e-4 or 1e-6
      near(by_name["parameters1.a"], expected_a, tolerance)
      near(by_name["parameters1.b"], 0, tolerance)
      near(by_name["time1.root"], 2 * expected_T, tolerance) -- T = root^2, root = 1
      seen[#seen + 1] = e.name
    end
    assert(#seen >= 7, table.concat(seen, " "))
  end)

  it("has the kinetic energy and the norm of its Jacobian", function()
    local m = linear({ kinetic = 1, jacobian = 1 })
    local _, terms = m:loss(x)
    -- |f|^2 = (a^2 + b^2) e^(2 a t) |x|^2
    local speed = (a * a + b * b) * (math.exp(2 * a) - 1) / (2 * a)
    near(terms.kinetic:item(), speed * cs.square(x):sum(2):mean():item(), 1e-9)
    near(terms.jacobian:item(), 2 * (a * a + b * b), 1e-9)
    local value = m:loss(x, { kinetic = 0.5, jacobian = 0.1 })
    near(value:item(), -terms.log_prob:item() + 0.5 * terms.kinetic:item() + 0.1 * terms.jacobian:item(), 1e-9)
  end)

  it("is regularised alike where time runs down", function()
    local _, up = linear({ kinetic = 1, jacobian = 1 }):loss(x)
    local p = cs.parameters { a = -a, b = -b } -- the same way the other way round
    local _, down = linear({ kinetic = 1, jacobian = 1, span = { 1, 0 } }, p):loss(x)
    for _, name in ipairs { "kinetic", "jacobian", "log_prob" } do near(down[name]:item(), up[name]:item(), 1e-9) end
  end)
end)

describe("a density", function()
  --- The integral of p over a square by the trapezoidal rule, which for a smooth p that ends within it converges
  --- faster than any power of the step.
  local function integral(m, half, n)
    local h = 2 * half / n
    local list = {}
    for i = 1, n - 1 do
      for k = 1, n - 1 do list[#list + 1] = { -half + i * h, -half + k * h } end
    end
    return (cs.exp(m:log_prob(cs.rows(cs.tensor(list)))):sum() * (h * h)):item()
  end

  it("integrates to one: one flow, a stack, bases that are smooth", function()
    local loose = { rtol = 1e-6, atol = 1e-8 }
    near(integral(bending { solver = loose }, 10, 250), 1, 5e-4)
    near(integral(bending { solver = loose, base = { "normal", std = { 0.7, 1.2 }, mean = { 0.5, -0.2 } } }, 10, 250), 1, 5e-4)
    local mixture = { "mixture", means = { { -1, 0 }, { 1.5, 1 }, { 0, -1.5 } }, std = 0.6, weights = { 1, 2, 1 } }
    near(integral(bending { solver = loose, base = mixture }, 10, 250), 1, 5e-4)
    near(integral(bending { solver = loose, span = { 1, 0 } }, 10, 250), 1, 5e-4)
  end)

  it("of samples is the one followed on their way", function()
    for _, o in ipairs { {}, { base = { "mixture", means = { { -2, 0 }, { 2, 0 } }, std = 0.5 } }, { base = "uniform" } } do
      local m = bending(o)
      local x, log_p = m:sample(cs.rng(3), 200, { log_prob = true })
      assert(x.rows and x.shape[1] == 200)
      -- a draw at the very edge of a box may come back on the other side of it
      local there = m:log_prob(x)
      local off = cs.where(cs.isfinite(there), cs.abs(there - log_p), 0):max():item()
      assert(off <= 1e-6, ("off by %g"):format(off))
      near(m:sample(cs.rng(3), 200), x, 1e-6)
      near(m:decode(m:encode(x)), x, 1e-6)
    end
  end)

  it("of a uniform base is zero outside of what the box becomes", function()
    local m = linear { base = "uniform" }
    local inside = m:log_prob(cs.rows(cs.tensor { { 0, 0 }, { 5, 5 } }))
    near(inside[1], 2 * a - math.log(4), 1e-9)
    assert(inside[2] == -math.huge)
  end)

  it("in f32 is that in f64, to what is left of the digits", function()
    local before = cs.dtype()
    local values = {}
    for _, dtype in ipairs { "f64", "f32" } do
      cs.dtype(dtype)
      local m = linear { solver = { rtol = 1e-5, atol = 1e-5 } }
      values[dtype] = m:log_prob { { 0.3, -1 }, { 2, 0.5 } }:totable()
    end
    cs.dtype(before)
    for i = 1, 2 do near(values.f32[i], values.f64[i], 1e-4) end
  end)
end)

describe("bases", function()
  it("draw what their densities say", function()
    local rng, n = cs.rng(8), 40000
    local base = require "costate.cnf.base"
    for _, given in ipairs { { "normal", mean = { 1, -2 }, std = { 0.5, 2 } }, { "uniform", low = { -1, 0 }, high = { 1, 3 } },
      { "mixture", means = { { 0, 0 }, { 4, 0 }, { 0, 3 } }, weights = { 1, 1, 2 }, std = 0.5 } } do
      local d = base.new(given, 2)
      local z = cs.rows(d.draw(rng, n))
      -- E exp(-|z|^2 / 8) by the draws and by its integral over a grid
      local function f(y) return cs.exp(-0.125 * cs.square(y):sum(2)) end
      local list, h = {}, 0.05
      for i = -240, 240 do
        for k = -240, 240 do list[#list + 1] = { (i + 0.5) * h, (k + 0.5) * h } end
      end
      local grid = cs.rows(cs.tensor(list))
      local mass = (cs.exp(d.log_density(grid)):sum() * h * h):item()
      local expected = ((cs.exp(d.log_density(grid)) * f(grid)):sum() * h * h):item()
      near(mass, 1, 1e-6)
      local value = f(z)
      local spread = math.sqrt((cs.square(value - value:mean()):mean() / n):item())
      assert(math.abs(value:mean():item() - expected) <= 4.5 * spread, given[1])
    end
  end)
end)

describe("an estimated trace", function()
  local x = normal("x", { 64, 2 })

  it("is drawn once a solve: its loss has the derivative that differences give, by two gradients", function()
    for _, trace in ipairs { "hutchinson", "hutch++" } do
      local grads = {}
      for _, gradient in ipairs { "discrete", "backsolve" } do
        count = 100 -- the same network
        local m = bending { trace = trace, jacobian = 0.1, kinetic = 0.1, noise = "rademacher",
          solver = { rtol = 1e-9, atol = 1e-11, gradient = gradient } }
        local function loss() return (m:loss(x)) end -- draws belong to the line that asks for them
        local g = cs.grad(function(q) return loss() + 0 * q.flat:sum() end)(m)
        local v, start, h = core.rng(1, "v"):normal { #m }, m.flat:clone(), 1e-6
        local function at(step)
          m.flat:copy(start + step * v)
          local value = loss():item()
          m.flat:copy(start)
          return value
        end
        local fd = (at(h) - at(-h)) / (2 * h)
        near((g * v):sum():item(), fd, 1e-5)
        grads[#grads + 1] = g
      end
      assert(distance(grads[1], grads[2]) <= 1e-5)
    end
  end)

  it("is unbiased along a whole flow", function()
    local m = bending { solver = { rtol = 1e-6, atol = 1e-8 } }
    local one = cs.rows(cs.zeros { 4000, 2 } + cs.tensor { 0.7, -0.3 })
    local exact = m:log_prob(cs.rows(cs.tensor { { 0.7, -0.3 } }))[1]
    for _, noise in ipairs { "gaussian", "rademacher" } do
      local draws = m:log_prob(one, { trace = "hutchinson", noise = noise })
      local mean = draws:mean():item()
      local error = math.sqrt((cs.square(draws - mean):mean() / 4000):item())
      assert(error > 1e-3 and math.abs(mean - exact) <= 4.5 * error, ("%g is not %g"):format(mean, exact))
    end
  end)

  it("has a Hessian, by every gradient", function()
    local points = normal("points", { 5, 2 })
    local function product(gradient)
      count = 200 -- the same network
      local m = bending { kinetic = 0.1, solver = { rtol = 1e-9, atol = 1e-11, gradient = gradient,
        solver = gradient == "adjoint.reversible" and "reversible.dopri5" or "dopri5" } }
      local function total(q) return (m:loss(points)) + 0 * q.flat:sum() end
      local v = core.rng(2, "v"):normal { #m }
      return cs.hvp(total)(m, v), function(h)
        local start, g = m.flat:clone(), {}
        for i = 1, 2 do
          m.flat:copy(start + (3 - 2 * i) * h * v)
          g[i] = cs.grad(total)(m)
        end
        return (g[1] - g[2]) / (2 * h)
      end
    end
    local _, differences = product "adjoint.discrete"
    local expected = differences(1e-5)
    local scale = 1 + cs.abs(expected):max():item()
    for _, e in ipairs(core.entries("gradient")) do
      local off = distance((product(e.name)), expected) / scale
      assert(off <= (e.traits.approximate and 1e-4 or 2e-5), ("%s: off by %g"):format(e.name, off))
    end
  end)
end)

describe("a stack of flows", function()
  it("adds its divergences, and its way goes through all of them in order", function()
    local one, two = cs.nn.mlp { 2, 8, 2, name = "one" }, cs.nn.mlp { 2, 8, 2, name = "two" }
    local x = normal("x", { 6, 2 })
    local function single(f)
      return cs.model "cnf.flow" { field = function(_, z) return f(z) end, dim = 2, T = 0.7, solver = TIGHT }
    end
    local first, second = single(one), single(two)
    local middle = first:encode(x)
    local expected = second:log_prob(middle) + first:log_prob(x) - cs.model("cnf.flow") { field = function(_, z) return 0 * z end,
      dim = 2, T = 1 }:log_prob(middle)
    local stack = cs.model "cnf.flow" { field = { one, two }, T = 0.7, solver = TIGHT }
    near(stack:log_prob(x), expected, 1e-7)
    near(stack:encode(x), second:encode(middle), 1e-7)
    local way = stack:transport(x, { 0, 0.25, 0.5, 1 })
    assert(way.shape[1] == 6 and way.shape[2] == 4)
    local function at(path, i) return cs.rows(cs.reshape(cs.slice(path, 2, i, i), 6, 2)) end
    near(at(way, 1), x, 1e-12)
    near(at(way, 3), middle, 1e-7)
    near(at(way, 4), stack:encode(x), 1e-7)
    local back = stack:transport(stack:encode(x), { 0, 0.5, 0.75, 1 }, { from = "base" })
    for i = 1, 4 do near(at(back, i), at(way, 5 - i), 1e-6) end
    near(stack:transport(x, { 0.25 }), cs.slice(way, 2, 2, 2), 1e-7)
    assert(stack:transport(x, 5).shape[2] == 5)
  end)
end)

describe("a condition", function()
  --- z is pushed by what the condition says: a shift, whose divergence is zero.
  local function shifted(_, z, c) return 0 * z + cs.matmul(c, cs.tensor { { 1, 0 }, { 0, 2 }, { -1, 1 } }) end

  it("is a class or a vector, for every method", function()
    local x = normal("x", { 4, 2 })
    local classes = cs.model "cnf.flow" { field = shifted, dim = 2, T = 1, classes = 3 }
    local vectors = cs.model "cnf.flow" { field = shifted, dim = 2, T = 1, condition = 3 }
    local labels = cs.tensor({ 0, 1, 2, 1 }, "i64")
    local hot = cs.tensor { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 }, { 0, 1, 0 } }
    local moved = x + cs.matmul(hot, cs.tensor { { 1, 0 }, { 0, 2 }, { -1, 1 } })
    local expected = -0.5 * cs.square(moved):sum(2) - LOG_2PI
    near(classes:log_prob(x, { condition = labels }), expected, 1e-12)
    near(classes:log_prob(x, { condition = { 0, 1, 2, 1 } }), expected, 1e-12)
    near(vectors:log_prob(x, { condition = hot }), expected, 1e-12)
    near(classes:encode(x, { condition = labels }), moved, 1e-12)
    local s, log_p = classes:sample(cs.rng(1), 4, { condition = labels, log_prob = true })
    near(classes:log_prob(s, { condition = labels }), log_p, 1e-12)
    near(classes:loss(x, { condition = labels }):item(), -expected:mean():item(), 1e-12)
    assert(classes:transport(x, 3, { condition = labels }).shape[2] == 3)
    assert(classes:matching(x, { condition = labels }):item() > 0)
  end)

  it("that is a label of no class is an error, in a trace a solve that is not finite", function()
    local x = normal("x", { 2, 2 })
    local m = cs.model "cnf.flow" { field = shifted, dim = 2, classes = 3 }
    raises(function() m:log_prob(x, { condition = { 1, 3 } }) end, "label 2 is 3, classes go from 0 to 2")
    raises(function() m:log_prob(x, { condition = { 0.5, 1 } }) end, "label 1 is 0.5")
    raises(function() m:log_prob(x, { condition = { -1, 1 } }) end, "label 1 is -1")
    local traced = cs.compile(function(c) return m:log_prob(x, { condition = c }) end)
    near(traced(cs.rows(cs.tensor { 1, 2 })), m:log_prob(x, { condition = { 1, 2 } }), 1e-12)
    raises(function() traced(cs.rows(cs.tensor { 1, 7 })) end, "nonfinite", "row 2")
  end)

  it("that is missing, or not wanted, or of another kind is an error that says so", function()
    local x = normal("x", { 4, 2 })
    local classes = cs.model "cnf.flow" { field = shifted, dim = 2, classes = 3 }
    raises(function() classes:log_prob(x) end, "takes { condition = c }")
    raises(function() classes:log_prob(x, { condition = cs.zeros { 4, 3 } }) end, "labels [4], from 0 to 2")
    raises(function() classes:log_prob(x, { condition = cs.tensor({ 0, 1 }, "i64") }) end, "labels [4]")
    raises(function() linear():log_prob(x, { condition = cs.tensor({ 0, 1, 2, 1 }, "i64") }) end, "has no condition")
    raises(function() cs.model "cnf.flow" { field = shifted, dim = 2, classes = 3, condition = 2 } end, "exclude each other")
  end)
end)

describe("flow matching", function()
  it("is the square of what it claims, and does not move the end", function()
    local x = normal("many", { 40000, 2 }) * 0.5 + cs.tensor { 1, 0 }
    local m = cs.model "cnf.flow" { field = function(_, z) return 0 * z end, dim = 2, T = { 2, learn = true } }
    -- |(1 - sigma) z - x|^2 / T^2 with z ~ N(0, I): mean (2 (1 - sigma)^2 + 2 * 0.25 + 1) / 4
    for _, sigma in ipairs { 0, 0.2 } do
      local expected = (2 * (1 - sigma) ^ 2 + 1.5) / 4
      assert(math.abs(m:matching(x, { sigma = sigma }):item() - expected) <= 0.02, "the mean over 40000 draws")
    end
    local g = cs.grad(function(q) return m:matching(x) + 0 * q.flat:sum() end)(m)
    assert(g[1] == 0)
  end)

  it("makes a flow whose density is the data's", function()
    cs.dtype "f64"
    local net = cs.nn.mlp { 3, 32, 2, name = "matching" }
    local function field(t, z)
      local time = t.rank == 2 and core.cast(t, "f64") or cs.broadcast_like(core.cast(t, "f64"), cs.slice(z, 2, 1, 1))
      return net(cs.concat { z, time })
    end
    local m = cs.model "cnf.flow" { field = field, parameters = net, dim = 2, T = 1 }
    local function draw(rng, n) return cs.rows(rng:normal { n, 2 } * cs.tensor { 0.5, 1.5 } + cs.tensor { 1, -1 }) end
    cs.train { parameters = m, steps = 1500, optimizer = cs.optim.adam { lr = 5e-3 }, quiet = true,
      schedule = cs.schedule.cosine { steps = 1500, final = 1e-4 },
      batch = function(rng) return draw(rng, 256) end, loss = function(x) return m:matching(x) end }
    local test = draw(cs.rng(9), 2000)
    local truth = cs.square((test - cs.tensor { 1, -1 }) / cs.tensor { 0.5, 1.5 }):sum(2) * -0.5 - LOG_2PI - math.log(0.75)
    local gap = (truth:mean() - m:log_prob(test):mean()):item()
    assert(gap > -0.02 and gap < 0.05, ("a divergence of %g nats"):format(gap)) -- 0.02 is what a test of 2000 can favour
  end)
end)

describe("a flow", function()
  it("takes part of a model once, and its parts' parts with it", function()
    local net = cs.nn.mlp { 2, 4, 2 }
    local m = cs.model "cnf.flow" { field = net }
    m.flat:fill(0.1)
    assert(net.flat[1] == 0.1 and #m == #net)
    raises(function() cs.model "cnf.flow" { field = net } end, "is a part of 'cnf.flow", "already")
    local fresh = cs.nn.mlp { 2, 4, 2 }
    raises(function() cs.model "cnf.flow" { field = { fresh, net } } end, "already")
    raises(function() cs.model "cnf.flow" { field = { fresh, fresh } } end, "given twice")
    assert(#cs.model "cnf.flow" { field = fresh } == #fresh, "what failed has taken nothing")
  end)

  it("goes along a field that is made of models itself", function()
    cs.register.model { name = "spec.field", build = function(_, parts, _, z) return parts.net(z) + parts.shift.by end,
      parts = function(_, name)
        return { net = cs.nn.mlp { 2, 4, 2, name = name .. "/net" }, shift = cs.parameters { by = cs.tensor { 0.5, -1 } } }
      end }
    local f = cs.model "spec.field" {}
    local x = normal("x", { 5, 2 })
    local before = f(0, x)
    local m = cs.model "cnf.flow" { field = f, dim = 2, T = 1 }
    near(f(0, x), before, 0)
    m.parameters["field.shift.by"]:fill(2)
    assert(f.parts.shift.by[1] == 2 and f.parameters["shift.by"][1] == 2)
    local g = cs.grad(function(q) return (m:loss(x)) + 0 * q.flat:sum() end)(m)
    for i = 1, #m do assert(g[i] ~= 0, "a parameter that the loss does not see") end
  end)

  it("says what is wrong", function()
    local function flow(o) return function() cs.model "cnf.flow" (o) end end
    local function f(_, z) return z end
    raises(flow {}, "needs option 'field'")
    raises(flow { field = 3 }, "a model, a function or a list")
    raises(flow { field = f }, "option 'dim' of cnf.flow")
    raises(flow { field = cs.nn.mlp { 2, 3 } }, "2 are taken, 3 given")
    raises(flow { field = f, dim = 2, T = -1 }, "must be positive")
    raises(flow { field = f, dim = 2, T = { 1, lern = true } }, "learn = true")
    raises(flow { field = f, dim = 2, span = { 1, 1 } }, "no length")
    raises(flow { field = f, dim = 2, span = { 0, 1 }, T = { 1, learn = true } }, "exclude each other")
    raises(flow { field = f, dim = 2, base = "norml" }, "did you mean 'normal'?")
    raises(flow { field = f, dim = 2, base = { "normal", sdt = 1 } }, "did you mean 'std'?")
    raises(flow { field = f, dim = 2, base = { "normal", std = { 1, 2, 3 } } }, "3 numbers for 2")
    raises(flow { field = f, dim = 2, base = { "normal", std = 0 } }, "must be positive")
    raises(flow { field = f, dim = 2, base = { "uniform", low = 1, high = 0 } }, "the box is empty")
    raises(flow { field = f, dim = 2, base = { "mixture", means = { 1, 1 } } }, "a list of points")
    raises(flow { field = f, dim = 2, span = { 0, 1, 2 } }, "{ t0, t1 }")
    raises(flow { field = f, dim = 2, solver = { field = f } }, "a 'field' of its own")
    raises(flow { field = f, dim = 2, trace = "exakt" }, "did you mean 'exact'?")
    raises(flow { field = f, dim = 2, parameters = { 3 } }, "a model or a list of models, got a number")
    raises(flow { field = f, dim = 2, parameters = "net" }, "a model or a list of models")
    raises(flow { field = f, dim = 2, kinetick = 1 }, "did you mean 'kinetic'?")
    local m = cs.model "cnf.flow" { field = f, dim = 2 }
    raises(function() m:log_prob(cs.zeros { 3, 3 }) end, "a batch of points [B, 2]")
    raises(function() m:log_prob(4) end, "a batch of points [B, 2]", "a number")
    raises(function() m:sample(3) end, "m:sample(rng, n) needs a generator first")
    raises(function() m:sample(cs.rng(1), 2.5) end, "positive integers, got 2.5")
    raises(function() m:transport(cs.zeros { 3, 2 }, { 0.5, 0.2 }) end, "ascending from 0 to 1")
    raises(function() m:transport(cs.zeros { 3, 2 }, 3, { from = "date" }) end, "\"data\" or \"base\"")
    raises(function() m:loss(cs.zeros { 3, 2 }, { kinetic = -1 }) end, "a weight, 0 or more")
    raises(function() m:matching(cs.zeros { 3, 2 }, { sigma = 1 }) end, "[0, 1)")
    local wide = cs.model "cnf.flow" { field = function(_, z) return cs.concat { z, z } end, dim = 2 }
    raises(function() wide:log_prob(cs.zeros { 3, 2 }) end, "as many numbers a row as it takes, 2")
    local meeting = cs.model "cnf.flow" { field = function(_, z) return z - cs.mean(z, 1) end, dim = 2 }
    raises(function() meeting:log_prob(cs.zeros { 3, 2 }) end, "rows of the batch depend on each other")
    local stack = cs.model "cnf.flow" { field = { f, f }, dim = 2 }
    raises(function() stack:matching(cs.zeros { 3, 2 }) end, "for one flow")
  end)
end)
