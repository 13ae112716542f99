-- SPDX-License-Identifier: GPL-3.0-or-later
-- The evidence lower bound of a latent model, the mean over rows of
--   ELBO = 1/K sum_k [ log p(x | z_k) ] - w KL(q(z0 | x) || N(0, I)),       z_k = mean + std e_k
-- with log p(x | z) the SUM over observed entries, to which a point process adds, by its weight,
--   sum_i log g(z(t_i)) - int g(z(t)) dt                                     from the origin to the window's end;
-- and the tighter bound of K samples (Burda et al. 2016), with w = 1
--   IWAE = log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x)
-- where w scales log p(z) - log q(z).
local cs = require "costate"
local core = require "costate.core"
local batch = require "costate.latent.batch"
local dynamics = require "costate.latent.dynamics"
local encoder = require "costate.latent.encoder"
local likelihood = require "costate.latent.likelihood"

local M = {}

--- log of the observation noise, [C]; other likelihoods than the Gaussian have none.
function M.log_std(m)
  if m.options.likelihood ~= "gaussian" then return 0 end
  if m.parts.noise then return m.parts.noise.log_std end
  return core.log(core.tensor(m.options.noise))
end

--- z0 [B, K, L]: the mean itself when samples = 0.
local function draw(mean, std, samples)
  local b, l = table.unpack(mean.shape)
  local shape = { b, 1, l }
  if samples == 0 then return core.reshape(mean, shape), nil end
  local e = cs.random.normal({ b, samples, l }, { rows = true })
  return core.reshape(mean, shape) + core.reshape(std, shape) * e, e
end

--- Everything a bound or a prediction needs of a batch.
function M.path(m, b, samples)
  local r = { fields = b }
  r.mean, r.std = encoder.encode(m, b)
  r.z0, r.noise = draw(r.mean, r.std, samples)
  local _, origin = batch.seen(b, m.options.origin)
  local last = m.options.poisson and b.span and batch.column(b.span) or nil
  local together = not last and (m.options.origin or not b.seen) and b.shared_times or nil
  r.z, r.integral = dynamics.follow(m, r.z0, { t = b.t, shared = together, last = last, lengths = b.lengths }, origin)
  r.out = m.parts.decoder(r.z)
  return r
end

--- [B, K]: the sum over observed entries.
local function log_likelihood(m, b, r)
  local s = b.y.shape
  local shape = { s[1], s[2], 1, s[3] }
  local kind = likelihood.kinds[m.options.likelihood]
  local each = kind.log_density(r.out, core.reshape(batch.values(b), shape), M.log_std(m))
  return core.sum(each * core.reshape(b.mask, shape), { 2, 4 })
end

--- [B, K]: of the times at which something is observed, or of each channel's own.
local function log_process(m, b, r)
  local s, log_rate = b.y.shape, core.log(dynamics.intensity(m, r.z))
  local events = m.options.poisson == "times" and core.reshape(batch.any(b), { s[1], s[2], 1, 1 })
    or core.reshape(b.mask, { s[1], s[2], 1, s[3] })
  return core.sum(events * log_rate, { 2, 4 }) - core.sum(r.integral, { 2, 4 })
end

--- Weights log p(z_k) - log q(z_k | x), [B, K]; log(2 pi) cancels.
local function log_ratio(r)
  local log_std = core.sum(core.log(r.std), 2)
  local each = 0.5 * core.sum(core.square(r.noise) - core.square(r.z0), 3)
  return each + core.reshape(log_std, { log_std.shape[1], 1 })
end

--- The bound and its terms, each a mean over rows. o: samples, kl, iwae.
function M.elbo(m, b, o)
  local r = M.path(m, b, o.samples)
  local seen = log_likelihood(m, b, r)
  local kl = likelihood.kl(r.mean, r.std)
  local terms = { likelihood = seen:mean(), kl = kl:mean() }
  if m.options.poisson then
    local events = log_process(m, b, r)
    terms.process = events:mean()
    seen = seen + m.options.poisson_weight * events
  end
  if o.iwae then return cs.loss.log_mean_exp(seen + o.kl * log_ratio(r)):mean(), terms, r end
  return seen:mean() - o.kl * terms.kl, terms, r
end

return M
