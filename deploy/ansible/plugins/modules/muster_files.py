#!/usr/bin/python3
"""Files of one part of Muster, and the unit that reads them; see DOCUMENTATION."""

DOCUMENTATION = """
module: muster_files
short_description: Puts the files of a unit in place and has the unit run as they say
description:
  - All files of a part of Muster in one visit to the machine, each written whole or not at all, with its owner and mode
    from the first byte on.
  - With --diff it tells which files it writes and what becomes of the unit, by name, as contents may be secret.
  - A unit that is older than a file it reads is started again, or reads it again, whoever wrote the file and when. So a
    run that was stopped between writing and restarting is made good by the next one.
options:
  files:
    description: What to write. Missing folders above are made, for everyone to read.
    type: list
    elements: dict
    suboptions:
      path: {description: Where., type: path, required: true}
      content: {description: The whole file., type: str, required: true}
      group: {description: "Its group; files without one are for everyone to read, others for root and the group.", type: str}
      effect: {description: What the unit does to take it in., choices: [restart, reload, none], default: none, type: str}
      validate: {description: A command that refuses a wrong file; %s stands for the new one., type: str}
  folders:
    description: Folders that must be there.
    type: list
    elements: dict
    suboptions:
      path: {description: Where., type: path, required: true}
      owner: {description: Its owner., type: str, default: root}
      group: {description: Its group., type: str, default: root}
      mode: {description: "Octal, as chmod takes it. Without it a folder that is there stays as it is.", type: str}
  unit: {description: The unit that reads the files. It is enabled and runs in the end., type: str}
author: [The Muster maintainers]
"""

EXAMPLES = """
- name: Files of the worker, and the worker as they say
  muster_files:
    unit: muster-worker.service
    files:
      - {path: /etc/muster/pki/worker.key, content: "{{ key }}", group: muster-worker, effect: reload}
"""

import datetime
import grp
import os
import pwd
import shlex
import tempfile

from ansible.module_utils.basic import AnsibleModule

SHOWN = ["ActiveState", "UnitFileState", "NeedDaemonReload", "ActiveEnterTimestamp", "StateChangeTimestamp"]
UNITS = "/etc/systemd/system/"


def status(path):
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def contentOf(path):
    with open(path, "rb") as file:
        return file.read()


def identifiers(owner, group):
    """Numbers of a user and a group; None for one that a package not yet installed will make."""
    try:
        return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
    except KeyError:
        return None


class Writer:
    """Brings files and folders to what they should be, or says in check mode which would change."""

    def __init__(self, module):
        self.module, self.written = module, []

    def rights(self, owner, group):
        found = identifiers(owner, group)
        if found is None and not self.module.check_mode:
            self.module.fail_json(msg=f"there is no user {owner} or no group {group}")
        return found

    def differs(self, path, rights, mode):
        found = status(path)
        return not found or not rights or (found.st_uid, found.st_gid) != rights or found.st_mode & 0o7777 != mode

    def folder(self, path, owner, group, mode):
        rights = self.rights(owner, group)
        if os.path.isdir(path) if mode is None else not self.differs(path, rights, int(mode, 8)):
            return
        self.written.append(path)
        if not self.module.check_mode:
            os.makedirs(path, exist_ok=True)
            os.chown(path, *rights)
            os.chmod(path, int(mode or "0755", 8))

    def file(self, path, content, group, validate, **_):
        rights, mode = self.rights("root", group or "root"), 0o640 if group else 0o644
        content = content.encode()
        if not self.differs(path, rights, mode) and contentOf(path) == content:
            return
        self.written.append(path)
        if not self.module.check_mode:
            self.replace(path, content, rights, mode, validate)

    def replace(self, path, content, rights, mode, validate):
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        handle, new = tempfile.mkstemp(dir=os.path.dirname(path))
        try:
            with open(handle, "wb") as file:
                os.fchown(handle, *rights)
                os.fchmod(handle, mode)
                file.write(content)
            if validate:
                code, told, problem = self.module.run_command(shlex.split(validate.replace("%s", new)))
                if code:
                    self.module.fail_json(msg=f"{path} was left as it is: {(told + problem).strip()}", written=self.written)
            os.replace(new, path)
        finally:
            if os.path.exists(new):
                os.unlink(new)


class Unit:
    """A unit of systemd, and what it lacks."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def systemctl(self, *words):
        code, told, problem = self.module.run_command(["systemctl", *words], environ_update={"LC_ALL": "C"})
        if code:
            _, state, _ = self.module.run_command(["systemctl", "status", "--no-pager", "--lines=20", self.name])
            self.module.fail_json(msg=f"systemctl {' '.join(words)}: {problem.strip()}\n{state}")
        return told

    def show(self):
        told = self.systemctl("show", "--timestamp=us+utc", "-p", ",".join(SHOWN), self.name)
        return dict(line.split("=", 1) for line in told.splitlines())

    def lacks(self, shown, files):
        """The verb of systemctl that makes it run as the files say; None when it does."""
        if shown["ActiveState"] not in ("active", "reloading"):
            return "restart"  # one that waits for its next try takes a better file at once
        if newest(files, "restart") > seconds(shown["ActiveEnterTimestamp"]):
            return "restart"
        return "reload" if newest(files, "reload") > seconds(shown["StateChangeTimestamp"]) else None

    def settle(self, files, written):
        """Does what must be done; gives the verbs."""
        verbs = []
        shown = self.show()
        if shown["NeedDaemonReload"] == "yes" or any(path.startswith(UNITS) for path in written):
            verbs.append(["daemon-reload"])
        if shown["UnitFileState"] != "enabled":
            verbs.append(["enable", "--quiet", self.name])
        verb = self.lacks(shown, files)
        if verb:
            verbs.append([verb, self.name])
        if not self.module.check_mode:
            for words in verbs:
                self.systemctl(*words)
        return [words[0] for words in verbs]


def newest(files, effect):
    """When the last of the files with an effect was written, in seconds since 1970."""
    found = [status(one["path"]) for one in files if one["effect"] == effect]
    return max((one.st_mtime for one in found if one), default=0)


def seconds(stamp):
    """systemd's time, such as "Mon 2026-11-30 13:27:29.123456 UTC", in seconds since 1970; 0 for never."""
    if not stamp:
        return 0
    time = datetime.datetime.strptime(stamp.split(" ", 1)[1], "%Y-%m-%d %H:%M:%S.%f UTC")
    return time.replace(tzinfo=datetime.timezone.utc).timestamp()


def main():
    text, path = {"type": "str"}, {"type": "path", "required": True}
    module = AnsibleModule(supports_check_mode=True, argument_spec={
        "unit": text,
        "files": {"type": "list", "elements": "dict", "default": [], "options": {
            "path": path, "content": {"type": "str", "required": True, "no_log": True}, "group": text, "validate": text,
            "effect": {"type": "str", "choices": ["restart", "reload", "none"], "default": "none"}}},
        "folders": {"type": "list", "elements": "dict", "default": [], "options": {
            "path": path, "owner": {"type": "str", "default": "root"}, "group": {"type": "str", "default": "root"},
            "mode": text}}})
    writer = Writer(module)
    for one in module.params["folders"]:
        writer.folder(**one)
    for one in module.params["files"]:
        writer.file(**one)
    verbs = []
    if module.params["unit"]:
        verbs = Unit(module, module.params["unit"]).settle(module.params["files"], writer.written)
    # By name: contents are never told, since keys are among them.
    deeds = [f"write {path}" for path in writer.written] + [f"{verb} {module.params['unit']}" for verb in verbs]
    module.exit_json(changed=bool(deeds), written=writer.written, verbs=verbs,
                     diff={"prepared": "".join(deed + "\n" for deed in deeds)})


if __name__ == "__main__":
    main()
