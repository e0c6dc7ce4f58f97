"""What ACRO says of tables: JSON lines in, JSON lines out.

In: {"rows": [..], "columns": [..], "values": [..]}, one entry a person. Out: {"status": .., "people": {cell: n}, and for each of
"threshold", "nk", "p": [cells that it would hide]}, a cell being "row/column".
"""

import json
import logging
import sys

logging.disable(logging.CRITICAL)

import pandas as pd  # noqa: E402
from acro import ACRO  # noqa: E402

CHECKS = {"threshold": "MinimumThresholdCheck", "nk": "NKCheck", "p": "PPercentCheck"}


def main() -> None:
    acro = ACRO(suppress=False)
    for line in sys.stdin:
        task = json.loads(line)
        rows = pd.Series(task["rows"], name="row")
        columns = pd.Series(task["columns"], name="column")
        values = pd.Series(task["values"], name="value", dtype="float64")
        table = acro.crosstab(rows, columns, values=values, aggfunc="sum")
        result = list(acro.results.results.values())[-1]
        cells = {
            name: [f"{table.index[i]}/{table.columns[j]}" for i, j in result.sdc["cells"][check]]
            for name, check in CHECKS.items()
        }
        every = [f"{row}/{column}" for row in table.index for column in table.columns]
        print(json.dumps({"cells": every, **cells}), flush=True)


if __name__ == "__main__":
    main()
