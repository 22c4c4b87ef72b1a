"""The patch critic's shape, and both sides' losses by hand."""

import pytest
import tensorflow as tf

from arl_tf.models import patch_critic


def test_critic_scores_patches():
    critic = patch_critic.build_patch_critic(32, width=4)
    assert critic.output_shape == (None, 4, 4, 1)


def test_losses_by_hand():
    real, made = tf.constant([0.5, 2.0]), tf.constant([-3.0, 1.0])
    # (.5 + 0) / 2 + (0 + 2) / 2
    assert float(patch_critic.critic_loss(real, made)) == pytest.approx(1.25)
    assert float(patch_critic.decoder_loss(made)) == pytest.approx(1.0)
    assert float(patch_critic.critic_loss(tf.zeros(3), tf.zeros(3))) == 2
