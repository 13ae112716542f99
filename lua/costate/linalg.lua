-- SPDX-License-Identifier: GPL-3.0-or-later
-- cs.linalg: linear systems, least squares and Cholesky factors, differentiable. The ops are those of the
-- plugin linalg, which is loaded when one is first used.
local array = require "costate._array"
local core = require "costate.core"
local options = require "costate._options"

local M = {}

local function arrays(what, ...)
  local out = { ... }
  for i = 1, select("#", ...) do out[i] = array(out[i], ("argument %d of linalg.%s"):format(i, what)) end
  return out
end

local transposable <const> = { transposed = "boolean" }

--- x with A x = b; with transposed = true, A^T x = b.
function M.solve(a, b, given, ...)
  options.no_more("linalg.solve(a, b, options)", ...)
  local o = options.check("linalg.solve", given or {}, transposable)
  return core.node("linalg.solve", arrays("solve", a, b), { o.transposed or false })
end

--- x with L x = b, or L^T x = b, where L is the lower triangle of the matrix given.
function M.solve_lower(l, b, given, ...)
  options.no_more("linalg.solve_lower(l, b, options)", ...)
  local o = options.check("linalg.solve_lower", given or {}, transposable)
  return core.node("linalg.solve_lower", arrays("solve_lower", l, b), { o.transposed or false })
end

--- With transposed = true the two diagonals beside the main one change places.
function M.solve_tridiagonal(lower, diagonal, upper, b, given, ...)
  options.no_more("linalg.solve_tridiagonal(lower, diagonal, upper, b, options)", ...)
  local o = options.check("linalg.solve_tridiagonal", given or {}, transposable)
  if o.transposed then lower, upper = upper, lower end
  return core.node("linalg.solve_tridiagonal", arrays("solve_tridiagonal", lower, diagonal, upper, b))
end

--- bands [lower + upper + 1, n]: row r holds the diagonal r - 1 - lower above the main one, column i equation i.
function M.solve_banded(bands, b, given, ...)
  options.no_more("linalg.solve_banded(bands, b, options)", ...)
  local o = options.check("linalg.solve_banded", given, { lower = "integer!", upper = "integer!", transposed = "boolean" })
  return core.node("linalg.solve_banded", arrays("solve_banded", bands, b), { o.lower, o.upper, o.transposed or false })
end

function M.cholesky(a, ...)
  options.no_more("linalg.cholesky(a)", ...)
  return core.node("linalg.cholesky", arrays("cholesky", a))
end

--- The x that makes |A x - b|^2 + ridge |x|^2 least.
function M.lstsq(a, b, given, ...)
  options.no_more("linalg.lstsq(a, b, options)", ...)
  local o = options.check("linalg.lstsq", given or {}, { ridge = "number" })
  return core.node("linalg.lstsq", arrays("lstsq", a, b), {}, { o.ridge or 0 })
end

return M
