-- SPDX-License-Identifier: GPL-3.0-or-later
-- Figures by gnuplot through a pipe: SVG or PNG by the file's name. Without gnuplot one warning is
-- given and nothing is drawn.
local core = require "costate.core"
local options = require "costate._options"
local run = require "costate.run"

local M = {}

local colours <const> = { "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999" }

local spec = {
  file = "string!", columns = "table", series = "table", title = "string", xlabel = "string",
  ylabel = "string", names = "table", logx = "boolean", logy = "boolean", width = "integer",
  height = "integer", style = "string", x = "tensor|table", xrange = "table", yrange = "table",
  equal = "boolean", key = "string",
}

local available

local function have_gnuplot()
  if available == nil then
    available = os.execute("command -v gnuplot >/dev/null 2>&1") == true
    if not available then io.stderr:write("costate: gnuplot is not installed: figures are left out\n") end
  end
  return available
end

local function quoted(s) return "'" .. tostring(s):gsub("'", "''") .. "'" end

local function terminal(o)
  local w, h = o.width or 720, o.height or 480
  if o.file:match("%.png$") then
    return ("pngcairo size %d,%d font 'Sans,16' linewidth 2"):format(2 * w, 2 * h)
  end
  if o.file:match("%.svg$") then
    return ("svg size %d,%d dynamic background rgb 'white' font 'Sans,12' linewidth 1"):format(w, h)
  end
  core.fail(("plot: the file '%s' must end in .svg or .png"):format(o.file))
end

local function header(o, path)
  local lines = {
    "set terminal " .. terminal(o), "set output " .. quoted(path), "set encoding utf8",
    "set grid linecolor rgb '#dddddd' linewidth 0.5", "set border 3 linecolor rgb '#444444'",
    "set tics nomirror textcolor rgb '#222222'", "set key " .. (o.key or "outside right top") .. " samplen 2",
  }
  local function put(format, x) if x ~= nil then lines[#lines + 1] = format:format(quoted(x)) end end
  put("set title %s", o.title)
  put("set xlabel %s", o.xlabel)
  put("set ylabel %s", o.ylabel)
  for _, axis in ipairs { "x", "y" } do
    if o["log" .. axis] then lines[#lines + 1] = ("set logscale %s; set format %s '10^{%%L}'"):format(axis, axis) end
  end
  if o.equal then lines[#lines + 1] = "set size ratio -1" end
  if o.xrange then lines[#lines + 1] = ("set xrange [%s:%s]"):format(core.format(o.xrange[1]), core.format(o.xrange[2])) end
  if o.yrange then lines[#lines + 1] = ("set yrange [%s:%s]"):format(core.format(o.yrange[1]), core.format(o.yrange[2])) end
  return lines
end

local function list_of(x)
  if core.kind(x) == "tensor" then return core.reshape(x, -1):totable() end
  return x
end

local function number(x) return x == x and math.abs(x) < 1e300 and ("%.9g"):format(x):gsub(",", ".") or "NaN" end

--- The data block and the plot command of series { x = list, y = list, name =, style = }.
local function draw(o, series)
  local path = run.figure(o.file)
  if not have_gnuplot() then return nil, "gnuplot is not installed" end
  local lines, plots = header(o, path), {}
  for i, s in ipairs(series) do
    lines[#lines + 1] = ("$d%d << E"):format(i)
    for k = 1, math.min(#s.x, #s.y) do lines[#lines + 1] = (number(s.x[k])) .. " " .. (number(s.y[k])) end
    lines[#lines + 1] = "E"
    local style = s.style or o.style or "lines"
    local look = style:find("point") and " pointtype 7 pointsize 0.4" or " linewidth 1.2"
    if style == "dashes" then style, look = "lines", " linewidth 1.2 dashtype 2" end
    plots[i] = ("$d%d using 1:2 with %s%s linecolor rgb '%s' %s"):format(i, style, look,
      s.colour or colours[(i - 1) % #colours + 1], s.name and "title " .. quoted(s.name) or "notitle")
  end
  lines[#lines + 1] = "plot " .. table.concat(plots, ", ")
  local pipe = io.popen("gnuplot 2>&1 >/dev/null", "w")
  if not pipe then return nil, "gnuplot could not be started" end
  pipe:write(table.concat(lines, "\n"), "\n")
  local ok = pipe:close()
  if not ok then return nil, "gnuplot failed on " .. path end
  return path
end

--- Series out of values [T, D] or [B, T, D]: columns = { 1, 3 } draws column 3 over column 1 (a phase
--- plot); x = times draws every column over time.
local function series_of(values, o)
  local out, sets = {}, values.rank == 3 and values.shape[1] or 1
  for b = 1, sets do
    local v = values.rank == 3 and values[b] or values
    local function column(i) return core.column(v, i):totable() end
    if v.rank == 1 then
      local x = list_of(o.x) or core.arange(1, v.count + 1):totable()
      out[#out + 1] = { x = x, y = v:totable(), name = o.names and o.names[1] }
    elseif o.columns then
      out[#out + 1] = { x = column(o.columns[1]), y = column(o.columns[2]), name = o.names and o.names[b] }
    else
      local x = list_of(o.x) or core.arange(1, v.shape[1] + 1):totable()
      for i = 1, v.shape[2] do
        out[#out + 1] = { x = x, y = column(i), name = o.names and o.names[i] or b == 1 and ("column " .. i) or nil }
      end
    end
  end
  return out
end

--- cs.plot.lines(values, { columns = {1, 3}, file = "butterfly.svg" }) or, without values,
--- series = { { x =, y =, name =, style = }, ... }. Returns the path, or nil and why not.
function M.lines(values, given)
  if given == nil and type(values) == "table" then values, given = nil, values end
  local o = options.check("plot.lines", given, spec)
  local series = {}
  if values ~= nil then
    if type(values) == "table" and not core.kind(values) then values = core.tensor(values) end
    series = series_of(values, o)
  end
  for _, s in ipairs(o.series or {}) do
    local y = list_of(s.y or s[2])
    local x = list_of(s.x or s[1])
    series[#series + 1] = { x = x, y = y, name = s.name, style = s.style, colour = s.colour }
  end
  if #series == 0 then core.fail("plot.lines: there is nothing to draw") end
  return draw(o, series)
end

--- The same with points.
function M.points(values, given)
  if given == nil and type(values) == "table" then values, given = nil, values end
  local o = {}
  for k, v in pairs(given) do o[k] = v end
  o.style = o.style or "points"
  return M.lines(values, o)
end

return M
