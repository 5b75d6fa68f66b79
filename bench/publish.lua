-- wrk: one numbered event per POST, to the topic given as argument, and a JSON line at the end. A second
-- argument is the API key.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

local topic
-- Nine digits always, so that all payloads have the same length.
local n = 100000000

function init(args)
  topic = args[1]
  if args[2] then
    wrk.headers["Authorization"] = "Bearer " .. args[2]
  end
end

function request()
  n = n + 1
  return wrk.format(nil, nil, nil,
    '{"topic":"' .. topic .. '","payload":{"n":' .. n .. ',"order_id":"abc-123","amount":99.95}}')
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"duration_us":%d,"failed":%d,"p50_us":%d,"p99_us":%d,"max_us":%d}\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
