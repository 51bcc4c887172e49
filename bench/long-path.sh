# Sourced by bench/run. The harness emulates one long path (400 Mbit/s, 50 ms) and has no option for
# another, so its build gets a file overlay in which the path's figures are others and the echo is
# also measured on the idle path. Nothing of the harness is kept in the project.

# edit FILE TEXT-BEFORE TEXT-AFTER: replaces every TEXT-BEFORE; ends the run when there is none, since
# a harness that changed would otherwise measure another path than the tables say.
edit() {
  local text
  text="$(cat "$1")"
  [[ "$text" == *"$2"* ]] || fail "the harness changed: no '$2' in $(basename "$1")"
  printf '%s\n' "${text//"$2"/"$3"}" >"$1"
}

# overlay_long_path HARNESS: exports GOFLAGS and a build cache for the other path.
# LONG_PATH_MBIT: rate each way. LONG_PATH_DELAY_MS: one way. LONG_PATH_QUEUE_MS: the deepest queue.
overlay_long_path() {
  local harness="$1"
  local mbit="${LONG_PATH_MBIT:-50}" delay="${LONG_PATH_DELAY_MS:-20}" queue="${LONG_PATH_QUEUE_MS:-200}"
  [[ "$mbit $delay $queue" =~ ^[1-9][0-9]*\ [1-9][0-9]*\ [1-9][0-9]*$ ]] || fail "LONG_PATH_* are whole numbers"
  local cache="${XDG_CACHE_HOME:-$HOME/.cache}/tunnel-bench-long-path"
  local name="$((delay * 2)) ms round trip, $mbit Mbit/s"
  mkdir -p "$cache"
  for file in wan run report; do
    cp -f --no-preserve=mode "$harness/$file.go" "$cache/$file.go"
  done
  edit "$cache/wan.go" '25*time.Millisecond, "one way"' "$delay*time.Millisecond, \"one way\""
  edit "$cache/wan.go" '"mbit", 400,' "\"mbit\", $mbit,"
  edit "$cache/wan.go" '200*time.Millisecond, "the longest' "$queue*time.Millisecond, \"the longest"
  edit "$cache/run.go" '"25 ms each way, 400 Mbit/s, 200 ms queue, "' "\"$delay ms each way, $mbit Mbit/s, $queue ms queue, \""
  edit "$cache/run.go" $'"wan": {\n' $'"wan": {
			{"rtt_1", []string{"rtt", "-streams", "1", "-warm", "1s", "-secs", "3s"}},
			{"hol_up", []string{"hol", "-dir", "up", "-warm", "2s", "-secs", "3s"}},\n'
  edit "$cache/report.go" '50 ms round trip, 400 Mbit/s' "$name"
  edit "$cache/report.go" '{"connect p50 µs", "wan_connect_1", "p50_us", "%.0f"},' \
    '{"connect p50 µs", "wan_connect_1", "p50_us", "%.0f"}, {"idle echo p50 µs", "wan_rtt_1", "p50_us", "%.0f"}, {"p99 µs", "wan_rtt_1", "p99_us", "%.0f"},'
  edit "$cache/report.go" '{"p99 µs", "wan_hol_down", "p99_us", "%.0f"}}}' \
    '{"p99 µs", "wan_hol_down", "p99_us", "%.0f"}, {"MiB/s", "wan_hol_down", "mib_s", "%.2f"},
		{"echo in an upload p50 µs", "wan_hol_up", "p50_us", "%.0f"}, {"p99 µs", "wan_hol_up", "p99_us", "%.0f"}, {"MiB/s", "wan_hol_up", "mib_s", "%.2f"}}}'
  edit "$cache/report.go" '"wan_bulk_down_1", "mib_s", "%.1f"' '"wan_bulk_down_1", "mib_s", "%.2f"'
  edit "$cache/report.go" '"wan_bulk_up_1", "mib_s", "%.1f"' '"wan_bulk_up_1", "mib_s", "%.2f"'
  printf '{"Replace": {"%s/wan.go": "%s/wan.go", "%s/run.go": "%s/run.go", "%s/report.go": "%s/report.go"}}\n' \
    "$harness" "$cache" "$harness" "$cache" "$harness" "$cache" >"$cache/overlay.json"
  # A cache of its own for the program, so that a run on the usual path at the same time keeps its
  # own; Go's objects stay shared.
  GOCACHE="$(go env GOCACHE)"
  GOFLAGS="$(go env GOFLAGS) -overlay=$cache/overlay.json"
  export GOCACHE GOFLAGS XDG_CACHE_HOME="$cache"
}
