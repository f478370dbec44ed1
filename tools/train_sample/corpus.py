"""The sample model's text: questions and answers made from the definitions of WordNet 3.0 (Debian: wordnet-base).

One document is a short dialogue about one word: what a noun is and what it is a kind of, what it means to do a verb,
what an adjective or adverb means. Documents are held out by the hash of their synset, so that a word's definition is
either learnt or asked, never both.
"""
import hashlib
import re
from dataclasses import dataclass

FOLDER = "/usr/share/wordnet"
HELD_OUT_PERCENT = 2
LENGTHS = range(10, 160)  # characters of a definition; longer ones are lists


@dataclass(frozen=True)
class Document:
    question: str
    answer: str

    def text(self):
        return f"{self.question}\n{self.answer}\n"


@dataclass(frozen=True)
class Synset:
    lemma: str
    gloss: str
    parent: str | None  # offset of what it is a kind of
    instance: bool


def parseLine(line):
    fields, _, gloss = line.partition(" | ")
    words = fields.split()
    lemma = words[4].replace("_", " ").split("(")[0]
    count = int(words[3], 16)
    pointers = words[4 + 2 * count + 1:]
    parent, instance = None, False
    for symbol, offset in zip(pointers[0::4], pointers[1::4]):
        if symbol in ("@", "@i"):
            parent, instance = offset, symbol == "@i"
            break
    return words[0], Synset(lemma, definition(gloss), parent, instance)


def definition(gloss):
    """The definition without the examples, which stand in quotes."""
    text = re.split(r'; "|;  "', gloss.strip())[0].strip().rstrip(";")
    return text if len(text) in LENGTHS and text.isascii() and not text.startswith(("(", '"')) else ""


def readSynsets(partOfSpeech):
    with open(f"{FOLDER}/data.{partOfSpeech}", encoding="ascii", errors="replace") as file:
        return dict(parseLine(line) for line in file if not line.startswith("  "))


def withArticle(noun):
    if noun[0].isupper() or noun.endswith("s"):
        return noun
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def nounDocuments(synsets):
    for offset, synset in synsets.items():
        noun = withArticle(synset.lemma)
        answer = f"{noun[0].upper()}{noun[1:]} is {synset.gloss}."
        parent = synsets.get(synset.parent)
        if parent:
            answer += f" It is {'an example' if synset.instance else 'a kind'} of {parent.lemma}."
        yield offset, synset, Document(f"What is {noun}?", answer)


def verbDocuments(synsets):
    for offset, synset in synsets.items():
        yield offset, synset, Document(f"What does it mean to {synset.lemma}?",
                                       f"To {synset.lemma} is to {synset.gloss}.")


def otherDocuments(synsets):
    for offset, synset in synsets.items():
        word = synset.lemma
        yield offset, synset, Document(f"What does {word} mean?", f"{word[0].upper()}{word[1:]} means {synset.gloss}.")


def isHeldOut(partOfSpeech, offset):
    digest = hashlib.sha256(f"{partOfSpeech}/{offset}".encode()).digest()
    return digest[0] * 256 + digest[1] < HELD_OUT_PERCENT * 65536 // 100


def readCorpus():
    """(documents to learn, documents held out), each in the order of the data base."""
    learnt, heldOut = [], []
    makers = {"noun": nounDocuments, "verb": verbDocuments, "adj": otherDocuments, "adv": otherDocuments}
    for partOfSpeech, documents in makers.items():
        for offset, synset, document in documents(readSynsets(partOfSpeech)):
            if synset.gloss and synset.lemma.isascii():
                (heldOut if isHeldOut(partOfSpeech, offset) else learnt).append(document)
    return learnt, heldOut


if __name__ == "__main__":
    learnt, heldOut = readCorpus()
    print(f"{len(learnt)} documents to learn, {sum(len(d.text()) for d in learnt)} bytes; {len(heldOut)} held out")
    for document in learnt[:: len(learnt) // 12]:
        print(document.text())
