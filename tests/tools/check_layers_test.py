"""tools/check_layers finds each planted violation, at its line, and nothing in a tree without one."""
import pathlib
import re
import subprocess
import tempfile
import unittest

CHECK = pathlib.Path(__file__).resolve().parents[2] / "tools/check_layers"

# A small tree that keeps every rule, with the things that are easily mistaken for violations.
CLEAN = {
    "base/CMakeLists.txt": "muster_library(base SOURCES units.cpp)\n",
    "base/units.h": "#pragma once\n#include <cstdint>\n",
    "base/loop.h": "#pragma once\n#include <kj/async.h>\n",
    "base/real_clock.cpp": "auto now() { return std::chrono::steady_clock::now(); }\n",
    "base/event_loop.cpp": "#include <uv.h>\n",
    "base/process.cpp": '#include "base/uv_bridge.h"\n',
    "base/uv_bridge.h": "#pragma once\n#include <uv.h>\nstruct Bridge { uv_loop_t loop; };\n",
    "protocol/CMakeLists.txt": "muster_library(protocol\n  SOURCES node.cpp  # ours\n  DEPENDS muster::base)\n",
    "protocol/node.h": '#pragma once\n#include "base/units.h"\n',
    "sharding/CMakeLists.txt": "muster_library(sharding SOURCES gang.cpp DEPENDS muster::protocol)\n",
    "sharding/shard_map.h": '#pragma once\n#include "base/units.h"\n#include "protocol/node.h"\n',
    "sharding/gang.cpp": '#include "sharding/shard_map.h"\n',
    "failover/zookeeper.cpp": "#include <zookeeper/zookeeper.h>\n",
    "failover/coordination.h": "#pragma once\n// ZooKeeper, rocksdb:: and uv_run stay in their adapters.\n",
    "coordinator/core/state.h": '#pragma once\n#include "sharding/shard_map.h"\n'
                                '// std::unordered_map would leak hash order\nauto text = "std::random_device";\n',
    "coordinator/rocks_store.cpp": "#include <rocksdb/db.h>\n",
    "worker/loader.cpp": '#include "sharding/shard_map.h"\n',
    "cli/main.cpp": '#include <CLI/CLI.hpp>\n#include "sharding/gang.h"\n',
    "tests/failover/raw_test.cpp": "#include <zookeeper/zookeeper.h>\n",
    "tools/long.py": "# Long because one table tells it all.\n" + "\n" * 600,
}

# (name, files that differ from CLEAN, findings as FILE:LINE: RULE).
PLANTED = [
    ("upwards", {"base/units.h": '#pragma once\n#include "protocol/node.h"\n'}, ["base/units.h:2: depends", "base/units.h:2: layer"]),
    ("neighbours", {"failover/log.h": '#include "sharding/gang.h"\n'}, ["failover/log.h:1: layer"]),
    ("core to shell", {"coordinator/core/state.h": '\n\n#include "coordinator/driver.h"\n'},
     ["coordinator/core/state.h:3: layer"]),
    ("worker to planner", {"worker/agent.cpp": '#include "sharding/gang.h"\n'}, ["worker/agent.cpp:1: layer"]),
    ("cli to worker", {"cli/up.cpp": "#include <worker/agent.h>\n"}, ["cli/up.cpp:1: layer"]),
    ("schema upwards", {"base/x.cpp": '#include "protocol/log.capnp.h"\n'}, 
     ["base/x.cpp:1: depends", "base/x.cpp:1: layer"]),
    ("I/O in sharding", {"sharding/gang.cpp": "#include <fstream>\n"}, ["sharding/gang.cpp:1: pure"]),
    ("printing in core", {"coordinator/core/decide.cpp": 'snprintf(a, 3, "x");\nprintf ("x");\n'},
     ["coordinator/core/decide.cpp:2: pure"]),
    ("event loop in sharding, through a header", {"sharding/gang.cpp": '#include "base/loop.h"\n'},
     ["sharding/gang.cpp:1: pure"]),
    ("kj async in core", {"coordinator/core/decide.cpp": "#include <kj/async.h>\n"},
     ["coordinator/core/decide.cpp:1: pure"]),
    ("clock interface in core", {"coordinator/core/decide.cpp": '#include "base/clock.h"\n'},
     ["coordinator/core/decide.cpp:1: pure"]),
    ("second ZooKeeper file", {"failover/zookeeper_more.cpp": "\n#include <zookeeper/zookeeper.h>\n"},
     ["failover/zookeeper_more.cpp:2: adapter"]),
    ("ZooKeeper elsewhere", {"coordinator/driver.cpp": "#include <zookeeper/zookeeper.h>\n",
                             "failover/zookeeper.cpp": "\n"}, ["coordinator/driver.cpp:1: adapter"]),
    ("RocksDB in a header", {"coordinator/store.h": "#pragma once\n#include <rocksdb/db.h>\n"},
     ["coordinator/store.h:2: adapter"]),
    ("RocksDB named in a header", {"coordinator/store.h": "#pragma once\nstruct Store { rocksdb::DB* db; };\n"},
     ["coordinator/store.h:2: adapter"]),
    ("libuv outside its group", {"base/transport.cpp": "#include <uv.h>\n"}, ["base/transport.cpp:1: adapter"]),
    ("libuv's private header outside its group", {"base/transport.cpp": '#include "base/uv_bridge.h"\n'},
     ["base/transport.cpp:1: adapter"]),
    ("libuv's private header in a header", {"base/loop.h": '#include "base/uv_bridge.h"\n'}, ["base/loop.h:1: adapter"]),
    ("libuv type in a header", {"base/loop.h": "struct uv_loop_s;\n"}, ["base/loop.h:1: adapter"]),
    ("CUDA outside its folder", {"worker/agent.cpp": "#include <cuda_runtime.h>\n"}, ["worker/agent.cpp:1: adapter"]),
    ("NCCL in a header", {"worker/cuda/x.h": "#include <nccl.h>\n"}, ["worker/cuda/x.h:1: adapter"]),
    ("fourth Boost.Beast", {f"base/http_{n}.cpp": "#include <boost/beast/http.hpp>\n" for n in "abcd"},
     ["base/http_d.cpp:1: adapter"]),
    ("second CLI11", {"cli/options.cpp": "#include <CLI/CLI.hpp>\n"}, ["cli/options.cpp:1: adapter"]),
    ("system clock", {"coordinator/driver.cpp": "\nauto t = std::chrono::system_clock::now();\n"},
     ["coordinator/driver.cpp:2: clock"]),
    ("kernel clock", {"worker/lease.cpp": "clock_gettime(CLOCK_BOOTTIME, &t);\n"}, ["worker/lease.cpp:1: clock"]),
    ("distribution", {"failover/wait.cpp": "std::uniform_int_distribution<int> d;\n"}, ["failover/wait.cpp:1: chance"]),
    ("shuffle", {"tests/sim/world.cpp": "std::shuffle(a, b, c);\n"}, ["tests/sim/world.cpp:1: chance"]),
    ("random device", {"protocol/id.cpp": "std::random_device d;\n"}, ["protocol/id.cpp:1: chance"]),
    ("hash order in core", {"coordinator/core/state.h": "std::unordered_map<int, int> m;\n"},
     ["coordinator/core/state.h:1: hash-order"]),
    ("long file", {"worker/agent.cpp": "\n" * 501}, ["worker/agent.cpp:1: length"]),
    ("undeclared dependency", {"sharding/CMakeLists.txt": "muster_library(sharding SOURCES gang.cpp)\n"},
     ["sharding/shard_map.h:2: depends", "sharding/shard_map.h:3: depends"]),
    ("undeclared dependency among the libraries of one folder",
     {"worker/CMakeLists.txt": "muster_library(worker SOURCES loader.cpp agent.cpp DEPENDS muster::sharding)\n"
                               "muster_library(worker/ranks SOURCES ranks.cpp)\n",
      "worker/ranks.cpp": '\n#include "worker/agent.h"\n'}, ["worker/ranks.cpp:2: depends"]),
    ("unused dependency", {"base/CMakeLists.txt": "\nmuster_library(base SOURCES units.cpp DEPENDS muster::sharding)\n"},
     ["base/CMakeLists.txt:2: depends"]),
]


def check(files):
    """Exit status and the findings, each as FILE:LINE: RULE."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        run = subprocess.run([CHECK, folder], capture_output=True, text=True)
    return run.returncode, [re.match(r"\S+:\d+: [a-z-]+", line).group(0) for line in run.stdout.splitlines()]


class CheckLayersTest(unittest.TestCase):
    def test_finds_nothing_in_a_clean_tree(self):
        self.assertEqual(check(CLEAN), (0, []))

    def test_finds_each_planted_violation(self):
        for name, changed, findings in PLANTED:
            with self.subTest(name):
                self.assertEqual(check(CLEAN | changed), (1, findings))

    def test_every_rule_has_a_planted_violation(self):
        rules = re.search(r"^Rules: (.*?)\n\"\"\"", CHECK.read_text(), re.M | re.S).group(1)
        for rule in {finding.split(": ")[1] for _, _, findings in PLANTED for finding in findings}:
            self.assertIn(rule, rules)
        named = set(re.findall(r'self\.report\([^"\n]*"([a-z-]+)"', CHECK.read_text())) | {"clock", "chance", "hash-order"}
        self.assertEqual(named, {finding.split(": ")[1] for _, _, findings in PLANTED for finding in findings})

    def test_a_reason_on_the_line_waives_its_own_rule_only(self):
        line = "std::random_device d;  // check_layers: {}: seeds the real source\n"
        self.assertEqual(check(CLEAN | {"base/seed.cpp": line.format("chance")}), (0, []))
        self.assertEqual(check(CLEAN | {"base/seed.cpp": line.format("clock")}), (1, ["base/seed.cpp:1: chance"]))

    def test_the_tree_itself_keeps_the_rules(self):
        run = subprocess.run([CHECK], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stdout)


if __name__ == "__main__":
    unittest.main()
