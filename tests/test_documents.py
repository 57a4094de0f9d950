"""What the documents point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["README.md", "RESULTS.md", "EXPERIMENTS.md"])
def test_every_local_link_and_picture_exists(name: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", (ROOT / name).read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert local or name == "EXPERIMENTS.md"
    assert [target for target in local if not (ROOT / target).exists()] == []
