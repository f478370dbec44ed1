#!/usr/bin/python3
"""From three empty machines to a placed model, a run that changes nothing, and a worker more.

Usage: site_bench.py BUILD_FOLDER        root; prints one JSON line
"""
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUDGET = {"site_s": 120, "changed": 0}  # each: at most


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    return {"cpu": model.group(1) if model else "unknown", "cores": os.cpu_count()}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    test = os.path.join(ROOT, "tests", "deploy", "machines_test.py")
    done = subprocess.run([sys.executable, test, sys.argv[1], "Site", "Second", "Add"], stdout=subprocess.PIPE, text=True)
    sys.stderr.write(done.stdout)
    if done.returncode:
        sys.exit("bench: the machines did not come to a cluster")
    times = json.loads(done.stdout.splitlines()[-1])
    figures = {"site_s": times["site_s"], "second_run_s": times["second_s"], "changed": times["changed"],
               "add_worker_s": times["add_s"]}
    ok = all(figures[name] <= most for name, most in BUDGET.items())
    print(json.dumps({"name": "site", **figures, "budget": {name: f"<= {most}" for name, most in BUDGET.items()},
                      "ok": ok, "machine": machine()}))
    sys.exit(not ok)


if __name__ == "__main__":
    main()
