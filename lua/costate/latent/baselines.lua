-- SPDX-License-Identifier: GPL-3.0-or-later
-- Models that go forward in time and say what comes next, with the interface of the latent ones. A hidden state h
-- meets an observation (value and mask) in a GRU, and between observations
--   rnn_dt      stays; the GRU is told the gap, the output the time since the last observation
--   rnn_decay   decays, h exp(-gap softplus(w))
--   gru_d       decays likewise, and what is not observed enters as the channel's last value, which decays towards
--               its mean by a rate of its own since it was seen (Che et al. 2018)
--   ode_rnn     flows, dh/dt = f(h)
-- The prediction at a time comes from the state after the last observation before it, carried across. Where the
-- batch says what was seen, an observation at that very time counts as before; otherwise every observation is
-- predicted from the earlier ones, the first of a row from h = 0.
local cs = require "costate"
local core = require "costate.core"
local batch = require "costate.latent.batch"
local cells = require "costate.latent.cells"
local encoder = require "costate.latent.encoder"
local likelihood = require "costate.latent.likelihood"

local M = {}

local kinds = {
  rnn_dt = { tells_gap = true },
  rnn_decay = { decays = true },
  gru_d = { decays = true, carries = true },
  ode_rnn = { flows = true },
}
M.kinds = kinds

function M.parts(kind_name)
  return function(o, name)
    local kind, c = kinds[kind_name], o.channels
    local out = cells.gru_parts(name .. "/gru", 2 * c + (kind.tells_gap and 1 or 0), o.hidden, o.gru_units)
    local function mlp(key, sizes)
      sizes.activation, sizes.name = o.activation, name .. "/" .. key
      out[key] = cs.nn.mlp(sizes)
    end
    mlp("output", { o.hidden + (kind.tells_gap and 1 or 0), o.units, c })
    if kind.flows then mlp("field", encoder.sizes(o.hidden, o.encoder_layers, o.units, o.hidden)) end
    if kind.decays then
      out.decay = cs.parameters { state = core.zeros(o.hidden), input = core.zeros(c), name = name .. "/decay" }
    end
    if o.noise == "learn" and o.likelihood == "gaussian" then
      out.noise = cs.parameters { log_std = core.full(math.log(o.noise_start), { c }), name = name .. "/noise" }
    end
    return out
  end
end

local flows = setmetatable({}, { __mode = "k" }) -- model -> evolve

--- h [.., H] across gap [..].
local function across(m, kind, h, gap)
  local shape = gap.shape
  shape[#shape + 1] = 1
  gap = core.reshape(gap, shape)
  if kind.decays then return cells.decay(m.parts.decay.state, h, gap) end
  if not kind.flows then return h end
  flows[m] = flows[m] or cells.evolve(m.parts.field, m.options.encoder_solver)
  return flows[m](h, gap)
end

--- What enters at an observation: value and mask; of gru_d the last value, on its way to the mean, where there is
--- none now. Returns that, and the memory (last value, time since) after it.
local function input_of(m, kind, memory, x)
  if not kind.carries then return core.concat { x.y, x.mask }, memory end
  local mean = core.tensor(m.options.means)
  local since = memory.since + batch.column(x.gap)
  local faded = mean + (memory.last - mean) * core.exp(-since * core.softplus(m.parts.decay.input))
  local value = core.where(x.mask, x.y, faded)
  return core.concat { value, x.mask },
    { last = core.where(x.mask, x.y, memory.last), since = core.where(x.mask, 0, since) }
end

--- States [B, T, H] after each time of s.
local function states(m, kind, s)
  local gap, b, c = batch.since_last(s.t), s.y.shape[1], m.options.channels
  local gru = { reset = m.parts.reset, update = m.parts.update, candidate = m.parts.candidate }
  local none = core.reshape(core.zeros_like(core.slice(core.slice(s.y, 3, 1, 1), 2, 1, 1)), { b, 1 })
  local h0 = { h = none + core.zeros(m.options.hidden) }
  if kind.carries then
    h0.memory = { last = none + core.tensor(m.options.means) + core.zeros(c), since = none + core.zeros(c) }
  end
  local _, path = cs.scan(function(carry, x)
    local h = across(m, kind, carry.h, x.gap)
    local input, memory = input_of(m, kind, carry.memory, x)
    if kind.tells_gap then input = core.concat { input, batch.column(x.gap) } end
    h = core.where(batch.column(x.known), cells.gru(gru, h, input), h)
    return { h = h, memory = memory }, h
  end, h0, { gap = gap, known = batch.any(s), y = batch.values(s), mask = s.mask }, { lengths = s.lengths })
  return path
end

--- [B, T, S]: 1 where entry j of the seen is the last one before time i; and [B, T], the time since.
local function before(b, seen, strict)
  local rows, n, s = b.t.shape[1], b.t.shape[2], seen.t.shape[2]
  local at, from = core.reshape(b.t, { rows, n, 1 }), core.reshape(seen.t, { rows, 1, s })
  local index = core.reshape(core.iota(s), { 1, s })
  local there = core.lt(index, core.reshape(seen.lengths, { rows, 1, 1 }))
  local count = core.sum((strict and core.lt(from, at) or core.le(from, at)) * there, 3, true)
  local last = core.eq(index + 1, count)
  local since = core.sum(last * (at - from), 3)
  return batch.cast(last), batch.cast(since)
end

--- Output [B, T, 1, C] at the times of b.
local function outputs(m, kind, b)
  local seen = b.seen or b
  local last, since = before(b, seen, not b.seen)
  local h = across(m, kind, core.bmm(last, states(m, kind, seen)), since)
  if kind.tells_gap then h = core.concat { h, core.reshape(since, { since.shape[1], since.shape[2], 1 }) } end
  local out = m.parts.output(h)
  return core.reshape(out, { out.shape[1], out.shape[2], 1, out.shape[3] })
end

--- Mean over rows of -sum over observed entries of log p.
function M.loss(m, kind_name, b, log_std)
  local s = b.y.shape
  local shape = { s[1], s[2], 1, s[3] }
  local kind = likelihood.kinds[m.options.likelihood]
  local each = kind.log_density(outputs(m, kinds[kind_name], b), core.reshape(batch.values(b), shape), log_std)
  return -core.sum(each * core.reshape(b.mask, shape)) / s[1]
end

--- Mean and std [B, T, C].
function M.moments(m, kind_name, b, log_std)
  local kind = likelihood.kinds[m.options.likelihood]
  local mean = kind.mean(outputs(m, kinds[kind_name], b))
  local std = core.sqrt(kind.variance(mean, log_std) + core.zeros_like(mean))
  return core.reshape(mean, b.y.shape), core.reshape(std, b.y.shape)
end

return M
