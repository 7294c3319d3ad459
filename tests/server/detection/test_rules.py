import pytest

from primus_lens.detection import rules


@pytest.mark.parametrize(
    "name,expected",
    [
        ("pytorch_lightning", "lightning"),
        ("PyTorch Lightning", "lightning"),
        ("lightning.pytorch", "lightning"),
        ("Megatron-LM", "megatron"),
        ("megatron-core", "megatron"),
        ("HF Trainer", "transformers_trainer"),
        ("transformers_trainer", "transformers_trainer"),
        ("Hugging Face Transformers", "transformers"),
        ("DeepSpeed", "deepspeed"),
        ("LLaMA-Factory", "llamafactory"),
        ("mosaicml", "composer"),
        ("NeMo", "nemo"),
        ("torch", "pytorch"),
    ],
)
def test_alias(name, expected):
    """A framework has one name, however it was written."""
    assert rules.canonical(name) == expected


def test_unknown_framework_keeps_its_name():
    """A framework nobody knows is shown by the name its owner gave it."""
    assert rules.canonical("Our Trainer 2!") == "our_trainer_2"


@pytest.mark.parametrize("word", ["", "  ", "None", "unknown", "N/A", "!?"])
def test_word_that_names_nothing(word):
    """Words for nothing are not frameworks."""
    assert rules.canonical(word) == ""


def test_name_is_bounded():
    """A framework's name has at most 64 characters."""
    assert len(rules.canonical("x" * 10_000)) == rules.LONGEST_NAME


@pytest.mark.parametrize(
    "text,expected",
    [
        ("primus-training", ["primus"]),
        ("MyPrimusProject", ["primus"]),
        ("deepspeed_exp", ["deepspeed"]),
        ("DeepSpeedTrainer", ["deepspeed"]),
        ("my megatron-lm run", ["megatron"]),
        ("pytorch-lightning-demo", ["lightning"]),
        ("llama-factory-sft", ["llamafactory"]),
        ("jax2", ["jax"]),
        ("primus-megatron-8b", ["primus", "megatron"]),
    ],
)
def test_words_of_a_name(text, expected):
    """A name speaks of the frameworks whose words it holds, however the words are joined."""
    assert rules.named_in(text) == expected


@pytest.mark.parametrize("text", ["ajax-site", "conversational", "enemotion", "control", ""])
def test_part_of_a_word_names_nothing(text):
    """A framework's name inside another word is chance."""
    assert rules.named_in(text) == []


def test_aliases_are_unambiguous():
    """No name stands for two frameworks."""
    names = [alias for rule in rules.RULES for alias in (rule.name, *rule.aliases)]
    assert len(names) == len(set(names))


def test_names_are_canonical():
    """The table writes its names and aliases as canonical() would look them up."""
    for rule in rules.RULES:
        for alias in (rule.name, *rule.aliases):
            assert rules.canonical(alias) == rule.name


def test_words_name_their_own_framework():
    """Every framework's own name, as a project, speaks of it, where it has words at all."""
    for rule in rules.RULES:
        if rule.words:
            assert rule.name in rules.named_in(rule.name)
