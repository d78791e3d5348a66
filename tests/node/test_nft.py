"""The rendered rules, other firewalls, resolv.conf: text in, text out."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.node import commands, firewall, netns, nft, ports, possible, resolvconf
from plait.node.addresses import MachineRange
from plait.node.dns_forward import machine_servers
from plait.node.nft import HostPort, HostRules, LoopbackPort, MachinePort, WorkloadRules
from plait.node.resolvconf import ResolvConf
from tests.node.machines import ENVOY_UID, OUTSIDE, call, machine, needs_root, outside

RULES = WorkloadRules(
    address="10.5.0.2",
    gateway="10.5.0.1",
    publisher="10.5.0.254",
    dns_port=15053,
    envoy_uid=1337,
    host_ports=(5432,),
    published=(15100,),
)
HOST = HostRules(
    table="plaitab12",
    bridge="plaitab12",
    machine=MachineRange.parse("10.5.0.0/24"),
    machine_ports=(MachinePort(port=30000, address="10.5.0.2", app_port=8080),),
    loopback_ports=(
        LoopbackPort(host="127.0.0.1", port=8080, address="10.5.0.2", listener_port=15100),
        LoopbackPort(host="0.0.0.0", port=8081, address="10.5.0.2", listener_port=15101),
    ),
    host_ports=(HostPort(address="10.5.0.2", port=5432),),
)


def chain(text: str, name: str) -> list[str]:
    body = text.partition(f"\tchain {name} {{\n")[2].partition("\t}\n")[0]
    return [line.strip() for line in body.splitlines()][1:]


def test_order_of_a_workload_s_outbound_rules():
    """DNS first (Envoy's too), then Envoy is let go, then host ports, loopback, and the rest is caught."""
    rules = chain(nft.render_workload(RULES), "out")

    order = ["dnat ip to 10.5.0.1:15053", "redirect to :15006", "1337 return", "{ 5432 } dnat", 'oifname "lo" return']
    found = [next(at for at, rule in enumerate(rules) if part in rule) for part in order]
    assert found == sorted(found)
    assert rules[-1] == "meta l4proto tcp redirect to :15001"


def test_rules_replace_the_whole_table():
    """Applying is a replacement in one transaction: declare, delete, define."""
    for text, table in ((nft.render_workload(RULES), "plait"), (nft.render_host(HOST), "plaitab12")):
        assert text.startswith(f"table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n")


def test_gateway_place_redirects_nothing():
    """Without capture only DNS is led elsewhere."""
    text = nft.render_workload(dataclasses.replace(RULES, capture=False))
    assert "redirect" not in text
    assert "dnat ip to 10.5.0.1:15053" in text


def test_empty_maps_are_rendered_without_elements():
    """A machine without ports has empty maps, which nft accepts."""
    assert "elements" not in nft.render_host(HostRules(table="p", bridge="p", machine=HOST.machine))


@needs_root
@pytest.mark.integration
@pytest.mark.parametrize("text", [nft.render_workload(RULES), nft.render_host(HOST)])
def test_nft_accepts_what_is_rendered(tmp_path: Path, text: str):
    """nft takes the tables, twice in a row."""
    with machine(state=tmp_path) as here:
        here.here(lambda: nft.apply(text))
        here.here(lambda: nft.apply(text))


def test_published_ports_of_other_meshes_are_read(monkeypatch: pytest.MonkeyPatch):
    """Ports in the maps of other meshes' tables are found, one's own and foreign tables' are not."""
    text = nft.render_host(HOST) + "table inet other {\n map m { elements = { 99 : 10.0.0.1 . 1 } } }\n"

    def listed(command: Sequence[str]) -> str:
        assert command[0] == "nft"
        return text

    monkeypatch.setattr(commands, "run", listed)

    assert set(ports.other_meshes("plaitzz")) == {30000, 8080, 8081}
    assert ports.other_meshes("plaitab12") == {}


def test_obstacles_name_the_chain_and_the_way_out():
    """A firewall that drops forwarded or incoming traffic by default is named with the command that opens it."""
    chains: list[dict[str, dict[str, str]]] = [
        {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}},
        {"chain": {"family": "inet", "table": "fw", "name": "in", "hook": "input", "policy": "drop"}},
        {"chain": {"family": "ip6", "table": "fw", "name": "in", "hook": "input", "policy": "drop"}},
        {"chain": {"family": "inet", "table": "fw", "name": "out", "hook": "output", "policy": "accept"}},
        {"metainfo": {}},
    ]
    forward, incoming = firewall.obstacles(chains, "plaitab12")
    assert "nft insert rule ip filter FORWARD iifname plaitab12 accept" in forward
    assert "`inet fw in` drops incoming traffic: workloads reach no DNS" in incoming
    assert firewall.obstacles(chains, "plaitab12", docker=True) == (incoming,)


@needs_root
@pytest.mark.integration
@pytest.mark.skipif(not commands.works(["iptables", "--version"]), reason="iptables is not installed")
def test_docker_s_rules_let_the_bridge_pass(tmp_path: Path):
    """Where Docker drops forwarded traffic, the mesh's bridge gets its way through DOCKER-USER, and gives it back."""
    with machine(state=tmp_path) as here, outside(here) as far:
        for rule in ("-P FORWARD DROP", "-N DOCKER-USER", "-I FORWARD -j DOCKER-USER"):
            here.here(lambda rule=rule: commands.run(["iptables", *rule.split()]))
        here.serve(far, 443, "far")
        place = here.place()
        assert call(place.path, OUTSIDE, 443, uid=ENVOY_UID) == "timeout"

        assert here.here(here.network.setup) == ()
        here.here(here.network.setup)

        assert call(place.path, OUTSIDE, 443, uid=ENVOY_UID).startswith("far")
        here.here(here.network.teardown)
        assert here.network.bridge not in here.here(lambda: commands.run(["iptables", "-S"]))


@needs_root
@pytest.mark.integration
def test_looking_for_docker_makes_no_tables(tmp_path: Path):
    """On a machine without Docker setting up adds the mesh's table and no other."""
    with machine(state=tmp_path) as here:
        assert here.here(lambda: commands.run(["nft", "list", "tables"])).split() == [
            "table",
            "inet",
            here.network.bridge,
        ]


@needs_root
@pytest.mark.integration
def test_places_of_an_agent_with_mounts_of_its_own(tmp_path: Path):
    """An agent under `ip netns exec` makes, enters and deletes namespaces like any other."""
    with machine(state=tmp_path) as here:
        name = f"{here.name}-inner"
        steps = (
            "from plait.node import netns",
            f"netns.create('{name}')",
            f"netns.within(netns.path_of('{name}'), lambda: None)",
            f"assert netns.exists('{name}')",
            f"netns.delete('{name}')",
            f"assert not netns.exists('{name}')",
        )
        commands.run(["ip", "netns", "exec", here.name, sys.executable, "-c", "; ".join(steps)])
        assert netns.names(name) == ()


@needs_root
@pytest.mark.integration
def test_transparent_capture_is_possible_here(monkeypatch: pytest.MonkeyPatch):
    """As root with its tools the machine can capture; without nft the reason is told."""
    assert possible.why_not_transparent() == ""

    def apply(text: str) -> None:
        commands.run(["nft-that-is-missing"], text)

    monkeypatch.setattr(nft, "apply", apply)
    assert "`nft-that-is-missing` is not installed" in possible.why_not_transparent()
    assert netns.names("plait-trial-") == ()


def test_resolv_conf_of_a_workload():
    """A workload asks the machine first for names of its own namespace, then for those around the machine."""
    machine = resolvconf.parse("# made by hand\nsearch corp.example svc.cluster.local\nnameserver 192.0.2.53 ; it\n")
    search = resolvconf.search_list("shop", machine=machine)

    assert resolvconf.render("10.5.0.1", search).splitlines() == [
        "nameserver 10.5.0.1",
        "search shop.svc.cluster.local svc.cluster.local cluster.local corp.example",
        "options ndots:1 timeout:1 attempts:5",
    ]


@given(st.text(max_size=200))
def test_any_resolv_conf_is_read(text: str):
    """Whatever is in the file, reading it does not fail."""
    assert isinstance(resolvconf.parse(text), ResolvConf)


def test_machine_s_resolvers_are_read_again(tmp_path: Path):
    """A changed resolv.conf is in force at the next question; we never ask ourselves."""
    path = tmp_path / "resolv.conf"
    servers = machine_servers(str(path), without="10.5.0.1")
    assert servers() == (("127.0.0.1", 53),)
    path.write_text("nameserver 192.0.2.53\nnameserver 10.5.0.1\nnameserver fe80::1%eth0\n")
    assert servers() == (("192.0.2.53", 53), ("fe80::1%eth0", 53))


def test_missing_tool_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    """Without nft the sentence names the package."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Exception, match=r"`nft` is not installed.*; install the package nftables"):
        nft.apply("")


def test_chains_are_read_as_nft_prints_them():
    """The JSON of nft is a list of objects, of which only base chains count."""
    assert firewall.obstacles(json.loads('[{"chain": {"family": "ip", "table": "t", "name": "n"}}]'), "b") == ()
