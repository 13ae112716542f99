-- SPDX-License-Identifier: GPL-3.0-or-later
-- Backpropagation is an adjoint method. A residual network h_{k+1} = h_k + f(h_k, theta_k) is Euler's method with step 1,
-- and its backpropagation, with a_k = dL/dh_k,
--
--     a_k = a_{k+1} + f_h(h_k)^T a_{k+1},   a_K = dL/dh_K,   dL/dtheta_k = f_theta(h_k)^T a_{k+1}
--
-- is Euler's method, backwards, for the costate: dlambda/dt = -f_h^T lambda. First the network's gradient by several
-- routes: this recursion by hand, cs.grad of the network as it stands, cs.scan over its layers, and cs.ode with solver
-- "euler", step 1 and gradient "discrete", where the layers' weights are a control. They are equal to round-off.
-- Then more and thinner layers, h_{k+1} = h_k + s f(h_k, theta(t_k)), s = T / K: a_k becomes lambda(t_k), with an error
-- of the first order in s.
--
--   costate run examples/resnet_adjoint.lua --out runs/resnet_adjoint
local cs = require "costate"

local opt = cs.options {
  layers = 12,   -- of the network whose gradients are compared, at most 64
  width = 8, batch = 16,
  deepest = 768, -- of the networks with ever thinner layers, at least 12
}

local K <const>, D <const> = opt.layers, 2
local rng = cs.rng(0, "weights")

local function random_weights()
  return { W = 0.8 * rng:normal { D, opt.width }, b = 0.5 * rng:normal { opt.width }, V = 0.15 * rng:normal { opt.width, D } }
end
local function f(h, p) return cs.tanh(h:matmul(p.W) + p.b):matmul(p.V) end

local h0 = cs.rows(rng:normal { opt.batch, D })
local target = cs.rows(rng:normal { opt.batch, D })
local function loss(h) return 0.5 * ((h - target) ^ 2):sum() end

-- ---- by hand ---------------------------------------------------------------------------------------------------

-- Of one layer: f_h^T a and f_theta^T a.
local pull = cs.grad(function(h, p, a) return (f(h, p) * a):sum() end)

local function forwards(start, layers, step)
  local h = { start }
  for k, p in ipairs(layers) do h[k + 1] = h[k] + step * f(h[k], p) end
  return h
end

--- a_1 .. a_{K+1} (of the layers' inputs, and of the output), and the gradients of the weights.
local function backwards(h, layers, step)
  local a, bars = { [#h] = cs.grad(loss)(h[#h]) }, {}
  for k = #layers, 1, -1 do
    local by_h, by_p = pull(h[k], layers[k], a[k + 1])
    a[k] = a[k + 1] + step * by_h
    bars[k] = { W = step * by_p.W, b = step * by_p.b, V = step * by_p.V }
  end
  return a, bars
end

local layers = {}
for k = 1, K do layers[k] = random_weights() end
local h = forwards(h0, layers, 1)
local a, bars = backwards(h, layers, 1)

-- ---- by other routes, with other weights in every layer --------------------------------------------------------

local result = {}
local names <const> = { "W", "b", "V" }

local function stacked(list)
  local out = {}
  for _, name in ipairs(names) do
    local parts = {}
    for k, p in ipairs(list) do parts[k] = p[name] end
    out[name] = cs.stack(parts, 1)
  end
  return out
end

local function largest(x, y) return cs.abs(x - y):max():item() end

--- Prints and keeps how far a route is from the recursion by hand, relative to the largest entry.
local function compare(name, text, h_bar, p_bar, hand_h, hand_p)
  local off = largest(h_bar, hand_h) / cs.abs(hand_h):max():item()
  for _, n in ipairs(names) do off = math.max(off, largest(p_bar[n], hand_p[n]) / cs.abs(hand_p[n]):max():item()) end
  result[name] = off
  print(("%-58s %.1e"):format(text, off))
end

print(("%d layers, different weights: largest relative difference from backpropagation by hand"):format(K))
local weights, by_hand = stacked(layers), stacked(bars)

local function unrolled(x, list)
  for _, p in ipairs(list) do x = x + f(x, p) end
  return loss(x)
end
local h_bar, list_bar = cs.grad(unrolled)(h0, layers)
compare("unrolled", "  cs.grad of the network, layer by layer", h_bar, stacked(list_bar), a[1], by_hand)

local function scanned(x, p)
  return loss((cs.scan(function(carry, layer) return carry + f(carry, layer) end, x, p, { axis = 1 })))
end
local p_bar
h_bar, p_bar = cs.grad(scanned)(h0, weights)
compare("scan", "  cs.grad of cs.scan", h_bar, p_bar, a[1], by_hand)

-- theta(t) is the k-th layer's from t = k - 1 up to k; no step crosses a jump.
local starts = cs.linspace(0, K - 1, K)
local function euler(field) return cs.ode { field = field, solver = "euler", step = 1, gradient = "discrete" }:map(0, K) end
local function controlled(x, p)
  local theta = {}
  for _, n in ipairs(names) do theta[n] = cs.control(starts, p[n], "constant") end
  return loss(euler(function(t, y) return f(y, { W = theta.W(t), b = theta.b(t), V = theta.V(t) }) end)(x))
end
h_bar, p_bar = cs.grad(controlled)(h0, weights)
compare("ode", "  cs.ode, euler, step 1, weights by cs.control", h_bar, p_bar, a[1], by_hand)

-- ---- with the same weights in every layer ----------------------------------------------------------------------

local one, same = layers[1], {}
for k = 1, K do same[k] = one end
local same_a, same_bars = backwards(forwards(h0, same, 1), same, 1)
local total = {}
for n, v in pairs(stacked(same_bars)) do total[n] = v:sum(1) end
print(("%d layers that share their weights"):format(K))
h_bar, list_bar = cs.grad(function(x, p) return loss(euler(function(_, y) return f(y, p) end)(x)) end)(h0, one)
compare("ode_shared", "  cs.ode, euler, step 1", h_bar, list_bar, same_a[1], total)

-- ---- the limit of many thin layers -----------------------------------------------------------------------------

-- Weights that change smoothly with depth t in [0, T]: of a base and an amplitude.
local T <const> = 4
local base, swing = random_weights(), random_weights()
local function theta(t)
  local p, wave = {}, cs.sin(2 * math.pi / T * t)
  for _, n in ipairs(names) do p[n] = 2 * base[n] + swing[n] * wave end
  return p
end

-- The continuous costate: z and lambda together, backwards from the end.
local function ode(field) return cs.ode { field = field, solver = "dop853", rtol = 1e-11, atol = 1e-12 } end
local final = ode(function(t, y) return f(y, theta(t)) end):map(0, T)(h0)
local way_back = ode(function(t, s)
  local by_h = pull(s.z, theta(t), s.lambda)
  return { z = f(s.z, theta(t)), lambda = -by_h }
end):solve({ z = final, lambda = cs.grad(loss)(final) }, { T, 0 })

--- The network of `depth` layers: its states, its a_k, and the times of both.
local function network(depth)
  local thin, times = {}, {}
  for k = 1, depth + 1 do times[k] = T * (k - 1) / depth end
  for k = 1, depth do thin[k] = theta(times[k]) end
  local states = forwards(h0, thin, T / depth)
  return states, (backwards(states, thin, T / depth)), times
end

--- The largest difference of a list of states from those of a solve, relative to the largest of these.
local function distance(list, exact)
  local most = 0
  for k, v in ipairs(list) do most = math.max(most, largest(v, exact:slice(2, k, k):reshape(opt.batch, D))) end
  return most / cs.abs(exact):max():item()
end

print(("layers of thickness %g / K: largest relative difference from the continuous solution"):format(T))
print(("%8s %14s %14s"):format("K", "h_k - z(t_k)", "a_k - lambda(t_k)"))
local depths, off_h, off_a, kept = {}, {}, {}, {}
local depth = 6
while depth <= opt.deepest do
  local states, costates, times = network(depth)
  local exact = way_back(times)
  depths[#depths + 1] = depth
  off_h[#depths], off_a[#depths] = distance(states, exact.z), distance(costates, exact.lambda)
  local first = {}
  for k, v in ipairs(costates) do first[k] = v[1][1] end
  kept[depth] = { times = times, values = first }
  print(("%8d %14.2e %14.2e"):format(depth, off_h[#depths], off_a[#depths]))
  depth = 2 * depth
end
local n = #depths
result.order = math.log(off_a[n - 1] / off_a[n], 2)
print(("order, from the last two: %.3f"):format(result.order))
cs.result(result)

-- ---- the picture -----------------------------------------------------------------------------------------------

local fine = cs.linspace(0, T, 201)
local left = {}
for i, d in ipairs { 6, 12, 24, 96 } do
  local k = kept[d]
  left[i] = k and { x = k.times, y = k.values, name = d .. " layers", style = "linespoints",
    colour = ({ "#D55E00", "#E69F00", "#009E73", "#56B4E9" })[i] }
end
left[#left + 1] = { x = fine, y = way_back(fine).lambda[1]:column(1), name = "λ(t)", colour = "#000000" }
local guide = {}
for i, d in ipairs(depths) do guide[i] = 0.25 * off_a[n] * depths[n] / d end
cs.plot.panels { file = "resnet_adjoint.svg", width = 1000, height = 400, panels = {
  { title = "backpropagation tends to the costate", xlabel = "depth t = k T / K", ylabel = "aₖ, first component",
    key = "top right", series = left },
  { title = "at first order", xlabel = "layers K", ylabel = "largest relative difference", key = "top right",
    logx = true, logy = true, series = {
      { x = depths, y = off_a, name = "aₖ - λ(tₖ)", style = "linespoints", colour = "#0072B2" },
      { x = depths, y = off_h, name = "hₖ - z(tₖ)", style = "linespoints", colour = "#CC79A7" },
      { x = depths, y = guide, name = "1 / K", style = "dashes", colour = "#444444" } } },
} }
