-- SPDX-License-Identifier: GPL-3.0-or-later
-- Recurrent cells against their formulas written out, gradients against differences, long scans, misuse.
local cs = require "costate"

local B <const>, I <const>, U <const> = 3, 2, 4
local rng = cs.rng(5)
local function rows(...) return cs.rows(rng:normal { ... }) end
local sigmoid, tanh, exp = cs.sigmoid, cs.tanh, cs.exp

--- x W + b of one of a cell's products, and gate k of n of it.
local function dense(cell, which, x)
  local p = cell.parameters
  local z = cs.matmul(x, p[which .. ".weight"])
  return p[which .. ".bias"] and z + p[which .. ".bias"] or z
end
local function part(v, k) return v:slice(-1, (k - 1) * U + 1, k * U) end

local h, c, x = rows(B, U), rows(B, U), rows(B, I)

--- By cell: a state and an input, and the next state by the formulas.
local cells = {
  rnn = { h, x, function(cell) return tanh(dense(cell, "x", x) + dense(cell, "h", h)) end },
  gru = { h, x, function(cell)
    local a, b = dense(cell, "x", x), dense(cell, "h", h)
    local r, z = sigmoid(part(a, 1) + part(b, 1)), sigmoid(part(a, 2) + part(b, 2))
    return (1 - z) * tanh(part(a, 3) + r * part(b, 3)) + z * h
  end },
  lstm = { { h = h, c = c }, x, function(cell)
    local v = dense(cell, "x", x) + dense(cell, "h", h)
    local next = sigmoid(part(v, 2)) * c + sigmoid(part(v, 1)) * tanh(part(v, 3))
    return { h = sigmoid(part(v, 4)) * tanh(next), c = next }
  end },
}

local gap = { x = x, mask = cs.rows(cs.tensor { { 1, 0 }, { 0, 1 }, { 0, 0 } }), last = rows(B, I),
  since = cs.abs(rows(B, I)), mean = cs.tensor { 0.5, -0.25 } }
cells.gru_d = { h, gap, function(cell)
  local p = cell.parameters
  local function decay(v) return exp(-cs.relu(v)) end
  local gx = decay(gap.since * p["decay_x.weight"] + p["decay_x.bias"])
  local xi = gap.mask * x + (1 - gap.mask) * (gx * gap.last + (1 - gx) * gap.mean)
  local k = decay(dense(cell, "decay_h", gap.since)) * h
  local a, b = dense(cell, "x", cs.concat({ xi, gap.mask }, 2)), dense(cell, "h", k)
  local r, z = sigmoid(part(a, 1) + part(b, 1)), sigmoid(part(a, 2) + part(b, 2))
  return (1 - z) * k + z * tanh(part(a, 3) + dense(cell, "n", r * k))
end }

local function head(state) return type(state) == "table" and state.h or state end
local function total(state)
  if type(state) ~= "table" then return (state * state):sum() end
  return (state.h * state.c):sum()
end

for name, of in pairs(cells) do
  describe(name, function()
    local cell = cs.nn[name] { inputs = I, units = U, name = "test" }

    it("computes its formulas", function()
      local state, expected = cell(of[1], of[2]), of[3](cell)
      near(head(state), head(expected), 1e-14)
      if name == "lstm" then near(state.c, expected.c, 1e-14) end
    end)

    it("starts within 1/sqrt(units), the same in every run", function()
      local bound = 1 / math.sqrt(U)
      assert(cs.abs(cell.flat):max():item() <= bound)
      assert(cs.abs(cell.flat):max():item() > 0.8 * bound)
      assert(tostring(cs.nn[name] { inputs = I, units = U, name = "test" }.flat) == tostring(cell.flat))
    end)

    it("has the gradients of differences, in parameters and inputs", function()
      local e <const>, v = 1e-5, rng:normal { #cell }
      local loss = function() return total(cell(of[1], of[2])) end
      local g = cs.grad(loss)(cell)
      local old = cell.flat * 1
      cell.flat:copy(old + v * e)
      local up = loss():item()
      cell.flat:copy(old - v * e)
      local down = loss():item()
      cell.flat:copy(old)
      near((g * v):sum():item(), (up - down) / (2 * e), 1e-7)
      local w = rows(B, U)
      local function from(k)
        return total(cell(name == "lstm" and { h = h + w * k, c = c - w * k } or h + w * k, of[2]))
      end
      near(cs.grad(from)(cs.tensor(0.0)):item(), ((from(e) - from(-e)) / (2 * e)):item(), 1e-7)
    end)

    it("scans 500 steps, with a gradient", function()
      local long = rows(B, 500, I)
      local function last(scale)
        local out = cs.scan(function(state, xi)
          if name ~= "gru_d" then return cell(state, xi) end
          return cell(state, { x = xi, mask = gap.mask, last = xi, since = gap.since, mean = gap.mean })
        end, of[1], long * scale)
        return total(out)
      end
      local state = of[1]
      for k = 1, 500 do
        local xi = long:slice(2, k, k):reshape(B, I)
        state = cell(state, name == "gru_d" and { x = xi, mask = gap.mask, last = xi, since = gap.since, mean = gap.mean } or xi)
      end
      near(last(cs.tensor(1.0)):item(), total(state):item(), 1e-13)
      local e <const> = 1e-5
      near(cs.grad(last)(cs.tensor(1.0)):item(), ((last(cs.tensor(1 + e)) - last(cs.tensor(1 - e))) / (2 * e)):item(), 1e-6)
    end)

    it("computes in f32, and without rows", function()
      local old = cs.dtype()
      local function plain(v)
        if type(v) ~= "table" then return #v.shape == 2 and v:slice(1, 1, 1):reshape(v.shape[2]) or v end
        local t = {}
        for k, e in pairs(v) do t[k] = plain(e) end
        return t
      end
      local one = cell(plain(of[1]), plain(of[2]))
      near(head(one), head(cell(of[1], of[2])):slice(1, 1, 1):reshape(U), 1e-14)
      cs.dtype "f32"
      local small = cs.nn[name] { inputs = I, units = U, name = "test" }
      local y = head(small(of[1], of[2]))
      cs.dtype(old)
      assert(y.dtype == "f32")
      near(cs.cast(y, "f64"), head(cell(of[1], of[2])), 1e-6)
    end)

    it("refuses other widths", function()
      raises(function() cell(of[1]) end, "nn." .. name, "takes 2 arguments, got 1")
      local wide = name == "lstm" and { h = rows(B, U + 1), c = c } or rows(B, U + 1)
      raises(function() cell(wide, of[2]) end, name .. " expects a state of 4 values a row, got 5")
      raises(function() cs.nn[name] { inputs = 2 } end, "units")
      raises(function() cs.nn[name] { inputs = 2, units = 0 } end, "units")
    end)
  end)
end

describe("cells of several values", function()
  it("name what a table lacks", function()
    local cell = cs.nn.lstm { inputs = I, units = U }
    raises(function() cell(h, x) end, "argument 1 of nn.lstm is a table of h, c")
    raises(function() cell({ h = h }, x) end, "argument 1 of nn.lstm lacks 'c'")
    raises(function() cs.nn.gru_d { inputs = I, units = U }(h, { x = x, mask = gap.mask }) end, "lacks 'last'")
  end)
  it("gru_d does not see what the mask hides", function()
    local cell = cs.nn.gru_d { inputs = I, units = U }
    local holes = {}
    for k, v in pairs(gap) do holes[k] = v end
    holes.x = cs.where(gap.mask, x, 0 / 0)
    assert(tostring(cell(h, gap)) == tostring(cell(h, holes)))
  end)
end)
