-- SPDX-License-Identifier: GPL-3.0-or-later
-- Points from files: tables with their scale, pictures as densities.
local cs = require "costate"

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or "./"
local data_dir = here .. "../../examples/data/"

--- What f(path) gives for a file with this text.
local function with_file(text, f)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
  file:flush()
  local ok, result = pcall(f, path)
  os.remove(path)
  return ok and result or error(result, 0)
end

local function table_of(text, given)
  return with_file(text, function(path)
    local o = { path = path }
    for k, v in pairs(given or {}) do o[k] = v end
    return cs.dataset "table"(o)
  end)
end

local function pbc(given)
  local o = { path = data_dir .. "pbcseq.csv", columns = { "bili", "albumin", "platelet" }, log = { "bili", "platelet" } }
  for k, v in pairs(given or {}) do o[k] = v end
  return cs.dataset "table"(o)
end

--- Means and deviations of the columns of x.
local function moments(x)
  local mean = x:mean(1)
  return mean, cs.sqrt(((cs.shared(x) - mean) ^ 2):mean(1))
end

describe("tables", function()
  it("have complete records alone, logarithms where asked for, labels and ids", function()
    local d = table_of("who,a,b,kind\nu,1,10,x\nu,NA,20,y\nv,3,,x\nv,4,40,y\nw,5,50,x\n",
      { id = "who", label = "kind", log = "b" })
    near(d.x, { { 1, math.log(10) }, { 4, math.log(40) }, { 5, math.log(50) } }, 1e-15)
    assert(d.x.rows and d.dropped == 2 and d.columns[2] == "b" and d.logs[1] == "b" and #d.ids == 3 and d.classes[2] == "y")
    near(d.label:cast "f64", { 0, 1, 0 }, 0)
    near(d.id:cast "f64", { 1, 2, 3 }, 0)
    assert(d.log_scale == 0 and d.std == nil)
    near(d:measured(d.x), { { 1, 10 }, { 4, 40 }, { 5, 50 } }, 1e-14)
    assert(tostring(d):find("N = 3 points, D = 2 (a, b), 2 records dropped", 1, true))
  end)

  it("have three parts, all on the scale of the training part", function()
    local plain, d = pbc(), pbc { normalise = "standard" }
    local train, validation, test = d:split { test = 0.2, validation = 0.1, seed = 1 }
    local n = #d.x
    assert(#train.x + #validation.x + #test.x == n and #test.x == math.floor(0.2 * n + 0.5))
    local mean, std = moments(train.x)
    near(mean, { 0, 0, 0 }, 1e-12)
    near(std, { 1, 1, 1 }, 1e-12)
    assert(not moments(test.x):near({ 0, 0, 0 }, 1e-3), "the test part has a scale of its own")
    local by_seed = { plain:split { test = 0.2, validation = 0.1, seed = 1 } }
    for i, part in ipairs { train, validation, test } do
      near(part.x * cs.tensor(train.std) + cs.tensor(train.mean), by_seed[i].x, 1e-12)
      near(part:measured(part.x), plain:measured(by_seed[i].x), 1e-9)
      assert(part.std[2] == train.std[2] and part.log_scale == train.log_scale)
    end
    near(train.log_scale, -math.log(train.std[1] * train.std[2] * train.std[3]), 1e-12)
  end)

  it("have densities that log_scale takes to what was measured", function()
    local d = pbc { normalise = "standard" }
    local x = d.x[1]
    local log_normal, measured = 0, 0 -- independent normal numbers, standardised and not
    for c = 1, 3 do
      log_normal = log_normal - 0.5 * x[c] ^ 2 - 0.5 * math.log(2 * math.pi)
      local y = d.mean[c] + d.std[c] * x[c]
      measured = measured - 0.5 * ((y - d.mean[c]) / d.std[c]) ^ 2 - 0.5 * math.log(2 * math.pi * d.std[c] ^ 2)
    end
    near(log_normal + d.log_scale, measured, 1e-12)
  end)

  it("are split by id when they have one", function()
    local d = pbc { id = "id", label = "status" }
    local train, test = d:split { test = 0.25, seed = 2 }
    local seen = {}
    for i = 1, #train.x do seen[train.id[i]] = true end
    for i = 1, #test.x do assert(not seen[test.id[i]] and tostring(math.tointeger(test.id[i])) == test.ids[i]) end
    assert(#train.label == #train.x and test.classes == d.classes)
  end)

  it("give rows, batches, and labels", function()
    local d = pbc { label = "status", normalise = "standard" }
    local x, label = d:draw(cs.rng(1), 7, { label = true })
    assert(x.rows and x.shape[1] == 7 and x.shape[2] == 3 and label.dtype == "i64" and #label == 7)
    near(d:draw(cs.rng(1), 7), x, 0)
    local batches, rng, sum = d:batches { size = 100, shuffle = true }, cs.rng(4), cs.zeros(3)
    for _ = 1, batches.per_epoch do sum = sum + cs.shared(batches(rng).x):sum(1) end
    assert(batches.per_epoch == #d.x // 100 and cs.abs(sum):max():item() < 100 * 3)
    near(d:all().x, d.x, 0)
    cs.dtype "f32"
    local single = pbc { normalise = "standard" }
    cs.dtype "f64"
    assert(single.x.dtype == "f32")
    near(single.x:cast "f64", d.x, 1e-5)
  end)

  it("say what is wrong", function()
    raises(function() table_of("a,b\n1,2\n0,3\n", { log = "a" }) end, ":3: column 'a': 0 has no logarithm")
    raises(function() table_of("a,b\n1,2\n", { columns = "a", log = "b" }) end, "log names 'b'")
    raises(function() table_of("a,b\n1,NA\n", {}) end, "every record lacks something")
    raises(function() table_of("a,b\n1,2\n", { columns = "a,a" }) end, "names 'a' twice")
    raises(function() table_of("a,b\n1,x\n", {}) end, ":2: column 'b': 'x' is not a number")
    raises(function() table_of("a,b\n1,2\n1,3\n", { normalise = "standard" }) end, "column 'a' never changes", "leave it out")
    raises(function() table_of("a\n1\n2\n"):split { test = 0.5, validation = 0.6 } end, "nothing to train on")
    raises(function() table_of("a\n1\n2\n"):split { test = 0.5, validation = 0.4 } end, "2 rows, too few to split")
    raises(function() table_of("a\n1\n2\n"):draw(cs.rng(1), 3) end, "2 rows, not 3")
    raises(function() table_of("a\n1\n2\n"):draw(cs.rng(1), 1, { label = true }) end, "no label")
  end)
end)

describe("a trajectory", function()
  it("is cut in three along time", function()
    local train, validation, test = cs.dataset "cubic_spiral" { points = 100 }:split { test = 0.2, validation = 0.1 }
    assert(#train.t == 70 and #validation.t == 10 and #test.t == 20 and validation.t[1] > train.t[70] and
      test.t[1] > validation.t[10])
  end)
end)

local function picture(text, given)
  return with_file(text, function(path)
    local o = { path = path }
    for k, v in pairs(given or {}) do o[k] = v end
    return cs.dataset "image"(o)
  end)
end

--- int p of a picture, from the middles of its pixels.
local function mass(d)
  local at, h, w = {}, table.unpack(d.cells.shape)
  for row = 1, h do
    for column = 1, w do at[#at + 1] = { d.pixel * (column - 0.5 - w / 2), d.pixel * (h / 2 - row + 0.5) } end
  end
  return cs.exp(d:log_density(cs.rows(cs.tensor(at)))):sum():item() * d.pixel ^ 2
end

describe("pictures", function()
  local text <const> = "P2 # grey\n4 2 100\n0 100 100 75\n100 100 100 50\n" -- weights 4, 1 above; 2 below, right

  it("are densities: y up, dark where points are", function()
    local d = picture(text)
    near(d.pixel, 0.5, 0)
    local x = d:draw(cs.rng(1), 40000)
    local counts = { [0] = 0, 0, 0 }
    local function share(column, row)
      local from = cs.tensor { d.pixel * (column - 2), d.pixel * row }
      local inside = cs.gt(x, from) * cs.le(x, from + d.pixel)
      return (inside:column(1) * inside:column(2)):mean():item()
    end
    counts[0], counts[1], counts[2] = share(0, 0), share(3, 0), share(3, -1)
    for k, wanted in pairs { [0] = 4 / 7, 1 / 7, 2 / 7 } do
      assert(math.abs(counts[k] - wanted) < 4.5 * math.sqrt(wanted * (1 - wanted) / 40000), k .. ": " .. counts[k])
    end
    near(d:log_density { { -0.9, 0.4 }, { 0.9, -0.1 } }, { math.log(4 / 7 / 0.25), math.log(2 / 7 / 0.25) }, 1e-12)
    near(cs.exp(d:log_density { { -0.9, -0.4 }, { 1.1, 0.1 }, { 0.9, 0.6 } }), { 0, 0, 0 }, 0)
    near(-d:log_density(x):mean():item(), d.entropy, 0.02)
    near(mass(d), 1, 1e-12)
  end)

  it("are turned inside out, smoothed and stretched", function()
    near(cs.exp(picture(text, { invert = true }):log_density { { -0.9, 0.4 }, { -0.4, 0.4 } }), { 0, 100 / 625 / 0.25 }, 1e-12)
    local d = picture(text, { blur = 0.7, extent = 4 })
    assert(d.box[1] == -4 and d.pixel == 2 and cs.isfinite(d.cells):min():item() == 1)
    near(mass(d), 1, 1e-12)
    local left, right = d:log_density { { -3, 1 } }:item(), d:log_density { { -1, 1 } }:item()
    assert(left > right and right > d:log_density { { 0.5, 1 } }:item())
  end)

  it("are drawn within their pixels, the same bits for the same seed", function()
    local d = cs.dataset "image" { path = data_dir .. "lambda.pgm", blur = 0.5 }
    local x = d:draw(cs.rng(9), 20000)
    near(d:draw(cs.rng(9), 20000), x, 0)
    local log_p = d:log_density(x)
    assert(x.rows and cs.isfinite(log_p):min():item() == 1 and log_p:min():item() > -100)
    local error_ = math.sqrt(((log_p + d.entropy) ^ 2):mean():item() / #x)
    assert(math.abs(log_p:mean():item() + d.entropy) < 4.5 * error_)
    cs.dtype "f32"
    local single = cs.dataset "image" { path = data_dir .. "lambda.pgm", blur = 0.5 }
    local y = single:draw(cs.rng(9), 20000)
    local log_q = single:log_density(y)
    cs.dtype "f64"
    assert(y.dtype == "f32")
    near(y:cast "f64", x, 1e-6)
    near(log_q:mean():item(), log_p:mean():item(), 2e-3) -- some points are rounded into the next pixel
    assert(tostring(d):find("lambda.pgm, 88 x 104 pixels; entropy", 1, true))
  end)

  it("say what they cannot read", function()
    raises(function() picture("P2 2 2 1\n1 1 1 1\n") end, "white all over", "invert = true")
    raises(function() picture("P2 2 2 1\n0 0 0 0\n", { invert = true }) end, "black all over")
    raises(function() picture "GIF89a" end, "neither PGM or PPM")
    raises(function() picture(text, { blurr = 1 }) end, "did you mean 'blur'?")
    raises(function() picture(text):draw(cs.rng(1), 0) end, "positive integers")
    raises(function() picture(text):log_density(cs.zeros(2, 3)) end, "rows [n, 2]")
  end)
end)
