"""Every tolerance of the tests, by stage and array: (RMS, maximum) of the difference over the
RMS of the reference. Each is at most four times what was measured."""

TOLERANCES: dict[str, tuple[float, float]] = {
    "cfm.batch_estimator": (1.2e-06, 6e-06),
    "cfm.estimator_t0_3": (1.2e-06, 6e-06),
    "cfm.euler25_cfg0_7": (6e-07, 8e-06),
    "cfm.euler4_cfg0": (4e-07, 6e-06),
    "cfm.euler4_cfg0_7": (6e-07, 6e-06),
    "codec.encoder_out": (1.3e-06, 9e-06),
    "codec.encoder_out_bfloat16": (2e-02, 1e-01),
    "codec.encoder_out_float16": (2e-03, 1e-02),
    "codec.padding": (2.5e-07, 1.3e-06),
    "codec.quantized": (2.5e-07, 1.3e-06),
    "codec.scan": (3.5e-07, 2.5e-06),
    "codec.vq2emb": (2.5e-07, 1.3e-06),
    "emotion_vector.emovec": (1e-07, 5e-07),  # measured 0; a fused product and sum may round once
    "emotion_vector.matrix_part": (1.5e-07, 8e-07),
    "emotion_vector.merge": (1e-07, 5e-07),  # measured 0, likewise
    "length_regulator.condition": (2.5e-06, 1.5e-05),
    "length_regulator.gpt_layer_out": (5e-07, 2.5e-06),
    "length_regulator.nearest_out": (2.5e-06, 1e-05),
    "length_regulator.prompt_condition": (2.5e-06, 1.2e-05),
    "w2v.batch_hidden_17": (2.5e-06, 2e-05),
    "w2v.emo_semantic": (2.5e-06, 1.5e-05),
    "w2v.emo_semantic_bfloat16": (5e-02, 3e-01),
    "w2v.emo_semantic_float16": (6e-03, 3e-02),
    "w2v.hidden_0": (1e-06, 6e-06),
    "w2v.hidden_1": (1.2e-06, 6e-06),
    "w2v.hidden_17": (2.5e-06, 2e-05),
    "w2v.padding": (5e-07, 2.5e-06),
    "w2v.scan": (1e-07, 1e-06),  # measured 0; the compiler may fuse the loop otherwise
    "w2v.spk_semantic": (2.5e-06, 2.5e-05),
    "w2v.transformers": (8e-07, 6e-06),
}
