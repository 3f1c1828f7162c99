"""Learning the automaton of a stack, comparing two, and what it looks like on the RFC's eleven states."""

import random
from collections import deque
from itertools import product

from aalpy.learning_algs import run_KV
from aalpy.oracles import StatePrefixEqOracle

from tcpcore import State
from tests.learning.conversation import ALPHABET, Conversation

WALKS, LENGTH = 25, 12                # random walks from each state of a hypothesis


class Oracle(StatePrefixEqOracle):
    """Looks for a word that a hypothesis answers wrongly: by walks, which find most, then by all pairs of
    letters from each state, which find the rest."""

    def find_cex(self, hypothesis):
        found = super().find_cex(hypothesis)
        if found is not None:
            return found
        hypothesis.compute_prefixes()
        for state in hypothesis.states:
            for pair in product(self.alphabet, repeat=2):
                word = (*state.prefix, *pair)
                self.reset_hyp_and_sul(hypothesis)
                if [self.sul.step(letter) for letter in word] != answers(hypothesis, word):
                    return word
        return None


def learn(stack, **arguments):
    """The Mealy machine of a stack as KV learns it; the same every time."""
    random.seed(9293)                 # aalpy draws its walks from the module's generator
    subject = Conversation(stack, **arguments)
    oracle = Oracle(list(ALPHABET), subject, walks_per_state=WALKS, walk_len=LENGTH)
    machine = run_KV(list(ALPHABET), subject, oracle, "mealy", print_level=0)
    machine.compute_prefixes()
    return machine


def difference(one, other):
    """A shortest word that two machines answer differently, None when they are equal."""
    start = (one.initial_state, other.initial_state)
    seen, words = {start}, deque([(start, ())])
    while words:
        (here, there), word = words.popleft()
        for letter in ALPHABET:
            if here.output_fun[letter] != there.output_fun[letter]:
                return (*word, letter)
            pair = here.transitions[letter], there.transitions[letter]
            if pair not in seen:
                seen.add(pair)
                words.append((pair, (*word, letter)))
    return None


def answers(machine, word):
    """What a machine puts out along a word."""
    state, said = machine.initial_state, []
    for letter in word:
        said.append(state.output_fun[letter])
        state = state.transitions[letter]
    return said


class Picture:
    """A machine seen from the RFC: its states under the RFC's names, and what leads from one to another.

    The learner tells more states apart than the RFC names: whether somebody listens besides, and whether
    SYN-RECEIVED or FIN-WAIT-1 came from a passive or an active open.
    """

    def __init__(self, machine, stack):
        place = Conversation(stack).place
        self.machine = machine
        self.name = {state: place(state.prefix)[0] for state in machine.states}

    def moves(self):
        """(from, letter, to) -> what is put out, of everything that leads elsewhere."""
        found = {}
        for state in self.machine.states:
            for letter in ALPHABET:
                here, there = self.name[state], self.name[state.transitions[letter]]
                if here != there:
                    found.setdefault((here, letter, there), set()).add(state.output_fun[letter])
        return found

    def cells(self):
        """(state, letter) -> the ways it is answered: (what is put out, where it leads)."""
        found = {}
        for state in self.machine.states:
            for letter in ALPHABET:
                way = state.output_fun[letter], self.name[state.transitions[letter]]
                ways = found.setdefault((self.name[state], letter), [])
                if way not in ways:
                    ways.append(way)
        return found

    def states(self):
        """How many learned states stand behind each of the RFC's."""
        return {name: list(self.name.values()).count(name) for name in State}
