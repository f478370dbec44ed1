""".ci/report: counts, and leave for skipped tests."""
import pathlib
import subprocess
import tempfile
import unittest

REPORT = pathlib.Path(__file__).resolve().parents[2] / ".ci/report"

PASSED = '<testcase name="a" status="run"><system-out>fine</system-out></testcase>'
FAILED = '<testcase name="b" status="fail"><failure message=""/><system-out>bad</system-out></testcase>'
NOT_RUN = '<testcase name="c" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/></testcase>'
ONE_SKIPPED = """<testcase name="d" status="run"><system-out>[ RUN      ] Gpu.computes
/x/gpu_test.cpp:12: Skipped
needs a GPU,
found none
[  SKIPPED ] Gpu.computes (0 ms)
[  SKIPPED ] 1 test, listed below:
[  SKIPPED ] Gpu.computes
</system-out></testcase>"""
DISABLED = '<testcase name="e" status="run"><system-out>  YOU HAVE 2 DISABLED TESTS</system-out></testcase>'


def report(cases, allowed=""):
    with tempfile.TemporaryDirectory() as folder:
        skips, results = pathlib.Path(folder, "allowed_skips"), pathlib.Path(folder, "ci.xml")
        skips.write_text("# why\n" + allowed)
        results.write_text("<testsuite>" + "".join(cases) + "</testsuite>")
        run = subprocess.run([REPORT, skips, results], capture_output=True, text=True)
    return run.returncode, run.stdout.splitlines()


class ReportTest(unittest.TestCase):
    def test_counts_what_passed_and_failed(self):
        self.assertEqual(report([PASSED, PASSED]), (0, ["2 passed, 0 failed"]))
        status, lines = report([PASSED, FAILED])
        self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed"))
        self.assertRegex(lines[0], "^failed: .*: b$")

    def test_nothing_run_is_a_failure(self):
        self.assertEqual(report([]), (1, ["0 passed, 0 failed"]))

    def test_skips_need_leave_and_show_their_reason(self):
        for case, name, reason in [(NOT_RUN, "c", "SKIP_RETURN_CODE=77"),
                                   (ONE_SKIPPED, "Gpu.computes", "needs a GPU, found none"),
                                   (DISABLED, "e", "2 disabled inside")]:
            with self.subTest(name):
                status, lines = report([PASSED, case])
                self.assertEqual(status, 1)
                self.assertRegex(lines[0], f"^skipped: {name}: {reason} \\(not in ")
                self.assertIn("1 skipped without leave", lines[-1])
                status, lines = report([PASSED, case], f"{name}  # no such hardware\n")
                self.assertEqual((status, lines[0]), (0, f"skipped: {name}: {reason}"))
                self.assertRegex(lines[-1], "passed, 0 failed$")


if __name__ == "__main__":
    unittest.main()
