-- SPDX-License-Identifier: GPL-3.0-or-later
local cs = require "costate"

local tolerances <const> = { { 1e-3, 1e-6 }, { 1e-7, 1e-9 } }

local function run(b)
  local data = cs.dataset "cubic_spiral" { points = 30, t1 = 1.5 }
  local net = cs.nn.mlp { 2, 50, 2, activation = "tanh", init = "normal", scale = 0.1, name = "spiral" }
  local y0 = cs.tensor { 2, 0 }
  b:input("weights", net.flat)
  b:input("times", data.t)
  b:input("y0", y0)
  b:input("target", data.y)
  local function measure(tolerance, gradient, name, loss)
    local flow = cs.ode { field = function(_, y) return net(y ^ 3) end, solver = "tsit5", rtol = tolerance[1],
      atol = tolerance[2], gradient = gradient }
    local it = b:iteration(function()
      local squares = (flow(y0, data.t) - data.y) ^ 2
      return loss == "sum" and squares:sum() or squares:mean()
    end, { net })
    local variant = ("%.0e"):format(tolerance[1]):gsub("e%-0", "e-")
    b:measure(it, { gradient = name, variant = loss and variant .. ", sum of squares" or variant })
  end
  for _, tolerance in ipairs(tolerances) do
    for _, gradient in ipairs { "discrete", "backsolve" } do measure(tolerance, gradient, gradient) end
  end
  -- What the seminorm saves; with the small cotangents of a mean one step a save is enough either way.
  measure(tolerances[2], "backsolve", "backsolve", "sum")
  measure(tolerances[2], { "backsolve", seminorm = false }, "backsolve, full norm", "sum")
end

return { help = "gradient of one spiral with 30 saves on 0..1.5, MLP 2-50-2, tsit5 at two tolerances", run = run }
