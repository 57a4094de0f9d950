"""Write generated tables into a document, between markers, so that no number in it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from baselines.errors import BadInput, unknown_name
from experiments.files import write_text


def update_readme(readme: Path, blocks: Mapping[str, str]) -> bool:
    """Replace the text between `<!-- BEGIN name -->` and `<!-- END name -->` for each block; all of them, or none.

    Args:
        readme: the document, rewritten atomically where it changes.
        blocks: the new text by name, Markdown.

    Returns:
        Whether the document changed.

    Raises:
        BadInput: a pair of markers that is missing, doubled or reversed.
    """
    text = former = readme.read_text(encoding="utf-8")
    for name, block in blocks.items():
        begin, end = f"<!-- BEGIN {name} -->", f"<!-- END {name} -->"
        if begin not in text and end not in text:
            known = [line.split()[2] for line in text.splitlines() if line.startswith("<!-- BEGIN ")]
            raise unknown_name(f"marker in {readme}", name, known)
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
            found = f"{text.count(begin)} and {text.count(end)}"
            raise BadInput(f"{readme}: expected one '{begin}' and, after it, one '{end}'; found {found}")
        head, rest = text.split(begin)
        _, tail = rest.split(end)
        text = f"{head}{begin}\n{block.strip()}\n{end}{tail}"
    if text == former:
        return False
    write_text(readme, text)
    return True
