-- SPDX-License-Identifier: GPL-3.0-or-later
-- Figures by gnuplot through a pipe: SVG or PNG by the file's name. Without gnuplot one warning is
-- given and nothing is drawn.
local core = require "costate.core"
local options = require "costate._options"
local run = require "costate.run"

local M = {}

local colours <const> = { "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999" }

local panel_spec = {
  columns = "table", series = "table", title = "string", xlabel = "string", ylabel = "string", names = "table",
  logx = "boolean", logy = "boolean", style = "string", x = "tensor|table", xrange = "table", yrange = "table",
  equal = "boolean", key = "string",
}
local series_spec = { x = "table|tensor!", y = "table|tensor!", name = "string", style = "string", colour = "string" }
local page_spec = { file = "string!", width = "integer", height = "integer" }

local function joined(...)
  local all = {}
  for _, t in ipairs { ... } do
    for k, v in pairs(t) do all[k] = v end
  end
  return all
end

local lines_spec = joined(panel_spec, page_spec)
local panels_spec = joined(page_spec, { panels = "table!", columns = "integer" })

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

--- What a panel looks like but for its series; earlier panels of the page leave nothing behind.
local function axes(o, lines)
  local function put(format, ...) lines[#lines + 1] = format:format(...) end
  put "reset"
  put "set grid linecolor rgb '#dddddd' linewidth 0.5; set border 3 linecolor rgb '#444444'"
  put "set tics nomirror textcolor rgb '#222222'"
  put("set key %s samplen 2", o.key or "outside right top")
  for _, name in ipairs { "title", "xlabel", "ylabel" } do
    if o[name] then put("set %s %s", name, quoted(o[name])) end
  end
  for _, axis in ipairs { "x", "y" } do
    if o["log" .. axis] then put("set logscale %s; set format %s '10^{%%L}'", axis, axis) end
    local range = o[axis .. "range"]
    if range then put("set %srange [%s:%s]", axis, core.format(range[1]), core.format(range[2])) end
  end
  if o.equal then put "set size ratio -1" end
end

local function list_of(x)
  if core.kind(x) == "tensor" then return core.reshape(x, -1):totable() end
  return x
end

local function number(x) return x == x and math.abs(x) < 1e300 and ("%.9g"):format(x):gsub(",", ".") or "NaN" end

--- Styles of a series, with its colour: "area" is filled down to zero, "region" within a closed line.
local filled <const> = " linecolor rgb '%s' fillstyle transparent solid 0.25 "
local styles <const> = {
  lines = "lines linewidth 1.2 linecolor rgb '%s'",
  dashes = "lines dashtype 2 linewidth 1.2 linecolor rgb '%s'",
  points = "points pointtype 7 pointsize 0.4 linecolor rgb '%s'",
  circles = "points pointtype 6 pointsize 0.7 linecolor rgb '%s'",
  linespoints = "linespoints pointtype 7 pointsize 0.4 linecolor rgb '%s'",
  area = "filledcurves y=0" .. filled .. "noborder",
  region = "filledcurves closed" .. filled .. "border",
}

local function style_of(name)
  if styles[name] then return styles[name] end
  local names = {}
  for k in pairs(styles) do names[#names + 1] = k end
  table.sort(names)
  local near = core.suggest(name, names)
  core.fail(("plot: a style is one of %s, got '%s'%s"):format(table.concat(names, ", "), name,
    near and (": did you mean '%s'?"):format(near) or ""))
end

--- The data of a series, as block `name`, and its part of the plot command.
local function curve(s, i, o, name, lines)
  lines[#lines + 1] = name .. " << E"
  for k = 1, math.min(#s.x, #s.y) do lines[#lines + 1] = number(s.x[k]) .. " " .. number(s.y[k]) end
  lines[#lines + 1] = "E"
  local look = style_of(s.style or o.style or "lines"):format(s.colour or colours[(i - 1) % #colours + 1])
  return ("%s using 1:2 with %s %s"):format(name, look, s.name and "title " .. quoted(s.name) or "notitle")
end

--- Data first, since a page of several panels takes none.
local function script(page, panels, path)
  local lines, commands = { "set encoding utf8", "set terminal " .. terminal(page), "set output " .. quoted(path) }, {}
  for p, panel in ipairs(panels) do
    local curves = {}
    for i, s in ipairs(panel.series) do curves[i] = curve(s, i, panel.options, ("$d%d_%d"):format(p, i), lines) end
    axes(panel.options, commands)
    commands[#commands + 1] = "plot " .. table.concat(curves, ", ")
  end
  if #panels > 1 then
    local columns = page.columns or 2
    lines[#lines + 1] = ("set multiplot layout %d,%d"):format(math.ceil(#panels / columns), columns)
    commands[#commands + 1] = "unset multiplot"
  end
  return table.concat(lines, "\n") .. "\n" .. table.concat(commands, "\n") .. "\n"
end

local function draw(page, panels)
  local path = run.figure(page.file)
  if not have_gnuplot() then return nil, "gnuplot is not installed" end
  local text = script(page, panels, path)
  local pipe = io.popen("gnuplot 2>&1 >/dev/null", "w")
  if not pipe then return nil, "gnuplot could not be started" end
  pipe:write(text)
  if not pipe:close() then return nil, "gnuplot failed on " .. path end
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

--- One of the option `series`, whose x and y may also stand first and second.
local function series_given(what, s)
  local named = {}
  if type(s) ~= "table" then core.fail(("%s is a table { x =, y =, name = }, got a %s"):format(what, type(s))) end
  for k, v in pairs(s) do named[k == 1 and "x" or k == 2 and "y" or k] = v end
  local o = options.check(what, named, series_spec)
  o.x, o.y = list_of(o.x), list_of(o.y)
  return o
end

--- Series of the option `series`, after those of values.
local function all_series(what, values, o)
  if type(values) == "table" and not core.kind(values) then values = core.tensor(values) end
  local series = values ~= nil and series_of(values, o) or {}
  for i, s in ipairs(o.series or {}) do series[#series + 1] = series_given(("series %d of %s"):format(i, what), s) end
  for i, s in ipairs(series) do
    if #s.x ~= #s.y then core.fail(("series %d of %s has %d numbers x and %d numbers y"):format(i, what, #s.x, #s.y)) end
  end
  if #series == 0 then core.fail(what .. ": there is nothing to draw") end
  return series
end

--- cs.plot.lines(values, { columns = {1, 3}, file = "butterfly.svg" }) or, without values,
--- series = { { x =, y =, name =, style = }, ... }. Returns the path, or nil and why not.
function M.lines(values, given)
  if given == nil and type(values) == "table" then values, given = nil, values end
  local o = options.check("plot.lines", given, lines_spec)
  return draw(o, { { options = o, series = all_series("plot.lines", values, o) } })
end

--- The same with points.
function M.points(values, given)
  if given == nil and type(values) == "table" then values, given = nil, values end
  return M.lines(values, joined({ style = "points" }, given))
end

--- Several on a page, row by row: cs.plot.panels { file = "x.svg", panels = { { series = ... }, ... } }.
function M.panels(given)
  local o, panels = options.check("plot.panels", given, panels_spec), {}
  for i, panel in ipairs(o.panels) do
    local what = ("panel %d of plot.panels"):format(i)
    local p = options.check(what, panel, panel_spec)
    panels[i] = { options = p, series = all_series(what, nil, p) }
  end
  if #panels == 0 then core.fail("plot.panels: there is nothing to draw") end
  return draw(o, panels)
end

return M
