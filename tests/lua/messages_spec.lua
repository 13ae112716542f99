-- SPDX-License-Identifier: GPL-3.0-or-later
-- What messages say of failures in numbers: who failed, what it needed, and advice that can help.
local cs = require "costate"

local function decay(_, y) return -y end
local function gradient_of(options, span)
  options.field = options.field or decay
  local flow = cs.ode(options)
  return function() return cs.grad(function(y) return flow:map(0, span or 1)(y):sum() end)(cs.tensor { 1, 2, 3, 4 }) end
end

--- The error of f has the first text, and not the second.
local function advises(f, text, other)
  local e = raises(f, text)
  assert(not e:find(other, 1, true), e)
end

describe("messages", function()
  it("of singular systems speak of what the script wrote", function()
    local flat = { { 1, 1 }, { 2, 2 }, { 3, 3 } }
    advises(function() cs.linalg.solve({ { 1, 1 }, { 2, 2 } }, { 1, 2 }) end, "cs.linalg.lstsq", "implicit")
    advises(function() cs.linalg.lstsq(flat, { 1, 2, 3 }) end, "linalg.lstsq: the matrix is singular", "use cs.linalg.lstsq")
    raises(function() cs.linalg.lstsq(flat, { 1, 2, 3 }) end, "ridge")
    local implicit = cs.implicit { constraint = function(u) return u ^ 2 + 1 end }
    advises(function() implicit { 1 } end, "implicit, Jacobian of the constraint", "lstsq")
    local batch = cs.implicit { constraint = function(u, s) return u ^ 2 + s end }
    raises(function() batch(cs.rows { { 1 }, { 0 } }, 1) end, "constraint: the matrix of row 2 is singular", "start elsewhere")
  end)

  it("of a way back that was lost advise what is not done yet", function()
    local function back(solver)
      return gradient_of({ solver = solver, gradient = "reversible", step = 0.01,
        field = function(_, y) return -5 * y end }, 30)
    end
    advises(back { "reversible.alf", damping = 1 }, "try fewer steps, or", "nearer 1")
    raises(back { "reversible.alf", damping = 0.9 }, "a damping nearer 1")
    raises(back { "reversible.rk4", coupling = 0.9 }, "a coupling nearer 1")
    advises(back { "reversible.rk4", coupling = 1 }, "try fewer steps, or", "nearer 1")
  end)

  -- From 1e-150 the values stay finite where their derivative, the same product over 1e-150, is not: by R(-10) = 1124
  -- a step of dopri5, which is at the border of its stability at 3.3, and by e^5 a unit of time where the field says so.
  it("of gradients that grew beyond the float type name the row, and the steps if they are why", function()
    local weight = cs.rows { { 0 }, { 1 } }
    local function back(rate, step, control)
      local flow = cs.ode { field = function(_, y) return rate * y end, step = step, control = control }
      return function()
        return cs.grad(function(y) return (weight * flow:map(0, 120)(y)):sum() end)(cs.rows { { 1e-150 }, { 1e-150 } })
      end
    end
    advises(back(-10, 1, "row"), "the fastest rate of the field is 10, and the derivative of such steps", "use f64")
    raises(back(-10, 1, "row"), "in row 2", "gradient by y[1]", "a smaller rtol")
    raises(back(-10, 1, "batch"), "gradient by y[1] of row 2", "stability alone held the steps")
    advises(back(6, 0.01, "row"), "it grew beyond the range of f64", "stability")
  end)

  it("of gradients do not blame a solve for what came to it", function()
    local flow = cs.ode { field = decay }
    local g = cs.grad(function(y) return (flow:map(0, 1)(y) * (1 / 0)):sum() end)(cs.tensor { 1, 2 })
    assert(g[1] ~= g[1] or g[1] == math.huge)
  end)

  it("of budgets name the option and the bytes", function()
    raises(gradient_of { memory = 1 }, "memory = 1 bytes", "it takes 64")
    raises(gradient_of { memory = 1, checkpoints = 1 }, "memory = 1 bytes", "it takes 128")
    for _, gradient in ipairs { "interpolating", "quadrature" } do
      raises(gradient_of { memory = 100, gradient = gradient }, "option memory, 100 bytes", "160 with each step")
    end
    assert(gradient_of { memory = 128, checkpoints = 1 }())
  end)

  it("of options that are tables where a name is meant say so", function()
    raises(function() cs.ode { field = decay, gradient = { "interpolating", solver = { "kencarp4" } } } end,
      "option 'solver' of gradient 'interpolating' is a name, not a table")
  end)

  it("of a Jacobian are its own", function()
    local function of(f, ...)
      local given = table.pack(...)
      return function() cs.jacobian(f)(table.unpack(given, 1, given.n)) end
    end
    local function same(x) return x end
    raises(of(same, 3), "jacobian: the argument")
    raises(of(same), "jacobian: the argument", "nil")
    raises(of(function() return 3 end, { 1, 2 }), "jacobian: the function must return a value, got a number")
    raises(of(function() end, { 1, 2 }), "jacobian: the function must return a value, got a nil")
  end)

  it("of a map that is inverted without itself show the colon", function()
    local phi = cs.ode { field = decay }:map(0, 1)
    raises(function() phi.inverse() end, "phi:inverse()")
  end)
end)

describe("near", function()
  it("takes tables of numbers", function()
    assert(cs.tensor { 1, 2 }:near { 1, 2 + 1e-10 })
    local near, worst = cs.tensor { { 1, 2 } }:near({ { 1, 2.5 } }, 0.1)
    assert(not near and worst == 0.5)
    raises(function() cs.tensor { 1, 2 }:near { 1 } end, "[2] and [1]")
    raises(function() cs.tensor { 1, 2 }:near { 1, "x" } end, "numbers")
  end)
end)
