-- SPDX-License-Identifier: GPL-3.0-or-later
-- From z0 [B, K, L], K samples a row, to the latent path z [B, T, K, L].
--   ode   dz/dt = f(z) or f(z, t), from the origin through the times: one solve for all rows at shared times,
--         else each row on times of its own (control = "row"), never on their union. With a point process the
--         solve has a second part, a quadrature: its intensity g(z) = softplus(net(z)), whose integral from
--         the origin comes out beside z.
--   rnn   z_i = gru(z_(i-1), t_i - t_(i-1)), for the RNN-VAE
local cs = require "costate"
local core = require "costate.core"
local batch = require "costate.latent.batch"
local cells = require "costate.latent.cells"
local encoder = require "costate.latent.encoder"

local M = {}

local LEAST_RATE <const> = 1e-12

function M.parts(o, name, channels)
  local out = {}
  local function mlp(key, layers, inputs, outputs)
    local sizes = encoder.sizes(inputs, layers, o.units, outputs)
    sizes.activation, sizes.name = o.activation, name .. "/" .. key
    out[key] = cs.nn.mlp(sizes)
  end
  if o.dynamics == "rnn" then
    for k, m in pairs(cells.gru_parts(name .. "/dynamics", 1, o.latent, o.gru_units)) do out["dynamics_" .. k] = m end
  else
    mlp("field", o.layers, o.latent + (o.autonomous and 0 or 1), o.latent)
  end
  mlp("decoder", o.decoder_layers, o.latent, channels)
  if o.poisson then mlp("intensity", 1, o.latent, o.poisson == "times" and 1 or channels) end
  return out
end

--- g(z) > 0, also where softplus is rounded to 0, so that log g and its derivative are finite.
function M.intensity(m, z) return core.softplus(m.parts.intensity(z)) + LEAST_RATE end

local function field_of(m)
  local net, poisson = m.parts.field, m.options.poisson
  local function slope(t, z)
    if m.options.autonomous then return net(z) end
    return net(core.concat { z, core.broadcast_like(batch.cast(t), core.slice(z, z.rank, 1, 1)) })
  end
  if not poisson then return slope end
  return function(t, s) return { z = slope(t, s.z), events = M.intensity(m, s.z) } end
end

local flows = setmetatable({}, { __mode = "k" }) -- model -> flows by control

--- The flow of a model, one for rows that share their times and one for rows that do not.
local function flow_of(m, control)
  flows[m] = flows[m] or {}
  local flow = flows[m][control]
  if flow then return flow end
  local o = { solver = "dopri5", rtol = 1e-3, atol = 1e-4 }
  for k, v in pairs(m.options.solver) do o[k] = v end
  o.field, o.control = field_of(m), control
  if m.options.poisson then o.parts = { events = "quadrature" } end
  flows[m][control] = cs.ode(o)
  return flows[m][control]
end

--- Times of a solve: the origin (nil: that is the first output), those of the outputs and, for a process, the end
--- of its window; and how steps are controlled: where.shared [T] is there when rows have the same times.
local function times_of(where, origin)
  if where.shared then
    return origin and core.concat({ core.tensor({ origin }, "f64"), where.shared }, 1) or where.shared, "batch"
  end
  local first = type(origin) == "number" and core.zeros_like(core.slice(where.t, 2, 1, 1)) + origin
    or origin and batch.column(origin)
  local list = { first or where.t, first and where.t or where.last, first and where.last }
  return core.concat(list, 2), "row"
end

local function solve(m, z0, where, origin)
  local times, control = times_of(where, origin)
  local flow, n, skip = flow_of(m, control), times.shape[times.rank], origin and 1 or 0
  if not m.options.poisson then return core.slice(flow(z0, times), 2, skip + 1, n) end
  local width = m.options.poisson == "times" and 1 or m.options.channels
  local out = flow({ z = z0, events = core.zeros_like(core.slice(z0, 3, 1, 1)) + core.zeros(width) }, times)
  return core.slice(out.z, 2, skip + 1, where.last and n - 1 or n), core.slice(out.events, 2, n, n)
end

local function recur(m, z0, where, origin)
  local p = {}
  for _, k in ipairs { "reset", "update", "candidate" } do p[k] = m.parts["dynamics_" .. k] end
  local gap = batch.since_last((times_of({ t = where.t }, origin)))
  if origin then gap = core.slice(gap, 2, 2, gap.shape[2]) end
  local _, path = cs.scan(function(z, dt)
    local next_z = cells.gru(p, z, core.zeros_like(core.slice(z, 3, 1, 1)) + core.reshape(dt, { dt.shape[1], 1, 1 }))
    return next_z, next_z
  end, z0, gap, { lengths = where.lengths })
  return path
end

--- where = { t = rows [B, T] } and, each of them or nil, shared = [T], last = rows [B, 1], lengths = rows [B].
--- Returns z [B, T, K, L] and, with a point process, the integral of each intensity [B, 1, K, E] from the origin to
--- `last` or the last time.
function M.follow(m, z0, where, origin)
  if m.options.dynamics == "rnn" then return recur(m, z0, where, origin) end
  return solve(m, z0, where, origin)
end

return M
