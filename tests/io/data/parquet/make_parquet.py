#!/usr/bin/env python3
"""make_parquet.py: writes the Parquet files of the tests into its folder, by hand. Needs the wheel pyarrow.

rows_CODEC.parquet: 30 rows in three row groups. Row i has the text "Row i: café" and i more words, and the title "Ti".
nulls.parquet: three rows; the second text is null."""
from pathlib import Path

import pyarrow
from pyarrow import parquet

FOLDER = Path(__file__).parent


def rows():
    return pyarrow.table({
        "id": list(range(30)),
        "text": [f"Row {i}: café" + " word" * i for i in range(30)],
        "meta": [{"title": f"T{i}", "tags": ["a", "b"]} for i in range(30)],
        "colour": pyarrow.array(["red", "green", "blue"] * 10).dictionary_encode(),
    })


for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4"):
    parquet.write_table(rows(), FOLDER / f"rows_{codec}.parquet", compression=codec, row_group_size=10)
parquet.write_table(pyarrow.table({"text": ["one", None, "three"]}), FOLDER / "nulls.parquet")
