"""What control adds to the API beside the Kubernetes-shaped half: the trust bundle, and waiting for a change."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse

from plait.ads.connections import Connections
from plait.api import schemas
from plait.controlplane.publisher import Publisher
from plait.controlplane.reconcile import Reconciler


def add_extensions(
    app: FastAPI,
    reconciler: Reconciler,
    connections: Connections,
    publisher: Publisher,
    *,
    bundle: Callable[[], bytes],
    ads_port: Callable[[], int],
) -> None:
    """Add the routes."""

    @app.get("/plait/v1/bundle", response_class=PlainTextResponse)
    async def trust_bundle(response: Response) -> str:
        """The roots that peers verify against, PEM; public, a join token carries their fingerprint.

        The header X-Plait-Ads-Port tells a machine that follows control to another address where to connect.
        """
        response.headers["x-plait-ads-port"] = str(ads_port())
        return bundle().decode()

    @app.post("/plait/v1/wait")
    async def wait(request: schemas.WaitRequest) -> schemas.WaitAnswer:
        """Wait until every proxy that needs a revision holds it, at most `timeout` seconds."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(request.timeout):
                await reconciler.reached(request.revision)
                await publisher.done(request.revision)
        except TimeoutError:
            return schemas.WaitAnswer(pending=("control itself",), seconds=request.timeout)
        needing = publisher.sent_since(request.revision)
        left = await connections.settled(needing, max(0.0, request.timeout - (time.monotonic() - started)))
        return schemas.WaitAnswer(
            proxies=tuple(sorted(needing)),
            pending=tuple(sorted(left)),
            refused=tuple(_refusals(connections, needing)),
            seconds=time.monotonic() - started,
        )


def _refusals(connections: Connections, proxies: Collection[str]) -> Iterator[schemas.RefusingProxy]:
    for state in connections.states():
        namespace, _, name = state.proxy.partition("/")
        if state.proxy in proxies:
            for item in state.refused:
                yield schemas.RefusingProxy(namespace=namespace, name=name, message=item.message)
