"""tools/setup with a pretended apt and dpkg: what it installs, and what it refuses to remove."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

SETUP = pathlib.Path(__file__).resolve().parents[2] / "tools/setup"

# What is installed is a file of names; apt-get -s prints $SIMULATED, the real install adds its packages to that file.
DPKG_QUERY = r"""#!/bin/bash
for name in "${@:4}"; do grep -qx "$name" "$STATE" && echo "installed $name"; done
exit 0
"""
APT_GET = r"""#!/bin/bash
echo "$*" >> "$CALLS"
case " $* " in
  *" -s "*) printf "$SIMULATED" ;;
  *" install "*) for name in "${@:5}"; do echo "$name" >> "$STATE"; done ;;
esac
"""


class SetupTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        root = pathlib.Path(self.folder.name)
        self.state, self.calls, bin_ = root / "state", root / "calls", root / "bin"
        self.calls.touch()
        bin_.mkdir()
        scripts = {"dpkg-query": DPKG_QUERY, "apt-get": APT_GET, "id": "#!/bin/bash\necho 0\n"}
        for name, text in scripts.items():
            (bin_ / name).write_text(text)
            (bin_ / name).chmod(0o755)
        self.bin = bin_
        text = SETUP.read_text()
        arrays = re.findall(r"^(?:BUILD|LIBRARIES|SERVER)=\((.*?)\)", text, re.M | re.S)
        self.all = " ".join(arrays).split()

    def run_setup(self, simulated="", *arguments):
        environment = dict(os.environ, PATH=f"{self.bin}:{os.environ['PATH']}", STATE=str(self.state),
                           CALLS=str(self.calls), SIMULATED=simulated)
        return subprocess.run([SETUP, *arguments], env=environment, capture_output=True, text=True)

    def install_all_but(self, *missing):
        self.state.write_text("\n".join(name for name in self.all if name not in missing) + "\n")

    def changes(self):
        return [line for line in self.calls.read_text().splitlines() if line.startswith("-q -y install")]

    def test_does_nothing_when_all_is_there(self):
        self.install_all_but()
        self.assertEqual(self.run_setup().returncode, 0)
        self.assertEqual(self.calls.read_text(), "")

    def test_installs_what_is_missing_and_then_does_nothing(self):
        self.install_all_but("ccache", "libuv1-dev")
        run = self.run_setup("Inst ccache (4.8 Debian)\nInst libuv1-dev (1.44 Debian)\n")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("would install: ccache libuv1-dev", run.stdout)
        self.assertEqual(self.changes(), ["-q -y install --no-install-recommends ccache libuv1-dev"])
        self.calls.write_text("")
        self.assertEqual(self.run_setup().returncode, 0)
        self.assertEqual(self.calls.read_text(), "")

    def test_may_remove_old_boost_and_the_other_zookeeper_client(self):
        self.install_all_but("libboost1.81-dev")
        run = self.run_setup("Remv libboost-filesystem-dev [1.74.0.3]\nRemv libboost1.74-dev [1.74.0+ds1-21]\n"
                             "Remv libzookeeper-mt-dev [3.8.0-11]\nInst libboost1.81-dev (1.81 Debian)\n")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(len(self.changes()), 1)

    def test_removes_nothing_else(self):
        for name, version in [("postgresql-15", "15.6"), ("libboost1.74-tools", "1.74.0"),
                              ("libboost1.80-dev", "1.80.0-1"), ("libzookeeper-mt2", "3.8.0")]:
            with self.subTest(name):
                self.install_all_but("libboost1.81-dev")
                run = self.run_setup(f"Remv libboost1.74-dev [1.74.0+ds1-21]\nRemv {name} [{version}]\n")
                self.assertEqual(run.returncode, 1)
                self.assertIn(f"may not remove {name} {version}", run.stderr)
                self.assertEqual(self.changes(), [])

    def test_dry_run_changes_nothing(self):
        self.install_all_but("ccache")
        self.assertEqual(self.run_setup("Inst ccache (4.8 Debian)\n", "--dry-run").returncode, 0)
        self.assertEqual(self.calls.read_text(), "-s install --no-install-recommends ccache\n")

    def test_installs_the_model_checker(self):
        self.install_all_but("spin")
        self.assertEqual(self.run_setup("Inst spin (6.5 Debian)\n").returncode, 0)
        self.assertEqual(self.changes(), ["-q -y install --no-install-recommends spin"])

    def test_names_no_cuda_package(self):
        self.assertEqual([name for name in self.all if re.search("cuda|nvidia|nccl", name)], [])


if __name__ == "__main__":
    unittest.main()
