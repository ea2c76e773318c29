from __future__ import annotations

from typing import Any

from tests.contract.tools.subjects.base import SECRET, Subject


class TheSubject(Subject):
    tool = "script"
    lists_half = False

    def spec(self) -> dict[str, Any]:
        return {"script": {step: f"sh stack.sh {step}" for step in ("plan", "apply", "destroy", "outputs")}}

    def files(self, text: str) -> dict[str, str]:
        return {"stack.sh": self._script(f"printf %s {text} > $thing", text)}

    def failing(self) -> dict[str, str]:
        return {"stack.sh": self._script("printf half > $thing; echo out of luck >&2; exit 3", "half")}

    def hanging(self) -> dict[str, str]:
        return {"stack.sh": self._script(f"touch {self.world}/hanging; sleep 60", "never")}

    def _script(self, apply: str, text: str) -> str:
        outputs = f'{{"greeting": "hello {text}", "secret": {{"value": "{SECRET}", "sensitive": true}}}}'
        return (
            f"thing={self.world}/thing\n"
            'case "$1" in\n'
            f'plan) test "$(cat $thing 2>/dev/null)" = {text} || exit 2 ;;\n'
            f"apply) {apply} ;;\n"
            "destroy) rm -f $thing ;;\n"
            f"outputs) echo '{outputs}' ;;\n"
            "esac\n"
        )
