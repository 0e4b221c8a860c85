#!/usr/bin/env python3
"""Reads every #include "…" against the table in cmake/Layers.cmake.

Prints each include that goes up or sideways and exits 1 if there is one.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r'^set\(KILN_MAY_USE_(\S+)\s+"?([^")]*)"?\)', re.M)
INCLUDE = re.compile(r'^\s*#include "([^"]+)"', re.M)


def table():
    text = (ROOT / "cmake/Layers.cmake").read_text()
    return {name: used.split() for name, used in ROW.findall(text)}


def layer_of(path, rows):
    parts = path.split("/")[:-1]
    while parts:
        name = "/".join(parts)
        if name in rows:
            return name
        parts.pop()
    return None


def main():
    rows = table()
    bad = []
    for ext in ("*.h", "*.cc", "*.inc"):
        for file in ROOT.rglob(ext):
            path = file.relative_to(ROOT).as_posix()
            if path.startswith("build/"):
                continue
            here = layer_of(path, rows)
            if here is None:
                continue
            for target in INCLUDE.findall(file.read_text(errors="replace")):
                there = layer_of(target, rows)
                if there is None or there == here or "*" in rows[here]:
                    continue
                if there not in rows[here]:
                    bad.append(f"{path}: includes {target}, but {here} may not use {there}")
    print("\n".join(bad) if bad else "layers: every include goes down")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
