SELECT
    count(ok) AS llm_responses,
    count(*) FILTER (WHERE NOT ok) AS llm_failures,
    count(latency_ms) AS calls,
    avg(latency_ms) AS mean,
    quantile_cont(latency_ms, 0.50) AS p50,
    quantile_cont(latency_ms, 0.95) AS p95,
    quantile_cont(latency_ms, 0.99) AS p99
FROM llm_calls
