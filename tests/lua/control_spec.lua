-- SPDX-License-Identifier: GPL-3.0-or-later
local cs = require "costate"

local times = { 0, 0.5, 1.5, 2 }
local values = { 1, 3, -1, 2 }

describe("a control", function()
  it("takes its values at knots and between them", function()
    local at = { -1, 0, 0.25, 0.5, 1, 1.5, 1.75, 2, 9 }
    near(cs.control(times, values, "constant")(at), { 1, 1, 1, 3, 3, -1, -1, 2, 2 }, 0)
    near(cs.control(times, values)(at), { 1, 1, 2, 3, 1, -1, 0.5, 2, 2 }, 1e-15)
    near(cs.control(times, values, "linear"):slope(at), { 0, 4, 4, -4, -4, 6, 6, 0, 0 }, 1e-14)
    near(cs.control(times, values, "constant"):slope(at), cs.zeros(9), 0)
    local u = cs.control(times, values, "hermite")
    near(u(times), values, 1e-14)
    near(u(1), 1 + 1 * (4 + 4) / 8, 1e-14) -- mean of the ends + h (slope before - slope after) / 8
    near(u:slope { 0.5 - 1e-9, 0.5, 1.5 - 1e-9, 1.5 }, { 4, 4, -4, -4 }, 1e-6) -- chords before
    assert(u(0.25):item() == 2 and u(-3):item() == 1 and u(3):item() == 2)
  end)

  it("has vectors, rows, one knot", function()
    local u = cs.control(times, { { 1, 2 }, { 3, 4 }, { 5, 6 }, { 7, 8 } })
    near(u(0.25), { 2, 3 }, 1e-15)
    near(u { 0.25, 1 }, { { 2, 3 }, { 4, 5 } }, 1e-15)
    local v = cs.control(times, cs.rows(cs.tensor { values, { 0, 1, 0, 1 } }))
    assert(v(1).rows)
    near(v(1), { 1, 0.5 }, 1e-15)
    local w = cs.control(cs.rows(cs.tensor { { 0, 1 }, { 0, 2 } }), cs.rows(cs.tensor { { 0, 1 }, { 0, 1 } }))
    near(w(0.5), { 0.5, 0.25 }, 1e-15)
    near(w(cs.rows(cs.tensor { 0.5, 1 })), { 0.5, 0.5 }, 1e-15)
    near(cs.control({ 1 }, { 7 }, "hermite") { 0, 1, 2 }, { 7, 7, 7 }, 0)
  end)

  it("keeps times in f64 when values are f32", function()
    local old = cs.dtype()
    cs.dtype "f32"
    local ok, e = pcall(function()
      local u = cs.control({ 0, 1e9, 1e9 + 1 }, { 0, 0, 1 })
      assert(u.times.dtype == "f64" and u(1e9 + 0.25).dtype == "f32")
      near(u(1e9 + 0.25):item(), 0.25, 1e-7)
      local v = cs.control({ 0, 0.3, 1 }, { 0, 2, 0 }, "constant")
      local flow = cs.ode { field = function(t, y) return v(t) - y end, rtol = 1e-5 }
      near(flow({ 0 }, { 0, 1 })[2][1], 2 * (1 - math.exp(-0.7)), 1e-4)
      local g = cs.grad(function(x) return cs.ode { field = function(t) return cs.control({ 0, 1 }, x)(t) end }
        ({ 0 }, { 0, 1 })[2]:sum() end)(cs.tensor { 1, 2 })
      near(g, cs.tensor { 0.5, 0.5 }, 1e-5)
    end)
    cs.dtype(old)
    assert(ok, e)
  end)

  it("says what is wrong", function()
    raises(function() cs.control() end, "times and values")
    raises(function() cs.control({ 0, 1, 1 }, { 1, 2, 3 }) end, "must increase", "time 3", "is 1 after 1", "control_spec.lua")
    raises(function() cs.control({ 0, 2, 1 }, { 1, 2, 3 }) end, "must increase")
    raises(function() cs.control({ 0, 0 / 0 }, { 1, 2 }) end, "time 2 of a control is not a number")
    raises(function() cs.control({ 0, 1 }, { 1, 0 / 0 }) end, "value 2 of a control is not finite")
    raises(function() cs.control({ 0, 1 }, { { 1, 2 }, { 1, math.huge } }) end, "value 2")
    raises(function() cs.control({ 0, 1 }, { 1, 2, 3 }) end, "2 times and 3 values")
    raises(function() cs.control({}, {}) end, "at least one")
    raises(function() cs.control(1, { 1 }) end, "the times", "a number")
    raises(function() cs.control({ { 0, 1 } }, { 1 }) end, "one list of knots")
    raises(function() cs.control({ 0, 1 }, { 1, 2 }, "lineer") end, "unknown kind 'lineer'", "did you mean 'linear'")
    raises(function() cs.control({ 0, 1 }, { 1, 2 }, "zzz") end, "constant, hermite, linear")
    raises(function() cs.control({ 0, 1 }, { 1, 2 })() end, "u(t)")
    raises(function() cs.control({ 0, 1 }, { 1, 2 }).kind = "x" end, "'kind'")
    raises(function() cs.control(cs.rows(cs.tensor { { 0, 1 }, { 1, 0 } }), { 1, 2 }) end, "time 2 of row 2")
    assert(tostring(cs.control({ 0, 1.5 }, { { 1, 2 }, { 2, 3 } }, "constant"))
      == "control: constant, 2 knots from 0 to 1.5, values [2]")
    raises(function() cs.ode { field = function(t, y) return y * cs.control(cs.tensor { 0, 1 } * 2, { 1, 2 })(t) end }
      ({ 1 }, { 0, 1 }) end, "knots of a control are computed inside the field", "control_spec.lua")
  end)
end)

-- y' = -k y + u(t) in closed form, from knot to knot.
local function exact(y, k, knots, u, from, to)
  while from ~= to do
    local i, stop = 1, to
    for j = 2, #knots do
      if knots[j] <= from and (to > from or knots[j] < from) then i = j end
    end
    if to > from and knots[i + 1] then stop = math.min(to, knots[i + 1]) end
    if to < from and i > 1 then stop = math.max(to, knots[i]) end
    y = u[i] / k + (y - u[i] / k) * math.exp(-k * (stop - from))
    from = stop
  end
  return y
end

-- f'(x) by central differences; f(x) is called last. Steps as wide as this see no noise of step sizes, which change
-- with x: where a hermite bends inside a step that noise is largest.
local function fourth_order(x, f)
  local h = 2e-3
  local d = (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)
  f(x)
  return d
end

describe("a flow with a control", function()
  it("stops at its jumps, both ways", function()
    local u = cs.control(times, values, "constant")
    local flow = cs.ode { field = function(t, y) return -0.7 * y + u(t) end, rtol = 1e-8, atol = 1e-10 }
    for _, span in ipairs { { 0.1, 1.5, 1.9 }, { -1, 0.5, 3 }, { 2, 1, -0.5 }, { 1.5, 0.5, 0 } } do
      local y = flow({ 1 }, span)
      for i = 2, 3 do near(y[i][1], exact(1, 0.7, times, values, span[1], span[i]), 1e-7) end
      local sol = flow:solve({ 1 }, span)
      assert(sol.stats.rejected <= 3, tostring(sol))
    end
    local rk4 = cs.ode { field = function(t, y) return -0.7 * y + u(t) end, solver = "rk4", step = 0.01 }
    near(rk4({ 1 }, { 0.1, 1.9 })[2][1], exact(1, 0.7, times, values, 0.1, 1.9), 1e-10)
  end)

  it("has knots of each row", function()
    local t = cs.rows(cs.tensor { { 0, 0.4 }, { 0, 1.1 }, { 0, 1.1 } })
    local v = cs.rows(cs.tensor { { 1, 2 }, { 3, 0 }, { 0, 5 } })
    local u = cs.control(t, v, "constant")
    local flow = cs.ode { field = function(s, y) return -0.7 * y + u(s):reshape(-1, 1) end, rtol = 1e-9, atol = 1e-11 }
    local y = flow(cs.rows(cs.ones(3, 1)), { 0, 2 })
    for i = 1, 3 do near(y[i][2][1], exact(1, 0.7, t[i]:totable(), v[i]:totable(), 0, 2), 1e-8) end
  end)

  it("has gradients in values, state, times and parameters", function()
    local p = cs.parameters { k = 0.7 }
    local k = p.flat
    for _, span in ipairs { { 0, 1.2, 2 }, { 0.2, 1.7, 2.5 }, { 1.8, 1, 0.5 } } do
      for _, kind in ipairs { "constant", "linear", "hermite" } do
        for _, method in ipairs { "discrete", "backsolve", "interpolating", "quadrature" } do
          local tol = 1e-12 -- differences see the noise of other step sizes
          local function loss(v, y0, t)
            local u = cs.control(times, v, kind)
            local flow = cs.ode { field = function(s, y) return -p.k * y + u(s) * cs.sin(y + s) end, rtol = tol, atol = tol,
              gradient = method }
            local y = flow(y0, t)
            return (y ^ 2):slice(1, 2, 3):sum()
          end
          local x = { cs.tensor(values), cs.tensor { 0.8 }, cs.tensor(span) }
          local g = { cs.grad(loss)(table.unpack(x)) }
          local function difference(get, set)
            return fourth_order(get(), function(a)
              set(a)
              return loss(table.unpack(x)):item()
            end)
          end
          local corner = { [0] = true, [0.5] = true, [2] = true } -- a time at a jump: only one side has a derivative
          for i = 1, 3 do
            for j = 1, x[i].count do
              if not (i == 3 and corner[span[j]]) then
                -- Steps move with the start: where u bends inside them, so does what they miss there.
                local allowed = kind == "hermite" and i == 3 and 2e-6 or 1e-7
                near(g[i][j], difference(function() return x[i]:get(j) end, function(a) x[i]:set(j, a) end), allowed)
              end
            end
          end
          local gk = cs.grad(function() return loss(table.unpack(x)) end)(p)
          near(gk[1], difference(function() return k[1] end, function(a) k[1] = a end), 1e-7)
        end
      end
    end
  end)

  it("has tangents and second derivatives", function()
    local y0 = cs.tensor { 0.8 }
    for _, kind in ipairs { "constant", "linear", "hermite" } do
      local function final(v, t)
        local u = cs.control(times, v, kind)
        local flow = cs.ode { field = function(s, y) return -0.7 * y + u(s) ^ 2 * cs.sin(y + s) end, rtol = 1e-12, atol = 1e-12 }
        local y = flow(y0, t)
        return (y ^ 2):sum()
      end
      local v, t = cs.tensor(values), cs.tensor { 0.2, 0.7, 1.7, 2.4 }
      local gv, gt = cs.grad(final)(v, t)
      local dv, dt = cs.tensor { 1, -2, 0.5, 0.3 }, cs.tensor { 0.4, -1, 0.7, 0.9 }
      local _, forward = cs.jvp(final)({ v, t }, { dv, dt })
      near(forward:item(), (gv * dv):sum():item() + (gt * dt):sum():item(), 1e-9)
      local hv = cs.hvp(function(x) return final(x, t) end)(v, dv)
      for i = 1, 4 do
        near(hv[i], fourth_order(0, function(a) return cs.grad(final)(v + a * dv, t)[i] end), 1e-7)
      end
    end
  end)

  it("is the same in a batch of many chunks as row by row", function()
    local n = 200
    local rng = cs.rng(3)
    local t = cs.rows(cs.stack({ cs.zeros(n), rng:uniform(n) + 0.2, rng:uniform(n) + 1.3 }, 2))
    local y0, shared, own = cs.rows(rng:normal(n, 1)), rng:normal(3), cs.rows(rng:normal(n, 3))
    for _, kind in ipairs { "constant", "linear" } do
      local function loss(knots, start, v, w)
        local u, q = cs.control(knots, v, kind), cs.control(knots, w, kind)
        local flow = cs.ode { field = function(s, y) return (u(s) * q(s)):reshape(-1, 1) - cs.sin(y) end, rtol = 1e-10, atol = 1e-10 }
        return (flow(start, { 0, 1, 2.5 }) ^ 2):sum()
      end
      local gt, gy, gv, gw = cs.grad(loss)(t, y0, shared, own)
      near(gt, cs.zeros_like(t), 0)
      local sum, step = cs.zeros(3), 40
      for i = 1, n, step do
        local function part(x) return cs.rows(cs.shared(x):slice(1, i, i + step - 1)) end
        local _, sy, sv, sw = cs.grad(loss)(part(t), part(y0), shared, part(own))
        near(cs.shared(gy):slice(1, i, i + step - 1), cs.shared(sy), 1e-7)
        near(cs.shared(gw):slice(1, i, i + step - 1), cs.shared(sw), 1e-7)
        sum = sum + sv
      end
      near(gv, sum, 1e-7)
    end
  end)

  it("records less than it has memory for", function()
    local v = cs.tensor(values)
    local function loss(memory)
      return cs.grad(function(x)
        local u = cs.control(times, x, "constant")
        return cs.ode { field = function(s, y) return -0.7 * y + u(s) * cs.sin(y) end, rtol = 1e-8, memory = memory }
          ({ 1 }, { 0, 3 })[2]:sum()
      end)(v)
    end
    near(loss(12000), loss(), 0)
  end)
end)
