"""What a researcher does from Python: list the catalogue, ask, get Arrow, read errors. Exits non-zero on surprise."""

import json
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa
import pyarrow.ipc

task = json.load(open(sys.argv[1], encoding="utf-8"))


def connect(address, token=task["token"], project=task["project"]):
    return flight_sql.connect(
        address,
        db_kwargs={
            "adbc.flight.sql.authorization_header": "Bearer " + token,
            "adbc.flight.sql.rpc.call_header.x-eger-project": project,
        },
    )


def cells(table):
    return [[repr(round(v, 6) if isinstance(v, float) else v) for v in row.values()] for row in table.to_pylist()]


def refused(connection, sql, *words):
    with connection.cursor() as cursor:
        try:
            cursor.execute(sql)
            cursor.fetch_arrow_table()
        except adbc_driver_manager.Error as error:
            for word in words:
                assert word in str(error), f"{sql}: '{word}' is not in: {error}"
            return
    raise AssertionError(f"answered: {sql}")


with connect(task["enclave"]) as connection:
    objects = connection.adbc_get_objects(depth="columns").read_all().to_pylist()
    assert [catalog["catalog_name"] for catalog in objects] == ["diabetes"], objects
    tables = {
        (schema["db_schema_name"], table["table_name"]): {column["column_name"] for column in table["table_columns"]}
        for catalog in objects
        for schema in catalog["catalog_db_schemas"]
        for table in schema["db_schema_tables"]
    }
    wanted = {
        ("dst", "bef"),
        ("sds", "lpr_a_kontakt"),
        ("sds", "lpr_a_diagnose"),
        ("sds", "lmdb"),
        ("region-h", "lab_forsker"),
        ("region-m", "lab_forsker"),
    }
    assert set(tables) == wanted, sorted(tables)
    assert {"pnr", "koen", "foed_dag"} <= tables[("dst", "bef")], tables[("dst", "bef")]

    for question in task["questions"]:
        truth = pa.ipc.open_file(question["truth"]).read_all()
        with connection.cursor() as cursor:
            cursor.execute(question["sql"])
            answer = cursor.fetch_arrow_table()
        assert answer.column_names == truth.column_names, question["id"]
        assert cells(answer) == cells(truth), question["id"]

    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) AS n FROM dst.bef WHERE koen = ? AND year = ?", (2, 2024))
        bound = cursor.fetchone()[0]
        cursor.execute("SELECT COUNT(*) AS n FROM dst.bef WHERE koen = 2 AND year = 2024")
        assert bound == cursor.fetchone()[0] > 0

    # The same person, signed in at a certified OpenID provider.
    with connect(task["enclave"], task["provider"]) as other, other.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) AS n FROM dst.bef WHERE koen = ? AND year = ?", (2, 2024))
        assert cursor.fetchone()[0] == bound

    refused(connection, "SELECT * FROM dst.nothing", "nothing")
    refused(connection, "SELECT nosuch FROM dst.bef", "nosuch")
    refused(connection, "SELEC 1", "SELEC")
    refused(connection, "DROP TABLE dst.bef", "DROP")
    refused(connection, "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'")
    refused(connection, "COPY dst.bef TO '/tmp/bef.csv'", "COPY")

with connect(task["open"]) as connection:
    for question in task["questions"]:
        with connection.cursor() as cursor:
            cursor.execute(question["sql"])
            answer = cursor.fetch_arrow_table()
        assert answer.column_names[-1] == "release_status", question["id"]
        assert all(status is not None for status in answer["release_status"].to_pylist())
    refused(connection, "SELECT * FROM dst.bef", "SELECT")



def let_in(token, project):
    try:
        with connect(task["open"], token, project) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM dst.bef")
    except adbc_driver_manager.Error as error:
        return str(error).split("[FlightSQL]")[-1].split("(")[0].strip()
    raise AssertionError("let in")


# User name and password are what most drivers and tools ask for: the token is the password.
with flight_sql.connect(
    task["open"],
    db_kwargs={
        "username": task["user"],
        "password": task["token"],
        "adbc.flight.sql.rpc.call_header.x-eger-project": task["project"],
    },
) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT COUNT(DISTINCT pnr) AS n FROM dst.bef WHERE year = 2024")
    assert cursor.fetchone()[0] > 0

assert "HTTP API" in let_in(task["personal"], task["project"])
head, claims, signature = task["token"].split(".")
tampered = [f"{head}.{claims}.{signature[::-1]}", f"{head}.{claims[:-4]}AAAA.{signature}", f"{head}.{claims}."]
tokens = {let_in(token, task["project"]) for token in ["nobody", "", *tampered]}
assert len(tokens) == 1, f"a refusal tells what was wrong with the token: {tokens}"
# To somebody who is in no project, one that exists and one that doesn't look the same.
asked = [task["project"], "nosuch"]
projects = {let_in(task["stranger"], project).replace(project, "PROJECT") for project in asked}
assert len(projects) == 1, f"a refusal tells which projects exist: {projects}"
# Somebody whom the issuer knows, and no project.
assert "member" in let_in(task["stranger"], task["project"])
print("ok")
