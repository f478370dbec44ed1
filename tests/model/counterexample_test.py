#!/usr/bin/python3
"""tools/model_check MODEL MUTANT prints the steps of a counterexample; a wrong word names the right ones."""
import os
import subprocess
import tempfile
import unittest

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/model_check")


def run(*words):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([TOOL, *words], capture_output=True, text=True, cwd=folder, timeout=120,
                              env={**os.environ, "TMPDIR": folder})
        return done, os.listdir(folder)


class ModelCheckTest(unittest.TestCase):
    def test_printsTheStepsOfACounterexampleAndLeavesNothing(self):
        for model, mutant in [("lease", "NO_GRANT"), ("orders", "EPOCH_ONLY"), ("failover", "NO_BARRIER")]:
            with self.subTest(model=model, mutant=mutant):
                done, left = run(model, mutant)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(f"{model}.pml:", done.stdout)
                self.assertIn("assertion violated", done.stdout)
                self.assertEqual(left, [])

    def test_namesTheModelsAndTheMutants(self):
        done, _ = run("leases")
        self.assertEqual(done.returncode, 2)
        self.assertIn("failover lease orders", done.stderr)
        done, _ = run("lease", "NO_GRAND")
        self.assertEqual(done.returncode, 2)
        self.assertIn("NO_GRANT", done.stderr)


if __name__ == "__main__":
    unittest.main()
