#!/usr/bin/python3
"""The Debian packages: what is in them, that a worker finds its GPU library, and that the same commit gives the same bytes.

Usage: packages_test.py BUILD_FOLDER
"""
import ctypes
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else None
EVERYWHERE = {
    "muster-coordinator": ["./usr/bin/muster-coordinator", "./etc/muster/coordinator.toml",
                           "./lib/systemd/system/muster-coordinator.service",
                           "./usr/lib/sysusers.d/muster-coordinator.conf", "./usr/share/man/man8/muster-coordinator.8.gz"],
    "muster-worker": ["./usr/bin/muster-worker", "./usr/bin/muster-rank", "./etc/muster/worker.toml",
                      "./usr/lib/muster/rank-scope", "./lib/systemd/system/muster-rank-scope.socket",
                      "./usr/share/man/man8/muster-worker.8.gz"],
    "muster-gateway": ["./usr/bin/muster-gateway", "./etc/muster/gateway.toml",
                       "./lib/systemd/system/muster-gateway.service", "./usr/share/man/man8/muster-gateway.8.gz"],
    "muster": ["./usr/bin/muster", "./etc/muster/cli.toml", "./usr/share/man/man1/muster.1.gz",
               "./usr/share/bash-completion/completions/muster", "./usr/share/zsh/vendor-completions/_muster",
               "./usr/share/fish/vendor_completions.d/muster.fish"],
}

LIBRARY = "./usr/lib/muster/libmuster_cuda.so"  # of muster-engine-cuda


def hasCuda():
    """Whether this build has a library for GPUs."""
    with open(BUILD + "/CMakeCache.txt") as cache:
        return re.search("^MUSTER_CUDA_BUILT:INTERNAL=ON$", cache.read(), re.MULTILINE) is not None


def make():
    """Builds the packages; gives path by name."""
    subprocess.run(["cmake", "--build", BUILD, "--target", "packages"], check=True, stdout=subprocess.DEVNULL)
    return {os.path.basename(path).split("_")[0]: path for path in glob.glob(BUILD + "/packages/*.deb")}


def digests(packages):
    return {name: told("sha256sum", path).split()[0] for name, path in packages.items()}


def told(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@unittest.skipUnless(shutil.which("dpkg-shlibdeps"), "dpkg-dev is missing: tools/setup --machines")
class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.packages = make()
        cls.before = digests(cls.packages)

    def testHoldWhatTheyShould(self):
        for name, wanted in EVERYWHERE.items():
            files = [line.split()[5] for line in told("dpkg", "-c", self.packages[name]).splitlines()]
            for file in wanted:
                with self.subTest(name + " " + file):
                    self.assertIn(file, files)

    def testEverythingIsRootsAndNobodyMayWriteIt(self):
        for path in self.packages.values():
            for line in told("dpkg", "-c", path).splitlines():
                mode, owner = line.split()[:2]
                with self.subTest(line):
                    self.assertEqual(owner, "root/root")
                    self.assertNotIn("w", mode[4:])

    def testConfigurationIsLeftAsTheAdministratorChangedIt(self):
        for name in EVERYWHERE:
            with self.subTest(name):
                self.assertIn("/etc/muster/", told("dpkg-deb", "-I", self.packages[name], "conffiles"))

    def testThereIsNoPackageThatNobodyExpects(self):
        self.assertEqual(set(self.packages), set(EVERYWHERE) | ({"muster-engine-cuda"} if hasCuda() else set()))

    @unittest.skipUnless(BUILD and hasCuda(), "built without a CUDA compiler")
    def testTheLibraryForGpusIsAPackageOfItsOwnThatLoads(self):
        path = self.packages["muster-engine-cuda"]
        self.assertRegex(told("dpkg-deb", "-f", path, "Depends"), r"^muster-worker, ")
        self.assertRegex(told("dpkg-deb", "-f", path, "Recommends"), r"^libcublas-\d+-\d+, libnccl2$")
        with tempfile.TemporaryDirectory() as root:
            subprocess.run(["dpkg-deb", "-x", path, root], check=True)
            plugin = ctypes.CDLL(os.path.join(root, LIBRARY)).musterCudaPlugin
            plugin.restype = ctypes.POINTER(ctypes.c_uint32)
            self.assertGreater(plugin()[0], 0, "the number of its boundary")

    def testASecondBuildGivesTheSameBytes(self):
        self.assertEqual(digests(make()), self.before)


if __name__ == "__main__":
    program = unittest.main(exit=False, verbosity=2)
    if program.result.skipped and program.result.wasSuccessful():
        print("skipped: " + "; ".join(reason for _, reason in program.result.skipped))
        sys.exit(77)
    sys.exit(not program.result.wasSuccessful())
