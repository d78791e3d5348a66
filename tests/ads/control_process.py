"""A control plane as a process of its own, to be killed: publishes what a file holds, and prints what happened.

    python -m tests.ads.control_process DIRECTORY PORT

DIRECTORY/wanted.xds is published, again whenever it changes; each line printed is a proxy's state as JSON.
"""

import asyncio
import json
import sys
from pathlib import Path

from plait.ads.last_good import decode
from tests.ads.live import PROXY, Control, authority


async def main(directory: Path, port: int) -> None:
    wanted = directory / "wanted.xds"
    control = Control(authority=authority(directory), port=port)
    control.wanted = decode(wanted.read_bytes())
    published, printed = wanted.stat().st_mtime_ns, ""
    async with control.running():
        while True:
            await asyncio.sleep(0.02)
            if wanted.stat().st_mtime_ns != published:
                published = wanted.stat().st_mtime_ns
                control.publish(decode(wanted.read_bytes()))
            state = control.connections.state(PROXY)
            refused = [(item.name, item.message) for item in state.refused] if state else []
            line = json.dumps(
                {"synced": bool(state and state.synced), "sent": state.sent if state else 0, "refused": refused}
            )
            if line != printed:
                print(line, flush=True)
                printed = line


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
