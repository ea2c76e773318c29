"""Run published conformance cases of Rego with engines: `python -m bench.rego_conformance DIRECTORY [ENGINE…]`.

DIRECTORY contains JSON files, each `{"cases": [{note, query, modules, data, input, want_result, want_error…}]}`, as the
Open Policy Agent project publishes them. They are not part of this repository. Each engine runs in a process of its
own, because it may die of a case: that is counted, and another process continues.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SECONDS = 10.0
ENGINES = ("regorus", "regopy")


def main() -> None:
    if sys.argv[1] == "--worker":
        _work(sys.argv[2])
        return
    cases = list(_cases(Path(sys.argv[1])))
    print(f"{len(cases)} cases")
    for engine in sys.argv[2:] or ENGINES:
        _run(engine, cases)


def _cases(directory: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(directory.rglob("*.json")):
        for case in json.loads(path.read_bytes())["cases"]:
            yield {**case, "category": path.parent.name}


def _run(engine: str, cases: list[dict[str, Any]]) -> None:
    """Print how many cases passed, failed, died or took too long, and the categories with failures."""
    totals: Counter[str] = Counter()
    by_category: dict[str, Counter[str]] = {}
    worker: subprocess.Popen[bytes] | None = None
    for case in cases:
        if worker is None:
            worker = _start(engine)
        verdict = _ask(worker, case)
        if verdict in ("crashed", "too long"):
            worker.kill()
            worker.wait()
            worker = None
        totals[verdict] += 1
        by_category.setdefault(case["category"], Counter())[verdict] += 1
    if worker is not None:
        worker.kill()
        worker.wait()
    print(f"\n{engine}: " + ", ".join(f"{count} {verdict}" for verdict, count in totals.most_common()))
    for category, found in sorted(by_category.items()):
        if found["passed"] < found.total():
            rest = ", ".join(f"{count} {verdict}" for verdict, count in found.most_common() if verdict != "passed")
            print(f"  {category}: {found['passed']} of {found.total()} passed; {rest}")


def _start(engine: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.rego_conformance", "--worker", engine]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"LC_ALL": "C.UTF-8"}
    )


def _ask(worker: subprocess.Popen[bytes], case: dict[str, Any]) -> str:
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(json.dumps(case).encode() + b"\n")
        worker.stdin.flush()
    except BrokenPipeError:
        return "crashed"
    if not select.select([worker.stdout], [], [], _SECONDS)[0]:
        return "too long"
    return worker.stdout.readline().decode().strip() or "crashed"


def _work(engine: str) -> None:
    evaluate = {"regorus": _regorus, "regopy": _regopy}[engine]
    # The output of an engine must not be taken for a verdict.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        case = json.loads(line)
        wants_error = "want_error" in case or "want_error_code" in case
        try:
            found = evaluate(case)
        except Exception:  # noqa: BLE001 - an engine's errors have no type in common
            verdict = "passed" if wants_error else "refused"
        else:
            if wants_error:
                # Without strict errors a failing builtin is only undefined, which is no worse than an error.
                verdict = "no error" if found else "passed"
            else:
                verdict = "passed" if _same(found, case.get("want_result") or []) else "wrong result"
        print(verdict, file=answers, flush=True)


def _same(found: list[Any], wanted: list[Any]) -> bool:
    if found == wanted:
        return True
    return _normal(found) == _normal(wanted)


def _normal(value: Any) -> Any:
    """Return the value with lists sorted: sets are arrays in JSON, and the cases do not tell them apart."""
    match value:
        case list():
            return sorted((_normal(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
        case dict():
            return {key: _normal(item) for key, item in value.items()}
        case bool():
            return value
        case int() | float():
            return float(value)
        case _:
            return value


def _regorus(case: dict[str, Any]) -> list[Any]:
    import regorus  # noqa: PLC0415

    engine = regorus.Engine()
    for number, module in enumerate(case.get("modules") or []):
        engine.add_policy(f"m{number}.rego", module)
    if case.get("data"):
        engine.add_data_json(json.dumps(case["data"]))
    if "input_term" in case:
        engine.set_input_json(_plain(engine, case["input_term"]))
    elif "input" in case:
        engine.set_input_json(json.dumps(case["input"]))
    answer = json.loads(engine.eval_query_as_json(case["query"]))
    return [row.get("bindings", {}) for row in answer.get("result", [])]


def _plain(engine: Any, term: str) -> str:
    return str(json.dumps(json.loads(engine.eval_query_as_json(term))["result"][0]["expressions"][0]["value"]))


def _regopy(case: dict[str, Any]) -> list[Any]:
    import regopy  # noqa: PLC0415

    engine = regopy.Interpreter()
    for number, module in enumerate(case.get("modules") or []):
        engine.add_module(f"m{number}.rego", module)
    if case.get("data"):
        engine.add_data(case["data"])
    if "input_term" in case:
        engine.set_input_term(case["input_term"])
    elif "input" in case:
        engine.set_input(case["input"])
    text = str(engine.query(case["query"])).strip()
    if not text or text == "undefined":
        return []
    answer = json.loads(text)
    rows = answer if isinstance(answer, list) else [answer]
    return [row.get("bindings", {}) for row in rows if row]


if __name__ == "__main__":
    main()
