"""What the shop sells."""

from database import connect
from service import serve
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

PRODUCTS = [
    (1, "Teapot", 2400),
    (2, "Kettle", 3900),
    (3, "Sieve", 450),
    (4, "Cup, blue", 800),
]
products = connect(
    "catalogue",
    "products(id INTEGER PRIMARY KEY, name TEXT, cents INTEGER)",
    "INSERT INTO products VALUES (?, ?, ?)",
    list(PRODUCTS),
)


async def all_products(_request: Request) -> JSONResponse:
    return JSONResponse([dict(row) for row in products.execute("SELECT * FROM products ORDER BY id")])


async def one_product(request: Request) -> JSONResponse:
    row = products.execute("SELECT * FROM products WHERE id = ?", (request.path_params["id"],)).fetchone()
    return JSONResponse(dict(row)) if row else JSONResponse({"error": "no such product"}, status_code=404)


serve([Route("/products", all_products), Route("/products/{id:int}", one_product)])
