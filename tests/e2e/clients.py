"""What researchers build on the Flight SQL driver. Exits non-zero on surprise."""

import json
import sys
import threading
import time

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.ipc

task = json.load(open(sys.argv[1], encoding="utf-8"))
HEADER = "adbc.flight.sql.rpc.call_header.x-eger-project"
CATALOG = "adbc.flight.sql.session.option.catalog"


def connect(**more):
    options = {"adbc.flight.sql.authorization_header": "Bearer " + task["token"], **more}
    return flight_sql.connect(task["enclave"], db_kwargs=options)


def refused(run, *words):
    try:
        run()
    except adbc_driver_manager.Error as error:
        for word in words:
            assert word in str(error), f"'{word}' is not in: {error}"
        return
    raise AssertionError("answered")


def rounded(rows):
    return [[round(v, 6) if isinstance(v, float) else v for v in row] for row in rows]


truth = pa.ipc.open_file(task["truth"]).read_all()
wanted = rounded(row.values() for row in truth.to_pylist())
assert len(wanted) > 1

with connect(**{HEADER: task["project"]}) as connection:
    # A prepared statement says what it takes, and runs for one row of values after another.
    sql = "SELECT COUNT(*) AS n FROM dst.bef WHERE koen = ? AND year = ?"
    with connection.cursor() as cursor:
        parameters = cursor.adbc_prepare(sql)
        assert [field.type for field in parameters] == [pa.int32(), pa.int32()], parameters
        for koen, year, n in task["by_sex"]:
            cursor.execute(sql, (koen, year))
            assert cursor.fetchall() == [(n,)], (koen, year)

    # Several rows at once: an answer for each, in their order.
    rows = pa.record_batch(
        {"koen": [row[0] for row in task["by_sex"]], "year": [row[1] for row in task["by_sex"]]},
        schema=pa.schema([("koen", pa.int32()), ("year", pa.int32())]),
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, rows)
        answer = cursor.fetch_arrow_table()
        assert answer.column("n").to_pylist() == [row[2] for row in task["by_sex"]], answer
        cursor.execute(sql, pa.Table.from_batches([rows.slice(0, 2), rows.slice(2)]))
        assert [row[0] for row in cursor.fetchall()] == [row[2] for row in task["by_sex"]]
        many = pa.record_batch({"koen": pa.array([1] * 101, pa.int32()), "year": pa.array([2024] * 101, pa.int32())})
        refused(lambda: cursor.execute(sql, many), "101 rows", "Bind fewer")
        refused(lambda: cursor.execute(sql, (1,)), "2 parameters")
        # The driver's executemany is an update, and nothing is updated here.
        refused(lambda: cursor.executemany(sql, [(1, 2024), (2, 2024)]), "only reads")

    # Names and types of a table, without asking for a row.
    for schema, table in [("dst", "bef"), ("sds", "lmdb"), ("region-h", "lab_forsker")]:
        listed = connection.adbc_get_table_schema(table, db_schema_filter=schema)
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT * FROM "{schema}".{table} LIMIT 1')
            answered = cursor.fetch_arrow_table().schema
        assert [(f.name, f.type) for f in listed] == [(f.name, f.type) for f in answered], (listed, answered)
    refused(lambda: connection.adbc_get_table_schema("nosuch", db_schema_filter="dst"), "")

    # Data frames.
    frame = pl.read_database(task["groups"], connection)
    assert frame.columns == truth.column_names, frame
    assert rounded(frame.rows()) == wanted, frame
    koen, year, n = task["by_sex"][1]
    bound = pl.read_database(sql, connection, execute_options={"parameters": (koen, year)})
    assert bound.rows() == [(n,)], bound
    chunks = list(pl.read_database("SELECT pnr, kom FROM dst.bef", connection, iter_batches=True, batch_size=500))
    assert sum(chunk.height for chunk in chunks) > 2_000, chunks
    frame = pd.read_sql(task["groups"], connection)
    assert list(frame.columns) == truth.column_names, frame
    assert rounded(frame.itertuples(index=False, name=None)) == wanted, frame

    # Cancelled by the client, it ends at the spoke. All of a year with all, twice: minutes.
    long = (
        "SELECT COUNT(*) FROM dst.bef a JOIN dst.bef b ON a.year = b.year JOIN dst.bef c ON c.year = b.year "
        "WHERE a.kom + b.kom + c.kom < 0"
    )
    log = open(task["spoke_log"], encoding="utf-8")
    log.seek(0, 2)

    def seen(word, seconds):
        began, text = time.monotonic(), ""
        while time.monotonic() - began < seconds:
            text += log.read()
            if word in text:
                return time.monotonic()
            threading.Event().wait(0.002)
        raise AssertionError(f"the spoke's log doesn't say '{word}' in {seconds} s: {text}")

    def computed():
        # Hundredths of a second, by user and system; the name in brackets has no space.
        with open(f"/proc/{task['spoke_pid']}/stat", encoding="ascii") as stat:
            fields = stat.read().split()
        return int(fields[13]) + int(fields[14])

    ended = []
    with connection.cursor() as cursor:

        def ask():
            try:
                cursor.execute(long)
                cursor.fetch_arrow_table()
                ended.append("answered")
            except adbc_driver_manager.Error as error:
                ended.append(str(error))

        asking = threading.Thread(target=ask)
        asking.start()
        seen("JOIN", 60)
        # It is in the middle of it: a third of a second of computing.
        began = computed()
        while computed() < began + 33:
            threading.Event().wait(0.002)
        cancelled = time.monotonic()
        cursor.adbc_cancel()
        gone = seen("the caller went away", 10) - cancelled
        asking.join(10)
    assert not asking.is_alive() and "ancel" in ended[0], ended
    assert gone < 1, f"{gone:.3f} s until the spoke had stopped"
    print(f"cancelled by the client, a query had ended at its spoke after {gone * 1000:.0f} ms")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == [(1,)], "the connection is good for more"

# Without the header: a session's option chooses the project.
with connect() as connection:
    session = connection.adbc_connection
    session.set_options(**{CATALOG: task["project"]})
    assert session.get_option(CATALOG) == task["project"]
    assert json.loads(session.get_option("adbc.flight.sql.session.options")) == {"catalog": task["project"]}
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM dst.bef WHERE year = 2024")
        assert cursor.fetchone()[0] > 0
    refused(lambda: session.set_options(**{CATALOG: "nosuch"}), "catalog")
    refused(lambda: session.set_options(**{"adbc.flight.sql.session.option.colour": "red"}), "colour")
    session.set_options(**{"adbc.flight.sql.session.optionerase.catalog": ""})
    assert json.loads(session.get_option("adbc.flight.sql.session.options")) == {}
print("ok")
