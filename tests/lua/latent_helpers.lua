-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the specs of latent models share: small batches, small models, a linear Gaussian one.
local cs = require "costate"

local M = {}

function M.rows(x, dtype) return cs.rows(cs.tensor(x, dtype)) end

--- A batch of lists: series { t = { .. }, y = { { .. }, .. }, mask = { { .. }, .. } }, padded as data sets do it.
function M.batch(list, more)
  local b, longest = { t = {}, y = {}, mask = {}, lengths = {} }, 0
  for _, s in ipairs(list) do longest = math.max(longest, #s.t) end
  for i, s in ipairs(list) do
    b.t[i], b.y[i], b.mask[i], b.lengths[i] = {}, {}, {}, #s.t
    for k = 1, longest do
      local c = #s.y[1]
      b.t[i][k] = s.t[math.min(k, #s.t)]
      b.y[i][k], b.mask[i][k] = {}, {}
      for j = 1, c do
        b.y[i][k][j] = s.y[k] and s.y[k][j] or 0
        b.mask[i][k][j] = s.y[k] and (s.mask and s.mask[k][j] or not s.mask and 1) or 0
      end
    end
  end
  local out = { t = M.rows(b.t, "f64"), y = M.rows(b.y), mask = M.rows(b.mask), lengths = M.rows(b.lengths, "f64") }
  for k, v in pairs(more or {}) do out[k] = v end
  return out
end

M.series = {
  { t = { 0, 0.5, 0.8 }, y = { { 1, 0 }, { 0.3, -0.5 }, { 0.2, 1 } }, mask = { { 1, 1 }, { 1, 0 }, { 0, 1 } } },
  { t = { 0.2, 0.3, 0.9, 2 }, y = { { 0, 1 }, { 1, 0 }, { 0, 1 }, { 1, 1 } } },
  { t = { -1 }, y = { { 0.5, 0.7 } } },
}
M.ragged = M.batch(M.series)
M.full = M.batch { { t = { 0, 0.5, 0.8 }, y = { { 1, 0 }, { 0.3, 0 }, { 0.2, 1 } }, mask = { { 1, 1 }, { 0, 0 }, { 1, 1 } } },
  { t = { 0.2, 0.3, 0.9 }, y = { { 0, 1 }, { 1, 0 }, { 0, 1 } } } }

function M.make(o)
  local given = { channels = 2, latent = 2, hidden = 3, units = 4, noise = 0.5, name = "latent spec" }
  for k, v in pairs(o or {}) do given[k] = v end
  local kind = given.kind or "model"
  given.kind = nil
  if kind ~= "model" and kind ~= "rnn_vae" then given.latent, given.solver = nil, nil end
  return cs.model("latent_ode." .. kind)(given)
end

function M.set(m, name, x) m.parameters[name]:copy(cs.tensor(x)) end

--- dg/dtheta of a number that a model gives, against central differences.
function M.check_gradient(m, f, tolerance)
  local g, worst = cs.grad(f)(m), 0
  for i = 1, #m do
    local x, h = m.flat[i], 1e-5
    m.flat[i] = x + h
    local up = f(m):item()
    m.flat[i] = x - h
    local down = f(m):item()
    m.flat[i] = x
    worst = math.max(worst, math.abs((up - down) / (2 * h) - g[i]) / (1 + math.abs(g[i])))
  end
  assert(worst < tolerance, ("gradient off by %g"):format(worst))
end

-- dz/dt = a z, x(t) = c z(t) + d + s e: everything is Gaussian. q(z0 | x) = N(mean, std^2) whatever x is.
M.linear = { a = -0.4, c = 1.5, d = 0.2, s = 0.6, mean = 0.3, std = 0.7 }

function M.linear_model(o)
  local given = { channels = 1, latent = 1, layers = 0, noise = M.linear.s, solver = { rtol = 1e-10, atol = 1e-12 } }
  for k, v in pairs(o or {}) do given[k] = v end
  local m = M.make(given)
  M.set(m, "field.0.weight", { { M.linear.a } })
  M.set(m, "field.0.bias", { 0 })
  M.set(m, "decoder.0.weight", { { M.linear.c } })
  M.set(m, "decoder.0.bias", { M.linear.d })
  m.parameters["encoder_head.1.weight"]:fill(0)
  M.set(m, "encoder_head.1.bias", { M.linear.mean, math.log(math.exp(M.linear.std - 1e-6) - 1) + 3 })
  return m
end

M.one = { t = { 0, 0.4, 1.1 }, y = { { 1.2 }, { 0.1 }, { 0.9 } } }

--- One series many times: as many independent draws.
function M.copies(n)
  local list = {}
  for i = 1, n do list[i] = M.one end
  return M.batch(list, { shared_times = cs.tensor(M.one.t, "f64") })
end

return M
