#!/usr/bin/env python3
"""Says what is wrong with the state directory of a daemon that does not work now.

root_check.py ROOT [--dangling]: the database is sound and every record's snapshot is on disk;
after a start and a stop also no key leads nowhere, and every snapshot and blob on disk is
some record's. With `--stored FILE` snapshots and blobs are not on disk but those that the file
names, one a line, blobs as sha256:HEX. One line per complaint; status 1.
"""
import argparse
import json
import os
import shutil
import sqlite3
import sys
import tempfile


def open_copy(root):
    """The database as a reader would recover it; the original stays as it is."""
    folder = tempfile.mkdtemp()
    for suffix in ("", "-wal"):
        path = os.path.join(root, "index.db" + suffix)
        if os.path.exists(path):
            shutil.copy(path, os.path.join(folder, "index.db" + suffix))
    return sqlite3.connect(os.path.join(folder, "index.db")), folder


def blobs_of(row):
    texts = ([row["blob"]] if row["blob"] else []) + ([row["variants"]] if row["variants"] else [])
    for text in texts:
        value = json.loads(text)
        for one in value if isinstance(value, list) else [value]:
            yield one["digest"].split(":")[1]


def on_disk(root):
    trees = os.path.join(root, "snapshots")
    store = os.path.join(root, "content", "blobs", "sha256")
    return ({entry for entry in os.listdir(trees) if os.path.isdir(os.path.join(trees, entry))},
            set(os.listdir(store)) if os.path.isdir(store) else set())


def listed(path):
    names = set(open(path).read().split())
    blobs = {name for name in names if name.startswith("sha256:")}
    return names - blobs, {name.split(":")[1] for name in blobs}


def check(root, dangling, stored):
    db, folder = open_copy(root)
    db.row_factory = sqlite3.Row
    wrong = [f"integrity_check: {row[0]}" for row in db.execute("PRAGMA integrity_check")
             if row[0] != "ok"]
    rows = db.execute("SELECT * FROM record").fetchall()
    snapshots, have = listed(stored) if stored else on_disk(root)
    named = {row["snapshot"] for row in rows if row["snapshot"]}
    for row in rows:
        if row["extracted"] and row["snapshot"] and row["snapshot"] not in snapshots:
            wrong.append(f"record {row['id']}: snapshot {row['snapshot']} is not there")
    if dangling:
        ids = {row["id"] for row in rows}
        for key, result in db.execute("SELECT key, result FROM key_result"):
            if result and result not in ids:
                wrong.append(f"key {key}: its result {result} is no record")
        wrong += [f"snapshot {name} is nobody's" for name in snapshots - named]
        live = {blob for row in rows for blob in blobs_of(row)}
        live |= {row[0].split(":")[1] for row in db.execute("SELECT digest FROM blob_lease")}
        wrong += [f"blob {name} is nobody's" for name in have - live]
    shutil.rmtree(folder)
    return wrong


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("root")
    options.add_argument("--dangling", action="store_true")
    options.add_argument("--stored")
    chosen = options.parse_args()
    complaints = check(chosen.root, chosen.dangling, chosen.stored)
    print("\n".join(complaints))
    sys.exit(1 if complaints else 0)
