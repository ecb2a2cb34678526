"""The waist: measurements and run records on disk. Left of it torch makes rows, right of it nothing imports torch.

A study's folder:

    study.json                      the resolved study, with the schema version
    manifest.json                   environment, data fingerprints, commands
    groups/<name>/group.json        the runs that train together: variant, hyper-parameters, seed and digest of each
    groups/<name>/environment.json  what it was trained with: code, packages, processor, device
    groups/<name>/steps.jsonl       while running: one wide line per step for the whole group
    groups/<name>/epochs.jsonl      while running: the measurements of each finished epoch
    groups/<name>/queries-<epoch>.parquet   while running: what each query found in this epoch
    groups/<name>/checkpoint.safetensors    while running: what resuming needs
    groups/<name>/failed.json       if it failed: the records with the traceback
    groups/<name>/measurements.parquet, steps.parquet, queries.parquet, map.parquet    when done: long tables
    groups/<name>/runs.json         when done, written last: one RunRecord for each seed, and the seals of all other files
    damaged/                        what `losscope repair` has set aside; nothing reads it

Every file carries a checksum or stands under one. JSON documents end in the SHA-256 of their bytes, lines begin with the
CRC-32 of what follows, the checkpoint's metadata hold a SHA-256, an epoch's line has the seals (size and SHA-256) of
the parquet files written in it, and `runs.json` those of all files of its group. Folders of schema 1 and 2 have none, and
are read as they are.
"""

from losscope.files import read_lines
from losscope.table.folder import ENVIRONMENT, groups, has_ended, is_sealed, read_group, write_group
from losscope.table.inspecting import Damage, damage_in, damaged_groups, group_damage
from losscope.table.reading import (
    group_measurements,
    read_map,
    read_measurements,
    read_queries,
    read_runs,
    running_epochs,
    running_steps,
)
from losscope.table.rows import measurement_table, step_table
from losscope.table.schema import INPUTS, MAP, MEASUREMENT, MONITORED, QUERY, SCHEMA_VERSION, RunRecord, Status
from losscope.table.sealing import Ending, read_ending, record_rows, write_ending, write_failure
from losscope.table.selecting import select

__all__ = [
    "ENVIRONMENT",
    "INPUTS",
    "MAP",
    "MEASUREMENT",
    "MONITORED",
    "QUERY",
    "SCHEMA_VERSION",
    "Damage",
    "Ending",
    "RunRecord",
    "Status",
    "damage_in",
    "damaged_groups",
    "group_damage",
    "group_measurements",
    "groups",
    "has_ended",
    "is_sealed",
    "measurement_table",
    "read_ending",
    "read_group",
    "read_lines",
    "read_map",
    "read_measurements",
    "read_queries",
    "read_runs",
    "record_rows",
    "running_epochs",
    "running_steps",
    "select",
    "step_table",
    "write_ending",
    "write_failure",
    "write_group",
]
