#!/usr/bin/env bash
# Tests of .ci/functions.sh: each function meets commands made for the test, and must
# pass or fail.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./functions.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# expect NAME STATUS TEXT COMMAND... wants an exit status, and TEXT in the output
# unless it is empty. The command runs with errexit, as in .ci/run.
expect() {
	local name=$1 want=$2 text=$3 got=0
	shift 3
	rm -f "$work"/*
	set +e
	(set -e; "$@") >"$work/out" 2>&1
	got=$?
	set -e
	if [ "$got" != "$want" ] || { [ -n "$text" ] && ! grep -qF -- "$text" "$work/out"; }; then
		printf '%s: got %d and this output, want %d and "%s":\n' "$name" "$got" "$want" "$text"
		cat "$work/out"
		failures=1
	fi
}

# fake prints a text at each call and fails at the first FAILING calls.
fake() {
	local text=$1 failing=$2 calls
	printf x >>"$work/calls"
	calls=$(wc -c <"$work/calls")
	if [ "$calls" -le "$failing" ]; then
		printf '%b\n' "$text"
		return 1
	fi
	printf 'ok  \tm/a\t1.0s\n'
}

# race TEXT FAILING CALLS wants run_race to call its command CALLS times.
race() {
	local status=0
	run_race "$work/log" fake "$1" "$2" || status=1
	[ "$(wc -c <"$work/calls")" -eq "$3" ] || { printf 'called %d times, want %d\n' "$(wc -c <"$work/calls")" "$3"; status=2; }
	return "$status"
}

crash='==1==ERROR\nThreadSanitizer: CHECK failed: tsan_rtl.cpp:1 "((0)) != (0)"\nFAIL\tm/a\t0.1s\nFAIL'
expect 'tests pass' 0 'ok' race '' 0 1
expect 'one crash' 0 'golang/go#78156' race "$crash" 1 2
expect 'two crashes' 1 'golang/go#78156' race "$crash" 2 2
expect 'a test fails' 1 '--- FAIL' race '--- FAIL: TestA (0.00s)\nFAIL' 1 1
expect 'a crash and a failed test' 1 'CHECK failed' race "--- FAIL: TestA (0.00s)\n$crash" 1 1
expect 'a crash and a failed subtest' 1 'CHECK failed' race "    --- FAIL: TestA/b (0.00s)\n$crash" 1 1
expect 'a crash and a race' 1 'CHECK failed' race "WARNING: DATA RACE\n$crash" 1 1
expect 'a crash and a panic' 1 'CHECK failed' race "panic: boom\n$crash" 1 1
expect 'a crash and a fatal error' 1 'CHECK failed' race "fatal error: all goroutines are asleep\n$crash" 1 1
expect 'a crash and no build' 1 'CHECK failed' race "FAIL\tm/b [build failed]\n$crash" 1 1
expect 'no reason at all' 1 'FAIL' race 'FAIL\tm/a\t0.1s' 1 1

# coverage LOG PACKAGE... checks a log against 90 percent.
coverage() {
	printf '%b' "$1" >"$work/log"
	shift
	check_coverage "$work/log" 90 "$@" && echo covered
}

expect 'enough coverage' 0 'covered' coverage 'ok  \tm/a\t1.0s\tcoverage: 90.0% of statements\nok  \tm/a/b\t(cached)\tcoverage: 100.0% of statements\n' m/a m/a/b
expect 'too little' 1 'coverage of m/a is 89 %, under 90 %' coverage 'ok  \tm/a\t1.0s\tcoverage: 89.9% of statements\n' m/a
expect 'too little in the last' 1 'coverage of m/b is 9 %' coverage 'ok  \tm/a\t1.0s\tcoverage: 90.0% of statements\nok  \tm/b\t1.0s\tcoverage: 9.0% of statements\n' m/a m/b
expect 'every low package is named' 1 'coverage of m/b is unknown %' coverage 'ok  \tm/a\t1.0s\tcoverage: 0.0% of statements\n' m/a m/b
expect 'no test files' 1 'coverage of m/a is 0 %' coverage '\tm/a\t\tcoverage: 0.0% of statements\n' m/a
expect 'no word of it' 1 'coverage of m/a is unknown %' coverage '?   \tm/a\t[no test files]\n' m/a
expect 'a longer name' 1 'coverage of m/a is unknown %' coverage 'ok  \tm/a/b\t1.0s\tcoverage: 99.0% of statements\n' m/a
expect 'nothing to cover' 0 'covered' coverage 'ok  \tm/a\t1.0s\tcoverage: [no statements]\n' m/a

expect 'a program that is there' 0 '' need bash bash
expect 'a program that is not' 1 'no-such-program is missing: install such (Debian)' need no-such-program 'such (Debian)'
broken() { return 1; }
works() { cat >/dev/null; }
expect 'a compiler that works' 0 '' need_compiler works 1
expect 'a compiler without a library' 1 'install gcc and libc6-dev' need_compiler broken 1
expect 'no compiler' 1 'install gcc and libc6-dev' need_compiler no-such-program 0
expect 'cgo turned off' 1 'CGO_ENABLED is 0' need_compiler works 0

# targets LIST STATUS runs fuzz with a go command that lists LIST and notes what it
# runs.
targets() {
	local listed=$1 status=${2:-0}
	go() {
		if [ "$2" = -list ]; then
			printf '%b' "$listed"
			return "$status"
		fi
		printf 'ran %s\n' "$*"
		! [[ $* == *FuzzBad* ]]
	}
	fuzz '^Fuzz' 5x
}
expect 'a target runs' 0 'ran test -run ^$ -fuzz ^FuzzA$ -fuzztime 5x m/a' targets 'FuzzA\nok  \tm/a\t0.1s\n?   \tm/c\t[no test files]\nok  \tm/b\t0.1s\n'
expect 'each target runs in its package' 0 'ran test -run ^$ -fuzz ^FuzzC$ -fuzztime 5x m/b' targets 'FuzzA\nok  \tm/a\t0.1s\nFuzzB\nFuzzC\nok  \tm/b\t0.1s\n'
runs() { targets "$1" | grep -c '^ran'; }
expect 'no target runs twice' 0 '3' runs 'FuzzA\nok  \tm/a\t0.1s\nFuzzB\nFuzzC\nok  \tm/b\t0.1s\n'
expect 'a target that fails' 1 'FuzzBad' targets 'FuzzBad\nFuzzA\nok  \tm/a\t0.1s\n'
expect 'no target' 1 'no fuzz target matches ^Fuzz' targets 'ok  \tm/a\t0.1s\n'
expect 'tests that do not compile' 1 'undefined: x' targets 'm/a_test.go:1: undefined: x\nFAIL\tm/a [build failed]\nFuzzA\nok  \tm/b\t0.1s\n' 1

timed() {
	step one
	step_began=$((SECONDS - 7))
	step two
}
expect 'a step says how long the last took' 0 'took 7 s' timed

if [ "$failures" != 0 ]; then
	exit 1
fi
echo 'the functions of .ci/run do as they say'
