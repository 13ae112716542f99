-- SPDX-License-Identifier: GPL-3.0-or-later
-- Options of the models of irregular series, their defaults and what they may be.
local core = require "costate.core"
local encoder = require "costate.latent.encoder"
local likelihood = require "costate.latent.likelihood"
local options = require "costate._options"

local M = {}

local common <const> = {
  channels = { help = "names of the channels, or how many there are" },
  hidden = { 20, help = "width of the recurrent state" },
  units = { 100, help = "width of hidden layers" },
  gru_units = { 0, help = "width of the hidden layer in each gate of a GRU; 0: gates are affine" },
  activation = { "tanh", help = "between hidden layers" },
  likelihood = { "gaussian", help = "gaussian, bernoulli or categorical" },
  noise = { 0.01, any = true, help = "std of the observation noise: a number, one a channel, or \"learn\"" },
  noise_start = { 0.1, help = "where a learned noise starts" },
  encoder_layers = { 1, help = "hidden layers of the field of an ODE-RNN" },
  encoder_solver = { help = "options of cs.ode across gaps; without, one Euler step a gap" },
}

--- Of latent models; `fixed` is what their name says.
function M.latent(fixed)
  local out = options.joined(common, {
    latent = { 10, help = "width of z" },
    encoder = { fixed.encoder or "ode_rnn", help = "ode_rnn, gru_dt or rnn" },
    layers = { 1, help = "hidden layers of dz/dt" },
    decoder_layers = { 0, help = "hidden layers of the decoder" },
    solver = { {}, help = "options of cs.ode for the latent path; dopri5, rtol 1e-3, atol 1e-4" },
    autonomous = { true, help = "whether dz/dt depends on z alone" },
    origin = { help = "z0's time; without, each row's first" },
    poisson = { false, any = true, help = "\"times\" or \"channels\": the times are a Poisson process as well" },
    poisson_weight = { 1, range = { 0, math.huge }, help = "of the process in the bound" },
    classes = { 0, help = "classes of a head" },
    classify = { "series", help = "a series, or every point" },
    class_weight = { 1, range = { 0, math.huge }, help = "of the cross entropy in the loss" },
  })
  out.dynamics = { fixed.dynamics, help = "ode or rnn: what the model is named for" }
  return out
end

--- Of models that go forward and predict the next observation.
function M.forward()
  return options.joined(common, { means = { 0, any = true, help = "of the channels, towards which GRU-D lets inputs decay" } })
end

local function one_of(o, key, names) options.one_of(("option '%s'"):format(key), o[key], names) end

local function widths(o, list, least)
  for _, key in ipairs(list) do
    if o[key] ~= nil and not (math.type(o[key]) == "integer" and o[key] >= least) then
      core.fail(("option '%s' is a whole number from %d, got %s"):format(key, least, tostring(o[key])))
    end
  end
end

local function check_noise(o)
  if o.noise == "learn" then return end
  local list = type(o.noise) == "number" and { o.noise } or o.noise
  for _, x in ipairs(type(list) == "table" and list or { "?" }) do
    if type(x) ~= "number" or x ~= x or x <= 0 then
      core.fail("option 'noise' is a positive number, a list with one a channel, or \"learn\"")
    end
  end
  if type(o.noise) == "table" and #o.noise ~= o.channels then
    core.fail(("option 'noise' lists %d numbers for %d channels"):format(#o.noise, o.channels))
  end
end

function M.check_common(o)
  if type(o.channels) == "table" then o.channels = #o.channels end
  if math.type(o.channels) ~= "integer" or o.channels < 1 then
    core.fail("option 'channels' is a list of names or a positive whole number: channels = data.channels")
  end
  widths(o, { "hidden", "units", "latent" }, 1)
  widths(o, { "gru_units", "layers", "encoder_layers", "decoder_layers", "classes" }, 0)
  one_of(o, "likelihood", likelihood.names)
  check_noise(o)
end

function M.check_latent(o)
  M.check_common(o)
  one_of(o, "dynamics", { "ode", "rnn" })
  one_of(o, "encoder", encoder.names)
  one_of(o, "classify", { "point", "series" })
  if o.poisson then one_of(o, "poisson", { "channels", "times" }) end
  if o.poisson and o.dynamics == "rnn" then
    core.fail("option 'poisson' needs an ODE, along which the intensity is integrated: latent_ode.model")
  end
  if o.origin ~= nil and type(o.origin) ~= "number" then core.fail("option 'origin' is a number, the time of z0") end
end

return M
