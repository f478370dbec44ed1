"""Trains a byte-level byte-pair encoding and writes it as a tokenizer.json.

The classic algorithm (R. Sennrich, B. Haddow, A. Birch, Neural Machine Translation of Rare Words with Subword Units,
2016), on bytes: the commonest pair of neighbours within words becomes a token, again and again.
"""
import json
import re
from collections import Counter, defaultdict

# GPT-2's split into words, for the ASCII text of the corpus.
WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byteAlphabet():
    """GPT-2's printable character for each byte, so that tokens can be written as text."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in printable)
    alphabet = {byte: chr(byte) for byte in printable}
    alphabet.update({byte: chr(256 + place) for place, byte in enumerate(others)})
    return alphabet


ALPHABET = byteAlphabet()


def spell(word):
    return tuple(ALPHABET[byte] for byte in word.encode())


def joined(symbols, pair):
    result, at = [], 0
    while at < len(symbols):
        if symbols[at:at + 2] == pair:
            result.append(pair[0] + pair[1])
            at += 2
        else:
            result.append(symbols[at])
            at += 1
    return tuple(result)


class PairCounts:
    """How often each pair stands within the words, and in which words."""

    def __init__(self, words):
        self.words = [[symbols, count] for symbols, count in words.items()]
        self.counts = Counter()
        self.places = defaultdict(set)
        for index in range(len(self.words)):
            self.count(index, +1)

    def count(self, index, sign):
        symbols, times = self.words[index]
        for pair in zip(symbols, symbols[1:]):
            self.counts[pair] += sign * times
            self.places[pair].add(index)

    def commonest(self):
        return max(self.counts, key=lambda pair: (self.counts[pair], pair))

    def join(self, pair):
        for index in self.places.pop(pair):
            self.count(index, -1)
            self.words[index][0] = joined(self.words[index][0], pair)
            self.count(index, +1)
        del self.counts[pair]


class Tokenizer:
    def __init__(self, vocabulary, merges):
        self.vocabulary = vocabulary
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.known = {}

    def word(self, text):
        if text not in self.known:
            symbols = spell(text)
            while len(symbols) > 1:
                best = min(zip(symbols, symbols[1:]), key=lambda pair: self.ranks.get(pair, len(self.ranks)))
                if best not in self.ranks:
                    break
                symbols = joined(symbols, best)
            self.known[text] = [self.vocabulary[symbol] for symbol in symbols]
        return self.known[text]

    def encode(self, text):
        return [token for word in WORDS.findall(text) for token in self.word(word)]


def train(texts, size):
    """(vocabulary token -> id, merges) with `size` tokens, the special ones first."""
    words = Counter(word for text in texts for word in WORDS.findall(text))
    pairs = PairCounts(Counter({spell(word): count for word, count in words.items()}))
    vocabulary = {token: place for place, token in enumerate([*SPECIAL, *sorted(ALPHABET.values())])}
    merges = []
    while len(vocabulary) < size:
        pair = pairs.commonest()
        pairs.join(pair)
        merges.append(pair)
        vocabulary.setdefault(pair[0] + pair[1], len(vocabulary))
    return vocabulary, merges


def write(path, vocabulary, merges):
    byteLevel = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = [{"id": place, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True} for place, token in enumerate(SPECIAL)]
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocabulary,
             "merges": [f"{left} {right}" for left, right in merges]}
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
                   "pre_tokenizer": byteLevel, "post_processor": None, "decoder": byteLevel, "model": model},
                  file, ensure_ascii=False, indent=1)
        file.write("\n")
