"""The scenes of `station demo` about what comes after a merge: drift, a pin, and stacks that leave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.demo_stage import ADMIN, OWN, WRITER, DemoStage, document

if TYPE_CHECKING:
    from reconciler.bootstrap import Service

_PAGE = Path("status", "index.html")


def repair(stage: DemoStage, service: Service) -> None:
    """Undo by a scheduled check what somebody changed by hand."""
    stage.scene("Somebody changes what a stack made, by hand", "a scheduled check finds it, and a run puts it right")
    page = stage.fleet / _PAGE
    if page.exists():
        page.write_text("<h1>Closed, go away</h1>\n", encoding="utf-8")
    stage.tell(f"$ echo '<h1>Closed, go away</h1>' > {page}")
    stage.tell("ten minutes pass: the next time of drift.schedules is brought forward to now")
    _bring_forward(service, f"{OWN}/status-page")
    stage.reconcile(service)
    right = page.exists() and "go away" not in page.read_text(encoding="utf-8")
    stage.tell(f"{page} is {'as the stack made it' if right else 'still as somebody left it'}")


def _bring_forward(service: Service, name: str) -> None:
    """Let the next scheduled drift check of a stack be due now."""
    from reconciler.core.timers import Purpose
    from reconciler.loop.service import utc_now
    from spaces.names import StackId

    with service.store.writing() as transaction:
        for timer in transaction.timers(StackId.parse(name)):
            if timer.purpose == Purpose.DRIFT:
                transaction.take_timer(timer, replace(timer, at=utc_now()))


def pinned(stage: DemoStage, service: Service) -> None:
    """Pin a stack to what it was, let the rest of the branch go on, and end the pin by a commit."""
    from reconciler import pins
    from reconciler.core.runs import RunKind
    from reconciler.loop.service import utc_now
    from reconciler.store.stored import RunFilter
    from spaces.names import StackId

    stage.scene("A stack that is pinned", "it goes back to what it was, while the rest of the branch goes on")
    stack = StackId.parse(f"{OWN}/status-page")
    with service.store.reading() as reading:
        runs = reading.list_runs(RunFilter(stack, kinds={RunKind.TRACKED}), None, 100)
    earlier = next(run for run in runs if run.digest != runs[0].digest)
    note = "nine is too late"
    stage.tell(f'$ station stack pin {stack} --at {earlier.revision[:12]} --note "{note}"')
    run = service.ports.earlier(stack, earlier.revision)
    pins.pin(service.store, stack, run, note, None, f"user:{ADMIN}", utc_now())
    stage.reconcile(service)
    _say_page(stage)
    sign = stage.repository / OWN / "sign.yaml"
    spec = {"tool": "script", "script": {"apply": f"echo come in > {stage.fleet / 'status' / 'sign.txt'}"}}
    sign.write_text(document("Stack", "sign", OWN, spec), encoding="utf-8")
    stage.commit("Put up a sign", WRITER)
    stage.reconcile(service)
    stage.tell("the sign is up, and the page is as it was: now a commit changes the page itself, and that ends the pin")
    page = stage.repository / OWN / "status-page.yaml"
    stage.merge(page, "opens at nine", "opens at half past eight", "Open at half past eight", WRITER)
    stage.reconcile(service)
    _say_page(stage)


def _say_page(stage: DemoStage) -> None:
    text = (stage.fleet / _PAGE).read_text(encoding="utf-8") if (stage.fleet / _PAGE).exists() else ""
    stage.tell(next((f"the page says: {line.strip()}" for line in text.splitlines() if "opens at" in line), "no page"))


def leaves(stage: DemoStage, service: Service) -> None:
    """Let stacks leave Git: one is retained, two are destroyed."""
    stage.scene(
        "Stacks that leave Git", "one is retained; two with onDelete: destroy go, first the one that needs the other"
    )
    place, made = stage.fleet / "status", ("poster", "banner", "lights")
    for name in made:
        file, needs = place / f"{name}.txt", {"dependsOn": ["banner"]} if name == "lights" else {}
        spec = {
            "tool": "script",
            "onDelete": "retain" if name == "poster" else "destroy",
            "script": {"apply": f"echo {name} > {file}", "destroy": f"rm {file}"},
            **needs,
        }
        (stage.repository / OWN / f"{name}.yaml").write_text(document("Stack", name, OWN, spec), encoding="utf-8")
    stage.commit("Put up a poster, and a banner with lights", WRITER)
    stage.reconcile(service)
    for name in made:
        (stage.repository / OWN / f"{name}.yaml").unlink()
    stage.tell(f"$ git rm {' '.join(f'{OWN}/{name}.yaml' for name in made)}")
    stage.commit("The sale is over", WRITER)
    stage.reconcile(service)
    for name in made:
        stage.tell(f"{place / name}.txt is {'still there' if (place / f'{name}.txt').exists() else 'gone'}")


def too_many(stage: DemoStage, service: Service) -> None:
    """Have a commit held by which too many stacks would leave."""
    stage.scene("One delete too many", "a commit by which more stacks leave than the destruction budget allows is held")
    leaving = [stage.repository / "billing" / "ledger.yaml"]
    leaving += [stage.repository / OWN / f"{name}.yaml" for name in ("search", "status-page", "web")]
    kept = {path: path.read_bytes() for path in leaving}
    for path in leaving:
        path.unlink()
    stage.tell(f"$ git rm {' '.join(str(path.relative_to(stage.repository)) for path in leaving)}")
    stage.commit("Tidy up", ADMIN)
    stage.reconcile(service)
    with service.store.reading() as reading:
        held = [each for each in reading.held_changes() if each.file is not None and each.verb == "delete"]
    for each in held[:1]:
        stage.console.print(f"  held: {each.message}", style="yellow", markup=False, soft_wrap=True)
    for path, data in kept.items():
        path.write_bytes(data)
    stage.commit("Keep what is in use", ADMIN)
    stage.reconcile(service)
