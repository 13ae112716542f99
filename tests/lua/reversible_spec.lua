-- SPDX-License-Identifier: GPL-3.0-or-later
-- Reversible solvers and the gradient that undoes their steps: the same as `discrete` wherever a flow may stand.
local cs = require "costate"
local check = require "costate.check"
local model = require "costate.model"

local SOLVERS <const> = { "reversible.alf", "reversible.heun", "reversible.rk3", "reversible.rk4", "reversible.dopri5" }
local times <const> = { 0, 0.31, 0.9, 1.7 }

--- A pendulum with friction, pushed by u (or not at all).
local function pendulum(p, u)
  return function(t, y)
    local x, v = y:columns()
    local force = u and u(t) or 0
    return cs.stack { v, force - p.g * cs.sin(x) - p.b * v }
  end
end

local function flow_of(field, solver, gradient, more)
  local t = { field = field, solver = solver, gradient = gradient, rtol = 1e-5, atol = 1e-7 }
  if solver == "reversible.rk4" then t.step = 0.05 end
  for k, v in pairs(more or {}) do t[k] = v end
  return cs.ode(t)
end

--- loss(gradient, solver) -> a function of no arguments; its gradients at p are the same by both methods.
local function agree(p, loss, tolerance)
  for _, solver in ipairs(SOLVERS) do
    local exact = cs.grad(loss("discrete", solver))(p)
    near(cs.grad(loss("reversible", solver))(p), exact, tolerance or 1e-10)
    assert(cs.sum(cs.abs(exact)):item() > 0.1, "nothing depends on p")
  end
end

--- What `costate check` finds, without its table.
local function every_method(p, loss) return check.training { loss = loss, models = model.models_in(p) } end

describe("gradient reversible", function()
  it("is discrete: one row, many, rows with steps of their own", function()
    local p = cs.parameters { g = 2.5, b = 0.1 }
    local starts = { { 1, 0 }, cs.rows(cs.tensor { { 1, 0 }, { 2, 0.5 }, { -0.3, 1 } }) }
    for i, y0 in ipairs { starts[1], starts[2], starts[2] } do
      agree(p, function(gradient, solver)
        local flow = flow_of(pendulum(p), solver, gradient, { control = i == 3 and "row" or nil })
        return function()
          local y = flow(y0, times)
          return (y * y):sum() / 2
        end
      end)
    end
  end)

  it("crosses the knots of a control", function()
    local p = cs.parameters { g = 2.5, b = 0.1, u = { 1, -1, 0.5 } }
    agree(p, function(gradient, solver)
      local flow = flow_of(pendulum(p, function(t) return cs.control({ 0, 0.4, 0.9 }, p.u, "constant")(t) end), solver,
        gradient)
      return function() return (flow({ 1, 0 }, times) ^ 2):sum() end
    end)
  end)

  it("stands beside forward sensitivities and differences in parameters, states and times", function()
    local p = cs.parameters { g = 2.5, b = 0.1, u = { 1, -1, 0.5 } }
    for _, solver in ipairs(SOLVERS) do
      local pushed = pendulum(p, function(t) return cs.control({ 0, 0.4, 1.1 }, p.u, "constant")(t) end)
      for _, field in ipairs { pendulum(p), pushed } do
        local flow = flow_of(field, solver, "reversible")
        local result = every_method(p, function() return (flow({ 1, 0 }, times) ^ 2):sum() end)
        assert(result.ok, check.format(result))
        local seen = {}
        for _, row in ipairs(result.rows) do seen[row.method] = row.ok end
        for _, name in ipairs { "reversible", "discrete", "forward", "finite" } do assert(seen["adjoint." .. name], name) end
      end
    end
  end)

  it("goes back in time, from times that may move, into a scan", function()
    local p = cs.parameters { g = 2.5, b = 0.1, last = -1.2 }
    agree(p, function(gradient, solver)
      local flow = flow_of(pendulum(p), solver, gradient)
      return function() return (flow({ 1, 0 }, cs.stack { 0, -0.5, p.last }) ^ 2):sum() end
    end)
    agree(p, function(gradient, solver)
      local flow = flow_of(pendulum(p), solver, gradient)
      return function()
        local y = cs.scan(function(y, a) return flow(y, { 0, 0.4 })[2] * a end, cs.tensor { 1, 0 },
          cs.tensor { 1, 0.9, 1.1, 1 })
        return (y ^ 2):sum()
      end
    end)
  end)

  it("works in single precision", function()
    local old = cs.dtype()
    cs.dtype "f32"
    local ok, e = pcall(function()
      local p = cs.parameters { g = 2.5, b = 0.1 }
      agree(p, function(gradient, solver)
        local flow = flow_of(pendulum(p), solver, gradient, { step = 0.1 })
        return function() return (flow({ 1, 0 }, times) ^ 2):sum() end
      end, 1e-3)
    end)
    cs.dtype(old)
    assert(ok, e)
  end)

  it("is refused where steps cannot be undone, and says when the way is lost", function()
    local p = cs.parameters { g = 2.5, b = 0.1 }
    raises(function()
      local flow = flow_of(pendulum(p), "dopri5", "reversible")
      cs.grad(function() return flow({ 1, 0 }, times):sum() end)(p)
    end, "reversible.dopri5", "discrete")
    raises(function()
      local flow = flow_of(pendulum(p), { "reversible.rk4", coupling = 0.5 }, "reversible", { step = 0.01 })
      cs.grad(function() return flow({ 1, 0 }, times):sum() end)(p)
    end, "coupling nearer 1", "discrete")
    raises(function() flow_of(pendulum(p), { "reversible.alf", damping = 0.2 }, "reversible") end, "damping")
  end)

  it("keeps no more for many steps than for few", function()
    local p = cs.parameters { g = 2.5, b = 0.1 }
    local function bytes(step)
      local flow = flow_of(pendulum(p), "reversible.alf", "reversible", { step = step })
      for _, r in ipairs(every_method(p, function() return flow({ 1, 0 }, times):sum() end).rows) do
        if r.method == "adjoint.reversible" then
          assert(r.ok, r.message)
          return r.tape_bytes
        end
      end
    end
    local few <const>, many <const> = bytes(0.1), bytes(0.001)
    assert(few > 0 and few == many)
  end)
end)
