-- SPDX-License-Identifier: GPL-3.0-or-later
-- What scripts add to the registry: Runge-Kutta methods.
local cs = require "costate"
local core = require "costate.core"

local heun3 = { name = "spec.heun3", order = 3, help = "Heun's third-order method",
  a = { { 1 / 3 }, { 0, 2 / 3 } }, b = { 1 / 4, 0, 3 / 4 } }

local function with(changes)
  local t = {}
  for k, v in pairs(heun3) do t[k] = v end
  for k, v in pairs(changes) do t[k] = v end
  return t
end

--- Error at 1 of y' = t y from y = 1, which is exp(t^2/2), with n steps of the solver.
local function error_of(solver, n)
  local flow = cs.ode { field = function(t, y) return t * y end, solver = solver, step = 1 / n }
  return math.abs(flow({ 1 }, { 0, 1 })[2]:item() - math.exp(0.5))
end

describe("a tableau of a script", function()
  it("is a solver at once, of the order it declares", function()
    cs.register.tableau(heun3)
    local e = assert(core.find("solver", "spec.heun3"))
    assert(e.order == 3 and e.help == heun3.help and e.plugin == "spec" and not e.traits.adaptive)
    assert(e.path:find("register_spec.lua:", 1, true), e.path)
    local order = math.log(error_of("spec.heun3", 20) / error_of("spec.heun3", 40), 2)
    assert(math.abs(order - 3) < 0.1, order)
    assert(core.find("solver", "heun3").name == "spec.heun3")
  end)

  it("does not change with the table it came from", function()
    local t = with { name = "spec.kept", b = { 1 / 4, 0, 3 / 4 } }
    cs.register.tableau(t)
    local before = error_of("spec.kept", 10)
    t.b[1], t.b[3] = 100, -99
    collectgarbage()
    assert(error_of("spec.kept", 10) == before)
  end)

  it("may be adaptive, have a dense output, and a gradient", function()
    -- Bogacki-Shampine 3(2) by its numbers, and with its cubic interpolant
    local bosh = { name = "spec.bosh", order = 3, a = { { 1 / 2 }, { 0, 3 / 4 }, { 2 / 9, 1 / 3, 4 / 9 } },
      b = { 2 / 9, 1 / 3, 4 / 9, 0 }, e = { -5 / 72, 1 / 12, 1 / 9, -1 / 8 }, error_order = 2,
      p = { { 1, -4 / 3, 5 / 9 }, { 0, 1, -2 / 3 }, { 0, 4 / 3, -8 / 9 }, { 0, -1, 1 } }, dense_order = 3 }
    cs.register.tableau(bosh)
    local e = core.find("solver", "spec.bosh")
    assert(e.traits.adaptive and e.traits.fsal)
    local p = cs.parameters { k = 0.7 }
    local function flow(solver)
      return cs.ode { field = function(_, y) return -p.k * y ^ 2 end, solver = solver, gradient = "discrete" }
    end
    local t = { 0, 0.11, 0.5, 0.77, 1 }
    near(flow("spec.bosh")({ 1 }, t), flow("bosh3")({ 1 }, t), 0)
    local function gradient(solver)
      local f = flow(solver)
      return cs.grad(function() return (f({ 1 }, t) ^ 2):sum() end)(p)
    end
    near(gradient("spec.bosh"), gradient("bosh3"), 0)
  end)

  it("may have stages of its dense output alone", function()
    -- Heun's method and the cubic Hermite polynomial, for which f at the end is a third stage
    cs.register.tableau { name = "spec.heun_dense", order = 2, a = { { 1 } }, b = { 1 / 2, 1 / 2 },
      a_dense = { { 1 / 2, 1 / 2 } }, dense_order = 2,
      p = { { 1, -1 / 2, 0 }, { 0, 3 / 2, -1 }, { 0, -1, 1 } } }
    local flow = cs.ode { field = function(t, y) return t * y end, solver = "spec.heun_dense", step = 1 / 64 }
    local sol = flow:solve({ 1 }, { 0, 0.3, 1 })
    near(sol.values[2]:item(), math.exp(0.045), 1e-4)
    assert(sol.stats.evaluations == 64 * 2 + 1, sol.stats.evaluations)
  end)

  it("is checked as a plugin's, with the script's line", function()
    raises(function() cs.register.tableau(with { order = 4 }) end, "tableau 'heun3' is not of order 4",
      "the condition sum b c (a c) = 1/8 of order 4 is off by -0.0139", "register_spec.lua")
    raises(function() cs.register.tableau(with { e = { 1, 0, 0 }, error_order = 2 }) end, "the sum of e is 1, not 0")
    raises(function() cs.register.tableau(with { e = { 1, 0, -1 } }) end, "needs an error_order")
    raises(function() cs.register.tableau(with { b = { 0 / 0, 0, 1 } }) end, "not finite")
    raises(function() cs.register.tableau(with { p = { { 1 }, { 0 }, { 0 } }, dense_order = 1 }) end, "row 1 of p")
  end)

  it("has the form of a tableau", function()
    raises(function() cs.register.tableau(with { a = { { 1 / 3 } } }) end, "'a'", "has 1 rows, it needs 2")
    raises(function() cs.register.tableau(with { a = { { 1 / 3 }, { 0 } } }) end, "row 2 of 'a'", "it needs 2")
    raises(function() cs.register.tableau(with { a = { { 1 / 3 }, { 0, "x" } } }) end, "'a'", "is a string")
    raises(function() cs.register.tableau(with { a = { 1 / 3, { 0, 2 / 3 } } }) end, "row 1 of 'a'", "is a number")
    raises(function() cs.register.tableau(with { e = { 1, -1 }, error_order = 1 }) end, "'e'", "it needs 3")
    raises(function() cs.register.tableau(with { b = {}, a = {} }) end, "1 to 64 stages")
    raises(function() cs.register.tableau(with { orders = 3 }) end, "unknown option 'orders'", "did you mean 'order'?")
    raises(function() cs.register.tableau(with { order = -1 }) end, "'order'")
  end)

  it("has a name of its own", function()
    raises(function() cs.register.tableau(heun3) end, "solver 'spec.heun3' is registered already", "register_spec.lua:")
    raises(function() cs.register.tableau(with { name = "heun3" }) end, "two halves", "mine.heun3")
    raises(function() cs.register.tableau(with { name = "a.b.c" }) end, "two halves")
    raises(function() cs.register.tableau(with { name = "rk.mine" }) end, "'rk' is the name of a plugin", "mine.mine")
    assert(core.find("solver", "spec.nothing") == nil)
  end)
end)
