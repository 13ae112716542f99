-- SPDX-License-Identifier: GPL-3.0-or-later
-- Draws lambda.pgm, the letter of the costate, as strokes with soft edges:
--   lua5.4 examples/data/lambda.lua > examples/data/lambda.pgm
local WIDTH <const>, HEIGHT <const> = 88, 104

--- Strokes: points of a quadratic curve from a by b to c, and half the width at its ends, in a box of height one.
local strokes <const> = {
  { a = { 0.14, 0.88 }, b = { 0.30, 1.02 }, c = { 0.40, 0.74 }, from = 0.018, to = 0.050 }, -- the hook
  { a = { 0.40, 0.74 }, b = { 0.53, 0.40 }, c = { 0.66, 0.12 }, from = 0.050, to = 0.050 }, -- the long leg
  { a = { 0.66, 0.12 }, b = { 0.71, 0.03 }, c = { 0.78, 0.12 }, from = 0.050, to = 0.018 }, -- its foot
  { a = { 0.45, 0.60 }, b = { 0.30, 0.34 }, c = { 0.16, 0.10 }, from = 0.040, to = 0.055 }, -- the short leg
}

--- How far (x, y) lies outside the strokes; negative within.
local function distance(x, y)
  local least = math.huge
  for _, s in ipairs(strokes) do
    for i = 0, 60 do
      local t = i / 60
      local p, q, r = (1 - t) ^ 2, 2 * t * (1 - t), t ^ 2
      local dx, dy = p * s.a[1] + q * s.b[1] + r * s.c[1] - x, p * s.a[2] + q * s.b[2] + r * s.c[2] - y
      least = math.min(least, math.sqrt(dx * dx + dy * dy) - (s.from + (s.to - s.from) * t))
    end
  end
  return least
end

local bytes = {}
for row = 1, HEIGHT do
  for column = 1, WIDTH do
    local outside = distance((column - 0.5) / HEIGHT - 0.01, 1 - (row - 0.5) / HEIGHT) * HEIGHT
    bytes[#bytes + 1] = string.char(math.floor(255 * math.min(1, math.max(0, 0.5 + outside)) + 0.5))
  end
end
io.write(("P5\n# drawn by lambda.lua beside this file\n%d %d\n255\n"):format(WIDTH, HEIGHT), table.concat(bytes))
