-- SPDX-License-Identifier: GPL-3.0-or-later
-- The divergence of a vector field, tr J with J = df/dx, and |J|_F^2, the square of the Frobenius norm, row by row,
-- from products J v with vectors v that share one evaluation of f:
--   exact        v = e_1 .. e_D:     tr J = sum_i (J e_i)_i                   |J|_F^2 = sum_i |J e_i|^2
--   hutchinson   E v v^T = I:        tr J = E v.(J v)                         |J|_F^2 = E |J v|^2
--                (Hutchinson 1990; as in FFJORD, Grathwohl et al. 2019). The variance of one vector is
--                |J + J^T|_F^2 / 2 for Gaussian v, and the same of J without its diagonal for v of +-1.
--   hutch++      Q spans J S, S [D, m]:  tr J = tr Q^T J Q + E v.(P J P v),   P = I - Q Q^T, exact for rank J <= m
--                (Meyer, Musco, Musco, Woodruff 2021)
-- The mean over `samples` vectors is the estimate. All are differentiable, and those of a solve are drawn once
-- before it: an estimate that changed from one evaluation to the next would not be the derivative of anything.
local array = require "costate._array"
local core = require "costate.core"
local options = require "costate._options"
local random = require "costate.random"
local transform = require "costate.transform"

local M = { names = { "exact", "hutch++", "hutchinson" } }

local function dots(a, b) return core.sum(a * b, 3) end

-- ---- vectors ---------------------------------------------------------------------------------------------

local kinds = {
  gaussian = function(shape) return random.normal(shape, { rows = true }) end,
  rademacher = function(shape) return 1 - 2 * core.lt(random.uniform(shape, { rows = true }), 0.5) end,
}

--- Vectors an estimate needs for each sample: hutch++ has one to find the range with, one to try the rest.
local each <const> = { hutchinson = 1, ["hutch++"] = 2 }

-- ---- the methods: f, x [B, D], v [B, samples, D] -> f(x), tr J, |J|_F^2, each but the first [B] ----------------

local methods = {}

function methods.exact(f, x)
  local e = transform.units(x)
  local y, j = transform.pushed(f, x, e)
  return y, core.sum(j * e, { 2, 3 }), core.sum(core.square(j), { 2, 3 })
end

function methods.hutchinson(f, x, v)
  local y, jv = transform.pushed(f, x, v)
  return y, core.mean(dots(v, jv), 2), core.mean(dots(jv, jv), 2)
end

--- Orthonormal vectors with the span of the rows of a [B, m, D], by Gram and Schmidt; a vector of which rounding is
--- all that is left is none.
local function orthonormal(a)
  local q, m = {}, a.shape[2]
  local least = a.dtype == "f32" and 1e-6 or 1e-14
  for i = 1, m do
    local whole = core.slice(a, 2, i, i)
    local v = whole
    for _, u in ipairs(q) do v = v - core.sum(u * v, 3, true) * u end
    local left = core.sum(core.square(v), 3, true)
    local there = core.lt(least * core.sum(core.square(whole), 3, true), left)
    q[i] = v * there / core.sqrt(core.where(there, left, 1))
  end
  return m == 1 and q[1] or core.concat(q, 2)
end

methods["hutch++"] = function(f, x, v)
  local m = v.shape[2] // 2
  local s, g = core.slice(v, 2, 1, m), core.slice(v, 2, m + 1, 2 * m)
  local y, js = transform.pushed(f, x, s)
  local q = orthonormal(js)
  local rest = g - core.bmm(core.bmm(g, q, false, true), q)
  local _, jv = transform.pushed(f, x, core.concat({ q, rest }, 2))
  local jq, jrest = core.slice(jv, 2, 1, m), core.slice(jv, 2, m + 1, 2 * m)
  return y, core.sum(dots(q, jq), 2) + core.mean(dots(rest, jrest), 2), core.mean(dots(js, js), 2)
end

-- ---- public ------------------------------------------------------------------------------------------------

--- o = { method = "exact", noise = "gaussian", samples = 1 }, with what is not given filled in.
function M.resolve(o)
  o = { method = o.method or "exact", noise = o.noise or "gaussian", samples = o.samples or 1 }
  options.one_of("option 'method' of the divergence", o.method, M.names)
  options.one_of("option 'noise' of the divergence", o.noise, { "gaussian", "rademacher" })
  options.positive("divergence", "samples", o.samples)
  return o
end

--- The vectors that o asks for, for rows like x [B, D]; nil for the exact divergence.
function M.vectors(o, x)
  local count = each[o.method]
  if not count then return nil end
  if o.method == "hutch++" and o.samples > x.shape[2] then
    core.fail(("option 'samples' of hutch++ is at most the width of the state, %d, got %d"):format(x.shape[2], o.samples))
  end
  return kinds[o.noise] { x.shape[1], count * o.samples, x.shape[2] }
end

--- f, which must give as many numbers a row as x [B, D] has.
local function checked(f, x)
  return function(p)
    local y = f(p)
    if core.kind(y) and y.rank == 2 and y.shape[2] == x.shape[2] then return y end
    core.fail(("divergence: the function must return as many numbers a row as it takes, %d; got %s"):format(x.shape[2],
      core.kind(y) and ("shape [%s]"):format(table.concat(y.shape, ", ")) or "a " .. type(y)))
  end
end

--- f(x), its divergence and |J|_F^2, [B, D], [B], [B], with vectors drawn before.
function M.at(f, x, o, vectors)
  f = checked(f, x)
  transform.check_apart("divergence", f, x)
  return methods[o.method](f, x, vectors)
end

--- Vectors that were given: as many as a method takes.
local function check_vectors(o, x, v)
  if o.method == "exact" then
    core.fail("option 'vectors' of the divergence is for estimates; the exact one takes unit vectors")
  end
  local n = v.rank == 3 and v.shape[1] == x.shape[1] and v.shape[3] == x.shape[2] and v.shape[2] or 0
  if n >= 1 and n % each[o.method] == 0 then return v end
  core.fail(("option 'vectors' of the divergence has shape [B, %s, D] = [%d, n, %d], got [%s]"):format(
    o.method == "hutch++" and "2 samples" or "samples", x.shape[1], x.shape[2], table.concat(v.shape, ", ")))
end

--- cs.divergence(f [, { method =, noise =, samples =, vectors = }])(x) -> tr df/dx [B], f(x), |df/dx|_F^2 [B].
function M.divergence(f, given, ...)
  options.no_more("cs.divergence(f, options)", ...)
  local spec = { method = "string", noise = "string", samples = "integer", vectors = "tensor" }
  local t = options.check("divergence", given or {}, spec)
  local o = M.resolve(t)
  transform.need_function("divergence", f)
  return transform.compiled("the function of cs.divergence", f, function(x)
    x = core.current():value(array(x, "divergence: the argument"))
    if x.rank ~= 2 or not x.rows then
      core.fail(("divergence: the argument must be a batch of vectors (cs.rows), got shape [%s]"):format(
        table.concat(x.shape, ", ")))
    end
    local y, trace, square = M.at(f, x, o, t.vectors and check_vectors(o, x, t.vectors) or M.vectors(o, x))
    return trace, y, square
  end)
end

return M
