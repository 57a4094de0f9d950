"""Measurements of speed, kept beside the results so that documents are written from them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from experiments.files import write_json
from experiments.reporting.table import Table

FOLDER = "bench"
"""Where they lie in the folder of results."""


def keep_benchmark(name: str, tables: Sequence[Table], results: Path, *, command: str, code: str, device: str) -> Path:
    """Write `results`/bench/`name`.json: the tables, and what they were measured with; a former one is replaced."""
    path = results / FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "code_version": code,
        "torch": version("torch"),
        "device": device,
        "cores": os.cpu_count(),
    }
    write_json(path, {**made, "tables": [asdict(table) for table in tables]})
    return path


def benchmarks(results: Path) -> dict[str, list[str]]:
    """Return what documents say of each kept benchmark, by name: its tables in Markdown, then how they were made."""
    told = {}
    for path in sorted((results / FOLDER).glob("*.json")):
        kept = json.loads(path.read_text(encoding="utf-8"))
        made = f"`{kept['command']}`, {kept['date']}, code {kept['code_version']}, torch {kept['torch']}, "
        made += f"{kept['device']}, {kept['cores']} cores."
        told[path.stem] = [*(Table(**table).render("md").strip() for table in kept["tables"]), made]
    return told
