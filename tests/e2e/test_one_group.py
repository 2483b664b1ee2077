"""One group, and one question, of a whole run: no interval claims what so little cannot show."""

from __future__ import annotations

import json

import polars as pl

from commands import tables


def test_one_group_and_one_question_have_no_interval_of_width_0(atlas, tiny_model_dir, tmp_path):
    rows = [{"question": f"Thing {i}", "choices": ["red", "blue"], "answer": i % 2, "group": "g"} for i in range(12)]
    (tmp_path / "samegroup.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "one.json").write_text(json.dumps(rows[0]))
    for name in ("samegroup.jsonl", "one.json"):
        out = tmp_path / name.partition(".")[0]
        flags = ("--model", tiny_model_dir, "--data", tmp_path / name, "--set", "shots=0", "--out", out)
        done = atlas("run", "exits", *flags, page=name == "one.json")
        assert (done.code, "Traceback" in done.err) == (0, False), done.err
        curves, findings = tables(out)
        shares = curves.filter(pl.col("metric").is_in(["accuracy", "ties"]))
        assert (shares["lo"] == 0).all()
        assert (shares["hi"] == 1).all()
        width = findings.filter(pl.col("lo").is_finite()).select(pl.col("hi") - pl.col("lo"))
        assert (width.to_series() > 0.5).all()
        assert "supported" not in findings["verdict"].to_list()
