-- SPDX-License-Identifier: GPL-3.0-or-later
-- Series at irregular times: reading, splitting, batches, tasks, and what is refused.
local cs = require "costate"

local here = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or "./"
local data_dir = here .. "../../examples/data/"

local function fev(given)
  local o = { path = data_dir .. "fev.csv", id = "ptnum", time = "days", value = "fev", missing = 999 }
  for k, v in pairs(given or {}) do o[k] = v end
  return cs.dataset "long"(o)
end

local function pbc(given)
  local o = { path = data_dir .. "pbcseq.csv", id = "id", time = "day", time_scale = 1 / 365.25, label = "status",
    columns = { "bili", "chol", "albumin", "alk_phos", "ast", "platelet", "protime", "stage" }, statics = { "age", "sex" } }
  for k, v in pairs(given or {}) do o[k] = v end
  return cs.dataset "long"(o)
end

--- A registered set from plain tables, t and y alone required: { t = { {..} }, y = { { {..} } }, .. }.
local registered = 0
local function set_of(given)
  registered = registered + 1
  local name = "series_spec.set" .. registered
  cs.register.dataset { name = name, build = function()
    local f = {}
    for k, x in pairs(given) do
      f[k] = k == "channels" and x or cs.rows(cs.tensor(x, k == "label" and "i64" or nil))
    end
    f.mask = f.mask or cs.ones_like(f.y)
    f.lengths = f.lengths or cs.rows(cs.ones(#given.t) * #given.t[1])
    return f
  end }
  return cs.dataset(name, {})
end

--- { t -> y } of the observed points of row i of a batch with one channel.
local function points(b, i)
  local out, n = {}, 0
  for p = 1, math.tointeger(b.lengths[i]) do
    if b.mask[i][p][1] == 1 then
      out[b.t[i][p]] = b.y[i][p][1]
      n = n + 1
    end
  end
  return out, n
end

describe("series from tables", function()
  it("reads the two sets of examples/data", function()
    local a, b = fev(), pbc()
    assert(#a.y == 203 and a.dropped == 0 and a.channels[1] == "fev" and a.t.dtype == "f64")
    near(a.y[1][1][1], 95.16)
    near(a.t[1][1], 190)
    assert(a.mask:sum():item() == a.lengths:sum():item())
    assert(#b.y == 312 and #b.channels == 8 and b.statics.shape[2] == 2 and b.label.dtype == "i64")
    assert(b.static_names[2] == "sex" and b["levels.sex"][1] == "f" and b.mask[1][2][2] == 0)
    near(b.t[1][2], 192 / 365.25)
    local text = tostring(b)
    assert(text:find("N = 312 series of 1 to 16 times, C = 8 (bili, chol, ", 1, true) and text:find("% observed", 1, true), text)
  end)

  it("takes lists of markers, numbers among them", function()
    assert(fev { missing = { 999, "NA" } }.y:near(fev().y, 0))
    raises(function() fev { columns = "fev" } end, "either value")
    raises(function() fev { label = "acute" } end, "must not change within an id")
  end)
end)

describe("split of series", function()
  it("keeps every row once, with its name", function()
    local d = pbc()
    local train, test = d:split { by = "id", test = 0.2, seed = 1 }
    assert(#train.y == 250 and #test.y == 62 and #train.ids == 250 and train.channels == d.channels)
    local seen = {}
    for _, part in ipairs { train, test } do
      for i = 1, #part.id do
        assert(tostring(math.tointeger(part.id[i])) == part.ids[i] and not seen[part.id[i]])
        seen[part.id[i]] = true
        near(part.y[i], d.y[math.tointeger(part.id[i])], 0) -- here the ids are 1 .. 312
      end
    end
    local again = d:split { test = 0.2, seed = 1 }
    assert(again.id:near(train.id, 0))
    assert(not (d:split { test = 0.2, seed = 2 }).id:near(train.id, 0))
  end)

  it("puts rows of one id on one side", function()
    local t, y, id = {}, {}, {}
    for i = 1, 30 do t[i], y[i], id[i] = { i, i + 1 }, { { 1 }, { 2 } }, i % 7 end
    local d = set_of { t = t, y = y, id = id }
    local train, test = d:split { test = 0.3, seed = 4 }
    assert(#train.y + #test.y == 30 and #test.y >= 8)
    local there = {}
    for i = 1, #train.id do there[train.id[i]] = true end
    for i = 1, #test.id do assert(not there[test.id[i]]) end
    raises(function() d:split { test = 0.3, by = "person" } end, "no field 'person'")
    raises(function() set_of { t = { { 1 }, { 2 } }, y = { { { 1 } }, { { 2 } } }, id = { 5, 5 } }:split { test = 0.5 } end,
      "too few to split")
  end)

  it("scales both parts by the training part", function()
    local raw, d = pbc(), pbc { normalise = "standard" }
    local train, test = d:split { test = 0.2, seed = 1 }
    for _, part in ipairs { d, train } do
      for c = 1, 8 do
        local y, m = part.y:slice(3, c, c), part.mask:slice(3, c, c)
        local n = m:sum():item()
        near(y:sum():item() / n, 0, 1e-12)
        near((y * y):sum():item() / n, 1, 1e-12)
      end
    end
    for _, part in ipairs { d, train, test } do
      local back = (part.y * cs.tensor(part.std) + cs.tensor(part.mean)) * part.mask
      for i = 1, #part.id, 9 do near(back[i], raw.y[math.tointeger(part.id[i])], 1e-12) end
    end
    near(test.std[3], train.std[3], 0)
    local late_train, late_test = raw:split { test = 0.2, seed = 1 }
    late_train = late_train:standardise()
    near(late_train.y, train.y, 1e-12)
    near(late_test:standardise { like = late_train }.y, test.y, 1e-12)
    near(late_test:standardise():standardise { like = late_train }.y, test.y, 1e-12)
    raises(function() raw:standardise { like = raw } end, "was standardised itself")
  end)
end)

describe("batches of series", function()
  it("have the fields, the channels and the times that all share", function()
    local d = cs.dataset "periodic" { series = 12, points = 7 }
    local next_batch, sum, rng = d:batches { size = 5, shuffle = true }, 0, cs.rng(0)
    assert(next_batch.per_epoch == 2)
    local b = next_batch(rng)
    assert(b.channels[1] == "y" and b.shared_times.dtype == "f64" and b.shared_times.rank == 1)
    near(b.shared_times, b.t[3], 0)
    assert(b.y.rows and b.t.rows and #b.y == 5 and b.y.shape[2] == 7)
    assert(pbc():batches { size = 5 }(rng).shared_times == nil)
    local whole = d:all()
    near(whole.y, d.y, 0)
    next_batch = d:batches { size = 4, shuffle = true }
    for _ = 1, 3 do sum = sum + next_batch(rng).y:sum():item() end
    near(sum, d.y:sum():item())
  end)

  it("are drawn from the run's seed or their own", function()
    local function set(seed) return cs.dataset "periodic" { series = 4, points = 5, seed = seed } end
    near(set().y, set().y, 0)
    near(set(7).y, set(7).y, 0)
    assert((set(7).y - set(8).y):abs():max():item() > 1e-3)
    raises(function() set(0.5) end, "'seed'", "integer")
  end)

  it("leave times and lengths in f64", function()
    local before = cs.dtype()
    cs.dtype "f32"
    local ok, message = pcall(function()
      local d = fev { normalise = "standard" }
      assert(d.t.dtype == "f64" and d.lengths.dtype == "f64" and d.y.dtype == "f32" and d.mask.dtype == "f32")
      local b = d:task { kind = "interpolation" }:all()
      assert(b.seen.t.dtype == "f64" and b.seen.lengths.dtype == "f64" and b.seen.y.dtype == "f32")
    end)
    cs.dtype(before)
    assert(ok, message)
  end)
end)

describe("interpolation", function()
  local d = fev()

  it("shows a part of each row and asks for all of it", function()
    local b = d:task { kind = "interpolation", keep = 0.5, seed = 3 }:all()
    near(b.y, d.y, 0)
    near(b.t, d.t, 0)
    for i = 1, 203, 10 do
      local seen, n = points(b.seen, i)
      local all, total = points(b, i)
      assert(n == math.max(1, math.floor(0.5 * total + 0.5)))
      for t, y in pairs(seen) do assert(all[t] == y) end
      for p = 2, b.seen.t.shape[2] do
        local step = b.seen.t[i][p] - b.seen.t[i][p - 1]
        assert(p <= n and step > 0 or p > n and step == 0)
      end
    end
  end)

  it("hides the rest where told so", function()
    local b = d:task { kind = "interpolation", count = 4, predict = "hidden", seed = 3 }:all(5)
    for i = 1, 203, 10 do
      local seen, n = points(b.seen, i)
      local rest, m = points(b, i)
      local all, total = points(d, i)
      assert(n == math.min(4, total) and n + m == total)
      for t, y in pairs(all) do assert((seen[t] or rest[t]) == y and not (seen[t] and rest[t])) end
      assert(total > n or b.lengths[i] == 1 and b.mask[i]:sum():item() == 0 and b.t[i][1] == d.t[i][total])
    end
  end)

  it("is a function of seed, row and draw", function()
    local function task(given)
      local o = { kind = "interpolation", keep = 0.3, seed = 3 }
      for k, v in pairs(given or {}) do o[k] = v end
      return d:task(o)
    end
    local a = task():all(1)
    near(a.seen.t, task():all(1).seen.t, 0)
    assert(not a.seen.t:near(task():all(2).seen.t, 0) and not a.seen.t:near(task { seed = 4 }:all(1).seen.t, 0))
    local of = {} -- by id: an epoch in another order sees the same points
    for i = 1, 203 do of[a.id[i]] = a.seen.t[i] end
    local next_batch, rng = task():batches { size = 29, shuffle = true }, cs.rng(8)
    for _ = 1, next_batch.per_epoch do
      local b = next_batch(rng)
      for i = 1, 29 do near(b.seen.t[i], of[b.id[i]], 0) end
    end
    local again, differ = next_batch(rng), 0
    for i = 1, 29 do differ = differ + (again.seen.t[i]:near(of[again.id[i]], 0) and 0 or 1) end
    assert(differ > 15)
    local fixed = task { fixed = true }:batches { size = 203 }
    fixed(rng)
    near(fixed(rng).seen.t, task():all(0).seen.t, 0)
  end)

  it("chooses every point as often as any other", function()
    local n, k, draws, hits = 12, 5, 400, {}
    local p = cs.dataset "periodic" { series = 10, points = n }
    local task = p:task { kind = "interpolation", count = k, seed = 1 }
    for draw = 1, draws do
      local b = task:all(draw)
      for i = 1, 10 do
        for j = 1, k do hits[b.seen.t[i][j]] = (hits[b.seen.t[i][j]] or 0) + 1 end
      end
    end
    local chance, trials = k / n, 10 * draws
    for j = 1, n do
      near((hits[p.shared_times[j]] or 0) / trials, chance, 4.5 * math.sqrt(chance * (1 - chance) / trials))
    end
  end)

  it("keeps the labels of points with the points", function()
    local s = set_of { t = { { 1, 2, 3, 4 }, { 5, 6, 6, 6 } },
      y = { { { 1 }, { 2 }, { 3 }, { 4 } }, { { 5 }, { 6 }, { 0 }, { 0 } } },
      mask = { { { 1 }, { 1 }, { 1 }, { 1 } }, { { 1 }, { 1 }, { 0 }, { 0 } } }, lengths = { 4, 2 },
      label = { { 1, 2, 3, 4 }, { 5, 6, -1, -1 } }, point_class = { { 1, 2, 3, 4 }, { 5, 6, 0, 0 } } }
    local b = s:task { kind = "interpolation", count = 1, predict = "hidden" }:all()
    near(b.point_class, b.y:reshape { 2, 3 }, 0)
    assert(b.seen.point_class == nil and b.seen.label == nil and b.lengths[1] == 3 and b.lengths[2] == 1)
    for p = 1, 3 do assert(b.label[1][p] == b.y[1][p][1] and b.label[2][p] == (p == 1 and b.y[2][1][1] or -1)) end
  end)
end)

describe("extrapolation", function()
  it("shows the beginning of each span and asks for the rest", function()
    local d = fev()
    local b = d:task { kind = "extrapolation" }:all()
    for i = 1, 203, 7 do
      local n = math.tointeger(d.lengths[i])
      local middle = (d.t[i][1] + d.t[i][n]) / 2
      local seen, ns = points(b.seen, i)
      local rest, nr = points(b, i)
      assert(ns >= 1 and ns + nr == n)
      for t in pairs(seen) do assert(t <= middle) end
      for t in pairs(rest) do assert(t > middle) end
      assert(n > 1 or b.lengths[i] == 1 and b.mask[i][1][1] == 0 and b.t[i][1] == d.t[i][1])
    end
  end)

  it("shares the times when the series do", function()
    local d = cs.dataset "periodic" { series = 6, points = 20 }
    local b = d:task { kind = "extrapolation", share = 0.3 }:batches { size = 3 }(cs.rng(0))
    near(b.shared_times, b.t[2], 0)
    assert(b.shared_times[1] > 0.3 * d.shared_times[20] and b.seen.t[1][b.seen.t.shape[2]] <= 0.3 * d.shared_times[20])
    assert(d:task { kind = "interpolation", predict = "hidden" }:all().shared_times == nil)
    assert(d:task { kind = "interpolation" }:all().shared_times)
  end)

  it("asks for all times where told so", function()
    local d = cs.dataset "periodic" { series = 6, points = 20 }
    local hidden = d:task { kind = "extrapolation" }:all()
    local b = d:task { kind = "extrapolation", predict = "all" }:all()
    near(b.y, d.y, 0)
    near(b.shared_times, d.shared_times, 0)
    near(b.seen.y, hidden.seen.y, 0)
    assert(b.lengths[1] == hidden.lengths[1] + b.seen.lengths[1])
  end)
end)

describe("training on series", function()
  it("records one loss for every batch of a task", function()
    local d = cs.dataset "pendulums" { series = 40, points_low = 3, points_high = 9 }
    local p, recorded = cs.parameters { level = 5 }, 0
    local r = cs.train { parameters = p, optimizer = cs.optim.adam { lr = 0.3 }, epochs = 30, quiet = true,
      batch = d:task { kind = "interpolation", keep = 0.6, predict = "hidden" }:batches { size = 10, shuffle = true },
      loss = function(b)
        recorded = recorded + 1
        local e = (b.y - p.level) ^ 2 * b.mask + 0 * b.seen.y:sum() + 0 * b.seen.lengths:sum()
        return e:sum() / b.mask:sum()
      end }
    assert(r.status == "ok" and r.steps == 120)
    near(p.level:item(), 0, 0.5)
    assert(recorded < 10) -- once, and when train compares anew
  end)
end)

describe("what is refused", function()
  it("in a set of series", function()
    local t, y = { { 0, 1, 2 } }, { { { 1 }, { 2 }, { 3 } } }
    local function refused(message, change)
      local f = { t = t, y = y }
      for k, v in pairs(change) do f[k] = v end
      raises(function() set_of(f) end, message)
    end
    refused("series 1 is empty: its length is 0", { lengths = { 0 } })
    refused("series 1 is empty: nothing of it is observed",
      { y = { { { 0 }, { 0 }, { 0 } } }, mask = { { { 0 }, { 0 }, { 0 } } } })
    refused("its length must be one of 1 .. 3", { lengths = { 4 } })
    refused("its length must be one of 1 .. 3", { lengths = { 1.5 } })
    refused("times must ascend, but 0.5 comes after 1.0", { t = { { 0, 1, 0.5 } } })
    refused("time 1.0 is there twice", { t = { { 0, 1, 1 } } })
    refused("time 2 is not finite", { t = { { 0, 0 / 0, 1 } } })
    refused("beyond its 2 times the last one must be repeated",
      { lengths = { 2 }, y = { { { 1 }, { 2 }, { 0 } } }, mask = { { { 1 }, { 1 }, { 0 } } } })
    refused("series 1, time 2, channel 'y1': an observed value is not finite", { y = { { { 1 }, { 0 / 0 }, { 3 } } } })
    refused("channel 'level': an observed value is not finite", { y = { { { 1 }, { 1 / 0 }, { 3 } } }, channels = { "level" } })
    refused("what is not observed must be 0 in y", { mask = { { { 1 }, { 0 }, { 1 } } } })
    refused("the mask must be 0 or 1", { mask = { { { 1 }, { 2 }, { 1 } } } })
    refused("the mask must be 0 beyond the length", { lengths = { 2 }, t = { { 0, 1, 1 } } })
    refused("channel 'y2' is never observed", { y = { { { 1, 0 }, { 2, 0 }, { 3, 0 } } },
      mask = { { { 1, 0 }, { 1, 0 }, { 1, 0 } } } })
    refused("with 1 channels has 2 names", { channels = { "a", "b" } })
    refused("t [N, T], y [N, T, C]", { t = { { 0, 1 } } })
    refused("t [N, T], y [N, T, C]", { y = { { 1, 2, 3 } } })
  end)

  it("in a split whose training part lacks a channel", function()
    cs.register.dataset { name = "series_spec.rare", build = function()
      return { t = cs.rows(cs.tensor { { 1 }, { 2 } }), y = cs.rows(cs.tensor { { { 1, 0 } }, { { 0, 2 } } }),
        mask = cs.rows(cs.tensor { { { 1, 0 } }, { { 0, 1 } } }), lengths = cs.rows(cs.tensor { 1, 1 }), channels = { "a", "b" } }
    end }
    local d = cs.dataset("series_spec.rare", { normalise = "standard" })
    raises(function() d:split { test = 0.5 } end, "is never observed in the training part")
  end)

  it("in a task", function()
    local d = cs.dataset "periodic" { series = 3, points = 4 }
    raises(function() d:task { kind = "forecast" } end, "'kind' of task", "\"forecast\"")
    raises(function() d:task {} end, "'kind' of task is required")
    raises(function() d:task { kind = "interpolation", keep = 0 } end, "'keep' of task", "above 0")
    raises(function() d:task { kind = "interpolation", count = 0 } end, "'count' of task must be positive")
    raises(function() d:task { kind = "interpolation", keep = 0.2, count = 2 } end, "not both")
    raises(function() d:task { kind = "interpolation", share = 0.5 } end, "'share' of task does not belong")
    raises(function() d:task { kind = "extrapolation", keep = 0.5 } end, "'keep' of task does not belong")
    raises(function() d:task { kind = "extrapolation", share = 1.5 } end, "at most 1")
    raises(function() d:task { kind = "interpolation", predict = "some" } end, "\"hidden\"")
    raises(function() d:task { kind = "interpolation", kep = 0.2 } end, "'kep'", "'keep'")
    raises(function() d:task { kind = "interpolation" }:all("first") end, "takes the number of a draw")
    raises(function() cs.dataset "cubic_spiral" {}:task { kind = "interpolation" } end, "task")
  end)
end)
