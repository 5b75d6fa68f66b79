from conduit.server.unsigned import Unsigned


class Socket:
    def __init__(self, address: str) -> None:
        self.address = address
        self.is_away = False

    def turn_away(self) -> None:
        self.is_away = True


def test_the_address_that_has_most_loses_its_oldest():
    unsigned = Unsigned(4)
    few, *many = [Socket("few"), *(Socket("many") for _ in range(3))]
    late = Socket("late")
    for each in (few, *many, late):
        unsigned.add(each)
    assert [each.is_away for each in (few, *many, late)] == [False, True, False, False, False]
    unsigned.remove(many[0])
    assert len(unsigned) == 4


def test_who_is_gone_is_forgotten_although_its_address_is_not_known_any_more():
    unsigned = Unsigned()
    socket = Socket("one")
    unsigned.add(socket)
    socket.address = ""
    unsigned.remove(socket)
    unsigned.remove(socket)
    assert not len(unsigned)
    assert not unsigned._addresses
