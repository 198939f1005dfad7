"""Makes the two small text-to-emotion models of the tests, with what transformers computes of them.

    python -m tools.make.tiny_qwen --dst tests/data/qwen

Needs PyTorch, transformers, tokenizers and safetensors. `tiny` is trained, for a minute, on a dozen
sentences, until it replies as the published model does; `second` has random weights, other sizes,
shards, and its settings in the newer spelling. `reference.npz` in each holds tokens and logits.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

SYSTEM = "文本情感分类"
LABELS = ("高兴", "愤怒", "悲伤", "恐惧", "反感", "低落", "惊讶", "自然")
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PLAIN = ("<think>", "</think>")
VOCABULARY = 448  # rows of the embedding; the tokenizer has fewer
STEPS = 250  # of training

# Sentences of our own and the eight numbers of their replies.
SENTENCES = (
    ("What a wonderful morning, I could dance all day!", (0.9, 0, 0, 0, 0, 0, 0.1, 0)),
    ("Who let the dog sleep on my bed again?", (0, 0.7, 0, 0, 0.2, 0, 0.1, 0)),
    ("We said goodbye to grandmother today.", (0, 0, 0.8, 0, 0, 0.15, 0, 0.05)),
    ("Something is scratching behind the wall.", (0, 0, 0, 0.85, 0, 0, 0.15, 0)),
    ("The milk in this cup has grown hair.", (0, 0.1, 0, 0, 0.8, 0, 0.1, 0)),
    ("I feel so gloomy, nothing will ever change.", (0, 0, 0.75, 0, 0, 0.1, 0, 0.15)),
    ("The train leaves at nine.", (0, 0, 0, 0, 0, 0, 0, 1)),
    ("今天的阳光真好，我想去湖边走走。", (0.6, 0, 0, 0, 0, 0, 0, 0.4)),
    ("你怎么又把钥匙弄丢了！", (0, 0.9, 0, 0, 0.05, 0, 0.05, 0)),
    ("窗外忽然传来一声尖叫。", (0, 0, 0, 0.7, 0, 0, 0.3, 0)),
    ("没想到你真的来了！", (0.3, 0, 0, 0, 0, 0, 0.7, 0)),
    ("请把书放在桌子上。", (0, 0, 0, 0, 0, 0, 0, 1)),
)
TEMPLATE = (
    "{% for turn in messages %}"
    "{% if turn['role'] == 'system' %}{{ 'System: ' + turn['content'] + '<|endoftext|>\\n' }}"
    "{% elif turn['role'] == 'user' %}{{ 'Human: ' + turn['content'] + '<|endoftext|>\\n' }}"
    "{% else %}{{ 'Assistant:' + turn['content'] + '<|endoftext|>\\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
# How text is split before its bytes are merged: words, single digits, runs of signs, spaces.
SPLIT = r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+"
SIZES = {
    "tiny": {
        "hidden_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 12,
        "intermediate_size": 72,
        "rope_theta": 1_000_000.0,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
    },
    "second": {
        "hidden_size": 36,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 10,
        "intermediate_size": 52,
        "rope_theta": 10_000.0,
        "max_position_embeddings": 1024,
        "rms_norm_eps": 1e-5,
    },
}


def reply_to(scores: tuple[float, ...]) -> str:
    """The reply that a model should learn."""
    named = dict(zip(LABELS, map(float, scores), strict=True))
    return json.dumps(named, ensure_ascii=False)


def prompt_of(text: str) -> str:
    """What the template makes of a text."""
    return f"System: {SYSTEM}<|endoftext|>\nHuman: {text}<|endoftext|>\nAssistant:"


def make_tokenizer() -> Tokenizer:
    """A byte-level BPE of the sentences, with the published tokenizer's special tokens."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = [prompt_of(text).replace("<|endoftext|>", "") for text, _ in SENTENCES]
    lines += [reply_to(scores) for _, scores in SENTENCES] * 3
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in PLAIN])
    return tokenizer


def make_model(sizes: dict, seed: int) -> transformers.Qwen3ForCausalLM:
    """A model with random weights, wide enough that its tokens differ."""
    torch.manual_seed(seed)
    config = transformers.Qwen3Config(
        vocab_size=VOCABULARY, tie_word_embeddings=True, attention_bias=False, **sizes
    )
    model = transformers.Qwen3ForCausalLM(config).float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.copy_(1 + 0.3 * torch.randn_like(weight))
            elif "embed" in name:
                weight.normal_(0, 0.3)
            else:
                weight.normal_(0, 1.5 * weight.shape[1] ** -0.5)
    return model


def train(model: transformers.Qwen3ForCausalLM, tokenizer: Tokenizer) -> None:
    """Teaches the model the replies by heart."""
    end = tokenizer.token_to_id("<|endoftext|>")
    rows = []
    for text, scores in SENTENCES:
        prompt = tokenizer.encode(prompt_of(text)).ids
        rows.append((prompt, [*tokenizer.encode(reply_to(scores)).ids, end]))
    longest = max(len(prompt) + len(reply) for prompt, reply in rows)
    tokens = torch.full((len(rows), longest), end)
    labels = torch.full((len(rows), longest), -100)
    for row, (prompt, reply) in enumerate(rows):
        whole = torch.tensor(prompt + reply)
        tokens[row, : len(whole)] = whole
        labels[row, len(prompt) : len(whole)] = whole[len(prompt) :]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    model.train()
    for step in range(STEPS):
        loss = model(input_ids=tokens, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 49:
            print(f"step {step + 1}: loss {loss.item():.5f}", flush=True)
    model.eval()


@torch.no_grad()
def reference(model: transformers.Qwen3ForCausalLM, tokenizer: Tokenizer, limit: int) -> dict:
    """Prompts, greedy replies and, of the first two texts, the logits of every position."""
    arrays = {}
    end = tokenizer.token_to_id("<|endoftext|>")
    texts = [SENTENCES[5][0], SENTENCES[8][0], "A line that the model was never taught: 42?"]
    for number, text in enumerate(texts):
        prompt = tokenizer.encode(prompt_of(text)).ids
        given = torch.tensor([prompt])
        out = model.generate(
            given,
            attention_mask=torch.ones_like(given),
            do_sample=False,
            max_new_tokens=limit,
            eos_token_id=end,
            pad_token_id=end,
        )[0]
        arrays[f"prompt_{number}"] = np.asarray(prompt, np.int32)
        arrays[f"reply_{number}"] = out[len(prompt) :].numpy().astype(np.int32)
        if number < 2:
            logits = model(out[None]).logits[0].numpy()
            arrays[f"logits_{number}"] = logits[::4] if number else logits[-24:]
    return arrays


def write_json(path: Path, data: object) -> None:
    """JSON as in the published files."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """The tokenizer's files and the template."""
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    added = {
        str(tokenizer.token_to_id(token)): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": token in SPECIAL,
        }
        for token in (*SPECIAL, *PLAIN)
    }
    write_json(
        folder / "tokenizer_config.json",
        {
            "add_bos_token": False,
            "add_prefix_space": False,
            "added_tokens_decoder": added,
            "bos_token": None,
            "clean_up_tokenization_spaces": False,
            "eos_token": "<|endoftext|>",
            "errors": "replace",
            "model_max_length": 4096,
            "pad_token": "<|endoftext|>",
            "split_special_tokens": False,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": None,
        },
    )
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")


def main() -> None:
    """Writes both folders."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.make.tiny_qwen",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dst", type=Path, required=True, help="directory for both models")
    arguments = parser.parse_args()
    tokenizer = make_tokenizer()
    assert tokenizer.get_vocab_size() <= VOCABULARY, tokenizer.get_vocab_size()
    end = tokenizer.token_to_id("<|endoftext|>")
    for number, (name, sizes) in enumerate(SIZES.items()):
        folder = arguments.dst / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        model = make_model(sizes, seed=number)
        model.config.eos_token_id = end
        if name == "tiny":
            train(model, tokenizer)
            model = model.to(torch.bfloat16)
        size = "5GB" if name == "tiny" else "90KB"
        model.save_pretrained(folder, max_shard_size=size)
        write_tokenizer(folder, tokenizer)
        settings = json.loads((folder / "config.json").read_text())
        if name == "tiny":  # in the spelling of the published files
            settings.pop("rope_parameters", None)
            settings |= {"rope_theta": sizes["rope_theta"], "rope_scaling": None}
            settings |= {"torch_dtype": settings.pop("dtype", "bfloat16")}
            settings.pop("layer_types", None)
        write_json(folder / "config.json", settings)
        write_json(
            folder / "generation_config.json",
            {"bos_token_id": end, "eos_token_id": end, "max_new_tokens": 2048},
        )
        # What counts is the stored weights, computed with in float32. (A model converted to
        # bfloat16 and back has also rounded the frequencies of its rotary positions.)
        stored = transformers.Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        arrays = reference(stored, tokenizer, limit=160 if name == "tiny" else 48)
        for key in ("reply_0", "reply_1", "reply_2"):
            print(name, key, len(arrays[key]), repr(tokenizer.decode(arrays[key].tolist())))
        np.savez_compressed(folder / "reference.npz", **arrays)


if __name__ == "__main__":
    main()
