"""Where layers live: z of a network at initialization and of a run."""

from __future__ import annotations

import numpy as np
import pytest

import schuss as sc

DATA = sc.load("iris")


def test_z_at_initialization_is_what_the_flow_measures() -> None:
    net = sc.mlp([16, 12, 8], "sigmoid")
    found, measured = sc.preactivations(net, DATA, seed=3), sc.flow(net, DATA, seed=3)
    assert [z.shape for z in found.z] == [(len(DATA.train), n) for n in (16, 12, 8)]
    np.testing.assert_allclose([z.mean() for z in found.z], measured.z_mean, rtol=1e-9)
    np.testing.assert_allclose([np.sqrt(np.mean(z**2)) for z in found.z], measured.z_rms, rtol=1e-9)


def test_z_of_a_run_is_what_its_weights_say() -> None:
    run = sc.fit(sc.mlp([6, 5], "tanh"), DATA, sc.Recipe("adam", epochs=3), threads=1)
    found = run.preactivations(DATA.test)
    (W0, b0), (W1, b1), _ = run.weights()
    z0 = DATA.test.X @ W0 + b0
    np.testing.assert_allclose(found.z[0], z0, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.z[1], np.tanh(z0) @ W1 + b1, rtol=1e-4, atol=1e-5)
    assert found.when == "after epoch 3"
    with pytest.raises(sc.SchussError, match="takes 4 inputs, but the part has 2"):
        run.preactivations(sc.load("xor").train)


def test_layers_without_a_curve_are_left_out() -> None:
    mixed = sc.Network(sc.Dense(5, "identity"), sc.Dense(4, "relu"))
    assert [z.shape[1] for z in sc.preactivations(mixed, DATA).z] == [4]
    assert len(sc.preactivations(sc.Network(sc.Dense(5, "identity")), DATA).z) == 1
    assert len(sc.preactivations(sc.Network(), DATA).z) == 1


def test_the_figure_says_when() -> None:
    figure = sc.preactivations(sc.mlp([4, 4], "gelu"), DATA).figure()
    figure.draw_without_rendering()
    assert "at initialization" in figure.get_suptitle().replace("\n", " ")
