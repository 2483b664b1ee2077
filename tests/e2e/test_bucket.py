"""Runs and sweeps in a bucket of an S3 server on this machine."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

import layeratlas as la
from commands import the_line
from layeratlas.runs.lease import leased
from layeratlas.runs.lock import BEAT, LOCK
from layeratlas.store.bucket import ABSENT, Bucket, ChangedError, Tag
from layeratlas.sweeps.resources import Resources
from test_sweep import same_tables

RUN = ("run", "hierarchy", "--task", "items", "--size", "quick", "--out")


@pytest.mark.parametrize(
    ("address", "changed", "said"),
    [
        ("s3://none/run", {}, "there is no bucket for 's3://none/run'; expected one that exists"),
        (
            "s3://runs/run",
            {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_METADATA_ENDPOINT": "http://127.0.0.1:9"},
            "there are no valid credentials for 's3://runs/run'; expected AWS_ACCESS_KEY_ID",
        ),
        ("s3://runs/run", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "'s3://runs/run' does not answer"),
        (
            "az://runs/run",
            {},
            "there are no valid credentials for 'az://runs/run'; expected AZURE_STORAGE_ACCOUNT_NAME",
        ),
        ("ftp://runs/run", {}, "'ftp://runs/run' is no address of a bucket"),
    ],
    ids=["bucket", "credentials", "server", "azure", "scheme"],
)
def test_a_bucket_that_cannot_be_used_ends_in_one_line(atlas, s3, tiny_model_dir, address, changed, said):
    environment = {name: value for name, value in (s3 | changed).items() if value is not None}
    done = atlas(*RUN, address, "--model", str(tiny_model_dir), env=environment)
    assert said in the_line(done, done.code)
    assert done.code in (2, 3)


@pytest.mark.truth
def test_a_run_in_a_bucket_with_versions_is_resumed_and_its_lease_is_held(atlas, s3, in_s3, tiny_model_dir):
    """Listings name no version of an object, and answers to a write do."""
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="versions")
    client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    bucket = Bucket.open("s3://versions/run")
    first = bucket.write("tag", b"1", over=ABSENT)
    assert first.version is not None
    assert bucket.entries("tag")["tag"].tag == first  # by its e_tag: the listing has no version
    second = bucket.write("tag", b"2", over=first)
    with pytest.raises(ChangedError):
        bucket.write("tag", b"3", over=first)
    bucket.write("tag", b"3", over=second)
    bucket.remove("tag")
    with leased(bucket, LOCK) as lease:
        lease._beaten = 0.0
        lease.demand()  # renews it
        lease._beaten = 0.0
        lease.demand()
    command = (*RUN, "s3://versions/run", "--model", str(tiny_model_dir))
    for _ in range(2):
        done = atlas(*command, env=s3)
        assert done.code == 0, done.err
    before = bucket.entries()
    assert atlas(*command, env=s3).code == 0
    changed = {name for name, entry in bucket.entries().items() if before[name] != entry}
    assert changed == {LOCK}


@pytest.mark.truth
def test_a_run_that_slept_while_another_took_it_over_stops_in_one_line(atlas, s3, in_s3, tiny_model_dir):
    bucket = Bucket.open("s3://runs/slept")
    command = atlas.start(*RUN, "s3://runs/slept", "--model", str(tiny_model_dir), env=s3)
    end = time.monotonic() + 120
    while bucket.read("run.json") is None:
        assert command.running()
        assert time.monotonic() < end
        time.sleep(0.01)
    command.send(signal.SIGSTOP)
    time.sleep(2 * BEAT + 1)  # after which the process doubts its lease
    bucket.write(LOCK, b'{"held": true, "machine": "another", "pid": 1, "token": "theirs"}')
    before = bucket.entries()
    command.send(signal.SIGCONT)
    done = command.wait()
    assert done.code == 3, done.err
    assert done.err.splitlines()[-1].startswith("layeratlas: another process has taken over 's3://runs/slept/run.lock'")
    assert bucket.entries() == before


@pytest.mark.truth
def test_a_sweep_of_twelve_runs_in_a_bucket_with_kills_equals_a_serial_one(
    plan,
    folder_of,
    in_s3,
    tmp_path,
    monkeypatch,
):
    monkeypatch.setenv("LAYERATLAS_CACHE", str(tmp_path / "cache"))
    text = plan.read_text().replace("models = [", f'seeds = [0, 1]\nmodels = ["{folder_of("qwen3")}", ')
    (tmp_path / "sweep.toml").write_text(text)
    serial = la.sweep(tmp_path / "sweep.toml", out=tmp_path / "serial", resources=Resources(threads=1))
    killed: list[str] = []
    watches = [
        threading.Thread(target=kill_one, args=(tmp_path / "cache", sign, killed))
        for sign in ("activations/*.safetensors", "scores/*")
    ]
    for watch in watches:
        watch.start()
    sweep = la.sweep(tmp_path / "sweep.toml", out="s3://runs/sweep", resources=Resources(workers=2, threads=1))
    for watch in watches:
        watch.join()
    assert len(killed) == 2
    assert sweep.failed == {}
    assert sum(state.attempts for state in sweep.states.values()) == 12 + 2
    assert len(sweep.runs) == 12
    same_tables(sweep, serial)
    before = runs_of("s3://runs/sweep")
    again = la.sweep(tmp_path / "sweep.toml", out="s3://runs/sweep", resources=Resources(workers=2, threads=1))
    assert runs_of("s3://runs/sweep") == before
    assert len(again.runs) == 12


def runs_of(address: str) -> dict[str, Tag]:
    """Return the tag of every file of a sweep's runs; leases come and go."""
    entries = Bucket.open(address).entries("runs")
    return {name: entry.tag for name, entry in entries.items() if not name.endswith(LOCK)}


def kill_one(cache: Path, sign: str, killed: list[str]) -> None:
    """Kill a worker whose own folder holds a file like `sign`, one that was not killed before."""
    end = time.monotonic() + 600
    while time.monotonic() < end:
        for path in cache.glob(f"buckets/*/workers/*/files/runs/*/{sign}"):
            worker = path.relative_to(cache).parts[3]
            if worker not in killed:
                killed.append(worker)
                os.kill(int(worker.partition("@")[0]), signal.SIGKILL)
                return
        time.sleep(0.005)
