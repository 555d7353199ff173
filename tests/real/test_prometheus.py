"""A real Prometheus fetches the metrics of real workers; its tool finds no fault in them or in the rules."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from oauth_mailer.cli import COMMANDS
from tests.cli.mailbox import mailboxes
from tests.cli.outbox_worker import Worker, queue
from tests.support.outbox_processes import until
from tests.support.prometheus import Prometheus, prometheus, promtool

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "docs" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "docs" / "grafana" / "oauth-mailer.json"
ME, YOU = "me@corp.example", "you@corp.example"


@dataclass(frozen=True)
class Scraped:
    """``text``: the metrics of one worker, as they were served."""

    server: Prometheus
    text: str


@pytest.fixture
def scraped(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scraped]:
    """Two workers of one outbox; one message was sent, one may have been."""
    with mailboxes(home, monkeypatch, ME, YOU) as (mine, yours):
        yours.hang_up_after_the_message()
        for who in (ME, YOU):
            queue("--from", who, "--to", "ann@example.com", "--text", "Hi")
        with Worker("--metrics-port", "0") as one, Worker("--metrics-port", "0") as other:
            urls = []
            for worker in (one, other):
                worker.wait_for("Metrics: ")
                urls += re.findall(r"Metrics: (\S+)", worker.said)
            with prometheus(tmp_path, [urlsplit(url).netloc for url in urls], RULES) as server:

                def both_are_there() -> bool:
                    return len(server.query('oauth_mailer_outbox_entries{state="unknown"} == 1')) == 2

                until(both_are_there, "the samples of both workers")
                with urlopen(urls[0], timeout=30) as answer:
                    text = answer.read().decode()
                yield Scraped(server, text)
        assert len(mine.messages) == 1


def expressions() -> list[str]:
    """What the dashboard asks, its variables put in as Grafana does."""
    told = json.loads(DASHBOARD.read_text("utf-8"))
    found = [target["expr"] for panel in told["panels"] for target in panel.get("targets", ())]
    found += re.findall(r"label_values\((.+), \w+\)", DASHBOARD.read_text("utf-8").replace('\\"', '"'))
    given = {"$job": "oauth-mailer", "$account": ".*", "$__rate_interval": "4s"}
    for name, value in given.items():
        found = [expression.replace(name, value) for expression in found]
    assert not [expression for expression in found if "$" in expression]
    return found


def test_a_real_server_gets_every_metric_that_the_dashboard_and_the_rules_ask_for(scraped: Scraped) -> None:
    server = scraped.server
    code, said = promtool("check", "metrics", stdin=scraped.text)
    assert (code, said) == (0, "")

    tries = {
        (one["metric"]["account"], one["metric"]["verdict"]): one["value"][1]
        for one in server.query("sum by (account, verdict) (oauth_mailer_attempt_duration_seconds_count) > 0")
    }
    assert tries == {(ME, "sent"): "1", (YOU, "unknown"): "1"}, "each try is counted by one worker"
    assert len(server.query("oauth_mailer_outbox_last_sent_timestamp_seconds > 0")) == 2
    assert len(server.query("oauth_mailer_build_info == 1")) == 2

    known = set(server.ask("label/__name__/values"))
    asked = expressions() + [rule["query"] for rule in rules(server)]
    assert len(asked) > 25
    for expression in asked:
        server.query(expression)  # which the server understands
        names = set(re.findall(r"\b(?:oauth_mailer|process)_\w+", expression))
        assert names, expression
        assert names <= known, expression
    shown = [one for one in expressions() if "rate(" not in one and "increase(" not in one]
    assert all(server.query(expression) for expression in shown), "each has something to show"


def rules(server: Prometheus) -> list[dict[str, Any]]:
    return [rule for group in server.ask("rules")["groups"] for rule in group["rules"]]


def test_what_may_have_been_sent_raises_one_alarm_for_both_workers(scraped: Scraped) -> None:
    def alarms() -> list[dict[str, Any]]:
        return [one for one in scraped.server.ask("alerts")["alerts"] if one["state"] == "firing"]

    until(lambda: any(one["labels"]["alertname"] == "OauthMailerUnknown" for one in alarms()), "the alarm")
    [alarm] = [one for one in alarms() if one["labels"]["alertname"] == "OauthMailerUnknown"]
    assert alarm["annotations"]["summary"] == "1 messages may have been sent: a person decides"
    assert all(rule["health"] in ("ok", "unknown") for rule in rules(scraped.server))


def test_the_rules_do_what_their_tests_say() -> None:
    code, said = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES.name, cwd=RULES.parent)
    assert code == 0, said
    code, said = promtool("test", "rules", "alerts_test.yml", cwd=RULES.parent)
    assert code == 0, said
    tests = (RULES.parent / "alerts_test.yml").read_text("utf-8")
    for name in re.findall(r"alert: (\w+)", RULES.read_text("utf-8")):
        assert re.search(rf"alertname: {name}\n +exp_alerts:\n +- ", tests), f"{name} never fires in a test"
        assert re.search(rf"alertname: {name}, exp_alerts: \[\]", tests) or name == "OauthMailerAccountPaused"


def test_the_configuration_on_the_page_is_understood(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    [config] = re.findall("^```yaml\n(.*?)^```$", page, re.M | re.S)
    (tmp_path / "prometheus.yml").write_text(config, "utf-8")
    (tmp_path / "alerts.yml").write_bytes(RULES.read_bytes())
    code, said = promtool("check", "config", "prometheus.yml", cwd=tmp_path)
    assert code == 0, said
    assert "8 rules found" in said


def test_the_commands_that_an_alarm_names_are_those_of_the_program() -> None:
    told = re.sub(r"{{.*?}}", "me@qq.com", RULES.read_text("utf-8"))
    found = re.findall(r"oauth-mailer ([a-z][^.,'\n]*)", told)
    assert len(found) >= 6
    for words in map(shlex.split, found):
        command = import_module(f"oauth_mailer.cli.{COMMANDS[words[0]]}")
        typed = [re.sub("^N$", "1", word) for word in words[1:]]
        command.parser().parse_args(typed)


def test_the_dashboard_is_whole() -> None:
    told = json.loads(DASHBOARD.read_text("utf-8"))
    panels = told["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24, panel["title"]
        if panel["type"] != "row":
            assert {one["datasource"]["uid"] for one in (panel, *panel["targets"])} == {"${datasource}"}
            assert len({one["refId"] for one in panel["targets"]}) == len(panel["targets"])
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    variables = {one["name"] for one in told["templating"]["list"]}
    assert variables == {"datasource", "job", "account"}
    assert set(re.findall(r"\$(\w+)", json.dumps(panels))) <= variables | {"__rate_interval"}
