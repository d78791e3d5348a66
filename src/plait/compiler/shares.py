"""Rules whose backends treat their share of the requests differently.

Envoy rewrites paths, redirects, copies and asks by whole routes, not by weighted cluster. So each backend of such a
rule becomes a route of its own with the same match, and a random share of requests: Envoy compares one random number of
a request with the shares of all routes, so shares that add up part the requests exactly.

It compares the same number with the shares of copies. Of a request that a route took it is known to be at least what
the routes before take, so copies count from there.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from plait.model.traffic import Destination, HeaderChange, Mirror, Rewrite, Rule

WHOLE: Final = 1_000_000
"""What shares are parts of."""


def of_rule(rule: Rule) -> Iterator[tuple[Rule, int]]:
    """The rule, or one for each of its backends; the part of `WHOLE` is what it and those before take."""
    weighty = [item for item in rule.destinations if item.weight > 0]
    if not any(item.differs for item in weighty) or rule.redirect or rule.status is not None:
        yield rule, WHOLE
        return
    total, weight, before = math.fsum(item.weight for item in weighty), 0, 0
    for item in weighty:
        weight += item.weight
        taken = round(WHOLE * weight / total)
        yield _alone(rule, item, before=before, taken=taken), taken
        before = taken


def _alone(rule: Rule, destination: Destination, *, before: int, taken: int) -> Rule:
    """The rule for requests of one backend."""
    plain = replace(destination, weight=1, redirect=None, rewrite=None, mirrors=(), cors=None)
    copies = (*rule.mirrors, *destination.mirrors)
    result = replace(
        rule,
        destinations=(plain,),
        rewrite=_rewrite(rule.rewrite, destination.rewrite),
        mirrors=tuple(_mirror(item, before=before, taken=taken) for item in copies),
        cors=destination.cors or rule.cors,
    )
    if destination.redirect is None or destination.cluster is None:
        return result
    answers = _joined(rule.response_headers, destination.response_headers)
    return replace(result, destinations=(), redirect=destination.redirect, response_headers=answers)


def _mirror(mirror: Mirror, *, before: int, taken: int) -> Mirror:
    if mirror.numerator >= mirror.denominator:
        return mirror
    copied = round((taken - before) * mirror.numerator / mirror.denominator)
    return replace(mirror, numerator=before + copied, denominator=WHOLE)


def _rewrite(whole: Rewrite | None, own: Rewrite | None) -> Rewrite | None:
    """What the backend asks for, and of the rule what it leaves."""
    if whole is None or own is None:
        return own or whole
    return Rewrite(hostname=own.hostname or whole.hostname, path=own.path or whole.path)


def _joined(first: HeaderChange, then: HeaderChange) -> HeaderChange:
    return HeaderChange(set=(*first.set, *then.set), add=(*first.add, *then.add), remove=(*first.remove, *then.remove))
