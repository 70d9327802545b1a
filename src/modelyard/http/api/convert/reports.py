"""Reports of usage as JSON and as CSV."""

import csv
import io

from modelyard.control.usage.reports import Line, Report, WorkerCost
from modelyard.http.api.wire.reports import UsageLine, UsageReport, WorkerLine

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""With which spreadsheets begin a formula."""


def answer(report: Report) -> UsageReport:
    return UsageReport(
        start_date=report.start,
        end_date=report.end,
        data=[_line(line) for line in report.lines],
        truncated=report.truncated,
        total=_line(report.total),
        workers=[_worker(each) for each in report.workers],
    )


def as_csv(report: Report) -> str:
    """One row for each line, with a head; columns that were not asked for are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(UsageLine.model_fields))
    writer.writeheader()
    for line in report.lines:
        writer.writerow({name: _harmless(value) for name, value in _line(line).model_dump(mode="json").items()})
    return text.getvalue()


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_DANGEROUS) else value


def _line(line: Line) -> UsageLine:
    sums = line.sums
    p50, p95, p99 = line.seconds
    return UsageLine(
        date=line.at,
        **dict(line.group),
        calls=sums["calls"],
        errors=sums["errors"],
        prompt_tokens=sums["prompt_tokens"],
        response_tokens=sums["response_tokens"],
        cached_tokens=sums["cached_tokens"],
        reasoning_tokens=sums["reasoning_tokens"],
        estimated_calls=sums["estimated"],
        cost=None if sums["unpriced"] and not line.cost else format(line.cost, "f"),
        unpriced_calls=sums["unpriced"],
        seconds_p50=p50,
        seconds_p95=p95,
        seconds_p99=p99,
    )


def _worker(each: WorkerCost) -> WorkerLine:
    spent = each.spent
    return WorkerLine(
        account_id=spent.account_id,
        deployment_id=spent.deployment_id,
        model_id=spent.model_id,
        gpus=spent.gpus,
        seconds=spent.seconds,
        cost=None if each.cost is None else format(each.cost, "f"),
    )
