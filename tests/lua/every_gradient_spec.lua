-- SPDX-License-Identifier: GPL-3.0-or-later
-- Every gradient type that is registered, with solvers that it accepts, on four problems: compared with directional
-- derivatives (JVPs) through the same solve. How near it has to be is said by what the type claims to be the gradient of
-- (its traits): the steps taken (exact), the solution (continuous: nearer with the tolerance), the steps by differences
-- (approximate).
local cs = require "costate"
local core = require "costate.core"
local trace = require "costate._trace"
local train = require "costate.train"

for _, name in ipairs { "discrete", "quadrature" } do core.find("gradient", name) end
for _, name in ipairs { "rk", "esdirk", "gsl", "reversible" } do pcall(core.load, name) end

-- ---- problems ------------------------------------------------------------------------------------------
-- Each gives loss(flow options, y0, times, parameters, input) and its arguments. Losses are linear in the values, so
-- that only the derivative of the solve is compared.

local function rows(...) return cs.rows(cs.tensor({ ... }, "f64")) end
local function normal(name, shape) return core.rng(7, name):normal(shape) end

local function with(options, more)
  local o = {}
  for k, v in pairs(options) do o[k] = v end
  for k, v in pairs(more) do o[k] = v end
  return o
end

local problems = {}

problems["smooth"] = function()
  local p = cs.parameters { a = cs.tensor { { -0.4, 1.1 }, { -0.9, -0.3 } }, b = 0.3 }
  local weights = cs.rows(normal("smooth", { 3, 4, 2 }))
  return function(options, y0, times, m)
    local flow = cs.ode(with(options, { field = function(_, y) return cs.matmul(cs.tanh(y), p.a) - p.b * m * y ^ 3 end }))
    return (flow(y0, times) * weights):sum()
  end, rows({ 1, 0.5 }, { -0.7, 0.2 }, { 0.3, -1 }), cs.tensor({ 0, 0.7, 1.1, 2 }, "f64"), p, rows({ 0.5 }, { 1 }, { 1.5 })
end

problems["a control"] = function()
  local p = cs.parameters { rate = 0.8 }
  local weights = cs.rows(normal("control", { 2, 4, 2 }))
  return function(options, y0, times, values)
    local u = cs.control({ 0.2, 0.9, 1.6 }, values, "linear")
    local flow = cs.ode(with(options, { field = function(t, y) return -p.rate * y * (1 + cs.sin(3 * t)) + u(t) end }))
    return (flow(y0, times) * weights):sum()
  end, rows({ 1, 0.5 }, { -0.7, 0.2 }), cs.tensor({ 0, 0.5, 1.2, 2 }, "f64"), p, cs.tensor { 0.4, -0.3, 0.9 }
end

problems["two parts and a running cost"] = function()
  local p = cs.parameters { k = 1.3, c = 0.2 }
  local w = {}
  for _, name in ipairs { "x", "v", "cost" } do w[name] = cs.rows(normal(name, { 2, 4, 1 })) end
  return function(options, x0, times, effort)
    local flow = cs.ode(with(options, { parts = { cost = "quadrature" }, field = function(t, s)
      return { x = s.v, v = -p.k * cs.sin(s.x) - p.c * s.v, cost = s.x ^ 2 + effort * s.v ^ 2 * cs.cos(t) }
    end }))
    local z = flow({ x = x0, v = 0.5 * x0, cost = 0.1 * x0 }, times)
    return (z.x * w.x + z.v * w.v + z.cost * w.cost):sum()
  end, rows({ 1 }, { -0.7 }), cs.tensor({ 0, 0.4, 1.3, 2.1 }, "f64"), p, cs.tensor { 0.6 }
end

problems["ragged rows"] = function()
  local p = cs.parameters { a = 0.7 }
  local weights = cs.rows(normal("ragged", { 4, 5, 2 }))
  return function(options, y0, times, m)
    local flow = cs.ode(with(options, { control = "row", field = function(t, y) return -p.a * y * m + cs.sin(t) * y ^ 2 end }))
    return (flow(y0, times) * weights):sum()
  end, rows({ 0.5, 0.2 }, { -0.7, 0.2 }, { 0.3, -0.4 }, { 1, 2 }),
    rows({ 0, 0, 0.5, 1, 1 }, { 0.1, 0.6, 0.6, 1.7, 2.2 }, { 1, 0.4, 0.1, -0.5, -0.5 }, { 2, 2, 2, 2, 2 }), p,
    rows({ 0.5 }, { 1 }, { 1.5 }, { 0.2 })
end

problems["rows that see each other"] = function()
  local p = cs.parameters { a = 0.7 }
  local weights = cs.rows(normal("coupled", { 3, 3, 2 }))
  return function(options, y0, times, m)
    local flow = cs.ode(with(options, { field = function(t, y) return p.a * (y:mean() - y * m) + cs.sin(t) end }))
    return (flow(y0, times) * weights):sum()
  end, rows({ 1, 0.5 }, { -0.7, 0.2 }, { 0.3, -1 }), cs.tensor({ 0, 0.7, 2 }, "f64"), p, rows({ 0.5 }, { 1 }, { 1.5 })
end

problems["events"] = function()
  local p = cs.parameters { g = 9.81 }
  local weights = normal("events", { 4, 2 })
  return function(options, y0, times, restitution)
    local flow = cs.ode(with(options, { field = function(_, y)
      local _, v = y:columns()
      return cs.stack { v, -p.g + 0 * v }
    end, events = { { when = function(_, y) return y:column(1) end, direction = "falling", reset = function(_, y)
      local x, v = y:columns()
      return cs.stack { 0 * x, -restitution * v }
    end } } }))
    return (flow(y0, times) * weights):sum()
  end, cs.tensor { 1, 0 }, cs.tensor({ 0, 0.3, 0.6, 1 }, "f64"), p, cs.tensor(0.8)
end

-- ---- solvers -----------------------------------------------------------------------------------------------

--- Options of a solver at two levels of accuracy.
local function levels(name, traits)
  if not traits.adaptive then return { solver = name, step = 0.05 }, { solver = name, step = 0.0125 } end
  return { solver = name, rtol = 1e-5, atol = 1e-7 }, { solver = name, rtol = 1e-9, atol = 1e-11 }
end

-- Implicit solvers want rows that do not see each other; events are no affair of a solver.
local only <const> = { ["rows that see each other"] = "rk.dopri5", events = "rk.dopri5" }

local usual <const> = { "rk.dopri5", "rk.rk4", "esdirk.kencarp4", "gsl.rk8pd", "gsl.msbdf", "sundials.cvode_bdf" }

--- Solvers of the type's choice, two at most, when it takes none of the usual ones; those otherwise.
local function solvers_for(gradient)
  local out, special, names = {}, true, usual
  for _, name in ipairs(usual) do special = special and not (core.find("solver", name) and core.accepts(gradient.name, name)) end
  if special then
    names = {}
    for _, e in ipairs(core.entries("solver")) do names[#names + 1] = e.name end
  end
  for _, name in ipairs(names) do
    local e = core.find("solver", name)
    if e and core.accepts(gradient.name, name) and not (special and #out == 2) then out[#out + 1] = e end
  end
  return out
end

--- Solvers that decide more than their steps: what is done again with them is another solve as good.
local function decides(solver) return solver.traits.multistep or solver.traits.self_controlled end

-- ---- comparing ----------------------------------------------------------------------------------------------

local kinds <const> = { "state", "times", "parameters", "input" }

local function zeros(x) return core.kind(x) and core.zeros_like(x) or core.zeros { #x } end
local function direction(x, name)
  local d = core.rng(11, name):normal(core.kind(x) and x.shape or { #x })
  if core.kind(x) and x.rows then d = core.rows(d) end
  return d
end

--- Relative difference of the gradient and the JVPs, the worst of all kinds; relative to the terms of the product.
local function worst(problem, gradient, options)
  local loss, y0, times, p, input = problem()
  local args = { y0, times, p, input }
  local function f(given) return function(y, t, _, u) return loss(with(options, { gradient = given }), y, t, u) end end
  local g = { cs.grad(f(gradient))(table.unpack(args)) }
  local most, where = 0, "-"
  for i, kind in ipairs(kinds) do
    local dots = {}
    for k, x in ipairs(args) do dots[k] = k == i and direction(x, kind) or zeros(x) end
    local _, slope = cs.jvp(f("discrete"))(args, dots)
    local terms = core.reshape(g[i], -1) * core.reshape(dots[i], -1)
    local d = math.abs(terms:sum():item() - slope:item()) / math.sqrt((terms ^ 2):sum():item())
    if d > most or d ~= d then most, where = d, kind end
  end
  return most, where
end

-- The dense output of GSL's steppers is a shorter step, whose slope is given as that of the field there: JVPs in the
-- times between the ends are off by so much of the tolerance, and differences are not.
local EXACT <const>, DIFFERENCES <const> = 1e-11, 1e-6

--- Fails where a gradient is not as near as its type says.
local function compare(gradient, solver, problem)
  local rough, fine = levels(solver.name, solver.traits)
  local d, where = worst(problem, gradient.name, rough)
  if gradient.traits.continuous or decides(solver) then
    local e, kind = worst(problem, gradient.name, fine)
    assert(e < 1e-3 and (e < d / 10 or e < 1e-8), ("%s: %.1e, then %s: %.1e"):format(where, d, kind, e))
  else
    local most = gradient.traits.exact and EXACT or DIFFERENCES
    assert(d <= most, ("%s: off by %.1e"):format(where, d))
  end
end

for _, gradient in ipairs(core.entries("gradient")) do
  describe("gradient " .. gradient.name, function()
    it("says what it is the gradient of, and works with a solver", function()
      local n = 0
      for _, is in pairs(gradient.traits) do n = n + (is and 1 or 0) end
      assert(n == 1, "one of exact, continuous, approximate")
      assert(#solvers_for(gradient) > 0)
    end)
    for _, solver in ipairs(solvers_for(gradient)) do
      for name, problem in pairs(problems) do
        if (only[name] or solver.name) == solver.name then
          it(("agrees with JVPs: %s, %s"):format(solver.name, name), function() compare(gradient, solver, problem) end)
        end
      end
    end
  end)
end

-- ---- allocations --------------------------------------------------------------------------------------------------

describe("a gradient that is computed again", function()
  for _, gradient in ipairs(core.entries("gradient")) do
    if core.accepts(gradient.name, "rk.dopri5") then
      it("allocates nothing: " .. gradient.name, function()
        local p = cs.parameters { a = 0.7 }
        local u = cs.control({ 0, 0.5, 2 }, { 1, -1, 0.5 }, "constant")
        local fn, captures = trace.record({}, function(tr)
          local flow = cs.ode { gradient = gradient.name, field = function(t, y) return cs.sin(y) * p.a + u(t) end }
          local loss = (flow(rows({ 1 }, { 2 }), { 0, 0.7, 1 }) ^ 2):sum()
          return train.gradients({ p }, tr, loss)
        end)
        local program <close> = core.program(fn, captures)
        local _ = program:fresh()
        for _ = 1, 2 do assert(program:run() == "ok") end
        local before = core.memory()
        assert(program:run() == "ok")
        assert(core.memory() == before, ("%d allocations"):format(core.memory() - before))
      end)
    end
  end
end)

-- ---- second derivatives ---------------------------------------------------------------------------------------

--- Reverse over forward, against differences of the gradient, both along the same fixed steps.
local function hessian_error(given, solver)
  local p = cs.parameters { a = 0.7, b = cs.tensor { 0.4, -0.2 } }
  local y0, v = rows({ 1, 0.5 }, { -0.7, 0.2 }), direction(p, "second")
  local gradient = given
  local function loss()
    local flow = cs.ode { solver = solver, step = 0.05, gradient = gradient, parts = { cost = "quadrature" },
      field = function(t, s) return { y = cs.sin(s.y) * p.a + p.b * cs.cos(t) * s.y ^ 2, cost = s.y ^ 2 * p.a } end }
    local z = flow({ y = y0, cost = 0 * y0 }, { 0, 0.5, 1 })
    return (z.y ^ 2 + z.cost):sum()
  end
  local hv = cs.hvp(loss)(p, v)
  gradient = "discrete"
  local function at(h)
    local start = p.flat:clone()
    p.flat:copy(start + v * h)
    local g = cs.grad(function() return loss() end)(p)
    p.flat:copy(start)
    return g
  end
  local fd = (at(1e-5) - at(-1e-5)) / 2e-5
  return (hv - fd):abs():max():item() / fd:abs():max():item()
end

describe("second derivatives", function()
  for _, gradient in ipairs(core.entries("gradient")) do
    if core.accepts(gradient.name, "rk.rk4") then
      it("through " .. gradient.name, function()
        local d = hessian_error(gradient.name, "rk.rk4")
        assert(d < (gradient.traits.continuous and 1e-5 or 1e-7), ("off by %.1e"):format(d))
      end)
    end
  end
end)
