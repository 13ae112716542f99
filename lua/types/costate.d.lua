---@meta costate
-- SPDX-License-Identifier: GPL-3.0-or-later
-- Signatures of everything public: completion in editors, and the source of the API reference.
-- Axes, rows and columns count from 1; negative ones from the end; ranges include both ends.

---@alias costate.Operand number|costate.Tensor|costate.Value
---@alias costate.Array costate.Tensor|costate.Value
---@alias costate.Dtype "f32"|"f64"|"i64"

---What tensors and traced values share. Shapes broadcast from the right; the leading axis of rows is
---aligned first, so row [B] + row [B, D] is [B, D]. `x[i]` is entry i of the first axis (of a tensor of
---rank 1 outside a trace: the number), `#x` its length. Integer powers are products.
---@class costate.Common
---@field shape integer[] lengths of the axes
---@field rank integer
---@field dtype costate.Dtype
---@field count integer elements
---@field rows boolean whether the leading axis is marked as a batch
---@operator add(costate.Operand): costate.Array
---@operator sub(costate.Operand): costate.Array
---@operator mul(costate.Operand): costate.Array
---@operator div(costate.Operand): costate.Array
---@operator pow(costate.Operand): costate.Array
---@operator unm: costate.Array
---@operator len: integer
local Common = {}

---Sum over an axis, several, or all.
---@param axis? integer|integer[]
---@param keep? boolean leave axes of length 1
---@return costate.Array
function Common:sum(axis, keep) end
---@param axis? integer|integer[]
---@param keep? boolean
---@return costate.Array
function Common:mean(axis, keep) end
---@param axis? integer|integer[]
---@param keep? boolean
---@return costate.Array
function Common:max(axis, keep) end
---@param axis? integer|integer[]
---@param keep? boolean
---@return costate.Array
function Common:min(axis, keep) end
---One length may be -1.
---@param ... integer|integer[]
---@return costate.Array
function Common:reshape(...) end
---Without arguments the last two axes are swapped; two axes are swapped; a table is a permutation.
---@param a? integer|integer[]
---@param b? integer
---@return costate.Array
function Common:transpose(a, b) end
---@param axis integer
---@param first? integer
---@param last? integer
---@param step? integer
---@return costate.Array
function Common:slice(axis, first, last, step) end
---Entry i of the last axis.
---@param i integer
---@return costate.Array
function Common:column(i) end
---Every entry of the last axis, as several results (at most 200).
---@return costate.Array ...
function Common:columns() end
---Entries by an index tensor (cs.index{...}), along the first axis by default. A position that is not
---on the axis raises; one that only a batch brings is moved to the nearest.
---@param index costate.Tensor
---@param axis? integer
---@return costate.Array
function Common:take(index, axis) end
---@param dtype costate.Dtype
---@return costate.Array
function Common:cast(dtype) end

---Numbers in memory: dense, row-major. `t[i] = x` writes a row.
---@class costate.Tensor: costate.Common
local Tensor = {}
---@param x number
---@return costate.Tensor self
function Tensor:fill(x) end
---Elements of a tensor of equal count.
---@param from costate.Tensor
---@return costate.Tensor self
function Tensor:copy(from) end
---@return costate.Tensor
function Tensor:clone() end
---@param ... integer one position an axis
---@return number
function Tensor:get(...) end
---@param ... number positions, then the number
---@return costate.Tensor self
function Tensor:set(...) end
---The number of a tensor of one element; raises for more.
---@return number
function Tensor:item() end
---@return table nested
function Tensor:totable() end
---|a - b| <= tolerance max(1, |b|) everywhere (tolerance 1e-9); and the largest difference. NaN is near to nothing.
---Tensors of different shapes raise.
---@param other costate.Tensor|table|number
---@param tolerance? number
---@return boolean near
---@return number worst
function Tensor:near(other, tolerance) end

---A value of a traced function: it has a shape, its numbers come when the program runs. Lua's `if`,
---`==` and `<` cannot be seen by a trace: `<`, `<=`, `==` between values raise; use cs.lt ... cs.where.
---@class costate.Value: costate.Common

---Options of a net that depends on time: the sizes in order, { 2, 64, 64, 2, activation = "tanh" }.
---@class costate.TimedNetOptions
---@field [integer] integer values a row: in, hidden .., out
---@field activation? string after every layer but the last; default "tanh"
---@field final? string after the last layer; default "none"
---@field embedding? "none"|"fourier"|"positional"|"learned" how layers see t: t; t and waves of period 1; waves an octave
---apart; a learned layer
---@field features? integer numbers that the embedding makes of t, even for waves; default 8
---@field context? integer values a row of c, for net(t, x, c)
---@field init? string how weights start; "fan_in_uniform": all within 1/sqrt(inputs)
---@field scale? number
---@field bias? boolean
---@field hyper? integer[] of nn.hyper: hidden widths of the net that makes the weights; default { 32, 32 }
---@field name? string

---@alias costate.TimedNet fun(options: costate.TimedNetOptions): costate.Model

---The models of the plugin nn, and under their names those that others add to it. Nets that depend on time are called
---net(t, x) or, with a context, net(t, x, c): t one number or one a row, [B] or [B, 1]; x [B, D], [B, K, D] or [D]; and
---are fields of cs.ode as they are. With s = [embedding of t, c] each layer x W + b becomes what is said below.
---A recurrent cell gives the next state: h2 = cell(h, x), of h [.., units] and x [.., inputs]; it starts uniform
---within 1/sqrt(units).
---@class costate.Nets: table<string, fun(options: table): costate.Model>
---@field mlp fun(options: table): costate.Model { 2, 50, 2, activation =, final =, init =, scale =, bias = }
---@field linear fun(options: table): costate.Model { 2, 3, activation =, .. }
---@field ignore costate.TimedNet x W + b, with a context x W + c V + b: does not see t
---@field concat costate.TimedNet x W + s V + b
---@field squash costate.TimedNet (x W + b) sigmoid(s G + g)
---@field concatsquash costate.TimedNet (x W + b) sigmoid(s G + g) + s H
---@field blend costate.TimedNet weights and biases affine in s
---@field hyper costate.TimedNet weights and biases are the output of a small net of s
---@field rnn fun(options: { inputs: integer, units: integer, activation?: "tanh"|"relu", name?: string }): costate.Model
---@field gru fun(options: { inputs: integer, units: integer, name?: string }): costate.Model
---@field lstm fun(options: { inputs: integer, units: integer, name?: string }): costate.Model a state is { h =, c = }
---@field gru_d fun(options: { inputs: integer, units: integer, name?: string }): costate.Model GRU with decay:
---h2 = cell(h, { x =, mask =, last =, since =, mean = }), what was seen last of each channel, the time since, its mean

---Losses: means over all elements; and sums by row, [B], for bounds on the evidence. A mask, 1 where observed
---and else 0, may be left out; what it hides has no influence, NaN too. With keep = 2 two axes stay: [B, K].
---@class costate.Losses: table<string, fun(...: costate.Operand|table): costate.Array>
---@field gaussian_log_likelihood fun(mean: costate.Operand, std: costate.Operand, y: costate.Operand, mask?: costate.Operand|table, options?: { keep?: integer }): costate.Array
---@field bernoulli_log_likelihood fun(logits: costate.Operand, y: costate.Operand, mask?: costate.Operand|table, options?: { keep?: integer }): costate.Array
---@field categorical_log_likelihood fun(logits: costate.Operand, y: costate.Operand, mask?: costate.Operand|table, options?: { keep?: integer }): costate.Array y: i64 classes [..] or probabilities [.., C]
---@field kl_standard_normal fun(mean: costate.Operand, std: costate.Operand, options?: { keep?: integer }): costate.Array from N(0, I)
---@field log_mean_exp fun(x: costate.Operand, options?: { axis?: integer }): costate.Array over one axis, the second by default: IWAE

---@class costate
---@field _VERSION string
---@field nn costate.Nets models of the plugin nn: cs.nn.mlp { 2, 50, 2 }
---@field loss costate.Losses cs.loss.mae(y, target [, options])
---@field optim table<string, fun(options?: table): table> cs.optim.adam { lr = 1e-3 }
---@field schedule costate.Schedules
---@field random costate.Random
---@field plot costate.Plot
---@field register costate.Register
---@field linalg costate.Linalg
---@field run table the run: dir, quiet, log(format, ...)
local costate = {}

-- ---- making tensors -------------------------------------------------------------------------------

---From nested tables of numbers, or one number. `dtype` may be a field of the table.
---@param data table|number
---@param dtype? costate.Dtype
---@return costate.Tensor
function costate.tensor(data, dtype) end
---@param ... integer|integer[]|costate.Dtype lengths or a table of them, then a dtype
---@return costate.Tensor
function costate.zeros(...) end
---@param ... integer|integer[]|costate.Dtype
---@return costate.Tensor
function costate.ones(...) end
---@param x number
---@param ... integer|integer[]|costate.Dtype
---@return costate.Tensor
function costate.full(x, ...) end
---n numbers from a to b, both exact; always f64, as times are.
---@param a number
---@param b number
---@param n integer
---@return costate.Tensor
function costate.linspace(a, b, n) end
---a, a + step, ... below b; f64.
---@param a number
---@param b number
---@param step? number
---@return costate.Tensor
function costate.arange(a, b, step) end
---0, 1, ..., n - 1
---@param n integer
---@return costate.Tensor
function costate.iota(n) end
---An index tensor of positions from 1, kept as i64 offsets from 0.
---@param positions integer|integer[]
---@return costate.Tensor
function costate.index(positions) end
---The same elements, the leading axis marked as a batch.
---@param t costate.Tensor|table a tensor, or nested tables of numbers
---@return costate.Tensor
function costate.rows(t) end
---The same elements without that mark.
---@param t costate.Tensor
---@return costate.Tensor
function costate.shared(t) end
---Random numbers for preparing data: normal(shape), uniform(shape), integer(n), permutation(n), choose(n, k).
---@param seed integer
---@param stream? string
---@return costate.Rng
function costate.rng(seed, stream) end
---The float type of new tensors and traces ("f64"); sets it when given.
---@param name? "f32"|"f64"
---@return string
function costate.dtype(name) end
---Worker threads; results do not depend on them.
---@param n? integer
---@return integer
function costate.threads(n) end

-- ---- operations: also methods of tensors and values ----------------------------------------------------

---@param x costate.Operand
---@return costate.Array
function costate.neg(x) end
---@param x costate.Operand
---@return costate.Array
function costate.abs(x) end
---@param x costate.Operand
---@return costate.Array
function costate.sign(x) end
---@param x costate.Operand
---@return costate.Array
function costate.floor(x) end
---1 / x
---@param x costate.Operand
---@return costate.Array
function costate.recip(x) end
---@param x costate.Operand
---@return costate.Array
function costate.square(x) end
---@param x costate.Operand
---@return costate.Array
function costate.sqrt(x) end
---@param x costate.Operand
---@return costate.Array
function costate.exp(x) end
---@param x costate.Operand
---@return costate.Array
function costate.expm1(x) end
---@param x costate.Operand
---@return costate.Array
function costate.log(x) end
---@param x costate.Operand
---@return costate.Array
function costate.log1p(x) end
---@param x costate.Operand
---@return costate.Array
function costate.sin(x) end
---@param x costate.Operand
---@return costate.Array
function costate.cos(x) end
---@param x costate.Operand
---@return costate.Array
function costate.tan(x) end
---@param x costate.Operand
---@return costate.Array
function costate.tanh(x) end
---@param x costate.Operand
---@return costate.Array
function costate.sigmoid(x) end
---log(1 + e^x)
---@param x costate.Operand
---@return costate.Array
function costate.softplus(x) end
---@param x costate.Operand
---@return costate.Array
function costate.relu(x) end
---@param x costate.Operand
---@return costate.Array
function costate.elu(x) end
---@param x costate.Operand
---@return costate.Array
function costate.erf(x) end
---@param x costate.Operand
---@return costate.Array
function costate.atan(x) end
---1 where x is finite, else 0.
---@param x costate.Operand
---@return costate.Array
function costate.isfinite(x) end
---1 where x > 0, else 0.
---@param x costate.Operand
---@return costate.Array
function costate.heaviside(x) end
---x with derivative zero.
---@param x costate.Operand
---@return costate.Array
function costate.detach(x) end
---@param x costate.Operand
---@param p costate.Operand
---@return costate.Array
function costate.pow(x, p) end
---Element by element.
---@param a costate.Operand
---@param b costate.Operand
---@return costate.Array
function costate.maximum(a, b) end
---@param a costate.Operand
---@param b costate.Operand
---@return costate.Array
function costate.minimum(a, b) end
---1 where a < b, else 0.
---@param a costate.Operand
---@param b costate.Operand
---@return costate.Array
function costate.lt(a, b) end
---@param a costate.Operand
---@param b costate.Operand
---@return costate.Array
function costate.le(a, b) end
---@param a costate.Operand
---@param b costate.Operand
---@return costate.Array
function costate.gt(a, b) end
---@param a costate.Operand
---@param b costate.Operand
---@return costate.Array
function costate.ge(a, b) end
---@param a costate.Operand
---@param b costate.Operand
---@return costate.Array
function costate.eq(a, b) end
---@param a costate.Operand
---@param b costate.Operand
---@return costate.Array
function costate.ne(a, b) end
---a where the condition is not zero, else b: the traced `if`.
---@param condition costate.Operand
---@param a costate.Operand
---@param b costate.Operand
---@return costate.Array
function costate.where(condition, a, b) end
---@param x costate.Operand
---@param axis? integer|integer[]
---@param keep? boolean
---@return costate.Array
function costate.sum(x, axis, keep) end
---@param x costate.Operand
---@param axis? integer|integer[]
---@param keep? boolean
---@return costate.Array
function costate.mean(x, axis, keep) end
---Largest element along axes; element by element is cs.maximum.
---@param x costate.Operand
---@param axis? integer|integer[]
---@param keep? boolean
---@return costate.Array
function costate.max(x, axis, keep) end
---@param x costate.Operand
---@param axis? integer|integer[]
---@param keep? boolean
---@return costate.Array
function costate.min(x, axis, keep) end
---x [.., K] times w [K, N] (transposed: [N, K]).
---@param x costate.Array
---@param w costate.Array
---@param transposed? boolean
---@return costate.Array
function costate.matmul(x, w, transposed) end
---Sum over leading axes of a [.., K] and b [.., N]: [K, N].
---@param a costate.Array
---@param b costate.Array
---@return costate.Array
function costate.outer(a, b) end
---Matrix by matrix for every leading index.
---@param a costate.Array
---@param b costate.Array
---@param transpose_a? boolean
---@param transpose_b? boolean
---@return costate.Array
function costate.bmm(a, b, transpose_a, transpose_b) end
---activation(x w + b)
---@param x costate.Array
---@param w costate.Array
---@param b costate.Array
---@param activation? "none"|"tanh"|"sigmoid"|"relu"|"softplus"|"elu"
---@return costate.Array
function costate.dense(x, w, b, activation) end
---@param x costate.Array
---@param ... integer|integer[]
---@return costate.Array
function costate.reshape(x, ...) end
---@param x costate.Array
---@param a? integer|integer[]
---@param b? integer
---@return costate.Array
function costate.transpose(x, a, b) end
---@param x costate.Array
---@param axis integer
---@param first? integer
---@param last? integer
---@param step? integer
---@return costate.Array
function costate.slice(x, axis, first, last, step) end
---@param x costate.Array
---@param i integer
---@return costate.Array
function costate.column(x, i) end
---@param x costate.Array
---@return costate.Array ...
function costate.columns(x) end
---Along an axis they have, the last by default.
---@param list costate.Array[]
---@param axis? integer
---@return costate.Array
function costate.concat(list, axis) end
---Along a new axis, the last by default; numbers and shared values are repeated to fit.
---@param list costate.Operand[]
---@param axis? integer
---@return costate.Array
function costate.stack(list, axis) end
---Zeros before and after along an axis.
---@param x costate.Array
---@param axis integer
---@param before integer
---@param after? integer
---@return costate.Array
function costate.pad(x, axis, before, after) end
---@param x costate.Array
---@param index costate.Tensor
---@param axis? integer
---@return costate.Array
function costate.take(x, index, axis) end
---@param x costate.Array
---@param dtype costate.Dtype
---@return costate.Array
function costate.cast(x, dtype) end
---@param x costate.Operand
---@return costate.Array
function costate.zeros_like(x) end
---@param x costate.Operand
---@return costate.Array
function costate.ones_like(x) end
---@param x costate.Operand
---@param value number
---@return costate.Array
function costate.full_like(x, value) end
---@param x costate.Operand
---@param like costate.Array
---@return costate.Array
function costate.broadcast_like(x, like) end

-- ---- flows -------------------------------------------------------------------------------------------

---Options of cs.ode. Those of the solver, the gradient and the controller may stand beside. A field
---that is a model of a plugin is called with y alone.
---@class costate.OdeOptions
---@field field? fun(t: costate.Value, y: costate.Value|table<string, costate.Value>): costate.Value|table traced; or a model
---@field callback? costate.CallbackFunction SLOW, see there; one of `field` and `callback` is required
---@field solver? string|table "dopri5", or { "name", option = ... }
---@field gradient? string|table "discrete" (exact), "reversible" (exact, O(1) memory, see its solvers), "backsolve" (O(1) memory), "interpolating", "quadrature" (any solver), "forward", "finite"; see `costate help gradients`
---The exact ones differentiate the steps: of a field that grew stiff those of an explicit solver under loose tolerances (1e-2) may have
---a derivative without bound where that of the solution is small. Then a smaller rtol, "interpolating" or an implicit solver help.
---@field controller? string|table step-size control
---@field rtol? number 1e-6
---@field atol? number 1e-9
---@field step? number fixed step size; required by solvers without error estimate
---@field first_step? number 0: chosen
---@field min_step? number
---@field max_step? number
---@field max_steps? integer of one solve
---@field memory? integer bytes that a gradient may store, 0: 1 GiB. Past them "discrete" keeps states and takes steps again (same
---bits), "interpolating" and "quadrature" fail and say so; the others store nothing that grows with the steps
---@field checkpoints? integer of gradient "discrete": so many states are stored at a time, instead of anything else
---@field control? "batch"|"row" one step size for all rows (default), or for each row its own: then rows may have times of their own
---@field events? costate.EventOptions[] what happens along the way
---@field band? integer[] { lower, upper }: diagonals of the Jacobian of a row below and above the main one; implicit solvers then need lower + upper + 1 forward derivatives for it, and sundials factorises the band
---@field trace? boolean keep every step that was tried: sol.steps
---@field parts? table<string, "quadrature"|"uncontrolled"|table> flags of named parts
---@field name? string

---SLOW: a plain function of Lua that is called at every evaluation of the field, for what cannot be traced (an `if` on the
---state, a table, a foreign library). A call of a few numbers takes about 1 microsecond, some 10 times as long as a traced
---field; a loop in Lua over a batch of 100 about 40 times (dy:set(i, k, y:get(i, j))) to 350 times (dy[i][k] = y[i][j]); use
---tensor operations there.
---
---t is a number; y and dy are tensors in the shape of the initial state, [D] or a batch [B, D], or tables of them by part, in
---which y has no quadratures. They are copies: to keep or change them does nothing to the solve. The derivative is said
---once: either every element of dy is written (dy[i] = x, dy:copy(x); with parts also dy.x = x), or it is returned, a tensor
---or table of numbers of the shape of y, or a number for all elements. Nothing, a part of dy, or both is an error.
---
---An error ends the solve: sol.status is "callback", sol.message the error with its line, and the flow can be used again. It
---may follow other flows, but not the one that calls it, and may not yield. One thread runs it, on all rows at once; with
---control = "row", with events, and with solvers of one row (gsl, sundials) it is called with [1, D], a row at a time. There,
---and where an implicit solver needs the Jacobian, which is made of differences (with df/dt from just beyond t), row i of dy
---must depend on row i of y alone.
---
---It has no derivative: a gradient through it is refused, but for gradient = "finite", differences of solves. Whatever else
---it reads, parameters too, is a constant to every derivative: what is to be learned needs `field`. In training make the flow
---outside of the loss: a function made anew at every recording is another one.
---@alias costate.CallbackFunction fun(t: number, y: costate.Tensor|table<string, costate.Tensor>, dy: costate.Tensor|table<string, costate.Tensor>): costate.Tensor|table|number|nil

---An event happens where when(t, y), one number for each row, passes zero along the solve. It ends the solve
---(terminal, the default; later outputs hold the state there) or resets the state. A function that is zero at
---the start, or where its event just happened, counts from when it has left zero: of two events at the very
---same time the second is not seen. Times, states and parameters of events are differentiable with every gradient.
---@class costate.EventOptions
---@field when fun(t: costate.Value, y: costate.Value|table): costate.Value
---@field direction? "both"|"rising"|"falling"
---@field reset? fun(t: costate.Value, y: costate.Value|table): costate.Value|table the state after it; parts left out stay
---@field terminal? boolean
---@field most? integer events of one solve, 20 with a reset; all events of a flow share the largest
---@field name? string

---What happened to a flow with events, one entry an event in order; those beyond `count` are empty (which 0).
---@class costate.Happened
---@field times costate.Array [most], of a batch [B, most]
---@field which costate.Array which event, from 1
---@field states any before the reset
---@field count costate.Array
---@field complete costate.Array 0 where there were more events than fit

---A field and how to follow it. flow(y0, t) gives the values at the times t: [T, D] for y0 [D],
---[B, T, D] for a batch y0 [B, D], a table for named parts. With control = "row" the times may be those of
---each row: [B, T], rows or not, or a list of lists of any length, the shorter of which repeat their last time.
---Raises with the solve's explanation when it fails; flow:solve(y0, t) returns a solution with a status
---instead. A flow with events gives what happened as a second result.
---@class costate.Flow
---@overload fun(y0: any, t: any): any, costate.Happened?
local Flow = {}
---@param y0 costate.Operand|table
---@param t costate.Array|number[]
---@return costate.Solution
function Flow:solve(y0, t) end
---@return string
function Flow:explain() end
---The same field with some options changed.
---@param changes table
---@return costate.Flow
function Flow:with(changes) end

---The flow map from t0 to t1, each a number, a scalar, or [B], one for each row of the state (control = "row").
---@param t0 costate.Operand
---@param t1 costate.Operand
---@return costate.Map
function Flow:map(t0, t1) end

---Phi(y0) = y(t1) of y(t0) = y0. phi(y0) has the shape of y0, a table for named parts; in traced functions it is
---differentiable in the state, in t0 and t1 and in what the field captures. (phi .. psi)(y) is phi(psi(y)).
---Raises with the solve's explanation when it fails.
---@class costate.Map
---@field t0 costate.Operand where the state is taken
---@field t1 costate.Operand where it arrives
---@operator concat(costate.Map): costate.Map
---@overload fun(y0: any): any
local Map = {}
---The map back, of a composed one in reverse order. A flow with events has none.
---@return costate.Map
function Map:inverse() end

---@class costate.Solution
---@field status string "ok", "max_steps", "step_min", "nonfinite", "callback" (it raised an error), ...
---@field message? string where, which component, what to try
---@field values costate.Tensor|table<string, costate.Tensor> NaN at times that were not reached; of a solve with events that failed, at all
---@field t costate.Tensor
---@field events? costate.Happened of a flow with events, unless the solve failed
---@field stats { evaluations: integer, accepted: integer, rejected: integer, last_step: number, stiffness: number? } stiffness: of a solve that stopped for its steps, the largest rate of the field there
---@field steps? { t: costate.Tensor, h: costate.Tensor, error: costate.Tensor, accepted: costate.Tensor } of a flow with trace = true: the steps that were tried; error is in units of the tolerance
---@overload fun(t: number|number[]|costate.Tensor): any the state at a time, or at several [n, ...]: the dense output of the steps taken. In a traced function flow(y0, times) is that, with derivatives in the times
local Solution = {}
---dy/dt at a time, as the field has it.
---@param t number
---@return costate.Array|table
function Solution:slope(t) end

---@param options costate.OdeOptions
---@return costate.Flow
function costate.ode(options) end

---A function of time given by values at knots: u(t) inside a field or outside. Where it jumps or bends, a
---flow whose field calls it with the field's own time ends a step. Gradients flow to the values and to t,
---not to the times. t: a number, a traced time, a list of times, or one a row.
---@class costate.Control
---@field times costate.Array
---@field values costate.Array
---@field kind "constant"|"linear"|"hermite"
---@overload fun(t: costate.Operand|number[]): costate.Array
local Control = {}
---du/dt at t; at a knot that of the interval after it.
---@param t costate.Operand|number[]
---@return costate.Array
function Control:slope(t) end

---times [K] increase; values [K, ..] or, of a batch (cs.rows), [B, K, ..] with times [K] or [B, K].
---"constant" holds each value up to the next knot, "linear" joins them, "hermite" is the cubic spline whose
---slope at a knot is that of the chord before it. Before the first knot and after the last u is constant.
---@param times costate.Array|number[]
---@param values costate.Array|table
---@param kind? "constant"|"linear"|"hermite" "linear"
---@return costate.Control
function costate.control(times, values, kind) end

---A recurrence: body(carry, x) -> carry [, output] along an axis (the second of rows, else the first).
---Beyond its length a row keeps its carry and outputs zeros; in reverse it begins at its own last entry. Where the
---body keeps rows apart (no mean over the batch, no draws) it runs on the rows under way alone: the cost goes with
---the lengths, solves in the body included. Rows that share the steps of a solve (control = "batch") share them with
---the rows under way; with control = "row" or steps of fixed size a row has the same bits whoever is beside it.
---@param body fun(carry: any, x: any): any, any
---@param carry any a value or a table of values
---@param xs any
---@param options? { lengths?: costate.Array, reverse?: boolean, axis?: integer }
---@return any carry
---@return any outputs stacked along the axis
function costate.scan(body, carry, xs, options) end

-- ---- linear algebra -------------------------------------------------------------------------------------

---Differentiable to any order. Matrices are [n, n], right-hand sides [n] or [n, k]; each may be of rows
---(cs.rows), [B, n, n] and [B, n] or [B, n, k], by itself: one matrix serves all rows and is factored once.
---Tables of numbers and values will do. A matrix that is singular to working precision raises; in a solve or a
---training step it is the status "singular".
---@class costate.Linalg
local Linalg = {}
---x with A x = b; A^T x = b when transposed. By LU with partial pivoting.
---@param a costate.Array|table [n, n]
---@param b costate.Array|table [n] or [n, k]
---@param options? { transposed?: boolean }
---@return costate.Array x like b
function Linalg.solve(a, b, options) end
---x with L x = b, L the lower triangle of the matrix given; L^T x = b when transposed.
---@param l costate.Array|table [n, n]
---@param b costate.Array|table [n] or [n, k]
---@param options? { transposed?: boolean }
---@return costate.Array x like b
function Linalg.solve_lower(l, b, options) end
---lower[i-1] x[i-1] + diagonal[i] x[i] + upper[i] x[i+1] = b[i], in O(n), with pivoting; when transposed with `lower`
---and `upper` in each other's place.
---@param lower costate.Array|table [n - 1]
---@param diagonal costate.Array|table [n]
---@param upper costate.Array|table [n - 1]
---@param b costate.Array|table [n] or [n, k]
---@param options? { transposed?: boolean }
---@return costate.Array x like b
function Linalg.solve_tridiagonal(lower, diagonal, upper, b, options) end
---A as bands, one row a diagonal, the lowest first: bands[r, i] multiplies x[i + r - 1 - lower] in equation i.
---Entries that would fall outside A are not read. With lower = upper = 1: stack { subdiagonal, diagonal,
---superdiagonal }, the first from its second column on. In O(n lower (lower + upper)), with pivoting.
---@param bands costate.Array|table [lower + upper + 1, n]
---@param b costate.Array|table [n] or [n, k]
---@param options { lower: integer, upper: integer, transposed?: boolean }
---@return costate.Array x like b
function Linalg.solve_banded(bands, b, options) end
---The lower triangular L with L L^T = (A + A^T) / 2. Raises unless that is positive definite.
---@param a costate.Array|table [n, n]
---@return costate.Array
function Linalg.cholesky(a) end
---The x that makes |A x - b|^2 + ridge |x|^2 least, by QR. Without a ridge m >= n and full rank are needed.
---@param a costate.Array|table [m, n]
---@param b costate.Array|table [m] or [m, k]
---@param options? { ridge?: number }
---@return costate.Array x [n] or [n, k]
function Linalg.lstsq(a, b, options) end

-- ---- derivatives and programs ---------------------------------------------------------------------------

---Gradients of f by its arguments: tensors, numbers, tables of them, or a model (a flat vector).
---@param f fun(...): costate.Value
---@return fun(...): any ...
function costate.grad(f) end
---@param f fun(...): costate.Value
---@return fun(...): costate.Tensor, any ...
function costate.value_and_grad(f) end
---Value and directional derivative.
---@param f fun(...): costate.Value
---@return fun(arguments: any[], tangents: any[]): costate.Tensor, costate.Tensor
function costate.jvp(f) end
---Hessian times v.
---@param f fun(x): costate.Value
---@return fun(x: any, v: any): any
function costate.hvp(f) end
---The Jacobian [m, n] of f at a vector x [n], f(x) [m], by n tangents; [n] where f gives a scalar. A batch
---x [B, n] gives [B, m, n]: f must treat every row by itself (a flow does with control = "row"). Nests:
---cs.jacobian(cs.grad(f)) is the Hessian.
---@param f fun(x: costate.Value): costate.Value
---@return fun(x: costate.Array|table): costate.Array
function costate.jacobian(f) end
---The divergence of a vector field, tr df/dx of each row of x [B, D]; also f(x) and |df/dx|_F^2 [B]. From as many
---products with df/dx as there are vectors, all with one evaluation of f: "exact" takes the D unit vectors, "hutchinson"
---and "hutch++" estimate from `samples` random ones (1), "gaussian" or "rademacher", drawn anew at every step
---of a training; elsewhere the same at every call. No row may depend on another. Inside a field give `vectors` that were
---drawn outside: [B, samples, D], for hutch++ [B, 2 samples, D].
---@param f fun(x: costate.Value): costate.Value
---@param options? { method?: "exact"|"hutchinson"|"hutch++", noise?: "gaussian"|"rademacher", samples?: integer, vectors?: costate.Array }
---@return fun(x: costate.Array): costate.Array, costate.Array, costate.Array
function costate.divergence(f, options) end
---u with constraint(u, ...) = 0, as many equations as unknowns, by Newton's method from u0 [n] or, a batch,
---[B, n]. Differentiable by everything but u0, whatever the constraint captures included, by the implicit
---function theorem du/ds = -c_u^-1 c_s, to any order and never through the iterations. Raises when an equation
---is off by more than `tolerance` (1e-10; 1e-4 in f32) after `steps` (20).
---@param options { constraint: fun(u: costate.Value, ...: any): costate.Value, steps?: integer, tolerance?: number }
---@return fun(u0: costate.Array|table, ...: any): costate.Array
function costate.implicit(options) end
---f as one compiled program. A captured number that changes is noticed and refused.
---@generic F: fun(...): any
---@param f F
---@return F
function costate.compile(f) end
---@return boolean
function costate.is_traced() end

-- ---- models -----------------------------------------------------------------------------------------------

---Callable on tensors and values. Its parameters live in one flat vector.
---@class costate.Model
---@overload fun(...: costate.Operand): any
---@field name string keys its random streams
---@field kind string
---@field flat costate.Tensor every parameter; a traced function may use it, and is differentiated by it
---@field parameters table<string, costate.Tensor> views, as m.parameters["0.weight"]

---@param name string "nn.mlp", or one registered by the script
---@param options? table when absent, a function of the options is returned
---@return any model
function costate.model(name, options) end
---Trainable numbers and tensors: p.alpha. positive = true | "softplus" | { names } keeps them positive.
---@param given table<string, number|costate.Tensor|table|boolean|string>
---@return table
function costate.parameters(given) end

-- ---- series at irregular times ------------------------------------------------------------------------------

---A batch of series, each row with times of its own. `mask` says what is observed: numbers elsewhere are never read.
---@class costate.SeriesBatch
---@field t costate.Array f64 rows [B, T], ascending, the last one repeated beyond the end
---@field y costate.Array rows [B, T, C]
---@field mask costate.Array rows [B, T, C]
---@field lengths costate.Array f64 rows [B], 1 .. T
---@field seen? costate.SeriesBatch what the encoder gets, when that is something else
---@field shared_times? costate.Array f64 [T]: t of every row; then one solve serves them all
---@field span? costate.Array f64 rows [B]: the end of the window of a point process, which begins at the origin
---@field label? costate.Array i64 rows [B] or [B, T], classes from 0

---cs.model "cnf.flow" { field = net, base = "normal", T = { 0.5, learn = true } }: a continuous normalizing flow,
---dz/dt = f(t, z) from the data at t0 to the base at t1; log p(x) = log p_base(z(t1)) + integral of tr df/dz. The field is
---a model or a function of t and z, or a list of them, one flow after another; with `classes` or `condition` it is called
---f(t, z, c), c [B, C]. Other options: `costate help cnf.flow`. Points are rows [B, D]; densities are in nats.
---@class costate.Cnf : costate.Model
local Cnf = {}
---What training makes least: the mean of -log p(x), its trace as option `trace` says, plus the integrals of |f|^2 and
---|df/dz|_F^2 by the weights `kinetic` and `jacobian`. Vectors of an estimate are new at every step of a training, and the same at
---every call outside of one. Terms: log_prob and, where weighted, kinetic, jacobian, each a mean.
---@param x costate.Array
---@param options? { condition?: costate.Array|table, trace?: string, noise?: string, samples?: integer, kinetic?: costate.Operand, jacobian?: costate.Operand }
---@return costate.Array
---@return table<string, costate.Array> terms
function Cnf:loss(x, options) end
---log p of each point, [B]; the trace is exact unless asked otherwise.
---@param x costate.Array
---@param options? { condition?: costate.Array|table, trace?: "exact"|"hutchinson"|"hutch++", noise?: string, samples?: integer }
---@return costate.Array
function Cnf:log_prob(x, options) end
---n points, rows [n, D]; with log_prob = true also log p of each, followed on the way.
---@param rng costate.Rng
---@param n integer
---@param options? { condition?: costate.Array|table, log_prob?: boolean }
---@return costate.Array
---@return costate.Array? log_prob
function Cnf:sample(rng, n, options) end
---Where points come to at the base.
---@param x costate.Array
---@param options? { condition?: costate.Array|table }
---@return costate.Array
function Cnf:encode(x, options) end
---Where points of the base come from.
---@param z costate.Array
---@param options? { condition?: costate.Array|table }
---@return costate.Array
function Cnf:decode(z, options) end
---Points through time, [B, n, D]: at n shares of the way, evenly or as listed; 0 is the data, 1 the base, the other way
---round with from = "base".
---@param x costate.Array
---@param shares integer|number[]
---@param options? { condition?: costate.Array|table, from?: "data"|"base" }
---@return costate.Array
function Cnf:transport(x, shares, options) end
---How often the fields were evaluated by the last call of a method outside of traced functions.
---@return integer
function Cnf:evaluations() end
---The loss of flow matching for the same field, without a solve: the field learns the mean velocity of straight lines from
---points of the data to points of the base. It is called with times [B, 1], one a row.
---@param x costate.Array
---@param options? { condition?: costate.Array|table, sigma?: number }
---@return costate.Array
function Cnf:matching(x, options) end

---cs.model "latent_ode.model" { channels = data.channels, latent = 10 }: a latent ODE; "latent_ode.rnn_vae" has a
---recurrence in its place. z0 has a standard normal prior and lives at `origin`, by default each row's first time; of
---rows that share their times and do not see all of them, give one.
---@class costate.LatentOptions
---@field channels integer|string[]
---@field latent? integer 10
---@field encoder? "ode_rnn"|"gru_dt"|"rnn" backwards in time
---@field hidden? integer 20, width of the encoder's state
---@field units? integer 100, width of hidden layers
---@field layers? integer 1, hidden layers of dz/dt
---@field encoder_layers? integer 1, hidden layers of the encoder's field
---@field decoder_layers? integer 0: linear
---@field gru_units? integer 0: the gates are affine; else networks with a hidden layer
---@field activation? string "tanh"
---@field solver? table options of cs.ode for z: solver, rtol (1e-3), atol (1e-4), gradient, ...
---@field encoder_solver? table options of cs.ode across gaps; without, one Euler step a gap
---@field autonomous? boolean true: dz/dt = f(z), else f(z, t)
---@field origin? number
---@field likelihood? "gaussian"|"bernoulli"|"categorical" of y; categorical: C zeros and ones
---@field noise? number|number[]|"learn" 0.01, standard deviation of the observations
---@field noise_start? number 0.1, where a learned one starts
---@field poisson? "times"|"channels" the times, or each channel's, are a Poisson process whose rate depends on z
---@field poisson_weight? number 1
---@field classes? integer 0; of a classification head
---@field classify? "series"|"point" from the mean of z0, or from z at each time
---@field class_weight? number 1

---@class costate.LatentModel: costate.Model
---@field parts table<string, costate.Model> what it is made of
local LatentModel = {}
---The evidence lower bound, a mean over rows: the sum over observed entries of log p - kl times KL(q(z0) || N(0, I));
---with iwae the bound of importance weighted samples. And its terms: likelihood, kl, process.
---@param b costate.SeriesBatch
---@param options? { samples?: integer, kl?: costate.Operand, iwae?: boolean } samples 1 (0: the mean alone), kl 1
---@return costate.Array
---@return table<string, costate.Array>
function LatentModel:elbo(b, options) end
---What training makes least: -elbo, with classes plus class_weight times the cross entropy. Of models that go forward
---minus the log likelihood of each observation given the earlier ones.
---@param b costate.SeriesBatch
---@param options? { samples?: integer, kl?: costate.Operand, iwae?: boolean }
---@return costate.Array
---@return table<string, costate.Array>
function LatentModel:loss(b, options) end
---q(z0 | x): mean and standard deviation [B, L].
---@param b costate.SeriesBatch
---@return costate.Array mean
---@return costate.Array std
function LatentModel:encode(b) end
---Means of observations [B, T, C] along z0 [B, L], or [B, T, K, C] along z0 [B, K, L].
---@param z0 costate.Array
---@param t costate.Array|number[] the first is z0's time unless there is an origin
---@return costate.Array
function LatentModel:decode(z0, t) end
---Mean and standard deviation [B, T, C] at all times of b, also of channels that are missing there.
---@param b any a batch, a data set of series, or a task
---@param options? { samples?: integer } 30; 0: along the mean of z0
---@return costate.Array mean
---@return costate.Array std
function LatentModel:predict(b, options) end
---Mean over observed entries of (prediction - y)^2.
---@param b any a batch, a data set of series, or a task
---@param options? { samples?: integer } 0
---@return number
function LatentModel:mse(b, options) end
---n series [n, T, C] of the prior, without observation noise.
---@param n integer
---@param t costate.Array|number[]
---@return costate.Array
function LatentModel:sample(n, t) end
---Of a point process: its rate [B, T, E] at the times of b, and the expected number of events [B, E] from the origin to
---the end of each row's window, means over samples (30; 0: along the mean of z0). E is 1, or the number of channels.
---@param b any a batch, a data set of series, or a task
---@param options? { samples?: integer }
---@return costate.Array
---@return costate.Array
function LatentModel:intensity(b, options) end
---Logits [B, classes] or [B, T, classes].
---@param b costate.SeriesBatch
---@return costate.Array
function LatentModel:classify(b) end

---cs.model "latent_ode.rnn_dt", ".rnn_decay", ".gru_d" or ".ode_rnn": go forward and predict what comes next. Methods
---loss, predict and mse, as above; options channels, hidden, units, gru_units, activation, likelihood, noise, noise_start,
---encoder_layers and encoder_solver (ode_rnn), means (gru_d).

-- ---- data, training, results --------------------------------------------------------------------------------

---@class costate.Dataset
local Dataset = {}
---Windows of one trajectory on equally spaced times: { y0 [batch, ..] rows, t [horizon], y [batch, horizon, ..] rows }.
---@param rng costate.Rng
---@param batch integer
---@param horizon integer
---@return { y0: costate.Tensor, t: costate.Tensor, y: costate.Tensor }
function Dataset:windows(rng, batch, horizon) end
---n different rows.
---@param rng costate.Rng
---@param n integer
---@return table<string, costate.Tensor>
function Dataset:draw(rng, n) end
---For `batch =` of cs.train: each row once an epoch.
---@param options { size: integer, shuffle?: boolean }
---@return function
function Dataset:batches(options) end
---Every row, as one batch.
---@return table<string, costate.Tensor>
function Dataset:all() end
---Rows are dealt at random, those that agree in the field `by` together; one trajectory is cut in time. With
---`validation`, a share of the whole as `test` is, there are three parts: train, validation, test.
---@param options { test: number, validation?: number, seed?: integer, by?: string }
---@return costate.Dataset train
---@return costate.Dataset test or validation
---@return costate.Dataset? test
function Dataset:split(options) end

---A density in the plane that points are drawn from: cs.dataset "toy2d" { kind = "8gaussians" } (checkerboard, moons,
---2spirals, pinwheel, circles, swissroll, rings, with the scales of the FFJORD reference) and cs.dataset "image"
---{ path = "x.png", invert =, blur =, extent = } (PGM, PPM, or PNG where libpng was found; many points where it is dark).
---@class costate.Density : costate.Dataset
---@field kind? string of a toy
---@field box number[] { low, high }, of both axes, that hold nearly everything: xrange and yrange of a plot
---@field entropy number in nats: what minus the mean log density of a perfect model tends to
---@field components? integer of a toy that is made of several
---@field cells? costate.Tensor [H, W] of a picture: log densities of its pixels, the top row first
---@field pixel? number side of a pixel
local Density = {}
---n new points, rows [n, 2]; with { label = true } also their components, i64 rows [n] from 0.
---@param rng costate.Rng
---@param n integer
---@param options? { label?: boolean }
---@return costate.Tensor
---@return costate.Tensor? label
function Density:draw(rng, n, options) end
---log p of points, rows [n, 2]: of every kind but pinwheel. Differentiable for the toys, but for checkerboard.
---@param x costate.Array|number[][]
---@return costate.Array rows [n]
function Density:log_density(x) end

---Points of a table: cs.dataset "table" { path = "x.csv", columns =, log =, missing =, id =, label =, normalise = }.
---Records that lack something are dropped. Split by id when there is one; with normalise = "standard" all parts have the
---scale of the training part. Batches have the fields x, and label and id where there are some.
---@class costate.Points : costate.Dataset
---@field x costate.Tensor rows [N, D]
---@field columns string[] names of the D columns
---@field logs? string[] those that are logarithms
---@field dropped integer records that lack something
---@field id? costate.Tensor i64 rows [N]
---@field ids? string[] as the file has them
---@field label? costate.Tensor rows [N]: i64 if whole or words
---@field classes? string[] words of the labels 0, 1, ..
---@field mean? number[] of the columns, before they were standardised
---@field std? number[]
---@field log_scale number added to a log density of x it is that before x was standardised: - sum log std, or 0
local Points = {}
---n different rows of x, [n, D]; with { label = true } also their labels.
---@param rng costate.Rng
---@param n integer
---@param options? { label?: boolean }
---@return costate.Tensor
---@return costate.Tensor? label
function Points:draw(rng, n, options) end
---Points on the scale of x, such as samples of a model, as they would stand in the file.
---@param x costate.Array rows [n, D]
---@return costate.Array
function Points:measured(x) end

---Series at irregular times: what cs.dataset "long", "physionet", "activity", "periodic", "spirals2d", "pendulums" and
---"poisson_sampled" give, and every registered data set with rows t, y, mask, lengths. Sets are checked when made:
---empty series, times that do not ascend, values that are not finite, channels never observed are errors.
---Split by id unless told otherwise. With normalise = "standard" both parts have the scale of the training part.
---@class costate.Series : costate.Dataset
---@field t costate.Tensor f64 rows [N, T]: ascending, the last one repeated beyond the end
---@field y costate.Tensor rows [N, T, C]: 0 where not observed
---@field mask costate.Tensor rows [N, T, C]: 1 where observed
---@field lengths costate.Tensor f64 rows [N]: times of a row, 1 .. T
---@field channels string[] names of the C channels
---@field shared_times? costate.Tensor f64 [T]: when all rows have the same times
---@field label? costate.Tensor rows [N]; or i64 [N, T], of every point, -1 beyond the end
---@field classes? string[] names of the labels 0, 1, ..
---@field statics? costate.Tensor rows [N, S]
---@field static_names? string[]
---@field id? costate.Tensor i64 rows [N]
---@field ids? string[] as the file has them
---@field dropped? integer ids without an observation
---@field mean? number[] of the channels, before they were standardised: measured = mean + std * y
---@field std? number[]
local Series = {}
---The same series with every channel at mean 0 and deviation 1, or on the scale of another standardised set.
---@param options? { like?: costate.Series }
---@return costate.Series
function Series:standardise(options) end
---Batches in which `seen` (t, y, mask, lengths) is what an encoder may look at and t, y, mask, lengths are to be
---predicted. Interpolation: `count` or the share `keep` (0.5) of each row's times are seen, chosen at random anew
---each epoch unless `fixed`, and all are predicted. Extrapolation: the first `share` (0.5) of each row's span is seen,
---the rest predicted. `predict` changes what is predicted to the hidden times or to all. Where nothing is left to
---predict, a row has one time and nothing observed.
---@param options { kind: "interpolation"|"extrapolation", keep?: number, count?: integer, predict?: "all"|"hidden", fixed?: boolean, share?: number, seed?: integer }
---@return costate.Task
function Series:task(options) end

---@class costate.Task
---@field channels string[]
local Task = {}
---@param options { size: integer, shuffle?: boolean }
---@return function
function Task:batches(options) end
---Every row, as one batch; other draws (0, 1, ..) see other points.
---@param draw? integer
---@return table<string, any>
function Task:all(draw) end


---@class costate.Rng
local Rng = {}
---@param ... integer|integer[]
---@return costate.Tensor|number
function Rng:normal(...) end
---@param ... integer|integer[]
---@return costate.Tensor|number
function Rng:uniform(...) end
---@param n integer
---@return integer from 1 to n
function Rng:integer(n) end
---@param n integer
---@return costate.Tensor index
function Rng:permutation(n) end
---@param n integer
---@param k integer
---@return costate.Tensor index k different positions
function Rng:choose(n, k) end
---n positions, each with probability proportional to its weight; given are the sums of the weights up to and with each.
---@param cumulative costate.Tensor f64
---@param n integer
---@return costate.Tensor index
function Rng:weighted(cumulative, n) end

---@param name string
---@param options? table of the set, and seed: that of the run unless given; when absent, a function of the options is returned
---@return any dataset
function costate.dataset(name, options) end

---@class costate.Run
---@field step integer inside traced functions a live value
---@field epoch integer
---@field loss number of the last step
---@field gradient_norm number of the last step, before clipping; a jump by decades tells of a field grown stiff
---@field nfe_forward integer evaluations of fields in the last step
---@field nfe_backward integer
---@field dir? string
local Run = {}
---@param name string
---@param values costate.Tensor
---@param options? table
function Run:plot(name, values, options) end

---@class costate.TrainOptions
---@field parameters any a model, cs.parameters{...}, or a list of them
---@field optimizer table cs.optim.adam { lr = 1e-3 }
---@field steps? integer
---@field epochs? integer with batch = data:batches{...}; otherwise one step each
---@field batch? fun(rng: costate.Rng, run: costate.Run): any tensors, numbers and tables of them
---@field loss fun(batch: any, run: costate.Run): costate.Value, table? one number; and numbers for the metrics
---@field every? table<integer, fun(run: costate.Run)>
---@field clip? number largest norm of all gradients together
---@field schedule? fun(step: integer, lr: number): number learning rate, not negative
---@field validate? fun(run: costate.Run): number
---@field validate_every? integer steps
---@field stop? { patience: integer, least?: number } in validations; the best parameters are kept
---@field log_every? integer steps
---@field on_failure? "stop"|"skip" when a solve fails or a number is not finite
---@field quiet? boolean
---@field name? string

---@class costate.TrainResult
---@field status string "ok", "stopped_early", or what stopped it: "nonfinite", "max_steps", ...
---@field message? string
---@field steps integer
---@field loss number
---@field seconds number
---@field skipped integer
---@field nfe_forward integer
---@field nfe_backward integer
---@field validation? number the best
---@field best_step? integer

---@param options costate.TrainOptions
---@return costate.TrainResult
function costate.train(options) end
---Declares what `--NAME VALUE` may change; the result holds the values.
---@param defaults table<string, number|string|boolean>
---@return table
function costate.options(defaults) end
---Headline figures, merged into result.json.
---@param figures table<string, any>
function costate.result(figures) end
---The table of `costate check` for a loss: its gradient by every gradient method that applies, in parameters,
---initial states, times and values of controls. Methods that follow a solve once for every number of it do so up to
---`directions` of them (2048).
---@param given { loss: function, at: any, batch?: function, directions?: integer, quiet?: boolean } quiet: only the result
---@return table # ok, rows, and a note where there is nothing to compare, which is not ok
function costate.check(given) end
---0 until x reaches `from`, then 1 - rate^(x - from).
---@param x costate.Operand
---@param options { rate: number, from?: number }
---@return costate.Array|number
function costate.anneal(x, options) end

---Functions (step, lr) -> lr for `schedule =` of cs.train.
---@class costate.Schedules
---@field cosine fun(options: { steps: number, final?: number }): function
---@field exponential fun(options: { decay: number, every?: number, least?: number }): function
---@field step fun(options: { every: number, factor?: number }): function
---@field warmup fun(options: { steps: number, after?: function }): function

---Inside a traced function new at every step; refused inside fields.
---@class costate.Random
---@field normal fun(shape: integer[]|costate.Array|integer, options?: { rows?: boolean }): costate.Array
---@field uniform fun(shape: integer[]|costate.Array|integer, options?: { rows?: boolean }): costate.Array

---Styles: circles are open points, dots small ones, for thousands; area is filled down to zero, region within a closed
---line. x and y are of one length; or x is points [n, 2], without y.
---@class costate.Series
---@field x any a list or a tensor
---@field y? any
---@field name? string in the key
---@field style? "lines"|"dashes"|"points"|"dots"|"circles"|"linespoints"|"area"|"region"
---@field colour? string "#0072B2"

---@class costate.PanelOptions
---@field series? costate.Series[]
---@field title? string
---@field xlabel? string
---@field ylabel? string
---@field logx? boolean
---@field logy? boolean
---@field xrange? number[]
---@field yrange? number[]
---@field equal? boolean one unit is as long on both axes
---@field key? string where the key stands, "outside right top"; "top left" is within the axes, "off" nowhere
---@field style? string of series that name none
---@field columns? integer[] of values: column 2 drawn over column 1
---@field names? string[] of the columns of values
---@field x? any of values
---@field frame? "axes"|"box"|"none" axes, but a box around a density
---@field density? fun(x: costate.Tensor): costate.Tensor a heat map below the series: of rows [n, 2] -> [n], or a grid [H, W]
---whose first row is at the bottom. What is not finite stays white. An SVG holds it as a PNG, 20 to 60 kB.
---@field points? integer 200, cells of the map along an axis
---@field palette? "blues"|"viridis"
---@field zrange? number[] of the colours; from 0, or the least, to the largest number unless given
---@field colourbar? boolean
---@field chunk? integer 10000, points that the function gets at once

---@class costate.PlotOptions: costate.PanelOptions
---@field file string "name.svg" or "name.png"
---@field width? integer
---@field height? integer

---@class costate.PageOptions
---@field file string
---@field panels costate.PanelOptions[]
---@field each? costate.PanelOptions what all panels share
---@field columns? integer of the page, 2
---@field width? integer
---@field height? integer

---Figures by gnuplot: file = "name.svg" or ".png". Returns the path, or nil and why not. `panels` puts several on a page,
---row by row; panels that all have frame = "none" lie close together. `points` of values [n, 2] draws them in the plane.
---@class costate.Plot
---@field lines fun(values: any, options?: costate.PlotOptions): string?, string?
---@field points fun(values: any, options?: costate.PlotOptions): string?, string?
---@field density fun(f: any, options: costate.PlotOptions): string?, string? see `density` of a panel
---@field panels fun(options: costate.PageOptions): string?, string?

---An explicit Runge-Kutta method. `b - e` is the method that the error is estimated by; without `e` steps
---are fixed. Without `p` outputs inside a step are cubic Hermite.
---@class costate.Tableau
---@field name string two halves: "mine.heun3"
---@field help? string
---@field order integer
---@field a? number[][] below the diagonal: { { a21 }, { a31, a32 }, ... }
---@field b number[]
---@field e? number[] b - b_hat
---@field error_order? integer of b_hat
---@field e_low? number[] a second estimate: the error is then e |e| / sqrt(|e|^2 + |e_low|^2 / 100)
---@field error_order_low? integer of b - e_low
---@field p? number[][] dense output, a row a stage: y + h sum_i (p[i][1] x + p[i][2] x^2 + ..) k_i
---@field dense_order? integer
---@field a_dense? number[][] rows of `a` of further stages, which only `p` needs

---@class costate.Register
---@field model fun(type: { name: string, options?: table, parameters?: function, build?: function, parts?: fun(options: table, name: string): table<string, costate.Model>, methods?: table<string, function>, check?: fun(options: table) }) build(options, parameters, x); or, made of models, parts and methods f(m, ...)
---@field loss fun(type: { name: string, options?: table, build: function })
---@field dataset fun(type: { name: string, build: function, help?: string, options?: table, methods?: table<string, function> }) with options { kind = { "moons", help = ".." } } they are checked; methods stand beside or instead of the usual
---@field tableau fun(method: costate.Tableau) a solver, usable at once: checked against its order conditions

---@param ... any
function costate.print(...) end
---Nodes with their lines, fusions and buffers of a flow, or of a function on arguments.
---@param x any
---@param ... any
---@return string
function costate.explain(x, ...) end
---@return { name: string, version: string, license: string, path: string }[] loaded plugins
function costate.plugins() end
---@param name_or_path string
---@return true|nil
---@return string? message
function costate.load_plugin(name_or_path) end
---@param value any
---@return string
function costate.json(value) end
---@param text string
---@return any
---@return string? message
function costate.parse_json(text) end
---Seconds of a clock that only goes forward.
---@return number
function costate.clock() end

return costate
