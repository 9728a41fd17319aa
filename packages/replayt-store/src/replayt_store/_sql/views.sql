-- The one schema that people query; docs/analytics.md explains the columns.
CREATE VIEW runs AS
SELECT
    run_id,
    workflow_name AS workflow,
    workflow_version,
    status,
    state,
    failed_state,
    error::JSON ->> '$.type' AS error_type,
    error::JSON ->> '$.message' AS error_message,
    problem,
    log_mode,
    tags::JSON AS tags,
    path,
    make_timestamp(nullif(started_at, -4611686018427387904)) AS started_at,
    make_timestamp(nullif(last_at, -4611686018427387904)) AS last_at,
    events,
    states,
    transitions,
    llm_calls,
    llm_failures,
    llm_retries,
    tool_calls,
    approvals,
    retries,
    latency_ms,
    prompt_tokens,
    completion_tokens,
    total_tokens,
    size,
    make_timestamp(written_us) AS written_at
FROM loaded.runs;

CREATE VIEW llm_calls AS
SELECT * REPLACE (try_cast(ts AS TIMESTAMP) AS ts, ok::BOOLEAN AS ok)
FROM loaded.llm_calls;

CREATE VIEW events AS
SELECT * REPLACE (try_cast(ts AS TIMESTAMP) AS ts)
FROM loaded.events;

CREATE VIEW states AS
SELECT * REPLACE (try_cast(ts AS TIMESTAMP) AS ts, try_cast(ended_ts AS TIMESTAMP) AS ended_ts)
FROM loaded.states;

CREATE VIEW transitions AS
SELECT * REPLACE (try_cast(ts AS TIMESTAMP) AS ts, because::JSON AS because)
FROM loaded.transitions;

CREATE VIEW tool_calls AS
SELECT * REPLACE (
    try_cast(ts AS TIMESTAMP) AS ts,
    arguments::JSON AS arguments,
    ok::BOOLEAN AS ok,
    result::JSON AS result
)
FROM loaded.tool_calls;

CREATE VIEW approvals AS
SELECT * REPLACE (
    try_cast(ts AS TIMESTAMP) AS ts,
    details::JSON AS details,
    approved::BOOLEAN AS approved,
    try_cast(resolved_ts AS TIMESTAMP) AS resolved_ts,
    applied::BOOLEAN AS applied
)
FROM loaded.approvals;
