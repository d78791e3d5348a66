"""The shop's page: products with their reviews, and a button to buy."""

import os

import httpx
from service import serve
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

CATALOGUE = os.environ.get("CATALOGUE", "http://catalogue")
REVIEWS = os.environ.get("REVIEWS", "http://reviews")
ORDERS = os.environ.get("ORDERS", "http://orders")
client = httpx.AsyncClient(timeout=5)


async def product(request: Request) -> JSONResponse:
    number = request.path_params["id"]
    beta = {"x-beta": request.headers["x-beta"]} if "x-beta" in request.headers else {}
    found = await client.get(f"{CATALOGUE}/products/{number}")
    said = await client.get(f"{REVIEWS}/reviews/{number}", headers=beta)
    if found.status_code != 200 or said.status_code != 200:
        return JSONResponse({"catalogue": found.status_code, "reviews": said.status_code}, status_code=502)
    return JSONResponse({**found.json(), **said.json()})


async def page(_request: Request) -> HTMLResponse:
    found = await client.get(f"{CATALOGUE}/products")
    rows = "".join(f"<li>{item['name']}: {item['cents'] / 100:.2f}</li>" for item in found.json())
    return HTMLResponse(f"<title>Shop</title><h1>Shop</h1><ul>{rows}</ul>")


async def buy(request: Request) -> JSONResponse:
    answer = await client.post(f"{ORDERS}/orders", json=await request.json())
    return JSONResponse(answer.json(), status_code=answer.status_code)


serve([Route("/", page), Route("/products/{id:int}", product), Route("/buy", buy, methods=["POST"])])
