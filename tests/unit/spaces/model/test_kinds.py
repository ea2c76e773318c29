"""What each kind accepts, and how everything else is refused: code, place and hint."""

import pytest

from spaces.model.configuration import ContextSpec, HookPhase
from spaces.model.durations import parse_duration
from spaces.model.explain import did_you_mean, dotted, shown
from spaces.model.kinds import SPECS
from spaces.model.repository import RepositorySpec, SecretRef, is_branch
from spaces.model.space import SpaceSpec
from spaces.model.stack import ContextUse, OnDelete, StackSpec
from spaces.model.tools import ToolName
from spaces.model.variables import VariableClass, classify_variable
from spaces.names import Kind
from spaces.reading.resources import parse_file
from tests.unit.spaces.model.specs import HEAD, accepted, parse, refused

STACK = "  tool: terraform\n  source: {path: .}\n"
KUBERNETES = "  tool: kubernetes\n  source: {path: .}\n"
SCRIPT = "  tool: script\n  script: {apply: make}\n"
REPO = "  url: https://git.example/a.git\n"


def test_a_stack_has_its_defaults():
    spec = accepted("Stack", STACK)
    assert isinstance(spec, StackSpec)
    assert (spec.tool, spec.tool_version, spec.timeout) == (ToolName.TERRAFORM, None, None)
    assert (spec.autodeploy, spec.protected, spec.suspended, spec.on_delete) == (True, False, False, OnDelete.RETAIN)
    assert (spec.env, spec.files, spec.contexts) == ({}, {}, ())
    assert (spec.hooks.before, spec.hooks.after) == ({}, {})
    assert spec.source is not None
    assert (spec.source.path, spec.source.repository, spec.source.branch, spec.source.include) == (".", None, None, ())


def test_a_stack_says_all_it_can():
    spec = accepted(
        "Stack",
        """\
  tool: opentofu
  toolVersion: ">=1.8,<2"
  source: {repository: platform/infra, branch: release/1.x, path: live/network, include: ["modules/**"]}
  autodeploy: false
  protected: true
  suspended: true
  onDelete: retain
  env: {TF_VAR_cidr: 10.0.0.0/16, EMPTY: "", TF_LOG: debug}
  files: {terraform.tfvars: "region = 1\\n", a/..b/.c: x}
  contexts: [common, {name: platform/aws, priority: 10}, {name: near}]
  hooks: {before: {init: [a], plan: ["b c", "d\\ne"]}, after: {apply: [f], run: [g]}}
  timeout: 1h30m
  opentofu: {workspace: blue}
""",
    )
    assert isinstance(spec, StackSpec)
    assert spec.source is not None
    assert (spec.source.repository, spec.source.branch, spec.source.include) == (
        "platform/infra",
        "release/1.x",
        ("modules/**",),
    )
    assert (spec.autodeploy, spec.protected, spec.suspended) == (False, True, True)
    assert spec.env == {"TF_VAR_cidr": "10.0.0.0/16", "EMPTY": "", "TF_LOG": "debug"}
    assert spec.files == {"terraform.tfvars": "region = 1\n", "a/..b/.c": "x"}
    assert [(use.name, use.priority) for use in spec.contexts] == [("common", 0), ("platform/aws", 10), ("near", 0)]
    assert spec.hooks.before == {HookPhase.INIT: ("a",), HookPhase.PLAN: ("b c", "d\ne")}
    assert spec.hooks.after == {HookPhase.APPLY: ("f",), HookPhase.RUN: ("g",)}
    assert (spec.timeout, spec.tool_version) == (5400, ">=1.8,<2")
    assert spec.opentofu is not None
    assert spec.opentofu.workspace == "blue"


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        pytest.param("Stack", SCRIPT, id="script-without-source"),
        pytest.param("Stack", "  tool: script\n  script: {plan: p, apply: a, outputs: o}\n  source: {path: ./x/}\n", id="script"),
        pytest.param("Stack", "  tool: ansible\n  ansible: {playbook: site.yml, inventory: hosts}\n  source: {path: x}\n", id="ansible"),
        pytest.param("Stack", "  tool: terraform\n  source: {path: x, include: ['**/*.json', '...']}\n", id="include"),
        pytest.param("Context", "", id="context-without-spec"),
        pytest.param("Context", "  env: {A: b}\n  hooks: {after: {run: [x]}}\n", id="context"),
        pytest.param("Space", "", id="space-without-spec"),
        pytest.param("Space", "  {parent: b, inherit: true}\n", id="space"),
        pytest.param("Repository", REPO, id="repository"),
    ],
)  # fmt: skip
def test_good_specs_are_accepted(kind, spec):
    assert isinstance(accepted(kind, spec), SPECS[Kind(kind)])


def test_models_do_not_change():
    spec = accepted("Space", "  {parent: b}\n")
    assert isinstance(spec, SpaceSpec)
    with pytest.raises(ValueError, match="frozen"):
        spec.parent = "c"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        pytest.param("Stack", "  sorce: {path: .}\n  tool: script\n  script: {apply: x}\n", [("unknown-key", 1, 3)], id="unknown-key"),
        pytest.param("Stack", STACK + "  on_delete: retain\n", [("unknown-key", 3, 3)], id="snake-case-key"),
        pytest.param("Stack", "  source: {path: .}\n", [("missing-key", 0, 1)], id="no-tool"),
        pytest.param("Stack", "", [("missing-key", 0, 1)], id="no-spec"),
        pytest.param("Stack", "  tool: terraform\n", [("missing-key", 0, 1)], id="no-source"),
        pytest.param("Stack", "  tool: terraform\n  source:\n", [("missing-key", 0, 1)], id="empty-source"),
        pytest.param("Stack", "  tool: terraform\n  source: {}\n", [("missing-key", 2, 3)], id="no-path"),
        pytest.param("Stack", "  tool: script\n", [("missing-key", 0, 1)], id="script-without-commands"),
        pytest.param("Stack", "  tool: script\n  script: {plan: x}\n", [("missing-key", 2, 3)], id="script-without-apply"),
        pytest.param("Stack", "  tool: ansible\n  source: {path: .}\n", [("missing-key", 0, 1)], id="ansible-without-playbook"),
        pytest.param("Stack", "  tool: [terraform]\n  source: {path: .}\n", [("wrong-type", 1, 9)], id="tool-is-a-list"),
        pytest.param("Stack", "  tool: terrafrom\n  source: {path: .}\n", [("invalid-value", 1, 9)], id="unknown-tool"),
        pytest.param("Stack", STACK + "  autodeploy: yes\n", [("wrong-type", 3, 15)], id="yes-is-text"),
        pytest.param("Stack", STACK + "  protected: 1\n", [("wrong-type", 3, 14)], id="number-for-a-flag"),
        pytest.param("Stack", STACK + "  toolVersion: 1.8\n", [("wrong-type", 3, 16)], id="number-for-text"),
        pytest.param("Stack", STACK + "  toolVersion: '^1.8'\n", [("invalid-version", 3, 16)], id="foreign-range"),
        pytest.param("Stack", STACK + "  toolVersion: ''\n", [("invalid-value", 3, 16)], id="empty-range"),
        pytest.param("Stack", STACK + "  toolVersion: ' '\n", [("invalid-version", 3, 16)], id="blank-range"),
        pytest.param("Stack", "  tool: script\n  script: {apply: x}\n  toolVersion: '>=1'\n", [("invalid-value", 3, 3)], id="version-of-a-script"),
        pytest.param("Stack", "  tool: terraform\n  source: {path: ., include: [a**b, 'a/**', '" + "a/" * 60 + "']}\n", [("invalid-glob", 2, n) for n in (31, 45)], id="broken-globs"),
        pytest.param("Stack", STACK + "  files: {a/b: x, a: y, c: z, d/e: x}\n", [("invalid-path", 3, 11)], id="file-below-a-file"),
        pytest.param("Context", "  files: {a//b/./c: x, a/b: y}\n", [("invalid-path", 1, 11)], id="file-below-a-file-odd"),
        pytest.param("Stack", STACK + "  env: [A]\n", [("wrong-type", 3, 8)], id="env-is-a-list"),
        pytest.param("Stack", STACK + "  env:\n", [("wrong-type", 3, 7)], id="env-is-empty"),
        pytest.param("Stack", STACK + "  env: {A: 1, B: true, C: , D: [x]}\n", [("wrong-type", 3, n) for n in (12, 18, 27, 32)], id="env-values"),
        pytest.param("Stack", STACK + "  env: {1A: x, A-B: y, '': z}\n", [("invalid-env-name", 3, n) for n in (9, 16, 24)], id="env-names"),
        pytest.param("Stack", STACK + '  env: {"A\\nB": x, "A=": y, "é": z}\n', [("invalid-env-name", 3, n) for n in (9, 20, 29)], id="env-names-odd"),
        pytest.param("Stack", STACK + '  env: {A: "x\\0"}\n', [("invalid-value", 3, 12)], id="env-nul"),
        pytest.param("Stack", STACK + '  env: {A: "\\ud800"}\n', [("invalid-value", 3, 12)], id="env-surrogate"),
        pytest.param("Stack", STACK + "  env: {A: {file: x}, B: {sealed: y}, C: {env: z}}\n", [("invalid-sealed", 3, 35)], id="secrets"),
        pytest.param("Stack", STACK + "  env: {A: {file: x, env: y}, B: {}, C: {file: ../x}}\n  files: {a: {sealed: sealed-v1.cut}}\n",
                     [("invalid-value", 3, 12), ("invalid-value", 3, 34), ("invalid-secret-name", 3, 48), ("invalid-sealed", 4, 23)], id="secrets-odd"),
        pytest.param("Stack", STACK + "  env: {HOME: x, TF_DATA_DIR: y, LD_PRELOAD: {file: z}}\n", [("env-not-allowed", 3, 9), ("env-not-allowed", 3, 18), ("invalid-value", 3, 46)], id="env-taking-over"),
        pytest.param("Stack", STACK + "  files: {/etc/x: a, ../x: b, a/../../x: c, ..: d, .: e, a/: f, '': g}\n",
                     [("invalid-path", 3, n) for n in (11, 22, 31, 45, 52, 58, 65)], id="file-names"),
        pytest.param("Stack", STACK + '  files: {"a\\nb": x, "a\\\\b": y, "a\\0": z, "a//b": q}\n',
                     [("invalid-path", 3, n) for n in (11, 22, 33, 43)], id="file-names-odd"),
        pytest.param("Stack", STACK + "  files: {a: {source: ./a}, b: 1}\n", [("wrong-type", 3, 32)], id="file-values"),
        pytest.param("Stack", STACK + "  contexts: common\n", [("wrong-type", 3, 13)], id="contexts-is-text"),
        pytest.param("Stack", STACK + "  contexts: [A, a/b/c, a/, /a, 'a\n\n    ', 5, [a]]\n",
                     [("invalid-name", 3, n) for n in (14, 17, 24, 28, 32)] + [("wrong-type", 5, 8), ("wrong-type", 5, 11)], id="context-names"),
        pytest.param("Stack", STACK + '  contexts: ["a\\n", {name: a, priority: high}, {priority: 1}]\n',
                     [("invalid-name", 3, 14), ("wrong-type", 3, 41), ("missing-key", 3, 48)], id="context-uses"),
        pytest.param("Stack", STACK + "  contexts: [a, b, {name: a, priority: 3}]\n", [("duplicate-context", 3, 20)], id="context-twice"),
        pytest.param("Stack", STACK + "  contexts: [{nmae: a}]\n", [("missing-key", 3, 14), ("unknown-key", 3, 15)], id="unknown-key-in-a-list"),
        pytest.param("Stack", STACK + "  hooks: {befor: {}}\n", [("unknown-key", 3, 11)], id="hooks-key"),
        pytest.param("Stack", STACK + "  hooks: {before: {paln: [x], run: [y]}}\n", [("invalid-value", 3, 20), ("invalid-value", 3, 31)], id="hook-phases"),
        pytest.param("Stack", STACK + "  hooks: {after: {plan: x, apply: [1, ' ']}}\n",
                     [("wrong-type", 3, 25), ("wrong-type", 3, 36), ("invalid-value", 3, 39)], id="hook-commands"),
        pytest.param("Stack", KUBERNETES + "  kubernetes: {wait: never, kustomize: true, helm: {chart: x/../y}, inventory: web}\n",
                     [("invalid-duration", 3, 22), ("invalid-value", 3, 29), ("invalid-path", 3, 60), ("invalid-name", 3, 80)], id="kubernetes"),
        pytest.param("Stack", KUBERNETES + "  kubernetes: {wait: true, helm: {chart: x, version: '1'}, namespace: A}\n",
                     [("invalid-duration", 3, 22), ("invalid-value", 3, 45), ("invalid-name", 3, 71)], id="kubernetes-chart-version"),
        pytest.param("Stack", KUBERNETES + "  kubernetes: {helm: {chart: x, repository: shop}}\n", [("invalid-value", 3, 45)], id="kubernetes-repository"),
        pytest.param("Stack", STACK + "  timeout: 60\n", [("invalid-duration", 3, 12)], id="timeout-number"),
        pytest.param("Stack", STACK + "  timeout: 0s\n", [("invalid-duration", 3, 12)], id="timeout-zero"),
        pytest.param("Stack", STACK + "  onDelete: keep\n", [("invalid-value", 3, 13)], id="on-delete"),
        pytest.param("Stack", STACK + "  workerPool: A\n", [("invalid-name", 3, 15)], id="pool"),
        pytest.param("Stack", STACK + "  dependsOn: [A, {stack: b, outputs: {x: '1a', '9': Y}}, {outputs: {}}, b, 5]\n",
                     [("invalid-name", 3, 15), ("invalid-env-name", 3, 42), ("invalid-output-name", 3, 48),
                      ("missing-key", 3, 58), ("duplicate-dependency", 3, 73), ("wrong-type", 3, 76)], id="dependencies"),
        pytest.param("Stack", STACK + "  env: {A: a}\n  dependsOn: [{stack: b, outputs: {x: A, y: B, z: PATH}}, {stack: c, outputs: {x: B}}]\n",
                     [("duplicate-env", 4, 39), ("env-not-allowed", 4, 51), ("duplicate-env", 4, 83)], id="variables-of-outputs"),
        pytest.param("Stack", STACK + "  files: {a/x: a}\n  dependsOn: [{stack: b, always: 1, outputs: {x: {file: ./a/x, env: PATH}, y: {file: a}, z: {previewAs: 1}, u: {file: ../b}, v: {env: A, file: b, or: 1}, w: {env: A}}}]\n",
                     [("wrong-type", 4, 34), ("duplicate-key", 4, 57), ("env-not-allowed", 4, 69), ("invalid-path", 4, 86), ("missing-key", 4, 90),
                      ("invalid-path", 4, 119), ("unknown-key", 4, 147), ("duplicate-env", 4, 164)], id="places-of-outputs"),
        pytest.param("Stack", STACK + "  drift: {}\n", [("missing-key", 3, 3)], id="drift-without-a-schedule"),
        pytest.param("Stack", STACK + "  drift: {schedules: [], timezone: Europe/Berlim, reconcile: maybe}\n",
                     [("invalid-value", 3, 22), ("invalid-timezone", 3, 36), ("invalid-reconcile", 3, 62)], id="drift"),
        pytest.param("Stack", STACK + "  drift: {schedules: [x, '61 * * * *', '0 0 30 2 *', '* * * * * *']}\n",
                     [("invalid-cron", 3, n) for n in (23, 26, 40, 54)], id="cron"),
        pytest.param("Stack", STACK + "  schedules: [{cron: '* *', run: true}, {cron: '0 3 * * *', timezone: Nowhere, run: false}]\n",
                     [("invalid-cron", 3, 22), ("invalid-timezone", 3, 71), ("invalid-value", 3, 85)], id="schedules"),
        pytest.param("Stack", STACK + "  schedules: [{cron: '0 3 * * *'}]\n", [("missing-key", 3, 15)], id="schedule-of-nothing"),
        pytest.param("Stack", STACK + "  schedules: [{cron: '0 3 * * *', run: true, task: ./rotate.sh}]\n",
                     [("invalid-value", 3, 46)], id="schedule-of-a-run-and-a-task"),
        pytest.param("Stack", STACK + "  schedules: [{cron: '0 3 * * *', task: ' '}]\n", [("invalid-value", 3, 41)], id="schedule-of-a-blank-task"),
        pytest.param("Space", "  windows: [{deny: {cron: x, duration: 0s, timezone: Mars}}, {deny: {cron: '0 0 30 2 *', duration: 1h}}]\n",
                     [("invalid-cron", 1, 27), ("invalid-duration", 1, 40), ("invalid-timezone", 1, 54), ("invalid-cron", 1, 76)], id="windows"),
        pytest.param("Space", "  windows: [{deny: {cron: '0 * * * *', duration: 2h}}, {deny: {cron: '0 0 * * *', duration: 1d}}, {deny: {}}]\n",
                     [("window-overlap", 1, 50), ("endless-window", 1, 93), ("missing-key", 1, 100), ("missing-key", 1, 100)], id="windows-without-an-end"),
        pytest.param("Stack", STACK + "  ttl: -1d\n", [("invalid-duration", 3, 8)], id="ttl-in-the-past"),
        pytest.param("Stack", "  tool: ansible\n  source: {path: .}\n  ansible: {playbook: a.yaml}\n  ttl: 1d\n",
                     [("invalid-value", 4, 3)], id="ttl-of-what-cannot-be-destroyed"),
        pytest.param("Stack", STACK + "  ttl: 0d\n  destroyAt: soon\n",
                     [("invalid-duration", 3, 8), ("invalid-value", 4, 3)], id="ttl-and-end"),
        pytest.param("Stack", STACK + "  destroyAt: 2027-02-30T00:00:00Z\n", [("invalid-time", 3, 14)], id="no-such-day"),
        pytest.param("Stack", STACK + "  retry: {limit: 0, backoff: 5}\n", [("invalid-value", 3, 18), ("invalid-duration", 3, 30)], id="retry"),
        pytest.param("Stack", STACK + "  retry: {limit: 11}\n", [("invalid-value", 3, 18)], id="retry-for-ever"),
        pytest.param("Stack", STACK + "  retry: {}\n", [("missing-key", 3, 3)], id="retry-how-often"),
        pytest.param("Stack", STACK + "  shareOutputs: [A, 5]\n", [("invalid-name", 3, 18), ("wrong-type", 3, 21)], id="share-outputs"),
        pytest.param("Stack", "  tool: chef\n  source: {path: .}\n  chef: {x: y}\n", [("invalid-value", 1, 9), ("unknown-key", 3, 3)], id="a-tool-that-nobody-knows"),
        pytest.param("Stack", STACK + "  opentofu: {workspace: a}\n", [("invalid-value", 3, 3)], id="settings-of-another-tool"),
        pytest.param("Stack", STACK + "  terraform: {workspace: -a}\n", [("invalid-name", 3, 26)], id="workspace"),
        pytest.param("Stack", STACK + "  terraform: {workspaces: a}\n", [("unknown-key", 3, 15)], id="workspace-key"),
        pytest.param("Stack", '  tool: script\n  script: {apply: "x\\0y", plan: ""}\n', [("invalid-value", 2, 19), ("invalid-value", 2, 33)], id="script-commands"),
        pytest.param("Stack", "  tool: ansible\n  source: {path: .}\n  ansible: {playbook: ../x, extraVars: {a-b: 1, c: {file: ../x}}, tags: ['a,b'], forks: 0}\n",
                     [("invalid-path", 3, 23), ("invalid-value", 3, 41), ("invalid-secret-name", 3, 59), ("invalid-value", 3, 74), ("invalid-value", 3, 89)],
                     id="ansible"),
        pytest.param("Stack", "  tool: ansible\n  source: {path: .}\n  onDelete: destroy\n  ansible: {playbook: x}\n", [("invalid-value", 3, 13)], id="destroy-a-playbook"),
        pytest.param("Stack", "  tool: script\n  onDelete: destroy\n  ttl: 1d\n  script: {apply: 'true'}\n", [("missing-key", 2, 13), ("missing-key", 3, 3)], id="destroy-by-nothing"),
        pytest.param("Stack", "  tool: ansible\n  source: {path: .}\n  ansible: {playbook: x, inventory: [hosts, {txt: x}, [y]], privateKey: {}, vaultPasswords: {a: text, b: {file: x, env: Y}}}\n",
                     [("missing-key", 3, 45), ("unknown-key", 3, 46), ("wrong-type", 3, 55), ("invalid-value", 3, 73), ("wrong-type", 3, 97), ("invalid-value", 3, 106)],
                     id="inventories-and-secrets-of-ansible"),
        *(
            pytest.param("Stack", f"  tool: terraform\n  source: {{path: {path}}}\n", [("invalid-path", 2, 18)], id=f"path-{name}")
            for name, path in {
                "absolute": "/etc", "parent": "..", "parent-first": "../x", "parent-inside": "a/../b", "parent-last": "a/..",
                "parent-slash": "../", "backslash": "a\\b", "newline": '"a\\nb"', "newline-last": '"a\\n"', "nul": '"a\\0"',
                "control": '"a\\x1bb"', "empty": "''", "double-slash": "a//b", "line-separator": '"a\\u2028b"',
            }.items()
        ),
        pytest.param("Stack", "  tool: terraform\n  source: {path: ., include: [../x, /y, 3]}\n",
                     [("invalid-path", 2, 31), ("invalid-path", 2, 37), ("wrong-type", 2, 41)], id="include"),
        pytest.param("Stack", "  tool: terraform\n  source: {path: ., branch: main}\n", [("invalid-value", 2, 21)], id="branch-without-repository"),
        pytest.param("Stack", "  tool: terraform\n  source: {path: ., repository: A/b, branch: --upload-pack=x}\n",
                     [("invalid-name", 2, 33), ("invalid-branch", 2, 46)], id="repository-and-branch"),
        pytest.param("Stack", "  tool: terraform\n  source: {path: ., semver: 1.x}\n", [("invalid-value", 2, 21)], id="semver-without-repository"),
        pytest.param("Stack", "  tool: terraform\n  source: {path: ., repository: b, branch: a, tag: v1}\n",
                     [("invalid-value", 2, 47)], id="branch-and-tag"),
        pytest.param("Stack", "  tool: terraform\n  source: {path: ., repository: b, tag: a b}\n", [("invalid-tag", 2, 41)], id="tag"),
        pytest.param("Stack", "  tool: terraform\n  source: {path: ., repository: b, semver: latest}\n", [("invalid-range", 2, 44)], id="semver"),
        pytest.param("Stack", "  tool: terraform\n  source: {path: ., repository: b, revision: abc}\n", [("invalid-revision", 2, 46)], id="revision"),
        pytest.param("Context", "  attach: {labels: {a: b}}\n", [("unknown-key", 1, 12)], id="attach-key"),
        pytest.param("Context", "  attach:\n", [("wrong-type", 1, 3)], id="attach-nothing"),
        pytest.param("Context", "  attach: {matchLabels: {a b: c, d: 1, e: f g}}\n",
                     [("invalid-label", 1, 26), ("wrong-type", 1, 37), ("invalid-label", 1, 43)], id="attach-labels"),
        pytest.param("Context", "  hooks: {before: {run: [a], destroy: [a]}, after: {destroy: [b], plan: [c]}}\n",
                     [("invalid-value", 1, 20)], id="hooks-before-run"),
        pytest.param("Context", "  files: {a: x, ./a: y, b/./c: z, b/c/d: w}\n",
                     [("duplicate-key", 1, 17), ("invalid-path", 1, 35)], id="files-twice"),
        pytest.param("Context", "  files: {ca.pem: {source: ./ca.pem}}\n", [("file-not-found", 1, 28)], id="file-from-source"),
        pytest.param("Context", "  files: {~/../x: a, ~/: b, ./~/.netrc: c, ~/.netrc: d, ~/a: {text: x, executable: no}}\n",
                     [("invalid-path", 1, 11), ("invalid-path", 1, 22), ("invalid-path", 1, 29), ("duplicate-key", 1, 44),
                      ("wrong-type", 1, 84)], id="files-of-the-home"),
        pytest.param("Context", "  files: {a: {text: x, source: ./y}, b: {file: key-file, executable: true}}\n",
                     [("unknown-key", 1, 15), ("unknown-key", 1, 58)], id="files-executable"),
        pytest.param("Context", "  env: {HOME: /}\n  tool: x\n", [("env-not-allowed", 1, 9), ("unknown-key", 2, 3)], id="context"),
        pytest.param("Space", "  inherit: yes\n", [("wrong-type", 1, 12)], id="inherit"),
        pytest.param("Space", "  parent: a/b\n", [("invalid-name", 1, 11)], id="parent-qualified"),
        pytest.param("Space", "  parnet: b\n", [("unknown-key", 1, 3)], id="space-key"),
        pytest.param("Repository", "  branch: main\n", [("missing-key", 0, 1)], id="no-url"),
        pytest.param("Repository", "  url: 5\n", [("wrong-type", 1, 8)], id="url-number"),
        pytest.param("Repository", REPO + "  acceptRewrite: 0a1b2c3\n", [("invalid-revision", 2, 18)], id="short-revision"),
        pytest.param("Repository", REPO + "  branch: -x\n", [("invalid-branch", 2, 11)], id="branch-option"),
        pytest.param("Repository", REPO + "  credentials: {}\n", [("invalid-value", 2, 16)], id="credentials-empty"),
        pytest.param("Repository", REPO + "  credentials: {username: a}\n", [("invalid-value", 2, 16)], id="username-alone"),
        pytest.param("Repository", REPO + "  credentials: {password: {}}\n", [("invalid-value", 2, 27)], id="password-empty"),
        pytest.param("Repository", REPO + "  credentials: {password: secret}\n", [("wrong-type", 2, 27)], id="password-in-clear"),
        pytest.param("Repository", REPO + "  credentials: {password: {file: a, env: B}}\n", [("invalid-value", 2, 27)], id="password-of-two"),
        pytest.param("Repository", REPO + "  credentials: {password: {sealed: a}}\n", [("invalid-sealed", 2, 36)], id="sealed"),
        pytest.param("Repository", REPO + "  credentials: {password: {file: ../a}}\n", [("invalid-secret-name", 2, 34)], id="secret-outside"),
        pytest.param("Repository", REPO + "  credentials: {password: {file: .}}\n", [("invalid-secret-name", 2, 34)], id="secret-dot"),
        pytest.param("Repository", REPO + "  credentials: {password: {vault: 'a/b#c'}}\n", [("invalid-value", 2, 28)], id="password-in-vault"),
        pytest.param("Stack", STACK + "  env: {A: {vault: a/../b#c}, B: {vault: a}}\n",
                     [("invalid-path", 3, 20), ("invalid-path", 3, 42)], id="vault-paths"),
        pytest.param("Repository", REPO + "  credentials: {sshKey: {file: a}}\n", [("invalid-value", 2, 17)], id="key-for-https"),
        pytest.param("Repository", REPO + "  credentials: {sshKey: {file: a}, password: {file: b}}\n", [("invalid-value", 2, 16)], id="both"),
    ],
)  # fmt: skip
def test_bad_specs_are_refused_with_their_place(kind, spec, expected):
    assert refused(kind, spec) == expected


@pytest.mark.parametrize(
    ("spec", "summary", "hint"),
    [
        pytest.param(STACK + "  protcted: true\n", "spec.protcted is not known", "did you mean protected?", id="unknown-key"),
        pytest.param(STACK + "  contexts: [{name: a, prio: 1}]\n", "spec.contexts[0].prio is not known", "did you mean priority?", id="nested"),
        pytest.param(STACK + "  zzz: 1\n", "spec.zzz is not known", None, id="nothing-near"),
        pytest.param("  tool: opentufo\n  source: {path: .}\n", "spec.tool: opentufo is not known", "did you mean opentofu?", id="tool"),
        pytest.param(STACK + "  env: {A: 5}\n", "spec.env.A must be text, is a number", "put it into quotes", id="number"),
        pytest.param(STACK + "  env: {A: true}\n", "spec.env.A must be text, is true", "put it into quotes", id="flag"),
        pytest.param(STACK + "  autodeploy: 'no'\n", "spec.autodeploy must be true or false, is text", "write true or false, without quotes", id="no"),
        pytest.param(STACK + "  hooks: [x]\n", "spec.hooks must be a mapping, is a list", None, id="list"),
        pytest.param(STACK + "  contexts: [{name: a, priority: 1.5}]\n", "spec.contexts[0].priority must be a whole number, is a number", None, id="fraction"),
        pytest.param(STACK + "  ttl: 999999d\n", "spec.ttl must be a duration from 1s to 3660d", None, id="ttl"),
        pytest.param(STACK + '  "a\\nb": 1\n', "spec.a\\nb is not known", None, id="newline-in-a-key"),
        pytest.param(STACK + f"  env: {{{', '.join(f'A{n}: x' for n in range(1001))}}}\n", "spec.env has more than 1000 entries", None, id="variables"),
        pytest.param(STACK + f"  contexts: [{', '.join(f'a{n}' for n in range(1001))}]\n", "spec.contexts has more than 1000 entries", None, id="contexts"),
    ],
)  # fmt: skip
def test_findings_speak_plainly(spec, summary, hint):
    found = parse("Stack", spec).diagnostics
    assert [each.summary for each in found] == [summary]
    if hint is not None:
        assert found[0].hint == hint


def test_values_that_may_be_secret_are_not_repeated():
    spec = STACK + "  env: {A: [hunter2], PATH: hunter2}\n  files: {a: {b: hunter2}}\n  timeout: hunter2\n"
    found = [*parse("Stack", spec).diagnostics, *parse("Repository", "  url: https://u:hunter2@h/x\n").diagnostics]
    assert len(found) == 5
    assert "hunter2" not in "".join(str(each) for each in found)


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example/a/b.git", "http://h:8080/x", "ssh://git@h:22/x.git", "ssh://h/x", "file:///srv/git/x.git",
        "git@github.com:o/r.git", "https://[::1]:8443/x", "https://h/~me/x",
    ],
)  # fmt: skip
def test_addresses_that_are_good(url):
    spec = accepted("Repository", f"  url: '{url}'\n")
    assert isinstance(spec, RepositorySpec)
    assert (spec.url, spec.branch, spec.credentials) == (url, "main", None)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("--upload-pack=touch /x", "invalid-url"), ("-x", "invalid-url"), ("ext::sh -c x", "invalid-url"), ("git://h/x", "invalid-url"),
        ("fd::17", "invalid-url"), ("/srv/git", "invalid-url"), ("../x", "invalid-url"), ("file://h/x", "invalid-url"),
        ("https://-h/x", "invalid-url"), ("ssh://-oProxyCommand=x/y", "invalid-url"), ("ssh://-o@h/y", "invalid-url"), ("ssh://h/-x", "invalid-url"),
        ("git@h:-x", "invalid-url"), ("git@-h:x", "invalid-url"), ("-g@h:x", "invalid-url"), ("git@h::x", "invalid-url"), ("https://h", "invalid-url"),
        ("https://h/", "invalid-url"), ("https://h/a b", "invalid-url"), ("https://h/x?y", "invalid-url"), ("https://h/x#y", "invalid-url"),
        ("https://h:99999/x", "invalid-url"), ("javascript:x", "invalid-url"), ("HTTPS", "invalid-url"),
        ("https://u:p@h/x", "url-with-credentials"), ("https://token@h/x", "url-with-credentials"), ("ssh://u:p@h/x", "url-with-credentials"),
    ],
)  # fmt: skip
def test_addresses_that_are_refused(url, code):
    assert refused("Repository", f"  url: '{url}'\n") == [(code, 1, 8)]


def test_addresses_of_several_lines_are_refused():
    assert refused("Repository", '  url: "https://h/x\\n"\n') == [("invalid-value", 1, 8)]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(
            "  url: https://h/x\n  credentials: {username: bot, password: {file: token}}\n",
            SecretRef(file="token"),
            id="password",
        ),
        pytest.param("  url: git@h:x\n  credentials: {sshKey: {env: KEY}}\n", SecretRef(env="KEY"), id="key"),
    ],
)
def test_credentials_name_a_secret(spec, expected):
    found = accepted("Repository", spec)
    assert isinstance(found, RepositorySpec)
    assert found.credentials is not None
    assert expected in (found.credentials.password, found.credentials.ssh_key)


@pytest.mark.parametrize(
    ("branch", "good"),
    [
        ("main", True), ("release/1.x", True), ("a-b_c.d", True), ("feature/é", True), ("a@b", True),
        ("", False), ("-x", False), ("a b", False), ("a..b", False), ("a~1", False), ("a^", False), ("a:b", False), ("a?", False), ("a*", False),
        ("a[b", False), ("a\\b", False), ("a.lock", False), ("a.lock/b", False), ("a/", False), ("/a", False), ("a//b", False), (".a", False),
        ("a/.b", False), ("a.", False), ("@", False), ("a@{1}", False), ("a\n", False), ("a\0", False), ("HEAD", False), ("refs/heads/a", False),
        ("x" * 201, False),
    ],
)  # fmt: skip
def test_branches(branch, good):
    assert is_branch(branch) is good


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1h0m1s", 3601),
        ("168h", 604800),
        ("7d", 604800),
        ("1d12h", 129600),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "0s", "8d", "1h1d", "-1s", "1.5h", "1m1h", "1s\n", "169h", "9999999s", "1 h", "\u0661s"]
)
def test_durations_that_are_refused(text):
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("TF_VAR_x", True), ("TOKEN", True), ("PATHS", True), ("MY_PATH", True), ("HOMEPAGE", True), ("AWS_REGION", True), ("TF_LOG", True),
        ("ANSIBLE_FORKS", True), ("ENVIRONMENT", True), ("path", True),
        ("PATH", False), ("HOME", False), ("LD_PRELOAD", False), ("LD_LIBRARY_PATH", False), ("DYLD_INSERT_LIBRARIES", False), ("PYTHONPATH", False),
        ("PYTHONSTARTUP", False), ("BASH_ENV", False), ("ENV", False), ("GIT_SSH_COMMAND", False), ("TF_CLI_ARGS", False), ("TF_CLI_ARGS_apply", False),
        ("TF_CLI_CONFIG_FILE", False), ("TF_HTTP_PASSWORD", False), ("TMPDIR", False), ("IFS", False), ("SHELLOPTS", False), ("NODE_OPTIONS", False),
        ("PERL5OPT", False), ("RUBYOPT", False), ("STATION_OUTPUTS", False), ("TF_DATA_DIR", False), ("TF_WORKSPACE", False),
    ],
)  # fmt: skip
def test_variables_that_take_over_a_process_are_kept_out(name, allowed):
    assert (classify_variable(name) is VariableClass.PLAIN) is allowed


@pytest.mark.parametrize(
    "name",
    ["STATION_OUTPUTS", "HOME", "TMPDIR", "TF_HTTP_PASSWORD", "TF_DATA_DIR", "TF_WORKSPACE", "TF_CLI_CONFIG_FILE"],
)
def test_what_the_service_steers_by_is_its_own(name):
    assert classify_variable(name) is VariableClass.OWN


def test_every_kind_has_a_model():
    assert set(SPECS) == set(Kind)
    assert SPECS[Kind.CONTEXT] is ContextSpec


@pytest.mark.parametrize(
    ("word", "expected"),
    [("tol", "did you mean tool?"), ("TOOL", "did you mean tool?"), ("zzzzz", None), ("tool" * 50_000, None)],
)
def test_suggestions(word, expected):
    assert did_you_mean(word, ["tool", "source"]) == expected


def test_paths_are_written_as_people_do():
    assert dotted(("spec", "contexts", 0, "name")) == "spec.contexts[0].name"
    assert shown("a\nb\x1b\ud800é") == "a\\nb\\x1b\\ud800é"
    assert len(shown("x" * 500)) < 100


def test_a_bare_context_name_is_short_for_priority_zero():
    assert ContextUse.model_validate("a") == ContextUse(name="a", priority=0)


def test_a_document_has_not_any_number_of_labels():
    labels = ", ".join(f"l{n}: x" for n in range(101))
    text = HEAD.format(kind="Stack").replace("metadata: {", f"metadata: {{labels: {{{labels}}}, ") + STACK
    assert [each.summary for each in parse_file("a.yaml", text.encode()).diagnostics] == [
        "metadata.labels has more than 100 entries"
    ]
