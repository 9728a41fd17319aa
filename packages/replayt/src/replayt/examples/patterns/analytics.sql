-- The logs with plain DuckDB, no replayt installed: duckdb < analytics.sql
-- Columns are named, so that a new kind of payload never changes their types. A line that a crash
-- cut short is passed over. Files of an index and of others do not end in .jsonl.

CREATE OR REPLACE TEMP VIEW log AS
SELECT ts, run_id, seq, type, payload
FROM read_json_auto(
    '.replayt/runs/*.jsonl',
    format = 'newline_delimited',
    ignore_errors = true,
    maximum_object_size = 33554432,
    columns = {ts: 'TIMESTAMP', run_id: 'VARCHAR', seq: 'BIGINT', type: 'VARCHAR', payload: 'JSON'}
);

-- Why runs end in the state they end in.
SELECT
    payload ->> 'from_state' AS from_state,
    payload ->> 'to_state' AS to_state,
    payload ->> 'reason' AS reason,
    count(*) AS moves
FROM log
WHERE type = 'transition'
GROUP BY ALL
ORDER BY moves DESC, from_state, to_state, reason;

-- How long people take to answer.
SELECT
    asked.payload ->> 'approval_id' AS approval_id,
    count(answered.seq) AS answered,
    count(*) - count(answered.seq) AS waiting,
    max(answered.ts - asked.ts) AS longest
FROM log AS asked
LEFT JOIN log AS answered
    ON answered.run_id = asked.run_id
    AND answered.type = 'approval_resolved'
    AND CAST(answered.payload ->> 'request_seq' AS BIGINT) = asked.seq
WHERE asked.type = 'approval_requested'
GROUP BY ALL
ORDER BY approval_id;
