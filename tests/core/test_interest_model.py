"""What nodes say of what they want, and what another one makes of it, through a place that is flushed and a
channel that loses what it was given.

At any time what is believed of a node is what it wanted at one of its versions, and never at an earlier one
than was believed before; and once nothing is lost any more, it is the truth after two looks.
"""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from conduit.core.interest import Interest
from conduit.core.members import Node
from conduit.core.own_interest import OwnInterest
from conduit.core.topics import matches

TENANTS = ("acme", "other")
TOPICS = ("a", "a.b", "c")
ENTRIES = tuple(
    (tenant, subscription, pattern)
    for tenant in TENANTS
    for subscription in ("", "s")
    for pattern in ("a", "a.b", "a.*", ">")
)
NODES = (Node("b", "01"), Node("c", "02"))

STEPS_COUNT = 150


def answers(state, has_all=False):
    """What `wanting` is to say of each topic of each tenant."""
    found = []
    for tenant in TENANTS:
        for topic in TOPICS:
            counts = [
                count
                for (of, _, pattern), count in state.items()
                if of == tenant and matches(pattern, topic)
            ]
            found.append(0 if has_all else sum(counts) or None)
    return found


class Place:
    """One node with its state in Redis, and what became of its announcements."""

    def __init__(self, max_count):
        self.own = OwnInterest(max_count)
        self.truth = {}
        # Version → what `wanting` is to say then.
        self.history = {1: answers({})}
        self.fields = {}
        self.mark = None
        self.writing = 0
        self.seen = 1
        self.sent = []
        self.old = []

    def now(self):
        return (self.own.version, self.writing, self.own.has_all)

    def tell(self):
        before = self.now()
        said = self.own.take(3)
        if said is None:
            return
        self.history[said.version] = answers(dict(self.own.state()), self.own.has_all)
        if said.changes is None or self.mark != before:
            # Whoever finds the place otherwise than it was writes it anew some time later.
            return
        self.fields |= dict(said.changes)
        self.mark = self.now()
        self.sent.append((said.version, said.changes))

    def flush(self):
        self.fields, self.mark = {}, None

    def rewrite(self):
        self.writing += 1
        self.fields = dict(self.own.state())
        self.mark = self.now()
        self.sent.append((self.own.version, None))


class Reading:
    """A walk over the fields in some order: whatever is there all the time is met."""

    def __init__(self, node, mark, order):
        self.node = node
        self.mark = mark
        self.left = order
        self.answer = None


class World:
    """The places, and `Interest` that follows them."""

    def __init__(self, chance, max_count):
        self.chance = chance
        self.places = {node: Place(max_count) for node in NODES}
        self.interest = Interest(max_count)
        # What is believed of a node that has, or had, too much.
        self.all = [[0] * 6] if max_count < len(ENTRIES) else []
        self.interest.set_nodes(NODES)
        self.believed = dict.fromkeys(NODES, 1)
        self.reading = None

    # What happens to a node

    def change(self, node):
        place = self.places[node]
        for entry in self.chance.sample(ENTRIES, self.chance.randint(1, 3)):
            place.truth[entry] = count = self.chance.choice([0, 1, 1, 3])
            place.own.put(entry, count)
        place.tell()

    def hear(self, node):
        place = self.places[node]
        for _ in range(min(self.chance.randint(1, 3), len(place.sent))):
            said = place.sent.pop(0)
            place.old.append(said)
            self.interest.hear(node, *said)

    def look(self, node):
        place = self.places[node]
        if self.chance.random() < 0.8:
            place.seen = place.own.version
        self.interest.look(node, place.seen)

    def flush(self, node):
        self.places[node].flush()

    def rewrite(self, node):
        self.places[node].rewrite()

    def lose(self, node):
        del self.places[node].sent[:1]

    def repeat(self, node):
        if old := self.places[node].old:
            self.interest.hear(node, *self.chance.choice(old[-5:]))

    def overlook(self, node):
        self.interest.keep_trust_in(set(NODES) - {node})

    def go_and_come(self, node):
        self.interest.set_nodes(set(NODES) - {node})
        assert node not in self.interest.wanting("acme", "a")
        self.interest.set_nodes(NODES)
        self.believed[node] = 1

    def disconnect(self, _node):
        self.interest.distrust()
        self.reading = None
        for place in self.places.values():
            place.sent.clear()

    def read(self, _node):
        """Ask for a part, or get what was asked for: something may happen in between."""
        reading = self.reading
        if reading is None:
            self.start_reading()
        elif reading.answer is None:
            place, count = self.places[reading.node], self.chance.choice([3, 6, 16])
            part, reading.left = reading.left[:count], reading.left[count:]
            here = [(entry, place.fields[entry]) for entry in part if place.fields.get(entry)]
            reading.answer = (here, place.mark)
        else:
            (here, mark), reading.answer = reading.answer, None
            self.take(reading, here, mark)

    def take(self, reading, here, mark):
        if mark is None or mark[1] != reading.mark[1]:
            self.interest.give_up(reading.node)
            self.reading = None
        elif not self.interest.load(reading.node, here) or not reading.left:
            self.interest.end(reading.node, mark[0])
            self.reading = None

    def start_reading(self):
        node = self.interest.next_unread()
        if node is None:
            return
        place = self.places[node]
        if place.mark is None:
            self.interest.give_up(node)
        elif self.interest.begin(node, place.mark[0], has_all=place.mark[2]):
            order = self.chance.sample(ENTRIES, len(ENTRIES))
            self.reading = Reading(node, place.mark, order)

    # What is to be true

    def check(self):
        known = {node for node in NODES if self.interest.is_known(node)}
        assert known == set(NODES) - set(self.interest.unknown)
        for node in known:
            said, history = self.said_of(node), self.places[node].history
            versions = [
                version
                for version, answer in history.items()
                if version >= self.believed[node] and said in [answer, *self.all]
            ]
            assert versions, (said, history)
            self.believed[node] = min(versions)

    def said_of(self, node):
        return [
            self.interest.wanting(tenant, topic).get(node) for tenant in TENANTS for topic in TOPICS
        ]

    def heal(self):
        """From now on nothing is lost any more, but the last that was announced before may be."""
        for place in self.places.values():
            if self.chance.random() < 0.5:
                place.sent.clear()
            while place.own.untold_count:
                place.tell()
            if place.mark != place.now():
                place.rewrite()
            place.seen = place.own.version
        for _ in range(3):
            for node, place in self.places.items():
                self.interest.look(node, place.seen)
                while place.sent:
                    self.hear(node)
            for _ in range(100):
                self.read(None)

    def check_all(self):
        assert self.interest.unknown == ()
        for node, place in self.places.items():
            expected = answers(place.truth, place.own.has_all)
            assert self.said_of(node) in [expected, *self.all]


WEIGHTS = {
    World.change: 8,
    World.hear: 8,
    World.read: 15,
    World.look: 5,
    World.flush: 0.3,
    World.rewrite: 1,
    World.lose: 1,
    World.repeat: 3,
    World.overlook: 0.3,
    World.go_and_come: 0.3,
    World.disconnect: 0.3,
}


@settings(max_examples=300)
@given(seed=st.integers(0, 1 << 32), max_count=st.sampled_from([4, 1000]))
def test_what_is_believed_was_true_never_grows_older_and_is_true_in_the_end(seed, max_count):
    chance = random.Random(seed)
    world = World(chance, max_count)
    steps = chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=STEPS_COUNT)
    for step in steps:
        step(world, chance.choice(NODES))
        world.check()
    world.heal()
    world.check_all()
