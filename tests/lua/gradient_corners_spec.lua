-- SPDX-License-Identifier: GPL-3.0-or-later
-- Gradients where something is special: a solve that begins at a jump of its field, a pullback that fails, a row that is
-- lost, equations inside the field.
local cs = require "costate"
local core = require "costate.core"

local function worst(a, b) return (a - b):abs():max():item() end

describe("gradients in corners", function()
  it("a solve backwards from a jump of its field: every method sees the same side", function()
    local y0 = cs.tensor { 0.7 }
    local function gradients(options, knots, times)
      return function(gradient)
        local function loss(t)
          local u = cs.control(knots, { 1, -2, 0.5 }, "constant")
          local o = { field = function(s, y) return 1.2 * y + u(s) * (1 + s) end, gradient = gradient }
          for k, v in pairs(options) do o[k] = v end
          return (cs.ode(o)(y0, t) * cs.reshape(cs.arange(1, #times + 1), { #times, 1 })):sum()
        end
        return cs.grad(loss)(cs.tensor(times, "f64")), loss
      end
    end
    local fixed = gradients({ solver = "rk4", step = 0.01 }, { 0.5, 0.8, 1 }, { 1, 1, 0.7, 0.2 })
    for _, name in ipairs { "interpolating", "backsolve", "forward", "finite" } do
      assert(worst(fixed(name), (fixed "discrete")) < 1e-6, name)
    end
    local chosen = gradients({ solver = "gsl.msbdf", rtol = 1e-9, atol = 1e-11 }, { 0, 0.5, 1 }, { 0.5, 0.3, 0.1 })
    local reference = gradients({ solver = "dopri5", rtol = 1e-11, atol = 1e-13 }, { 0, 0.5, 1 }, { 0.5, 0.3, 0.1 }) "interpolating"
    for _, name in ipairs { "forward", "finite", "interpolating" } do
      assert(worst(chosen(name), reference) < 1e-4, name)
    end
  end)

  it("ends of steps that a solver moves along a slope of its own; a first step of one rounding", function()
    local function times_bar(solver, gradient)
      return cs.grad(function(t)
        local flow = cs.ode { solver = solver, step = 0.05, gradient = gradient, field = function(_, y)
          local a, b = y:columns()
          return cs.stack { 1.2 * b, -cs.sin(a) }
        end }
        return (flow({ 1, 0.5 }, t) ^ 2):sum()
      end)(cs.tensor({ 0, 0.5, 1.3, 2 }, "f64"))
    end
    for _, solver in ipairs { "reversible.heun", "reversible.alf" } do
      assert(worst(times_bar(solver, "finite"), times_bar(solver, "discrete")) < 1e-6, solver)
    end
    local function begin(gradient, t0)
      return cs.grad(function(t)
        local u = cs.control({ 0, 0.1 * 3, 1 }, { 1, -2, 0.5 }, "constant")
        local flow = cs.ode { field = function(s, y) return -y + u(s) end, gradient = gradient, rtol = 1e-9 }
        return flow({ 1 }, cs.stack { t, 1 })[2]:sum()
      end)(cs.tensor(t0, "f64")):item()
    end
    for _, t0 in ipairs { 0.3, 0.1 * 3, 0.29 } do near(begin("finite", t0), begin("discrete", t0), 1e-6) end
  end)

  it("a pullback that failed leaves nothing behind", function()
    for _, solver in ipairs { "dopri5", "tsit5", "reversible.dopri5" } do
      local s = cs.tensor { 1 }
      local gradient = cs.grad(function(y0)
        local flow = cs.ode { solver = solver, rtol = 1e-3, gradient = "discrete", field = function(_, y)
          return cs.linalg.solve(cs.reshape(s, { 1, 1 }) + 0 * y:slice(1, 1, 1), y) * -1
        end }
        return flow(y0, { 0, 0.7, 0.9, 1 }):sum()
      end)
      local before = gradient(cs.tensor { 1 })
      s:fill(0)
      raises(function() gradient(cs.tensor { 1 }) end, "singular")
      s:fill(1)
      assert(worst(gradient(cs.tensor { 1 }), before) == 0, solver)
    end
  end)

  it("a small row that was lost is not hidden by a large one", function()
    local function gradient(y0)
      return cs.grad(function(y)
        local flow = cs.ode { solver = { "reversible.alf", damping = 0.9 }, step = 0.1, gradient = "reversible",
          field = function(t, z) return -cs.rows(cs.tensor { { 0 }, { 1 } }) * cs.sin(z - t) end }
        return flow(y, { 0, 21 })[2]:sum()
      end)(cs.rows(cs.tensor(y0)))
    end
    for _, first in ipairs { 1, 1e6 } do raises(function() gradient { { first }, { 1 } } end, "lost its way back") end
  end)

  it("an equation in the field without a solution at a trial stage asks for a smaller step", function()
    local root = cs.implicit { constraint = function(u, y) return u ^ 2 + y ^ 2 - 1 end, steps = 12 }
    local sol = cs.ode { field = function(_, y) return root(0 * y + 1, y) end, first_step = 10 }:solve({ 0 }, { 0, 1.5 })
    assert(sol.status == "ok", sol.message)
    near(sol.values[2], { math.sin(1.5) }, 1e-5)
  end)

  it("the first row that fails is named, whatever the number of threads", function()
    local n, threads = 4000, core.threads()
    local values = {}
    for i = 1, n do values[i] = { i % 7 == 0 and i > 20 and 0 or 1 } end
    local y0 = cs.rows(cs.tensor(values))
    for _, count in ipairs { 1, 2, 2 } do
      core.threads(count)
      local sol = cs.ode { field = function(_, y) return cs.linalg.solve(cs.reshape(y, { n, 1, 1 }), y) end }:solve(y0, { 0, 1 })
      core.threads(threads)
      assert(sol.status == "singular" and sol.message:find("row 21", 1, true), sol.message)
    end
  end)

  -- y follows sin t at a rate of up to 400, so that y(0) is soon forgotten: dy(60)/dy(0) = 0. Under loose tolerances
  -- dopri5 swings about y by a few times as much; the derivative of those steps is unbounded all the same.
  it("of a stiff field under loose tolerances that of the steps is lost, that of the solution is not", function()
    local function slope(o)
      o.field = function(t, y) return 20 * cs.tanh(20 * (cs.sin(t) - y)) end
      o.rtol, o.atol = o.rtol or 1e-2, o.atol or 1e-2
      local phi = cs.ode(o):map(0, 60)
      local function gradient() return cs.grad(function(y) return phi(y):sum() end)(cs.tensor { 0.1 })[1] end
      return gradient, phi(cs.tensor { 0.1 })[1]
    end
    local lost, value = slope {}
    assert(math.abs(value - math.sin(60)) < 0.25)
    raises(lost, "gradient by y[1] is not finite", "stability alone held the steps", "smaller rtol", "interpolating", "implicit")
    for _, o in ipairs { { gradient = "interpolating" }, { solver = "kencarp5" }, { rtol = 1e-6, atol = 1e-6 } } do
      assert(math.abs((slope(o))()) < 0.05)
    end
  end)
end)
