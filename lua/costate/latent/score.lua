-- SPDX-License-Identifier: GPL-3.0-or-later
-- How far predictions are from observations.
local core = require "costate.core"
local options = require "costate._options"
local batch = require "costate.latent.batch"

local M = {}

--- m:mse(data or b, { samples = 0 }) -> sum over observed entries of (prediction - y)^2 / how many there are. Of a
--- latent model by default that of the path from the mean of z0.
function M.mse(m, b, given)
  local o = options.check("mse", given or {}, { samples = "integer" })
  b = batch.whole(b)
  local mean = m:predict(b, { samples = o.samples or 0 })
  local error = core.sum(b.mask * core.square(mean - batch.values(b)))
  local mse = error / core.sum(b.mask)
  return core.kind(mse) == "tensor" and mse:item() or mse
end

return M
