"""Where a value stands in Git: edited where one plain value gives it, else said in words."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.adopting.edits import Edit, edited
from reconciler.adopting.finding import Adoption, Clone, Finding
from spaces.effective.stack import effective
from spaces.names import StackId
from spaces.validate import examine_files
from tests.e2e.station import a_terraform, document

CODE = """\
# What is there.
resource "acme_box" "a" {
  size = 3 # three
  name = "x"
  tag  = var.tag
  kind = var.kind
  sum  = 1 + 2
  tags = { a = "b" }
}
variable "tag" {}
variable "kind" {
  default = "small"
}
"""
STACK = """\
apiVersion: stationkeeper/v1
kind: Stack
metadata: {name: boxes}
spec:
  tool: terraform
  source: {path: ./boxes}
  env:
    TF_VAR_tag: one   # the team
"""
MANIFESTS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2   # enough
  template:
    spec:
      containers:
        - name: web
          image: "web:1"
"""


def clone(files: dict[str, str]) -> Clone:
    return Clone(lambda directory: [file for file in files if file.startswith(f"{directory}/")], files.get)


def finding(files: dict[str, str], stack: str = "boxes") -> Finding:
    documents = examine_files({file: text.encode() for file, text in files.items() if "/" not in file}).documents
    here = clone(files)
    return Finding(effective(documents, StackId.parse(f"root/{stack}")), documents, here, here)


def differs(address: str, name: str, was: Any, now: Any, kind: str = "changed") -> dict[str, Any]:
    return {"address": address, "difference": kind, "attributes": [{"name": name, "was": was, "is": now}]}


def lines(files: dict[str, str], adoption: Adoption) -> str:
    """Return the line that an edit makes, or why there is none."""
    how = adoption.how
    if not isinstance(how, Edit):
        return f"{how.file}:{how.line} {how.why}"
    made = edited(files[how.file], [how])
    assert len(made.splitlines()) == len(files[how.file].splitlines())
    return f"{how.file}:{how.line} {made.splitlines()[how.line - 1].strip()}"


@pytest.mark.parametrize(
    ("name", "was", "now", "said"),
    [
        ("size", 3, 5, "boxes/main.tf:3 size = 5 # three"),
        ("name", "x", 'y"${z}', r'boxes/main.tf:4 name = "y\"\u0024{z}"'),
        ("tag", "one", "two", "stack.yaml:8 TF_VAR_tag: two   # the team"),
        ("tag", "one", "yes", 'stack.yaml:8 TF_VAR_tag: "yes"   # the team'),
        ("tag", "else", "two", "stack.yaml:8 the file says 'one' there"),
        ("kind", "small", "big", 'boxes/main.tf:12 default = "big"'),
        ("size", 4, 5, "boxes/main.tf:3 the file says '3' there"),
        ("sum", 3, 4, "boxes/main.tf:7 an expression gives it"),
        ("tags", {"a": "b"}, {"a": "c"}, "None:0 it is part of a larger value"),
        ("size", 3, "(sensitive)", "None:0 it is sensitive: read it where it is"),
        ("more", 1, 2, "None:0 the code says nothing of more of acme_box.a"),
    ],
)
def test_terraform(name: str, was: Any, now: Any, said: str) -> None:
    files = {"stack.yaml": STACK, "boxes/main.tf": CODE}
    (adoption,) = finding(files).adoptions(differs("acme_box.a", name, was, now))
    assert lines(files, adoption) == said


def test_terraform_with_other_values() -> None:
    files = {"stack.yaml": STACK, "boxes/main.tf": CODE, "boxes/terraform.tfvars": 'kind = "small"\n'}
    (adoption,) = finding(files).adoptions(differs("acme_box.a", "kind", "small", "big"))
    assert lines(files, adoption) == "boxes/main.tf:6 it is var.kind, which a file with values may set"
    (adoption,) = finding(files).adoptions(differs("module.m.acme_box.a", "size", 3, 5))
    assert "in a module" in lines(files, adoption)
    (gone,) = finding(files).adoptions(differs("acme_box.a", "size", 3, None, kind="missing"))
    assert (gone.attribute, "is not there" in lines(files, gone)) == (None, True)


def test_kubernetes() -> None:
    stack = document("Stack", "web", {"tool": "kubernetes", "source": {"path": "./web"}})
    files = {"web.yaml": stack, "web/all.yaml": MANIFESTS}

    def said(was: Any, now: Any) -> list[str]:
        return [
            lines(files, it)
            for it in finding(files, "web").adoptions(differs("Deployment.apps/shop/web", "spec", was, now))
        ]

    was = {"replicas": 2, "template": {"spec": {"containers": [{"image": "web:1", "name": "web"}]}}}
    now = {"replicas": 5, "template": {"spec": {"containers": [{"image": "web:2", "name": "web"}]}}}
    assert said(was, now) == ["web/all.yaml:9 replicas: 5   # enough", 'web/all.yaml:14 image: "web:2"']
    assert said({"replicas": 2}, {"replicas": None}) == [
        "web/all.yaml:0 it is there on one side only, or is no single value"
    ]
    files["web/kustomization.yaml"] = "resources: [all.yaml]\n"
    assert "a kustomization or a chart makes it" in said(was, now)[0]


def test_cloudformation() -> None:
    template = """\
Parameters:
  Size: {Type: String, Default: small}
  Days: {Type: Number, Default: 3}   # a while
Resources:
  Bucket:
    Properties:
      Name: logs   # of all
      Size: !Ref Size
      Days: {Ref: Days}
      Arn: !Sub "arn:${Name}"
"""
    spec = {"stackName": "x", "region": "eu-central-1", "template": "t.yaml", "parameters": {"Size": "big"}}
    stack = document("Stack", "cf", {"tool": "cloudformation", "source": {"path": "./cf"}, "cloudformation": spec})
    files = {"cf.yaml": stack, "cf/t.yaml": template}

    def said(name: str, was: Any, now: Any) -> str:
        (adoption,) = finding(files, "cf").adoptions(differs("Bucket", name, was, now))
        return lines(files, adoption)

    assert said("Name", "logs", "old-logs") == "cf/t.yaml:7 Name: old-logs   # of all"
    assert said("Days", "3", "5") == "cf/t.yaml:3 Days: {Type: Number, Default: 5}   # a while"
    file, _, line = said("Size", "big", "huge").partition(":")
    assert (file, "huge" in line) == ("cf.yaml", True)
    assert said("Arn", "arn:x", "arn:y") == "cf/t.yaml:10 a function gives it, or it is no single value"
    assert said("More", 1, 2) == "cf/t.yaml:0 the template says nothing of it"


def test_other_tools_and_no_clone() -> None:
    files = {
        "p.yaml": document("Stack", "p", {"tool": "script", "script": {"apply": "true"}}),
        "t.yaml": a_terraform("t", "./t"),
    }
    (adoption,) = finding(files, "p").adoptions(differs("a", "size", 1, 2))
    assert lines(files, adoption) == "p.yaml:0 script does not say where it comes from"
    (adoption,) = Finding().adoptions(differs("a", "size", 1, 2))
    assert "--repository" in lines(files, adoption)
