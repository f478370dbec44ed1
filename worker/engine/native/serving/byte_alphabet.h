// How byte-level vocabularies write bytes: each as one printable character, so that a token is text
// in a JSON file. Source: Radford et al., Language Models are Unsupervised Multitask Learners
// (2019), section 2.2, and the table published with it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace muster::worker {

// The character of a byte, in UTF-8: printable ones of Latin-1 stand for themselves, the 68 others
// for U+0100 onwards, in order.
std::string alphabetCharacter(uint8_t byte);

// The bytes that `text` spells; nothing when a character of it is not of the alphabet.
std::optional<std::string> fromAlphabet(std::string_view text);

}  // namespace muster::worker
