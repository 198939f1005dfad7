"""Every tolerance of the tests, by stage and array: (RMS, maximum) of the difference over the
RMS of the reference. Each is at most four times what was measured."""

TOLERANCES: dict[str, tuple[float, float]] = {}
