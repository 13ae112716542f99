-- SPDX-License-Identifier: GPL-3.0-or-later
-- Events: found, handled once, differentiable.
local cs = require "costate"

local function ball(p, more)
  local o = { rtol = 1e-10, atol = 1e-12,
    field = function(_, s)
      local _, v = s:columns()
      return cs.stack { v, 0 * v - p.g }
    end,
    events = { { when = function(_, s) return s:column(1) end, direction = "falling", most = 8,
      reset = function(_, s) return cs.stack { 0 * s:column(1), -p.e * s:column(2) } end } } }
  for k, v in pairs(more or {}) do o[k] = v end
  return cs.ode(o)
end

--- Height at time t of a ball dropped from h.
local function height(h, g, e, t)
  local speed, at = math.sqrt(2 * g * h), math.sqrt(2 * h / g)
  if t <= at then return h - g * t ^ 2 / 2 end
  while true do
    speed = e * speed
    local flight = 2 * speed / g
    if t <= at + flight then return speed * (t - at) - g * (t - at) ^ 2 / 2 end
    at = at + flight
  end
end

local function slope(f, x, h) return (f(x + h) - f(x - h)) / (2 * h) end

describe("events", function()
  it("bounce a ball as often as it falls", function()
    local t = cs.linspace(0, 2, 21)
    local values, happened = ball({ g = 9.81, e = 0.8 })({ 1, 0 }, t)
    for i = 1, 21 do near(values[i][1], height(1, 9.81, 0.8, t[i]), 1e-8) end
    assert(happened.count:item() == 3 and happened.complete:item() == 1)
    local first = math.sqrt(2 / 9.81)
    near(happened.times[1], first, 1e-12)
    near(happened.times[2], first * (1 + 2 * 0.8), 1e-12)
    near(happened.states[2], { 0, -0.8 * math.sqrt(2 * 9.81) }, 1e-8)
    near(happened.which, { 1, 1, 1, 0, 0, 0, 0, 0 }, 0)
  end)

  for _, gradient in ipairs { "discrete", "backsolve", "interpolating", "quadrature" } do
    it("have derivatives in state, parameters and times: " .. gradient, function()
      local p = cs.parameters { g = 9.81, e = 0.8 }
      local function loss(y0, time)
        local values, happened = ball({ g = p.g, e = p.e }, { gradient = gradient })(y0, cs.stack { 0, 0.7, time })
        return values:slice(1, 2, 3):column(1):sum() + happened.times:slice(1, 1, 2):sum()
      end
      local function closed(h, g, e, time)
        local first = math.sqrt(2 * h / g)
        return height(h, g, e, 0.7) + height(h, g, e, time) + first + first * (1 + 2 * e)
      end
      local y_bar, t_bar, p_bar = cs.grad(function(y0, time, _) return loss(y0, time) end)(cs.tensor { 1, 0 }, cs.tensor(1.6), p)
      local tolerance = 1e-6
      near(y_bar[1], slope(function(h) return closed(h, 9.81, 0.8, 1.6) end, 1, 1e-5), tolerance)
      near(p_bar[1], slope(function(e) return closed(1, 9.81, e, 1.6) end, 0.8, 1e-5), tolerance)
      near(p_bar[2], slope(function(g) return closed(1, g, 0.8, 1.6) end, 9.81, 1e-5), tolerance)
      near(t_bar:item(), slope(function(time) return closed(1, 9.81, 0.8, time) end, 1.6, 1e-5), tolerance)
    end)
  end

  it("have tangents, also in the last time, and survive a program that replays its steps", function()
    local y0 = cs.rows(cs.tensor { { 1, 0 }, { 2, 0 }, { 5, 1 } })
    local flow = ball { g = 9.81, e = 0.5 }
    local function loss(y, t) return (flow(y, t) ^ 2):sum() end
    local t = cs.tensor({ 0, 0.5, 1 }, "f64")
    local y_bar, t_bar = cs.grad(loss)(y0, t)
    for k = 1, 3 do
      local e = cs.tensor({ k == 1 and 1 or 0, k == 2 and 1 or 0, k == 3 and 1 or 0 }, "f64")
      local _, dot = cs.jvp(loss)({ y0, t }, { 0 * y0, e })
      near(dot:item(), t_bar[k], 1e-9)
    end
    local _, dot = cs.jvp(loss)({ y0, t }, { cs.ones_like(y0), 0 * t })
    near(dot:item(), y_bar:sum():item(), 1e-9)
    flow(y0, t)
    local program = flow.last.program
    program:configure(1, true)
    local status, message = program:run()
    assert(status == "ok", message)
  end)

  it("happen to each row at its own time", function()
    local y0 = cs.rows(cs.tensor { { 1, 0 }, { 2, 0 }, { 5, 1 } })
    local values, happened = ball({ g = 9.81, e = 0.5 })(y0, { 0, 0.5, 1 })
    for i, h in ipairs { 1, 2 } do near(values[i][3][1], height(h, 9.81, 0.5, 1), 1e-8) end
    near(happened.count, { 2, 1, 0 }, 0)
    assert(happened.times.shape[1] == 3 and happened.times.shape[2] == 8)
    near(happened.states[1][2], { 0, -0.5 * math.sqrt(2 * 9.81) }, 1e-8)
    raises(function() ball({ g = 9.81, e = 0.5 }, { control = "batch" })(y0, { 0, 1 }) end, "control", "row")
  end)

  it("happen at an output, which has a value", function()
    -- located on the dense output, sharpened after: the output may lie between the two times
    for _, solver in ipairs { "dopri5", "dop853", "bosh3" } do
      for _, rtol in ipairs { 1e-3, 1e-6, 1e-9 } do
        local v, happened = cs.ode { solver = solver, rtol = rtol, atol = rtol,
          field = function(_, s)
            local x, v = s:columns()
            return cs.stack { v, -x }
          end,
          events = { { when = function(_, s) return s:column(1) end, most = 2,
            reset = function(_, s) return cs.stack { 0 * s:column(1), -s:column(2) } end } } }({ 0, 1 },
          { 0, math.pi / 2, math.pi, 4 })
        v = v:abs() -- within the tolerance the event may come just before the output as well
        near(v, { { 0, 1 }, { 1, 0 }, { 0, 1 }, { math.sin(4 - math.pi), math.cos(4 - math.pi) } }, 20 * rtol)
        near(happened.count:item(), 1, 0)
      end
    end
    local function ramp(t)
      return cs.ode { field = function(_, y) return 0 * y + 1 end,
        events = { { when = function(_, y) return y:column(1) ^ 2 - 1 / 4 end, most = 3,
          reset = function(_, y) return 2 * y end } } }({ 0 }, t)
    end
    near(ramp { 0, 0.25, 0.5 }, { { 0 }, { 0.25 }, { 0.5 } }, 1e-15)
    near(ramp { 0, -0.25, -0.5, -1 }, { { 0 }, { -0.25 }, { -0.5 }, { -1.5 } }, 1e-12)
  end)

  it("happen where a function jumps over zero", function()
    local u = cs.control({ 0, 0.5 }, { 1, 3 }, "constant")
    local v, happened = cs.ode { field = function(_, y) return 0 * y + 1 end,
      events = { { when = function(t, y) return u(t) - 2 + 1e-3 * y:column(1) end, reset = function(_, y) return y + 1 end } } }(
      { 0 }, { 0, 0.25, 1 })
    near(v, { { 0 }, { 0.25 }, { 2 } }, 1e-9)
    near(happened.times[1], 0.5, 1e-12)
  end)

  it("refuse functions whose rows depend on each other", function()
    local flow = cs.ode { field = function(_, y) return -y end, events = { { when = function(_, y)
      return y:column(1) - y:mean()
    end } } }
    raises(function() flow(cs.rows(cs.tensor { { 1 }, { 2 } }), { 0, 1 }) end, "events", "depend on each other", "events_spec.lua")
  end)

  it("happen to a batch that is not rows yet, beside parts given as a number", function()
    local flow = cs.ode { field = function() return { n = 0, x = 1 } end, events = { {
      when = function(_, s) return s.x:column(1) - 0.5 end,
      reset = function(_, s) return { n = s.n + 1, x = s.x - 0.5 } end } } }
    near(flow({ n = 0, x = { { 0 }, { 0.1 } } }, { 0, 0.75, 1.3 }).n, { { 0, 1, 2 }, { 0, 1, 2 } }, 0)
    raises(function()
      cs.grad(function(y) return (flow({ n = 0, x = y }, { 0, 1 }).x):sum() end)(cs.tensor { { 0 }, { 0.1 } })
    end, "cs.rows")
    raises(function() ball({ g = 9.81, e = 0.8 })({ 1, 0 }, { 0, 2, 1 }) end, "time 3 of 3", "out of order")
  end)

  it("happen to no rows", function()
    local v, happened = ball({ g = 9.81, e = 0.5 })(cs.rows(cs.zeros(0, 2)), { 0, 1 })
    assert(v.shape[1] == 0 and happened.count.shape[1] == 0)
  end)

  it("refuse a reset that gives no state, or parts that are not there", function()
    local function with(reset)
      return cs.ode { field = function(_, s) return { x = 0 * s.x + 1, n = 0 } end,
        events = { { when = function(_, s) return s.x:column(1) - 0.5 end, reset = reset } } }
    end
    local y0 = { x = { 0 }, n = { 0 } }
    near(with(function(_, s) return { n = s.n + 1 } end)(y0, { 0, 1 }).n, { { 0 }, { 1 } }, 0)
    raises(function() with(function(_, s) return { xx = s.x } end)(y0, { 0, 1 }) end, "'xx'", "reset of event 1", "'x'")
    raises(function() with(function() end)(y0, { 0, 1 }) end, "reset of event 1", "got a nil")
  end)

  it("end a solve, and its state is held", function()
    local flow = cs.ode { rtol = 1e-10, field = function(_, y) return -y end,
      events = { { when = function(_, y) return y:column(1) - 0.5 end, terminal = true } } }
    local values, happened = flow({ 1 }, { 0, 0.5, 1, 2 })
    near(values, { { 1 }, { math.exp(-0.5) }, { 0.5 }, { 0.5 } }, 1e-9)
    near(happened.times[1], math.log(2), 1e-9)
    local sol = flow:solve({ 1 }, { 0, 2 })
    assert(sol.status == "ok" and sol.events.count:item() == 1)
  end)

  it("count from when a function that starts at zero has left it", function()
    local orbit = function(_, s)
      local x, v = s:columns()
      return cs.stack { v, -x }
    end
    local x = function(_, s) return s:column(1) end
    local none = { rtol = 1e-10, field = orbit }
    local function times(y0, direction, to)
      none.events = { { when = x, direction = direction, terminal = true } }
      local _, happened = cs.ode(none)(y0, { 0, to })
      return happened.count:item() > 0 and happened.times[1] or nil
    end
    near(times({ 0, 1 }, "both", 10), math.pi, 1e-9)
    near(times({ 0, 1 }, "rising", 10), 2 * math.pi, 1e-9)
    near(times({ 1, 0 }, "rising", 10), 1.5 * math.pi, 1e-9)
    near(times({ 1, 0 }, "falling", 10), 0.5 * math.pi, 1e-9)
    assert(times({ 1, 0 }, "both", 1) == nil)
    near(times({ 1, 0 }, "falling", -10), -0.5 * math.pi, 1e-9) -- along the solve, which goes back in time
  end)

  it("see a function that passes zero twice within a step", function()
    local flow = cs.ode { field = function(_, y) return 0 * y + 1 end, rtol = 1e-3, first_step = 1, events = {
      { when = function(_, y) return (y:column(1) - 0.45) * (y:column(1) - 0.55) end, terminal = true } } }
    local _, happened = flow({ 0 }, { 0, 1 })
    near(happened.times[1], 0.45, 1e-9)
  end)

  it("are several, the first of which counts, with parts of a state", function()
    local flow = cs.ode { rtol = 1e-10, field = function(_, s) return { a = 0 * s.a + 1, b = 0 * s.b - 1 } end, events = {
      { when = function(_, s) return s.a - 2 end, reset = function(_, s) return { a = 0 * s.a } end },
      { when = function(t) return t - 3 end, reset = function(_, s) return { b = s.b + 10 } end },
    } }
    local values, happened = flow({ a = 0, b = 0 }, { 0, 1, 2.5, 5 })
    near(values.a, { 0, 1, 0.5, 1 }, 1e-9)
    near(values.b, { 0, -1, -2.5, 5 }, 1e-9)
    near(happened.which:slice(1, 1, 4), { 1, 2, 1, 0 }, 0)
  end)

  it("say when there are too many, and what is wrong with them", function()
    local flow = ball({ g = 9.81, e = 0.99 })
    local sol = flow:solve({ 0.01, 0 }, { 0, 10 })
    assert(sol.status == "events" and sol.message:find("more than 8", 1, true), sol.message)
    local function with(e) return function() return cs.ode { field = function(_, y) return y end, events = { e } } end end
    raises(with { when = function() end, directon = "falling" }, "directon", "did you mean 'direction'")
    raises(with { direction = "falling" }, "'when'")
    raises(with { when = function() end, direction = "down" }, "rising", "down")
    raises(with { when = function() end, terminal = true, reset = function() end }, "terminal and has a reset")
    raises(function() with { when = function(_, y) return y end }()({ 1, 2 }, { 0, 1 }) end, "one number for each row")
    raises(function() with { when = function() return 1 end }()({ 1, 2 }, { 0, 1 }) end, "must give a value")
  end)

  it("are learned: where a threshold lies", function()
    local p = cs.parameters { level = 0.2 }
    local flow = cs.ode { rtol = 1e-9, field = function(_, y) return -y end,
      events = { { when = function(_, y) return y:column(1) - p.level end, terminal = true } } }
    cs.train { parameters = p, optimizer = cs.optim.adam { lr = 0.05 }, steps = 200, quiet = true,
      loss = function()
        local _, happened = flow(cs.tensor { 1 }, { 0, 5 })
        return (happened.times:slice(1, 1, 1) - math.log(2)):square():sum()
      end }
    near(p.level:item(), 0.5, 1e-3)
  end)
end)
