"""Cloud integrations: which stacks use them, what is wrong with them, and what runs get of them."""

from __future__ import annotations

import pytest

from reconciler.core.digest import fingerprint
from reconciler.core.state import Component
from reconciler.web.api.convert import effective_json
from spaces.effective.stack import EffectiveStack, effective
from spaces.in_force import affected
from spaces.validate import validate_files
from tests.unit.spaces.builders import State, begin, context, doc, go_on, many, space, stack, stack_id
from tests.unit.spaces.model.specs import accepted, refused

PLAN, APPLY = "arn:aws:iam::1:role/plan", "arn:aws:iam::1:role/apply"
ROLES = {"plan": {"roleArn": PLAN}, "apply": {"roleArn": APPLY}}
AWS = {"provider": "aws", "region": "eu-central-1", **ROLES}
TENANT = "11111111-2222-3333-4444-555555555555"
AZURE = {"provider": "azure", "tenantId": TENANT, "plan": {"clientId": TENANT}}
POOL = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x"


def integration(name: str, spec: dict, in_space: str | None = None, **more: object) -> bytes:
    return doc("CloudIntegration", name, spec | more, **({"space": in_space} if in_space else {}))


def of(state: State, name: str = "root/s") -> EffectiveStack:
    return effective(state.documents, stack_id(name))


def shown(name: str, state: State) -> dict[str, str | None]:
    found = effective_json(of(state, name)).env
    return {each.name: each.value if each.source is None else f"({each.source})" for each in found}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("  provider: aws\n", [("missing-key", 0, 1)]),
        ("  provider: was\n  plan: {}\n", [("invalid-value", 1, 13)]),
        ("  provider: vault\n", [("missing-key", 0, 1), ("missing-key", 0, 1)]),
        ("  provider: vault\n  address: http://vault.example\n  plan: {role: a}\n", [("invalid-url", 2, 12)]),
        ("  provider: vault\n  address: https://v.example/\n  plan: {role: a}\n", [("invalid-url", 2, 12)]),
        (
            "  provider: vault\n  address: https://v.example\n  mount: ../sys\n  plan: {role: a}\n",
            [("invalid-path", 3, 10)],
        ),
        ("  provider: aws\n  plan: {roleArn: admin}\n", [("invalid-role", 2, 19)]),
        ("  provider: aws\n  plan: {roleArn: 'arn:aws:iam::1:user/a'}\n", [("invalid-role", 2, 19)]),
        ("  provider: aws\n  plan: {}\n", [("missing-key", 2, 3)]),
        (f"  provider: aws\n  plan: {{clientId: {TENANT}}}\n", [("missing-key", 2, 3), ("invalid-value", 2, 10)]),
        (f"  provider: aws\n  plan: {{roleArn: {PLAN}}}\n  tenantId: {TENANT}\n", [("invalid-value", 3, 3)]),
        (
            (
                f"  provider: aws\n  plan: {{roleArn: {PLAN}}}\n  apply: {{roleArn: {APPLY}}}\n"
                "  subject: 'space:{space}:stack:{stack}'\n"
            ),
            [("invalid-value", 4, 12)],
        ),
        (f"  provider: aws\n  plan: {{roleArn: {PLAN}}}\n  subject: 'space:prod'\n", [("invalid-subject", 3, 12)]),
        (f"  provider: aws\n  plan: {{roleArn: {PLAN}}}\n  stacks:\n", [("wrong-type", 3, 3)]),
        (f"  provider: azure\n  plan: {{clientId: {TENANT}}}\n", [("missing-key", 0, 1)]),
        (f"  provider: azure\n  tenantId: example\n  plan: {{clientId: {TENANT}}}\n", [("invalid-id", 2, 13)]),
        ("  provider: gcp\n  audience: x\n", [("invalid-value", 2, 13)]),
        (f"  provider: gcp\n  audience: {POOL}\n  region: eu-central-1\n", [("invalid-value", 3, 11)]),
        (f"  provider: aws\n  plan: {{roleArn: {PLAN}}}\n  region: europe-west3\n", [("invalid-value", 3, 11)]),
        ("  provider: oidc\n  audience: a\n  variable: T\n  region: eu-central-1\n", [("invalid-value", 4, 3)]),
        (
            f"  provider: gcp\n  audience: {POOL}\n  plan: {{serviceAccount: bot@example.com}}\n",
            [("invalid-role", 3, 26)],
        ),
        ("  provider: oidc\n  audience: a\n  variable: T\n  assumedBy: service\n", [("invalid-value", 4, 3)]),
        ("  provider: oidc\n  audience: vault\n  variable: PATH\n", [("env-not-allowed", 3, 13)]),
        ("  provider: oidc\n  audience: k8s\n", [("missing-key", 0, 1)]),
        ("  provider: oidc\n  audience: k8s\n  kubernetes: {server: http://k.example}\n", [("invalid-url", 3, 24)]),
        (
            "  provider: oidc\n  audience: k\n  kubernetes: {server: https://k.example, certificateAuthority: x}\n",
            [("invalid-value", 3, 65)],
        ),
        (f"  provider: aws\n  plan: {{roleArn: {PLAN}, policy: '{{}}'}}\n", [("invalid-value", 2, 45)]),
        (
            f"  provider: aws\n  assumedBy: service\n  plan: {{roleArn: {PLAN}, policy: allow}}\n",
            [("invalid-value", 3, 53)],
        ),
        (
            f"  provider: aws\n  assumedBy: service\n  plan: {{roleArn: {PLAN}, policyArns: [admin]}}\n",
            [("invalid-value", 3, 58)],
        ),
        ("  provider: oidc\n  audience: vault\n  variable: T\n  plan: {}\n", [("invalid-value", 4, 3)]),
    ],
)
def test_bad_documents_are_refused_with_their_place(spec: str, expected: list[tuple[str, int, int]]) -> None:
    assert sorted(refused("CloudIntegration", spec)) == sorted(expected)


def test_the_contracts_example_is_accepted() -> None:
    spec = accepted(
        "CloudIntegration",
        "  provider: aws\n  audience: sts.amazonaws.com\n  region: eu-central-1\n"
        "  plan: {roleArn: 'arn:aws:iam::1:role/station-plan'}\n"
        "  apply: {roleArn: 'arn:aws:iam::1:role/station-apply'}\n  stacks: {matchLabels: {cloud: aws}}\n",
    )
    assert spec.role("plan") == "arn:aws:iam::1:role/station-plan"
    assert spec.subject_of("prod", "root/prod", "net", "tracked", "apply") == (
        "space:prod:stack:net:kind:tracked:phase:apply"
    )


VAULT = {"provider": "vault", "address": "https://v.example", "plan": {"role": "a"}}
IN_VAULT = {"P": {"vault": "kv/data/a#b"}}
LONG = "a" * 63


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"i.yaml": integration("a", AWS), "s.yaml": stack("s", integrations=["a"])}, [], id="good"),
        pytest.param(
            {"i.yaml": integration("prod", AWS), "s.yaml": stack("s", integrations=["prdo"])},
            ["s.yaml:1 unknown-integration did you mean prod?"],
            id="unknown",
        ),
        pytest.param(
            {
                "i.yaml": integration("a", AWS),
                "t/space.yaml": space("team", inherit=False),
                "t/s.yaml": stack("s", integrations=["a"]),
            },
            ["t/s.yaml:1 unknown-integration it must be in team, or in a space that team inherits from"],
            id="what does not flow is like what does not exist",
        ),
        pytest.param(
            {"i.yaml": many(integration("a", AWS), integration("b", AWS)), "s.yaml": stack("s", integrations=["a", "b"])},
            ["s.yaml:1 integration-clash use one of them"],
            id="two of one cloud",
        ),
        pytest.param(
            {
                "i.yaml": many(integration("a", AWS, attach={"matchLabels": {"x": "y"}}), integration("b", AWS)),
                "s.yaml": stack("s", integrations=["b"], labels={"x": "y"}),
            },
            ["s.yaml:1 integration-clash use one of them"],
            id="two of one cloud, one of them by labels",
        ),
        pytest.param(
            {"i.yaml": many(integration("a", AWS), integration("b", AZURE)), "s.yaml": stack("s", integrations=["a", "b"])},
            [],
            id="two clouds",
        ),
        pytest.param(
            {"i.yaml": integration("a", AWS), "s.yaml": stack("s", integrations=["a", "root/a"])},
            ["s.yaml:1 duplicate-integration name it once"],
            id="one by two names",
        ),
        pytest.param(
            {"i.yaml": integration("a", AWS, stacks={"matchLabels": {"c": "d"}}), "s.yaml": stack("s", integrations=["a"])},
            ["s.yaml:1 integration-not-allowed give it the labels"],
            id="labels that it asks for",
        ),
        pytest.param(
            {
                "i.yaml": integration("a", AWS),
                "t/space.yaml": space(LONG),
                "t/s.yaml": stack(LONG, integrations=["a"]),
            },
            ["t/s.yaml:1 subject-too-long shorten the name of the stack or space, or leave"],
            id="a subject that Google would not take",
        ),
        pytest.param(
            {
                "i.yaml": integration("a", AWS, subject="space:{space}:phase:{phase}"),
                "t/space.yaml": space(LONG),
                "t/s.yaml": stack(LONG, integrations=["a"]),
            },
            [],
            id="a shorter subject",
        ),
        pytest.param(
            {
                "i.yaml": integration("v", VAULT),
                "s.yaml": many(stack("s", integrations=["v"], env=IN_VAULT), stack("t", env=IN_VAULT), stack("u", "c")),
                "c.yaml": context("c", IN_VAULT),
            },
            ["s.yaml:3 no-vault name a CloudIntegration", "s.yaml:5 no-vault name a CloudIntegration"],
            id="a secret in a Vault that it does not reach",
        ),
        pytest.param(
            {
                "i.yaml": integration("a", AWS),
                "c.yaml": context("c", {"AWS_ACCESS_KEY_ID": "AKIA"}),
                "s.yaml": stack("s", "c", integrations=["a"], env={"AWS_PROFILE": "x", "ARM_CLIENT_SECRET": "y"}),
            },
            ["c.yaml:1 static-credentials remove one", "s.yaml:1 static-credentials remove one"],
            id="static credentials beside it",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_among_documents(files: dict[str, bytes], expected: list[str]) -> None:
    found = validate_files(files)
    told = [f"{d.position.file}:{d.position.line} {d.code} {d.hint}" for d in found if d.position]
    assert len(told) == len(expected), told
    assert all(line.startswith(start) for line, start in zip(told, expected, strict=True)), told


FILES = {
    "spaces.yaml": many(space("platform"), space("shop", "platform"), space("lab", "platform", inherit=False)),
    "i.yaml": many(
        integration("named", AWS, "platform"),
        integration(
            "labelled", AZURE, "platform", attach={"matchLabels": {"cloud": "azure"}}, stacks={"matchLabels": {"a": "b"}}
        ),
    ),
    "s.yaml": many(
        stack("s", in_space="shop", integrations=["named"], env={"AWS_REGION": "eu-west-1"}),
        stack("t", in_space="shop", labels={"cloud": "azure", "a": "b"}),
        stack("u", in_space="shop", labels={"cloud": "azure"}),
        stack("v", in_space="lab", labels={"cloud": "azure", "a": "b"}),
    ),
}  # fmt: skip


def test_what_stacks_get_is_shown_with_names_and_roles() -> None:
    state = begin(FILES)
    assert shown("shop/s", state) == {
        "AWS_ROLE_ARN": f"(plan: {PLAN}; apply: {APPLY})",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "(file aws.token of the run)",
        "AWS_ROLE_SESSION_NAME": "(id of the run)",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    (used,) = effective_json(of(state, "shop/t")).integrations
    assert (used.provider, used.how, used.audience) == (
        "azure",
        "attached by labels cloud=azure",
        "api://AzureADTokenExchange",
    )
    assert (used.plan, used.apply) == (TENANT, TENANT)
    assert of(state, "shop/u").integrations == of(state, "lab/v").integrations == ()


ACCOUNT = "look@shop.iam.gserviceaccount.com"
TOKEN = "(file {}.token of the run)"
GOOGLE = "(file gcp.json of the run)"
KUBE = "(file kubeconfig.json of the run)"
GCP = {"provider": "gcp", "audience": POOL}
CLUSTER = {"provider": "oidc", "audience": "k", "kubernetes": {"server": "https://k.example"}}
KUBERNETES = {"KUBECONFIG": KUBE, "KUBE_CONFIG_PATH": KUBE, "K8S_AUTH_KUBECONFIG": KUBE}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            AZURE | {"subscriptionId": TENANT},
            {
                "ARM_USE_OIDC": "true",
                **dict.fromkeys(["ARM_OIDC_TOKEN_FILE_PATH", "AZURE_FEDERATED_TOKEN_FILE"], TOKEN.format("azure")),
                **{
                    f"{tool}_{name}": TENANT
                    for tool in ("ARM", "AZURE")
                    for name in ("CLIENT_ID", "TENANT_ID", "SUBSCRIPTION_ID")
                },
            },
        ),
        (
            GCP | {"project": "shop", "region": "europe-west3", "plan": {"serviceAccount": ACCOUNT}},
            {
                **dict.fromkeys(["GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"], GOOGLE),
                **dict.fromkeys(["GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"], "shop"),
                "GOOGLE_REGION": "europe-west3",
            },
        ),
        (GCP, dict.fromkeys(["GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"], GOOGLE)),
        (VAULT, {"VAULT_ADDR": "https://v.example"}),
        ({"provider": "oidc", "audience": "a", "variable": "NOMAD_FILE"}, {"NOMAD_FILE": TOKEN.format("NOMAD_FILE")}),
        (CLUSTER, KUBERNETES),
    ],
    ids=["azure", "gcp", "gcp without impersonation", "vault", "oidc", "kubernetes"],
)
def test_the_variables_of_each_provider(spec: dict, expected: dict[str, str]) -> None:
    assert (
        shown("root/s", begin({"i.yaml": integration("i", spec), "s.yaml": stack("s", integrations=["i"])})) == expected
    )


@pytest.mark.parametrize(
    ("changed", "reached", "items"),
    [
        pytest.param(
            {"apply": {"roleArn": f"{APPLY}-2"}}, {"shop/s"}, {"env AWS_ROLE_ARN", "token"}, id="another role"
        ),
        pytest.param({"audience": "other"}, {"shop/s"}, {"token"}, id="another audience"),
        pytest.param(
            {"region": "eu-north-1"}, {"shop/s"}, {"env AWS_DEFAULT_REGION"}, id="a region in part overridden"
        ),
        pytest.param({"stacks": {"matchLabels": {}}}, {"shop/s"}, set(), id="who may use it"),
    ],
)
def test_a_change_reaches_its_stacks_and_counts_in_their_digest(
    changed: dict, reached: set[str], items: set[str]
) -> None:
    before = begin(FILES)
    after = go_on(
        before, {"i.yaml": many(integration("named", AWS | changed, "platform"), FILES["i.yaml"].split(b"---\n")[1])}
    )
    assert affected(before.in_force, after.in_force) == {stack_id(each) for each in reached}
    was, now = (fingerprint(of(state, "shop/s"), None).components[Component.INTEGRATIONS] for state in (before, after))
    assert {key.removeprefix("platform/named ") for key in was if was[key] != now[key]} == items


def test_one_in_use_cannot_leave() -> None:
    before = begin(FILES)
    after = go_on(before, {"i.yaml": FILES["i.yaml"].split(b"---\n")[1]})
    assert [d.code for d in after.in_force.diagnostics] == ["still-in-use"]
    assert len(of(after, "shop/s").integrations) == 1
