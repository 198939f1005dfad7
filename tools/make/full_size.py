"""Writes the published files of IndexTTS-2 at their full size, with random weights.

    python -m tools.make.full_size full --without qwen

Names, shapes and dtypes are those of `tests/data/manifests`, the training state of `s2mel.pth`
included. It writes about 8.9 GB, or 7.7 GB without the text-emotion model (whose tokenizer is not
written), in a few minutes, and needs 4 GB of memory for the largest file. The model sounds like
noise: it serves to measure memory and time, and to compare with the PyTorch reference
(`tools.check.full_size`).

Needs the extra `torch`. The same seed and prompt give the same files.
"""

import argparse
import shutil
import sys
from pathlib import Path

from tqdm import tqdm

from indextts_jax.config import ModelConfig, bundled_config
from indextts_jax.errors import InputError
from tools import ROOT
from tools.make.published_files import files, statistics
from tools.make.published_files.settings import FILES

TOKENIZER = ROOT / "indextts_jax/data/demo_tokenizer.model"
SPEAKER = ROOT / "indextts_jax/data/demo_speaker.wav"


def write(
    target: Path,
    manifests: dict[str, files.Nested],
    config: ModelConfig,
    *,
    seed: int = 0,
    tokenizer: Path = TOKENIZER,
    speaker: Path = SPEAKER,
) -> None:
    """Writes a model of these arrays and sizes into a new directory.

    Raises:
        InputError: if the directory exists, or the disk is too full.
    """
    manifests = files.with_matrices(manifests, config)
    size = files.needed(manifests)
    with (
        files.new_folder(target, size) as folder,
        tqdm(total=size, unit="B", unit_scale=True, desc="Writing", file=sys.stderr) as bar,
    ):
        shutil.copyfile(tokenizer, folder / FILES["tokenizer"])
        files.write_settings(folder, manifests, config)
        files.write_arrays(folder, manifests, seed, bar.update)
        bar.set_postfix_str("statistics")
        statistics.write(folder, speaker)


def main() -> int:
    """Reads the arguments, writes, says where."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.make.full_size",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "target", type=Path, metavar="DST", help="directory to write; it must not exist"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--without", nargs="+", default=[], choices=("qwen",), help="files to leave out"
    )
    parser.add_argument("--tokenizer", type=Path, default=TOKENIZER, help="the bpe.model to copy")
    parser.add_argument(
        "--speaker", type=Path, default=SPEAKER, help="clip that the stored statistics are near to"
    )
    args = parser.parse_args()
    manifests = files.read_manifests(ROOT / "tests/data/manifests")
    for name in args.without:
        del manifests[name]
    options = {"seed": args.seed, "tokenizer": args.tokenizer, "speaker": args.speaker}
    try:
        write(args.target, manifests, bundled_config("indextts2"), **options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {args.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
