-- SPDX-License-Identifier: GPL-3.0-or-later
-- Figures by gnuplot through a pipe: SVG or PNG by the file's name. Without gnuplot one warning is
-- given and nothing is drawn.
local compact = require "costate.plot.svg"
local core = require "costate.core"
local density = require "costate.plot.density"
local options = require "costate._options"
local run = require "costate.run"
local series = require "costate.plot.series"

local M = {}

local quoted <const> = series.quoted

local panel_spec = {
  columns = "table", series = "table", title = "string", xlabel = "string", ylabel = "string", names = "table",
  logx = "boolean", logy = "boolean", style = "string", x = "tensor|table", xrange = "table", yrange = "table",
  equal = "boolean", key = "string", frame = "string",
}
local page_spec = { file = "string!", width = "integer", height = "integer" }

local joined = options.joined

local lines_spec = joined(panel_spec, page_spec)
local map_spec = joined(panel_spec, density.spec)
local density_spec = joined(map_spec, page_spec)
local panels_spec = joined(page_spec, { panels = "table!", columns = "integer", each = "table" })

-- What surrounds a panel: axes to the left and below, a box, or nothing at all.
local frames <const> = {
  axes = "set grid linecolor rgb '#dddddd' linewidth 0.5; set border 3 linecolor rgb '#444444'; set tics nomirror",
  box = "set border 15 linecolor rgb '#444444'; set tics nomirror out scale 0.5",
  none = "unset border; unset tics",
}

local available

local function have_gnuplot()
  if available == nil then
    available = os.execute("command -v gnuplot >/dev/null 2>&1") == true
    if not available then io.stderr:write("costate: gnuplot is not installed: figures are left out\n") end
  end
  return available
end

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

local function frame_of(panel)
  local name = panel.options.frame or panel.map and "box" or "axes"
  if frames[name] then return frames[name] end
  core.fail(("plot: a frame is one of axes, box, none, got '%s'"):format(name))
end

--- What a panel looks like but for its series; earlier panels of the page leave nothing behind.
local function axes(panel, put)
  local o = panel.options
  put "reset"
  put "set tics textcolor rgb '#222222'"
  put(frame_of(panel))
  put("set key %s samplen 2", o.key or "outside right top")
  for _, name in ipairs { "title", "xlabel", "ylabel" } do
    local closer = name == "title" and o.frame == "none" and " offset 0,-0.7" or ""
    if o[name] then put("set %s %s%s", name, quoted(o[name]), closer) end
  end
  for _, axis in ipairs { "x", "y" } do
    if o["log" .. axis] then put("set logscale %s; set format %s '10^{%%L}'", axis, axis) end
    local range = o[axis .. "range"]
    if range then put("set %srange [%s:%s]", axis, core.format(range[1]), core.format(range[2])) end
  end
  if o.equal or panel.map and o.equal == nil then put "set size ratio -1" end
end

--- Panels without frames lie close to each other, with room for titles; others as gnuplot thinks best.
local function layout(page, panels, columns)
  local rows, bare, titled = math.ceil(#panels / columns), true, false
  for _, panel in ipairs(panels) do
    bare, titled = bare and panel.options.frame == "none", titled or panel.options.title ~= nil
  end
  local text = ("set multiplot layout %d,%d"):format(rows, columns)
  if not bare then return text end
  page.width, page.height = page.width or 200 * columns, page.height or (titled and 224 or 200) * rows
  local dx, dy, top = 6 / page.width, (titled and 26 or 6) / page.height, (titled and 24 or 6) / page.height
  return ("%s margins %.4f,%.4f,%.4f,%.4f spacing %.4f,%.4f"):format(text, dx, 1 - dx, 6 / page.height, 1 - top, dx, dy)
end

--- Data first, since a page of several panels takes none.
local function script(page, panels, path)
  local lines, commands = {}, {}
  local function put(format, ...) commands[#commands + 1] = format:format(...) end
  for p, panel in ipairs(panels) do
    local curves = {}
    axes(panel, put)
    if panel.map then
      density.data(panel.map, "$z" .. p, lines)
      curves[1] = density.commands(panel.map, "$z" .. p, put)
    end
    for i, one in ipairs(panel.series) do
      curves[#curves + 1] = series.curve(one, i, panel.options, ("$d%d_%d"):format(p, i), lines)
    end
    commands[#commands + 1] = "plot " .. table.concat(curves, ", ")
  end
  if #panels > 1 then
    lines[#lines + 1] = layout(page, panels, page.columns or 2)
    commands[#commands + 1] = "unset multiplot"
  end
  table.insert(lines, 1, ("set encoding utf8\nset terminal %s\nset output %s"):format(terminal(page), quoted(path)))
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
  if path:match("%.svg$") then compact(path) end
  return path
end

--- cs.plot.lines(values, { columns = {1, 3}, file = "butterfly.svg" }) or, without values,
--- series = { { x =, y =, name =, style = }, ... }. Returns the path, or nil and why not.
function M.lines(values, given)
  if given == nil and type(values) == "table" then values, given = nil, values end
  local o = options.check("plot.lines", given, lines_spec)
  return draw(o, { { options = o, series = series.all("plot.lines", values, o) } })
end

--- The same with points. Of values [n, 2] alone they are the points of a plane.
function M.points(values, given)
  if given == nil and type(values) == "table" then values, given = nil, values end
  local o = joined({ style = "points" }, given or {})
  if core.kind(values) == "tensor" and values.rank == 2 and values.shape[2] == 2 and not o.x and not o.columns then
    o = joined({ columns = { 1, 2 }, equal = true }, o, not (given and given.style) and values.shape[1] > 500 and
      { style = "dots" } or {})
  end
  return M.lines(values, o)
end

--- A panel of a page, all functions evaluated.
local function panel_of(what, o)
  return { options = o, series = series.all(what, nil, o), map = o.density ~= nil and density.map(what, o) or nil }
end

--- cs.plot.density(f, { file = "x.png", xrange = { -4, 4 }, yrange = { -4, 4 } }): a heat map of f, which maps points,
--- rows [n, 2], to numbers [n]; or of a grid [H, W], the first row at the bottom. `series` lie on it.
function M.density(f, given)
  local o = options.check("plot.density", joined(given or {}, { density = f }), density_spec)
  if f == nil then core.fail("plot.density takes a function of points, rows [n, 2], or a grid [H, W] first") end
  return draw(o, { panel_of("plot.density", o) })
end

--- Several on a page, row by row: cs.plot.panels { file = "x.svg", panels = { { series = ... }, { density = f }, ... } }.
--- `each` has options that all panels share.
function M.panels(given)
  local o, panels = options.check("plot.panels", given, panels_spec), {}
  for i, panel in ipairs(o.panels) do
    local what = ("panel %d of plot.panels"):format(i)
    if type(panel) == "table" then panel = joined(o.each or {}, panel) end
    panels[i] = panel_of(what, options.check(what, panel, map_spec))
  end
  if #panels == 0 then core.fail("plot.panels: there is nothing to draw") end
  return draw(o, panels)
end

return M
