# What .ci/run is made of. Sourced by it and by .ci/functions_test.sh.

# step NAME begins a step and says how long the one before took.
step() {
	end_step
	printf '\n== %s\n' "$*"
	step_began=$SECONDS
}

end_step() {
	if [ -n "${step_began:-}" ]; then
		printf '   took %d s\n' $((SECONDS - step_began))
	fi
	step_began=
}

# fail says what is wrong and ends the run.
fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

# need PROGRAM INSTALL fails if there is no such program.
need() {
	command -v "$1" >/dev/null || fail "$1 is missing: install $2"
}

# need_compiler COMPILER CGO_ENABLED fails if programs for the race detector cannot
# be built. A compiler without the C library's files does not help.
need_compiler() {
	if [ "$2" = 0 ] && command -v "$1" >/dev/null; then
		fail "CGO_ENABLED is 0, and the race detector needs cgo: unset it"
	fi
	if ! printf 'int main(void) { return 0; }\n' | "$1" -x c -o /dev/null - 2>/dev/null; then
		fail "$1 is missing or compiles nothing, and the race detector needs it: install gcc and libc6-dev (Debian), gcc and glibc-devel (Fedora), gcc and musl-dev (Alpine), or run xcode-select --install (macOS)"
	fi
}

# run_race LOG COMMAND... runs tests with the race detector and keeps their output.
#
# It repeats the run once if all that went wrong is the race detector's own crash
# (golang/go#78156): it happens before any test has failed, and says nothing of the
# code. Any other sign of trouble in the same run is a failure at once.
run_race() {
	local log=$1
	shift
	if "$@" 2>&1 | tee "$log"; then
		return
	fi
	if ! only_race_detector_crashed "$log"; then
		return 1
	fi
	printf '\nThe race detector crashed (golang/go#78156) and no test failed: one more try.\n\n'
	"$@" 2>&1 | tee "$log"
}

only_race_detector_crashed() {
	grep -q 'ThreadSanitizer: CHECK failed' "$1" &&
		! grep -Eq -- '--- FAIL|DATA RACE|^panic:|^fatal error:|\[(build|setup) failed\]' "$1"
}

# check_coverage LOG LEAST PACKAGE... fails for packages that go test -cover says
# nothing of, or of whose statements their own tests run less than LEAST percent.
check_coverage() {
	local log=$1 least=$2 package line percent low=0
	shift 2
	for package; do
		line=$(awk -v package="$package" '$1 == package || $2 == package' "$log" | grep 'coverage: ' || true)
		case $line in
		*'[no statements]'*) continue ;;
		esac
		percent=$(printf '%s\n' "$line" | sed -nE 's/.*coverage: ([0-9]+)\..*/\1/p')
		if [ -z "$percent" ] || [ "$percent" -lt "$least" ]; then
			printf 'coverage of %s is %s %%, under %s %%\n' "$package" "${percent:-unknown}" "$least" >&2
			low=1
		fi
	done
	return "$low"
}

# fuzz PATTERN TIME runs each fuzz target of the module whose name matches. It fails
# if it finds no target: one that was renamed must not go missing quietly.
fuzz() {
	local list targets package target
	list=$(go test -list "$1" ./...) || fail "$list"
	# A package's targets come before its line "ok PACKAGE TIME".
	targets=$(printf '%s\n' "$list" | awk '/^Fuzz/ { names[++n] = $1 } $1 == "ok" { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }')
	[ -n "$targets" ] || fail "no fuzz target matches $1"
	while read -r package target; do
		printf '%s %s\n' "$package" "$target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$2" "$package" </dev/null ||
			fail "$target failed"
	done <<<"$targets"
}
