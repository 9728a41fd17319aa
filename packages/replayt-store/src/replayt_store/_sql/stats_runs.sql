SELECT
    count(*) AS runs,
    coalesce(sum(events), 0)::BIGINT AS events,
    coalesce(sum(llm_calls), 0)::BIGINT AS llm_calls,
    coalesce(sum(llm_retries), 0)::BIGINT AS llm_retries,
    coalesce(sum(retries), 0)::BIGINT AS step_retries,
    coalesce(sum(tool_calls), 0)::BIGINT AS tool_calls,
    coalesce(sum(approvals), 0)::BIGINT AS approvals,
    coalesce(sum(prompt_tokens), 0)::HUGEINT AS prompt_tokens,
    coalesce(sum(completion_tokens), 0)::HUGEINT AS completion_tokens,
    coalesce(sum(total_tokens), 0)::HUGEINT AS total_tokens,
    min(started_at) AS first_ts,
    max(last_at) AS last_ts
FROM runs
