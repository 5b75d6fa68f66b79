import msgspec

from conduit.protocol.codec import encode_json
from conduit.protocol.job_records import NO_FILTER, JobAnswer, JobList, LettersMeant

JOB = JobAnswer(None, "discard", "dry_run", 3, 0, 0, 0, 1.0, 9, None, None, None)
FIELDS = (
    b'"id":null,"action":"discard","state":"dry_run","matched_count":3,"redriven_count":0,'
    b'"discarded_count":0,"failed_count":0,"rate_per_s":1.0,"max_count":9,"started_at":null,'
    b'"finished_at":null,"error":null'
)


def test_what_has_no_value_is_null_and_not_left_out():
    assert encode_json(JOB) == (
        b"{" + FIELDS + b',"which":{"topic":null,"subscription":null,"reason":null,'
        b'"from_time":null,"to_time":null,"q":null,"redriven":null,"ids_count":null},"node":null}'
    )
    which = LettersMeant(topic="t", ids_count=2)
    assert msgspec.json.decode(encode_json(which), type=LettersMeant) == which


def test_an_answer_of_a_server_that_does_not_say_which_letters_is_read():
    read = msgspec.json.decode(b"{" + FIELDS + b"}", type=JobAnswer)
    assert (read, read.which) == (JOB, NO_FILTER)


def test_who_may_not_know_nodes_is_told_of_none():
    assert encode_json(JobList([], 1)) == b'{"jobs":[],"unanswered_count":1}'
    named = JobList([JOB], 1, ["a"], ["b"])
    assert encode_json(named).endswith(b',"unanswered_count":1,"nodes":["a"],"unanswered":["b"]}')
