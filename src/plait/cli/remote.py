"""Configuration that is fetched: from an https URL, or from anywhere with the digest that it must have.

A digest is that of the whole file, as `sha256sum` prints it and `plait bundle` tells it: `sha256:` and 64 hexadecimal
digits. It is compared before anything is read, so nothing of a file that was changed on its way is looked at.
"""

import hashlib
import re
from pathlib import Path
from typing import Final

import httpx

from plait.cli.errors import CheckError, UsageError
from plait.errors import UnreachableError

MOST_BYTES: Final = 16 * 1024 * 1024
_WITHIN: Final = 30.0
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(.+)")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.IGNORECASE)


def url_of(path: Path) -> str:
    """The URL that was given where a path may be; empty if it is none. Paths have lost the second slash."""
    found = _URL.fullmatch(str(path))
    return f"{found[1]}://{found[2]}" if found else ""


def read(path: Path, digest: str = "") -> str:
    """The text at a URL or in a file, after its digest was checked.

    Raises UsageError for what nobody vouches for, UnreachableError where it cannot be fetched, and CheckError for
    another digest, or for what is too large or no text.
    """
    if digest and not _DIGEST.fullmatch(digest):
        raise UsageError(f"`{digest}` is no digest", "give sha256: and 64 hexadecimal digits, as `plait bundle` prints")
    url = url_of(path)
    if url and not url.startswith(("https:", "http:")):
        raise UsageError(f"{url} cannot be fetched", "use an https URL, or fetch the file and name it")
    if url.startswith("http:") and not digest:
        raise UsageError(f"{url} is not encrypted: anybody on the way may change it", "use https, or add --digest")
    content = _fetched(url) if url else _file(path)
    if digest and (found := digest_of(content)) != digest.lower():
        raise CheckError(
            f"{url or path} has another digest: {found}; nothing was changed",
            "if that change is meant, give the new digest",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CheckError(f"{url or path} is not UTF-8 text", "save the file in UTF-8") from None


def digest_of(content: bytes) -> str:
    """The digest of a file with this content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckError(f"{path} cannot be read: {error.strerror or error}", "a digest is that of one file") from error


def _fetched(url: str) -> bytes:
    content = bytearray()
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=_WITHIN) as answer:
            if not answer.is_success:
                raise UnreachableError(f"{url} answers {answer.status_code}", "check the address")
            for hop in (*answer.history, answer):
                if url.startswith("https:") and hop.url.scheme != "https":
                    raise UsageError(f"{url} leads to {hop.url}, which is not encrypted", "name the file itself")
            for part in answer.iter_bytes():
                content += part
                if len(content) > MOST_BYTES:
                    raise CheckError(f"{url} is larger than {MOST_BYTES // 1024 // 1024} MB", "is it the right file?")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnreachableError(f"{url} cannot be fetched: {error}", "check the address and the network") from error
    return bytes(content)
