"""The service's own page, for its admins, and its worker pools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.doctor import examine, shown_settings
from reconciler.engine.pull import PullEngine
from reconciler.engine.roster import Presence
from reconciler.settings import Settings
from reconciler.web.ports import Ports, RunnerDoor
from tests.integration.web.pages.person import Person
from tests.integration.web.pages.test_pages import check_markup
from tests.unit.spaces.builders import begin, doc

AsUser = Callable[[str], Person]


@pytest.fixture
def ports(ports: Ports, tmp_path: Path) -> Ports:
    environ = {
        "STATION_DATABASE_URL": "postgresql://station:hunter2@db.example/station?password=hunter2",
        "STATION_CONFIG_URL": "https://bot:hunter2@git.example/<b>config.git",
        "STATION_DATA_DIR": str(tmp_path),
    }
    (tmp_path / "station.toml").write_text(
        'admins = ["ada"]\noidc_scopes = ["<script>"]\nrequire_sandbox = false\n', encoding="utf-8"
    )
    settings = Settings.load({"listen": "127.0.0.1:1"}, environ, tmp_path)
    found = settings.model_copy(update={"database_url": None, "config_url": None, "data_dir": tmp_path / "new"})
    documents = begin({"p.yaml": doc("WorkerPool", "far", {"engine": "pull"})}).documents
    engine = PullEngine(tmp_path / "data", lambda: None)
    return replace(
        ports,
        settings=lambda: shown_settings(settings),
        examine=lambda: examine(found),
        documents=lambda: documents,
        runner=RunnerDoor(engine, 4096),
    )


def test_admins_see_how_the_service_is_set_up_and_what_the_doctor_finds(operator: Person, as_user: AsUser) -> None:
    page = operator.see("/service")
    check_markup(page)
    assert "hunter2" not in page.answer.text
    for words in (
        "database_ url postgresql://db.example/station the environment",
        "config_ url https://git.example/<b>config.git the environment",
        "station. toml",
        "oidc_ scopes <script>",
        "listen 127.0.0.1:1 the command line",
        "parallelism 4 default",
        "run_ retention not set default",
    ):
        assert words in page.text, (words, page.text)
    found = operator.press(page, "/service/doctor")
    assert "database sqlite:////" in found.text
    assert "config_url is not set Set it to the repository to follow." in found.text
    assert operator.submit("/service/doctor", {}).status == 403
    rita = as_user("rita")
    assert "/service" not in rita.see("/").links
    assert rita.see("/service").status == 404
    assert rita.submit("/service/doctor", rita.see("/").forms["/sign-out"]).status == 404
    assert rita.client.get("/api/v1/settings").status_code == 401


def test_a_pool_is_drained_and_resumed(operator: Person, as_user: AsUser) -> None:
    pool = "/queue/pools/root/default"
    assert operator.press(operator.see("/queue"), f"{pool}/drain").status == 303
    page = operator.see("/queue")
    assert "drained by operator" in page.text
    assert operator.press(page, f"{pool}/resume").status == 303
    assert "drained" not in operator.see("/queue").text
    assert operator.submit(f"{pool}/resume", page.forms["/sign-out"]).status == 409
    rita = as_user("rita")
    assert rita.submit(f"{pool}/drain", rita.see("/").forms["/sign-out"]).status == 404


def test_the_queue_shows_the_workers_of_a_pool(operator: Person, ports: Ports) -> None:
    assert ports.runner is not None
    engine = ports.runner.engine
    engine.ask("root/far", "w<1>", Presence("0.1", 2, {"script": [], "terraform": ["1.9.8", "1.5.7"]}))
    engine.ask("root/far", "w2")
    engine.roster._entries["root/far", "w2"].heard -= 60
    page = operator.see("/queue")
    check_markup(page)
    assert "w<1> 0 of 2 0.1 script, terraform 1.9.8/1.5.7" in page.text
    assert "w2 0 of 1 not known yet" in page.text
