#!/usr/bin/env python3
"""The pages tell the truth: links, paths, playbooks and units exist, commands and flags are known, run-books are whole,
marked examples run as shown.

Usage: docs_test.py pages | commands BIN_FOLDER

A fenced block after the line <!-- tested --> is run: each "$ COMMAND" in an empty folder, with the binaries in PATH.
The lines below it must be what it prints (stdout and stderr); "..." stands for any text or any number of lines, and
"[exit N]" as the first of them for another exit code than 0. <!-- file: NAME --> puts the next block into that folder.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = r"(?:\.ci|base|bench|cli|coordinator|docs|failover|gateway|protocol|sharding|tests|tools|worker)"
FENCE = re.compile(r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.M | re.S)
GLOBAL_FLAGS = {"--help"}
DEADLINE_SECONDS = 30


def pages():
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def inlineCode(text):
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


class Findings(list):
    def add(self, page, text):
        self.append(f"{page.relative_to(ROOT)}: {text}")


# --- pages: what can be said without a binary ---

def checkLinks(page, text, findings):
    """Returns the pages it links to."""
    reached = set()
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", FENCE.sub("", text)):
        if target.startswith("http"):
            continue
        found = (page.parent / target).resolve()
        if not found.exists():
            findings.add(page, f"links to {target}, which is not there")
        reached.add(found / "README.md" if found.is_dir() else found)
    return reached


def exists(path):
    """A path or pattern, or the name of a test."""
    return any(ROOT.glob(path.rstrip("/"))) or (ROOT / "tests" / f"{path}.cpp").exists()


def checkPaths(page, text, findings):
    # `worker/gpu07` is no path but somebody's name: a file has an ending, a folder a slash.
    paths = [code for code in inlineCode(text) if re.fullmatch(FOLDERS + r"/(?:[\w./*-]*(?:\.\w+|/))?", code)]
    paths += re.findall(r"(?:^|[\s`])(tools/\w+|\.ci/\w+)\b(?![./])", text, re.M)
    for path in paths:
        if "NAME" not in path and not exists(path):
            findings.add(page, f"names {path}, which is not there")


def testExists(name, case):
    """A test by its ctest name, with the fact or case it must hold if one is named."""
    folder, file = name.split("/", 1)
    for path in (ROOT / "tests" / f"{name}.cpp", ROOT / "tests" / f"{name}.py"):
        if path.exists():
            return not case or re.search(rf"\b(?:test_)?{re.escape(case)}\b", path.read_text()) is not None
    # One that has no source of its own is made by the folder's CMakeLists.txt.
    listed = ROOT / "tests" / folder / "CMakeLists.txt"
    if case or not listed.exists():
        return False
    mistake = file.removeprefix("planted_").upper()
    if folder == "sim" and file.startswith("planted_"):
        return any(f"MUSTER_PLANTED_BUG({mistake})" in path.read_text()
                   for part in ("coordinator", "failover", "worker") for path in (ROOT / part).rglob("*.cpp"))
    planted = rf"muster_planted_\w+\({mistake} "
    return re.search(planted if file.startswith("planted_") else rf"NAME {name} ", listed.read_text()) is not None


def checkFailureModes(findings):
    """Each row of the tables of failures names a test that is there."""
    page = ROOT / "docs/FAILURE_MODES.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    rows = [line for line in rows if not line.startswith(("| ---", "| what fails"))]
    if not rows:
        findings.add(page, "has no rows")
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        tests = re.findall(r"`(\w+(?:/\w+)+)(?:: (\w+))?`", cells[-1])
        if len(cells) != 6 or not tests:
            findings.add(page, f"a row has {len(cells)} cells (6 wanted) and {len(tests)} tests: {row}")
        kinds = (ROOT / "tests/nemesis/faults.py").read_text()
        for kind in re.findall(r"`(\w+)`", cells[-1]):
            if f"def {kind}(" not in kinds:
                findings.add(page, f"names a kind of fault that is not there: {kind}")
        for name, case in tests:
            if not testExists(name, case):
                findings.add(page, f"names a test that is not there: {name} {case}")


def codeOf(text):
    """The lines of blocks and the inline code of a page."""
    return [line for fence in FENCE.finditer(text) for line in fence["body"].splitlines()] + inlineCode(text)


def checkPlaybooks(page, text, findings):
    """Each ansible-playbook command names a playbook that is there, and variables that some of them reads."""
    folder = ROOT / "deploy/ansible"
    read = "\n".join(path.read_text() for path in folder.rglob("*.yml"))
    for line in codeOf(text):
        words = line.split()
        if not words or words[0] != "ansible-playbook":
            continue
        playbooks = [word for word in words if word.endswith(".yml")]
        for playbook in playbooks:
            if not (folder / playbook).exists():
                findings.add(page, f"runs {playbook}, which is not there")
        if not playbooks:
            findings.add(page, f"names no playbook: {line}")
        for variable in re.findall(r"-e (\w+)=", line):
            if not re.search(rf"\b{variable}\b", read):
                findings.add(page, f"sets {variable}, which no playbook reads")


def checkUnits(page, text, findings):
    """Each unit of ours that systemctl or journalctl is told is one that packages or playbooks install."""
    installed = {path.name.removesuffix(".j2") for path in (ROOT / "deploy").rglob("*")}
    for line in codeOf(text):
        if not re.match(r"(sudo )?(systemctl|journalctl) ", line):
            continue
        for unit in re.findall(r"\bmuster-[\w.-]+", line):
            if unit not in installed and f"{unit}.service" not in installed:
                findings.add(page, f"names the unit {unit}, which nothing installs")


RUN_BOOK_PARTS = ["Symptom", "Check", "Fix", "Prevent"]


def checkRunBooks(findings):
    page = ROOT / "docs/OPERATIONS.md"
    books = page.read_text().partition("\n## Run-books\n")[2].partition("\n## ")[0].split("\n### ")[1:]
    if not books:
        findings.add(page, "has no run-books")
    for book in books:
        title = book.splitlines()[0]
        parts = re.findall(r"^\*\*(\w+)\*\*", book, re.M)
        if parts != RUN_BOOK_PARTS:
            findings.add(page, f"{title}: has the parts {parts}, wanted {RUN_BOOK_PARTS}")
        if not FENCE.search(book):
            findings.add(page, f"{title}: has no command")


def installedPorts():
    """What the files that packages and playbooks install listen on or connect to."""
    files = [*(ROOT / "deploy/packages").glob("*.toml"), *(ROOT / "deploy/ansible/roles").glob("*/templates/*")]
    text = "\n".join(path.read_text() for path in files)
    return set(re.findall(r"(?:(?<=[\w\]}]:)|(?<=ClientPort=))(\d{4,5})\b", text))


def checkPorts(findings):
    """The table of ports is that of what is installed, and a row says where, from whom and how."""
    page = ROOT / "docs/OPERATIONS.md"
    section = page.read_text().partition("\n## Ports\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    for row in rows:
        if len(row) != 4 or not all(row):
            findings.add(page, f"a row of the ports has not 4 cells that say something: {row}")
    named = {port for row in rows for port in re.findall(r"\d{4,5}", row[0])}
    installed = installedPorts()
    for port in sorted(installed - named):
        findings.add(page, f"its table of ports lacks {port}, which packages or playbooks install")
    for port in sorted(named - installed):
        findings.add(page, f"its table of ports names {port}, which nothing installs")


def checkPages(findings):
    reached = {ROOT / "README.md"}
    for page in pages():
        text = page.read_text()
        reached |= checkLinks(page, text, findings)
        checkPaths(page, text, findings)
        checkPlaybooks(page, text, findings)
        checkUnits(page, text, findings)
    for page in pages():
        inFolderList = (page.parent / "README.md") in reached or page.parent == ROOT
        if page not in reached and not inFolderList:
            findings.add(page, "no page links to it")


# --- commands: what only the binaries know ---

class Binaries:
    def __init__(self, folder):
        self.folder = folder
        self.helpTexts = {}
        lines = self.help("").split("\nCommands\n", 1)[1].split("\n\n", 1)[0].splitlines()
        shapes = [re.match(r"  (\S+)(?: ([a-z][a-z-]*))?", line) for line in lines]
        self.commands = {shape[1] + (f" {shape[2]}" if shape[2] else "") for shape in shapes} | {"help"}
        self.groups = {command.split()[0] for command in self.commands if " " in command}

    def help(self, command):
        if command not in self.helpTexts:
            done = subprocess.run([self.folder / "muster", "help", *command.split()], capture_output=True, text=True,
                                  timeout=DEADLINE_SECONDS)
            self.helpTexts[command] = done.stdout
        return self.helpTexts[command]

    def problem(self, words):
        """What is wrong with `muster WORDS...`; nothing when such a command exists."""
        command = " ".join(words[:2]) if words[0] in self.groups else words[0]
        if command not in self.commands:
            return f'there is no command "muster {command}"'
        flags = {word.split("=")[0] for word in words if re.match(r"--[a-z]", word)}
        unknown = [flag for flag in sorted(flags - GLOBAL_FLAGS) if command != "help" and flag not in self.help(command)]
        return f'"muster {command}" has no flag {unknown[0]}' if unknown else None


def musterCalls(text):
    """The words after each `muster` in code, up to what ends the command."""
    blocks = [fence["body"] for fence in FENCE.finditer(text) if fence["kind"] in ("", "console")]
    lines = [line.removeprefix("$ ").removeprefix("sudo ") for block in blocks for line in block.splitlines()]
    for line in lines + [code.strip().removeprefix("sudo ") for code in inlineCode(text)]:
        words = re.split(r"  |[;&|]", line)[0].split()
        if len(words) > 1 and words[0] == "muster" and re.fullmatch(r"[a-z][a-z-]*", words[1]):
            yield words[1:]


def matches(wanted, got):
    pattern = "".join(r"(?s:.*)" if line.strip() == "..." else
                      re.escape(line).replace(r"\.\.\.", ".*") + "\n" for line in wanted)
    return re.fullmatch(pattern, got) is not None


def runExample(body, folder, environment):
    """Yields what did not go as shown."""
    for part in re.split(r"^\$ ", body, flags=re.M)[1:]:
        command, *wanted = part.splitlines()
        code = 0
        if wanted and (exitLine := re.fullmatch(r"\[exit (\d+)\]", wanted[0])):
            code, wanted = int(exitLine[1]), wanted[1:]
        done = subprocess.run(command, shell=True, cwd=folder, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_SECONDS)
        if done.returncode != code or not matches(wanted, done.stdout):
            yield f"`{command}` gave exit {done.returncode} (wanted {code}) and\n{done.stdout}"


def runExamples(page, text, binaries, findings):
    with tempfile.TemporaryDirectory() as folder:
        environment = {"PATH": f"{binaries.folder}:/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8"}
        for fence in FENCE.finditer(text):
            mark = fence["mark"] or ""
            if mark.startswith("file: "):
                pathlib.Path(folder, mark.removeprefix("file: ")).write_text(fence["body"])
            elif mark == "tested":
                for failure in runExample(fence["body"], folder, environment):
                    findings.add(page, failure)


def checkCommands(folder, findings):
    binaries = Binaries(pathlib.Path(folder).resolve())
    documented, examples = set(), 0
    for page in pages():
        text = page.read_text()
        for words in musterCalls(text):
            problem = binaries.problem(words)
            if problem:
                findings.add(page, problem)
            if page.name == "CLI.md":
                documented.add(" ".join(words[:2]) if words[0] in binaries.groups else words[0])
        examples += text.count("<!-- tested -->")
        runExamples(page, text, binaries, findings)
    for missing in sorted(binaries.commands - documented):
        findings.add(ROOT / "docs/CLI.md", f'does not tell of "muster {missing}"')
    if examples == 0:
        findings.append("no page has a tested example; is the mark still <!-- tested -->?")


def main():
    findings = Findings()
    if sys.argv[1:] == ["pages"]:
        checkPages(findings)
        checkFailureModes(findings)
        checkRunBooks(findings)
        checkPorts(findings)
    elif len(sys.argv) == 3 and sys.argv[1] == "commands":
        checkCommands(sys.argv[2], findings)
    else:
        sys.exit(__doc__)
    print("\n".join(findings) or "docs_test: the pages are true")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
