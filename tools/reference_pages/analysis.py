"""One page with every message of `plait analyze`, and what `istioctl analyze` finds that cannot be here."""

from plait.analysis.messages import MESSAGES, NOT_HERE
from reference_pages.markdown import code, page, table


def pages() -> dict[str, str]:
    """analysis.md."""
    rows = [
        [code(item.code), ", ".join(item.istio) or "-", item.severity.value, item.title, item.why] for item in MESSAGES
    ]
    return {
        "analysis.md": page(
            "Messages of plait analyze",
            "What [plait analyze](commands/analyze.md) finds across objects. A code is never used again for something"
            " else. The second column is the code of `istioctl analyze` for the same.",
            table(("Code", "Istio", "Severity", "What is wrong", "Why it matters"), rows),
            "## What Istio finds and cannot be here",
            table(("Istio", "Reason"), [[code(name), reason] for name, reason in sorted(NOT_HERE.items())]),
        )
    }
