#!/usr/bin/python3
"""The module muster_files of the playbooks, beside no machine: what it writes, what it refuses, what a unit lacks.

Usage: files_test.py [BUILD_FOLDER]
"""
import getpass
import grp
import os
import stat
import sys
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "deploy", "ansible", "plugins", "modules"))
try:
    import muster_files
except ImportError:
    muster_files = None

NEVER = {"ActiveState": "inactive", "ActiveEnterTimestamp": "", "StateChangeTimestamp": ""}
STARTED = {"ActiveState": "active", "ActiveEnterTimestamp": "Mon 2026-11-30 13:27:29.500000 UTC",
           "StateChangeTimestamp": "Mon 2026-11-30 13:27:40.500000 UTC"}
START = 1796045249.5


class Refused(Exception):
    pass


class Module:
    """What Ansible gives a module, as far as it is used here."""

    def __init__(self, check_mode=False):
        self.check_mode = check_mode

    def run_command(self, words, **_):
        return int("wrong" in words), "", "the file is wrong"

    def fail_json(self, msg, **_):
        raise Refused(msg)


@unittest.skipUnless(muster_files and os.geteuid() == 0, "only root may give files away, and Ansible must be installed")
class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "etc", "worker.toml")

    def write(self, content, check_mode=False, **options):
        writer = muster_files.Writer(Module(check_mode))
        writer.file(self.path, content, **{"group": None, "validate": None, **options})
        return writer.written

    def read(self):
        with open(self.path) as file:
            return file.read()

    def testAreWrittenOnceWithTheirFolder(self):
        self.assertEqual(self.write("a\n"), [self.path])
        self.assertEqual(self.write("a\n"), [])
        self.assertEqual(self.read(), "a\n")

    def testOfAGroupAreForNobodyElse(self):
        group = grp.getgrgid(os.getgid()).gr_name
        self.write("key\n", group=group)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o640)

    def testAreLeftAsTheyAreWhenTheNewOneIsWrong(self):
        self.write("good\n")
        with self.assertRaisesRegex(Refused, "left as it is: the file is wrong"):
            self.write("bad\n", validate="check wrong %s")
        self.assertEqual(self.read(), "good\n")
        self.assertEqual(os.listdir(os.path.dirname(self.path)), ["worker.toml"])

    def testAreOnlyNamedInCheckMode(self):
        self.assertEqual(self.write("a\n", check_mode=True), [self.path])
        self.assertFalse(os.path.exists(self.path))

    def testOfAnUnknownGroupAreRefusedButInCheckMode(self):
        with self.assertRaisesRegex(Refused, "no group nobody-has-it"):
            self.write("a\n", group="nobody-has-it")
        self.assertEqual(self.write("a\n", group="nobody-has-it", check_mode=True), [self.path])

    def testOfAFolderThatIsThereKeepItsRightsUnlessTheyAreNamed(self):
        writer = muster_files.Writer(Module())
        os.chmod(self.folder.name, 0o711)
        writer.folder(self.folder.name, "root", "root", None)
        self.assertEqual(writer.written, [])
        writer.folder(self.folder.name, getpass.getuser(), "root", "0750")
        self.assertEqual(stat.S_IMODE(os.stat(self.folder.name).st_mode), 0o750)


@unittest.skipUnless(muster_files, "Ansible is missing: tools/setup --machines")
class Unit(unittest.TestCase):
    def lacks(self, shown, effect, written):
        with tempfile.NamedTemporaryFile() as file:
            os.utime(file.name, (written, written))
            return muster_files.Unit(Module(), "a.service").lacks(shown, [{"path": file.name, "effect": effect}])

    def testIsTakenAsOldAsSystemdSays(self):
        self.assertEqual(muster_files.seconds(STARTED["ActiveEnterTimestamp"]), START)
        self.assertEqual(muster_files.seconds(""), 0)

    def testIsStartedAgainWhenAFileIsNewer(self):
        for name, shown, effect, written, wanted in [
                ("never started", NEVER, "none", START, "restart"),
                ("newer configuration", STARTED, "restart", START + 1, "restart"),
                ("older configuration", STARTED, "restart", START - 1, None),
                ("newer certificate", STARTED, "reload", START + 20, "reload"),
                ("certificate that was read by a reload", STARTED, "reload", START + 5, None),
                ("file that nobody reads", STARTED, "none", START + 20, None)]:
            with self.subTest(name):
                self.assertEqual(self.lacks(shown, effect, written), wanted)


if __name__ == "__main__":
    program = unittest.main(argv=sys.argv[:1], exit=False, verbosity=2)
    if program.result.skipped and program.result.wasSuccessful():
        print("skipped: " + "; ".join(reason for _, reason in program.result.skipped))
        sys.exit(77)
    sys.exit(not program.result.wasSuccessful())
