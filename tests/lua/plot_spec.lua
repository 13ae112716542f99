-- SPDX-License-Identifier: GPL-3.0-or-later
local cs = require "costate"

local curve = { x = { 0, 1, 2 }, y = { 0, 1, 4 }, name = "square" }

describe("plots", function()
  it("say what they cannot draw", function()
    local function lines(style)
      return function() cs.plot.lines { file = "never.svg", series = { { x = { 0, 1 }, y = { 0, 1 }, style = style } } } end
    end
    raises(lines "dashed", "did you mean 'dashes'?", "region")
    raises(function() cs.plot.lines { file = "never.gif", series = { curve } } end, ".svg or .png")
    raises(function() cs.plot.panels { file = "never.svg", panels = { { series = { curve } }, { serie = {} } } } end,
      "panel 2", "did you mean 'series'?")
    raises(function() cs.plot.panels { file = "never.svg", panels = { { series = {} } } } end, "panel 1", "nothing to draw")
    raises(function() cs.plot.panels { file = "never.svg", panels = {} } end, "nothing to draw")
    local function series(s) return function() cs.plot.lines { file = "never.svg", series = { curve, s } } end end
    raises(series { x = { 1, 2, 3 }, y = { 1, 2 } }, "series 2", "3 numbers x and 2 numbers y")
    raises(series { { 1, 2 }, cs.tensor { 1, 2, 3 } }, "2 numbers x and 3 numbers y")
    raises(series { x = { 1, 2 }, y = { 1, 2 }, color = "#ff0000" }, "series 2", "did you mean 'colour'?")
    raises(series { x = { 1, 2 } }, "'y' of series 2", "required")
    raises(series(7), "series 2", "number")
    raises(function() cs.plot.lines(cs.zeros(3, 2), { file = "never.svg", x = { 1, 2 } }) end, "2 numbers x and 3 numbers y")
  end)

  it("draw every style, on one panel or on several", function()
    local path = os.tmpname()
    os.remove(path)
    local series = {}
    for i, style in ipairs { "lines", "dashes", "points", "circles", "linespoints", "area", "region" } do
      series[i] = { x = curve.x, y = { i, i + 1, i }, style = style, name = style }
    end
    for _, draw in ipairs {
      function(file) return cs.plot.lines { file = file, series = series, title = "it's one" } end,
      function(file) return cs.plot.lines(cs.tensor { { 1, 2 }, { 3, 5 } }, { file = file, columns = { 1, 2 } }) end,
      function(file)
        return cs.plot.panels { file = file, columns = 1, panels = { { series = series, logy = true },
          { series = { curve }, equal = true, xrange = { 0, 3 }, key = "off" } } }
      end,
    } do
      local drawn, why = draw(path .. ".svg")
      if drawn then
        local file <close> = assert(io.open(drawn))
        assert(file:read("a"):find("</svg>", 1, true))
        os.remove(drawn)
      else
        assert(why == "gnuplot is not installed", why)
      end
    end
  end)
end)
