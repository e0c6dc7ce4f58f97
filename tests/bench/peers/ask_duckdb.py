"""DuckDB over Parquet files at S3 servers, asked line by line.

Argument: a JSON text with `extension` (file), `threads`, `endpoints` (one "host:port" a place), `key`, `secret` and `views`
(name -> list of URLs). Each line read is a statement as JSON text; each line written is {"seconds", "rows"} or {"error"}.
"""

import json
import sys
import time

import duckdb

told = json.loads(sys.argv[1])
connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
connection.execute(f"LOAD '{told['extension']}'")
connection.execute(f"SET threads = {int(told['threads'])}")
# What lies at the servers is read from there by each statement, as Eger does; what is known of the files may be kept.
connection.execute("SET enable_external_file_cache = false")
connection.execute("SET enable_http_metadata_cache = true")
connection.execute("SET parquet_metadata_cache = true")
for number, endpoint in enumerate(told["endpoints"]):
    connection.execute(
        f"CREATE SECRET place{number} (TYPE s3, KEY_ID '{told['key']}', SECRET '{told['secret']}', ENDPOINT '{endpoint}', "
        f"REGION 'us-east-1', USE_SSL false, URL_STYLE 'path', SCOPE 's3://place{number}')"
    )
for name, urls in told["views"].items():
    connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({json.dumps(urls).replace(chr(34), chr(39))})")
print(json.dumps({"seconds": 0, "rows": 0}), flush=True)

for line in sys.stdin:
    started = time.perf_counter()
    try:
        rows = len(connection.execute(json.loads(line)).fetchall())
        said = {"seconds": time.perf_counter() - started, "rows": rows}
    except Exception as error:
        said = {"error": str(error)}
    print(json.dumps(said), flush=True)
