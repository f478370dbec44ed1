#include "protocol/deployment_fields.h"

#include "protocol/field_codecs.h"

#include <algorithm>

namespace muster {
namespace {

using namespace fields;  // NOLINT(google-build-using-namespace): a table of its functions

constexpr auto OPTIONAL = FieldNeed::OPTIONAL;
constexpr auto REQUIRED = FieldNeed::REQUIRED;
constexpr auto BUILT = FieldSupport::BUILT;
constexpr auto IN_PLACE = ChangeEffect::IN_PLACE;

// A field of the language that this version refuses.
constexpr FieldRow notYet(std::string_view path, std::string_view form, std::string_view meaning,
                          std::string_view defaultText = "") {
  return {path, form, defaultText, meaning, OPTIONAL, FieldSupport::NOT_YET, nullptr, nullptr};
}

// clang-format off: one row, one field
constexpr FieldRow TABLE[] = {
    {"version", "1", "", "version of this format", REQUIRED, BUILT, readVersion, writeVersion},
    {"kind", "deployment", "deployment",
     "what the document describes; job, tenant and pool are not supported yet", OPTIONAL, BUILT,
     readKind, writeKind},
    {"tenant", "name", "the tenant of the caller", "whose deployment it is", OPTIONAL, BUILT,
     readTenant, writeTenant},
    {"name", "[a-z][a-z0-9-]{0,62}", "", "name of the deployment, unique within its tenant",
     REQUIRED, BUILT, readName, writeName},

    {"model", "file:PATH, or {source, max_context}", "",
     "the model: a Hugging Face directory on the workers", REQUIRED, BUILT, readModelSource,
     nullptr},
    {"model.source", "file:PATH", "",
     "absolute path of the directory with config.json and safetensors files; on each worker it "
     "must lie below "
     "one of its model_roots. hf:, s3: and https: are not supported yet",
     REQUIRED, BUILT, readModelSource, writeModelSource},
    notYet("model.revision", "text", "revision of an hf: model"),
    notYet("model.sha256", "64 hex digits", "what the model must hash to"),
    {"model.dtype", "int8", "as stored",
     "type that the native engine keeps weights in: int8 rounds the matrices when they are loaded, "
     "blocks of 32 with a factor each. bf16, f16 and f32 are not supported yet",
     OPTIONAL, BUILT, readWeightDtype, writeWeightDtype},
    notYet("model.quantization", "fp8, int8 or int4", "weights in fewer bits than stored"),
    {"model.max_context", "number, 1 to 2147483648", "4096, or less where the model has less",
     "longest context in tokens; memory for it is planned", OPTIONAL, BUILT, readMaxContext,
     writeMaxContext},
    {"model.aliases", "list of names", "[]",
     "other names that gateways answer to, for instance [gpt-4o, \"Qwen/Qwen2.5-7B-Instruct\"]; "
     "deployments of one tenant that have the same share its requests. Changed in place",
     OPTIONAL, BUILT, readAliases, writeAliases, IN_PLACE},

    {"engine", "one word, or {kind, args, env, command, ready}", "native",
     "the program that serves the model", OPTIONAL, BUILT, readEngineKind, nullptr},
    {"engine.kind", "native, process, vllm, sglang, llama.cpp or torchrun", "native",
     "native: Muster's own engine; process: any command; vllm, sglang, llama.cpp, torchrun: Muster "
     "writes their command line, see muster plan --show-commands",
     OPTIONAL, BUILT, readEngineKind, writeEngineKind},
    notYet("engine.version", "text", "version of the engine"),
    {"engine.args", "map of names to texts, numbers or booleans", "{}",
     "arguments of a process engine. Port, rank, rendezvous, parallel sizes, devices and served "
     "name are Muster's: "
     "setting them is error E0112",
     OPTIONAL, BUILT, readArguments, writeArguments},
    {"engine.env", "map of names to texts, numbers or booleans", "{}",
     "environment of each rank. MUSTER_*, RANK, WORLD_SIZE, MASTER_ADDR, CUDA_VISIBLE_DEVICES and "
     "their like are "
     "Muster's: setting them is error E0112",
     OPTIONAL, BUILT, readEnvironment, writeEnvironment},
    {"engine.command", "list of texts", "",
     "process, which needs it: program and arguments; torchrun, which needs it: the script and its "
     "arguments; vllm, sglang, llama.cpp: the program in the place of their own",
     OPTIONAL, BUILT, readCommand, writeCommand},
    notYet("engine.container", "image", "image to run the command in"),
    {"engine.ready", "{http, log, timeout}", "as soon as the process runs",
     "when a rank of a process engine is ready", OPTIONAL, BUILT, nullptr, nullptr},
    {"engine.ready.http", "path", "", "ready once GET of this path on the rank's port answers 2xx",
     OPTIONAL, BUILT, readReadyHttp, writeReadyHttp},
    {"engine.ready.log", "text", "", "ready once a line of the output holds this text", OPTIONAL,
     BUILT, readReadyLog, writeReadyLog},
    {"engine.ready.timeout", "duration", "timeouts.ready", "how long that may take", OPTIONAL,
     BUILT, readReadyTimeout, writeReadyTimeout},

    {"gpus", "auto, or number, 1 to 65536", "auto",
     "GPUs of one replica; must equal tp x pp x dp when those are given", OPTIONAL, BUILT, readGpus,
     writeGpus},
    {"gpu", "{type, min_memory, link}", "any", "what a GPU must be", OPTIONAL, BUILT, nullptr,
     nullptr},
    {"gpu.type", "text or list of texts", "any", "one of these types, for instance [H200, H100]",
     OPTIONAL, BUILT, readGpuType, writeGpuType},
    {"gpu.min_memory", "size", "any", "memory of the GPU, at least; for instance 80GiB", OPTIONAL,
     BUILT, readGpuMemory, writeGpuMemory},
    {"gpu.link", "nvlink", "any", "how the GPUs of a tensor group are joined", OPTIONAL, BUILT,
     readGpuLink, writeGpuLink},

    {"parallel", "auto, or {tp, pp, dp, ep}", "auto",
     "how the model is cut; what is left out is chosen by the planner", OPTIONAL, BUILT, readAuto,
     nullptr},
    {"parallel.tp", "number, 1 to 1024", "chosen", "tensor parallel: ranks that share each layer",
     OPTIONAL, BUILT, readTensor, writeTensor},
    {"parallel.pp", "number, 1 to 1024", "chosen",
     "pipeline parallel: stages of consecutive layers", OPTIONAL, BUILT, readPipeline,
     writePipeline},
    {"parallel.dp", "1", "1",
     "data parallel: copies in one engine that live and die together; above 1 not supported yet",
     OPTIONAL, BUILT, readOneOnly, nullptr},
    {"parallel.ep", "number, 1 to 1024", "1",
     "expert parallel: parts into which the experts of a layer are spread over its tp ranks; "
     "divides tp and the number of experts",
     OPTIONAL, BUILT, readExpert, writeExpert},
    {"stages", "list of {gpu, tp, layers: A-B or auto}", "cut evenly",
     "native only: a pipeline that you cut, one entry for each stage; replaces pp. layers: the "
     "first and the last, counted from 0; auto, the default, shares out evenly what ranges leave. "
     "tp: the same in all stages. gpu: {type, min_memory} in the place of the deployment's, for "
     "instance [{gpu: {type: [H100]}, layers: 0-49}, {gpu: {type: [A100]}, layers: 50-79}]",
     OPTIONAL, BUILT, readStages, writeStages},

    {"replicas", "number, 0 to 10000", "1", "independent copies. Changed in place", OPTIONAL, BUILT,
     readReplicas, writeReplicas, IN_PLACE},
    notYet("autoscale", "{min, max, metric, target, up_after, down_after}",
           "replicas that follow the load"),
    notYet("slo", "{ttft_p95, itl_p95, e2e_p95, availability}", "what the latency shall be"),
    notYet("workload", "{rate, input_tokens, output_tokens, concurrency}",
           "what the planner sizes for"),
    {"priority", "normal", "normal", "low, high, critical and 0 to 1000 are not supported yet",
     OPTIONAL, BUILT, readPriority, nullptr},
    notYet("preemptible", "true", "may be stopped for others; with priority low only", "false"),

    {"placement", "{pool, nodes, exclude, spread, fabric, tp_within}", "{}", "where ranks may go",
     OPTIONAL, BUILT, nullptr, nullptr},
    {"placement.pool", "name", "any", "only nodes with this label pool", OPTIONAL, BUILT, readPool,
     writePool},
    {"placement.nodes", "list of nodes", "all", "only these nodes", OPTIONAL, BUILT, readNodes,
     writeNodes},
    {"placement.exclude", "list of nodes", "none", "none of these nodes", OPTIONAL, BUILT,
     readExclude, writeExclude},
    {"placement.spread", "node or rack", "none",
     "replicas on different nodes, or in different racks", OPTIONAL, BUILT, readSpread,
     writeSpread},
    {"placement.fabric", "required or preferred", "preferred",
     "whether nodes of one replica must have one label fabric", OPTIONAL, BUILT, readFabric,
     writeFabric},
    {"placement.tp_within", "node", "none", "keeps each tensor group inside one node", OPTIONAL,
     BUILT, readTensorWithin, writeTensorWithin},

    notYet("rollout", "{strategy, surge, max_unavailable, canary, hold, deadline, on_failure}",
           "how a change is brought in; now every change that is not made in place recreates the "
           "replicas"),
    {"balance", "round_robin, random, weighted, least_outstanding or prefix",
     "as the gateway is configured: least_outstanding",
     "how gateways pick a replica. weighted: in proportion to the devices; prefix: prompts that "
     "begin alike go to the same one, as long as its load allows. Changed in place",
     OPTIONAL, BUILT, readBalance, writeBalance, IN_PLACE},
    notYet("limits", "{requests_per_minute, tokens_per_minute, queue, queue_timeout}",
           "limits of the gateway"),

    {"timeouts", "{ready, stall, drain}", "30m, 2m, 2m", "how long things may take", OPTIONAL,
     BUILT, nullptr, nullptr},
    {"timeouts.ready", "duration", "30m", "from the start of a replica until it is ready", OPTIONAL,
     BUILT, readTimeoutReady, writeTimeoutReady},
    {"timeouts.stall", "duration", "2m",
     "a rank that makes no progress for so long is reported and named", OPTIONAL, BUILT,
     readTimeoutStall, writeTimeoutStall},
    {"timeouts.drain", "duration", "2m", "for running requests to end before a replica is stopped",
     OPTIONAL, BUILT, readTimeoutDrain, writeTimeoutDrain},
};
// clang-format on

// What the path of a row says after "prefix." (all of it for no prefix); empty when it is not
// inside.
std::string_view pathInside(std::string_view path, std::string_view prefix) {
  if (prefix.empty()) return path;
  bool inside =
      path.size() > prefix.size() && path.starts_with(prefix) && path[prefix.size()] == '.';
  return inside ? path.substr(prefix.size() + 1) : std::string_view();
}

}  // namespace

std::span<const FieldRow> deploymentFields() { return TABLE; }

const FieldRow* findField(std::string_view path) {
  const auto* row = std::ranges::find(TABLE, path, &FieldRow::path);
  return row == std::end(TABLE) ? nullptr : row;
}

std::vector<const FieldRow*> fieldsInside(std::string_view path) {
  std::vector<const FieldRow*> inside;
  for (const FieldRow& row : TABLE) {
    std::string_view rest = pathInside(row.path, path);
    if (!rest.empty() && rest.find('.') == std::string_view::npos) inside.push_back(&row);
  }
  return inside;
}

std::string_view lastWord(std::string_view path) {
  size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

}  // namespace muster
