"""What a character model of order 2 makes of the held-out text: the yardstick of the sample model.

The chance of a character follows from the two before it, counted on the text to learn, mixed with the orders below it
by Witten and Bell's rule (T. Bell, J. Cleary, I. Witten, Text Compression, 1990).
"""
import math
from collections import Counter, defaultdict

ORDER = 2


class CharacterModel:
    def __init__(self, texts):
        self.counts = [defaultdict(Counter) for _ in range(ORDER + 1)]
        for text in texts:
            padded = "\n" * ORDER + text
            for at in range(ORDER, len(padded)):
                for order in range(ORDER + 1):
                    self.counts[order][padded[at - order:at]][padded[at]] += 1

    def chance(self, context, character):
        chance = 1 / 256
        for order in range(ORDER + 1):
            seen = self.counts[order].get(context[len(context) - order:])
            if seen:
                total, kinds = seen.total(), len(seen)
                chance = (seen[character] + kinds * chance) / (total + kinds)
        return chance

    def bitsPerByte(self, texts):
        bits = characters = 0
        for text in texts:
            padded = "\n" * ORDER + text
            for at in range(ORDER, len(padded)):
                bits -= math.log2(self.chance(padded[at - ORDER:at], padded[at]))
                characters += 1
        return bits / characters
