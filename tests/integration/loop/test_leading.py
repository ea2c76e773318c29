"""Of several services on one database one follows the configuration, and the others take what it recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.loop.leading import LostLead
from reconciler.store.services import leader_of
from reconciler.store.stored import LEADER
from tests.e2e.station import Repo, a_script, eventually
from tests.integration.loop.machine import Machine

pytestmark = [pytest.mark.usefixtures("postgres_server"), pytest.mark.timeout(120)]

Pair = tuple[Machine, Machine]


@pytest.fixture
def pair(repo: Repo, new_machine: Callable[..., Machine], tmp_path: Path, postgres_url: str) -> Pair:
    shared = {"database_url": postgres_url, "encryption_key_file": tmp_path / "key", "poll_interval": 0.2}
    return new_machine(repo.url, "one", **shared), new_machine(repo.url, "two", **shared)


@contextmanager
def at_work(machine: Machine) -> Iterator[threading.Thread]:
    """Let the loop of a service run until the block ends."""
    thread = threading.Thread(target=machine.service.loop.run)
    thread.start()
    try:
        yield thread
    finally:
        machine.service.loop.stop()
        thread.join()


def leader(machine: Machine) -> str | None:
    with machine.service.store.reading() as reading:
        return leader_of(reading, datetime.now(UTC))


def leads(machine: Machine) -> bool:
    return machine.service.loop.leadership.leads


def generations(pair: Pair) -> list[tuple[int, str | None]]:
    worlds = [machine.service.loop.follower.world for machine in pair]
    return [(world.generation, world.revision) for world in worlds]


def is_done(machine: Machine, stack: str, revision: str) -> bool:
    """Whether what a revision says of the stack is desired and applied, and no run is at work."""
    look = machine.look()
    desired = look.stacks[stack].desired
    known = desired is not None and desired.revision == revision
    return known and look.sync[stack] == "Synced" and not any(run.is_active for run in look.runs)


def test_a_successor_goes_on_where_the_leader_stopped(repo: Repo, pair: Pair) -> None:
    one, two = pair
    repo.commit({"a.yaml": a_script("a", "echo 1"), "broken.yaml": a_script("b", "echo 1")})
    with at_work(one) as first:
        eventually(lambda: leads(one))
        with at_work(two):
            eventually(lambda: generations(pair)[0] == generations(pair)[1] and generations(pair)[0][1])
            # The follower admits nothing by itself, holds back what the leader held, and keeps the same records.
            tip = repo.commit({"a.yaml": a_script("a", "echo 2"), "broken.yaml": "kind: Stack\nmetadata: [\n"})
            eventually(lambda: [at for _, at in generations(pair)] == [tip, tip])
            worlds = [machine.service.loop.follower.world for machine in pair]
            assert [set(world.admission.held.files) for world in worlds if world.admission] == [{"broken.yaml"}] * 2
            eventually(lambda: [len(it.service.loop.follower._places.recorded(tip)) for it in pair] == [1, 1])
            # Whoever is asked passes it on to the leader.
            for machine in pair:
                machine.service.loop.fetcher.interval = 3600
            tip = repo.commit({"a.yaml": a_script("a", "echo 3")})
            eventually(lambda: not two.service.loop.watcher._fetching)
            two.service.loop.wake()
            eventually(lambda: [at for _, at in generations(pair)] == [tip, tip])
            assert [leads(one), leads(two)] == [True, False]
            # What the first one has at work when it stops would wait for it.
            eventually(lambda: is_done(two, "root/a", tip))
            # Whoever stops gives the lease up, and the next one need not wait for its end.
            one.service.loop.stop()
            first.join()
            assert leader(two) in {None, two.service.loop.holder}
            eventually(lambda: leads(two))
            tip = repo.commit({"a.yaml": a_script("a", "echo 4")})
            two.service.loop.wake()
            eventually(lambda: two.service.loop.follower.world.revision == tip)
            eventually(lambda: two.look().sync["root/a"] == "Synced")


def test_whoever_lost_the_lease_writes_nothing(repo: Repo, pair: Pair) -> None:
    one, two = pair
    repo.commit({"a.yaml": a_script("a", "echo 1")})
    assert one.reconcile().sync == {"root/a": "Synced"}
    tip = repo.commit({"a.yaml": a_script("a", "echo 2")})
    loop = one.service.loop
    with loop.leadership.for_now():
        with one.service.store.writing() as transaction:
            # It was frozen for a minute, and does not know it yet.
            later = datetime.now(UTC) + timedelta(minutes=1)
            assert transaction.take_lease(LEADER, two.service.loop.holder, later, timedelta(seconds=9))
        with pytest.raises(LostLead):
            loop.watcher.look()
    assert one.look().configuration.admitted_revision != tip
    assert leader(one) == two.service.loop.holder
    # A single pass of whoever does not lead only runs what there is.
    one.reconcile()
    assert one.look().configuration.admitted_revision != tip
    assert two.reconcile().configuration.admitted_revision == tip
    assert one.reconcile().sync == {"root/a": "Synced"}
    assert leader(one) is None


def test_a_leader_that_cannot_fetch_lets_another_one_lead(pair: Pair) -> None:
    one, two = (machine.service.loop.leadership for machine in pair)
    one.beat()
    two.beat()
    assert [one.leads, two.leads] == [True, False]
    assert one.pass_on()
    one.beat()
    two.beat()
    assert [one.leads, two.leads] == [False, True]
    with pair[1].service.store.writing() as transaction:
        transaction.remove_service(one.holder)
    assert not two.pass_on()
    assert two.leads


def test_passes_are_one_term_until_somebody_else_leads(repo: Repo, pair: Pair) -> None:
    one, two = pair
    repo.commit({"a.yaml": a_script("a", "echo 1")})
    for machine in (one, one, two, one):
        machine.reconcile()
    assert [machine.service.loop.leadership.term for machine in pair] == [2, 1]
