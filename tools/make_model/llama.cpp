#include "tools/make_model/llama.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <utility>

namespace muster::sample {
namespace {

// A linear layer from `in` to `out` features, drawn from normal(0, 1/sqrt(in)).
Tensor linear(std::string name, uint64_t out, uint64_t in) {
  return {std::move(name), {out, in}, 1.0 / std::sqrt(static_cast<double>(in))};
}

Tensor norm(std::string name, uint64_t size) { return {std::move(name), {size}, 0}; }

Refusal invalid(std::string text) { return {RefusalCode::INVALID_VALUE, std::move(text)}; }

void appendLayer(std::vector<Tensor>& tensors, const Llama& llama, uint32_t layer) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const uint64_t headSize = llama.hidden / llama.heads;
  const uint64_t kv = headSize * llama.kvHeads;
  tensors.push_back(norm(prefix + "input_layernorm.weight", llama.hidden));
  tensors.push_back(linear(prefix + "self_attn.q_proj.weight", llama.hidden, llama.hidden));
  tensors.push_back(linear(prefix + "self_attn.k_proj.weight", kv, llama.hidden));
  tensors.push_back(linear(prefix + "self_attn.v_proj.weight", kv, llama.hidden));
  tensors.push_back(linear(prefix + "self_attn.o_proj.weight", llama.hidden, llama.hidden));
  tensors.push_back(norm(prefix + "post_attention_layernorm.weight", llama.hidden));
  tensors.push_back(linear(prefix + "mlp.gate_proj.weight", llama.intermediate, llama.hidden));
  tensors.push_back(linear(prefix + "mlp.up_proj.weight", llama.intermediate, llama.hidden));
  tensors.push_back(linear(prefix + "mlp.down_proj.weight", llama.hidden, llama.intermediate));
}

}  // namespace

uint64_t Tensor::elements() const {
  uint64_t product = 1;
  for (uint64_t size : shape) product *= size;
  return product;
}

uint64_t bytesPerElement(Dtype dtype) { return dtype == Dtype::F32 ? 4 : 2; }

std::string_view safetensorsName(Dtype dtype) {
  switch (dtype) {
    case Dtype::BF16:
      return "BF16";
    case Dtype::F16:
      return "F16";
    case Dtype::F32:
      return "F32";
  }
  return "";
}

Result<Dtype> parseDtype(std::string_view text) {
  if (text == "bf16") return Dtype::BF16;
  if (text == "f16") return Dtype::F16;
  if (text == "f32") return Dtype::F32;
  return invalid("dtype " + std::string(text) + ": wanted bf16, f16 or f32");
}

Result<Done> check(const Llama& llama) {
  for (uint32_t size :
       {llama.hidden, llama.layers, llama.heads, llama.kvHeads, llama.intermediate, llama.vocab}) {
    if (size == 0) return invalid("every size must be at least 1");
  }
  if (llama.hidden % llama.heads != 0 || llama.hidden / llama.heads % 2 != 0) {
    return invalid("hidden " + std::to_string(llama.hidden) +
                   " must be an even multiple of heads " + std::to_string(llama.heads));
  }
  if (llama.heads % llama.kvHeads != 0) {
    return invalid("heads " + std::to_string(llama.heads) + " must be a multiple of kv-heads " +
                   std::to_string(llama.kvHeads));
  }
  return Done{};
}

std::vector<Tensor> tensorsOf(const Llama& llama) {
  std::vector<Tensor> tensors;
  tensors.push_back(linear("model.embed_tokens.weight", llama.vocab, llama.hidden));
  for (uint32_t layer = 0; layer < llama.layers; ++layer) appendLayer(tensors, llama, layer);
  tensors.push_back(norm("model.norm.weight", llama.hidden));
  tensors.push_back(linear("lm_head.weight", llama.vocab, llama.hidden));
  return tensors;
}

nlohmann::ordered_json configOf(const Llama& llama) {
  constexpr const char* TORCH_NAMES[] = {"bfloat16", "float16", "float32"};
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", llama.hidden},
          {"intermediate_size", llama.intermediate},
          {"num_hidden_layers", llama.layers},
          {"num_attention_heads", llama.heads},
          {"num_key_value_heads", llama.kvHeads},
          {"head_dim", llama.hidden / llama.heads},
          {"vocab_size", llama.vocab},
          {"max_position_embeddings", 4096},
          {"hidden_act", "silu"},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"tie_word_embeddings", false},
          {"bos_token_id", 1},
          {"eos_token_id", 2},
          {"torch_dtype", TORCH_NAMES[static_cast<size_t>(llama.dtype)]}};
}

}  // namespace muster::sample
