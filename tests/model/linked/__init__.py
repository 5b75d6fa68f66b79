"""The third form: two linked nodes on one PostgreSQL, and the model of one Conduit.

Clients are at both nodes, and everything is asked of either. In between, one node is killed, stopped, stands
still for longer than a lease, or comes (again), or the link is cut; the other lives, and so do its clients.

While nothing of that goes on, all is as exact as beside one server: every frame, every answer and every view
of either node. From a disturbance on (*unrest*, `unrest.py`) until the nodes have settled, the durable
subscriptions that it concerns are looked at with what follows here, and all others as before. All
leniencies, each with its reason:

always
  1. A change at one node is known at the other within about a second, and at once to who asks for it by name
     (cluster.md). So after a change the other is asked by name, and must know; or it is not asked, and what
     is compared has as long as everything here, `PATIENCE_S`. What is on its way of a topic that is deleted
     still comes.
  2. A subscriber that begins with `new` begins after the last message that its node has heard of (decision
     0050): anywhere between what was published or given out there, and the end of the log.
  3. What is confirmed is stored with what was settled before, of subscriptions with the same owner: nodes
     store each for itself.
  4. Which of several subscriptions a verb means that names none, is not promised (websocket.md), and those at
     other nodes come first. So verbs name theirs where a client has several.

in unrest, of a subscription whose owner changes, or that has a subscriber whose way to the owner is lost
  5. Whatever is out may come again, to anybody, with the next attempt and without a failure (cluster.md). It
     may also stay with who has it, if its node noticed nothing.
  6. What was settled without an answer since both agreed last may be lost on its way to the owner.
  7. A verb may be answered with `unavailable`, `unknown_delivery` or `stale_attempt`: the owner that gave the
     delivery is lost. Then it was done or not. One that is answered with `acked` was done, for good.
  8. Subscribers that are attached again are told again what they may not have heard: a gap is told at least
     once (guarantees.md, 4), and after unrest whether somebody has heard of it is not known.

and if its owner was killed, or stood still for longer than its lease
  9. What was not stored may be lost: acks, failures and losses without an answer, hand-outs (guarantees.md,
     5). So something may come again with the attempt that it had (guarantees.md, 3).
  10. A view may be one flush old, and a seek be answered with 503, while the owner cannot be reached.

Not lenient: what was confirmed comes never again, also not to clients of a node that stood still; nothing is
lost or out with nobody; no attempt fails by itself; contents, numbers, epochs, windows and pauses; publishes
are taken, and known keys are known, by every node that lives, all the time.
"""

PATIENCE_S = 20.0
