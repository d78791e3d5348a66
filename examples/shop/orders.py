"""Takes orders: asks the catalogue for the price and payments for the money."""

import os

import httpx
from database import connect
from service import serve
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

CATALOGUE = os.environ.get("CATALOGUE", "http://catalogue")
PAYMENTS = os.environ.get("PAYMENTS", "http://payments")
orders = connect("orders", "orders(id INTEGER PRIMARY KEY, product INTEGER, cents INTEGER)")
client = httpx.AsyncClient(timeout=5)


async def order(request: Request) -> JSONResponse:
    product = int((await request.json())["product"])
    found = await client.get(f"{CATALOGUE}/products/{product}")
    if found.status_code != 200:
        return JSONResponse({"error": "no such product"}, status_code=404)
    cents = found.json()["cents"]
    paid = await client.post(f"{PAYMENTS}/charges", json={"cents": cents})
    if paid.status_code != 201:
        return JSONResponse({"error": "payment failed", "status": paid.status_code}, status_code=502)
    cursor = orders.execute("INSERT INTO orders(product, cents) VALUES (?, ?)", (product, cents))
    return JSONResponse({"order": cursor.lastrowid, "charge": paid.json()["charge"]}, status_code=201)


serve([Route("/orders", order, methods=["POST"])])
