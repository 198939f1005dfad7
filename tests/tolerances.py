"""Every tolerance of the tests, by stage and array: (RMS, maximum) of the difference over the
RMS of the reference. Each is at most four times what was measured."""

TOLERANCES: dict[str, tuple[float, float]] = {
    "audio.emo_16k": (1e-08, 1e-06),  # measured 0 on x86; soxr's transforms may round otherwise
    "audio.emo_features": (2e-08, 5e-07),  # measured 0; no complex64 costs 6e-07
    "audio.fbank": (2e-06, 1e-04),
    "audio.fbank_centered": (3.5e-06, 2e-04),
    "audio.ref_mel": (3e-06, 1.4e-04),
    "audio.spk_16k": (1e-08, 5e-07),  # measured 0; a sum in another order has 9e-09, 5e-07
    "audio.spk_22k": (1e-08, 1e-06),  # measured 0, likewise
    "audio.spk_features": (2e-08, 5e-07),  # measured 0, likewise
    "audio.transformers": (2e-08, 5e-07),  # measured 0, likewise
    "bigvgan.wav_from_mel": (2.5e-06, 1.2e-05),
    "campplus.head_out": (1.8e-06, 2.2e-05),
    "campplus.small_batch": (4e-07, 1e-06),
    "campplus.small_bfloat16": (3e-02, 8e-02),
    "campplus.small_float16": (5e-03, 1.5e-02),
    "campplus.small_padding": (4e-07, 1e-06),
    "campplus.style": (1.1e-06, 4e-06),
    "cfm.batch_estimator": (1.2e-06, 6e-06),
    "cfm.estimator_t0_3": (1.2e-06, 6e-06),
    "cfm.euler25_cfg0_7": (6e-07, 8e-06),
    "cfm.euler4_cfg0": (3.9e-07, 6e-06),
    "cfm.euler4_cfg0_7": (6e-07, 6e-06),
    "codec.encoder_out": (1.3e-06, 9e-06),
    "codec.encoder_out_bfloat16": (2e-02, 1e-01),
    "codec.encoder_out_float16": (2e-03, 1e-02),
    "codec.padding": (2.5e-07, 1.3e-06),
    "codec.quantized": (2.5e-07, 1.3e-06),
    "codec.scan": (3.5e-07, 2.5e-06),
    "codec.vq2emb": (2.5e-07, 1.3e-06),
    "conditioning.conformer_out": (8e-07, 4e-06),
    "conditioning.emo_conformer_out": (1e-06, 5e-06),
    "conditioning.emo_perceiver_out": (1.5e-06, 3e-06),
    "conditioning.emovec_bfloat16": (3e-02, 9e-02),
    "conditioning.emovec_emotion": (1.3e-06, 4e-06),
    "conditioning.emovec_float16": (4e-03, 1.2e-02),
    "conditioning.emovec_speaker": (1.5e-06, 4e-06),
    "conditioning.padding": (1.5e-06, 5e-06),
    "conditioning.speaker_latents": (1.3e-06, 6e-06),
    "conditioning.speaker_latents_bfloat16": (2e-02, 8e-02),
    "conditioning.speaker_latents_float16": (2.5e-03, 9e-03),
    "conformer.bfloat16": (1.4e-02, 5e-02),
    "conformer.float16": (2e-03, 8e-03),
    "conformer.numpy": (4.4e-07, 1.6e-06),
    "conformer.padding": (1e-07, 5e-07),  # measured 0: the shapes are the same
    "conformer.scan": (5e-07, 2.5e-06),
    "emotion_vector.emovec": (1e-07, 5e-07),  # measured 0; a fused product and sum may round once
    "emotion_vector.matrix_part": (1.5e-07, 8e-07),
    "emotion_vector.merge": (1e-07, 5e-07),  # measured 0, likewise
    "gpt.attend": (3e-07, 1.8e-06),
    "gpt.cached": (1.5e-06, 7e-06),
    "gpt.conds": (1e-07, 5e-07),  # measured 0; sums in another order may round once
    "gpt.lineage": (1.3e-06, 5e-06),
    "gpt.padding": (2e-06, 6e-06),
    "gpt.prefix": (1e-07, 5e-07),  # measured 0, likewise
    "gpt.scan": (1.9e-06, 6e-06),
    "gpt.step_logits": (1.7e-06, 6.5e-06),
    "gpt.step_logits_bfloat16": (3e-02, 1.4e-01),
    "gpt.step_logits_float16": (3e-03, 1.7e-02),
    "gpt.transformers": (3e-06, 9e-06),
    "gpt_batch.prefix": (1e-07, 5e-07),  # measured 0, likewise
    "gpt_latent.latent": (1.4e-06, 9e-06),
    "gpt_latent.latent_bfloat16": (3e-02, 1.4e-01),
    "gpt_latent.latent_float16": (3e-03, 1.7e-02),
    "length_regulator.condition": (2.5e-06, 1.5e-05),
    "length_regulator.gpt_layer_out": (5e-07, 2.4e-06),
    "length_regulator.nearest_out": (2.4e-06, 1e-05),
    "length_regulator.prompt_condition": (2.5e-06, 1.2e-05),
    "perceiver.bfloat16": (4e-02, 1.5e-01),
    "perceiver.float16": (6e-03, 2.5e-02),
    "perceiver.numpy": (7e-07, 2e-06),
    "perceiver.padding": (1e-07, 5e-07),  # measured 0: the shapes are the same
    "perceiver.scan": (2.5e-07, 6e-07),
    "vocoder.bfloat16": (1.9e-02, 7e-02),
    "vocoder.end_to_end": (1.5e-06, 6e-06),
    "vocoder.float16": (3e-03, 1e-02),
    "vocoder.padding": (6e-07, 1.3e-06),
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
