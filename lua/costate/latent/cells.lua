-- SPDX-License-Identifier: GPL-3.0-or-later
-- What a hidden state does at an observation and across a gap. Of rows: h [B, H], x [B, X], gap [B].
--   gru     r = sigmoid(R [h, x]), u = sigmoid(U [h, x]), n = tanh(N [r h, x]), h' = (1 - u) n + u h
--           (Cho et al. 2014); with `units` each of the three is a network of one hidden layer of that width
--   rnn     h' = tanh(W [h, x])
--   decay   h exp(-gap softplus(w)), one rate for each entry
--   flow    dh/ds = gap f(h), s in [0, 1]: each row across its own gap in one solve
local cs = require "costate"
local core = require "costate.core"

local M = {}

local function net(name, inputs, units, outputs, final)
  local sizes = units > 0 and { inputs, units, outputs } or { inputs, outputs }
  sizes.activation, sizes.final, sizes.name = "tanh", final, name
  return cs.nn.mlp(sizes)
end

function M.gru_parts(name, inputs, hidden, units)
  return {
    reset = net(name .. "/reset", hidden + inputs, units, hidden, "sigmoid"),
    update = net(name .. "/update", hidden + inputs, units, hidden, "sigmoid"),
    candidate = net(name .. "/candidate", hidden + inputs, units, hidden, "tanh"),
  }
end

function M.gru(p, h, x)
  local both = core.concat { h, x }
  local u = p.update(both)
  local n = p.candidate(core.concat { p.reset(both) * h, x })
  return n + u * (h - n)
end

function M.rnn_parts(name, inputs, hidden)
  return { cell = net(name .. "/cell", hidden + inputs, 0, hidden, "tanh") }
end

function M.rnn(p, h, x) return p.cell(core.concat { h, x }) end

function M.decay(w, h, gap) return h * core.exp(-gap * core.softplus(w)) end

--- evolve(h, gap) by the field `f`. Without solver options it is one Euler step a gap, written out.
function M.evolve(f, solver)
  if not solver then return function(h, gap) return h + gap * f(h) end end
  local o, across = {}, nil
  for k, v in pairs(solver) do o[k] = v end
  o.field = function(_, h) return across * f(h) end
  local flow = cs.ode(o)
  return function(h, gap)
    across = gap
    local ends = flow(h, { 0, 1 })
    return core.reshape(core.slice(ends, 2, 2, 2), h.shape)
  end
end

return M
