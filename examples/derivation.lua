-- SPDX-License-Identifier: GPL-3.0-or-later
-- The adjoint method, derived, with every line of the derivation computed on a driven pendulum. A field dz/dt =
-- f(t, z, theta) carries z0 at t0 to z(t1), where a loss L looks at it. How does L depend on theta, z0, t0, t1?
-- (^T transposes, f_z = df/dz, L_z = dL/dz; D is a small change: Dz(t) is that of the solution.)
--
--  1  Along a solution f - dz/dt = 0, so for any p(t) at all the Lagrangian is the loss:
--         J = L(z(t1)) + int p^T (f - dz/dt) dt = L
--  2  A small change of theta and z0 changes the solution by Dz, with d(Dz)/dt = f_z Dz + f_theta Dtheta.
--  3  Integration by parts takes the derivative off Dz:
--         int p^T d(Dz)/dt dt = [p^T Dz] - int (dp/dt)^T Dz dt
--  4  so that the change of J, still for any p, has four terms:
--         DJ = (L_z - p(t1))^T Dz(t1) + int (dp/dt + f_z^T p)^T Dz dt + p(t0)^T Dz0 + int p^T f_theta dt Dtheta
--  5  Dz(t), one solve for every component of theta, is what nobody wants to compute. One p makes its terms vanish, the
--     adjoint or costate lambda, solved backwards from t1:
--         dlambda/dt = -f_z^T lambda,   lambda(t1) = L_z
--  6  and what remains is the gradient, for the price of one solve:
--         dL/dtheta = + int lambda^T f_theta dt,   dL/dz0 = lambda(t0)
--         dL/dt1 = lambda(t1)^T f(t1, z(t1)),      dL/dt0 = -lambda(t0)^T f(t0, z0)
--  7  On the way lambda^T Dz changes by what theta adds, and by nothing else: d(lambda^T Dz)/dt = lambda^T f_theta Dtheta.
--  8  Texts disagree on the sign of dL/dtheta: with J = L - int p^T (f - dz/dt) dt the costate is -lambda.
--
-- A running cost, --running C, adds int l dt with l = C |z|^2 / 2 to L: then l_z joins f_z^T p in 4 and 5, dL/dt1 gains
-- l(t1), dL/dt0 gains -l(t0), and -l_z^T Dz joins in 7.
--
--   costate run examples/derivation.lua --out runs/derivation
local cs = require "costate"

local opt = cs.options { running = 0.0, rtol = 1e-12 }

local function f(t, z, theta)
  local angle, speed = z:columns()
  local damping, stiffness, drive = theta:columns()
  return cs.stack { speed, drive * cs.cos(2 * t) - damping * speed - stiffness * cs.sin(angle) }
end
local function l(z) return 0.5 * opt.running * (z ^ 2):sum(2) end
local function L(z) return 0.5 * (z:column(1) - 1) ^ 2 + z:column(2) ^ 2 end

local theta, z0 = cs.tensor { 0.3, 2, 0.8 }, cs.tensor { 1.2, 0 }
local t0, t1 = 0, 3
local Dtheta, Dz0 = cs.tensor { 1, -0.5, 0.7 }, cs.tensor { 0.4, -0.3 } -- a direction of change

local function ode(o)
  o.solver, o.rtol, o.atol, o.max_step = "dop853", opt.rtol, opt.rtol, 0.05
  return cs.ode(o)
end

-- L as a function of everything; a running cost is a part of the state that nothing depends on.
local function loss(th, start, from, to, gradient)
  local flow = ode { gradient = gradient, parts = { paid = "quadrature" },
    field = function(t, s) return { z = f(t, s.z, th), paid = l(s.z) } end }
  local last = flow:map(from, to) { z = start, paid = 0 }
  return L(last.z) + last.paid
end

-- ---- sums over nodes, differences, lines of a table --------------------------------------------------------

-- Gauss-Legendre: five nodes, with their weights, in each of 60 pieces of [t0, t1].
local PIECES <const> = 60
local gauss = { { -0.9061798459386640, 0.2369268850561891 }, { -0.5384693101056831, 0.4786286704993665 },
  { 0, 0.5688888888888889 }, { 0.5384693101056831, 0.4786286704993665 }, { 0.9061798459386640, 0.2369268850561891 } }
local nodes, weights = {}, {}
for piece = 1, PIECES do
  local h = (t1 - t0) / PIECES
  for _, g in ipairs(gauss) do
    nodes[#nodes + 1], weights[#weights + 1] = t0 + (piece - 0.5 + 0.5 * g[1]) * h, 0.5 * h * g[2]
  end
end
local t, w = cs.tensor(nodes), cs.tensor(weights)
local function integral(values) return (values * w):sum():item() end
local function dot(a, b) return (a * b):sum(2) end -- at every node
local function inner(a, b) return (a * b):sum():item() end
local function row(v) return v:reshape(1, v.count) end
local theta_at_nodes = cs.zeros(#nodes, 3) + theta

-- g'(0) by differences of sixth order.
local function slope(g, h)
  local function pair(k) return g(k * h) - g(-k * h) end
  return (45 * pair(1) - 9 * pair(2) + pair(3)) / (60 * h)
end
local STEP <const> = 0.004 -- of what a loss depends on
local SMALL <const> = 5e-4 -- nodes are further from the ends than three of these
local function rate(solution) return slope(function(d) return solution(t + d) end, SMALL) end

local worst = 0
local function line(text, left, right)
  worst = math.max(worst, math.abs(left - right))
  print(("   %-58s %15.11f %15.11f %8.1e"):format(text, left, right, math.abs(left - right)))
end
local function term(text, value) print(("   %-58s %15.11f"):format(text, value)) end
print(("%-61s %15s %15s %s"):format("", "left", "right", "difference"))

-- ---- 1: the Lagrangian, with any p -------------------------------------------------------------------------

local forward = ode { field = function(s, z) return f(s, z, theta) end }
local way = forward:solve(z0, { t0, t1 })
local z, z1 = way(t), way(t1)
local slopes = f(t, z, theta_at_nodes)
local value = loss(theta, z0, t0, t1):item()

local function any(s) return cs.stack { 1 + cs.sin(3 * s), cs.exp(-s) } end
local p, p_rate = any(t), cs.stack { 3 * cs.cos(3 * t), -cs.exp(-t) }
local p_first, p_last = any(cs.tensor(t0)), any(cs.tensor(t1))

print "1  the Lagrangian, p = (1 + sin 3t, e^-t)"
line("L + int p^T (f - dz/dt) dt  =  L", value + integral(dot(p, slopes - rate(way))), value)

-- ---- 2: the variation --------------------------------------------------------------------------------------

local variation = ode { field = function(s, both)
  local dz, d_rate = cs.jvp(function(x, th) return f(s, x, th) end)({ both.z, theta }, { both.D, Dtheta })
  return { z = dz, D = d_rate }
end }:solve({ z = z0, D = Dz0 }, { t0, t1 })
local Dz, Dz1 = variation(t).D, variation(t1).D
local _, Dz_rate = cs.jvp(function(x, th) return f(t, x, th) end)({ z, theta_at_nodes }, { Dz, cs.zeros(#nodes, 3) + Dtheta })
local L_z, l_z = cs.grad(L)(z1), cs.grad(l)(z)
local change = slope(function(e) return loss(theta + e * Dtheta, z0 + e * Dz0, t0, t1):item() end, STEP)
local by_differences = slope(function(e)
  return ode { field = function(s, x) return f(s, x, theta + e * Dtheta) end }:map(t0, t1)(z0 + e * Dz0)
end, STEP)

print "2  the variation: solved, and by differences of solutions"
for i = 1, 2 do line(("Dz_%d(t1)"):format(i), Dz1[i], by_differences[i]) end
line("L_z^T Dz(t1)  =  DL", inner(L_z, Dz1) + integral(dot(l_z, Dz)), change)

-- ---- 3, 4: by parts ----------------------------------------------------------------------------------------

print "3  integration by parts, for the same p"
local ends = inner(p_last, Dz1) - inner(p_first, Dz0)
line("int p^T d(Dz)/dt  =  [p^T Dz] - int (dp/dt)^T Dz", integral(dot(p, Dz_rate)), ends - integral(dot(p_rate, Dz)))

-- q^T f_z and q^T f_theta at times and states: reverse mode, nothing is formed but the products.
local function pull(s, x, th, q)
  return cs.grad(function(a, b) return (f(s, a, b) * q):sum() end)(x, th)
end

local function four_terms(q, q_rate, q_first, q_last)
  local by_z, by_theta = pull(t, z, theta_at_nodes, q)
  local terms = { inner(L_z - q_last, Dz1), integral(dot(q_rate + by_z + l_z, Dz)), inner(q_first, Dz0),
    integral(by_theta:matmul(Dtheta:reshape(3, 1)):reshape(#nodes)) }
  return terms, terms[1] + terms[2] + terms[3] + terms[4], by_theta
end
local names = { "(L_z - p(t1))^T Dz(t1)", "int (dp/dt + f_z^T p)^T Dz dt", "p(t0)^T Dz0", "int p^T f_theta dt Dtheta" }

print "4  the change of J, for the same p"
local terms, sum = four_terms(p, p_rate, p_first, p_last)
for i, name in ipairs(names) do term(name, terms[i]) end
line("their sum  =  DL", sum, change)

-- ---- 5: the adjoint ----------------------------------------------------------------------------------------

-- [z, lambda, g] backwards from t1: g gathers int lambda^T f_theta dt, backwards, hence the minus.
local back = ode { parts = { g = "quadrature" }, field = function(s, a)
  local by_z, by_theta = pull(s, a.z, theta, a.lambda)
  return { z = f(s, a.z, theta), lambda = -by_z - cs.grad(l)(a.z), g = -by_theta }
end }:solve({ z = z1, lambda = L_z, g = cs.zeros(3) }, { t1, t0 })
local lambda, first = back(t).lambda, back(t0)

print "5  p = lambda: what multiplies Dz vanishes"
line("z, solved backwards  =  z0 (first component)", first.z[1], z0[1])
local by_theta
terms, _, by_theta = four_terms(lambda, rate(function(s) return back(s).lambda end), first.lambda, L_z)
line("(L_z - lambda(t1))^T Dz(t1)  =  0", terms[1], 0)
line("int (dlambda/dt + f_z^T lambda)^T Dz dt  =  0", terms[2], 0)
line("lambda(t0)^T Dz0 + int lambda^T f_theta dt Dtheta  =  DL", terms[3] + terms[4], change)

-- ---- 6: the gradient ---------------------------------------------------------------------------------------

local function unit(i, n)
  local list = {}
  for k = 1, n do list[k] = k == i and 1 or 0 end
  return cs.tensor(list)
end
local function end_slope(s, x) return f(cs.tensor(s), row(x), theta):reshape(2) end
local running_last, running_first = l(row(z1)):item(), l(row(z0)):item()

print "6  the gradient: by lambda, by finite differences"
local by_lambda, by_finite = {}, {}
local function both(text, left, g)
  local right = slope(function(e) return g(e):item() end, STEP)
  by_lambda[#by_lambda + 1], by_finite[#by_finite + 1] = left, right
  line(text, left, right)
end
for i, name in ipairs { "damping", "stiffness", "drive" } do
  both(("dL/d %s  =  int lambda^T f_theta dt"):format(name), first.g[i],
    function(e) return loss(theta + e * unit(i, 3), z0, t0, t1) end)
end
for i = 1, 2 do
  both(("dL/dz0_%d  =  lambda_%d(t0)"):format(i, i), first.lambda[i],
    function(e) return loss(theta, z0 + e * unit(i, 2), t0, t1) end)
end
both("dL/dt0  =  -lambda(t0)^T f", -inner(first.lambda, end_slope(t0, z0)) - running_first,
  function(e) return loss(theta, z0, t0 + e, t1) end)
both("dL/dt1  =  lambda(t1)^T f", inner(L_z, end_slope(t1, z1)) + running_last,
  function(e) return loss(theta, z0, t0, t1 + e) end)

local differences = {}
for _, gradient in ipairs { "discrete", "backsolve" } do
  local bars = { cs.grad(function(th, x, a, b) return loss(th, x, a, b, gradient) end)(theta, z0, t0, t1) }
  for i = 1, 4 do bars[i] = bars[i]:reshape(-1) end
  differences[gradient] = cs.abs(cs.concat(bars, 1) - cs.tensor(by_lambda)):max():item()
  print(("   all seven by cs.grad, gradient = %-12s largest difference %33s %8.1e"):format('"' .. gradient .. '",', "",
    differences[gradient]))
end

-- ---- 7: what is conserved ----------------------------------------------------------------------------------

local middle, half = 0.5 * (t0 + t1), #nodes // 2
local added = by_theta:matmul(Dtheta:reshape(3, 1)):reshape(#nodes) - dot(l_z, Dz)
local still = ode { field = function(s, a)
  local dz, d_rate = cs.jvp(function(x) return f(s, x, theta) end)({ a.z }, { a.D })
  return { z = dz, D = d_rate }
end }:solve({ z = z0, D = Dz0 }, { t0, t1 })
local spent = integral(dot(l_z, still(t).D))

print "7  lambda^T Dz along the way"
line("at the middle, less at t0  =  int lambda^T f_theta Dtheta",
  inner(back(middle).lambda, variation(middle).D) - inner(first.lambda, Dz0), ((added * w):slice(1, 1, half)):sum():item())
line("with Dtheta = 0, at t1  =  at t0", inner(L_z, still(t1).D) + spent, inner(first.lambda, Dz0))

-- ---- 8: the sign -------------------------------------------------------------------------------------------

print "8  the sign, on dL/d drive"
line("+ int lambda^T f_theta dt,       lambda(t1) = +L_z", integral(by_theta:column(3)), by_finite[3])
local negative = ode { field = function(s, a)
  local by_z = pull(s, a.z, theta, a.p)
  return { z = f(s, a.z, theta), p = cs.grad(l)(a.z) - by_z }
end }:solve({ z = z1, p = -L_z }, { t1, t0 })(t).p
local _, by_negative = pull(t, z, theta_at_nodes, negative)
line("- int p^T f_theta dt,            p(t1) = -L_z", -integral(by_negative:column(3)), by_finite[3])
print "   both are right: the sign turns with the end value. The minus sign with the end value +L_z is wrong:"
term("- int lambda^T f_theta dt,       lambda(t1) = +L_z", -integral(by_theta:column(3)))
print(("largest difference of all lines: %.1e"):format(worst))

cs.result { largest_difference = worst, discrete = differences.discrete, backsolve = differences.backsolve, loss = value,
  gradient = { damping = first.g[1], stiffness = first.g[2], drive = first.g[3] } }

local fine = cs.linspace(t0, t1, 301)
local path, costate = way(fine), back(fine).lambda
local _, integrand = pull(fine, path, cs.zeros(301, 3) + theta, costate)
local colours = { "#0072B2", "#D55E00", "#009E73" }
local function panel(title, range, values, names_of, filled)
  local series = {}
  for i, name in ipairs(names_of) do
    local y, colour = values:column(i), colours[i]
    if filled then series[#series + 1] = { x = fine, y = y, colour = colour, style = "area" } end
    series[#series + 1] = { x = fine, y = y, colour = colour, name = name }
  end
  return { title = title, xlabel = "t", yrange = range, key = "top left", series = series }
end
cs.plot.panels { file = "derivation.svg", columns = 3, width = 1100, height = 360, panels = {
  panel("z(t), solved forwards", { -2, 2.2 }, path, { "angle", "speed" }),
  panel("λ(t), solved backwards", { -3, 2.5 }, costate, { "of the angle", "of the speed" }),
  panel("λᵀ ∂f/∂θ: the areas are the gradient", { -3, 3.5 }, integrand, { ("damping, area %.3f"):format(first.g[1]),
    ("stiffness, area %.3f"):format(first.g[2]), ("drive, area %.3f"):format(first.g[3]) }, true),
} }
