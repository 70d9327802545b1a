"""The dashboard and the alerts ask for metrics that there are, and the guide describes them all."""

import json
import re
from pathlib import Path

import yaml
from prometheus_client import REGISTRY

from modelyard.control.telemetry import metrics

ROOT = Path(__file__).parents[2]
_NAME = re.compile(r"\bmodelyard_[a-z_]+\b")


def told() -> set[str]:
    """What a scrape may show: every sample's name of every family of ours."""
    names = set()
    for family in REGISTRY.collect():
        if family.name.startswith("modelyard_"):
            match family.type:
                case "counter":
                    names.add(f"{family.name}_total")
                case "histogram":
                    names |= {family.name, *(f"{family.name}_{part}" for part in ("bucket", "count", "sum"))}
                case _:
                    names.add(family.name)
    return names


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "modelyard.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
        for name in _NAME.findall(target["expr"])
    }
    assert len(asked) > 15
    assert not asked - told()


def test_the_alerts_ask_for_metrics_that_exist() -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "modelyard-alerts.yml").read_text())["groups"]
    asked = {name for group in groups for rule in group["rules"] for name in _NAME.findall(rule["expr"])}
    assert asked
    assert not asked - told()


def test_the_guide_describes_every_metric() -> None:
    page = (ROOT / "docs" / "guides" / "observability.md").read_text()
    described = set(re.findall(r"^\| `(modelyard_[a-z_]+)`", page, re.MULTILINE))
    parts = ("_bucket", "_count", "_sum")
    histograms = {name.removesuffix("_bucket") for name in told() if name.endswith("_bucket")}
    assert metrics.CALLS is not None
    assert described == {
        name for name in told() if not (name.endswith(parts) and name.rpartition("_")[0] in histograms)
    }
