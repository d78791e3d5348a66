"""Other firewalls of the machine that would stop workloads' traffic.

Rules of ours can't undo another table's verdict: what another `forward` chain drops is dropped. Docker's iptables set
makes that chain drop by default and has `DOCKER-USER` for rules of the machine's owner: there, and nowhere else
outside our own tables, two rules for our bridge are put, marked with its name. Any other chain that drops by default
is reported with the command that opens it.
"""

import json
import shutil
from collections.abc import Sequence
from typing import Any

from plait.node import commands

_CHAIN = "DOCKER-USER"
_DIRECTIONS = ("-i", "-o")


def make_way(bridge: str) -> tuple[str, ...]:
    """Let the bridge's traffic through Docker's rules; returns a sentence for every other obstacle."""
    docker = _has_docker_chain()
    if docker:
        for direction in _DIRECTIONS:
            if not commands.works(["iptables", "-w", "-C", *_rule(bridge, direction)]):
                commands.run(["iptables", "-w", "-I", *_rule(bridge, direction)])
    text = commands.run(["nft", "-j", "list", "chains"])
    return obstacles(json.loads(text)["nftables"], bridge, docker=docker)


def close_way(bridge: str) -> None:
    """Take our rules out of Docker's chain."""
    if _has_docker_chain():
        for direction in _DIRECTIONS:
            while commands.works(["iptables", "-w", "-C", *_rule(bridge, direction)]):
                commands.run(["iptables", "-w", "-D", *_rule(bridge, direction)])


def has_way(bridge: str) -> bool:
    """Whether rules of ours are in Docker's chain."""
    return _has_docker_chain() and any(
        commands.works(["iptables", "-w", "-C", *_rule(bridge, direction)]) for direction in _DIRECTIONS
    )


def obstacles(objects: Sequence[dict[str, Any]], bridge: str, *, docker: bool = False) -> tuple[str, ...]:
    """The chains among nft's JSON objects that drop by default what workloads send, each as a sentence."""
    found: list[str] = []
    for chain in (item["chain"] for item in objects if "chain" in item):
        if chain.get("policy") != "drop" or chain.get("family") not in ("ip", "inet"):
            continue
        hook, table = chain.get("hook"), f"{chain['family']} {chain['table']} {chain['name']}"
        passed = docker and (chain["family"], chain["table"], chain["name"]) == ("ip", "filter", "FORWARD")
        if hook == "forward" and not passed:
            rules = f"nft insert rule {table} iifname {bridge} accept; nft insert rule {table} oifname {bridge} accept"
            found.append(
                f"the firewall chain `{table}` drops forwarded traffic: workloads reach nothing; allow it: {rules}"
            )
        elif hook == "input":
            rule = f"nft insert rule {table} iifname {bridge} accept"
            found.append(
                f"the firewall chain `{table}` drops incoming traffic: workloads reach no DNS; allow it: {rule}"
            )
    return tuple(found)


def _has_docker_chain() -> bool:
    return shutil.which("iptables") is not None and commands.works(["iptables", "-w", "-n", "-L", _CHAIN])


def _rule(bridge: str, direction: str) -> list[str]:
    return [_CHAIN, direction, bridge, "-m", "comment", "--comment", bridge, "-j", "ACCEPT"]
