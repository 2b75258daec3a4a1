"""Model folders that were made to run code, to fill the memory, to hang, or to fail: each ends in words, and soon."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gift_core.data.examples import Turn
from gift_core.data.tokenisation import Encoder
from gift_core.errors import GiftError, ModelError
from gift_core.models.conversion import convert_causal
from gift_core.models.loading import load_base, load_tokenizer, read_config
from tests.gift_core.checkpoints import WRITERS, write_causal
from tests.gift_core.looking import refusal

CONFIG, INDEX, TOKENIZER, TEMPLATE = (
    "config.json",
    "model.safetensors.index.json",
    "tokenizer.json",
    "chat_template.jinja",
)
DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000
# On a machine with a hundred other things to do; without bounds these take minutes, hours, or all of the memory.
SECONDS, MEGABYTES = 90, 1024
Spoil = Callable[[Path], object]


def setting(**fields: Any) -> Spoil:
    """Changes fields of config.json."""
    return lambda folder: (folder / CONFIG).write_text(json.dumps(json.loads((folder / CONFIG).read_text()) | fields))


def writing(name: str, content: object) -> Spoil:
    """Puts a file into the folder, as JSON unless it is text."""
    return lambda folder: (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def tokenising(**fields: Any) -> Spoil:
    """Changes parts of tokenizer.json."""
    return lambda folder: (folder / TOKENIZER).write_text(
        json.dumps(json.loads((folder / TOKENIZER).read_text()) | fields)
    )


def weights_of(content: bytes) -> Spoil:
    """Puts other bytes into every file of weights."""
    return lambda folder: [path.write_bytes(content) for path in folder.glob("*.safetensors")]


def splitting(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def replacing(content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": "a"}, "content": content}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A folder of each kind that nothing is wrong with."""
    return {kind: WRITERS[kind](tmp_path_factory.mktemp(kind) / "it") for kind in ("qwen3", "llada", "bert")}


@pytest.fixture
def it(whole: Mapping[str, Path], tmp_path: Path) -> Path:
    return Path(copytree(whole["qwen3"], tmp_path / "it"))


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.monotonic() - began < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024


CANNOT = "cannot be read"
PACKED = "weights are packed"
TOO_DEEP = "nested more than 64 deep"
TEMPLATE_REFUSED = "chat template takes more time or memory"
REFUSED: dict[str, tuple[str, Spoil, str]] = {
    "model_type is an object": ("qwen3", setting(model_type={"a": 1}), "model_type is not a text but an object"),
    "model_type is a list": ("qwen3", setting(model_type=["llama"]), "model_type is not a text but a list"),
    "config.json is deep": ("qwen3", writing(CONFIG, DEEP), f"config.json of it {CANNOT}: it is {TOO_DEEP}"),
    "config.json is a list": ("qwen3", writing(CONFIG, []), "config.json of it cannot be read: it is not an object"),
    "config.json is large": ("qwen3", writing(CONFIG, "{" + " " * 2**23 + "}"), "larger than 4 MB"),
    "config.json has a long number": ("qwen3", writing(CONFIG, '{"a":' + "9" * 5000 + "}"), "config.json of it cannot"),
    "tokenizer.json is deep": ("qwen3", writing(TOKENIZER, DEEP), f"tokenizer.json of it {CANNOT}: it is {TOO_DEEP}"),
    "tokenizer_config.json is deep": ("qwen3", writing("tokenizer_config.json", DEEP), TOO_DEEP),
    "generation_config.json is deep": ("qwen3", writing("generation_config.json", DEEP), TOO_DEEP),
    "generation_config.json": (
        "qwen3",
        writing("generation_config.json", {"cache_implementation": "none of them"}),
        "generation_config.json of it cannot be read",
    ),
    "a shard outside": ("qwen3", writing(INDEX, {"weight_map": {"a": "../x.safetensors"}}), "x.safetensors', which"),
    "a shard anywhere": ("qwen3", writing(INDEX, {"weight_map": {"a": "/etc/passwd"}}), "'/etc/passwd', which"),
    "a shard that is a number": ("qwen3", writing(INDEX, {"weight_map": {"a": 3}}), "'3', which is no"),
    "a shard of a pickle": ("qwen3", writing(INDEX, {"weight_map": {"a": "x.bin"}}), "'x.bin', which is no"),
    "an index that is a list": ("qwen3", writing(INDEX, []), f"{INDEX} of it cannot be read: it is not an object"),
    "a weight_map that is a list": ("qwen3", writing(INDEX, {"weight_map": ["a"]}), "has no weight_map"),
    "hqq": ("qwen3", setting(quantization_config={"quant_method": "hqq"}), f"{PACKED} (hqq)"),
    "gptq": ("llada", setting(quantization_config={"quant_method": "gptq", "bits": 4}), f"{PACKED} (gptq)"),
    "packed by nonsense": ("qwen3", setting(quantization_config=[1]), f"{PACKED} (a list)"),
    "packed inside": ("qwen3", setting(inner={"quantization_config": {"quant_method": "awq"}}), f"{PACKED} (awq)"),
    "10^7 layers": ("qwen3", setting(num_hidden_layers=10**7), "num_hidden_layers is 10,000,000, and 1,024"),
    "10^7 layers of LLaDA": ("llada", setting(n_layers=10**7), "n_layers is 10,000,000, and 1,024"),
    "10^7 layers of BERT": ("bert", setting(num_hidden_layers=10**7), "num_hidden_layers is 10,000,000, and 1,024"),
    "1,000 layers": ("qwen3", setting(num_hidden_layers=1000, layer_types=None), "more than 4,2"),
    "10^9 labels": ("bert", setting(num_labels=10**9), "num_labels is 1,000,000,000"),
    "a wide network": ("qwen3", setting(hidden_size=10**9), "1,061,000,000,040 numbers, and its weights are 33,984"),
    "too wide to count": ("qwen3", setting(hidden_size=2**50, intermediate_size=2**50), "does not describe a model"),
    "a wide network of LLaDA": ("llada", setting(mlp_hidden_size=10**9), "numbers, and its weights are"),
    "a large vocabulary": ("qwen3", setting(vocab_size=10**9), "numbers, and its weights are"),
    "wide heads": ("qwen3", setting(head_dim=10**9), "numbers, and its weights are"),
    "many positions": ("bert", setting(max_position_embeddings=10**9), "numbers, and its weights are"),
    "many segments": ("bert", setting(type_vocab_size=10**9), "numbers, and its weights are"),
    "a number of 31 digits": ("qwen3", setting(max_position_embeddings=10**30), "is a number of 31 digits"),
    "a vocabulary of text": ("llada", setting(vocab_size="many"), "vocab_size is 'many', and a whole number"),
    "a mask that is an object": ("llada", setting(mask_token_id={"a": 1}), "and a whole number"),
    "a mask below 0": ("llada", setting(mask_token_id=-5), "mask_token_id is '-5', and a whole number"),
    "a dtype": ("qwen3", setting(torch_dtype="os.system"), "torch_dtype is 'os.system'"),
    "a dtype of lists": ("qwen3", setting(dtype=[1]), "dtype is '[1]'"),
    "rope": ("qwen3", setting(rope_scaling={"rope_type": "dynamic", "factor": "x"}), "does not describe a model"),
    "an activation": ("qwen3", setting(hidden_act="none of them"), "config.json of it does not describe a model"),
    "a padding token": ("qwen3", setting(pad_token_id=10**9), "config.json of it does not describe a model"),
    "id2label": ("qwen3", setting(id2label=3), "config.json of it does not describe a model"),
    "endless loops": (
        "qwen3",
        writing(TEMPLATE, "{% for a in range(99999) %}" * 4 + "{% endfor %}" * 4),
        TEMPLATE_REFUSED,
    ),
    "a long text": ("qwen3", writing(TEMPLATE, "{{ 'a' * 10**10 }}"), TEMPLATE_REFUSED),
    "a text that doubles": (
        "qwen3",
        writing(TEMPLATE, "{% set n = namespace(x=1) %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}"),
        TEMPLATE_REFUSED,
    ),
    "a pattern that is none": ("qwen3", tokenising(pre_tokenizer=splitting("(a")), "No tokenizer can be read from it"),
    "a pattern that searches": ("qwen3", tokenising(pre_tokenizer=splitting("(a+)+$")), "cannot take this text apart"),
    "replacements": (
        "qwen3",
        tokenising(normalizer={"type": "Sequence", "normalizers": [replacing("aa")] * 40}),
        "its normalizer would make texts more than 256 times as long",
    ),
    "a class of code": (
        "qwen3",
        writing("tokenizer_config.json", {"tokenizer_class": {"a": 1}, "auto_map": {"AutoTokenizer": ["x.y", "z.w"]}}),
        "No tokenizer can be read from it",
    ),
    "special tokens": ("qwen3", writing("tokenizer_config.json", {"mask_token": [1]}), "No tokenizer can be read"),
    "an empty tokenizer": ("qwen3", writing(TOKENIZER, {}), "No tokenizer can be read from it"),
    "a head of a file": ("qwen3", weights_of(b"\xff" * 8 + b"{}"), "header too large"),
    "an adapter beside": ("qwen3", writing("adapter_config.json", {"peft_type": "LORA"}), "holds a LoRA adapter"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_in_words(whole: Mapping[str, Path], tmp_path: Path, case: str) -> None:
    kind, spoil, words = REFUSED[case]
    folder = Path(copytree(whole[kind], tmp_path / "it"))
    spoil(folder)
    assert words in refusal(folder)


CODE = {
    "flash_attention_2": setting(_attn_implementation="flash_attention_2"),
    "a kernel of the Hub": setting(_attn_implementation="owner/kernel"),
    "a kernel by the other name": setting(attn_implementation="owner/kernel"),
    "a kernel by the inner name": setting(_attn_implementation_internal="owner/kernel"),
    "experts": setting(_experts_implementation="owner/kernel"),
    "code": setting(auto_map={"AutoModelForCausalLM": "os.path"}, custom_pipelines={"a": {"impl": "x.y"}}),
    "other weights": setting(transformers_weights="../elsewhere.safetensors"),
}


@pytest.mark.parametrize("kind", ["qwen3", "llada", "bert"])
@pytest.mark.parametrize("case", CODE)
def test_which_code_computes_is_not_a_files_to_choose(
    whole: Mapping[str, Path], tmp_path: Path, kind: str, case: str
) -> None:
    if case == "other weights" and kind == "llada":
        pytest.skip("a field that LLaDA's config does not know is refused")
    folder = Path(copytree(whole[kind], tmp_path / "it"))
    CODE[case](folder)
    config = load_base(str(folder)).network.config
    assert config._attn_implementation in ("sdpa", "eager")
    assert not hasattr(config, "auto_map")


def test_it_is_not_a_files_to_choose_at_any_depth(it: Path) -> None:
    setting(text_config={"layers": [{"_attn_implementation": "owner/kernel", "size": 3}]})(it)
    assert read_config(it)["text_config"] == {"layers": [{"size": 3}]}


@pytest.mark.parametrize(
    "template",
    [
        "{% for",
        "{{ 9**9**9**9 }}",
        "{{ 'a' * 10**7 }}",
        "{{ ''.__class__.__mro__ }}",
        "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    ],
    ids=["half", "a power", "long", "the insides", "a macro of itself", "deep"],
)
def test_a_template_that_writes_no_conversation_is_replaced(it: Path, template: str) -> None:
    (it / TEMPLATE).write_text(template)
    assert load_tokenizer(str(it)).chat_template != template


def test_a_template_may_hang_on_what_it_is_given_only(it: Path) -> None:
    loops = "{% for a in range(99999) %}" * 4 + "{% endfor %}" * 4
    (it / TEMPLATE).write_text(
        "{% for m in messages %}{{ m.content }}{% endfor %}{% if messages|length > 1 %}" + loops + "{% endif %}"
    )
    encoder = Encoder(load_tokenizer(str(it)))
    assert encoder.prompt("So") == encoder.text("So")
    with pytest.raises(ModelError, match=TEMPLATE_REFUSED):
        encoder.prompt("So", [Turn("user", "a"), Turn("assistant", "b")])
    # The next one is rendered as before.
    assert Encoder(load_tokenizer(str(it))).prompt("So") == encoder.text("So")


def test_a_text_that_a_pattern_never_finishes_is_refused_in_words(it: Path) -> None:
    # The sample that is tried when it is loaded is taken apart.
    tokenising(pre_tokenizer=splitting("(q+)+$"))(it)
    encoder = Encoder(load_tokenizer(str(it)))
    with pytest.raises(ModelError, match="cannot take this text apart"):
        encoder.text("q" * 40 + "!")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (writing(CONFIG, DEEP), TOO_DEEP),
        (setting(model_type={"a": 1}), "model_type is not a text"),
        (setting(num_hidden_layers=10**7), "num_hidden_layers is 10,000,000"),
        (setting(intermediate_size=10**9), "numbers, and its weights are"),
        (writing(TOKENIZER, DEEP), TOO_DEEP),
        (tokenising(pre_tokenizer=splitting("(a")), "No tokenizer can be read"),
        (writing(INDEX, {"weight_map": {"a": "../x.safetensors"}}), "which is no safetensors file"),
    ],
)
def test_a_conversion_refuses_the_same(tmp_path: Path, spoil: Spoil, words: str) -> None:
    source = write_causal(tmp_path / "it", "qwen2")
    spoil(source)
    with pytest.raises(ModelError) as caught:
        convert_causal(str(source), tmp_path / "made")
    assert words in str(caught.value)
    assert not (tmp_path / "made").exists()


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, -1, 10**9, 1e308, float("inf"), "", "x", "../x", [], {}, [[]], {"a": {}}]),
)
# Every example loads a model, or comes close to it.
FUZZING = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@FUZZING
@given(data=st.data(), kind=st.sampled_from(["qwen3", "llada", "bert"]))
def test_any_value_in_any_field_loads_or_is_refused(whole: Mapping[str, Path], data: st.DataObject, kind: str) -> None:
    folder = whole[kind]
    before = (folder / CONFIG).read_text()
    fields = json.loads(before)
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(fields)), VALUES, min_size=1, max_size=2))
    try:
        setting(**changes)(folder)
        load_base(str(folder))
    except GiftError:
        pass
    finally:
        (folder / CONFIG).write_text(before)
