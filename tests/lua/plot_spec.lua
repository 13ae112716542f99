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
    raises(series { cs.zeros(3, 3) }, "'y' of series 2", "unless x is a tensor of points [n, 2]")
    raises(series(7), "series 2", "number")
    raises(function() cs.plot.lines(cs.zeros(3, 2), { file = "never.svg", x = { 1, 2 } }) end, "2 numbers x and 3 numbers y")
  end)

  it("say which densities they cannot draw", function()
    local function density(f, more)
      local o = { file = "never.svg", points = 3 }
      for k, v in pairs(more or {}) do o[k] = v end
      return function() cs.plot.density(f, o) end
    end
    local function ones(x) return x:column(1) * 0 + 1 end
    raises(density(function(x) return x end), "one number for each of the 9 points", "[9, 2]")
    raises(density(function() return 1 end), "one number for each of the 9 points", "number")
    raises(density(cs.zeros(3)), "rows [n, 2], or a grid [H, W]")
    raises(density(nil), "takes a function of points")
    raises(density(ones, { points = 1 }), "'points' of plot.density is at least 2, got 1")
    raises(density(ones, { xrange = { 1, 1 } }), "'xrange' of plot.density", "ascending")
    raises(density(ones, { zrange = { 1 } }), "'zrange' of plot.density", "ascending")
    raises(density(ones, { palette = "virdis" }), "did you mean 'viridis'?")
    raises(density(ones, { frame = "boxes" }), "axes, box, none, got 'boxes'")
    raises(density(ones, { pallete = "blues" }), "did you mean 'palette'?")
    raises(function() cs.plot.panels { file = "never.svg", panels = { { density = cs.zeros(2) } } } end, "panel 1", "[H, W]")
  end)

  it("ask a function where the cells of a heat map have their middles, in pieces", function()
    local asked, pieces = {}, 0
    cs.plot.density(function(x)
      pieces = pieces + 1
      assert(x.rows and x.shape[2] == 2)
      for i = 1, #x do asked[#asked + 1] = { x[i][1], x[i][2] } end
      return x:column(1)
    end, { file = os.tmpname() .. ".svg", points = 4, xrange = { 0, 4 }, yrange = { -2, 2 }, chunk = 7 })
    assert(pieces == 3 and #asked == 16)
    for i, at in ipairs(asked) do
      near(at[1], (i - 1) % 4 + 0.5, 1e-12)
      near(at[2], (i - 1) // 4 - 1.5, 1e-12)
    end
  end)

  it("draw heat maps and thousands of points, small", function()
    local x = cs.rows(cs.rng(1):normal(2000, 2))
    local function normal(z) return cs.exp(-0.5 * (z ^ 2):sum(2)) end
    local gap = cs.tensor { { 0, 1 }, { 0 / 0, 2 } }
    local path = os.tmpname()
    for _, draw in ipairs {
      function(file) return cs.plot.points(x, { file = file }) end,
      function(file)
        return cs.plot.density(normal, { file = file, colourbar = true, series = { { x, style = "dots", name = "drawn" } } })
      end,
      function(file)
        return cs.plot.panels { file = file, columns = 3, each = { frame = "none", title = "of three" },
          panels = { { density = normal, points = 50, palette = "viridis", zrange = { 0, 2 } }, { density = gap },
            { series = { { x, style = "dots" }, curve }, equal = true } } }
      end,
    } do
      for ending, magic in pairs { svg = "<?xml", png = "\x89PNG" } do
        local drawn, why = draw(path .. "." .. ending)
        assert(drawn or why == "gnuplot is not installed", why)
        if drawn then
          local file <close> = assert(io.open(drawn, "rb"))
          local text = file:read "a"
          assert(text:sub(1, #magic) == magic and #text < 200000, drawn .. ": " .. #text)
          if ending == "svg" then assert(text:find("</svg>", 1, true) and text:find("h0M", 1, true)) end
          os.remove(drawn)
        end
      end
    end
    os.remove(path)
  end)

  it("draw every style, on one panel or on several", function()
    local path = os.tmpname()
    os.remove(path)
    local series = {}
    for i, style in ipairs { "lines", "dashes", "points", "dots", "circles", "linespoints", "area", "region" } do
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
