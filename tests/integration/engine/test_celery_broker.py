"""What the service believes of a broker: its file, its certificate, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.core.phases import Leg
from reconciler.doctor import _broker
from reconciler.engine.celery_broker import BrokerRefused, CeleryBroker, broker_url, queue_name
from reconciler.engine.ends import LegId
from reconciler.engine.sender import BrokerAway
from reconciler.settings import Settings
from tests.tools.brokers import PASSWORD, Redis, running, url_file
from tests.tools.certificate import a_certificate

WHICH = LegId("0" * 26, 1, Leg.PLAN)


def test_a_broker_whose_certificate_nobody_vouches_for_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = a_certificate(tmp_path)
    with running(Redis, tmp_path / "redis", certificate=certificate) as redis:
        broker = CeleryBroker(broker_url(redis.file))
        for ask in (broker.check, lambda: broker.send("a/b", WHICH)):
            with pytest.raises(BrokerAway) as away:
                ask()
            assert PASSWORD not in str(away.value)
        settings = Settings(celery_broker_file=redis.file)
        assert (_broker(settings).level, PASSWORD in _broker(settings).found) == ("error", False)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        broker.check()
        assert _broker(settings).level == "ok"
        broker.send("a/b", WHICH)
        tls = ("--tls", "--cacert", str(certificate[0]))
        assert redis.ask(*tls, "LLEN", queue_name("a/b")) == "1"


@pytest.mark.parametrize(
    "text", ["", "redis", "http://user:hunter2@broker", "redis://a redis://b", "amqp://[::hunter2"]
)
def test_a_file_without_a_broker_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(BrokerRefused, match="celery_broker_file") as refused:
        broker_url(url_file(tmp_path, text))
    assert "hunter2" not in str(refused.value)
