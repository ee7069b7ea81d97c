"""Downloads files from stores within limits of size and time, whatever the server sends."""

from __future__ import annotations

import asyncio
import errno
import io
import os
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from gradcam_cli.errors import StorageError

if TYPE_CHECKING:
    from upath import UPath

DEFAULT_MEGABYTES = 512
WEB = frozenset({"http", "https"})
_MEGABYTE = 1_000_000
_CHUNK = 1 << 20


@dataclass(frozen=True)
class DownloadLimits:
    """The limits of a download. Stores other than the web also have time limits of their own.

    Attributes:
        megabytes: The size of the file in 10^6 bytes, after decompression.
        connecting: Seconds to wait until a web server accepts the connection.
        silence: Seconds to wait while a web server sends nothing.
        total: Seconds from the request to the last byte.
    """

    megabytes: int = DEFAULT_MEGABYTES
    connecting: float = 30
    silence: float = 30
    total: float = 300


class Downloads:
    """Downloads files in any number of threads, and can cancel all downloads."""

    def __init__(self, limits: DownloadLimits | None = None) -> None:
        """Sets the limits; nothing is downloaded yet.

        Args:
            limits: The limits of each download; None for defaults that suit pictures.
        """
        self._limits = limits or DownloadLimits()
        self._running: set[Future[io.BytesIO]] = set()
        self._stopped = False
        self._lock = Lock()

    def fetch(self, path: UPath) -> io.BytesIO:
        """Downloads a file.

        Args:
            path: The location of the file.

        Raises:
            StorageError: The file exceeds a limit, or the downloads were stopped.
            Exception: Any error of the store's own library.
        """
        if path.fs.async_impl:
            return self._fetch_beside(path)
        return self._checked(path, path.fs.cat_file(path.path, end=self._most_bytes + 1))

    def stop(self) -> None:
        """Cancels all running downloads and refuses new ones.

        Threads that wait for a file get a `StorageError` immediately.
        """
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for download in running:
            download.cancel()

    @property
    def _most_bytes(self) -> int:
        return self._limits.megabytes * _MEGABYTE

    def _check_size(self, path: UPath, size: int) -> None:
        if size > self._most_bytes:
            raise StorageError(
                f"{path}: refused, it is larger than {self._limits.megabytes} MB; allow more with "
                f"--max-download"
            )

    def _checked(self, path: UPath, content: bytes) -> io.BytesIO:
        self._check_size(path, len(content))
        return io.BytesIO(content)

    def _fetch_beside(self, path: UPath) -> io.BytesIO:
        """Downloads a file in the thread in which fsspec waits for the network."""
        with self._lock:
            if self._stopped:
                raise StorageError(f"{path}: not read, because the run was stopped")
            download = asyncio.run_coroutine_threadsafe(self._fetch_in_time(path), path.fs.loop)
            self._running.add(download)
        try:
            return download.result()
        except CancelledError:
            raise StorageError(f"{path}: not fully read, because the run was stopped") from None
        finally:
            with self._lock:
                self._running.discard(download)

    async def _fetch_in_time(self, path: UPath) -> io.BytesIO:
        try:
            async with asyncio.timeout(self._limits.total) as clock:
                if path.protocol in WEB:
                    return await self._fetch_from_web(path)
                end = self._most_bytes + 1
                return self._checked(path, await path.fs._cat_file(path.path, end=end))
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise StorageError(
                f"{path}: timed out, it was still incomplete after {self._limits.total:g} s"
            ) from error

    async def _fetch_from_web(self, path: UPath) -> io.BytesIO:
        import aiohttp

        limits = self._limits
        timeout = aiohttp.ClientTimeout(connect=limits.connecting, sock_read=limits.silence)
        session = await path.fs.set_session()
        # A single buffer, because joining parts would hold the content in memory twice.
        content = io.BytesIO()
        try:
            async with session.get(
                path.fs.encode_url(path.path), **{**path.fs.kwargs, "timeout": timeout}
            ) as response:
                if response.status == 404:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
                if not response.ok:
                    raise StorageError(
                        f"{path}: cannot be read (the server answered {response.status} "
                        f"{response.reason})"
                    )
                self._check_size(path, response.content_length or 0)
                async for chunk in response.content.iter_chunked(_CHUNK):
                    content.write(chunk)
                    self._check_size(path, content.tell())
        except aiohttp.TooManyRedirects as error:
            raise StorageError(f"{path}: cannot be read (too many redirects)") from error
        except aiohttp.ConnectionTimeoutError as error:
            raise StorageError(
                f"{path}: timed out, no connection to the server within {limits.connecting:g} s"
            ) from error
        except aiohttp.SocketTimeoutError as error:
            raise StorageError(
                f"{path}: timed out, the server sent nothing for {limits.silence:g} s"
            ) from error
        content.seek(0)
        return content
