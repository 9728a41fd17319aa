SELECT path AS name, count(*) AS count
FROM runs
WHERE path <> ''
GROUP BY name
ORDER BY count DESC, name
LIMIT $top
