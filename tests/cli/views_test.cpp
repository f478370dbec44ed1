// What people read, from canned objects; the pages of the interface are the model.
#include "cli/views.h"

#include "tests/support/golden.h"

#include <gtest/gtest.h>

namespace muster::cli::views_test {
namespace {

const WallTime NOW = *parseRfc3339("2031-01-02T12:10:00.000Z");

ViewOptions narrow() { return {.now = NOW}; }
ViewOptions wide() { return {.now = NOW, .width = Width::WIDE}; }

Json json(const char* text) { return printableJson(Json::parse(text)); }

void expect(const std::string& name, const std::string& text) {
  testing::expectGolden("golden/cli/" + name + ".txt", text);
}

const char* const DEPLOYMENTS = R"j([
{"kind":"deployment","tenant":"default","name":"chat-70b","uid":"7","revision":8,
 "created_at":"2030-12-30T12:10:00Z","spec":{"model":"file:/models/llama"},
 "status":{"phase":"Ready","reason":"","message":"2 of 2 replicas ready","since":"2031-01-02T11:00:00Z",
  "next":"","progress":1.0,"replicas":{"desired":2,"ready":2},"gpus":{"count":16,"types":["H100"]}}},
{"kind":"deployment","tenant":"default","name":"moe","uid":"8","revision":1,
 "created_at":"2031-01-02T12:04:00Z","spec":{"model":{"source":"file:/models/moe"}},
 "status":{"phase":"Starting","reason":"","message":"Loading","since":"2031-01-02T12:05:00Z",
  "next":"Ready in about 2m","progress":0.61,"replicas":{"desired":1,"ready":0},
  "gpus":{"count":16,"types":["H200"]}}},
{"kind":"deployment","tenant":"search","name":"embed","uid":"9","revision":2,
 "created_at":"2030-12-24T12:10:00Z","spec":{},
 "status":{"phase":"Degraded","reason":"NodeLost","message":"embed/2: gpu07 is lost since 12:09:00; three others serve, and a fourth is being placed",
  "since":"2031-01-02T12:09:00Z","next":"","progress":null,"replicas":{"desired":4,"ready":3},
  "gpus":{"count":0,"types":[]}}}])j";

TEST(Views, listsOfDeployments) {
  Json items = json(DEPLOYMENTS);
  expect("ps", viewDeployments(items, narrow()));
  expect("ps_wide", viewDeployments(items, wide()));
  expect("deployments", viewList("deployments", items, narrow()));
  expect("deployments_wide", viewList("deployments", items, wide()));
}

TEST(Views, listsOfMachines) {
  Json nodes = json(R"j([
{"kind":"node","name":"gpu01","address":"10.0.0.1","rack":"r1","labels":{"zone":"a","disk":"nvme"},"version":"0.1.0",
 "gpus":{"total":8,"busy":8,"free":0},"status":{"phase":"Ready","reason":"","message":"","since":"2031-01-02T10:10:00Z","attached":true,"cordon":null}},
{"kind":"node","name":"gpu09","address":"10.0.0.9","rack":"","labels":{},"version":"0.1.0","gpus":{"total":8,"busy":0,"free":8},
 "status":{"phase":"Cordoned","reason":"","message":"","since":"2031-01-02T10:10:00Z","attached":true,
  "cordon":{"by":"anna","reason":"XID 79 on GPU 3","since":"2031-01-02T10:10:00Z"}}}])j");
  Json gpus = json(R"j([
{"kind":"gpu","name":"gpu01:0","node":"gpu01","index":0,"type":"H100","uuid":"GPU-1","memory_bytes":85899345920,
 "reserved_bytes":76665065472,"island":0,"phase":"busy",
 "holders":[{"tenant":"default","deployment":"chat-70b","replica":1,"rank":0,"generation":2,"bytes":76665065472},
            {"tenant":"search","deployment":"embed","replica":0,"rank":0,"generation":1,"bytes":1,"stopping":true}]},
{"kind":"gpu","name":"gpu01:1","node":"gpu01","index":1,"type":"H100","uuid":"GPU-2","memory_bytes":85899345920,
 "reserved_bytes":0,"island":0,"phase":"free","holders":[]},
{"kind":"gpu","name":"gpu01:2","node":"gpu01","index":2,"type":"H100","uuid":"GPU-3","memory_bytes":85899345920,
 "reserved_bytes":0,"island":0,"phase":"unhealthy","message":"XID 79","holders":[]}])j");
  expect("nodes", viewList("nodes", nodes, narrow()));
  expect("nodes_wide", viewList("nodes", nodes, wide()));
  expect("gpus", viewList("gpus", gpus, narrow()));
  expect("gpus_wide", viewList("gpus", gpus, wide()));
}

TEST(Views, listsOfReplicasAndRanks) {
  Json replicas = json(R"j([
{"kind":"replica","tenant":"default","deployment":"chat-70b","replica":0,"generation":3,"revision":8,"phase":"Ready",
 "reason":"","message":"","since":"2031-01-02T12:00:00Z","next":"","progress":1.0,"plan":{"tp":2,"pp":2},"ranks":4,"nodes":["w1","w2"]},
{"kind":"replica","tenant":"default","deployment":"chat-70b","replica":1,"generation":0,"revision":8,"phase":"Pending",
 "reason":"WaitingForCapacity","message":"10 of 16 free","since":"2031-01-02T12:06:00Z","next":"asked again when devices become free",
 "progress":null,"plan":null,"ranks":0,"nodes":[]}])j");
  Json ranks = json(R"j([
{"kind":"rank","tenant":"default","deployment":"chat-70b","replica":0,"rank":0,"generation":3,"phase":"Loading","reason":"",
 "message":"","since":"2031-01-02T12:09:48Z","node":"w1","devices":[0,1,2,5],"pid":4711,"bytes_loaded":99614720,
 "slices":[{},{}],"rendezvous":"10.0.0.1:4242","first_error":""}])j");
  expect("replicas", viewList("replicas", replicas, narrow()));
  expect("replicas_wide", viewList("replicas", replicas, wide()));
  expect("ranks", viewList("ranks", ranks, narrow()));
  expect("ranks_wide", viewList("ranks", ranks, wide()));
}

TEST(Views, eventsAndModels) {
  Json events = json(R"j([
{"index":3,"ordinal":0,"time":"2030-12-31T23:59:59.000Z","severity":"info","type":"NodeRegistered","tenant":"","object":"node w1","message":"2 devices","principal":"worker/w1"},
{"index":9,"ordinal":0,"time":"2031-01-02T12:01:09.250Z","severity":"info","type":"Rollout","tenant":"default","object":"chat-70b","message":"revision 8 started by anna","principal":"operator/anna"},
{"index":9,"ordinal":1,"time":"2031-01-02T12:03:55.000Z","severity":"error","type":"Failed","tenant":"search","object":"embed/2","message":"evil \u001b[31mred\u0007 line\nbreak","principal":""}])j");
  Json models = json(
      R"j([{"kind":"model","source":"file:/models/llama","digest":"abc","architecture":"LlamaForCausalLM",
"parameters":70000000000,"bytes":141107412992,"tensors":723,"files":30,"inspected_by":"w1"}])j");
  expect("events", viewEvents(events, narrow()));
  expect("models_wide", viewList("models", models, wide()));
}

TEST(Views, whyNamesNodes) {
  expect(
      "why",
      viewWhy(
          json(
              R"j({"version":1,"kind":"why","deployment":"chat-405b","tenant":"default","phase":"Pending",
"since":"2031-01-02T12:05:48Z","reason":"WaitingForCapacity","code":"E0401","message":"10 of 16 free; and a long story",
"wants":"2 nodes with 8 free H100 each on one InfiniBand fabric",
"verdicts":[{"node":"gpu01","verdict":"busy","detail":"16 GPUs: search/ranker (priority critical)"},
{"node":"gpu02","verdict":"busy","detail":"16 GPUs: search/ranker (priority critical)"},
{"node":"gpu03","verdict":"fits","detail":"8 free"},
{"node":"gpu04","verdict":"short","detail":"2 free; 6 used by lab/tests"},
{"node":"gpu05","verdict":"type","detail":"L40S"},{"node":"gpu06","verdict":"type","detail":"L40S"},
{"node":"gpu07","verdict":"type","detail":"L40S"},{"node":"gpu08","verdict":"type","detail":"L40S"},
{"node":"gpu09","verdict":"health","detail":"cordoned by anna 2h ago: \"XID 79 on GPU 3\""}],
"waiting":[{"replica":0,"phase":"Pending","reason":"WaitingForCapacity","message":"10 of 16 free","since":"2031-01-02T12:05:48Z","next":"1st in queue"},
{"replica":1,"phase":"Failed","reason":"RankCrashed","message":"rank 5 was ended by signal 9","since":"2031-01-02T12:09:00Z","next":"started again in 8s"}],
"next":"1st in queue","fix":["muster scale search/ranker --replicas 1"]
})j"),
          narrow()));
  expect("why_ready",
         viewWhy(json(R"j({"phase":"Ready","since":"2031-01-02T12:00:00Z","reason":"","code":"",
"message":"2 of 2 replicas ready","wants":"","verdicts":[],"waiting":[],"next":"","fix":[]})j"),
                 narrow()));
}

TEST(Views, whyTellsOfWhatAReplicaFailed) {
  expect(
      "why_failed",
      viewWhy(
          json(
              R"j({"phase":"Failed","since":"2031-01-02T12:09:00Z","reason":"GpuUnhealthy","code":"",
"message":"0 of 1 replicas ready","wants":"1 free device","verdicts":[{"node":"gpu01","verdict":"busy","detail":"1 used by default/llm"}],
"waiting":[{"replica":0,"phase":"Failed","reason":"GpuUnhealthy","message":"attempt 1 failed: rank 0 (gpu01:0): it cannot be used",
"since":"2031-01-02T12:09:00Z","next":"tried again in 8s"}],"next":"tried again in 8s","fix":["muster logs llm/0 --first-error"]})j"),
          narrow()));
}

TEST(Views, planShowsChangesAndPlacement) {
  expect("plan", viewPlan(json(R"j({"version":1,"kind":"plan","id":"p-7f3a","cluster_revision":4182,
"summary":{"add":1,"change":1,"remove":0},"deployments":[
{"tenant":"default","name":"chat-70b","revision_before":7,"revision_after":8,"action":"change","unchanged":9,
 "changes":[{"path":"engine.args.max-num-seqs","before":"128","after":"256","restarts_ranks":true},
            {"path":"replicas","before":"1","after":"2","restarts_ranks":false},
            {"path":"gpu.link","before":"","after":"nvlink","restarts_ranks":true},
            {"path":"placement.pool","before":"batch","after":"","restarts_ranks":true}],
 "placement":[{"replica":0,"rank_count":4,"nodes":[{"node":"gpu10","devices":[0,1,2,3]},{"node":"gpu11","devices":[0,2,3]}],
  "per_gpu_bytes":76665065472,"per_gpu_total_bytes":85899345920,"link":"NVLink","weights_bytes":141107412992}],
 "plan":{"tp":4,"pp":2},
 "commands":[{"replica":0,"rank":0,"node":"gpu10","argv":["vllm","serve","/models/it's big","--port","$MUSTER_PORT"],
  "env":{"CUDA_VISIBLE_DEVICES":"0,1","LANG":"C.UTF-8","MUSTER_RANK":"0","PATH":"/usr/bin"}},
  {"replica":0,"rank":1,"node":"gpu11","argv":["vllm","serve","--headless"],"env":{}}],
 "reasons":["memory binds on rank 2"],"waiting":null,"disruption":"recreates 1 replica"},
{"tenant":"search","name":"new","revision_before":0,"revision_after":1,"action":"add","unchanged":0,"changes":[],
 "placement":[],"plan":null,"reasons":[],"disruption":"none: a new deployment",
 "waiting":{"phase":"Pending","since":"2031-01-02T12:10:00Z","reason":"WaitingForCapacity","code":"E0401",
  "wants":"1 node with 2 free devices","verdicts":[{"node":"gpu01","verdict":"busy","detail":"8 used by chat-70b"}],
  "waiting":[],"next":"","fix":["muster scale chat-70b --replicas 1"]}},
{"tenant":"default","name":"same","revision_before":3,"revision_after":3,"action":"none","unchanged":12,"changes":[],
 "placement":[],"plan":null,"reasons":[],"waiting":null,"disruption":"none: nothing changes"}]})j"),
                          narrow()));
}

TEST(Views, changes) {
  auto text = [](const char* object, Carried carried = Carried::OUT) {
    return viewChange(json(object), carried, narrow());
  };
  expect(
      "changes",
      text(
          R"j({"kind":"applied","deployments":[{"tenant":"default","name":"a","revision":1,"action":"add"},
{"tenant":"search","name":"b","revision":2,"action":"change"},{"tenant":"default","name":"c","revision":2,"action":"none"}]})j") +
          text(R"j({"kind":"deleted","tenant":"default","name":"a"})j", Carried::DRY) +
          text(R"j({"kind":"scaled","tenant":"default","name":"a","replicas":1})j") +
          text(R"j({"kind":"cordoned","node":"w1"})j") +
          text(R"j({"kind":"uncordoned","node":"w1"})j") +
          text(R"j({"kind":"stepped_down","from":"co1","to":"co2"})j") +
          text(
              R"j({"kind":"draining","node":"gpu10","moving":[{"tenant":"default","deployment":"chat-70b","replica":0,
"state":"replacement on gpu11: Loading 40%; the old replica serves until it is ready"}],"blocked":[{"tenant":"default",
"deployment":"embed","replica":1,"message":"embed/2 is Failed, and all others must serve","fix":"muster why embed"}]})j") +
          text(R"j({"kind":"draining","node":"gpu11","moving":[],"blocked":[]})j"));
}

TEST(Views, logsAndAdmin) {
  expect(
      "logs",
      viewLogs(
          json(R"j({"kind":"logs","target":"chat","lines":[{"rank":0,"node":"w1","text":"loading"},
{"rank":1,"node":"w2","text":"loading\u001b[2Jgone"}],"first_error":null})j"),
          narrow()));
  expect("first_error", viewLogs(json(R"j({"kind":"logs","target":"chat-405b","lines":[],
"first_error":{"rank":5,"node":"gpu02","text":"CUDA out of memory: wanted 2.1 GiB, 0.4 GiB free",
"cause":"OutOfGpuMemory (E0603)","fix":"muster describe gpu02"
}
})j"),
                                 narrow()));
  expect("admin_status",
         viewAdminStatus(json(R"j({"version":1,"cluster":"prod","history":"1-00ff","epoch":7,
"leader":{"id":"co1","address":"10.0.0.1:7401"},"schema_level":1,"coordinators":[
{"id":"co1","stage":"serving","schema_level_max":2,"applied_index":4182,"state_hash":"ab","fenced_attempts":0,"address":"10.0.0.1:7401","reachable":true},
{"id":"co2","stage":"standby","applied_index":4180,"state_hash":"cd","fenced_attempts":3,"address":"10.0.0.2:7401","reachable":true},
{"id":"co3","address":"10.0.0.3:7401","reachable":false}],"wrong_guesses":1})j"),
                         narrow()));
}

TEST(Views, descriptions) {
  Json deployments = json(DEPLOYMENTS);
  Json event = json(
      R"j([{"time":"2031-01-02T12:01:09Z","severity":"info","type":"Rollout","tenant":"default","object":"moe","message":"revision 1"}])j");
  expect("describe_deployment",
         viewDescription({.object = deployments[1], .events = event}, narrow()));
  Json node =
      json(R"j({"kind":"node","name":"gpu09","address":"10.0.0.9","rack":"r1","version":"0.1.0",
"status":{"phase":"Cordoned","reason":"","message":"","since":"2031-01-02T10:10:00Z","next":"muster uncordon gpu09",
"cordon":{"by":"anna","reason":"XID 79","since":"2031-01-02T10:10:00Z"},
"drain":{"moving":[],"blocked":[{"tenant":"default","deployment":"embed","replica":1,"reason":"RankCrashed",
"message":"embed/2 is Failed, and all others must serve while one moves","fix":"muster why embed"}]}}})j");
  expect("describe_node", viewDescription({.object = node}, narrow()));
}

TEST(Views, progressOfAReplica) {
  auto line = [](const char* object) { return viewProgress(json(object), narrow()); };
  EXPECT_EQ(
      line(
          R"j({"tenant":"default","deployment":"chat-70b","replica":1,"phase":"Loading","reason":"",
"message":"94/142 GiB","next":"Joining","progress":0.66})j"),
      "chat-70b/1  Loading  ############------  66%  94/142 GiB  next: Joining");
  EXPECT_EQ(
      line(
          R"j({"tenant":"lab","deployment":"a","replica":0,"phase":"Ready","reason":"","message":"",
"next":"","progress":1.0})j"),
      "lab/a/0  Ready");
}

TEST(Views, survivesObjectsOfAnotherShape) {
  for (const char* text : {"{}", "[]", "null", "[{}]", "[null]", "[[1]]", "\"x\"", "3"}) {
    SCOPED_TRACE(text);
    Json odd = json(text);
    for (const char* kind :
         {"nodes", "gpus", "deployments", "replicas", "ranks", "events", "models"}) {
      viewList(kind, odd, wide());
    }
    viewWhy(odd, narrow());
    viewPlan(odd, narrow());
    viewChange(odd, Carried::OUT, narrow());
    viewLogs(odd, narrow());
    viewAdminStatus(odd, narrow());
    viewDescription({.object = odd}, narrow());
    viewProgress(odd, narrow());
  }
}

TEST(Views, coloursOnlyRepeatTheWords) {
  ViewOptions coloured = narrow();
  coloured.paint = [](Paint, std::string_view text) { return "<" + std::string(text) + ">"; };
  std::string text = viewDeployments(json(DEPLOYMENTS), coloured);
  std::erase(text, '<');
  std::erase(text, '>');
  EXPECT_EQ(text, viewDeployments(json(DEPLOYMENTS), narrow()));
}

}  // namespace
}  // namespace muster::cli::views_test
