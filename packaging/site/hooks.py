# SPDX-License-Identifier: MIT
"""The README becomes the site's first page; what lies outside docs/ is linked to where it is: in the source archive."""

import os
import pathlib
import re

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[2]
_LINK = re.compile(r"(!?\[[^\]]*\])\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files, config):
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links to sources, which are no pages, are shown as their path."""
    home = ROOT if page.file.src_uri == "index.md" else (ROOT / "docs" / page.file.src_uri).parent

    def mend(match):
        text, target, anchor = match.group(1), match.group(2), match.group(3) or ""
        if "://" in target or target.startswith("mailto:"):
            return match.group(0)
        path = (home / target).resolve()
        if ROOT / "docs" in path.parents and path.is_file():
            here = (ROOT / "docs" / page.file.src_uri).parent
            return f"{text}({os.path.relpath(path, here)}{anchor})"
        return f"{text[1:-1]} (`{path.relative_to(ROOT)}`)" if path.exists() else match.group(0)

    return _LINK.sub(mend, markdown)
