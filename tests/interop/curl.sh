#!/usr/bin/env bash
# Real curl against the server at $FOURCAST_URL: publishing, each way that HTTP carries, and resuming.
set -euo pipefail
: "${FOURCAST_URL:?the URL of a running server}"

readonly seconds=15 # the deadline of every request and of every wait for a line
readonly root="${FOURCAST_URL}/curl-$$"
passed=0
failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

main() {
  check a_publish_is_acknowledged_with_its_id
  check text_json_and_binary_arrive_as_what_they_are
  check json_keeps_its_digits
  check a_batch_is_published_whole_and_in_order
  check a_bad_line_refuses_the_whole_batch
  check a_poll_resumes_page_by_page
  check a_page_backwards_leads_backwards
  check nothing_new_is_304
  check a_long_poll_answers_at_the_first_event
  check a_long_poll_without_an_event_is_empty_in_time
  check sse_arrives_in_order_and_resumes
  check ndjson_arrives_in_order_and_resumes
  check the_way_may_change_with_the_same_cursor
  check last_gives_the_last_value
  check raw_is_the_payload_alone
  check head_tells_what_get_would_and_never_waits
  check delete_is_told_as_a_gap
  check a_list_and_a_pattern_are_subscribed_to_together
  check a_websocket_without_upgrade_is_426
  check a_repeated_publish_is_one_event_on_every_way
  check a_refusal_says_what_to_do
  check a_refused_page_may_not_read_its_refusal
  check a_preflight_is_answered
  check http_1_0_gets_its_answer
  printf 'curl: %d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ]
}

a_publish_is_acknowledged_with_its_id() {
  answer=$(request -d hi "$channel" -w '%{http_code}')
  matches "$answer" '^\{"id":"[0-9a-z]{10}-[0-9]+","channel":"[^"]+","time":[0-9]+\}'$'\n''201$'
}

text_json_and_binary_arrive_as_what_they_are() {
  post -d 'plain text' "$channel"
  post -H 'Content-Type: application/json' -d '{ "a" : 1 }' "$channel?type=made"
  printf '\377\000\001' | post -H 'Content-Type: application/octet-stream' --data-binary @- "$channel"
  answer=$(request "$channel")
  contains "$answer" '"data":"plain text"}'
  contains "$answer" '"type":"made"'
  contains "$answer" '"data":{"a":1}}'
  contains "$answer" '"encoding":"base64","data":"/wAB"}'
}

json_keeps_its_digits() {
  post --json '[1.0,12345678901234567890123,1e400]' "$channel"
  contains "$(request "$channel")" '"data":[1.0,12345678901234567890123,1e400]}'
}

a_batch_is_published_whole_and_in_order() {
  answer=$(batch 1 50)
  same "$(ids "$answer" | wc -l)" 50
  same "$(numbers "$(request "$channel")")" "$(seq 1 50)"
  same "$(ids "$(request "$channel")")" "$(ids "$answer")"
}

a_bad_line_refuses_the_whole_batch() {
  printf '%s\n' "{\"channel\":\"$name\",\"data\":{\"n\":1}}" '{"channel":' |
    request -H 'Content-Type: application/x-ndjson' --data-binary @- "$FOURCAST_URL/-/publish" -w '%{http_code}' |
    tail -n 1 >"$scratch/status"
  same "$(cat "$scratch/status")" 400
  same "$(numbers "$(request "$channel")")" ''
}

a_poll_resumes_page_by_page() {
  batch 1 25 >/dev/null
  seen=''
  after=earliest
  more=true
  while [ "$more" = true ]; do
    answer=$(request "$channel?after=$after&limit=10")
    seen+=$(numbers "$answer")$'\n'
    after=$(cursor "$answer")
    more=$(sed -E 's/.*"more":(true|false).*/\1/' <<<"$answer")
  done
  same "${seen%$'\n'}" "$(seq 1 25)"
  same "$(numbers "$(request "$channel?after=$after")")" ''
}

a_page_backwards_leads_backwards() {
  batch 1 5 >/dev/null
  answer=$(request -D "$scratch/head" "$channel?before=0000000000-1&limit=2")
  contains "$answer" '"gap":{"reason":"epoch","from":"0000000000-1"'
  same "$(numbers "$answer")" "$(seq 4 5)"
  same "$(header etag <"$scratch/head")$(header last-event-id <"$scratch/head")" ''
  same "$(numbers "$(request "$channel?before=$(cursor "$answer")")")" "$(seq 1 3)"
  same "$(status "$channel?before=$(cursor "$answer")&last=1")" 400
}

nothing_new_is_304() {
  post -d hi "$channel"
  etag=$(request -D - -o /dev/null "$channel" | header etag)
  matches "$etag" '^"[^"]+"$'
  same "$(status -H "If-None-Match: $etag" "$channel")" 304
  same "$(status -H "If-None-Match: \"other\", W/$etag" "$channel")" 304
  post -d more "$channel"
  same "$(status -H "If-None-Match: $etag" "$channel")" 200
}

a_long_poll_answers_at_the_first_event() {
  after=$(cursor "$(request "$channel")")
  exec {answer}< <(request -H "Prefer: wait=$seconds" "$channel?after=$after")
  publish 1 1
  same "$(numbers "$(next_line "$answer")")" 1
  exec {answer}<&-
}

a_long_poll_without_an_event_is_empty_in_time() {
  answer=$(request -i "$channel?wait=1")
  matches "$(header preference-applied <<<"$answer")" '^wait=1$'
  contains "$answer" '"events":[]}'
}

sse_arrives_in_order_and_resumes() {
  listen "$channel" -H 'Accept: text/event-stream'
  wait_for '^event: welcome'
  publish 1 30
  same "$(take '^data: \{"id"' 30)" "$(seq 1 30)"
  hang_up
  publish 31 40
  listen "$channel" -H 'Accept: text/event-stream' -H "Last-Event-ID: $(last_id)"
  publish 41 60
  same "$(take '^data: \{"id"' 30)" "$(seq 31 60)"
  hang_up
}

ndjson_arrives_in_order_and_resumes() {
  listen "$channel" -H 'Accept: application/x-ndjson'
  wait_for '^\{"op":"welcome","cursor":"'
  publish 1 30
  same "$(take '^\{"id"' 30)" "$(seq 1 30)"
  hang_up
  publish 31 40
  listen "$channel?transport=ndjson&after=$(last_id)"
  publish 41 60
  same "$(take '^\{"id"' 30)" "$(seq 31 60)"
  hang_up
}

the_way_may_change_with_the_same_cursor() {
  publish 1 5
  after=$(cursor "$(request "$channel?limit=2")")
  listen "$channel?transport=sse&after=$after"
  same "$(take '^data: \{"id"' 1)" 3
  hang_up
  answer=$(request "$channel?wait=5&after=$(last_id)&limit=1")
  same "$(numbers "$answer")" 4
  listen "$channel?transport=ndjson&after=$(cursor "$answer")"
  same "$(take '^\{"id"' 1)" 5
  hang_up
}

last_gives_the_last_value() {
  publish 1 9
  same "$(numbers "$(request "$channel?last=1")")" 9
  same "$(numbers "$(request "$channel?last=3")")" "$(seq 7 9)"
}

raw_is_the_payload_alone() {
  printf '\377\000raw' >"$scratch/sent"
  post -H 'Content-Type: image/png' --data-binary "@$scratch/sent" "$channel"
  request -D "$scratch/head" -o "$scratch/got" "$channel?format=raw"
  cmp "$scratch/sent" "$scratch/got"
  same "$(header content-type <"$scratch/head")" image/png
  same "$(header fourcast-channel <"$scratch/head")" "$name"
  after=$(header last-event-id <"$scratch/head")
  same "$(status "$channel?format=raw&after=$after")" 204
}

head_tells_what_get_would_and_never_waits() {
  post -d hi "$channel"
  head=$(request -I "$channel?wait=10&after=now")
  contains "$head" 'HTTP/1.1 200'
  same "$(header preference-applied <<<"$head")" wait=10
  contains "$(header cache-control <<<"$head")" no-store
  matches "$(header last-event-id <<<"$head")" '^[0-9a-z]{10}-[0-9]+$'
  head=$(request -I -H 'Accept: text/event-stream' "$channel")
  matches "$(header content-type <<<"$head")" '^text/event-stream'
}

delete_is_told_as_a_gap() {
  after=$(cursor "$(request "$channel")")
  publish 1 3
  same "$(status -X DELETE "$channel")" 204
  answer=$(request "$channel?after=$after")
  contains "$answer" '"gap":{"reason":"deleted","from":"'"$after"'"'
  same "$(numbers "$answer")" ''
  publish 4 4
  same "$(numbers "$(request "$channel?after=$(cursor "$answer")")")" 4
}

a_list_and_a_pattern_are_subscribed_to_together() {
  listen "$channel/*,$name-alerts?transport=ndjson"
  wait_for '^\{"op":"welcome"'
  put_number 1 "$channel/a"
  put_number 2 "$channel-alerts"
  put_number 3 "$channel-other"
  put_number 4 "$channel/b"
  same "$(take '^\{"id"' 3)" $'1\n2\n4'
  hang_up
}

a_websocket_without_upgrade_is_426() {
  answer=$(request -i "$channel?transport=websocket")
  contains "$answer" 'HTTP/1.1 426'
  same "$(header upgrade <<<"$answer")" websocket
}

a_refusal_says_what_to_do() {
  answer=$(request -i --path-as-is "$FOURCAST_URL/a%2Fb")
  contains "$answer" 'HTTP/1.1 400'
  same "$(header content-type <<<"$answer")" application/problem+json
  contains "$answer" '"code":"bad_channel"'
  contains "$answer" '"retry":false'
  same "$(status -H 'Host: evil.example' "$channel")" 421
  same "$(status -H 'Origin: https://evil.example' -d hi "$channel")" 403
  same "$(status -X BREW "$channel")" 501
}

a_repeated_publish_is_one_event_on_every_way() {
  request -H 'Idempotency-Key: "k1"' --json '{ "n": 1 }' "$channel" >"$scratch/first"
  printf '{"data":{"n":1}}\n' |
    request -H 'Idempotency-Key: k1' -H 'Content-Type: application/x-ndjson' --data-binary @- "$channel" >"$scratch/second"
  same "$(ids "$(cat "$scratch/second")")" "$(ids "$(cat "$scratch/first")")"
  same "$(status -H 'Idempotency-Key: k1' --json '{"n":2}' "$channel")" 422
  same "$(numbers "$(request "$channel")")" 1
}

a_refused_page_may_not_read_its_refusal() {
  head=$(request -i -H 'Origin: https://evil.example' "$channel")
  contains "$head" 'HTTP/1.1 403'
  same "$(header access-control-allow-origin <<<"$head")" ''
  head=$(request -i -H 'Origin: http://localhost:9000' "$channel?after=nonsense")
  contains "$head" 'HTTP/1.1 400'
  same "$(header access-control-allow-origin <<<"$head")" http://localhost:9000
}

a_preflight_is_answered() {
  head=$(request -i -X OPTIONS -H 'Origin: http://localhost:9000' -H 'Access-Control-Request-Method: POST' \
    -H 'Access-Control-Request-Headers: content-type' "$channel")
  matches "$head" 'HTTP/1\.1 20[04]'
  same "$(header access-control-allow-origin <<<"$head")" http://localhost:9000
  contains "$(header access-control-allow-methods <<<"$head")" POST
}

http_1_0_gets_its_answer() {
  publish 1 3
  same "$(numbers "$(request --http1.0 "$channel")")" "$(seq 1 3)"
}

# --- what the checks are made of ---

# Runs one check in a subshell, on a channel of its own.
check() {
  # Not in a condition: there bash would ignore the failures inside.
  set +e
  (
    set -euo pipefail
    trap 'kill "${listener:-}" 2>/dev/null || true' EXIT
    name="curl-$$/$1"
    channel="$root/$1"
    "$1"
  )
  local code=$?
  set -e
  if [ "$code" -eq 0 ]; then
    passed=$((passed + 1))
    echo "ok      $1"
  else
    failed=$((failed + 1))
    echo "FAILED  $1"
  fi
}

request() { curl -sS --max-time "$seconds" "$@"; }
post() { request "$@" >/dev/null; }
status() { request -o /dev/null -w '%{http_code}' "$@"; }
header() { tr -d '\r' | sed -n -E "s/^$1: *//Ip" | head -n 1; }
ids() { grep -o '"id":"[^"]*"' <<<"$1" | cut -d '"' -f 4; }
numbers() { grep -o '{"n":[0-9]*}' <<<"$1" | tr -cd '0-9\n' || true; }
cursor() { sed -E 's/^\{"cursor":"([^"]*)".*/\1/' <<<"$1"; }
last_id() { cat "$scratch/last_id"; }
put_number() { post --json "{\"n\":$1}" "$2"; }

# Publishes the numbers FROM to TO, one request after the other.
publish() {
  local n
  for ((n = $1; n <= $2; n++)); do put_number "$n" "$channel"; done
}

# Publishes them in one request, and prints the answer.
batch() {
  local n
  for ((n = $1; n <= $2; n++)); do printf '{"channel":"%s","data":{"n":%d}}\n' "$name" "$n"; done |
    request -H 'Content-Type: application/x-ndjson' --data-binary @- "$FOURCAST_URL/-/publish"
}

# Opens a stream; its lines are read with the functions below.
listen() {
  exec {stream}< <(exec curl -sSN --max-time 60 "$@")
  listener=$!
}

hang_up() {
  kill "$listener"
  listener=''
  exec {stream}<&-
}

next_line() {
  local line
  if ! IFS= read -r -t "$seconds" -u "$1" line; then
    echo "no line within $seconds s" >&2
    return 1
  fi
  printf '%s\n' "${line%$'\r'}"
}

wait_for() {
  local line=''
  until [[ $line =~ $1 ]]; do line=$(next_line "$stream"); done
}

# Prints the numbers of the next COUNT lines that match; leaves the last id in $scratch, since this runs in a subshell.
take() {
  local line count=0
  while [ "$count" -lt "$2" ]; do
    line=$(next_line "$stream")
    if [[ $line =~ $1 ]]; then
      count=$((count + 1))
      numbers "$line"
      ids "$line" >"$scratch/last_id"
    fi
  done
}

same() {
  [ "$1" = "$2" ] || fail "expected: $2" "got:      $1"
}

contains() {
  [[ $1 == *"$2"* ]] || fail "expected to find: $2" "in:               $1"
}

matches() {
  [[ $1 =~ $2 ]] || fail "expected to match: $2" "got:               $1"
}

fail() {
  printf '        %s\n' "$@" >&2
  return 1
}

main
