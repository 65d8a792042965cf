"""One test, again and again, until it fails: `poe again N TEST`."""

from __future__ import annotations

import argparse
import sys

import pytest


class Again:
    """Makes so many tests of each that is collected."""

    def __init__(self, times: int) -> None:
        self._times = times

    @pytest.fixture
    def _time(self, request: pytest.FixtureRequest) -> int:
        return int(request.param)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        metafunc.fixturenames.append("_time")
        metafunc.parametrize("_time", range(1, self._times + 1), indirect=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("times", type=int)
    parser.add_argument("tests", nargs="+", help="as pytest takes them; its options, too")
    chosen, options = parser.parse_known_args()
    sys.exit(
        pytest.main(["-x", "-q", "-n", "0", "-m", "", *chosen.tests, *options], plugins=[Again(chosen.times)])
    )


if __name__ == "__main__":
    main()
