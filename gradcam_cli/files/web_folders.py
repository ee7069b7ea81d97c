"""Finds the files in a web folder from the links of its pages."""

from __future__ import annotations

import html
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin

from gradcam_cli.errors import StorageError
from gradcam_cli.files.downloads import DownloadLimits, Downloads

if TYPE_CHECKING:
    from upath import UPath

_LINK = re.compile(r"""<a\s[^<>]*?href\s*=\s*["']?([^"'\s<>]+)""", re.IGNORECASE)
# The size of each page, and the time for all of them.
_LIMITS = DownloadLimits(megabytes=16)
# A server can invent endless nested folders, and names of any length.
_MOST_CHARACTERS = 256_000_000
_LONGEST_ADDRESS = 2000


def find_on_web(folder: UPath, limits: DownloadLimits = _LIMITS) -> list[str]:
    """Finds all files in a web folder recursively.

    Args:
        folder: The folder, whose address ends with a slash, like those of its subfolders.
        limits: The limits for each page. All pages together may take the total time of one.

    Returns:
        The addresses of the files, in any order.

    Raises:
        StorageError: There are too many files, or listing them takes too long.
        Exception: Any error of aiohttp.
    """
    from upath import UPath

    root = folder.path
    downloads = Downloads(limits)
    end = time.monotonic() + limits.total
    files: list[str] = []
    pages, known = [root], {root}
    characters = 0
    while pages:
        page = pages.pop()
        try:
            content = downloads.fetch(UPath(page, **folder.storage_options)).getvalue()
        except FileNotFoundError:
            if page == root:
                raise
            continue
        for match in _LINK.finditer(content.decode("utf-8", "replace")):
            address = _address(page, match[1])
            if not address.startswith(root) or address in known:
                continue
            known.add(address)
            (pages if address.endswith("/") else files).append(address)
            characters += len(address)
            if characters > _MOST_CHARACTERS:
                raise StorageError(f"{folder}: refused, it lists too many files")
        if time.monotonic() > end:
            raise StorageError(f"{folder}: timed out, not fully listed after {limits.total:g} s")
    return files


def _address(page: str, link: str) -> str:
    """Returns the address that a link leads to; "" if it is invalid."""
    if len(link) > _LONGEST_ADDRESS:
        return ""
    try:
        address = urldefrag(urljoin(page, html.unescape(link))).url
    except ValueError:
        return ""
    return address if len(address) <= _LONGEST_ADDRESS else ""
