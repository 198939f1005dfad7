"""Every tolerance of the tests, by stage and array: (RMS, maximum) of the difference over the
RMS of the reference. Each is at most four times what was measured."""

TOLERANCES: dict[str, tuple[float, float]] = {
    "cfm.batch_estimator": (1.2e-06, 6e-06),
    "cfm.estimator_t0_3": (1.2e-06, 6e-06),
    "cfm.euler25_cfg0_7": (6e-07, 8e-06),
    "cfm.euler4_cfg0": (4e-07, 6e-06),
    "cfm.euler4_cfg0_7": (6e-07, 6e-06),
    "length_regulator.condition": (2.5e-06, 1.5e-05),
    "length_regulator.gpt_layer_out": (5e-07, 2.5e-06),
    "length_regulator.nearest_out": (2.5e-06, 1e-05),
    "length_regulator.prompt_condition": (2.5e-06, 1.2e-05),
}
