-- SPDX-License-Identifier: GPL-3.0-or-later
-- Heat maps: a function of rows [n, 2], or a grid of numbers, as a data block and a part of a plot command of gnuplot.
-- An SVG holds the map as a PNG of its own, 20 to 60 kB for 200 x 200 cells.
local core = require "costate.core"
local options = require "costate._options"
local pieces = require "costate._pieces"

local M = {}

local FINE <const> = 200 -- cells along an axis that are small enough
local NONE <const> = "-1e300" -- no number: the cell stays empty

-- Of even steps in lightness: from white, for paper, and from dark violet by green to yellow (matplotlib's, CC0).
local palettes <const> = {
  blues = { "#ffffff", "#dbe7f3", "#b4cfe6", "#89b5d8", "#5f9ac9", "#3a7eb8", "#1f61a1", "#0f4481", "#08285a" },
  viridis = { "#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725" },
}

--- Options of a panel that has a density.
M.spec = { density = "any", points = "integer", palette = "string", zrange = "table", colourbar = "boolean", chunk = "integer" }

local function palette_of(what, name)
  options.one_of(("option 'palette' of %s"):format(what), name, { "blues", "viridis" })
  return palettes[name]
end

--- Two ascending finite numbers.
local function range_of(what, name, given, usual)
  local r = given or usual
  local low, high = r[1], r[2]
  if math.type(low) and math.type(high) and low < high and high - low < math.huge then return low, high end
  core.fail(("option '%s' of %s is { low, high }, two ascending numbers"):format(name, what))
end

--- The middles of the cells of a grid, rows [points^2, 2], along x first.
local function middles(map)
  local xy, n = {}, map.columns
  for j = 0, n - 1 do
    for i = 0, n - 1 do xy[#xy + 1] = { map.x0 + map.dx * i, map.y0 + map.dy * j } end
  end
  return core.rows(core.tensor(xy))
end

local function evaluate(what, f, map, chunk)
  local x = middles(map)
  local z = pieces(f, x, chunk)
  if core.kind(z) ~= "tensor" or z.count ~= x.shape[1] then
    local got = core.kind(z) == "tensor" and "[" .. table.concat(z.shape, ", ") .. "]" or type(z)
    core.fail(("%s: density gives one number for each of the %d points, got %s"):format(what, x.shape[1], got))
  end
  return core.reshape(z, -1):totable()
end

--- A grid [H, W], the first row at the bottom. Large cells are cut, since who shows an SVG may blur them.
local function grid_of(what, given)
  local grid = core.kind(given) and given or core.tensor(given)
  if grid.rank ~= 2 or grid.count == 0 then
    core.fail(("%s: density is a function of points, rows [n, 2], or a grid [H, W]"):format(what))
  end
  local cells, rows, columns = core.reshape(grid, -1):totable(), grid.shape[1], grid.shape[2]
  local times = math.max(1, FINE // math.max(rows, columns))
  local z = {}
  for j = 0, rows * times - 1 do
    for i = 0, columns * times - 1 do z[#z + 1] = cells[j // times * columns + i // times + 1] end
  end
  return z, columns * times, rows * times, columns, rows
end

local function is_function(f) return type(f) == "function" or type(f) == "table" and (getmetatable(f) or {}).__call end

--- The map of a panel's options: cells from the lower left, and where their middles lie.
function M.map(what, o)
  local map = { palette = palette_of(what, o.palette or "blues"), colourbar = o.colourbar }
  local f, width, height = is_function(o.density), nil, nil
  if f then
    map.columns, map.rows = o.points or FINE, o.points or FINE
    if map.columns < 2 then core.fail(("option 'points' of %s is at least 2, got %d"):format(what, map.columns)) end
  else
    map.z, map.columns, map.rows, width, height = grid_of(what, o.density)
  end
  map.xlow, map.xhigh = range_of(what, "xrange", o.xrange, f and { -4, 4 } or { 0, width })
  map.ylow, map.yhigh = range_of(what, "yrange", o.yrange, f and { -4, 4 } or { 0, height })
  map.dx, map.dy = (map.xhigh - map.xlow) / map.columns, (map.yhigh - map.ylow) / map.rows
  map.x0, map.y0 = map.xlow + map.dx / 2, map.ylow + map.dy / 2
  map.z = map.z or evaluate(what, o.density, map, o.chunk or 10000)
  map.zrange = o.zrange and { range_of(what, "zrange", o.zrange) }
  return map
end

--- The colours' range: from zero, if nothing is below, to the largest number.
local function shown_range(map)
  if map.zrange then return map.zrange[1], map.zrange[2] end
  local low, high = 0, -math.huge
  for _, z in ipairs(map.z) do
    if math.abs(z) < math.huge then low, high = math.min(low, z), math.max(high, z) end
  end
  return low, high > low and high or low + 1
end

--- Numbers as block `name`.
function M.data(map, name, lines)
  local row = {}
  lines[#lines + 1] = name .. " << E"
  for j = 0, map.rows - 1 do
    for i = 1, map.columns do
      local z = map.z[j * map.columns + i]
      row[i] = math.abs(z) < math.huge and ("%.4g"):format(z):gsub(",", ".") or NONE
    end
    lines[#lines + 1] = table.concat(row, " ")
  end
  lines[#lines + 1] = "E"
end

--- What is set before the plot, and the part of its command that shows block `name`.
function M.commands(map, name, put)
  local stops, low, high = {}, shown_range(map)
  for i, colour in ipairs(map.palette) do stops[i] = ("%d '%s'"):format(i - 1, colour) end
  put("set palette defined (%s)", table.concat(stops, ", "))
  put("set cbrange [%s:%s]", core.format(low), core.format(high))
  put("set xrange [%s:%s]; set yrange [%s:%s]", core.format(map.xlow), core.format(map.xhigh), core.format(map.ylow),
    core.format(map.yhigh))
  put(map.colourbar and "set colorbox; set cbtics scale 0.5" or "unset colorbox")
  return ("%s matrix using (%s+%s*$1):(%s+%s*$2):($3==%s?NaN:$3) with image notitle"):format(name, core.format(map.x0),
    core.format(map.dx), core.format(map.y0), core.format(map.dy), NONE)
end

return M
