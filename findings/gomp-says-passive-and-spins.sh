#!/usr/bin/env bash
# scikit-learn 1.8.0 brings GCC's OpenMP library, libgomp. Asked by OMP_DISPLAY_ENV what it does, without any setting:
#   OMP_WAIT_POLICY = 'PASSIVE'   GOMP_SPINCOUNT = '300000'
# Most expect that a passive policy sleeps at once. It spins 300,000 times first, and only OMP_WAIT_POLICY=PASSIVE in the
# environment makes it sleep, though the first line reads the same then:
#   OMP_WAIT_POLICY = 'PASSIVE'   GOMP_SPINCOUNT = '0'
# So the policy that it shows does not tell the two apart, and the default costs much beside another busy program.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.8.0
unset OMP_WAIT_POLICY GOMP_SPINCOUNT OMP_NUM_THREADS
told() {
  env OMP_DISPLAY_ENV=VERBOSE OMP_NUM_THREADS=2 "$@" "$folder/venv/bin/python" -c "import sklearn.metrics" 2>&1 |
    grep -oE "(OMP_WAIT_POLICY|GOMP_SPINCOUNT) = '[A-Z0-9]+'" | sort -u | tr '\n' ' '
}
unset_=$(told env)
passive=$(told env OMP_WAIT_POLICY=PASSIVE)
echo "nothing set:             $unset_"
echo "OMP_WAIT_POLICY=PASSIVE: $passive"
[ "$unset_" = "GOMP_SPINCOUNT = '300000' OMP_WAIT_POLICY = 'PASSIVE' " ] || { echo "this has changed"; exit 1; }
[ "$passive" = "GOMP_SPINCOUNT = '0' OMP_WAIT_POLICY = 'PASSIVE' " ] || { echo "this has changed"; exit 1; }
