-- SPDX-License-Identifier: GPL-3.0-or-later
local core = require "costate.core"
local ivp = require "costate.bench.ivp"

local solvers <const> = { "trbdf2", "kvaerno3", "kencarp4", "kencarp5", "kvaerno5", "gsl.bsimp", "gsl.msbdf", "gsl.rk4imp",
  "sundials.cvode_bdf", "sundials.ark_dirk" }

local function run(b)
  if core.dtype() ~= "f64" then core.fail("ivp_stiff is of f64: run it with --dtype f64") end
  ivp.run(b, ivp.stiff, solvers, { 1e-4, 1e-6, 1e-8 }, "kencarp5")
end

return { help = "Robertson, Van der Pol, HIRES, OREGO, Brusselator: every implicit solver, error against evaluations (f64)", run = run }
