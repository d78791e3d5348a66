"""What control adds to the API beside the Kubernetes-shaped half: the trust bundle, and waiting for a change."""

from collections.abc import Callable

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse

from plait.api import schemas
from plait.controlplane.everywhere import Holders


def add_extensions(
    app: FastAPI,
    holders: Holders,
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
        return await holders.wait(request.revision, request.timeout)
