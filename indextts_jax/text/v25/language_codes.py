"""The language codes of version 2.5, in the order of the rows of its language embedding.

Source: the language table of `tokenizer.py` of the PyTorch release.
"""

CODES = (
    *("en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv"),
    *("it", "id", "hi", "fi", "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no"),
    *("th", "ur", "hr", "bg", "lt", "la", "mi", "ml", "cy", "sk", "te", "fa", "lv", "bn", "sr"),
    *("az", "sl", "kn", "et", "mk", "br", "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw"),
    *("gl", "mr", "pa", "si", "km", "sn", "yo", "so", "af", "oc", "ka", "be", "tg", "sd", "gu"),
    *("am", "yi", "lo", "uz", "fo", "ht", "ps", "tk", "nn", "mt", "sa", "lb", "my", "bo", "tl"),
    *("mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su"),
    # Without a special token of their own: the tag is spelt in ordinary tokens.
    *("yue", "minnan", "wuyu", "dialect", "zh/en", "en/zh", "common"),
)
TAGGED = 99  # the first codes, which have a special token
ROW = {code: row for row, code in enumerate(CODES)}
