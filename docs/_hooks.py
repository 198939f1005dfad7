"""MkDocs hook: what the site has beyond the plain pages."""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # MkDocs loads this file by its path

import _generate


def on_page_markdown(markdown: str, page: Any, config: Any, **more: Any) -> str:
    """The page with links out of docs/ leading to the repository, and the whole API reference."""
    if page.file.src_path == "reference.md":
        entries = sorted(_generate.homes().items())
        markdown += "".join(f"\n\n::: {module}.{name}\n" for name, module in entries)
    address = f"{config['repo_url'].rstrip('/')}/blob/main/"
    return re.sub(r"\]\(\.\./", f"]({address}", markdown)
