"""What people say of a product. Version 2 counts stars as well."""

import os

from service import serve
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

VERSION = os.environ["VERSION"]
TEXTS = {
    1: [("Pours well.", 5), ("The lid is loose.", 3)],
    2: [("Loud, but quick.", 4)],
    3: [("Does what it should.", 5)],
}


async def reviews(request: Request) -> JSONResponse:
    found = TEXTS.get(request.path_params["product"], [])
    entries = [{"text": text, **({"stars": stars} if VERSION == "v2" else {})} for text, stars in found]
    caller = request.headers.get("x-forwarded-client-cert", "")
    return JSONResponse({"version": VERSION, "reviews": entries, "caller": caller})


serve([Route("/reviews/{product:int}", reviews)])
