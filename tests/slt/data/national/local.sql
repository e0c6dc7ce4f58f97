-- What national/*.toml declares, as a plain engine says it. A code that is missing stays missing.
CREATE VIEW national.maaling AS
SELECT sample, kode, value, antal, dag, CAST(NULL AS DECIMAL(8,2)) AS takst, 'region-h' AS controller FROM "region-h".meas
UNION ALL
SELECT sample,
       CASE WHEN analyse = 'HBA1C' THEN 'NPU27300' WHEN analyse = 'KREA' THEN 'NPU18016'
            WHEN analyse IS NOT NULL THEN '(anden)' END,
       pct * 10.0 + -23.5, antal, CAST(NULL AS DATE), takst, 'region-m'
FROM "region-m".prov
