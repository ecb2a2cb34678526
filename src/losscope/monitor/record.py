"""The record of one monitored run: a study's folder with one run in it, so that the report reads it like any other."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from losscope.doctor.finding import Finding
from losscope.errors import InvalidInput
from losscope.files import line_of, make_folder, read_lines, remove, write_bytes, write_json
from losscope.monitor.space import LIMITS
from losscope.study import digest
from losscope.table import MONITORED, SCHEMA_VERSION, RunRecord, Status, has_ended, is_sealed, read_measurements
from losscope.training.records import EPOCHS, STEPS, GroupRecord, Row


@dataclass(frozen=True)
class Identity:
    """What a monitored run is called. Runs to be compared share data set and protocol, and differ in loss or variant;
    those with equal seeds are paired."""

    loss: str
    variant: str = ""
    seed: int = 0
    dataset: str = "data"
    protocol: str = "monitored"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)


class MonitorRecord:
    """Files of one run, written as it goes; a killed run's folder stays readable up to the last written step."""

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        *,
        resumed: bool,
        process: tuple[int, int] = (0, 1),
        gathers: bool = False,
    ) -> None:
        if not resumed and folder.is_dir() and any(folder.iterdir()):
            raise InvalidInput(
                f"{folder} is not empty; give each monitored run a folder of its own, or resume what is in it: "
                "Monitor(..., resume=True), then monitor.load_state_dict(...) with the state of your checkpoint"
            )
        self.folder, self.identity, self.process, self.gathers = folder, identity, process, gathers
        self.started = time.time()
        self._epochs, self._findings = 1, list[Mapping[str, Any]]()
        run = digest({"monitored": str(folder.resolve()), "loss": identity.loss, "seed": identity.seed})
        others = [path.name for path in (folder / "groups").glob("*") if path.name != run] if resumed else []
        if others or (resumed and not (folder / "groups").is_dir()):
            raise InvalidInput(
                f"{folder} holds {'the record of another run or loss' if others else 'no monitored run'}; expected that of "
                f"{identity.loss}, seed {identity.seed}, which is resumed: give this run a folder of its own"
            )
        try:
            make_folder(folder)
            self._group = GroupRecord(
                folder / "groups" / run,
                {
                    "dataset": identity.dataset,
                    "protocol": identity.protocol,
                    "loss": identity.loss,
                    "runs": [run],
                    "seeds": [identity.seed],
                    "variants": [identity.variant],
                    "hyperparameters": [dict(identity.hyperparameters)],
                    "data_fingerprints": [MONITORED],
                },
            )
            self._describe()
        except OSError as error:
            raise InvalidInput(
                f"can't write to {folder} ({error.strerror}); choose a folder that can be written"
            ) from error

    def _describe(self) -> None:
        of = self.identity
        loss = {"name": of.loss, "variant": of.variant, **of.hyperparameters}
        study = {
            "seeds": [of.seed],
            "name": self.folder.name or "monitored",
            "data": [{"name": of.dataset}],
            "protocol": [{"name": of.protocol, "epochs": max(self._epochs, 1)}],
            "loss": [loss],
        }
        write_json(self.folder / "study.json", {"schema": SCHEMA_VERSION, **study})
        write_json(
            self.folder / "manifest.json",
            {
                "schema": SCHEMA_VERSION,
                "study": study,
                "monitored": True,
                "process": f"rank {self.process[0]} of {self.process[1]}"
                + (", the rows of all" if self.gathers else ""),
                "limits": LIMITS,
                "findings": self._findings,
                "data": {},
                "invocations": [
                    {
                        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
                        "command": sys.argv,
                        "python": platform.python_version(),
                        "platform": platform.platform(),
                        "packages": {},
                    }
                ],
            },
        )

    def say(self, findings: Sequence[Finding]) -> None:
        """Keep what the doctor has found so far."""
        self._findings = [
            {"code": one.code, "outcome": one.outcome, "evidence": list(one.evidence)} for one in findings
        ]
        self._describe()

    def append(self, epoch: int, rows: Sequence[Row], steps: Sequence[Mapping[str, Any]] = ()) -> None:
        """Add rows of an epoch and lines of steps."""
        self._group.append(epoch, rows, steps)

    def cut(self, step: int, epoch: int) -> None:
        """Drop what was written from `step` on, and after `epoch`: it is trained again. A record that was ended is
        opened again."""
        group = self._group.folder
        steps, epochs = self._ended() if has_ended(group) else (
            read_lines(group / name, sealed=is_sealed(self._group.group)) for name in (STEPS, EPOCHS)
        )  # fmt: skip
        write_bytes(group / STEPS, b"".join(line_of(line) for line in steps if line["step"] < step))
        write_bytes(group / EPOCHS, b"".join(line_of(line) for line in epochs if line["epoch"] <= epoch))
        remove(group / "runs.json")

    def _ended(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The lines of steps and of epochs that the tables of an ended record were made from."""
        steps: dict[int, dict[str, Any]] = {}
        for row in read_measurements(self.folder, steps=True).to_pylist():
            line = steps.setdefault(row["step"], {"epoch": row["epoch"], "step": row["step"]})
            line[row["diagnostic"]] = [row["value"]]
        epochs: dict[int, list[list[Any]]] = {}
        for row in read_measurements(self.folder).to_pylist():
            place = [row[name] for name in ("split", "epoch", "diagnostic", "item", "value")]
            epochs.setdefault(row["epoch"], []).append([0, *place])
        return list(steps.values()), [{"epoch": epoch, "rows": rows} for epoch, rows in epochs.items()]

    def finish(self, *, epochs: int, steps: int, samples: int, status: Status, diverged_at: int | None) -> None:
        """Turn the lines into tables; the run counts as ended from here on."""
        self._epochs = epochs
        self._describe()
        of = self.identity
        self._group.finish(
            [
                RunRecord(
                    run=self._group.group["runs"][0],
                    dataset=of.dataset,
                    protocol=of.protocol,
                    loss=of.loss,
                    variant=of.variant,
                    seed=of.seed,
                    status=status,
                    epochs=epochs,
                    updates=steps,
                    samples=samples,
                    terms=0,
                    seconds=time.time() - self.started,
                    cpu_seconds=time.process_time(),
                    data_fingerprint=MONITORED,
                    diverged_at=diverged_at,
                )
            ]
        )
