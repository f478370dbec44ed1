#!/usr/bin/python3
"""tools/demo on what is built: it shows what it promises, and with --stop it leaves nothing running."""
import os
import re
import shutil
import subprocess
import tempfile

from facts import check, checkEqual, runTests
from processes import commandLine, killAll, processesOf

DEMO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/demo")
DEADLINE_S = 170


def runDemo(folder):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MUSTER_CONTEXT", "XDG_"))}
    argv = [DEMO, "--no-setup", "--no-build", "--stop", "--dir", os.path.join(folder, "D")]
    done = subprocess.run(argv, env={**kept, "HOME": os.path.join(folder, "home")}, text=True, timeout=DEADLINE_S,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    print(done.stdout, flush=True)
    return done


def test_theDemoIsTrueAndLeavesNothingRunning():
    folder = tempfile.mkdtemp(prefix="muster-it-")
    try:
        done = runDemo(folder)
        left = [commandLine(pid) for pid in processesOf(folder)]
        checkEqual(done.returncode, 0, "exit code of tools/demo")
        check("all of it was true" in done.stdout and "was accepted" in done.stdout, "the demo does not say so")
        checkEqual(left, [], "processes left running")
        last = done.stdout.rstrip().rsplit("\n", 1)[-1]
        felt = re.fullmatch(r"the leader's death was felt for (\d+) ms: .*", last)
        check(felt, f"the last line does not say how long the leader's death was felt: {last}")
        check(int(felt[1]) < 10_000, f"felt for {felt[1]} ms")
    finally:
        killAll(processesOf(folder))
        shutil.rmtree(folder)


if __name__ == "__main__":
    runTests("Demo", globals())
