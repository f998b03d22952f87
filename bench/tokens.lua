-- GET with the next of the tokens in tokens.txt (one a line); without that file, plain; POST of BENCH_UPLOAD bytes. The last lines of output are
-- for the runner: requests, microseconds, failures, then p50 and p99 in microseconds.
local path = os.getenv("BENCH_PATH")
local tokens = os.getenv("BENCH_TOKENS")
local upload = tonumber(os.getenv("BENCH_UPLOAD") or "0")
local requests, at = {}, 0

function init(args)
  if tokens then
    for token in io.lines(tokens) do
      requests[#requests + 1] = wrk.format("GET", path, { ["Authorization"] = "Bearer " .. token })
    end
  elseif upload > 0 then
    requests[1] = wrk.format("POST", path, nil, string.rep("x", upload))
  else
    requests[1] = wrk.format("GET", path)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
