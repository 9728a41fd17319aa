SELECT failed_state AS name, count(*) AS count
FROM runs
WHERE failed_state IS NOT NULL
GROUP BY name
ORDER BY count DESC, name
LIMIT $top
