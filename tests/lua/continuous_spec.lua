-- SPDX-License-Identifier: GPL-3.0-or-later
-- The gradients along the stored forward solution, as scripts ask for them.
local cs = require "costate"
local core = require "costate.core"
local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or "./"
local robertson = dofile(here .. "robertson.lua")

local times <const> = { 0, 0.4, 4, 40 }

--- Those of one row at a time among them; sundials may be missing.
local solvers <const> = { "kencarp4", "gsl.msbdf", "gsl.bsimp",
  core.find("solver", "sundials.cvode_bdf") and "sundials.cvode_bdf" }

local function gradient_of(p, y0, options)
  options.field, options.rtol, options.atol = robertson(p), options.rtol or 1e-7, 1e-11
  local flow = cs.ode(options)
  return cs.grad(function() return (flow(y0, times) * cs.tensor { 1, 1e3, -2 }):sum() end)(p)
end

describe("gradients along the forward solution", function()
  local p = cs.parameters { a = 0.1, b = -0.1, c = 0.2 }
  local one, two = { 1, 0, 0 }, cs.rows(cs.tensor { { 1, 0, 0 }, { 0.8, 1e-5, 0.1 } })
  local exact = {}
  for i, y0 in ipairs { one, two } do
    exact[i] = gradient_of(p, y0, { solver = "kencarp5", gradient = "discrete", rtol = 1e-9 }):totable()
  end

  for _, name in ipairs { "interpolating", "quadrature" } do
    it("take solvers that others refuse: " .. name, function()
      for _, solver in ipairs(solvers) do
        for i, y0 in ipairs { one, two } do
          near(gradient_of(p, y0, { solver = solver, gradient = name }), exact[i], 2e-4)
        end
      end
    end)

    it("take rows each with its own steps: " .. name, function()
      for _, solver in ipairs { "kvaerno3", "kencarp4" } do
        near(gradient_of(p, two, { solver = solver, control = "row", gradient = name }), exact[2], 2e-4)
      end
    end)

    it("have tolerances and a solver of their own: " .. name, function()
      local loose = gradient_of(p, one, { solver = "kencarp4", gradient = { name, rtol = 1e-4, atol = 1e-6 } })
      local tight = gradient_of(p, one, { solver = "kencarp4", gradient = { name, rtol = 1e-8, solver = "kvaerno3" } })
      near(tight, exact[1], 2e-4)
      near(loose, exact[1], 1e-2)
      assert((loose - tight):abs():max():item() > 1e-5)
    end)

    it("need no Jacobian of an explicit solver, nor its jvp for an implicit one backwards: " .. name, function()
      local net = cs.nn.mlp { 2, 4, 2, name = "gradients" }
      local y0 = cs.rows(cs.tensor { { 0.3, 1 }, { -0.2, 0.5 } })
      local function gradient(g)
        local flow = cs.ode { field = function(_, y) return net(y) end, rtol = 1e-9, atol = 1e-11, gradient = g }
        return cs.grad(function() return (flow(y0, { 0, 0.5, 1 }) ^ 2):sum() end)(net)
      end
      local reference = gradient("discrete"):totable()
      near(gradient(name), reference, 1e-6)
      -- kencarp5 takes long steps, and between them lambda is a cubic
      near(gradient { name, solver = "kencarp5" }, reference, name == "quadrature" and 1e-5 or 1e-6)
    end)

    it("say what is wrong with their options, and when memory is short: " .. name, function()
      local field = function(_, y) return -y end
      raises(function() cs.ode { field = field, gradient = { name, rtoll = 1 } } end, "rtoll", "did you mean 'rtol'")
      raises(function() gradient_of(p, one, { gradient = { name, solver = "kencarp6" } }) end, "did you mean 'kencarp4'")
      raises(function() gradient_of(p, one, { solver = "kencarp4", gradient = name, memory = 4000 }) end,
        "memory", "bytes", 'gradient = "discrete"')
    end)
  end

  it("are what refused solvers are pointed to", function()
    for _, name in ipairs { "discrete", "backsolve" } do
      raises(function() gradient_of(p, one, { solver = "gsl.msbdf", gradient = name }) end, 'gradient = "interpolating"')
    end
  end)
end)
