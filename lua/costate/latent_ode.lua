-- SPDX-License-Identifier: GPL-3.0-or-later
-- Latent ODEs for irregular series: an encoder backwards in time gives q(z0 | x), an ODE follows z from there, a
-- decoder says how likely each observation is. The same with a recurrence in place of the ODE is the RNN-VAE.
-- K samples of z0 are an axis within each row, [B, K, L], so that a row's steps serve all of its samples.
--   m:elbo(b)  m:loss(b)  m:encode(b)  m:decode(z0, t)  m:predict(b)  m:mse(data)  m:sample(n, t)
--   m:intensity(b)  m:classify(b)
local cs = require "costate"
local core = require "costate.core"
local options = require "costate._options"
local model = require "costate.model"
local batch = require "costate.latent.batch"
local dynamics = require "costate.latent.dynamics"
local eager = require "costate._eager"
local encoder = require "costate.latent.encoder"
local likelihood = require "costate.latent.likelihood"
local objective = require "costate.latent.objective"
local baselines = require "costate.latent.baselines"
local choices = require "costate.latent.options"
local score = require "costate.latent.score"
local states = require "costate._state"

local M = {}

-- ---- methods: m is the model, b a batch, [B] rows ------------------------------------------------------

local function given_options(what, given, spec)
  local o = options.check(what, given or {}, spec)
  if o.samples and o.samples < 0 then core.fail(("option 'samples' of %s must not be negative"):format(what)) end
  return o
end

--- f(a, o) of a bound's arguments, the batch a.b and o = { samples, kl, iwae }, now or in the open trace.
local function bound(m, what, b, given, f)
  local o = given_options(what, given, { samples = "integer", kl = "number|tensor", iwae = "boolean" })
  local samples, iwae = o.samples or 1, o.iwae
  if iwae and samples == 0 then core.fail(("option 'iwae' of %s needs samples"):format(what)) end
  local args = { b = batch.fields(b, m.options.channels), kl = o.kl or 1 }
  if m.options.poisson and args.b.partial then
    core.fail("a point process explains all times of a row, and this batch leaves out those seen: "
      .. "data:task { .., predict = \"all\" }")
  end
  args.b.partial = nil
  return eager(m, ("%s %d %s"):format(what, samples, iwae), args, function(a)
    return f(a.b, { samples = samples, kl = a.kl, iwae = iwae })
  end)
end

--- m:elbo(b, { samples = 1, kl = 1, iwae = false }) -> the bound, a mean over rows; its terms.
function M.elbo(m, b, given)
  return bound(m, "elbo", b, given, function(fields, o)
    local value, terms = objective.elbo(m, fields, o)
    return value, terms
  end)
end

--- Logits [B, classes], from the mean of z0, or [B, T, classes], from z at each time.
local function logits_of(m, r)
  local head = m.parts.class_head
  if not head then core.fail(("model '%s' has no classes: option classes = n"):format(m.name)) end
  if m.options.classify == "series" then return head(r.mean) end
  return core.mean(head(r.z), 3)
end

local function class_loss(m, b, r)
  if not b.label then core.fail("a model with classes is trained on batches with a field 'label'") end
  local known = m.options.classify == "point" and batch.any(b) or nil
  local total = core.sum(likelihood.label_density(logits_of(m, r), b.label, known))
  return -total / (known and core.maximum(core.sum(known), 1) or b.label.count)
end

--- m:loss(b, options of elbo) -> what training makes least: -ELBO, and with classes the mean cross entropy by its
--- weight; its terms.
function M.loss(m, b, given)
  return bound(m, "loss", b, given, function(fields, o)
    local value, terms, r = objective.elbo(m, fields, o)
    if not m.parts.class_head then return -value, terms end
    terms.class = class_loss(m, fields, r)
    return m.options.class_weight * terms.class - value, terms
  end)
end

--- m:encode(b) -> mean, std [B, L] of q(z0 | x).
function M.encode(m, b)
  return eager(m, "encode", { b = batch.fields(b, m.options.channels) }, function(a) return encoder.encode(m, a.b) end)
end

local function where(t, rows)
  if t.rows then return { t = t } end
  return { shared = t, t = core.rows(core.zeros(rows, 1)) + core.reshape(t, { 1, t.count }) }
end

--- Means of the observations along z0 [B, L] or [B, K, L] at times [T] or rows [B, T], the first of which is z0's
--- unless the model has an origin.
function M.decode(m, z0, t)
  if t == nil then core.fail("decode takes z0 and times: m:decode(z0, t)") end
  return eager(m, "decode", { z0 = z0, t = states.times(t) }, function(a)
    local shape, z = a.z0.shape, a.z0
    if #shape == 2 then z = core.reshape(z, { shape[1], 1, shape[2] }) end
    local path = dynamics.follow(m, z, where(a.t, shape[1]), m.options.origin)
    local y = likelihood.kinds[m.options.likelihood].mean(m.parts.decoder(path))
    if #shape == 3 then return y end
    return core.reshape(y, { shape[1], y.shape[2], y.shape[4] })
  end)
end

--- Mean and std of each observation: over samples of z0, and what the likelihood adds to them.
local function moments(m, r)
  local kind = likelihood.kinds[m.options.likelihood]
  local each = kind.mean(r.out)
  local mean = core.mean(each, 3)
  local shape = mean.shape
  local spread = core.square(each - core.reshape(mean, { shape[1], shape[2], 1, shape[3] }))
  return mean, core.sqrt(core.mean(spread + kind.variance(each, objective.log_std(m)), 3))
end

--- m:predict(b, { samples = 30 }) -> mean, std [B, T, C] at all times of b, observed or not, given what was seen.
--- With samples = 0 the mean of z0 is followed alone and std is the noise.
function M.predict(m, b, given)
  local samples = given_options("predict", given, { samples = "integer" }).samples or 30
  return eager(m, ("predict %d"):format(samples), { b = batch.fields(b, m.options.channels) }, function(a)
    return moments(m, objective.path(m, a.b, samples))
  end)
end

--- m:intensity(b, { samples = 30 }) -> rate [B, T, E] at the times of b and the expected number of events [B, E] up to
--- the end of each row's window; E is 1, or of channels their number.
function M.intensity(m, b, given)
  local samples = given_options("intensity", given, { samples = "integer" }).samples or 30
  if not m.options.poisson then core.fail(("model '%s' has no point process: option poisson"):format(m.name)) end
  return eager(m, ("intensity %d"):format(samples), { b = batch.fields(b, m.options.channels) }, function(a)
    local r = objective.path(m, a.b, samples)
    return core.mean(dynamics.intensity(m, r.z), 3), core.mean(r.integral, { 2, 3 })
  end)
end

--- m:classify(b) -> logits [B, classes] or [B, T, classes].
function M.classify(m, b)
  return eager(m, "classify", { b = batch.fields(b, m.options.channels) }, function(a)
    return logits_of(m, objective.path(m, a.b, 0))
  end)
end

--- m:sample(n, t) -> n series [n, T, C] from the prior.
function M.sample(m, n, t)
  if math.type(n) ~= "integer" or n < 1 then core.fail("sample takes a number of series and times: m:sample(5, t)") end
  return M.decode(m, cs.random.normal({ n, m.options.latent }, { rows = true }), t)
end

M.mse = score.mse

-- ---- models that go forward: the same calls, where they mean something -------------------------------------

local function forward_methods(kind)
  local methods = { mse = score.mse }
  --- m:loss(b): minus the log likelihood of each observation given the earlier ones. Options of other models' losses
  --- (samples, kl) are taken and mean nothing here.
  function methods.loss(m, b, given)
    given_options("loss", given, { samples = "integer", kl = "number|tensor", iwae = "boolean" })
    return eager(m, "loss", { b = batch.fields(b, m.options.channels) }, function(a)
      return baselines.loss(m, kind, a.b, objective.log_std(m))
    end)
  end
  function methods.predict(m, b, given)
    given_options("predict", given, { samples = "integer" })
    return eager(m, "predict", { b = batch.fields(b, m.options.channels) }, function(a)
      return baselines.moments(m, kind, a.b, objective.log_std(m))
    end)
  end
  return methods
end

-- ---- registration -----------------------------------------------------------------------------------------

local function parts(o, name)
  local out = encoder.parts(o, name, o.channels)
  for k, part in pairs(dynamics.parts(o, name, o.channels)) do out[k] = part end
  if o.noise == "learn" and o.likelihood == "gaussian" then
    out.noise = cs.parameters { log_std = core.full(math.log(o.noise_start), { o.channels }), name = name .. "/noise" }
  end
  if o.classes > 0 then
    out.class_head = cs.nn.mlp { o.latent, o.units, o.classes, activation = o.activation, name = name .. "/class_head" }
  end
  return out
end

for name, fixed in pairs {
  ["latent_ode.model"] = { dynamics = "ode" },
  ["latent_ode.rnn_vae"] = { dynamics = "rnn", encoder = "gru_dt" },
} do
  model.register { name = name, options = choices.latent(fixed), check = choices.check_latent, parts = parts, methods = M,
    help = fixed.dynamics == "ode" and "latent ODE of irregular series" or "variational autoencoder of two RNNs" }
end

for kind in pairs(baselines.kinds) do
  model.register { name = "latent_ode." .. kind, options = choices.forward(), check = choices.check_common,
    parts = baselines.parts(kind), methods = forward_methods(kind), help = "forward recurrent model of irregular series" }
end

return M
