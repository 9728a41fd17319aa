INSERT INTO loaded.events
SELECT
    line ->> '$.run_id',
    (line ->> '$.seq')::BIGINT,
    line ->> '$.ts',
    line ->> '$.type',
    line -> '$.payload'
FROM (SELECT unnest(string_split($1, chr(10)))::JSON AS line)
