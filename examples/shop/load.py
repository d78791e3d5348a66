"""A few customers: they look at products and sometimes buy one, for ever."""

import asyncio
import itertools
import os
import time

import httpx

SHOP = os.environ.get("SHOP", "http://frontend")
RATE = float(os.environ.get("RATE", "10"))


async def main() -> None:
    async with httpx.AsyncClient(timeout=5) as client:
        for number in itertools.count():
            started = time.monotonic()
            try:
                if number % 10 == 0:
                    await client.post(f"{SHOP}/buy", json={"product": 1 + number % 4})
                else:
                    await client.get(f"{SHOP}/products/{1 + number % 3}")
            except httpx.HTTPError as error:
                print(f"a customer got {type(error).__name__}", flush=True)
            await asyncio.sleep(max(0.0, 1 / RATE - (time.monotonic() - started)))


asyncio.run(main())
