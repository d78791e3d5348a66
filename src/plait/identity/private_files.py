"""Files that only their owner may read, replaced atomically.

The new content is written beside the file, flushed to disk, and renamed over it: a reader, and a process that
starts after a crash, sees either the old or the new content, never a part.
"""

import os
import tempfile
from pathlib import Path


def private_directory(path: Path) -> Path:
    """Create the directory with mode 0700 (parents as usual) if it is missing, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Replace the file's content atomically; its mode is 0600 from the first byte on."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
