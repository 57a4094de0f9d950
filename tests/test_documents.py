"""What the documents point at is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["README.md", "RESULTS.md", "EXPERIMENTS.md"])
def test_every_local_link_and_picture_exists(name: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)\)", (ROOT / name).read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert local or name == "EXPERIMENTS.md"
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_the_method_that_readme_adds_is_one() -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet, names)
    history = torch.randn(2, 3, 4)
    found = names["LastItem"](4, 3)(history, torch.tensor([[True, True, False], [True, True, True]]))
    torch.testing.assert_close(found.vectors[:, 0], history[[0, 1], [1, 2]])
    assert found.n_live.tolist() == [1, 1]
