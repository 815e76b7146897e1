# Reads lines of a server's name and a report of fourcast bench --json; prints the medians of two servers, and what
# went wrong in all rounds together. A report has each of these names once, so it needs no parser.

BEGIN {
  figures = split("cpu_us_per_delivery p50 p99 deliveries_per_second events_per_second", name, " ")
  split("CPU a delivery, µs|delay p50, µs|delay p99, µs|deliveries a second|publishes acknowledged a second", label, "|")
}

{
  server = $1
  if (!(server in runs)) servers[++count] = server
  runs[server]++
  for (i = 1; i <= figures; i++) value[server, i, runs[server]] = figure(name[i])
  flaws[server] += figure("losses") + figure("duplicates") + figure("out_of_order")
}

END {
  print row("", servers[1], servers[2], servers[1] "/" servers[2])
  for (i = 1; i <= figures; i++) {
    first = median(servers[1], i)
    second = median(servers[2], i)
    print row(label[i], rounded(first), rounded(second), ratio(first, second))
  }
  print row("lost, twice or out of order in all", flaws[servers[1]], flaws[servers[2]], "")
}

# The number behind a name in this line; "unknown" for null.
function figure(name) {
  if (!match($0, "\"" name "\":-?[0-9.eE+-]+")) return "unknown"
  return substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) + 0
}

function median(server, i,    sorted, n, j, k, next_value) {
  n = runs[server]
  for (j = 1; j <= n; j++) {
    next_value = value[server, i, j]
    if (next_value == "unknown") return "unknown"
    for (k = j - 1; k > 0 && sorted[k] > next_value; k--) sorted[k + 1] = sorted[k]
    sorted[k + 1] = next_value
  }
  return (sorted[int((n + 1) / 2)] + sorted[int(n / 2) + 1]) / 2
}

function rounded(number) {
  if (number == "unknown") return number
  return sprintf(number < 100 ? "%.2f" : "%.0f", number)
}

function ratio(first, second) {
  if (first == "unknown" || second == "unknown" || second == 0) return ""
  return sprintf("%.2f", first / second)
}

# awk may count a µ as two characters, so the label comes last.
function row(label, first, second, quotient) {
  return sprintf("%12s %12s %16s  %s", first, second, quotient, label)
}
