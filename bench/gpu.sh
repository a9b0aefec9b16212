#!/usr/bin/env bash
# Tests, memory and race checkers and benchmark on a machine with a GPU, in one go of at most LIMIT seconds, without a network.
#
#   OUT=folder   where tests.txt, memcheck.txt, racecheck.txt, gpu.json and gpu.svg go (bench/results/gpu)
#   LIMIT=570    seconds for everything; STEPS="tests sanitizer bench"; SECONDS_FOR_BENCH=400 at most
#   PYTHON=python3; WORKERS=14 processes for the tests; TESTS=words that select some (pytest -k)
#   BENCH_OPTIONS="--only overhead,first,models,fits"   some sections of the benchmark (bench/gpu/gpu_runs.py lists them)
#   REHEARSE=1   without a GPU: the same steps on the tests' stand-in for CuPy, a few kilobytes of data
#
# A step may fail without ending the rest; the exit code is the benchmark's.
set -u

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$repo" || exit 2
OUT=${OUT:-bench/results/gpu}
LIMIT=${LIMIT:-570}
STEPS=${STEPS:-tests sanitizer bench}
SECONDS_FOR_BENCH=${SECONDS_FOR_BENCH:-400}
python=${PYTHON:-python3}
mkdir -p "$OUT" || exit 2
OUT=$(cd "$OUT" && pwd)
SECONDS=0 # bash counts them from here on

export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
if [ -z "${REHEARSE:-}" ]; then
    export LOGREG_ACCEL_REQUIRE_GPU=1 # a broken CuPy shall fail the tests, not send them to the stand-in
else
    BENCH_OPTIONS="${BENCH_OPTIONS:-} --rehearse"
fi
# in a plain checkout the package finds its kernels beside it, so the path is all it takes; else a folder of links, else pip
export PYTHONPATH="$repo${PYTHONPATH:+:$PYTHONPATH}"
importable() { (cd / && "$python" -c "import logreg_accel.kernels.cuda, logreg_accel.backends") >"$OUT/.import" 2>&1; }
if ! importable; then
    echo "the checkout cannot be imported as it is:"
    tail -n 3 "$OUT/.import"
    "$python" -m pip install -q --no-build-isolation --no-deps -e . || echo "pip failed, too"
    importable || tail -n 3 "$OUT/.import"
fi
rm -f "$OUT/.import"

left() { echo $((LIMIT - SECONDS)); }
at_most() { local room=$(($(left) - $2)); echo $(($1 < room ? $1 : room)); }
wants() { [[ " $STEPS " == *" $1 "* ]]; }
summary=()

if wants tests; then
    seconds=$(at_most 240 120)
    parallel=()
    "$python" -c "import xdist" 2>/dev/null && parallel=(-n "${WORKERS:-14}") # most of the time goes into compiling kernels
    "$python" -c "import pytest_timeout" 2>/dev/null && parallel+=(--timeout 60)
    [ -n "${TESTS:-}" ] && parallel+=(-k "$TESTS")
    timeout -k 10 "$seconds" "$python" -m pytest tests -m "gpu and not slow" -q -p no:cacheprovider --tb=short --continue-on-collection-errors ${parallel[@]+"${parallel[@]}"} \
        --junitxml="$OUT/.junit.xml" >"$OUT/.tests" 2>&1
    code=$?
    {
        echo "exit code $code after at most $seconds s (124: out of time)"
        [ -f "$OUT/.junit.xml" ] && grep -o '<testsuite [^>]*>' "$OUT/.junit.xml" | sed -E 's/ (hostname|timestamp)="[^"]*"//g'
        tail -n 400 "$OUT/.tests"
    } >"$OUT/tests.txt"
    summary+=("tests: exit code $code: $(tail -n 1 "$OUT/.tests")")
    grep -E '^(FAILED|ERROR) ' "$OUT/.tests" | cut -c 1-200 | head -n 25
    rm -f "$OUT/.tests" "$OUT/.junit.xml"
fi

# Under a checker every array has bounds of its own: no pool (tests/conftest.py).
check_with() { # tool, seconds, tests
    local tool=$1 seconds=$(at_most "$2" 120) code
    if ! command -v compute-sanitizer >/dev/null || [ "$seconds" -le 10 ]; then
        echo "compute-sanitizer is not on the PATH, or no time was left" | tee "$OUT/$tool.txt"
        summary+=("$tool: not run")
        return
    fi
    LOGREG_ACCEL_NO_POOL=1 timeout -k 10 "$seconds" compute-sanitizer --tool "$tool" --error-exitcode 9 "$python" -m pytest tests/test_backends.py \
        -k "$3" -x -q -p no:cacheprovider -p no:xdist --tb=short >"$OUT/.checked" 2>&1
    code=$?
    {
        echo "exit code $code after at most $seconds s (124: out of time, 9: the checker found something)"
        grep -m 40 '=========' "$OUT/.checked"
        echo ...
        tail -n 60 "$OUT/.checked"
    } >"$OUT/$tool.txt"
    summary+=("$tool: exit code $code: $(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY|not supported|Error' "$OUT/.checked" | tail -n 1 | cut -c 1-200)")
    rm -f "$OUT/.checked"
}

if wants sanitizer; then
    check_with memcheck 70 "cupy and awkward"
    check_with racecheck 40 "cupy and awkward and float32 and unweighted"
fi

code=0
if wants bench; then
    seconds=$(at_most "$SECONDS_FOR_BENCH" 20)
    "$python" bench/gpu --seconds "$seconds" --output "$OUT" ${BENCH_OPTIONS:-} 2>&1 | tail -c 10500
    code=${PIPESTATUS[0]}
    summary+=("benchmark: exit code $code, up to $seconds s")
fi

printf '\n'
printf '%s\n' "${summary[@]+"${summary[@]}"}"
echo "$SECONDS s in all; results in $OUT"
exit "$code"
