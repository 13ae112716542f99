-- SPDX-License-Identifier: GPL-3.0-or-later
local core = require "costate.core"
local ivp = require "costate.bench.ivp"

local solvers <const> = { "bosh3", "fehlberg45", "cashkarp45", "dopri5", "tsit5", "dop853", "gsl.rk8pd", "gsl.msadams",
  "sundials.cvode_adams" }

local function run(b)
  if core.dtype() ~= "f64" then core.fail("ivp_nonstiff measures down to 1e-12: run it with --dtype f64") end
  ivp.run(b, ivp.nonstiff, solvers, { 1e-3, 1e-6, 1e-9, 1e-12 }, "dop853")
end

return { help = "DETEST, Lorenz, Pleiades, Arenstorf: every explicit solver, error against evaluations and time (f64)", run = run }
