import sys

import pytest

from bench.__main__ import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "unknown question"),
        (["publish", "--rounds", "0"], "--rounds"),
        (["publish", "--systems", "typo"], "no case"),
        (["publish", "--store", "nothing"], "no case"),
    ],
)
def test_what_would_measure_nothing_is_refused(monkeypatch, capsys, words, said):
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 2
    assert said in capsys.readouterr().err
