#!/usr/bin/env bash
# `make tools` calls this. It builds the real tools that the tests run into .tools/bin, from Go modules and PyPI alone.
# A folder beside this script holds one tool: its go.mod names the version. What is there in that version is left alone.
# A tool that cannot be built is named, the others are built all the same, and the script ends with 1.
set -uo pipefail
cd "$(dirname "$0")"
tools="$(cd ../.. && pwd)/.tools"
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -p=2"

if ! command -v go >/dev/null; then
  echo "go is not installed: the real tools are not built, and the tests that need them are skipped" >&2
  exit 0
fi

# Build the package `$2` as the program `$1`; the further arguments are variables that the linker sets, as NAME=VALUE.
program() {
  local name=$1 package=$2 flags="-s -w"
  shift 2
  for variable; do flags+=" -X $variable"; done
  echo "building $name"
  go build -trimpath -ldflags "$flags" -o "$tools/bin/$name" "$package"
}

version() { go list -m -f '{{.Version}}' "$1"; }
folder() { go list -m -f '{{.Dir}}' "$1"; }

opentofu() {
  program tofu github.com/opentofu/opentofu/cmd/tofu github.com/opentofu/opentofu/version.dev=no
}

terragrunt() {
  local module=github.com/gruntwork-io/terragrunt
  program terragrunt $module "$module/internal/version.Version=$(version $module)"
}

helm() {
  local module=helm.sh/helm/v4
  program helm $module/cmd/helm "$module/internal/version.version=$(version $module)"
}

kubernetes() {
  local minor release
  release=$(version k8s.io/kubernetes) || return
  minor=${release#v1.} minor=${minor%%.*}
  local set=()
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    set+=("$package.gitVersion=$release" "$package.gitMajor=1" "$package.gitMinor=$minor")
  done
  program etcd go.etcd.io/etcd/server/v3 &&
    program kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver "${set[@]}" &&
    program kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager "${set[@]}" &&
    program kubectl k8s.io/kubernetes/cmd/kubectl "${set[@]}"
}

# Pulumi's own language host for Python is no Go module that can be had: language_python.py stands in for it. All else
# that Python programs need is Pulumi's own.
pulumi() {
  local sdk=github.com/pulumi/pulumi/sdk/v3 release
  release=$(version $sdk) || return
  program pulumi github.com/pulumi/pulumi/pkg/v3/cmd/pulumi "$sdk/go/common/version.Version=${release#v}" &&
    python3 -m venv "$tools/pulumi-python" &&
    "$tools/pulumi-python/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt &&
    install -m 644 language_python.py "$(folder $sdk)/python/cmd/pulumi-language-python-exec" "$tools/pulumi-python" &&
    install -m 755 pulumi-language-python "$(folder $sdk)/python/dist/pulumi-resource-pulumi-python" "$tools/bin"
}

pulumi-yaml() {
  local module=github.com/pulumi/pulumi-yaml
  program pulumi-language-yaml $module/cmd/pulumi-language-yaml "$module/pkg/version.Version=$(version $module)"
}

# A provider for Terraform and OpenTofu, laid out as a mirror of both registries.
sops() {
  local module=github.com/getsops/sops/v3 release
  release=$(version $module) || return
  program sops $module/cmd/sops "$module/version.Version=${release#v}"
}

terraform-provider-local() {
  local module=github.com/terraform-providers/terraform-provider-local release=1.4.0 registry place
  place=hashicorp/local/$release/$(go env GOOS)_$(go env GOARCH)
  program "../providers/terraform-provider-local_v$release" $module || return
  for registry in registry.terraform.io registry.opentofu.org; do
    mkdir -p "$tools/providers/$registry/$place" &&
      ln -f "$tools/providers/terraform-provider-local_v$release" "$tools/providers/$registry/$place/" || return
  done
}

mkdir -p "$tools/bin" "$tools/built" "$tools/providers"
failed=()
for tool in opentofu terragrunt terraform-provider-local sops helm kubernetes pulumi pulumi-yaml; do
  wanted=$(cat build.sh $tool/* | cksum)
  if [ "$(cat "$tools/built/$tool" 2>/dev/null)" = "$wanted" ]; then continue; fi
  if (cd $tool && $tool); then
    echo "$wanted" >"$tools/built/$tool"
  else
    failed+=("$tool")
  fi
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "COULD NOT BUILD: ${failed[*]}; the tests that need them are skipped" >&2
  exit 1
fi
