#!/usr/bin/env python3
"""Mutates a build in the ways of explain_cases.json; each time `buildctl debug explain` must
name the first cause. explain_cases.py local|import [NAME-PART]

From the environment: BUILDCTL, BUILDKIT_HOST, BASE and BASE_DIGEST (an OCI layout and its
manifest), BASE2 and BASE2_DIGEST (another), W (a folder). `import`: the second build has
only what it imports, the daemon's own cache is pruned.
"""
import json
import os
import shutil
import subprocess
import sys
import time

env = os.environ
here = os.path.dirname(os.path.abspath(__file__))
ctl = [env["BUILDCTL"]]


def put(root, path, what):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if isinstance(what, dict):
        os.symlink(what["link"], path)
    else:
        with open(path, "w") as out:
            out.write(what)


def build(context, more, second_base=False):
    base, digest = (env["BASE2"], env["BASE2_DIGEST"]) if second_base else (env["BASE"], env["BASE_DIGEST"])
    run = run_build(context, more, base, digest)
    if run.returncode != 0:
        raise SystemExit(run.stderr)
    return run.stderr


def run_build(context, more, base, digest):
    return subprocess.run(
        ctl + ["build", "--progress=plain", "--frontend", "dockerfile.v0", "--local", f"context={context}",
               "--local", f"dockerfile={context}", "--oci-layout", f"base={base}",
               "--opt", f"context:base=oci-layout://base@{digest}"] + more,
        capture_output=True, text=True, env={**env, "BUILDKIT_EXPLAIN": "1"})


def mutate(context, case):
    change = case["mutate"]
    for path in change.get("remove", []):
        path = os.path.join(context, path)
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    for path, text in change.get("write", {}).items():
        put(context, path, text)
    for path, target in change.get("links", {}).items():
        os.remove(os.path.join(context, path))
        os.symlink(target, os.path.join(context, path))
    for path, mode in change.get("chmod", {}).items():
        os.chmod(os.path.join(context, path), mode)
    for path, uid in change.get("chown", {}).items():
        os.chown(os.path.join(context, path), uid, uid)
    if "dockerfile_after" in change:
        put(context, "Dockerfile", change["dockerfile_after"])


def check(case, data, imported):
    context, cache = os.path.join(env["W"], "explain"), os.path.join(env["W"], "explain-cache")
    for folder in (context, cache):
        shutil.rmtree(folder, ignore_errors=True)
    for path, what in (case.get("files") or data["files"]).items():
        put(context, path, what)
    put(context, "Dockerfile", case.get("dockerfile") or data["dockerfile"])
    first, second = list(case.get("args", [])), list(case["mutate"].get("args_after", []))
    if imported:
        first += ["--export-cache", f"type=local,dest={cache},mode=max"]
        second += ["--import-cache", f"type=local,src={cache}"]
    build(context, first)
    mutate(context, case)
    prune = ["--all"] if imported else case["mutate"].get("prune")
    if prune:
        subprocess.run(ctl + ["prune"] + prune, check=True, stdout=subprocess.DEVNULL)
    log = build(context, second, case["mutate"].get("other_base", False))
    start = time.monotonic()
    said = subprocess.run(ctl + ["debug", "explain", "--format", "json"], check=True, capture_output=True, text=True)
    took = time.monotonic() - start
    expect = imported and case.get("expect_import") or case["expect"]
    steps = [s for s in json.loads(said.stdout)["steps"] if expect["step"] in s["name"]]
    cause = (steps[0].get("cause") if steps else None) or {}
    good = cause.get("kind") == expect["kind"] and expect["text"] in cause.get("text", "")
    if good and "cache miss: " + cause["text"] not in log:
        print(f"{case['name']}: the build's own output does not say {cause['text']!r}\n{log}")
        return False, took
    if not good:
        print(f"{case['name']}: expected {expect}\n{said.stdout}")
    return good, took


def main():
    imported = sys.argv[1] == "import"
    with open(os.path.join(here, "explain_cases.json")) as file:
        data = json.load(file)
    wrong, slowest, count = 0, 0.0, 0
    for case in data["cases"]:
        if len(sys.argv) > 2 and sys.argv[2] not in case["name"]:
            continue
        if imported and case.get("only") == "local":
            continue
        good, took = check(case, data, imported)
        count += 1
        wrong += not good
        slowest = max(slowest, took)
    print(f"{count - wrong} of {count} right, slowest answer {slowest * 1000:.0f} ms")
    sys.exit(1 if wrong or count == 0 else 0)


main()
