#!/usr/bin/python3
"""What deploy/ must keep to, checked without a machine: hardening of the units, and the playbooks' style.

Usage: units_test.py [BUILD_FOLDER]
"""
import os
import re
import shutil
import subprocess
import sys
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
UNITS = os.path.join(ROOT, "deploy", "systemd")
PLAYS = os.path.join(ROOT, "deploy", "ansible")
EXPOSURE_MAX = {"muster-coordinator.service": 1.5, "muster-gateway.service": 1.5, "muster-worker.service": 2.0}


def exposure(unit):
    """As systemd judges it, 0 (closed) to 10."""
    told = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", os.path.join(UNITS, unit)],
                          capture_output=True, text=True).stdout
    return float(re.search(r"exposure level for \S+: ([0-9.]+)", told).group(1))


class Units(unittest.TestCase):
    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is missing: tools/setup --machines")
    def testAreHardened(self):
        for unit, most in EXPOSURE_MAX.items():
            with self.subTest(unit):
                self.assertLessEqual(exposure(unit), most)

    def testAreWatchedAndStartedAgain(self):
        for unit in EXPOSURE_MAX:
            with self.subTest(unit), open(os.path.join(UNITS, unit)) as file:
                text = file.read()
                for line in ("Type=notify", "WatchdogSec=", "Restart=always", "ExecReload=", "StartLimitIntervalSec=0"):
                    self.assertIn(line, text)


class Playbooks(unittest.TestCase):
    @unittest.skipUnless(shutil.which("ansible-lint"), "ansible-lint is missing: tools/setup --machines")
    def testAreCleanByTheStrictestProfile(self):
        linted = subprocess.run(["ansible-lint", "--offline", "--nocolor", "--profile", "production"], cwd=PLAYS,
                                capture_output=True, text=True)
        self.assertEqual(linted.returncode, 0, linted.stdout + linted.stderr)

    def testEveryVariableOfARoleIsDeclared(self):
        for role in os.listdir(os.path.join(PLAYS, "roles")):
            folder = os.path.join(PLAYS, "roles", role)
            defaults = os.path.join(folder, "defaults", "main.yml")
            if not os.path.exists(defaults):
                continue
            with open(defaults) as file:
                names = re.findall(r"^(\w+):", file.read(), re.M)
            with open(os.path.join(folder, "meta", "argument_specs.yml")) as file:
                specs = file.read()
            for name in names:
                with self.subTest(role + "/" + name):
                    self.assertIn(f"      {name}:", specs)


if __name__ == "__main__":
    program = unittest.main(argv=sys.argv[:1], exit=False, verbosity=2)
    if program.result.skipped and program.result.wasSuccessful():
        print("skipped: " + "; ".join(reason for _, reason in program.result.skipped))
        sys.exit(77)
    sys.exit(not program.result.wasSuccessful())
