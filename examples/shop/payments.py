"""Takes the money."""

from database import connect
from service import serve
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

charges = connect("payments", "charges(id INTEGER PRIMARY KEY, cents INTEGER)")


async def charge(request: Request) -> JSONResponse:
    cents = int((await request.json())["cents"])
    cursor = charges.execute("INSERT INTO charges(cents) VALUES (?)", (cents,))
    caller = request.headers.get("x-forwarded-client-cert", "")
    return JSONResponse({"charge": cursor.lastrowid, "cents": cents, "caller": caller}, status_code=201)


serve([Route("/charges", charge, methods=["POST"])])
