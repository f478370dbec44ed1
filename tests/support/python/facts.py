"""Runs a file of tests: every function named test_..., printing what googletest would, which CI reads."""
import sys
import time
import traceback


class Skip(Exception):
    """Raised with a reason by a test that cannot run here."""


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def checkEqual(seen, wanted, what):
    if seen != wanted:
        raise AssertionError(f"{what}: seen {seen!r}, wanted {wanted!r}")


def runTests(suite, names):
    """Runs all tests of `names` (a module's globals), or those given as arguments; ends the process."""
    tests = {name: run for name, run in names.items() if name.startswith("test_")}
    failed = []
    for name in sys.argv[1:] or tests:
        title, start = f"{suite}.{name[5:]}", time.monotonic()

        def took():
            return int((time.monotonic() - start) * 1000)

        print(f"[ RUN      ] {title}", flush=True)
        try:
            tests[name]()
            print(f"[       OK ] {title} ({took()} ms)", flush=True)
        except Skip as reason:
            print(f"{__file__}: Skipped\n{reason}\n[  SKIPPED ] {title} ({took()} ms)", flush=True)
        except Exception:
            traceback.print_exc(file=sys.stdout)
            print(f"[  FAILED  ] {title} ({took()} ms)", flush=True)
            failed.append(title)
    print(f"{len(failed)} failed: {' '.join(failed)}" if failed else "all passed")
    sys.exit(1 if failed else 0)
