"""A real browser, driven by Selenium, uses the shop through a gateway: pages, an order, A/B by header and by cookie.

It is Debian's Chromium with its driver (packages chromium, chromium-driver). The shop's own name leads to the gateway
inside the browser only.
"""

import os
import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.integration.machines import Machine, needs_root, until

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(200), needs_root]

Browser = Any
"""A webdriver.Chrome, whose own annotations are incomplete."""
SHOP = Path(__file__).parents[2] / "examples" / "shop"
URL = "http://shop.example"
STARS = "Pours well. *****"
PLAIN = "Pours well."
ENTRY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: entry, namespace: shop}
spec:
  gatewayClassName: plait
  listeners: [{name: http, port: 80, protocol: HTTP, hostname: shop.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: entry, namespace: shop}
spec:
  parentRefs: [{name: entry}]
  hostnames: [shop.example]
  rules:
  - matches:
    - headers: [{name: x-beta, value: "yes"}]
    backendRefs: [{name: frontend, port: 80}]
  - matches:
    - headers: [{name: cookie, type: RegularExpression, value: '(.*; *)?group=b(;.*)?'}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: x-beta, value: "yes"}]}
    backendRefs: [{name: frontend, port: 80}]
  - filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: set-cookie, value: "group=a; Path=/"}]}
    backendRefs: [{name: frontend, port: 80}]
"""
ONLY_FIRST = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: reviews, port: 80}]
  rules:
  - matches:
    - headers: [{name: x-beta, value: "yes"}]
    backendRefs: [{name: reviews-v2, port: 80}]
  - backendRefs: [{name: reviews-v1, port: 80}]
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of a gateway before the shop, in a mesh of its own."""
    machine = Machine(tmp_path_factory.mktemp("d"))
    try:
        machine.plait("up", "--detach", wait=90)
        machine.plait("apply", "-f", str(SHOP / "mesh.yaml"))
        machine.apply(ONLY_FIRST)
        machine.apply(ENTRY)
        machine.environment["DATA"] = str(machine.state / "shop")
        (machine.state / "shop").mkdir()
        machine.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        machine.plait("start", "-f", str(SHOP / "workloads.yaml"), "--detach", wait=90)
        machine.plait("gateway", "entry", "-n", "shop", "--detach")
        until(lambda: machine.workload("entry")["phase"] == "Running", what="the gateway does not run")
        yield machine.workload("entry")["address"]
    finally:
        machine.plait("down", code=None, wait=90)


@pytest.fixture
def browser(address: str, tmp_path: Path) -> Generator[Browser]:
    """A Chromium without a window, with a profile of its own, for which the shop is at the gateway."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server")
    mapped = f"MAP shop.example {address}, MAP * ~NOTFOUND, EXCLUDE {address}, EXCLUDE localhost, EXCLUDE 127.0.0.1"
    for flag in (*flags, f"--user-data-dir={tmp_path / 'profile'}", f"--host-resolver-rules={mapped}"):
        options.add_argument(flag)
    started = webdriver.Chrome(options=options, service=Service(driver))
    try:
        started.set_page_load_timeout(20)
        yield started
    finally:
        started.quit()


def review(browser: Browser) -> str:
    """The first review of a teapot, as the page shows it."""
    browser.get(f"{URL}/")
    assert browser.title == "Shop"
    browser.find_element(By.LINK_TEXT, "Teapot").click()
    WebDriverWait(browser, 10).until(lambda it: it.title == "Teapot")
    return browser.find_elements(By.CSS_SELECTOR, "#reviews li")[0].text


def test_a_customer_looks_and_buys(browser: Browser) -> None:
    """Pages, links and a script's POST pass the gateway and four services behind it."""
    assert review(browser) == PLAIN
    browser.find_element(By.ID, "buy").click()
    answer = browser.find_element(By.ID, "answer")
    WebDriverWait(browser, 10).until(lambda _: answer.text)
    assert answer.text.startswith("Order ")


def test_a_header_leads_to_the_new_version(browser: Browser) -> None:
    """A browser that sends the header sees the new version's stars, and without it the old version again."""
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": {"x-beta": "yes"}})
    assert review(browser) == STARS
    browser.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": {}})
    assert review(browser) == PLAIN


def test_a_cookie_keeps_its_group(browser: Browser) -> None:
    """The gateway gives a browser its group by a cookie; with the other group's cookie it sees the new version."""
    assert review(browser) == PLAIN
    cookie = browser.get_cookie("group")
    assert cookie is not None
    assert cookie["value"] == "a"
    browser.add_cookie({"name": "group", "value": "b"})
    assert [review(browser) for _ in range(3)] == [STARS] * 3
