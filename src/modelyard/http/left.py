"""What is left of limits, as answers tell it in their headers: those of calls, and those that refuse one."""

from collections.abc import Sequence

from modelyard.domain.limits import Kind, Left, shown, window_end

_NAMES = {
    Kind.CALLS: "requests",
    Kind.TOKENS: "tokens",
    Kind.CONCURRENT: "concurrent",
    Kind.DAY: "dollars-day",
    Kind.MONTH: "dollars-month",
}


def left_headers(left: Sequence[Left]) -> dict[str, str]:
    """Of each kind of bound that one of which the least is left: what it is, what is left, and when it begins anew."""
    least: dict[Kind, Left] = {}
    for each in left:
        known = least.get(each.ask.kind)
        if known is None or each.amount < known.amount:
            least[each.ask.kind] = each
    headers = {}
    for kind, each in least.items():
        name = _NAMES[kind]
        headers[f"x-ratelimit-limit-{name}"] = shown(kind, each.ask.bound)
        headers[f"x-ratelimit-remaining-{name}"] = shown(kind, each.amount)
        if (end := window_end(kind, each.ask.window)) is not None:
            headers[f"x-ratelimit-reset-{name}"] = end.isoformat().replace("+00:00", "Z")
    return headers
