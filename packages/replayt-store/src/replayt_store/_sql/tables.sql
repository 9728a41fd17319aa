-- What is loaded, as it stands in the index and in the events: times as text or as microseconds
-- since 1970, JSON as text. The views are what people query.
CREATE SCHEMA loaded;
CREATE TABLE loaded.runs (
    run_id VARCHAR,
    workflow_name VARCHAR,
    workflow_version VARCHAR,
    status VARCHAR,
    state VARCHAR,
    failed_state VARCHAR,
    error VARCHAR,
    problem VARCHAR,
    log_mode VARCHAR,
    tags VARCHAR,
    path VARCHAR,
    started_at BIGINT,
    last_at BIGINT,
    events BIGINT,
    states BIGINT,
    transitions BIGINT,
    llm_calls BIGINT,
    llm_failures BIGINT,
    llm_retries BIGINT,
    tool_calls BIGINT,
    approvals BIGINT,
    retries BIGINT,
    latency_ms DOUBLE,
    prompt_tokens BIGINT,
    completion_tokens BIGINT,
    total_tokens BIGINT,
    size BIGINT,
    written_us BIGINT
);
CREATE TABLE loaded.llm_calls (
    run_id VARCHAR,
    seq BIGINT,
    ts VARCHAR,
    state VARCHAR,
    visit BIGINT,
    attempt BIGINT,
    call BIGINT,
    provider VARCHAR,
    host VARCHAR,
    model VARCHAR,
    reply_model VARCHAR,
    schema_name VARCHAR,
    ok BIGINT,
    latency_ms DOUBLE,
    prompt_tokens BIGINT,
    completion_tokens BIGINT,
    total_tokens BIGINT,
    finish_reason VARCHAR,
    error_kind VARCHAR,
    retries BIGINT
);
CREATE TABLE loaded.events (
    run_id VARCHAR,
    seq BIGINT,
    ts VARCHAR,
    type VARCHAR,
    payload JSON
);
CREATE TABLE loaded.states (
    run_id VARCHAR,
    seq BIGINT,
    ts VARCHAR,
    state VARCHAR,
    visit BIGINT,
    attempt BIGINT,
    outcome VARCHAR,
    ended_ts VARCHAR,
    next_state VARCHAR,
    elapsed_ms DOUBLE
);
CREATE TABLE loaded.transitions (
    run_id VARCHAR,
    seq BIGINT,
    ts VARCHAR,
    from_state VARCHAR,
    to_state VARCHAR,
    reason VARCHAR,
    because VARCHAR
);
CREATE TABLE loaded.tool_calls (
    run_id VARCHAR,
    seq BIGINT,
    ts VARCHAR,
    state VARCHAR,
    visit BIGINT,
    attempt BIGINT,
    call BIGINT,
    name VARCHAR,
    arguments VARCHAR,
    ok BIGINT,
    result VARCHAR,
    error_type VARCHAR,
    elapsed_ms DOUBLE
);
CREATE TABLE loaded.approvals (
    run_id VARCHAR,
    seq BIGINT,
    ts VARCHAR,
    approval_id VARCHAR,
    state VARCHAR,
    visit BIGINT,
    summary VARCHAR,
    details VARCHAR,
    approved BIGINT,
    resolved_ts VARCHAR,
    "by" VARCHAR,
    reason VARCHAR,
    applied BIGINT
);
