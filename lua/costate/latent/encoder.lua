-- SPDX-License-Identifier: GPL-3.0-or-later
-- Encoders: from what was seen of a series to q(z0 | x) = N(mean, std^2), backwards in time, so that the state
-- ends at z0's time and has met the earliest observations last.
--   ode_rnn   the hidden state flows across each gap, then a GRU sees value and mask (Rubanova et al. 2019)
--   gru_dt    a GRU sees value, mask and the gap
--   rnn       a tanh RNN sees value and mask
-- A time at which a row has nothing observed leaves its state alone. The head of the last two is also told the
-- time from the first observation back to the origin, across which an ode_rnn flows. std = softplus(. - 3) + 1e-6, so
-- that it starts near 0.05: samples that drown the mean in noise teach the dynamics nothing.
local cs = require "costate"
local core = require "costate.core"
local batch = require "costate.latent.batch"
local cells = require "costate.latent.cells"

local M = {}

local SMALL <const>, LEAST_STD <const> = 3, 1e-6

local kinds = {
  ode_rnn = { gap = false, cell = "gru", flows = true },
  gru_dt = { gap = true, cell = "gru" },
  rnn = { gap = false, cell = "rnn" },
}
M.names = { "gru_dt", "ode_rnn", "rnn" }

local function mlp(name, sizes, o)
  sizes.activation, sizes.name = o.activation, name
  return cs.nn.mlp(sizes)
end

--- Hidden layers of width `units` between inputs and outputs.
function M.sizes(inputs, layers, units, outputs)
  local out = { inputs }
  for _ = 1, layers do out[#out + 1] = units end
  out[#out + 1] = outputs
  return out
end

--- The models of an encoder; their names begin with "encoder".
function M.parts(o, name, channels)
  local kind = kinds[o.encoder]
  local inputs = 2 * channels + (kind.gap and 1 or 0)
  local made = kind.cell == "gru" and cells.gru_parts(name .. "/encoder", inputs, o.hidden, o.gru_units)
    or cells.rnn_parts(name .. "/encoder", inputs, o.hidden)
  local out = {}
  for k, m in pairs(made) do out["encoder_" .. k] = m end
  out.encoder_head = mlp(name .. "/encoder_head", { o.hidden + (kind.flows and 0 or 1), o.units, 2 * o.latent }, o)
  if kind.flows then
    out.encoder_field = mlp(name .. "/encoder_field", M.sizes(o.hidden, o.encoder_layers, o.units, o.hidden), o)
  end
  return out
end

local function cell_of(parts, kind)
  local p = {}
  for _, k in ipairs { "reset", "update", "candidate", "cell" } do p[k] = parts["encoder_" .. k] end
  return function(h, x) return cells[kind.cell](p, h, x) end
end

local flows = setmetatable({}, { __mode = "k" }) -- model -> evolve

local function evolve_of(m)
  flows[m] = flows[m] or cells.evolve(m.parts.encoder_field, m.options.encoder_solver)
  return flows[m]
end

--- The hidden state at a row's first observation.
local function run(m, kind, seen)
  local gap, known = batch.until_next(seen.t), batch.any(seen)
  local list = { batch.values(seen), seen.mask }
  if kind.gap then list[3] = core.reshape(gap, { gap.shape[1], gap.shape[2], 1 }) end
  local cell, evolve = cell_of(m.parts, kind), kind.flows and evolve_of(m)
  local h0 = core.zeros_like(core.slice(seen.y, 3, 1, 1))
  h0 = core.reshape(core.slice(h0, 2, 1, 1), { seen.y.shape[1], 1 }) + core.zeros(m.options.hidden)
  return (cs.scan(function(h, x)
    if evolve then h = evolve(h, x.gap) end
    return core.where(batch.column(x.known), cell(h, x.x), h)
  end, h0, { gap = gap, known = known, x = core.concat(list, 3) }, { reverse = true, lengths = seen.lengths }))
end

--- Mean and std [B, L] of q(z0 | seen).
function M.encode(m, b)
  local kind, o = kinds[m.options.encoder], m.options
  local seen, origin = batch.seen(b, o.origin)
  local h = run(m, kind, seen)
  local first = core.reshape(core.slice(seen.t, 2, 1, 1), { seen.t.shape[1] })
  local back = origin and batch.cast(first - origin)
  if not kind.flows then
    h = core.concat { h, back and batch.column(back) or core.zeros_like(core.slice(h, 2, 1, 1)) }
  elseif back then
    h = evolve_of(m)(h, back)
  end
  local out = m.parts.encoder_head(h)
  local raw = core.slice(out, 2, o.latent + 1, 2 * o.latent)
  return core.slice(out, 2, 1, o.latent), core.softplus(raw - SMALL) + LEAST_STD
end

return M
