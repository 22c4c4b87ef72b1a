"""The audit from end to end on toy codes: nobody sees what is sealed, and what is done is kept."""

import dataclasses
import types

import keras
import numpy as np
import pytest

from arl_tf.attacks import registry
from arl_tf.attacks.evidence import BLACK_BOX, AttackResult, Evidence
from arl_tf.attacks.identity import registry as identity_registry
from arl_tf.attacks.several_codes import SeveralCodes
from arl_tf.auditing import attack_runs, audit, evidence_collection, judging, remarks, yardsticks
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.identity import runs as identity_runs
from arl_tf.auditing.sealed_images import SealedError, audited_rows
from arl_tf.auditing.settings import AuditContext
from arl_tf.config.settings import Config
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import split_by_identity
from arl_tf.experiments.audits import audit_settings
from arl_tf.metrics import reconstruction
from arl_tf.metrics.reconstruction import MEASURES
from arl_tf.report import verdict

CONFIG = Config(audit="quick", bootstrap_samples=100)


def numbered_images(count=400, size=8):
    """Images whose pixels spell their row number: any array of them says where it comes from."""
    images = np.zeros((count, size, size, 3), np.uint8)
    images[..., 0] = (np.arange(count) // 250)[:, None, None]
    images[..., 1] = (np.arange(count) % 250)[:, None, None]
    return ImageSet(
        images=images,
        attributes=(np.arange(count)[:, None] % np.array([2, 3]) == 0).astype(np.uint8),
        identities=np.arange(count) // 3,
        attribute_names=("Even", "Third"),
        names=tuple(f"image_{row}" for row in range(count)),
        bad_images=(),
        identities_known=True,
    )


def row_numbers(images):
    pixels = np.asarray(images).reshape(len(images), -1, 3).max(axis=1).astype(int)
    return set((pixels[:, 0] * 250 + pixels[:, 1]).tolist())


def embedded(images):
    return images.reshape(len(images), -1).astype(np.float32)[:, :5]


def measures_of(value, count=4):
    names = (*MEASURES, *(f"{rank}/toy" for rank in reconstruction.RANKS))
    return {measure: np.full(count, float(value)) for measure in names}


class ToyNetwork:
    """An identity network whose embeddings are a few pixels."""

    name, mean_embedding = "toy", np.zeros(5)
    network = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])

    def embeddings(self, pictures):
        return embedded(pictures * 255)

    def seen_of(self, pictures):
        return {}

    def remember(self, seen):
        assert seen == {}


class Spy:
    """An attacker that notes what it was shown, and what it was told to come back with."""

    def __init__(self, held_out_loss=0.5):
        self.seen, self.held_out_loss = [], held_out_loss

    def __call__(self, evidence, settings, *, name, start=None):
        pairs = evidence.pairs
        self.seen.append((row_numbers(pairs.images), row_numbers(pairs.held_out_images)))
        shape = pairs.images.shape[1:]
        loss = self.held_out_loss if "@" in name else 2 * self.held_out_loss
        return AttackResult(
            name,
            BLACK_BOX,
            {"words": "spy"},
            0.5,
            (loss,),
            np.zeros((len(evidence.target_codes), *shape), np.float32),
            np.zeros((len(pairs.held_out_codes), *shape), np.float32),
        )


@pytest.fixture
def spy(monkeypatch):
    spy = Spy()
    attacker = registry.Attacker(spy, "quick", floor=True)
    monkeypatch.setattr(registry, "ATTACKERS", {"spy": attacker})
    monkeypatch.setattr(attack_runs, "multiply_adds_per_second", lambda *_: 1.0)
    judges = types.SimpleNamespace(identity=(ToyNetwork(),))
    monkeypatch.setattr(audit.reconstruction, "load_metric_networks", lambda *_, **__: judges)
    monkeypatch.setattr(audit.reconstruction, "measure", lambda *a: measures_of(0.5, len(a[1])))
    return spy


def context(folder, **changes):
    audited_encoder = AuditedEncoder(
        "toy",
        "hash",
        (12,),
        Channel(),
        encoder=lambda images: images.reshape(len(images), -1)[:, :12].astype(np.float32),
        task_output=lambda codes: codes[:, :2] - 5,
    )
    return AuditContext(
        audited_encoder=dataclasses.replace(audited_encoder, **changes),
        perceptual_features=lambda image: [image],
        photographs=True,
        cache_dir=folder / "cache",
        store_dir=folder / "attacks",
        other_images=None,
        provenance={"seed": 0},
    )


def run(folder, config=CONFIG, **changes):
    images = numbered_images()
    parts = split_by_identity(images.identities, config)
    return (
        audit.audit(audit_settings(config), images, parts, context(folder, **changes)),
        images,
        parts,
    )


@pytest.mark.parametrize("audit_split", ["test", "validation"])
def test_attackers_see_public_images_only_and_never_those_they_are_measured_on(
    spy, tmp_path, audit_split
):
    config = dataclasses.replace(CONFIG, audit_split=audit_split)
    report, _, parts = run(tmp_path, config)
    public = set(parts.public_train) | set(parts.public_validation)
    target = set(parts.test if audit_split == "test" else parts.public_validation)
    assert len(spy.seen) == 2
    for trained_on, held_out in spy.seen:
        assert trained_on | held_out <= public
        assert not (trained_on | held_out) & target
        assert not trained_on & held_out
    assert set(report.names) == {f"image_{row}" for row in target}
    assert row_numbers(report.originals) == target
    assert report.content["measured_on"]["images"] == len(target)


def test_attacker_that_asks_for_an_image_under_attack_raises(spy, tmp_path, monkeypatch):
    held = {}

    def collect(config, images, rows, sealed, *rest):
        held["sealed"], held["rows"] = sealed, rows
        return real_collect(config, images, rows, sealed, *rest)

    def peek(evidence, settings, *, name, start=None):
        return held["sealed"][held["rows"].target[:1]]

    real_collect = audit.collect
    monkeypatch.setattr(audit, "collect", collect)
    monkeypatch.setattr(
        registry, "ATTACKERS", {"peek": registry.Attacker(peek, "quick", floor=True)}
    )
    with pytest.raises(SealedError, match="under attack"):
        run(tmp_path)


def test_attack_on_identity_that_asks_for_an_image_under_attack_raises(spy, tmp_path, monkeypatch):
    held = {}
    real_collect = audit.collect

    def collect(config, images, rows, sealed, *rest):
        held["sealed"], held["rows"] = sealed, rows
        return real_collect(config, images, rows, sealed, *rest)

    def peek(view, evidence, faces, settings):
        return held["sealed"][held["rows"].target[:1]]

    monkeypatch.setattr(audit, "collect", collect)
    monkeypatch.setattr(
        identity_registry,
        "IDENTITY_ATTACKERS",
        {"peek": identity_registry.IdentityAttacker(peek, "quick")},
    )
    with pytest.raises(SealedError, match="under attack"):
        run(tmp_path)


def test_attacks_on_identity_see_the_codes_and_the_task_output_and_are_kept(
    spy, tmp_path, monkeypatch
):
    described = run(tmp_path)[0].content["identity_attacks"]["networks"]["toy"]
    assert [attack["name"] for attack in described["attacks"]] == ["ridge", "fusion"]
    for attack in described["attacks"]:
        # The embedding of these images is a few of their pixels, as are code and task output.
        assert attack["code"]["cosine"]["value"] > 0.95
        assert attack["task_output"]["cosine"]["value"] > 0.95
        assert attack["unprotected"]["cosine"]["value"] is None
    monkeypatch.setattr(
        identity_runs.identity_registry, "view_of", lambda *_: pytest.fail("predicted again")
    )
    again = run(tmp_path)[0].content["identity_attacks"]["networks"]["toy"]
    assert again["worst"] == described["worst"]


def test_second_audit_runs_no_attack_and_measures_nothing_again(spy, tmp_path, monkeypatch):
    first, _, _ = run(tmp_path)
    monkeypatch.setattr(audit.reconstruction, "measure", lambda *_: pytest.fail("measured again"))
    second, _, _ = run(tmp_path)
    assert len(spy.seen) == 2
    assert second.content == first.content


def test_another_encoder_is_attacked_anew(spy, tmp_path):
    run(tmp_path)
    run(tmp_path, sha256="other")
    assert len(spy.seen) == 4


def test_other_numbers_of_codes_are_attacked_anew(spy, tmp_path):
    run(tmp_path)
    run(tmp_path, dataclasses.replace(CONFIG, stages="audit", codes_per_photo=2))
    assert len(spy.seen) == 4


def test_seed_with_the_best_held_out_loss_counts_and_the_spread_is_told(spy, tmp_path):
    report, _, _ = run(tmp_path, dataclasses.replace(CONFIG, audit_seeds=2))
    attack = report.content["attacks"][0]
    # The second seed has half the first's held-out loss.
    assert attack["held_out_loss"] == [0.5]
    assert attack["seeds"]["count"] == 2
    assert attack["seeds"]["ssim"] == {"lowest": 0.5, "highest": 0.5, "deviation": 0.0}
    assert attack["seconds"] == 1.0


def test_contents_of_the_report_keep_the_contract(spy, tmp_path):
    content = run(tmp_path)[0].content
    assert set(content["floors"]) == {"mean_image", "task_output"}
    rows = [*content["floors"].values(), *content["attacks"], content["worst"], content["leakage"]]
    for row in rows:
        for measure in MEASURES:
            assert {"value", "ci95"} <= set(row[measure])
    assert content["codes"]["bytes"] == 48
    assert content["codes"]["shape"] == [12]
    assert {"linkage_auc", "attribute_probe", "identity_probe"} <= set(content["codes"])
    assert content["reference"] is None
    assert "--reference=auto" in " ".join(content["warnings"])
    assert set(content["yardsticks"]) == {"same_person", "two_strangers", "blurred_copy"}
    for name, yardstick in content["yardsticks"].items():
        assert yardstick["face_similarity"] == {"value": 0.5, "ci95": [0.5, 0.5]}, name
        assert yardstick["images"] == content["measured_on"]["images"]
    measured = content["measured_on"]
    assert measured["faces"] == "photographs" and measured["identities_known"]
    # Three images of each person.
    assert measured["chance_rank1"] == pytest.approx(3 / measured["images"])


def test_pictures_and_measures_have_the_floors_beside_the_attacks(spy, tmp_path):
    report, _, _ = run(tmp_path)
    # The best attack on the task output has a name of its own, too.
    names = {"spy", "task_output/spy", "mean_image", "task_output"}
    assert set(report.pictures) == set(report.per_image) == names
    for name in names:
        assert report.pictures[name].shape == report.originals.shape
        assert report.pictures[name].dtype == np.uint8


def test_mean_image_floor_is_the_public_mean_for_every_target():
    public = np.stack([np.zeros((2, 2, 3)), np.full((2, 2, 3), 255)]).astype(np.uint8)
    floor = yardsticks.mean_pictures(public, 3)
    assert floor.shape == (3, 2, 2, 3)
    assert (floor == 128).all()


def test_training_s_adversary_is_measured_and_a_gap_is_said_in_words(spy, tmp_path, monkeypatch):
    values = iter([20.0, 20.0, 10.0, 12.0, *[0.0] * 7])
    monkeypatch.setattr(
        audit.reconstruction, "measure", lambda *a: measures_of(next(values), len(a[1]))
    )
    report, _, _ = run(
        tmp_path, adversary=lambda codes: np.zeros((len(codes), 8, 8, 3), np.float32)
    )
    assert report.content["training_adversary"]["psnr"]["value"] == 12.0
    assert any("New attackers do much better" in text for text in report.content["warnings"])


def test_small_gap_to_training_s_adversary_is_not_warned_of():
    worst = {"psnr": {"value": 12.0}, "face_similarity": {"value": 0.3}}
    adversary = {"psnr": {"value": 11.5}, "face_similarity": {"value": 0.28}}
    assert remarks.gap_warning(worst, adversary) == []


def test_code_that_changes_when_asked_again_counts_as_random():
    rng = np.random.default_rng(0)
    images = numbered_images(8).images
    assert evidence_collection.is_random(lambda x: rng.normal(size=(len(x), 3)), images)
    assert not evidence_collection.is_random(lambda x: x[:, 0, 0].astype(float), images)


@pytest.mark.parametrize("scale, offset", [(1e4, 0.0), (1.0, 1e4)])
def test_noise_counts_as_random_beside_a_value_of_a_large_scale_or_offset(scale, offset):
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(8, 4)) * [scale, 1, 1, 0] + [offset, 0, 0, 3]

    def query(noise):
        jitter = 1e-7 * signal * rng.normal(size=signal.shape)
        return (signal + jitter + noise * rng.normal(size=signal.shape)).astype(np.float32)

    assert evidence_collection.is_random(lambda x: query([0, 0.2, 0, 0]), None)
    assert evidence_collection.is_random(lambda x: query([0, 0, 0, 0.2]), None)
    assert not evidence_collection.is_random(lambda x: query(0), None)


def test_noise_of_queries_is_new_each_time_and_the_same_in_each_run():
    audited_encoder = setting_encoder(Channel(noise=1.0))
    images = numbered_images(8).images
    first, second = (evidence_collection.NoisyQueries(audited_encoder, 3) for _ in range(2))
    one, two = first(images), first(images)
    assert np.abs(one - two).mean() > 0.5
    np.testing.assert_array_equal(second(images), one)


def test_answers_to_queries_are_means_of_as_many_codes_as_attackers_get_of_a_photo():
    audited_encoder = setting_encoder(Channel(noise=1.0))
    images = np.repeat(numbered_images(8).images, 50, axis=0)
    noise = evidence_collection.NoisyQueries(audited_encoder, 3, SeveralCodes(25))(images)
    noise -= images[:, 0, 0]
    # 1,200 values: the deviation's own is 1 / sqrt(2400) of it.
    assert noise.std() == pytest.approx(0.2, rel=5 / np.sqrt(2400))


def test_attackers_get_means_and_the_task_output_stays_that_of_single_codes(
    spy, tmp_path, monkeypatch
):
    held = []
    monkeypatch.setattr(
        audit, "attack", lambda config, evidence, store, spaces: held.append(evidence) or []
    )
    monkeypatch.setattr(audit, "Measurements", lambda **facts: facts)
    monkeypatch.setattr(audit, "report_of", lambda found, *_: found)
    # There are no pictures to ask the judges about.
    monkeypatch.setattr(judging, "judge_worst", lambda *_: ())
    noisy = Channel(noise=50.0)
    for count in (1, 25):
        config = dataclasses.replace(CONFIG, stages="audit", codes_per_photo=count)
        found = run(tmp_path, config, channel=noisy)[0]
        held[-1] = (held[-1], found["utility_codes"])
    (one, utility), (many, same_utility) = held
    clean = context(tmp_path).audited_encoder.encoder
    images = one.pairs.images
    for evidence, deviation in ((one, 50.0), (many, 10.0)):
        noise = evidence.pairs.codes - clean(images)
        assert noise.std() == pytest.approx(deviation, rel=0.1)
        assert np.std(evidence.query(images) - clean(images)) == pytest.approx(deviation, rel=0.1)
    np.testing.assert_array_equal(one.task_outputs.target, many.task_outputs.target)
    np.testing.assert_array_equal(one.task_outputs.public, many.task_outputs.public)
    np.testing.assert_array_equal(utility, same_utility)


def test_report_says_how_many_codes_of_a_photo_attackers_had(spy, tmp_path):
    noisy = Channel(noise=50.0)
    single = run(tmp_path / "single", channel=noisy)[0].content
    assert single["codes"]["codes_per_photo"] == 1
    assert "see one code of a photo" in " ".join(single["assumptions"])
    assert "--codes_per_photo" in " ".join(single["not_tested"])
    config = dataclasses.replace(CONFIG, stages="audit", codes_per_photo=4)
    several = run(tmp_path / "several", config, channel=noisy)[0].content
    assert several["codes"]["codes_per_photo"] == 4
    assert "4 codes of every photo" in " ".join(several["assumptions"])
    assert "--codes_per_photo" not in " ".join(several["not_tested"])
    assert "same code each time" not in " ".join(several["warnings"])
    silent = run(tmp_path / "silent", config)[0].content
    assert "--codes_per_photo" not in " ".join(silent["not_tested"])
    assert "A photo has the same code each time, so 4" in " ".join(silent["warnings"])


def setting_encoder(channel):
    return AuditedEncoder(
        "toy", "hash", (3,), channel, encoder=lambda x: x[:, 0, 0].astype(np.float32)
    )


def test_noisy_channel_is_told_and_wakes_the_attacker_that_learns_through_noise(
    spy, tmp_path, monkeypatch
):
    through_noise = registry.Attacker(
        spy, "quick", needs=("query", "random_codes"), missing="noise"
    )
    monkeypatch.setitem(registry.ATTACKERS, "through_noise", through_noise)
    silent = run(tmp_path / "silent")[0].content
    assert silent["codes"]["channel"] is None
    assert "noise" in silent["not_tested"]
    noisy = run(tmp_path / "noisy", channel=Channel(noise=50.0))[0].content
    assert noisy["codes"]["noisy"] and not silent["codes"]["noisy"]
    assert noisy["codes"]["channel"] == {"clip": 0.0, "levels": 0, "noise": 50.0}
    names = [attack["name"] for attack in noisy["attacks"]]
    assert names == ["spy", "through_noise", "fused", "amplified"]
    assert "Every code passes a channel" in " ".join(noisy["assumptions"])


def test_attackers_whose_knowledge_of_the_noise_is_deleted_make_the_audit_warn(
    spy, tmp_path, monkeypatch
):
    noisy, told = Channel(noise=50.0), "not told the noise"
    content = run(tmp_path / "told", channel=noisy)[0].content
    assert content["attacks"][0]["knew"]["noise"] == "asked"
    assert "8 answers to each image" in content["attacks"][0]["knew"]["words"]
    assert told not in " ".join(content["warnings"])
    monkeypatch.setattr(
        Evidence, "as_seen", lambda self, knowledge: dataclasses.replace(self, noise=None)
    )
    deleted = run(tmp_path / "deleted", channel=noisy)[0].content
    assert deleted["attacks"][0]["knew"]["noise"] == "not told"
    assert told in " ".join(deleted["warnings"])


def test_one_answer_a_photo_leaves_attackers_untold_and_the_report_says_so(spy, tmp_path):
    config = dataclasses.replace(CONFIG, attacker_queries=1)
    content = run(tmp_path, config, channel=Channel(noise=50.0))[0].content
    assert "not told the noise" in " ".join(content["warnings"])
    silent = run(tmp_path / "silent", config)[0].content
    assert silent["attacks"][0]["knew"]["noise"] == "none"
    assert "not told the noise" not in " ".join(silent["warnings"])


def test_nothing_calls_recorded_codes_free_of_noise(spy, tmp_path, caplog):
    images = numbered_images()
    recorded = {
        "encoder": None,
        "task_output": None,
        "code_shape": (3,),
        "recorded": images.images[:, 0, 0].astype(np.float32),
        "recorded_logits": np.zeros((len(images.images), 2), np.float32),
    }
    content = run(tmp_path, **recorded)[0].content
    attacks = [*content["attacks"], *content["floor_attacks"]]
    assert {attack["knew"]["noise"] for attack in attacks} == {"unknown"}
    assert content["codes"]["noisy"] is None
    unknown = "it is unknown whether these codes have noise"
    assert unknown in " ".join(content["warnings"]) and unknown in verdict.verdict(content)
    assert "whether the recorded codes have noise" in " ".join(content["not_tested"])
    assert unknown in caplog.text
    # A channel's noise is known to be there.
    sent = run(tmp_path / "sent", channel=Channel(noise=50.0), **recorded)[0].content
    assert sent["codes"]["noisy"] is True
    assert sent["attacks"][0]["knew"]["noise"] == "not told"


def test_other_data_set_holds_every_tenth_image_out():
    images = numbered_images(40).images
    pairs = evidence_collection.other_pairs(images, lambda x: x[:, 0, 0].astype(np.float32))
    assert len(pairs.held_out_images) == 4
    assert len(pairs.images) == 72
    assert not row_numbers(pairs.images) & row_numbers(pairs.held_out_images)
    assert evidence_collection.other_pairs(None, None) is None


def test_encoder_without_a_head_gets_one_fitted_on_private_codes(spy, tmp_path, monkeypatch):
    seen = []

    def fit(codes, labels, held_out_codes, held_out_labels, *, seed, task):
        assert task.kind == "multi_label"
        seen.append((len(codes), len(held_out_codes), labels.shape[1]))
        return lambda values: np.zeros((len(values), 2), np.float32)

    monkeypatch.setattr(evidence_collection.fitted_head, "fit_task_head", fit)
    report, _, parts = run(tmp_path, task_output=None)
    assert seen == [(len(parts.private_train), len(parts.private_validation), 2)]
    assert "fitted by the audit" in " ".join(report.content["assumptions"])


def test_rows_of_an_audit_do_not_overlap():
    images = numbered_images()
    rows = audited_rows(split_by_identity(images.identities, CONFIG), "test", images.identities)
    assert not set(rows.attacker) & set(rows.target)
