-- For wrk: posts the requests in the file $BODIES one after the other. Each stands behind its length, four bytes, little-endian, where the
-- file's name ends in .bodies or .pack; any other file is one body. $HEADERS holds names and values in turn, a line each.
-- One body repeated would teach the processor's branch predictor its path through the trees, and they would look three times faster.
local name = os.getenv("BODIES")
local file = assert(io.open(name, "rb"))
local bytes = file:read("*a")
file:close()

wrk.method = "POST"
for header, value in os.getenv("HEADERS"):gmatch("([^\n]+)\n([^\n]+)") do wrk.headers[header] = value end

local requests, last = {}, 0

function init()
  if not (name:find("%.bodies$") or name:find("%.pack$")) then
    requests[1] = wrk.format(nil, nil, nil, bytes)
    return
  end
  local at = 1
  while at < #bytes do
    local a, b, c, d = bytes:byte(at, at + 3)
    local length = a + 256 * (b + 256 * (c + 256 * d))
    requests[#requests + 1] = wrk.format(nil, nil, nil, bytes:sub(at + 4, at + 3 + length))
    at = at + 4 + length
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary, latency)
  local e = summary.errors
  local quantiles = {}
  for _, q in ipairs({ 50, 75, 90, 99, 99.9 }) do
    quantiles[#quantiles + 1] = string.format('"p%s":%.1f', q, latency:percentile(q))
  end
  io.write(string.format(
    'RESULT {"requests":%d,"durationUs":%d,"maxUs":%.1f,"refused":%d,"socketErrors":%d,"quantilesUs":{%s}}\n',
    summary.requests, summary.duration, latency.max, e.status, e.connect + e.read + e.write + e.timeout,
    table.concat(quantiles, ",")))
end
