"""The shop's page: products with their reviews, and a button to buy."""

import os
from typing import Any

import httpx
from service import serve
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

CATALOGUE = os.environ.get("CATALOGUE", "http://catalogue")
REVIEWS = os.environ.get("REVIEWS", "http://reviews")
ORDERS = os.environ.get("ORDERS", "http://orders")
client = httpx.AsyncClient(timeout=5)


FORM = """<button id=buy>Buy</button><p id=answer></p><script>
document.getElementById("buy").onclick = async () => {
  const order = {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify({product: %d})};
  const answer = await fetch("/buy", order);
  const said = await answer.json();
  document.getElementById("answer").textContent = answer.ok ? "Order " + said.order : "Failed: " + answer.status;
};
</script>"""


async def product(request: Request) -> Response:
    number = request.path_params["id"]
    beta = {"x-beta": request.headers["x-beta"]} if "x-beta" in request.headers else {}
    found = await client.get(f"{CATALOGUE}/products/{number}")
    said = await client.get(f"{REVIEWS}/reviews/{number}", headers=beta)
    if found.status_code != 200 or said.status_code != 200:
        return JSONResponse({"catalogue": found.status_code, "reviews": said.status_code}, status_code=502)
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(details(found.json(), said.json()))
    return JSONResponse({**found.json(), **said.json()})


def details(item: dict[str, Any], said: dict[str, Any]) -> str:
    rows = "".join(f"<li>{entry['text']} {'*' * entry.get('stars', 0)}</li>" for entry in said["reviews"])
    name = item["name"]
    return f"<title>{name}</title><h1>{name}</h1><ul id=reviews>{rows}</ul>{FORM % item['id']}"


async def page(_request: Request) -> HTMLResponse:
    found = await client.get(f"{CATALOGUE}/products")
    rows = "".join(
        f"<li><a href=/products/{item['id']}>{item['name']}</a>: {item['cents'] / 100:.2f}</li>"
        for item in found.json()
    )
    return HTMLResponse(f"<title>Shop</title><h1>Shop</h1><ul>{rows}</ul>")


async def buy(request: Request) -> JSONResponse:
    answer = await client.post(f"{ORDERS}/orders", json=await request.json())
    return JSONResponse(answer.json(), status_code=answer.status_code)


serve([Route("/", page), Route("/products/{id:int}", product), Route("/buy", buy, methods=["POST"])])
