"""Holds a report of Autobahn's fuzzing client to what is promised, and keeps its summary.

    check.py INDEX RESULTS    reads the report's index.json; writes the summary to RESULTS
    check.py RESULTS          reads a summary written before

Every case must be OK, NON-STRICT or INFORMATIONAL; those of compression (12.*, 13.*), which Fourcast declines,
UNIMPLEMENTED. The same holds for how the connection was closed.

An echo goes through the hub and the close after a fault does not, so that in 3.*, 4.* and 5.15 either may win: OK or
NON-STRICT, from run to run.
"""

import collections
import json
import sys

CASES = 517
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}
COMPRESSION = ("12.", "13.")


def main(source, results=None):
    with open(source) as file:
        read = json.load(file)
    summary = summarize(read["fourcast"]) if results else read
    if results:
        with open(results, "w") as file:
            file.write(render(summary))
    bad = [line for case, behaviour in summary.items() for line in faults(case, behaviour)]
    print(*bad, sep="\n", end="\n" if bad else "")
    if len(summary) != CASES:
        bad.append(f"{len(summary)} cases instead of {CASES}")
        print(bad[-1])
    counts = collections.Counter(behaviour.split(" ")[0] for behaviour in summary.values())
    print("autobahn: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    return 1 if bad else 0


def summarize(report):
    """Case to behaviour; how it was closed is named where it was not as good."""
    cases = sorted(report, key=lambda case: [int(part) for part in case.split(".")])
    return {case: behaviour(report[case]) for case in cases}


def behaviour(entry):
    close = entry["behaviorClose"]
    named = "" if close in ("OK", entry["behavior"]) else f" (closed: {close})"
    return entry["behavior"] + named


def faults(case, behaviour):
    name, _, closed = behaviour.partition(" (closed: ")
    good = GOOD | {"UNIMPLEMENTED"} if case.startswith(COMPRESSION) else GOOD
    if name not in good or closed.rstrip(")") not in GOOD | {""}:
        yield f"FAILED  case {case}: {behaviour}"


def render(summary):
    lines = [f"  {json.dumps(case)}: {json.dumps(behaviour)}" for case, behaviour in summary.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        raise SystemExit(__doc__)
    sys.exit(main(*sys.argv[1:]))
