#!/usr/bin/env bash
# Optuna 5.0.0 recommends JournalFileBackend for several processes. A writer that is killed, or a full disk, may leave half
# a line at the end of its file. Most expect the next writer to repair or skip it. Reading skips it, so all looks well; but
# the next entry is appended to the half line, and from then on the study cannot be opened any more: JSONDecodeError.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check optuna==5.0.0
cat > "$folder/half.py" <<'PYTHON'
import json, os, sys
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
optuna.logging.set_verbosity(optuna.logging.ERROR)
path = sys.argv[1]
def study():
    return optuna.create_study(storage=JournalStorage(JournalFileBackend(path)), study_name="s", load_if_exists=True)
first = study()
first.tell(first.ask(), 1.0)
with open(path, "rb") as file:
    whole = file.read()
last = whole.splitlines(keepends=True)[-1]
with open(path, "ab") as file:  # the beginning of an entry, as a killed writer leaves it
    file.write(last[: len(last) // 2])
print("trials read:", len(study().trials))
for step in ("ask", "open again"):
    try:
        study().ask() if step == "ask" else study()
        print(f"{step}: works")
    except json.JSONDecodeError:
        print(f"{step}: JSONDecodeError")
PYTHON
said=$("$folder/venv/bin/python" "$folder/half.py" "$folder/journal.log" 2>/dev/null | tr '\n' ';')
echo "$said"
[ "$said" = "trials read: 1;ask: JSONDecodeError;open again: JSONDecodeError;" ] || { echo "this has changed"; exit 1; }
