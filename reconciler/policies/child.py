"""What runs inside the process that reads and evaluates Rego: `process` starts it, by `main` alone.

It gets `{mode, input (JSON in a text), policies: [{text, type, rules}]}` on standard input and answers with a line of
JSON for each policy, in order. It imports nothing of ours. An engine may die of what it is given: the lines end early.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Importing these takes a good part of the time that a policy may take.
    from collections.abc import Iterator
    from typing import Any

MEMORY = 1024 * 1024 * 1024
"""Bytes of address space."""

MAX_ANSWER = 256 * 1024
"""Characters that one policy may answer."""

PACKAGE = "stationkeeper"

REFUSED = frozenset({"http.send", "opa.runtime", "net.lookup_ip_addr", "rego.parse_module"})
"""Functions that reach outside a policy's input, or would elsewhere. Some are silently undefined in this engine."""

RULES = {
    "plan": ("deny", "warn"),
    "approval": ("approve", "reject"),
    "push": ("ignore", "propose", "track"),
    "notification": ("notify",),
}
SETS = frozenset({"deny", "warn", "notify"})
"""The rules that collect sentences."""
EITHER = frozenset({"ignore", "propose", "track"})
"""The rules that may collect sentences, or be a plain yes or no; what is in neither is only the latter."""

_PLACE = re.compile(r"--> [^\n]*?:(\d+):(\d+)\n")
_MESSAGE = re.compile(r"^error: (.*)$", re.MULTILINE)
_STATIC = re.compile(r"is unsafe|recursion|could not find function")


def main() -> None:
    """Answer the question on standard input."""
    limit(float(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="ascii")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    question = json.load(sys.stdin.buffer)
    for policy in question["policies"]:
        if question["mode"] == "check":
            answer: dict[str, Any] = {"findings": placed(policy["text"], findings(policy["text"], policy["type"]))}
        else:
            try:
                answer = {"answers": answered(policy["text"], policy["rules"], question["input"])}
            except Exception as wrong:  # noqa: BLE001 - the engine raises whatever it likes
                line, column, message = told(wrong)
                answer = {"error": f"{message} (line {line}, column {characters(policy['text'], line, column)})"}
        answers.write(json.dumps(answer) + "\n")


def limit(seconds: float) -> None:
    """Take away what evaluating a rule has no need for."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))


def answered(text: str, rules: list[str], given: str) -> dict[str, Any]:
    """Evaluate those of the rules that the policy has; an undefined one is null."""
    # Looked at again each time: what was in force before a check was there is judged by it too.
    bad = next((each for each in findings(text, None) if each["code"] != "rego-rule"), None)
    if bad is not None:
        raise RuntimeError(f"--> policy:{bad['line']}:{bad['column']}\nerror: {bad['summary']}")
    engine = an_engine()
    engine.add_policy("policy", text)
    engine.set_input_json(given)
    there = {name for name, _, _ in heads(tree(engine))}
    found: dict[str, Any] = {}
    size = 0
    for rule in rules:
        if rule not in there:
            continue
        raw = engine.eval_rule_as_json(f"data.{PACKAGE}.{rule}")
        size += len(raw)
        if size > MAX_ANSWER:
            raise RuntimeError(f"--> policy:1:1\nerror: it answers with more than {MAX_ANSWER // 1024} KiB")
        value = json.loads(raw)
        found[rule] = None if value == "<undefined>" else value
    return found


def an_engine() -> Any:
    """Give a new engine."""
    import regorus  # noqa: PLC0415 - only behind the limits

    engine = regorus.Engine()
    engine.set_gather_prints(True)
    return engine


def told(wrong: Exception) -> tuple[int, int, str]:
    """Read the place and the words of one of the engine's errors."""
    text = str(wrong).partition("Stack backtrace")[0]
    place, message = _PLACE.search(text), _MESSAGE.search(text)
    line, column = (int(place[1]), int(place[2])) if place else (1, 1)
    return line, column, message[1].strip() if message else text.strip().partition("\n")[0][:200] or "it failed"


def placed(text: str, found: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give columns as people count them."""
    return [{**each, "column": characters(text, each["line"], each["column"])} for each in found]


def characters(text: str, line: int, column: int) -> int:
    """Give a column in characters: the engine counts bytes, and a tab as four of them."""
    lines = text.split("\n")
    width = 1
    for number, character in enumerate(lines[line - 1] if line <= len(lines) else "", 1):
        if width >= column:
            return number
        width += 4 if character == "\t" else len(character.encode(errors="replace"))
    return column if line > len(lines) else len(lines[line - 1]) + 1


def findings(text: str, kind: str | None) -> Iterator[dict[str, Any]]:
    """Say what is wrong with a rule before it is ever asked; `kind` None: of whatever type."""
    engine = an_engine()
    try:
        engine.add_policy("policy", text)
    except Exception as wrong:  # noqa: BLE001
        line, column, message = told(wrong)
        yield finding("rego-syntax", message, (line, column), "write it in Rego's version 1")
        return
    module = tree(engine)
    package, at = dotted(module["package"]["refr"]), place(module["package"]["refr"])
    if package != PACKAGE:
        yield finding("rego-package", f"its package is {package}", at, f"write package {PACKAGE}")
        return
    wrong_calls = list(calls_refused(module))
    yield from wrong_calls
    circle = list(recursion(module))
    yield from circle
    if kind is not None:
        yield from rule_problems(module, kind, at)
    if kind is not None and not wrong_calls and not circle:
        yield from tried(engine, module)


def rule_problems(module: dict[str, Any], kind: str, at: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """Say where the policy lacks what its type asks for, or writes it in another shape."""
    wanted = RULES[kind]
    found = [each for each in heads(module) if each[0] in wanted]
    if not found:
        summary = f"a policy of the type {kind} needs one of the rules {' and '.join(wanted)}"
        yield finding("rego-rule", summary, at, "without one it never says anything")
    for name, head, where in found:
        if head == "Func" or (name not in EITHER and (name in SETS) != (head == "Set")):
            shape = f"{name} contains message if {{ … }}" if name in SETS else f"{name} if {{ … }}"
            yield finding("rego-rule", f"{name} has another shape than it needs", where, f"write {shape}")


def tried(engine: Any, module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Ask every rule once, about nothing, for what the engine only notices then."""
    engine.set_input_json(
        '{"plan": {"changes": [], "outputs": []}, "reviews": [], "run": {}, "stack": {}, "space": {}, '
        '"push": {"paths": [], "components": [], "why": []}}'
    )
    try:
        # Nothing is asked yet, and the whole is put in order.
        engine.eval_query_as_json("true")
    except Exception as wrong:  # noqa: BLE001
        line, column, message = told(wrong)
        yield finding("rego-invalid", message.partition(" (path")[0], (line, column))
        return
    seen = set()
    for name in dict.fromkeys(name for name, head, _ in heads(module) if head != "Func"):
        try:
            engine.eval_rule_as_json(f"data.{PACKAGE}.{name}")
        except Exception as wrong:  # noqa: BLE001
            line, column, message = told(wrong)
            if _STATIC.search(message) and (line, column) not in seen:
                seen.add((line, column))
                code = "rego-recursion" if "recursion" in message else "rego-invalid"
                yield finding(code, message.partition(" (path")[0], (line, column))


def finding(code: str, summary: str, at: tuple[int, int], hint: str | None = None) -> dict[str, Any]:
    """Give one finding as it travels."""
    return {"code": code, "summary": summary, "line": at[0], "column": at[1], "hint": hint}


# The engine's syntax tree


def tree(engine: Any) -> dict[str, Any]:
    """Give the one module's tree."""
    module: dict[str, Any] = json.loads(engine.get_ast_as_json())[0]["ast"]
    return module


def heads(module: dict[str, Any]) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """List the rules: first name within the package, how the head is written, and where."""
    for rule in module["rules"]:
        if "Default" in rule:
            refr = rule["Default"]["refr"]
            yield dotted(refr).partition(".")[0], "Default", place(refr)
        else:
            ((head, inner),) = rule["Spec"]["head"].items()
            yield dotted(inner["refr"]).partition(".")[0], head, place(inner["refr"])


def dotted(node: dict[str, Any]) -> str:
    """Read a reference as far as it is made of plain names."""
    ((shape, inner),) = node.items()
    if shape == "Var":
        return str(inner["value"])
    if shape == "RefDot":
        return f"{dotted(inner['refr'])}.{inner['field'][1]}"
    if shape == "RefBrack":
        index = inner["index"]
        rest = f".{index['String']['value']}" if "String" in index else ""
        return dotted(inner["refr"]) + rest
    return ""


def place(node: dict[str, Any]) -> tuple[int, int]:
    """Say where a reference begins."""
    ((_, inner),) = node.items()
    if "refr" in inner:
        return place(inner["refr"])
    return inner["span"]["line"], inner["span"]["col"]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Walk a piece of the tree, without recursion: it may be deep."""
    todo = [value]
    while todo:
        here = todo.pop()
        if isinstance(here, dict):
            yield here
            todo.extend(here.values())
        elif isinstance(here, list):
            todo.extend(here)


def calls_refused(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Find the calls of functions that do not exist, or that policies may not use."""
    known = {*builtins(), "print"}
    own = {name for name, head, _ in heads(module) if head == "Func"}
    functions = own | {f"data.{PACKAGE}.{name}" for name in own}
    found = []
    for node in nodes(module["rules"]):
        call = node.get("Call")
        if not isinstance(call, dict):
            continue
        name, at = dotted(call["fcn"]), place(call["fcn"])
        if name in REFUSED:
            found.append(finding("rego-not-allowed", f"a policy may not use {name}", at, "use what its input says"))
        elif name not in known and name not in functions and name.partition(".")[0] not in own:
            found.append(finding("rego-function", f"there is no function {name}", at, "define it in this rule"))
    yield from sorted(found, key=lambda each: (each["line"], each["column"]))


_builtins: list[str] = []


def builtins() -> list[str]:
    """Name the functions that the engine brings along."""
    if not _builtins:
        answer = json.loads(an_engine().eval_query_as_json("x := opa.runtime().builtins"))
        _builtins.extend(answer["result"][0]["bindings"]["x"])
    return _builtins


def recursion(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Find a rule that leads back to itself."""
    names = {name: at for name, _, at in reversed(list(heads(module)))}
    uses: dict[str, set[str]] = {name: set() for name in names}
    for rule in module["rules"]:
        if "Spec" not in rule:
            continue
        ((_, head),) = rule["Spec"]["head"].items()
        name = dotted(head["refr"]).partition(".")[0]
        parts = [{key: value for key, value in head.items() if key != "refr"}, rule["Spec"]["bodies"]]
        uses[name] |= mentioned(parts, names.keys() - bound(parts, head))
    for start, at in names.items():
        todo, seen = list(uses[start]), set()
        while todo:
            here = todo.pop()
            if here == start:
                yield finding("rego-recursion", f"{start} leads back to itself", at, "rules may not recurse")
                return
            if here not in seen:
                seen.add(here)
                todo.extend(uses[here])


def bound(parts: Any, head: dict[str, Any]) -> set[str]:
    """Name what a rule calls its own: arguments, and variables that it declares."""
    found = set(variables(head.get("args", [])))
    for node in nodes(parts):
        for shape, keys in (("AssignExpr", ("lhs",)), ("SomeIn", ("key", "value"))):
            inner = node.get(shape)
            if isinstance(inner, dict) and (shape != "AssignExpr" or inner.get("op") == "ColEq"):
                found.update(name for key in keys for name in variables(inner.get(key)))
        if isinstance(node.get("SomeVars"), dict | list):
            found.update(plain_texts(node["SomeVars"]))
        if isinstance(node.get("Every"), dict):
            found.update(plain_texts([node["Every"].get("key"), node["Every"].get("value")]))
    return found


def plain_texts(value: Any) -> Iterator[str]:
    """List the names in a declaration; some are pairs of a place and a name."""
    todo = [value]
    while todo:
        here = todo.pop()
        if isinstance(here, str):
            yield here
        elif isinstance(here, dict):
            todo.extend(here.values())
        elif isinstance(here, list):
            todo.extend(here)


def variables(value: Any) -> Iterator[str]:
    """List the plain names in a pattern."""
    return (node["Var"]["value"] for node in nodes(value) if isinstance(node.get("Var"), dict))


def mentioned(parts: Any, names: Any) -> set[str]:
    """Name the rules that a piece of the tree mentions, bare or by their whole path."""
    found = {name for name in variables(parts) if name in names}
    for node in nodes(parts):
        for shape in ("RefDot", "RefBrack"):
            if shape in node and isinstance(node[shape], dict):
                path = dotted({shape: node[shape]}).split(".")
                if path[:2] == ["data", PACKAGE] and len(path) > 2:
                    found.add(path[2])
    return {name for name in found if name in names or name in found}
