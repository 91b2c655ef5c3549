-- wrk sends the bodies of a file, a line each, one after the other; prints what it measured as JSON.
-- Arguments: the file, and the value of the Authorization header.

local requests, position, threads = {}, 0, {}
-- not local, so that the thread can be asked for it
refused = 0

function setup(thread)
  threads[#threads + 1] = thread
end

function init(arguments)
  local headers = {
    ["Content-Type"] = "application/json",
    ["Authorization"] = arguments[2],
  }
  for body in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function response(status)
  if status ~= 200 then
    refused = refused + 1
  end
end

function done(summary, latency)
  local errors, n_refused = summary.errors, 0
  for _, thread in ipairs(threads) do
    n_refused = n_refused + thread:get("refused")
  end
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    n_refused, errors.connect + errors.read + errors.write + errors.timeout))
end
