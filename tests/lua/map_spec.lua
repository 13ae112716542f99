-- SPDX-License-Identifier: GPL-3.0-or-later
-- The flow map: its laws for every solver, its derivatives in every argument.
local cs = require "costate"
local core = require "costate.core"

for _, p in ipairs(core.available()) do core.load(p.name) end

--- Prey and predators whose food comes in seasons; a divergence that depends on time and state.
local rates <const> = { food = 1.1, hunt = 0.6 }

local function field(q)
  return function(t, u)
    local x, y = u:columns()
    return cs.stack { q.food * (1 + 0.4 * cs.sin(2 * t)) * x - q.hunt * x * y, q.hunt * x * y - 0.7 * y }
  end
end

local function flow_of(options)
  local o = { field = field(rates), rtol = 1e-10, atol = 1e-12 }
  for k, v in pairs(options or {}) do o[k] = v end
  return cs.ode(o)
end

local y0 = cs.tensor { 1.3, 0.8 }

local function distance(a, b) return cs.abs(a - b):max():item() end

--- Errors of Phi(t, 2) o Phi(0, t) = Phi(0, 2), and of Phi^-1 o Phi = 1.
local function law_errors(flow, halfway)
  local first, second, whole = flow:map(0, halfway), flow:map(halfway, 2), flow:map(0, 2)
  return distance((second .. first)(y0), whole(y0)), distance((whole:inverse() .. whole)(y0), y0)
end

describe("a flow map", function()
  it("obeys the semigroup law and has an inverse, by every adaptive solver", function()
    local seen = {}
    for _, e in ipairs(core.entries("solver")) do
      if e.traits.adaptive and e.order >= 2 then
        local rtol = e.order >= 5 and 1e-10 or e.order >= 3 and 1e-8 or 1e-6
        local one, back = law_errors(flow_of { solver = e.name, rtol = rtol, atol = rtol / 100 }, 0.83)
        assert(one <= 200 * rtol and back <= 200 * rtol, ("%s: %g, %g"):format(e.name, one, back))
        seen[e.name] = true
      end
    end
    assert(seen["rk.dopri5"] and seen["esdirk.kencarp5"])
  end)

  -- One step of two legs is cut where they meet, a change of order p + 1. On the way back the leading errors, odd
  -- in the step when p is even, cancel.
  it("obeys them only to the order of fixed steps that do not meet the times", function()
    for name, order in pairs { euler = 1, midpoint = 2, rk4 = 4 } do
      local halfway <const> = 61 / 75 -- a third of a step too late, for both steps
      local a_one, a_back = law_errors(flow_of { solver = name, step = 2 / 50 }, halfway)
      local b_one, b_back = law_errors(flow_of { solver = name, step = 2 / 200 }, halfway)
      near(math.log(a_one / b_one) / math.log(4), order + 1, 0.05)
      near(math.log(a_back / b_back) / math.log(4), order % 2 == 0 and order + 1 or order, 0.05)
    end
  end)

  it("composes as functions do, also of two flows", function()
    local grow = cs.ode { field = function(_, y) return y end, rtol = 1e-11, atol = 1e-13 }:map(0, 1)
    local shift = cs.ode { field = function(_, y) return 0 * y + 1 end }:map(0, 2)
    local e = math.exp(1)
    near((grow .. shift)({ 1 }), { 3 * e }, 1e-9)
    near((shift .. grow)({ 1 }), { e + 2 }, 1e-9)
    near((shift .. grow):inverse()((shift .. grow)({ 1 })), { 1 }, 1e-9)
    near((grow .. shift .. grow)({ 1 }), grow(shift(grow({ 1 }))), 0)
    local both = grow .. shift
    assert(both.t0 == 0 and both.t1 == 1 and both:inverse().t0 == 1)
    local text = tostring(both)
    assert(text:find("map from 0 to 1", 1, true) and text:find("after map from 0 to 2", 1, true), text)
    near(flow_of():map(0.4, 0.4)(y0), y0, 0)
  end)

  it("takes one state, a batch, named parts, and times of each row", function()
    local flow = flow_of()
    local phi = flow:map(0, 2)
    near(phi(y0), flow(y0, { 0, 2 })[2], 0)
    local rows = cs.rows(cs.tensor { { 1.3, 0.8 }, { 0.5, 2 } })
    local ends = phi(rows)
    assert(ends.rank == 2 and ends.rows)
    near(phi:inverse()(ends), rows, 1e-8)
    local parts = flow_of { parts = { cost = "quadrature" }, field = function(t, s)
      return { u = field(rates)(t, s.u), cost = s.u:column(1) ^ 2 }
    end }:map(0, 2)
    local w = parts { u = y0, cost = 0 }
    near(w.u, phi(y0), 1e-8)
    assert(w.cost.rank == 0 and w.cost:item() > 0.1)
    local again = (parts:inverse() .. parts) { u = y0, cost = 0 }
    near(again.u, y0, 1e-8)
    near(again.cost:item(), 0, 1e-8)
    local own = flow_of { control = "row" }:map(0, cs.rows(cs.tensor { 2, 0.5 }))
    near(own(rows)[1], ends[1], 1e-8)
    near(own(rows)[2], flow:map(0, 0.5)(rows[2]), 1e-8)
  end)

  it("is the same in a traced function", function()
    local flow = flow_of()
    local f = cs.compile(function(y, a, b) return (flow:map(b, a) .. flow:map(a, b))(y), flow:map(a, b)(y) end)
    local there_and_back, there = f(y0, 0.1, 1.7)
    near(there, flow:map(0.1, 1.7)(y0), 0)
    near(there_and_back, (flow:map(1.7, 0.1) .. flow:map(0.1, 1.7))(y0), 0)
    near(flow:map(cs.tensor(0.1), cs.tensor { 1.7 })(y0), there, 0)
  end)

  it("keeps a time that is a parameter, of whatever shape and wherever the map is made", function()
    for _, start in ipairs { 1.2, { 1.2 } } do
      local p = cs.parameters { t = start }
      local phi = flow_of():map(0.2, p.t)
      local slope = cs.grad(function(_) return phi(y0):sum() end)(p)
      near(slope, { field(rates)(cs.tensor(1.2, "f64"), cs.rows(phi(y0):reshape(1, 2))):sum():item() }, 1e-7)
      assert(slope[1] ~= 0)
      local before = phi(y0)
      p.flat:fill(0.9)
      assert(not phi(y0):near(before))
      near(phi(y0), flow_of():map(0.2, 0.9)(y0), 0)
    end
  end)

  it("says what it cannot do", function()
    local flow = flow_of()
    local phi = flow:map(0, 1)
    raises(function() return phi .. 2 end, "composed with a map", "number")
    raises(function() return phi .. nil end, "composed with a map", "nil")
    raises(function() return "phi: " .. phi end, "tostring(phi)")
    raises(function() flow:map(0) end, "from one time to another")
    raises(function() flow:map(0, "1") end, "t1", "string")
    raises(function() flow:map(0 / 0, 1) end, "t0", "finite")
    raises(function() flow:map(0, cs.tensor { 1, 2 }) end, "t1", "[2]")
    raises(function() phi() end, "phi(y0)")
    raises(function() phi.t1 = 3 end, "cannot be set")
    local ball = cs.ode { field = function(_, s) return cs.stack { s:column(2), -9.81 } end,
      events = { { when = function(_, s) return s:column(1) end, direction = "falling",
        reset = function(_, s) return cs.stack { 0, -0.8 * s:column(2) } end } } }
    near(ball:map(0, 1)({ 1, 0 }), ball({ 1, 0 }, { 0, 1 })[2], 0)
    raises(function() ball:map(0, 1):inverse() end, "events", "no inverse")
    raises(function() (phi .. ball:map(0, 1)):inverse() end, "events", "no inverse")
    raises(function() flow_of { max_steps = 3 }:map(0, 100)(y0) end, "max_steps")
  end)
end)

-- ---- derivatives ----------------------------------------------------------------------------------------

local weights = cs.tensor { 0.7, -1.2 }

--- f' by differences of fourth order.
local function slope(f, h)
  return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)
end

local function unit(i) return cs.tensor { i == 1 and 1 or 0, i == 2 and 1 or 0 } end

local function at(t, y) return field(rates)(cs.tensor(t, "f64"), cs.rows(y:reshape(1, 2))):reshape(2) end

local gradients = {}
for _, e in ipairs(core.entries("gradient")) do
  if core.accepts(e.name, "dopri5") then gradients[#gradients + 1] = e.name end
end

describe("derivatives of a flow map", function()
  local t0 <const>, t1 <const> = 0.2, 1.9

  for _, gradient in ipairs(gradients) do
    it("in every argument, by " .. gradient, function()
      local p = cs.parameters { food = rates.food, hunt = rates.hunt }
      local flow = flow_of { field = field(p), gradient = gradient }
      local function loss(a, b, y) return (flow:map(a, b)(y) * weights):sum() end
      local a_bar, b_bar, y_bar, p_bar = cs.grad(function(a, b, y, _) return loss(a, b, y) end)(t0, t1, y0, p)
      local h <const>, tolerance <const> = 2e-3, 1e-6
      near(a_bar:item(), slope(function(d) return loss(t0 + d, t1, y0):item() end, h), tolerance)
      near(b_bar:item(), slope(function(d) return loss(t0, t1 + d, y0):item() end, h), tolerance)
      for i = 1, 2 do
        near(y_bar[i], slope(function(d) return loss(t0, t1, y0 + d * unit(i)):item() end, h), tolerance)
        local keep = p.flat[i]
        near(p_bar[i], slope(function(d)
          p.flat[i] = keep + d
          return loss(t0, t1, y0):item()
        end, h), tolerance)
        p.flat[i] = keep
      end
      -- dPhi/dt1 = f(t1, Phi), dPhi/dt0 = -J f(t0, y0)
      near(b_bar:item(), (weights * at(t1, flow:map(t0, t1)(y0))):sum():item(), tolerance)
      near(a_bar:item(), -(y_bar * at(t0, y0)):sum():item(), tolerance)
    end)
  end

  it("forwards, and through a composition", function()
    local flow = flow_of()
    local function phi(a, b) return function(y) return flow:map(a, b)(y) end end
    for i = 1, 2 do
      local _, whole = cs.jvp(phi(t0, t1))({ y0 }, { unit(i) })
      local _, half = cs.jvp(phi(t0, 1))({ y0 }, { unit(i) })
      local _, rest = cs.jvp(phi(1, t1))({ flow:map(t0, 1)(y0) }, { half })
      near(rest, whole, 1e-8)
      local _, both = cs.jvp(function(y) return (flow:map(1, t1) .. flow:map(t0, 1))(y) end)({ y0 }, { unit(i) })
      near(both, rest, 1e-13)
      local _, none = cs.jvp(function(y) return (flow:map(t1, t0) .. flow:map(t0, t1))(y) end)({ y0 }, { unit(i) })
      near(none, unit(i), 1e-8)
    end
    local _, plain = cs.jvp(flow:map(t0, t1))({ y0 }, { unit(1) })
    local _, wrapped = cs.jvp(phi(t0, t1))({ y0 }, { unit(1) })
    near(plain, wrapped, 0)
    local _, late = cs.jvp(function(b) return flow:map(t0, b)(y0) end)({ t1 }, { 1 })
    near(late, at(t1, flow:map(t0, t1)(y0)), 1e-7)
  end)

  it("have the determinant of Liouville", function()
    local columns = {}
    for i = 1, 2 do
      local _, dot = cs.jvp(function(y) return flow_of():map(t0, t1)(y) end)({ y0 }, { unit(i) })
      columns[i] = dot
    end
    local a, b = columns[1], columns[2]
    local spread = flow_of { parts = { log = "quadrature" }, field = function(t, s)
      local x, y = s.u:columns()
      return { u = field(rates)(t, s.u), log = rates.food * (1 + 0.4 * cs.sin(2 * t)) - rates.hunt * y + rates.hunt * x - 0.7 }
    end }:map(t0, t1)
    near(a[1] * b[2] - a[2] * b[1], math.exp(spread { u = y0, log = 0 }.log:item()), 1e-8)
  end)
end)
