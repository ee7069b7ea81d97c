"""Finds the files of a folder on the web by the links of the pages that show it."""

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
# Of each page, and the time of all of them.
_LIMITS = DownloadLimits(megabytes=16)
# A server can make up folders in folders for ever, and names of any length.
_MOST_CHARACTERS = 256_000_000
_LONGEST_ADDRESS = 2000


def find_on_web(folder: UPath, limits: DownloadLimits = _LIMITS) -> list[str]:
    """Finds all files of a folder on the web and below it.

    Args:
        folder: Its address ends with a slash, as those of the folders below it do.
        limits: What each page may take; all of them may take the total time of one.

    Returns:
        Their addresses, in any order.

    Raises:
        StorageError: There are more than any folder has, or it takes too long.
        Exception: Whatever aiohttp raises.
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
                raise StorageError(f"{folder}: given up, it lists more than can be read")
        if time.monotonic() > end:
            raise StorageError(f"{folder}: given up, it wasn't all listed after {limits.total:g} s")
    return files


def _address(page: str, link: str) -> str:
    """Gives where a link leads; "" for nowhere."""
    if len(link) > _LONGEST_ADDRESS:
        return ""
    try:
        address = urldefrag(urljoin(page, html.unescape(link))).url
    except ValueError:
        return ""
    return address if len(address) <= _LONGEST_ADDRESS else ""
