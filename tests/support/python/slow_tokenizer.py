#!/usr/bin/python3
"""Byte-level BPE written a second time, slowly, from the published algorithms and without a regex library.

Usage: slow_tokenizer.py make FOLDER      Learns a small vocabulary and writes gpt2.json, llama3.json and qwen2.json, tokenizers
                                          in the three common styles, and expected.json: texts and their tokens in each.
       slow_tokenizer.py check FOLDER     Exit 1 unless FOLDER holds just what `make` would write.

Sources: Sennrich, Haddow, Birch (2016), section 3.2, for learning and applying merges; Radford et al. (2019), section 2.2, for
bytes as characters; the patterns of the published tokenizers, followed here character by character.
"""
import collections
import json
import pathlib
import sys
import tempfile
import unicodedata

MERGES = 320
SPACES = {chr(c) for c in [*range(9, 14), 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]}
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"]

CORPUS = """
The coordinator decides, the workers obey. When a rank dies the others keep their weights, and it's the lost shard alone
that is loaded again; nobody else's work is touched. We've seen 3 nodes, 24 devices and 1024 blocks in 2026.
Der Koordinator entscheidet, die Knoten gehorchen. Größe, Übung, Straße.
Le cœur du système est une machine à états. Ça va très bien, déjà vu.
Координатор решает, узлы подчиняются. 東京は日本の首都です。 コンピュータ。 시스템이 준비되었습니다.
for (int i = 0; i < 10; ++i) { sum += values[i]; }    // comment
  return sum / 10.0;
"""

TEXTS = [
    "", " ", "  ", "a", "Hello world", "Hello  world", " leading", "trailing ", "trailing   ", "tabs\tand\nlines\r\n\r\nend\n",
    "it's we've I'LL they'd 'tis 'S", "1 12 123 1234 12345678 3.14", "Größe ÜBER Straße", "cafe\u0301 café", "\u212B ngstro\u0308m",
    "東京は日本の首都です。", "시스템이 준비되었습니다.", "Координатор решает", "emoji \U0001F600\U0001F468\u200D\U0001F469 done", "a\u00a0b\u2003c\u3000d",
    "mixed123abc 4x4", "!!! ??? ...\n\n\n", "a  \n  b", "\n", "\n\n  x", "   \n", "for (int i = 0; i < 10; ++i) {\n    sum += i;\n}\n",
    "²³ ½ Ⅷ ٣", "<|endoftext|>", "a<|endoftext|>b", "<|im_start|>user\nHi<|im_end|>\n", "\u180e x", "'\u017f", "-- word-word _under_",
    "the the the the the coordinator coordinator", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "\x00\x01\x1f \x7f",
]


def isLetter(c): return unicodedata.category(c)[0] == "L"
def isNumber(c): return unicodedata.category(c)[0] == "N"
def isSpace(c): return c in SPACES
def isOther(c): return not (isLetter(c) or isNumber(c) or isSpace(c))


def run(text, at, test, most=None):
    """The end of the characters from `at` on that pass the test."""
    end = at
    while end < len(text) and test(text[end]) and (most is None or end - at < most):
        end += 1
    return end


def spaces(text, at):
    """What both last alternatives of every pattern take: all but the last space in front of a word."""
    end = run(text, at, isSpace)
    return end if end == len(text) or end == at + 1 else end - 1


def nextGpt2(text, at):
    for ending in CONTRACTIONS:
        if text.startswith(ending, at):
            return at + len(ending)
    begin = at + 1 if text[at] == " " else at
    for test in (isLetter, isNumber, isOther):
        end = run(text, begin, test)
        if end > begin:
            return end
    return spaces(text, at)


def nextLlama3(text, at, digits=3):
    for ending in CONTRACTIONS:
        if text[at:at + len(ending)].casefold() == ending:
            return at + len(ending)
    begin = at if text[at] in "\r\n" or isLetter(text[at]) or isNumber(text[at]) else at + 1
    end = run(text, begin, isLetter)
    if end > begin:
        return end
    end = run(text, at, isNumber, digits)
    if end > at:
        return end
    begin = at + 1 if text[at] == " " else at
    end = run(text, begin, isOther)
    if end > begin:
        return run(text, end, lambda c: c in "\r\n")
    end = run(text, at, isSpace)
    lines = [i for i in range(at, end) if text[i] in "\r\n"]
    return lines[-1] + 1 if lines else spaces(text, at)


def nextQwen2(text, at): return nextLlama3(text, at, digits=1)


def words(text, nextWord):
    at = 0
    while at < len(text):
        end = nextWord(text, at)
        yield text[at:end]
        at = end


def byteCharacters():
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    names = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        if byte not in names:
            names[byte] = chr(256 + len(names) - len(plain))
    return names


CHARACTERS = byteCharacters()


def spell(word): return [CHARACTERS[byte] for byte in word.encode()]


def joinPair(symbols, pair):
    joined, i = [], 0
    while i < len(symbols):
        if tuple(symbols[i:i + 2]) == pair:
            joined.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            joined.append(symbols[i])
            i += 1
    return joined


def learn(text, count):
    vocabulary = collections.Counter(tuple(spell(word)) for word in words(text, nextGpt2))
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for symbols, times in vocabulary.items():
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += times
        pair = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(pair)
        vocabulary = collections.Counter({tuple(joinPair(list(symbols), pair)): times for symbols, times in vocabulary.items()})
    return merges


def applyMerges(symbols, ranks):
    while True:
        pairs = [(ranks[pair], pair) for pair in zip(symbols, symbols[1:]) if pair in ranks]
        if not pairs:
            return symbols
        pair = min(pairs)[1]
        # One place at a time, the leftmost: joining all at once would differ where places overlap.
        at = next(i for i in range(len(symbols) - 1) if (symbols[i], symbols[i + 1]) == pair)
        symbols = symbols[:at] + [pair[0] + pair[1]] + symbols[at + 2:]


class Tokenizer:
    def __init__(self, merges, special, nextWord, compose=False, wholeWords=False):
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.ids = {CHARACTERS[byte]: byte for byte in range(256)}
        for left, right in merges:
            self.ids.setdefault(left + right, len(self.ids))
        self.special = {content: len(self.ids) + i for i, content in enumerate(special)}
        self.nextWord, self.compose, self.wholeWords = nextWord, compose, wholeWords

    def encode(self, text):
        first = min((text.find(content), -len(content), content) for content in self.special if content in text) \
            if any(content in text for content in self.special) else None
        if first:
            at, _, content = first
            return self.encode(text[:at]) + [self.special[content]] + self.encode(text[at + len(content):])
        if self.compose:
            text = unicodedata.normalize("NFC", text)
        return [self.ids[symbol] for word in words(text, self.nextWord) for symbol in self.symbols(spell(word))]

    def symbols(self, symbols):
        whole = "".join(symbols)
        return [whole] if self.wholeWords and whole in self.ids else applyMerges(symbols, self.ranks)


GPT2 = None  # ByteLevel's own
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def document(tokenizer, merges, pattern, begin=None, pairsAsLists=False):
    byteLevel = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": pattern is None}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True} for content, number in tokenizer.special.items()],
        "normalizer": {"type": "NFC"} if tokenizer.compose else None,
        "pre_tokenizer": byteLevel if pattern is None else {"type": "Sequence", "pretokenizers": [split, byteLevel]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": begin, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
            "special_tokens": {begin: {"id": begin, "ids": [tokenizer.special[begin]], "tokens": [begin]}},
        } if begin else {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": tokenizer.wholeWords, "vocab": tokenizer.ids,
            "merges": [list(pair) for pair in merges] if pairsAsLists else [" ".join(pair) for pair in merges],
        },
    }


def make(folder):
    merges = learn(CORPUS, MERGES)
    styles = {
        "gpt2": (Tokenizer(merges, ["<|endoftext|>"], nextGpt2), GPT2, None, False),
        "llama3": (Tokenizer(merges, ["<|begin_of_text|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"], nextLlama3, wholeWords=True),
                   LLAMA3, "<|begin_of_text|>", True),
        "qwen2": (Tokenizer(merges, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], nextQwen2, compose=True), QWEN2, None, False),
    }
    for name, (tokenizer, pattern, begin, lists) in styles.items():
        write(folder / f"{name}.json", document(tokenizer, merges, pattern, begin, lists))
    write(folder / "expected.json",
          [{"text": text, **{name: style[0].encode(text) for name, style in styles.items()}} for text in TEXTS], lines=True)


def write(path, value, lines=False):
    if lines:
        text = "[\n" + ",\n".join(json.dumps(item, ensure_ascii=False) for item in value) + "\n]\n"
    else:
        text = json.dumps(value, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def check(folder):
    with tempfile.TemporaryDirectory() as made:
        make(pathlib.Path(made))
        differing = [path.name for path in sorted(pathlib.Path(made).iterdir())
                     if path.read_bytes() != (folder / path.name).read_bytes()]
    print("differing: " + ", ".join(differing) if differing else "all as made")
    return 1 if differing else 0


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("make", "check"):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[2])
    sys.exit(check(folder) if sys.argv[1] == "check" else make(folder))


if __name__ == "__main__":
    main()
