"""Words that go with numbers."""


def counted(number: int, noun: str) -> str:
    """`1 slot`, `2 slots`, `1,200 slots`: for nouns whose plural ends in s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
