"""The code inside the process that parses and evaluates Rego; `process` starts it with `main`.

The process reads `{mode, input (JSON in a text), policies: [{text, type, rules}]}` from standard input, and answers
with one line of JSON for each policy, in order. It imports nothing of this project, so that it starts quickly. The
engine may die of its input; then the lines end early.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Importing these takes a good part of the time that a policy has.
    from collections.abc import Iterator
    from typing import Any

MEMORY = 1024 * 1024 * 1024
"""The most bytes of address space."""

MAX_ANSWER = 256 * 1024
"""The most characters of one policy's answer."""

PACKAGE = "stationkeeper"

REFUSED = frozenset({"http.send", "opa.runtime", "net.lookup_ip_addr", "rego.parse_module"})
"""Functions that reach outside a policy's input, or do so in other engines. Some are silently undefined in this one."""

RULES = {
    "plan": ("deny", "confirm", "warn"),
    "approval": ("approve", "reject"),
    "push": ("ignore", "propose", "track"),
    "notification": ("notify",),
    "config": ("deny", "warn"),
}
SETS = frozenset({"deny", "confirm", "warn", "notify"})
"""The rules that collect sentences."""
EITHER = frozenset({"ignore", "propose", "track"})
"""The rules that may collect sentences or be a plain yes or no. A rule in neither set can only be yes or no."""

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
            answer: dict[str, Any] = {
                "findings": with_columns(policy["text"], findings(policy["text"], policy["type"]))
            }
        elif "inputs" in policy:
            answer = {"each": judged(policy, policy["inputs"])}
        else:
            answer = judged(policy, [question["input"]])[0]
        answers.write(json.dumps(answer) + "\n")


def judged(policy: dict[str, Any], documents: list[str]) -> list[dict[str, Any]]:
    """Return the answers of a policy about some inputs, in order; an error where it cannot be evaluated."""
    params = policy.get("params", "{}")
    size, found = MAX_ANSWER, []
    try:
        rules = ready(policy["text"], policy["rules"])
    except Exception as wrong:  # noqa: BLE001 - the engine raises whatever it likes
        return [error_of(policy["text"], wrong)] * len(documents)
    for document in documents:
        try:
            answers, used = evaluate_rules(rules, with_params(document, params), size)
            size -= used
            found.append({"answers": answers})
        except Exception as wrong:  # noqa: BLE001
            found.append(error_of(policy["text"], wrong))
    return found


def error_of(text: str, wrong: Exception) -> dict[str, Any]:
    """Return the answer of a policy that could not be evaluated."""
    line, column, message = read_error(wrong)
    return {"error": f"{message} (line {line}, column {count_characters(text, line, column)})"}


def limit(seconds: float) -> None:
    """Drop every resource that the evaluation of a rule does not need."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))


def ready(text: str, rules: list[str]) -> tuple[Any, list[str]]:
    """Return an engine that has read a policy, and those of the rules that the policy defines."""
    # Checked again each time: the check also covers policies that came into force before it existed.
    bad = next((problem for problem in findings(text, None) if problem["code"] != "rego-rule"), None)
    if bad is not None:
        raise RuntimeError(f"--> policy:{bad['line']}:{bad['column']}\nerror: {bad['summary']}")
    engine = new_engine()
    engine.add_policy("policy", text)
    defined = {name for name, _, _ in rule_heads(syntax_tree(engine))}
    return engine, [rule for rule in rules if rule in defined]


def evaluate_rules(policy: tuple[Any, list[str]], document: str, most: int) -> tuple[dict[str, Any], int]:
    """Return the values of the rules, and how long they are; an undefined value is None."""
    engine, rules = policy
    engine.set_input_json(document)
    values: dict[str, Any] = {}
    size = 0
    for rule in rules:
        raw = engine.eval_rule_as_json(f"data.{PACKAGE}.{rule}")
        size += len(raw)
        if size > most:
            raise RuntimeError(f"--> policy:1:1\nerror: its answer is longer than {MAX_ANSWER // 1024} KiB")
        value = json.loads(raw)
        values[rule] = None if value == "<undefined>" else value
    return values, size


def with_params(document: str, params: str) -> str:
    """Return an input with the parameters of the policy that gets it. Both are objects in JSON that Python wrote."""
    rest = document.strip()[1:].strip()
    return f'{{"params": {params}' + (rest if rest == "}" else f", {rest}")


def new_engine() -> Any:
    """Return a new engine."""
    import regorus  # noqa: PLC0415 - only behind the limits

    engine = regorus.Engine()
    engine.set_gather_prints(True)
    return engine


def read_error(wrong: Exception) -> tuple[int, int, str]:
    """Return line, column and message of one of the engine's errors."""
    text = str(wrong).partition("Stack backtrace")[0]
    place, message = _PLACE.search(text), _MESSAGE.search(text)
    line, column = (int(place[1]), int(place[2])) if place else (1, 1)
    return line, column, message[1].strip() if message else text.strip().partition("\n")[0][:200] or "it failed"


def with_columns(text: str, problems: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the findings with columns in characters."""
    return [{**item, "column": count_characters(text, item["line"], item["column"])} for item in problems]


def count_characters(text: str, line: int, column: int) -> int:
    """Return a column in characters: the engine counts bytes, and a tab as four of them."""
    lines = text.split("\n")
    width = 1
    for number, character in enumerate(lines[line - 1] if line <= len(lines) else "", 1):
        if width >= column:
            return number
        width += 4 if character == "\t" else len(character.encode(errors="replace"))
    return column if line > len(lines) else len(lines[line - 1]) + 1


def findings(text: str, kind: str | None) -> Iterator[dict[str, Any]]:
    """Yield the problems of a rule that show without its input; `kind` None: of a policy of any type."""
    engine = new_engine()
    try:
        engine.add_policy("policy", text)
    except Exception as wrong:  # noqa: BLE001
        line, column, message = read_error(wrong)
        yield finding("rego-syntax", message, (line, column), "write it in Rego's version 1")
        return
    module = syntax_tree(engine)
    package, at = dotted(module["package"]["refr"]), place(module["package"]["refr"])
    if package != PACKAGE:
        yield finding("rego-package", f"the rule's package is {package}", at, f"write package {PACKAGE}")
        return
    wrong_calls = list(refused_calls(module))
    yield from wrong_calls
    circle = list(recursion(module))
    yield from circle
    if kind is not None:
        yield from rule_problems(module, kind, at)
    if kind is not None and not wrong_calls and not circle:
        yield from try_rules(engine, module)


def rule_problems(module: dict[str, Any], kind: str, at: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """Yield where the policy lacks a rule of its type, or writes it in another shape."""
    wanted = RULES[kind]
    defined = [head for head in rule_heads(module) if head[0] in wanted]
    if not defined:
        summary = f"a policy of type {kind} needs one of the rules {' and '.join(wanted)}"
        yield finding("rego-rule", summary, at, "without one of them the policy has no effect")
    for name, head, where in defined:
        if head == "Func" or (name not in EITHER and (name in SETS) != (head == "Set")):
            shape = f"{name} contains message if {{ … }}" if name in SETS else f"{name} if {{ … }}"
            yield finding("rego-rule", f"{name} has the wrong shape", where, f"write {shape}")


def try_rules(engine: Any, module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Evaluate every rule once on an empty input, and yield the problems that the engine notices only then."""
    engine.set_input_json(
        '{"plan": {"changes": [], "outputs": []}, "reviews": [], "run": {}, "stack": {}, "space": {}, "params": {}, '
        '"document": {"metadata": {}, "spec": {}}, "push": {"paths": [], "components": [], "why": []}}'
    )
    try:
        # Evaluates no rule yet: the engine only analyses the whole module.
        engine.eval_query_as_json("true")
    except Exception as wrong:  # noqa: BLE001
        line, column, message = read_error(wrong)
        yield finding("rego-invalid", message.partition(" (path")[0], (line, column))
        return
    seen = set()
    for name in dict.fromkeys(name for name, head, _ in rule_heads(module) if head != "Func"):
        try:
            engine.eval_rule_as_json(f"data.{PACKAGE}.{name}")
        except Exception as wrong:  # noqa: BLE001
            line, column, message = read_error(wrong)
            if _STATIC.search(message) and (line, column) not in seen:
                seen.add((line, column))
                code = "rego-recursion" if "recursion" in message else "rego-invalid"
                yield finding(code, message.partition(" (path")[0], (line, column))


def finding(code: str, summary: str, at: tuple[int, int], hint: str | None = None) -> dict[str, Any]:
    """Return one finding as it is sent."""
    return {"code": code, "summary": summary, "line": at[0], "column": at[1], "hint": hint}


# The engine's syntax tree


def syntax_tree(engine: Any) -> dict[str, Any]:
    """Return the tree of the only module."""
    module: dict[str, Any] = json.loads(engine.get_ast_as_json())[0]["ast"]
    return module


def rule_heads(module: dict[str, Any]) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Yield for each rule its first name within the package, the form of its head, and its place."""
    for rule in module["rules"]:
        if "Default" in rule:
            refr = rule["Default"]["refr"]
            yield dotted(refr).partition(".")[0], "Default", place(refr)
        else:
            ((head, inner),) = rule["Spec"]["head"].items()
            yield dotted(inner["refr"]).partition(".")[0], head, place(inner["refr"])


def dotted(node: dict[str, Any]) -> str:
    """Return a reference as far as it consists of plain names."""
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
    """Return where a reference begins."""
    ((_, inner),) = node.items()
    if "refr" in inner:
        return place(inner["refr"])
    return inner["span"]["line"], inner["span"]["col"]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the mappings in a part of the tree, without recursion: it may be deep."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            yield item
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)


def refused_calls(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the calls of functions that do not exist or that policies may not use."""
    known = {*builtins(), "print"}
    own = {name for name, head, _ in rule_heads(module) if head == "Func"}
    functions = own | {f"data.{PACKAGE}.{name}" for name in own}
    problems = []
    for node in nodes(module["rules"]):
        call = node.get("Call")
        if not isinstance(call, dict):
            continue
        name, at = dotted(call["fcn"]), place(call["fcn"])
        if name in REFUSED:
            problems.append(
                finding("rego-not-allowed", f"a policy may not use {name}", at, "use the policy's input instead")
            )
        elif name not in known and name not in functions and name.partition(".")[0] not in own:
            problems.append(finding("rego-function", f"there is no function {name}", at, "define it in this rule"))
    yield from sorted(problems, key=lambda problem: (problem["line"], problem["column"]))


_builtins: list[str] = []


def builtins() -> list[str]:
    """Return the names of the engine's own functions."""
    if not _builtins:
        answer = json.loads(new_engine().eval_query_as_json("x := opa.runtime().builtins"))
        _builtins.extend(answer["result"][0]["bindings"]["x"])
    return _builtins


def recursion(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a rule that refers back to itself."""
    names = {name: at for name, _, at in reversed(list(rule_heads(module)))}
    uses: dict[str, set[str]] = {name: set() for name in names}
    for rule in module["rules"]:
        if "Spec" not in rule:
            continue
        ((_, head),) = rule["Spec"]["head"].items()
        name = dotted(head["refr"]).partition(".")[0]
        parts = [{key: value for key, value in head.items() if key != "refr"}, rule["Spec"]["bodies"]]
        uses[name] |= mentioned_rules(parts, names.keys() - bound_names(parts, head))
    for start, at in names.items():
        todo, seen = list(uses[start]), set()
        while todo:
            rule_name = todo.pop()
            if rule_name == start:
                yield finding("rego-recursion", f"the rule {start} refers back to itself", at, "rules may not recurse")
                return
            if rule_name not in seen:
                seen.add(rule_name)
                todo.extend(uses[rule_name])


def bound_names(parts: Any, head: dict[str, Any]) -> set[str]:
    """Return the names that belong to a rule: its arguments, and the variables that it declares."""
    own = set(variables(head.get("args", [])))
    for node in nodes(parts):
        for shape, keys in (("AssignExpr", ("lhs",)), ("SomeIn", ("key", "value"))):
            inner = node.get(shape)
            if isinstance(inner, dict) and (shape != "AssignExpr" or inner.get("op") == "ColEq"):
                own.update(name for key in keys for name in variables(inner.get(key)))
        if isinstance(node.get("SomeVars"), dict | list):
            own.update(plain_texts(node["SomeVars"]))
        if isinstance(node.get("Every"), dict):
            own.update(plain_texts([node["Every"].get("key"), node["Every"].get("value")]))
    return own


def plain_texts(value: Any) -> Iterator[str]:
    """Yield the names in a declaration; some are pairs of a place and a name."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)


def variables(value: Any) -> Iterator[str]:
    """Yield the plain names in a pattern."""
    return (node["Var"]["value"] for node in nodes(value) if isinstance(node.get("Var"), dict))


def mentioned_rules(parts: Any, names: Any) -> set[str]:
    """Return the rules that a part of the tree mentions, by name or by full path."""
    mentioned = {name for name in variables(parts) if name in names}
    for node in nodes(parts):
        for shape in ("RefDot", "RefBrack"):
            if shape in node and isinstance(node[shape], dict):
                path = dotted({shape: node[shape]}).split(".")
                if path[:2] == ["data", PACKAGE] and len(path) > 2:
                    mentioned.add(path[2])
    return mentioned
