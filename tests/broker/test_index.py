from conduit.broker.deliver.index import GENERATION_COUNT, GENERATIONS_COUNT, MessageIndex


def test_an_id_is_known_with_its_topic_and_number_and_the_last_hand_out_counts():
    index = MessageIndex()
    assert index.get("id") is None
    index.put("id", 7, 3)
    index.put("other", 2**14, 2**40)
    assert index.get("id") == (7, 3)
    assert index.get("other") == (2**14, 2**40)
    index.put("id", 8, 1)
    assert index.get("id") == (8, 1)


def test_the_oldest_ids_are_forgotten_and_no_more_are_kept_than_said():
    index, count = MessageIndex(), GENERATION_COUNT * (GENERATIONS_COUNT + 1)
    for seq in range(count):
        index.put(f"id-{seq}", 1, seq)
    known = [seq for seq in range(count) if index.get(f"id-{seq}") is not None]
    assert known == list(range(GENERATION_COUNT, count))
