"""What control adds to the API beside the Kubernetes-shaped half: the trust bundle, and waiting for a change."""

import asyncio
import time
from typing import Annotated, Any

from fastapi import Body, FastAPI
from fastapi.responses import PlainTextResponse

from plait.ads.connections import Connections
from plait.controlplane.publisher import Publisher
from plait.controlplane.reconcile import Reconciler


def add_extensions(
    app: FastAPI, reconciler: Reconciler, connections: Connections, publisher: Publisher, *, bundle: str
) -> None:
    """Add the routes."""

    @app.get("/plait/v1/bundle", response_class=PlainTextResponse)
    async def trust_bundle() -> str:
        """The roots that peers verify against, PEM; public, a join token carries their fingerprint."""
        return bundle

    @app.post("/plait/v1/wait")
    async def wait(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        """Wait until every proxy that needs a revision holds it, at most `timeout` seconds."""
        started, limit = time.monotonic(), float(body.get("timeout", 30))
        try:
            async with asyncio.timeout(limit):
                await reconciler.reached(int(body["revision"]))
        except TimeoutError:
            return {"proxies": [], "pending": ["control itself"], "refused": [], "seconds": limit}
        needing = publisher.sent_since(int(body["revision"]))
        left = await connections.settled(needing, max(0.0, limit - (time.monotonic() - started)))
        refused = [
            {"namespace": state.proxy.partition("/")[0], "name": state.proxy.partition("/")[2], "message": item.message}
            for state in connections.states()
            if state.proxy in needing
            for item in state.refused
        ]
        return {
            "proxies": sorted(needing),
            "pending": sorted(left),
            "refused": refused,
            "seconds": time.monotonic() - started,
        }
