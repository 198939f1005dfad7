"""Raw text to segments of text tokens in IndexTTS-2.5: its tokenizer, languages and mark-up.

What both versions share (normalisation, pauses, segments, settings) is in the package above.
"""
