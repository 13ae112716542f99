-- SPDX-License-Identifier: GPL-3.0-or-later
-- Likelihoods of observations given the decoder's output a [B, T, K, C], entry by entry: y [B, T, 1, C].
--   gaussian      log N(y; a, s^2) = -((y - a) / s)^2 / 2 - log s - log(2 pi) / 2
--   bernoulli     y a - log(1 + e^a)                    a: the logit of y = 1
--   categorical   y_c (a_c - log sum_j e^(a_j))         y: one of C classes, as C zeros and ones
-- Of a categorical point all channels are observed together.
local core = require "costate.core"

local M = {}

local HALF_LOG_2PI <const> = 0.5 * math.log(2 * math.pi)

--- log softmax over the last axis. The largest cancels, so its derivative need not be followed.
function M.log_softmax(a)
  local d = a - core.detach(core.max(a, a.rank, true))
  return d - core.log(core.sum(core.exp(d), a.rank, true))
end

M.kinds = {
  gaussian = {
    log_density = function(a, y, log_std)
      return -0.5 * core.square((y - a) * core.exp(-log_std)) - log_std - HALF_LOG_2PI
    end,
    mean = function(a) return a end,
    variance = function(_, log_std) return core.exp(2 * log_std) end,
  },
  bernoulli = {
    log_density = function(a, y) return y * a - core.softplus(a) end,
    mean = core.sigmoid,
    variance = function(p) return p * (1 - p) end,
  },
  categorical = {
    log_density = function(a, y) return y * M.log_softmax(a) end,
    mean = function(a) return core.exp(M.log_softmax(a)) end,
    variance = function(p) return p * (1 - p) end,
  },
}
M.names = { "bernoulli", "categorical", "gaussian" }

--- KL(N(mean, std^2) || N(0, I)) of each row.
function M.kl(mean, std)
  return 0.5 * core.sum(core.square(mean) + core.square(std) - 1 - 2 * core.log(std), 2)
end

--- Sum over classes, where `known` [B, ..] is set, of log softmax(logits) at the labels, i64 from 0.
function M.label_density(logits, label, known)
  local shape = label.shape
  shape[#shape + 1] = 1
  local hot = core.eq(core.reshape(core.cast(label, core.dtype()), shape), core.iota(logits.shape[logits.rank]))
  local each = core.sum(hot * M.log_softmax(logits), logits.rank)
  return known and each * known or each
end

return M
