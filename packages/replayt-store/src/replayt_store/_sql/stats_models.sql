-- What each model was sent and sent back. A call that failed without tokens costs nothing.
SELECT
    model,
    reply_model,
    prompt_tokens IS NOT NULL AND completion_tokens IS NOT NULL AS counted,
    count(*) AS calls,
    coalesce(sum(prompt_tokens), 0)::HUGEINT AS prompt_tokens,
    coalesce(sum(completion_tokens), 0)::HUGEINT AS completion_tokens,
    coalesce(sum(coalesce(total_tokens, prompt_tokens, completion_tokens)), 0)::HUGEINT AS tokens
FROM llm_calls
WHERE ok IS NOT false OR coalesce(prompt_tokens, completion_tokens, total_tokens) IS NOT NULL
GROUP BY ALL
ORDER BY ALL
