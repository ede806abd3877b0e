"""Imports for the type checker alone: only what shows results may name, in this way, what stands above it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import grimp

CONFIGURATION = Path(__file__).parents[1] / "pyproject.toml"


def layered() -> list[dict[str, Any]]:
    contracts = tomllib.loads(CONFIGURATION.read_text())["tool"]["importlinter"]["contracts"]
    return [contract for contract in contracts if contract["type"] == "layers"]


def test_types_from_above_are_named_by_what_shows_results_alone() -> None:
    graph = grimp.build_graph("schuss", exclude_type_checking_imports=False, cache_dir=None)
    at_run_time = grimp.build_graph("schuss", exclude_type_checking_imports=True, cache_dir=None)
    graph.remove_import(importer="schuss.engines.native", imported="schuss")  # the compiled extension
    for module in graph.find_descendants("schuss.show"):
        both = graph.find_modules_directly_imported_by(module), at_run_time.find_modules_directly_imported_by(module)
        for imported in both[0] - both[1]:
            graph.remove_import(importer=module, imported=imported)
    for contract in layered():
        layers = [set(layer.split(" | ")) for layer in contract["layers"]]
        found = graph.find_illegal_dependencies_for_layers(layers=layers, containers=set(contract["containers"]))
        assert not found, contract["name"]


def test_every_package_has_a_contract_on_the_order_within_it() -> None:
    graph = grimp.build_graph("schuss", cache_dir=None)
    several = {module for module in graph.modules if len(graph.find_children(module)) > 1}
    assert several == {container for contract in layered() for container in contract["containers"]}
    assert all(contract["exhaustive"] for contract in layered())
